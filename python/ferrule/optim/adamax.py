"""`Adamax`: Adam by the largest gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, ops
from .counted import CountedOptimizer, Entries, column
from .optimizer import Params, learning_rate

__all__ = ["Adamax"]


class Adamax(CountedOptimizer):
    """Adamax: Adam with the largest gradient in the place of the mean square.

    At step t, with g the gradient plus weight_decay times the parameter p:
    m = beta1 * m + (1 - beta1) * g, u = max(beta2 * u, |g| + eps), and then
    p = p - lr / (1 - beta1^t) * m / u.

    Args:
        params: parameters or groups of them.
        lr: step size.
        betas: beta1 and beta2.
        eps: keeps the quotient finite.
        weight_decay: pull towards zero, as part of the gradient.
        maximize: True climbs.
        foreach, capturable, differentiable: as of `Optimizer`.

    Raises:
        ValueError: an option is out of range.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015,
    algorithm 2.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.Adamax([p], lr=0.5)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.5
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "eps")
        for i, beta in enumerate(group["betas"]):
            self._check_number(f"betas[{i}]", beta, below=1.0)

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        beta1, beta2 = group["betas"]
        ops.adamax_step(
            params,
            grads,
            column(entries, "exp_avg"),
            column(entries, "exp_inf"),
            entries[0]["step"],
            learning_rate(group),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["maximize"],
        )
