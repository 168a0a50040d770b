"""What the chapters of the namespace share."""

from __future__ import annotations

from typing import Any

import ferrule as fe

Array = fe.Tensor
Number = complex  # Python's numeric tower: int and float are accepted, too
Axes = int | tuple[int, ...] | None
Device = fe.device | str | None


def pair(x1: Array | Number, x2: Array | Number) -> tuple[Array, Array]:
    """Two operands as tensors; a Python number is weak: the other's dtype wins."""
    if isinstance(x1, Array) and isinstance(x2, Array):
        return x1, x2
    dtype = fe.result_type(x1, x2)
    if isinstance(x2, Array):
        return fe.tensor(x1, dtype=dtype, device=x2.device), x2
    if isinstance(x1, Array):
        return x1, fe.tensor(x2, dtype=dtype, device=x1.device)
    raise TypeError(f"one of two operands must be an array, got {x1!r} and {x2!r}")


def promoted(x1: Array, x2: Array) -> tuple[Array, Array]:
    """Two operands in one dtype, for ops that do not promote by themselves."""
    dtype = fe.result_type(x1, x2)
    return x1.to(dtype), x2.to(dtype)


def axes_of(axis: Axes, ndim: int) -> tuple[int, ...]:
    """The dimensions that `axis` names, not negative."""
    axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    for d in axes:
        if not -ndim <= d < ndim:
            raise fe.IndexOutOfRange(f"axis {d} is out of range for {ndim} dimensions")
    return tuple(d % ndim for d in axes)


def only_axis(x: Array, axis: int | None, who: str) -> int:
    """The axis that may be left out where there is one only."""
    if axis is None and x.ndim != 1:
        raise fe.InvalidValue(f"[{who}] an array of {x.ndim} dimensions needs an axis")
    return 0 if axis is None else axis


def reduced(f: Any, x: Array, axis: Axes, keepdims: bool) -> Array:
    """f(x, dim, keepdim) over `axis`. The standard's empty tuple of axes reduces
    nothing, where Ferrule's, as PyTorch's, reduces all: a new axis stands in."""
    axes = axes_of(axis, x.ndim)
    result: Array = f(x, axes, keepdims) if axes else f(x.unsqueeze(-1), -1, False)
    return result
