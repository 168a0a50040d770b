"""Learning rates that fall along half a cosine."""

from __future__ import annotations

from math import cos, floor, log, pi

from ..optimizer import Optimizer
from .scheduler import LRScheduler, Rate

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


class CosineAnnealingLR(LRScheduler):
    """From the initial rate to `eta_min` in `T_max` epochs, and back.

    eta_min + (initial - eta_min) * (1 + cos(pi * epoch / T_max)) / 2, computed from
    one epoch to the next, so that other schedulers may change the rate, too.

    Args:
        optimizer: whose learning rates are set.
        T_max: half a period, in epochs.
        eta_min: the lowest rate.
        last_epoch: as of `LRScheduler`.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", 2017, equation 5 without restarts.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> fe.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10).get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        if self._is_initial:
            return self._present()
        epoch, period, low = self.last_epoch, self.T_max, self.eta_min
        if self._step_count == 1 and epoch > 0:
            return self._get_closed_form_lr()
        rates = self._present()
        if (epoch - 1 - period) % (2 * period) == 0:
            # The epoch before stood at eta_min, from where no factor leads away.
            rise = (1 - cos(pi / period)) / 2
            return [
                lr + (base - low) * rise
                for lr, base in zip(rates, self.base_lrs, strict=True)
            ]
        factor = (1 + cos(pi * epoch / period)) / (1 + cos(pi * (epoch - 1) / period))
        return [factor * (lr - low) + low for lr in rates]

    def _get_closed_form_lr(self) -> list[Rate]:
        share = (1 + cos(pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """From the initial rate to `eta_min`, again and again.

    Args:
        optimizer: whose learning rates are set.
        T_0: epochs until the first restart.
        T_mult: how many times longer each period is than the one before.
        eta_min: the lowest rate.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: an option is out of range.

    `step(epoch)` takes fractions of epochs, for steps between them.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", 2017.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> schedule = fe.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 10)
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for what, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"[{self._name}] {what} must be an int of at least 1, got {value!r}"
                )
        if not isinstance(eta_min, (int, float)):
            raise ValueError(
                f"[{self._name}] eta_min must be a number, got {eta_min!r}"
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        share = (1 + cos(pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Sets the rates of the next epoch, or of `epoch`, which may be a fraction."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(
                f"[{self._name}.step] epoch must be 0 or more, got {epoch}"
            )
        else:
            self._go_to(epoch)
        self.last_epoch = floor(epoch)
        self._in_step = True
        try:
            rates = self.get_lr()
        finally:
            self._in_step = False
        self._set_rates(rates)

    def _go_to(self, epoch: float) -> None:
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            # The periods before: a geometric series.
            restarts = int(log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            passed = self.T_0 * (self.T_mult**restarts - 1) / (self.T_mult - 1)
            self.T_cur = epoch - passed
            self.T_i = self.T_0 * self.T_mult**restarts
