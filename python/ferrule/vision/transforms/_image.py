"""What an image is to the transforms, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from ..._ferrule import InvalidValue, ShapeError, Tensor
from ..._ferrule import float32 as _float32
from .dtypes import bound_of, is_float

__all__ = [
    "InterpolationMode",
    "Size",
    "blend",
    "check_factor",
    "check_image",
    "in_float",
    "pair",
]

Size = int | Sequence[int]


class InterpolationMode(Enum):
    """How `resize` finds values between the pixels."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


def pair(size: Size) -> tuple[int, int]:
    """(height, width) of a size."""
    if isinstance(size, int):
        return size, size
    sizes = list(size) * (2 if len(size) == 1 else 1)
    if len(sizes) != 2:
        raise InvalidValue(f"[vision] a size is one number or two, got {size}")
    return sizes[0], sizes[1]


def check_image(inpt: Any, who: str) -> None:
    if not isinstance(inpt, Tensor):
        raise TypeError(
            f"[{who}] expected a tensor, got {type(inpt).__name__}; use ToImage or "
            "pil_to_tensor first"
        )
    if inpt.ndim < 3:
        raise ShapeError(
            f"[{who}] expected an image of shape (..., C, H, W), got {inpt.shape}"
        )


def check_factor(who: str, factor: float) -> None:
    if factor < 0:
        raise InvalidValue(f"[{who}] the factor must not be negative, got {factor}")


def blend(inpt: Tensor, other: Tensor | None, ratio: float) -> Tensor:
    """ratio * inpt + (1 - ratio) * other; no `other` is black."""
    values = inpt if is_float(inpt.dtype) else inpt.to(_float32)
    result = values * ratio
    if other is not None:
        result = result + other * (1.0 - ratio)
    return result.clamp(0.0, bound_of(inpt.dtype)).to(inpt.dtype)


def in_float(inpt: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """What `compute` makes of a batch (N, C, H, W) of floats, in the dtype of `inpt`.

    Whole numbers are rounded, halves to even.
    """
    batch = inpt.reshape(-1, *inpt.shape[-3:])
    if is_float(inpt.dtype):
        result = compute(batch)
    else:
        result = compute(batch.to(_float32)).round().to(inpt.dtype)
    return result.reshape(*inpt.shape[:-3], *result.shape[-3:])
