"""Schedulers made of others: at the same time, or one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ..optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler, set_option, values_of

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Combined(LRScheduler):
    """Common to both: checks, and state that holds that of the members."""

    _schedulers: list[LRScheduler]

    def _take(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None
    ) -> None:
        if not schedulers:
            raise ValueError(f"[{self._name}] needs at least one scheduler")
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(
                    f"[{self._name}] scheduler {i} is a {type(scheduler).__name__}, "
                    "not an LRScheduler"
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"[{self._name}] scheduler {i} is a ReduceLROnPlateau, whose step "
                    "needs a metric; call it apart"
                )
            optimizer = optimizer or scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"[{self._name}] scheduler {i} ({type(scheduler).__name__}) "
                    "belongs to another optimizer"
                )
        assert optimizer is not None
        self.optimizer = optimizer
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        states = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": states}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        rest = dict(state_dict)
        states = rest.pop("_schedulers")
        for scheduler, state in zip(self._schedulers, states, strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict(rest)


class ChainedScheduler(_Combined):
    """Several schedulers that all step, each from what the one before has set.

    Args:
        schedulers: of one optimizer, and such as multiply the present rate.
        optimizer: that optimizer, if it is to be checked.

    Raises:
        ValueError: no scheduler, a `ReduceLROnPlateau`, or several optimizers.

    Example:
        >>> import ferrule as fe
        >>> schedule = fe.optim.lr_scheduler
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> warmup = schedule.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> decay = schedule.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule.ChainedScheduler([warmup, decay]).get_last_lr()
        [0.25]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._take(schedulers, optimizer)
        self._last_lr = values_of(self.optimizer, "lr")

    def step(self) -> None:  # type: ignore[override]
        """Lets all of them step."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = values_of(self.optimizer, "lr")


class SequentialLR(_Combined):
    """Several schedulers one after the other, such as a warm-up and a decay.

    Args:
        optimizer: whose learning rates are set.
        schedulers: of that optimizer.
        milestones: epochs at which the next one begins, one fewer than schedulers.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: no scheduler, a `ReduceLROnPlateau`, several optimizers, or
            another number of milestones.

    Example:
        >>> import ferrule as fe
        >>> schedule = fe.optim.lr_scheduler
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> warmup = schedule.LinearLR(optimizer, start_factor=0.5, total_iters=5)
        >>> decay = schedule.CosineAnnealingLR(optimizer, T_max=95)
        >>> schedule.SequentialLR(optimizer, [warmup, decay], [5]).get_last_lr()
        [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._take(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"[{self._name}] {len(schedulers)} schedulers need "
                f"{len(schedulers) - 1} milestones, got {len(milestones)}"
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        # Construction of the members has set rates: only the first may.
        for group in self.optimizer.param_groups:
            set_option(group, "lr", group["initial_lr"])
        _undo_first_step(self)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        # Members of a chain step here, too, which is no mistake of the program.
        stepped, self.optimizer._stepped = self.optimizer._stepped, True
        first._initial_step()
        self.optimizer._stepped = stepped
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Lets the one whose turn it is step; at a milestone it begins."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo_first_step(scheduler: LRScheduler) -> None:
    if isinstance(scheduler, _Combined):
        for member in scheduler._schedulers:
            _undo_first_step(member)
    else:
        scheduler.last_epoch -= 1
