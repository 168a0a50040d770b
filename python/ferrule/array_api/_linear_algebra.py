"""Linear algebra functions (of the standard's core)."""

from __future__ import annotations

from collections.abc import Sequence

import ferrule as fe

from ._common import Array, promoted

__all__ = ["matmul", "matrix_transpose", "tensordot", "vecdot"]


def matmul(x1: Array, x2: Array, /) -> Array:
    """As `ferrule.matmul`."""
    return fe.matmul(*promoted(x1, x2))


def matrix_transpose(x: Array, /) -> Array:
    """The last two axes swapped."""
    return x.mT


def tensordot(
    x1: Array,
    x2: Array,
    /,
    *,
    axes: int | tuple[Sequence[int], Sequence[int]] = 2,
) -> Array:
    """Sums of products over several axes; see `ferrule.tensordot`."""
    return fe.tensordot(*promoted(x1, x2), axes)


def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """Dot products along an axis, x1 conjugated; the other axes broadcast."""
    if not -min(x1.ndim, x2.ndim) <= axis < 0:
        raise fe.IndexOutOfRange(
            f"[vecdot] axis {axis} is out of range for {min(x1.ndim, x2.ndim)} "
            "dimensions; it counts from the last and is negative"
        )
    if x1.shape[axis] != x2.shape[axis]:
        raise fe.ShapeError(
            f"[vecdot] sizes {x1.shape[axis]} and {x2.shape[axis]} differ along "
            f"axis {axis}"
        )
    products = fe.conj(x1) * x2 if x1.is_complex() else x1 * x2
    return fe.sum(products, axis, dtype=products.dtype)
