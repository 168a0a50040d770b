"""`Adafactor`: second moments of a matrix from its rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from .._dtypes import finfo
from .._ferrule import Tensor, ops, zeros
from .counted import CountedOptimizer, Entries
from .optimizer import Params, factor, learning_rate

__all__ = ["Adafactor"]


class Adafactor(CountedOptimizer):
    """Adam's scaling with as much state as the rows and columns of a matrix.

    The running mean of g^2 of a matrix is taken to be the product of those of its
    rows and its columns; tensors of more dimensions are lists of matrices, vectors
    keep all of it. There is no mean of g. At step t the weight of the newest g^2
    is t^beta2_decay, the update u = g / sqrt(v) is scaled down to a root mean
    square of at most d, and the step is
    p = p - max(eps[1], rms(p)) * min(lr, 1 / sqrt(t)) * u.

    Args:
        params: parameters or groups of them.
        lr: largest relative step size.
        beta2_decay: power by which the weight of new gradients falls; at most 0.
        eps: lower bound of sqrt(v), None for the dtype's machine epsilon; and of
            the root mean square of the parameter.
        d: largest root mean square of an update; at least 1.
        weight_decay: pull towards zero, apart from the gradient.
        foreach: as of `Optimizer`.
        maximize: True climbs.

    Raises:
        ValueError: an option is out of range.

    Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear
    Memory Cost", 2018, in PyTorch's form.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.Linear(4, 3)
        >>> optimizer = fe.optim.Adafactor(layer.parameters(), lr=0.1)
        >>> layer(fe.ones((1, 4))).sum().backward()
        >>> optimizer.step()
        >>> {key: v.shape for key, v in optimizer.state[layer.weight].items()}
        {'step': (), 'row_var': (3, 1), 'col_var': (1, 4)}
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        if not group["beta2_decay"] <= 0.0:
            raise ValueError(
                f"[Adafactor] beta2_decay must be at most 0, got {group['beta2_decay']}"
            )
        for i, eps in enumerate(group["eps"]):
            if not (i == 0 and eps is None):
                self._check_number(f"eps[{i}]", eps)
        if not group["d"] >= 1.0:
            raise ValueError(f"[Adafactor] d must be at least 1, got {group['d']}")

    # State is shaped by the parameter, not by the group alone.
    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ()

    def _entry_shape(self, key: str, param: Tensor) -> tuple[int, ...] | None:
        shape = list(param.shape)
        if key == "row_var":
            shape[-1] = 1
        elif key == "col_var":
            shape[-2] = 1
        return tuple(shape)

    def _init_state(self, group: dict[str, Any], params: list[Tensor]) -> None:
        new = [param for param in params if param not in self.state]
        super()._init_state(group, params)
        for param in new:
            for key in ("row_var", "col_var") if param.ndim > 1 else ("variance",):
                shape = self._entry_shape(key, param)
                assert shape is not None
                self.state[param][key] = zeros(
                    shape, dtype=param.dtype, device=param.device
                )

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        lr = learning_rate(group)
        t = entries[0]["step"].add_(1).double()
        weight = ops.pow(t, group["beta2_decay"])
        size = t.rsqrt().clamp(max=lr)
        for param, grad, entry in zip(params, grads, entries, strict=True):
            g = -grad if group["maximize"] else grad
            root = sqrt(max(int(param.numel()), 1))
            eps = group["eps"][0]
            eps = finfo(param.dtype).eps if eps is None else eps
            scale = (param.norm().double() / root).clamp(min=group["eps"][1]) * size
            if group["weight_decay"] != 0:
                param.mul_(factor(1 - lr * group["weight_decay"], param))
            variance = self._variance(g, entry, weight.to(g.dtype), eps)
            update = variance.clamp(min=eps * eps).rsqrt() * g
            excess = (update.norm().double() / (root * group["d"])).clamp(min=1.0)
            param.sub_(update * (scale / excess).to(param.dtype))

    @staticmethod
    def _variance(
        g: Tensor, entry: dict[str, Any], weight: Tensor, eps: float
    ) -> Tensor:
        """The estimate of the mean of g^2, moved by `weight` towards the new one."""
        square = g * g
        if g.ndim < 2:
            variance: Tensor = entry["variance"]
            return variance.lerp_(square, weight)
        row: Tensor = entry["row_var"]
        column: Tensor = entry["col_var"]
        row.lerp_(square.mean(-1, keepdim=True), weight)
        column.lerp_(square.mean(-2, keepdim=True), weight)
        return (row @ column) / row.mean(-2, keepdim=True).clamp(min=eps)
