"""Searching and sorting functions."""

from __future__ import annotations

from typing import Literal

import ferrule as fe

from ._common import Array, Axes, Number, pair, promoted, reduced

__all__ = [
    "argmax",
    "argmin",
    "argsort",
    "count_nonzero",
    "nonzero",
    "searchsorted",
    "sort",
    "where",
]


def argmax(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the (first) largest element."""
    return fe.argmax(x, axis, keepdims)


def argmin(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the (first) smallest element."""
    return fe.argmin(x, axis, keepdims)


def argsort(
    x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Array:
    """The indices that sort `x` along an axis."""
    return fe.argsort(x, axis, descending, stable=stable)


def count_nonzero(x: Array, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The number of elements that are not 0."""
    return reduced(fe.sum, (x != 0).to(fe.int64), axis, keepdims)


def nonzero(x: Array, /) -> tuple[Array, ...]:
    """The indices of elements that are not 0, one tensor for each axis.

    Raises:
        ShapeError: `x` has no axes.
    """
    if x.ndim == 0:
        raise fe.ShapeError("[nonzero] a tensor of no dimensions has no indices")
    return tuple(fe.nonzero(x).mT)


def searchsorted(
    x1: Array,
    x2: Array | float,
    /,
    *,
    side: Literal["left", "right"] = "left",
    sorter: Array | None = None,
) -> Array:
    """Where the elements of `x2` belong in the sorted `x1`."""
    x1, x2 = promoted(*pair(x1, x2))
    return fe.searchsorted(x1, x2, side=side, sorter=sorter)


def sort(
    x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Array:
    """`x` sorted along an axis."""
    return fe.sort(x, axis, descending, stable=stable)[0]


def where(condition: Array, x1: Array | Number, x2: Array | Number, /) -> Array:
    """Elements of `x1` where the condition holds, else of `x2`."""
    return fe.where(condition, *pair(x1, x2))
