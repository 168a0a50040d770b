"""`LRScheduler`: the base of the schedulers."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..._ferrule import FerruleWarning, Tensor
from ..optimizer import Optimizer

__all__ = [
    "LRScheduler",
    "check_optimizer",
    "function_state",
    "load_function_state",
    "one_per_group",
    "set_option",
    "values_of",
]

Rate = float | Tensor


def check_optimizer(name: str, optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"[{name}] optimizer is a {type(optimizer).__name__}, not an Optimizer"
        )


def set_option(group: dict[str, Any], key: str, value: Any) -> None:
    """Sets an option of a group; one that is a tensor is filled."""
    if isinstance(group[key], Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def values_of(optimizer: Optimizer, key: str) -> list[Any]:
    """An option of every group, tensors copied."""
    values = [group[key] for group in optimizer.param_groups]
    return [v.clone() if isinstance(v, Tensor) else v for v in values]


def one_per_group(name: str, what: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value for every group: a list is checked, anything else repeated."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"[{name}] {what} has {len(value)} values for {groups} parameter groups"
        )
    return list(value)


def function_state(function: Any) -> dict[str, Any] | None:
    """What a callable object remembers; None of a plain function."""
    if function is None or isinstance(function, types.FunctionType):
        return None
    return dict(getattr(function, "__dict__", {}))


def load_function_state(function: Any, state: Mapping[str, Any] | None) -> None:
    if state is not None:
        function.__dict__.update(state)


class LRScheduler:
    """Base class of the schedulers.

    A subclass defines `get_lr`, which computes the learning rates of all groups
    from `last_epoch`, and if it can `_get_closed_form_lr`, which does so without
    looking at the present ones. Construction sets those of the first epoch.

    Args:
        optimizer: whose learning rates are set.
        last_epoch: -1 to begin; otherwise the epoch to continue after, for which
            the groups of the optimizer must have "initial_lr".

    Raises:
        TypeError: `optimizer` is no optimizer.
        KeyError: "initial_lr" is missing.
    """

    optimizer: Optimizer
    base_lrs: list[Rate]
    last_epoch: int
    _last_lr: list[Rate]
    _is_initial = False
    _in_step = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(self._name, optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                group.setdefault(
                    "initial_lr", lr.clone() if isinstance(lr, Tensor) else lr
                )
            elif "initial_lr" not in group:
                raise KeyError(
                    f"[{self._name}] parameter group {i} has no 'initial_lr', which "
                    "last_epoch >= 0 needs: load the optimizer's state first, or "
                    "begin with last_epoch=-1"
                )
        self.base_lrs = values_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._initial_step()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_last_lr(self) -> list[Rate]:
        """The learning rates of all groups, as last set."""
        return self._last_lr

    def get_lr(self) -> list[Rate]:
        """Computes the learning rates of `last_epoch`; `step` calls it."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Sets the learning rates of the next epoch.

        Call it after `optimizer.step()`: before the first one it warns, since the
        first learning rate would not be used.

        Args:
            epoch: go to this epoch instead, by the closed form where there is one.
        """
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(
                f"[{self._name}.step] was called before optimizer.step(): the first "
                "learning rate of the schedule is skipped. Call optimizer.step() "
                "first",
                FerruleWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self._in_step = True
        try:
            self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
            closed: Callable[[], list[Rate]] | None = None
            if epoch is not None:
                closed = getattr(self, "_get_closed_form_lr", None)
            rates = self.get_lr() if closed is None else closed()
        finally:
            self._in_step = False
        self._set_rates(rates)

    def _set_rates(self, rates: Sequence[Rate]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            set_option(group, "lr", lr)
        self._last_lr = values_of(self.optimizer, "lr")

    def _present(self, factor: float | None = None) -> list[Rate]:
        """The present rates, times a factor."""
        rates: list[Rate] = values_of(self.optimizer, "lr")
        return rates if factor is None else [lr * factor for lr in rates]

    def _warn_outside_step(self) -> None:
        """`get_lr` advances from the present rates: outside of `step` it misleads."""
        if not self._in_step:
            warnings.warn(
                f"[{self._name}.get_lr] computes the rates of the next step; the last "
                "ones are get_last_lr()",
                FerruleWarning,
                stacklevel=3,
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        left_out = ("optimizer", "_in_step", "_is_initial")
        return {k: v for k, v in self.__dict__.items() if k not in left_out}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        self.__dict__.update(state_dict)
