"""The range of an image's dtype, and changing it."""

from __future__ import annotations

from ..._dtypes import iinfo
from ..._ferrule import (
    DType,
    InvalidValue,
    Tensor,
    bool,
    float32,
    float64,
    int32,
    int64,
)

__all__ = ["bound_of", "convert_image_dtype", "is_float", "to_dtype"]


def is_float(dtype: DType) -> bool:  # type: ignore[valid-type]
    """Is an image of this dtype from 0 to 1?"""
    return dtype.is_floating_point


def bound_of(dtype: DType) -> int | float:
    """The value of white."""
    if is_float(dtype):
        return 1.0
    return 1 if dtype == bool else iinfo(dtype).max


def to_dtype(inpt: Tensor, dtype: DType = float32, scale: bool = False) -> Tensor:  # type: ignore[valid-type]
    """Changes the dtype.

    Args:
        inpt: the image.
        dtype: what it becomes.
        scale: True maps white to white: 255 to 1.0, 1.0 to 255.

    Raises:
        InvalidValue: `scale` from float to integers that it cannot hold.

    Example:
        >>> import ferrule as fe
        >>> to_dtype = fe.vision.transforms.functional.to_dtype
        >>> to_dtype(fe.tensor([255], dtype=fe.uint8), fe.float32, scale=True).item()
        1.0
    """
    if not scale or inpt.dtype == dtype or (is_float(inpt.dtype) and is_float(dtype)):
        return inpt.to(dtype)
    old, new = bound_of(inpt.dtype), bound_of(dtype)
    if is_float(dtype):
        return inpt.to(dtype) / float(old)
    if is_float(inpt.dtype):
        if dtype == int64 or (dtype == int32 and inpt.dtype != float64):
            raise InvalidValue(
                f"[to_dtype] {inpt.dtype} cannot be scaled to {dtype} without loss"
            )
        # Each number gets an equal share of 0..1, the greatest a hair more.
        return (inpt * (new + 1.0 - 1e-3)).to(dtype)
    if old > new:
        step = (int(old) + 1) // (int(new) + 1)
        return (inpt // step).to(dtype)
    return inpt.to(dtype) * ((int(new) + 1) // (int(old) + 1))


def convert_image_dtype(image: Tensor, dtype: DType = float32) -> Tensor:
    """`to_dtype` with ``scale=True``."""
    return to_dtype(image, dtype, scale=True)
