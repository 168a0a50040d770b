"""`RAdam`: Adam that waits until it knows the variance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, ops
from .counted import CountedOptimizer, Entries, column
from .optimizer import Params, learning_rate

__all__ = ["RAdam"]


class RAdam(CountedOptimizer):
    """Rectified Adam: divides by sqrt(v) only when v is known well enough.

    m and v are those of `Adam`. With r = 2 / (1 - beta2) - 1, v stands for about
    rho = r - 2 * t * beta2^t / (1 - beta2^t) gradients at step t. While rho is at
    most 5 the step is lr * m / (1 - beta1^t); after that it is Adam's, times
    sqrt((rho - 4) * (rho - 2) * r / ((r - 4) * (r - 2) * rho)).

    Args:
        params: parameters or groups of them.
        lr: step size.
        betas: beta1 and beta2.
        eps: keeps the quotient finite.
        weight_decay: pull towards zero.
        decoupled_weight_decay: True takes weight decay apart from the gradient,
            as `AdamW`.
        maximize: True climbs.
        foreach, capturable, differentiable: as of `Optimizer`.

    Raises:
        ValueError: an option is out of range.

    Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond",
    2020, algorithm 2.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.RAdam([p], lr=0.25)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.5
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "eps")
        for i, beta in enumerate(group["betas"]):
            self._check_number(f"betas[{i}]", beta, below=1.0)

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        beta1, beta2 = group["betas"]
        ops.radam_step(
            params,
            grads,
            column(entries, "exp_avg"),
            column(entries, "exp_avg_sq"),
            entries[0]["step"],
            learning_rate(group),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
        )
