"""`NAdam`: Adam with Nesterov's momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, ops
from .counted import CountedOptimizer, Entries, column
from .optimizer import Params, learning_rate

__all__ = ["NAdam"]


class NAdam(CountedOptimizer):
    """Adam that looks ahead: with Nesterov's momentum.

    m and v are those of `Adam`. At step t, with mu_t = beta1 * (1 - 0.5 *
    0.96^(t * momentum_decay)) and M_t = mu_1 * ... * mu_t, the direction is
    (1 - mu_t) / (1 - M_t) * g + mu_(t+1) / (1 - M_(t+1)) * m, divided by
    sqrt(v / (1 - beta2^t)) + eps.

    Args:
        params: parameters or groups of them.
        lr: step size.
        betas: beta1 and beta2.
        eps: keeps the quotient finite.
        weight_decay: pull towards zero.
        momentum_decay: how fast mu rises to beta1.
        decoupled_weight_decay: True takes weight decay apart from the gradient,
            as `AdamW`.
        maximize: True climbs.
        foreach, capturable, differentiable: as of `Optimizer`.

    Raises:
        ValueError: an option is out of range.

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", 2016.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.NAdam([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.8944
    """

    _counters = ("step", "mu_product")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "eps", "momentum_decay")
        for i, beta in enumerate(group["betas"]):
            self._check_number(f"betas[{i}]", beta, below=1.0)

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _new_counter(self, group: dict[str, Any], key: str) -> float:
        return 1.0

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        beta1, beta2 = group["betas"]
        ops.nadam_step(
            params,
            grads,
            column(entries, "exp_avg"),
            column(entries, "exp_avg_sq"),
            entries[0]["step"],
            entries[0]["mu_product"],
            learning_rate(group),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["momentum_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
        )
