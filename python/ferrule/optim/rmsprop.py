"""`RMSprop`: steps scaled by a running mean of squared gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, ops
from .counted import CountedOptimizer, Entries, column
from .optimizer import Params, learning_rate

__all__ = ["RMSprop"]


class RMSprop(CountedOptimizer):
    """RMSprop: lr * g / (sqrt(mean(g^2)) + eps), with a running mean.

    With g the gradient plus weight_decay times the parameter p:
    v = alpha * v + (1 - alpha) * g^2, and then p = p - lr * g / (sqrt(v) + eps).
    Centered, the square of a running mean of g is subtracted from v in the root;
    with momentum the quotients are summed, b = momentum * b + quotient, and
    p = p - lr * b.

    Args:
        params: parameters or groups of them.
        lr: step size.
        alpha: share of the old mean that is kept.
        eps: keeps the quotient finite.
        weight_decay: pull towards zero, as part of the gradient.
        momentum: share of the old direction that is kept.
        centered: True divides by an estimate of the variance.
        maximize: True climbs.
        foreach, capturable, differentiable: as of `Optimizer`.

    Raises:
        ValueError: an option is out of range.

    Source: Hinton, "Neural networks for machine learning", lecture 6e, 2012; centered:
    Graves, "Generating sequences with recurrent neural networks", 2013.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.RMSprop([p], lr=0.01)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "alpha", "eps", "momentum")

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        names = ["square_avg"]
        if group["momentum"] > 0:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return tuple(names)

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        ops.rmsprop_step(
            params,
            grads,
            column(entries, "square_avg"),
            column(entries, "momentum_buffer") if group["momentum"] > 0 else [],
            column(entries, "grad_avg") if group["centered"] else [],
            entries[0]["step"],
            learning_rate(group),
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            group["centered"],
            group["maximize"],
        )
