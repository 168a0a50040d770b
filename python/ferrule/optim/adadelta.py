"""`Adadelta`: steps whose size follows from the steps before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, ops
from .counted import CountedOptimizer, Entries, column
from .optimizer import Params, learning_rate

__all__ = ["Adadelta"]


class Adadelta(CountedOptimizer):
    """Adadelta: lr * sqrt(mean(d^2) + eps) / sqrt(mean(g^2) + eps) * g.

    With g the gradient plus weight_decay times the parameter p:
    v = rho * v + (1 - rho) * g^2, d = sqrt(u + eps) / sqrt(v + eps) * g,
    u = rho * u + (1 - rho) * d^2, and then p = p - lr * d.

    Args:
        params: parameters or groups of them.
        lr: step size.
        rho: share of the old means that is kept.
        eps: keeps the quotient finite.
        weight_decay: pull towards zero, as part of the gradient.
        maximize: True climbs.
        foreach, capturable, differentiable: as of `Optimizer`.

    Raises:
        ValueError: an option is out of range.

    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.Adadelta([p], lr=1.0)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.9968
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "eps")
        if not 0.0 <= group["rho"] <= 1.0:
            raise ValueError(f"[Adadelta] rho must be in 0..1, got {group['rho']}")

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        ops.adadelta_step(
            params,
            grads,
            column(entries, "square_avg"),
            column(entries, "acc_delta"),
            entries[0]["step"],
            learning_rate(group),
            group["rho"],
            group["eps"],
            group["weight_decay"],
            group["maximize"],
        )
