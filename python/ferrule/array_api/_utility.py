"""Utility functions."""

from __future__ import annotations

import ferrule as fe

from ._common import Array, Axes, reduced

__all__ = ["all", "any", "diff"]


def all(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """Whether all elements are True (or not 0)."""
    return reduced(fe.all, x, axis, keepdims)


def any(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """Whether an element is True (or not 0)."""
    return reduced(fe.any, x, axis, keepdims)


def diff(
    x: Array,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: Array | None = None,
    append: Array | None = None,
) -> Array:
    """The differences of neighbours along an axis, taken n times."""
    return fe.diff(x, n, axis, prepend=prepend, append=append)
