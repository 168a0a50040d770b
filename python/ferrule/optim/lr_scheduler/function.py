"""Learning rates by a function of the epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..optimizer import Optimizer
from .scheduler import (
    LRScheduler,
    Rate,
    check_optimizer,
    function_state,
    load_function_state,
    one_per_group,
)

__all__ = ["LambdaLR", "MultiplicativeLR"]

Factor = Callable[[int], float]


class LambdaLR(LRScheduler):
    """The initial learning rate times a function of the epoch.

    Args:
        optimizer: whose learning rates are set.
        lr_lambda: gives the factor of an epoch; or one function for each group.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: another number of functions than of groups.
        TypeError: something cannot be called.

    `state_dict` holds what callable objects remember, but no functions.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> scheduler = fe.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1 / (i + 1))
        >>> scheduler.get_last_lr()
        [0.5]
    """

    lr_lambdas: list[Factor]

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Factor | Sequence[Factor],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self._name, optimizer)
        self.lr_lambdas = one_per_group(self._name, "lr_lambda", lr_lambda, optimizer)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(
                    f"[{self._name}] lr_lambda is a {type(function).__name__}, not a "
                    "function"
                )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        return [
            lr * function(self.last_epoch)
            for function, lr in zip(self.lr_lambdas, self.base_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "lr_lambdas": [function_state(function) for function in self.lr_lambdas],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        rest = dict(state_dict)
        states = rest.pop("lr_lambdas")
        for function, state in zip(self.lr_lambdas, states, strict=True):
            load_function_state(function, state)
        super().load_state_dict(rest)


class MultiplicativeLR(LambdaLR):
    """The present learning rate times a function of the epoch.

    Arguments and errors as of `LambdaLR`. The first epoch has the initial rate.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> scheduler = fe.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda i: 0.9)
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        if self._is_initial:
            return self._present()
        return [
            lr * function(self.last_epoch)
            for function, lr in zip(self.lr_lambdas, self._present(), strict=True)
        ]
