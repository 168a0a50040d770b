"""`Adam` and `AdamW`: steps scaled by running moments of the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, ops
from .counted import CountedOptimizer, Entries, column
from .optimizer import Params, learning_rate

__all__ = ["Adam", "AdamW"]


class Adam(CountedOptimizer):
    """Adam: lr * mean(g) / (sqrt(mean(g^2)) + eps), with running means.

    At step t, with g the gradient plus weight_decay times the parameter p:
    m = beta1 * m + (1 - beta1) * g, v = beta2 * v + (1 - beta2) * g^2, and then
    p = p - lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps).

    Args:
        params: parameters or groups of them.
        lr: step size.
        betas: beta1 and beta2.
        eps: keeps the quotient finite.
        weight_decay: pull towards zero, as part of the gradient.
        amsgrad: True divides by the largest v so far (Reddi et al., "On the
            Convergence of Adam and Beyond", 2018, algorithm 2).
        maximize: True climbs.
        foreach, capturable, differentiable, fused: as of `Optimizer`.
        decoupled_weight_decay: True is `AdamW`.

    Raises:
        ValueError: an option is out of range.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015,
    algorithm 1.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.Adam([p], lr=0.5)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.5
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "eps")
        for i, beta in enumerate(group["betas"]):
            self._check_number(f"betas[{i}]", beta, below=1.0)

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        if group["amsgrad"]:
            return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        return ("exp_avg", "exp_avg_sq")

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        beta1, beta2 = group["betas"]
        ops.adam_step(
            params,
            grads,
            column(entries, "exp_avg"),
            column(entries, "exp_avg_sq"),
            column(entries, "max_exp_avg_sq") if group["amsgrad"] else [],
            entries[0]["step"],
            learning_rate(group),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["amsgrad"],
            group["maximize"],
            group["decoupled_weight_decay"],
        )


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: p = p - lr * decay * p.

    Arguments as of `Adam`, with another default of `weight_decay`.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization",
    2019, algorithm 2 (in PyTorch's form: scaled by lr).

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Linear(4, 2)
        >>> optimizer = fe.optim.AdamW(model.parameters(), lr=1e-3)
        >>> model(fe.ones((1, 4))).sum().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
