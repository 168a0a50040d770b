"""Manipulation functions: shapes, and tensors put together."""

from __future__ import annotations

from typing import cast

import ferrule as fe

from ._common import Array, Axes, axes_of

__all__ = [
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "moveaxis",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tile",
    "unstack",
]


def broadcast_arrays(*arrays: Array) -> tuple[Array, ...]:
    """The tensors, expanded to one shape."""
    # Sizes of tensors are known.
    shape = cast("tuple[int, ...]", broadcast_shapes(*(x.shape for x in arrays)))
    return tuple(x.expand(shape) for x in arrays)


def broadcast_shapes(*shapes: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The shape that all broadcast to.

    Raises:
        ValueError: two sizes differ and neither is 1.
    """
    result: list[int | None] = [1] * max(map(len, shapes), default=0)
    for shape in shapes:
        for i, n in enumerate(shape, len(result) - len(shape)):
            if n == 1 or n == result[i]:
                continue
            if result[i] != 1:
                raise fe.ShapeError(f"shapes {shapes} do not broadcast: axis {i}")
            result[i] = n
    return tuple(result)


def broadcast_to(x: Array, /, shape: tuple[int, ...]) -> Array:
    """`x` expanded to a shape."""
    return x.expand(tuple(shape))


def concat(
    arrays: tuple[Array, ...] | list[Array], /, *, axis: int | None = 0
) -> Array:
    """Tensors one after the other along an axis; None flattens them first."""
    if axis is None:
        return fe.cat([x.reshape(-1) for x in arrays], 0)
    return fe.cat(arrays, axis)


def expand_dims(x: Array, /, axis: int | tuple[int, ...]) -> Array:
    """New axes of size 1 at these places of the result."""
    axes = (axis,) if isinstance(axis, int) else axis
    places = axes_of(axes, x.ndim + len(axes))
    if len(set(places)) != len(places):
        raise fe.InvalidValue(f"[expand_dims] an axis is given twice: {axes}")
    for place in sorted(places):
        x = x.unsqueeze(place)
    return x


def flip(x: Array, /, *, axis: Axes = None) -> Array:
    """The order of elements reversed along axes, all of them by default."""
    return fe.flip(x, axes_of(axis, x.ndim))


def moveaxis(
    x: Array,
    source: int | tuple[int, ...],
    destination: int | tuple[int, ...],
    /,
) -> Array:
    """As `ferrule.movedim`."""
    return fe.movedim(x, source, destination)


def permute_dims(x: Array, /, axes: tuple[int, ...]) -> Array:
    """As `ferrule.permute`."""
    return x.permute(tuple(axes))


def repeat(x: Array, repeats: int | Array, /, *, axis: int | None = None) -> Array:
    """Each element (or slice along an axis) several times in a row."""
    return fe.repeat_interleave(x, repeats, axis)


def reshape(x: Array, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Array:
    """The elements in another shape; one size may be -1.

    Raises:
        ValueError: `copy` is False and the memory cannot be looked at so.
    """
    if copy is False:
        return x.view(tuple(shape))
    y = x.reshape(tuple(shape))
    return fe.clone(y) if copy and y.data_ptr() == x.data_ptr() else y


def roll(x: Array, /, shift: int | tuple[int, ...], *, axis: Axes = None) -> Array:
    """Elements moved along axes; what leaves at one end enters at the other."""
    return fe.roll(x, shift, axis)


def squeeze(x: Array, /, axis: int | tuple[int, ...]) -> Array:
    """Axes of size 1 taken away.

    Raises:
        ValueError: one of them is not of size 1.
    """
    axes = axes_of(axis, x.ndim)
    for d in axes:
        if x.shape[d] != 1:
            raise fe.ShapeError(f"[squeeze] axis {d} of shape {x.shape} is not 1")
    return x.squeeze(axes)


def stack(arrays: tuple[Array, ...] | list[Array], /, *, axis: int = 0) -> Array:
    """Tensors of one shape along a new axis."""
    return fe.stack(arrays, axis)


def tile(x: Array, repetitions: tuple[int, ...], /) -> Array:
    """`x` several times along each axis."""
    return fe.tile(x, tuple(repetitions))


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The slices along an axis."""
    return tuple(fe.unbind(x, axis))
