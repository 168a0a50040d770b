"""`ReduceLROnPlateau`: lowers the rate when a metric gets no better."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import SupportsFloat

from ..optimizer import Optimizer
from .scheduler import (
    LRScheduler,
    check_optimizer,
    one_per_group,
    set_option,
    values_of,
)

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiplies the rate by `factor` after more than `patience` epochs at a halt.

    Args:
        optimizer: whose learning rates are set.
        mode: "min" if lower metrics are better, else "max".
        factor: below 1.
        patience: epochs without improvement that are let pass.
        threshold: what counts as an improvement.
        threshold_mode: "rel" takes it relative to the best so far, "abs" as it is.
        cooldown: epochs after a reduction that are not counted.
        min_lr: lower bound; or one for each group.
        eps: reductions by less are not made.

    Raises:
        ValueError: an option is out of range.
        TypeError: `optimizer` is no optimizer.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> scheduler = fe.optim.lr_scheduler.ReduceLROnPlateau(
        ...     optimizer, factor=0.5, patience=1)
        >>> for loss in [1.0, 0.5, 0.5, 0.5]:
        ...     scheduler.step(loss)
        >>> scheduler.get_last_lr()
        [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer(self._name, optimizer)
        if factor >= 1.0:
            raise ValueError(f"[{self._name}] factor must be below 1, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(
                f"[{self._name}] mode must be 'min' or 'max', got {mode!r}"
            )
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"[{self._name}] threshold_mode must be 'rel' or 'abs', got "
                f"{threshold_mode!r}"
            )
        self.optimizer = optimizer
        self.factor = factor
        listed = isinstance(min_lr, (list, tuple))
        self.default_min_lr = None if listed else min_lr
        self.min_lrs = one_per_group(self._name, "min_lr", min_lr, optimizer)
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.mode_worse = inf if mode == "min" else -inf
        self.last_epoch = 0
        self._last_lr = values_of(optimizer, "lr")
        self._reset()

    def _reset(self) -> None:
        """Forgets the best and all counts."""
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    def step(  # type: ignore[override]
        self, metrics: SupportsFloat, epoch: int | None = None
    ) -> None:
        """Takes notice of an epoch's metric, a number or a tensor of one element."""
        current = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = values_of(self.optimizer, "lr")

    def _reduce_lr(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"[{self._name}] the optimizer has {len(groups)} groups now and "
                    f"min_lr was given for {len(self.min_lrs)}; extend min_lrs"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, lowest)
            if old - new > self.eps:
                set_option(group, "lr", new)

    @property
    def in_cooldown(self) -> bool:
        """Does a reduction still take effect?"""
        return self.cooldown_counter > 0

    def _is_better(self, value: float) -> bool:
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 + sign * self.threshold)
        else:
            bound = self.best + sign * self.threshold
        return value > bound if self.mode == "max" else value < bound
