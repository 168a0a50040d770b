"""`Adagrad`: steps scaled by the sum of all squared gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, full_like, no_grad, ops
from .counted import CountedOptimizer, Entries, column
from .optimizer import Params, learning_rate

__all__ = ["Adagrad"]


class Adagrad(CountedOptimizer):
    """Adagrad: lr * g / (sqrt(sum(g^2)) + eps), over all gradients so far.

    At step t, with g the gradient plus weight_decay times the parameter p:
    s = s + g^2, and then
    p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps).

    Args:
        params: parameters or groups of them.
        lr: step size.
        lr_decay: lowers the step size with the steps.
        weight_decay: pull towards zero, as part of the gradient.
        initial_accumulator_value: what s starts from.
        eps: keeps the quotient finite.
        maximize: True climbs.
        foreach, differentiable, fused: as of `Optimizer`.

    Raises:
        ValueError: an option is out of range.

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online
    Learning and Stochastic Optimization", 2011.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.Adagrad([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        # As in PyTorch the state exists from the beginning.
        with no_grad():
            for group in self.param_groups:
                self._init_state(group, group["params"])

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "lr_decay", "eps", "initial_accumulator_value")

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("sum",)

    def _new_entry(self, group: dict[str, Any], key: str, param: Tensor) -> Tensor:
        return full_like(param, group["initial_accumulator_value"])

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        ops.adagrad_step(
            params,
            grads,
            column(entries, "sum"),
            entries[0]["step"],
            learning_rate(group),
            group["lr_decay"],
            group["weight_decay"],
            group["eps"],
            group["maximize"],
        )
