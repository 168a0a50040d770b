"""`ASGD`: gradient descent that also keeps the mean of its path."""

from __future__ import annotations

from typing import Any

from .._ferrule import Tensor, ops
from .counted import CountedOptimizer, Entries, column
from .optimizer import Params, learning_rate

__all__ = ["ASGD"]


class ASGD(CountedOptimizer):
    """Stochastic gradient descent with averaging.

    At step t, with g the gradient plus weight_decay times the parameter p:
    p = (1 - lambd * eta) * p - eta * g and x = x + mu * (p - x), and then
    eta = lr / (1 + lambd * lr * t)^alpha and mu = 1 / max(1, t - t0). The mean x
    is `state[p]["ax"]`; until step t0 it is p itself.

    Args:
        params: parameters or groups of them.
        lr: step size.
        lambd: pull towards zero.
        alpha: power by which the step size falls.
        t0: step at which averaging starts.
        weight_decay: pull towards zero, as part of the gradient.
        maximize: True climbs.
        foreach, capturable, differentiable: as of `Optimizer`.

    Raises:
        ValueError: an option is out of range.

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by
    Averaging", 1992.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.ASGD([p], lr=0.25)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.5
    """

    _counters = ("step", "eta", "mu")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("ax",)

    def _new_counter(self, group: dict[str, Any], key: str) -> float:
        return learning_rate(group) if key == "eta" else 1.0

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        ops.asgd_step(
            params,
            grads,
            column(entries, "ax"),
            entries[0]["step"],
            entries[0]["eta"],
            entries[0]["mu"],
            learning_rate(group),
            group["lambd"],
            group["alpha"],
            group["t0"],
            group["weight_decay"],
            group["maximize"],
        )
