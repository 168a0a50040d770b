"""Statistical functions."""

from __future__ import annotations

from functools import partial
from typing import Any

import ferrule as fe

from ._common import Array, Axes, only_axis, reduced

__all__ = [
    "cumulative_prod",
    "cumulative_sum",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


def _cumulative(
    op: Any, x: Array, axis: int, dtype: fe.dtype | None, first: int | None
) -> Array:
    """op(x, axis), behind what it starts with, unless that is None."""
    y: Array = op(x, axis, dtype=dtype)
    if first is None:
        return y
    shape = list(x.shape)
    shape[axis] = 1
    return fe.cat([fe.full(shape, first, dtype=y.dtype, device=y.device), y], axis)


def cumulative_prod(
    x: Array,
    /,
    *,
    axis: int | None = None,
    dtype: fe.dtype | None = None,
    include_initial: bool = False,
) -> Array:
    """The products of the elements so far; on demand 1, of none, comes first."""
    axis = only_axis(x, axis, "cumulative_prod")
    return _cumulative(fe.cumprod, x, axis, dtype, 1 if include_initial else None)


def cumulative_sum(
    x: Array,
    /,
    *,
    axis: int | None = None,
    dtype: fe.dtype | None = None,
    include_initial: bool = False,
) -> Array:
    """The sums of the elements so far; on demand 0, of none, comes first."""
    axis = only_axis(x, axis, "cumulative_sum")
    return _cumulative(fe.cumsum, x, axis, dtype, 0 if include_initial else None)


def max(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The largest elements; NaN wins."""
    return reduced(fe.amax, x, axis, keepdims)


def mean(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The arithmetic means."""
    return reduced(fe.mean, x, axis, keepdims)


def min(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The smallest elements; NaN wins."""
    return reduced(fe.amin, x, axis, keepdims)


def prod(
    x: Array,
    /,
    *,
    axis: Axes = None,
    dtype: fe.dtype | None = None,
    keepdims: bool = False,
) -> Array:
    """The products; of no elements 1."""
    return reduced(partial(fe.prod, dtype=dtype), x, axis, keepdims)


def std(
    x: Array, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The standard deviations: the square roots of `var`."""
    return fe.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def sum(
    x: Array,
    /,
    *,
    axis: Axes = None,
    dtype: fe.dtype | None = None,
    keepdims: bool = False,
) -> Array:
    """The sums; of no elements 0."""
    return reduced(partial(fe.sum, dtype=dtype), x, axis, keepdims)


def var(
    x: Array, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The variances: squared deviations, summed and divided by n - correction."""
    # fe.var's third parameter is None: `correction` stands in its place.
    return reduced(
        lambda x, dim, keepdim: fe.var(x, dim, None, keepdim, correction=correction),
        x,
        axis,
        keepdims,
    )
