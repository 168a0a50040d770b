"""Data type functions."""

from __future__ import annotations

import ferrule as fe
from ferrule import finfo, iinfo

from ._common import Array, Device, Number
from ._info import dtypes_of

__all__ = ["astype", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]


def astype(
    x: Array, dtype: fe.dtype, /, *, copy: bool = True, device: Device = None
) -> Array:
    """`x` with another dtype; a complex one becomes no real one but bool."""
    if x.is_complex() and not (dtype.is_complex or dtype == fe.bool):
        raise fe.DTypeError(
            f"[astype] {x.dtype} to {dtype} would drop the imaginary parts; "
            "take real(x) first"
        )
    y = x.to(dtype) if device is None else x.to(device, dtype)
    return fe.clone(x) if copy and y is x else y


def can_cast(from_: fe.dtype | Array, to: fe.dtype, /) -> bool:
    """Whether promotion leads from one dtype to another."""
    return fe.result_type(from_, to) == to


def isdtype(dtype: fe.dtype, kind: fe.dtype | str | tuple[fe.dtype | str, ...]) -> bool:
    """Whether a dtype is another or of a kind, such as "integral".

    Raises:
        ValueError: there is no such kind.
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, fe.dtype):
        return dtype == kind
    return dtype in dtypes_of(kind)


def result_type(*arrays_and_dtypes: Array | Number | fe.dtype) -> fe.dtype:
    """The dtype that an operation on all of these has; see ferrule.result_type."""
    return fe.result_type(*arrays_and_dtypes)
