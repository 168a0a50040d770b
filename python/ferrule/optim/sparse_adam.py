"""`SparseAdam`: Adam for tables of which a step uses a few rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, ops
from .counted import CountedOptimizer, Entries
from .optimizer import Params, learning_rate

__all__ = ["SparseAdam"]


class SparseAdam(CountedOptimizer):
    """Adam that leaves rows without a gradient, and their moments, as they are.

    For embeddings: a row that does not occur in a batch keeps its moments, where
    `Adam` would let them decay and move the row by them. Gradients are dense in
    Ferrule, so a row counts as absent if its whole gradient is zero. For the other
    rows, at step t: m = beta1 * m + (1 - beta1) * g,
    v = beta2 * v + (1 - beta2) * g^2, and then
    p = p - lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps).

    Args:
        params: parameters or groups of them; their first dimension are the rows.
        lr: step size.
        betas: beta1 and beta2.
        eps: keeps the quotient finite.
        maximize: True climbs.

    Raises:
        ValueError: an option is out of range.

    Source: torch.optim.SparseAdam, which takes sparse gradients.

    Example:
        >>> import ferrule as fe
        >>> table = fe.nn.Parameter(fe.ones((3, 2)))
        >>> optimizer = fe.optim.SparseAdam([table], lr=0.5)
        >>> table[1].sum().backward()
        >>> optimizer.step()
        >>> [round(x, 4) for x in table[:, 0].tolist()]
        [1.0, 0.5, 1.0]
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        for key in ("lr", "eps"):
            if not group[key] > 0:
                raise ValueError(
                    f"[SparseAdam] {key} must be above 0, got {group[key]}"
                )
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
        t = entries[0]["step"].add_(1).double()
        size = (1 - ops.pow(beta2, t)).sqrt() / (1 - ops.pow(beta1, t))
        size = size * learning_rate(group)
        for param, grad, entry in zip(params, grads, entries, strict=True):
            g = -grad if group["maximize"] else grad
            used = g != 0
            if g.ndim > 1:
                used = used.any(list(range(1, g.ndim)), keepdim=True)
            m, v = entry["exp_avg"], entry["exp_avg_sq"]
            m.copy_(ops.where(used, m + (g - m) * (1 - beta1), m))
            v.copy_(ops.where(used, v + (g * g - v) * (1 - beta2), v))
            moved = param - size.to(param.dtype) * (m / (v.sqrt() + group["eps"]))
            param.copy_(ops.where(used, moved, param))
