"""Learning rates that fall: in steps, on a line, by powers."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from ..optimizer import Optimizer
from .scheduler import LRScheduler, Rate

__all__ = [
    "ConstantLR",
    "ExponentialLR",
    "LinearLR",
    "MultiStepLR",
    "PolynomialLR",
    "StepLR",
]


class StepLR(LRScheduler):
    """Multiplies the learning rate by `gamma` every `step_size` epochs.

    Args:
        optimizer: whose learning rates are set.
        step_size: epochs between two changes.
        gamma: the factor.
        last_epoch: as of `LRScheduler`.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> scheduler = fe.optim.lr_scheduler.StepLR(optimizer, step_size=30)
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        step_size: int,
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return self._present()
        return self._present(self.gamma)

    def _get_closed_form_lr(self) -> list[Rate]:
        factor = self.gamma ** (self.last_epoch // self.step_size)
        return [lr * factor for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Multiplies the learning rate by `gamma` at every milestone.

    Args:
        optimizer: whose learning rates are set.
        milestones: epochs; one that is given twice counts twice.
        gamma: the factor.
        last_epoch: as of `LRScheduler`.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> scheduler = fe.optim.lr_scheduler.MultiStepLR(optimizer, [30, 80])
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        if self.last_epoch not in self.milestones:
            return self._present()
        return self._present(self.gamma ** self.milestones[self.last_epoch])

    def _get_closed_form_lr(self) -> list[Rate]:
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [lr * self.gamma**passed for lr in self.base_lrs]


class ConstantLR(LRScheduler):
    """The learning rate times `factor` for the first `total_iters` epochs.

    Args:
        optimizer: whose learning rates are set.
        factor: in 0..1.
        total_iters: epochs until the full rate.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: `factor` is out of range.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> fe.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5).get_last_lr()
        [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0.0 <= factor <= 1.0:
            raise ValueError(f"[ConstantLR] factor must be in 0..1, got {factor}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        if self.last_epoch == 0:
            return self._present(self.factor)
        if self.last_epoch != self.total_iters:
            return self._present()
        return self._present(1.0 / self.factor)

    def _get_closed_form_lr(self) -> list[Rate]:
        factor = 1.0 if self.last_epoch >= self.total_iters else self.factor
        return [lr * factor for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """A factor that goes from one value to another on a line.

    Args:
        optimizer: whose learning rates are set.
        start_factor: in (0, 1], at the first epoch.
        end_factor: in 0..1, after `total_iters` epochs and from then on.
        total_iters: how many epochs that takes.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: a factor is out of range.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> fe.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5).get_last_lr()
        [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0.0 < start_factor <= 1.0:
            raise ValueError(
                "[LinearLR] start_factor must be above 0 and at most 1, got "
                f"{start_factor}"
            )
        if not 0.0 <= end_factor <= 1.0:
            raise ValueError(f"[LinearLR] end_factor must be in 0..1, got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        if self.last_epoch == 0:
            return self._present(self.start_factor)
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._present()
        rise = self.end_factor - self.start_factor
        passed = self.last_epoch - 1
        return self._present(
            1.0 + rise / (self.total_iters * self.start_factor + passed * rise)
        )

    def _get_closed_form_lr(self) -> list[Rate]:
        share = min(self.total_iters, self.last_epoch) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * share
        return [lr * factor for lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Multiplies the learning rate by `gamma` every epoch.

    Args:
        optimizer: whose learning rates are set.
        gamma: the factor.
        last_epoch: as of `LRScheduler`.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> fe.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9).get_last_lr()
        [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, gamma: float, last_epoch: int = -1
    ) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        return self._present(None if self._is_initial else self.gamma)

    def _get_closed_form_lr(self) -> list[Rate]:
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    """The learning rate times (1 - epoch / total_iters)^power, then 0.

    Args:
        optimizer: whose learning rates are set.
        total_iters: epochs until 0.
        power: 1 is a line.
        last_epoch: as of `LRScheduler`.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> fe.optim.lr_scheduler.PolynomialLR(optimizer, 10).get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._present()
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return self._present((now / before) ** self.power)

    def _get_closed_form_lr(self) -> list[Rate]:
        passed = min(self.total_iters, self.last_epoch) / self.total_iters
        return [lr * (1.0 - passed) ** self.power for lr in self.base_lrs]
