"""Indexing functions."""

from __future__ import annotations

import ferrule as fe

from ._common import Array, axes_of, only_axis

__all__ = ["take", "take_along_axis"]


def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    """The slices of `x` at `indices` (of one dimension) along an axis."""
    (at,) = axes_of(only_axis(x, axis, "take"), x.ndim)
    return x[(slice(None),) * at + (indices,)]


def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """One element of `x` for each of `indices`, along an axis; the other axes
    broadcast."""
    return fe.take_along_dim(x, indices, axis)
