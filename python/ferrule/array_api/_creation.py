"""Creation functions."""

from __future__ import annotations

from typing import Any, Literal

import ferrule as fe

from ._common import Array, Device, Number

__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]

Shape = int | tuple[int, ...]


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: fe.dtype | None = None,
    device: Device = None,
) -> Array:
    """Numbers from `start` (0, if only one is given) to before `stop`."""
    if stop is None:
        start, stop = 0, start
    # Where the standard has an empty range, ferrule.arange has an error.
    if (stop - start) * step <= 0:
        whole = all(isinstance(v, int) for v in (start, stop, step))
        return fe.empty(0, dtype=dtype or (fe.int64 if whole else fe.float32))
    return fe.arange(start, stop, step, dtype=dtype, device=device)


def asarray(
    obj: Any,
    /,
    *,
    dtype: fe.dtype | None = None,
    device: Device = None,
    copy: bool | None = None,
) -> Array:
    """A tensor of `obj`: a tensor, numbers in nested lists, an array of another
    library (by DLPack), or anything with the buffer protocol."""
    shared = obj if isinstance(obj, Array) else _shared(obj, device, copy)
    if shared is None:
        if copy is False:
            raise fe.InvalidValue("[asarray] numbers in Python objects must be copied")
        return fe.tensor(obj, dtype=dtype, device=device)
    x = shared.to(device, dtype)
    if copy is False and x is not shared:
        raise fe.InvalidValue(f"[asarray] {shared.dtype} as {dtype} needs a copy")
    return fe.clone(x) if copy and x is obj else x


def _shared(obj: Any, device: Device, copy: bool | None) -> Array | None:
    """A tensor with the memory of an array or a buffer, or None."""
    if not hasattr(obj, "__dlpack__"):
        try:
            buffer = memoryview(obj)
        except TypeError:
            return None
        import numpy as np

        obj = np.asarray(buffer)
    try:
        return fe.from_dlpack(obj, device=device, copy=copy)
    except BufferError as e:
        raise fe.InvalidValue(f"[asarray] {e}") from e


def empty(
    shape: Shape, *, dtype: fe.dtype | None = None, device: Device = None
) -> Array:
    """A tensor whose elements are not set."""
    return fe.empty(shape, dtype=dtype, device=device)


def empty_like(
    x: Array, /, *, dtype: fe.dtype | None = None, device: Device = None
) -> Array:
    """`empty` with the shape of `x` and, unless given, its dtype and device."""
    return fe.empty_like(x, dtype=dtype, device=device)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: fe.dtype | None = None,
    device: Device = None,
) -> Array:
    """Ones on the k-th diagonal (above the main one, if positive), else zeros."""
    if n_cols is None:
        n_cols = n_rows
    k = max(-n_rows, min(k, n_cols))  # farther away there are zeros only
    diagonal = fe.arange(n_rows, device=device).unsqueeze(1) + k
    return fe.eq(diagonal, fe.arange(n_cols, device=device)).to(dtype or fe.float32)


def from_dlpack(
    x: object, /, *, device: Device = None, copy: bool | None = None
) -> Array:
    """As `ferrule.from_dlpack`."""
    return fe.from_dlpack(x, device=device, copy=copy)


def full(
    shape: Shape,
    fill_value: Number,
    *,
    dtype: fe.dtype | None = None,
    device: Device = None,
) -> Array:
    """A tensor of one value, whose kind gives the dtype unless that is given."""
    dtype = fe.tensor(fill_value).dtype if dtype is None else dtype
    return fe.full(shape, fill_value, dtype=dtype, device=device)


def full_like(
    x: Array,
    /,
    fill_value: Number,
    *,
    dtype: fe.dtype | None = None,
    device: Device = None,
) -> Array:
    """`full` with the shape of `x` and, unless given, its dtype and device."""
    return fe.full_like(x, fill_value, dtype=dtype, device=device)


def linspace(
    start: Number,
    stop: Number,
    /,
    num: int,
    *,
    dtype: fe.dtype | None = None,
    device: Device = None,
    endpoint: bool = True,
) -> Array:
    """`num` numbers at equal distances, `stop` included or, on demand, left out."""
    x = fe.linspace(
        start, stop, num + (not endpoint), dtype=dtype or None, device=device
    )
    return x[:num]


def meshgrid(*arrays: Array, indexing: Literal["xy", "ij"] = "xy") -> tuple[Array, ...]:
    """As `ferrule.meshgrid`, with the standard's default of `indexing`."""
    return tuple(fe.meshgrid(*arrays, indexing=indexing))


def ones(
    shape: Shape, *, dtype: fe.dtype | None = None, device: Device = None
) -> Array:
    """As `ferrule.ones`."""
    return fe.ones(shape, dtype=dtype, device=device)


def ones_like(
    x: Array, /, *, dtype: fe.dtype | None = None, device: Device = None
) -> Array:
    """`ones` with the shape of `x` and, unless given, its dtype and device."""
    return fe.ones_like(x, dtype=dtype, device=device)


def tril(x: Array, /, *, k: int = 0) -> Array:
    """The elements on and below the k-th diagonal, zeros above."""
    return fe.tril(x, k)


def triu(x: Array, /, *, k: int = 0) -> Array:
    """The elements on and above the k-th diagonal, zeros below."""
    return fe.triu(x, k)


def zeros(
    shape: Shape, *, dtype: fe.dtype | None = None, device: Device = None
) -> Array:
    """As `ferrule.zeros`."""
    return fe.zeros(shape, dtype=dtype, device=device)


def zeros_like(
    x: Array, /, *, dtype: fe.dtype | None = None, device: Device = None
) -> Array:
    """`zeros` with the shape of `x` and, unless given, its dtype and device."""
    return fe.zeros_like(x, dtype=dtype, device=device)
