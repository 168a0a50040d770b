"""Statistical functions."""

from __future__ import annotations

import ferrule as fe

from ._common import Array, Axes, axes_of, is_integral, only_axis, reduced

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


def _accumulator(x: Array, dtype: fe.dtype | None) -> Array:
    """`x` in the dtype of its sum: that asked for, or wide enough for integers."""
    if dtype is None and is_integral(x.dtype):
        dtype = fe.int64
    return x if dtype is None else x.to(dtype)


def _cumulative(
    x: Array, op: object, axis: int, first: int, include_initial: bool
) -> Array:
    if include_initial:
        shape = list(x.shape)
        shape[axis] = 1
        x = fe.cat([fe.full(shape, first, dtype=x.dtype, device=x.device), x], axis)
    return op(x, axis)  # type: ignore[operator]


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
    x = _accumulator(x, dtype)
    return _cumulative(x, fe.cumprod, axis, 1, include_initial)


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
    x = _accumulator(x, dtype)
    return _cumulative(x, fe.cumsum, axis, 0, include_initial)


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
    x = _accumulator(x, dtype)
    # Ferrule multiplies along one dimension a time; the last first, as the
    # others then stay where they are.
    for d in sorted(axes_of(axis, x.ndim), reverse=True):
        x = fe.prod(x, d, keepdims)
    return x


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
    return reduced(fe.sum, _accumulator(x, dtype), axis, keepdims)


def var(
    x: Array, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    """The variances: squared deviations, summed and divided by n - correction."""

    def variance(x: Array, dim: Axes, keepdim: bool) -> Array:
        return fe.var(x, dim, keepdim=keepdim, correction=correction)

    return reduced(variance, x, axis, keepdims)
