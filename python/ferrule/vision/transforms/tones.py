"""Transforms of values: each pixel by itself, or by how values are distributed."""

from __future__ import annotations

from ..._ferrule import InvalidValue, Tensor, float32, int64, ops, uint8
from ._image import check_image
from .dtypes import bound_of, is_float, to_dtype

__all__ = ["autocontrast", "equalize", "invert", "posterize", "solarize"]


def invert(inpt: Tensor) -> Tensor:
    """The negative: 255 - x, or 1 - x."""
    return bound_of(inpt.dtype) - inpt


def posterize(inpt: Tensor, bits: int) -> Tensor:
    """Keeps the highest bits of every value.

    Args:
        inpt: shape (..., C, H, W).
        bits: how many, from 0 to 8 for uint8.

    Example:
        >>> import ferrule as fe
        >>> posterize = fe.vision.transforms.functional.posterize
        >>> posterize(fe.tensor([[[7, 130, 255]]], dtype=fe.uint8), 2).tolist()
        [[[0, 128, 192]]]
    """
    check_image(inpt, "posterize")
    if bits < 0:
        raise InvalidValue(f"[posterize] bits must not be negative, got {bits}")
    levels = 1 << bits
    if is_float(inpt.dtype):
        return (inpt * levels).floor().clamp(0, levels - 1) / levels
    values = int(bound_of(inpt.dtype)) + 1
    if levels >= values:
        return inpt
    if bits == 0:
        return ops.zeros_like(inpt)
    step = values // levels
    return inpt // step * step


def solarize(inpt: Tensor, threshold: float) -> Tensor:
    """Turns what is as bright as `threshold`, or brighter, into its negative.

    Args:
        inpt: shape (..., C, H, W).
        threshold: at most white: 255, or 1.

    Example:
        >>> import ferrule as fe
        >>> solarize = fe.vision.transforms.functional.solarize
        >>> solarize(fe.tensor([[[10, 128, 200]]], dtype=fe.uint8), 128).tolist()
        [[[10, 127, 55]]]
    """
    check_image(inpt, "solarize")
    if threshold > bound_of(inpt.dtype):
        raise InvalidValue(
            f"[solarize] threshold must be at most {bound_of(inpt.dtype)} for "
            f"{inpt.dtype}, got {threshold}"
        )
    return ops.where(inpt >= threshold, invert(inpt), inpt)


def autocontrast(inpt: Tensor) -> Tensor:
    """Stretches every channel so that its darkest value is 0 and its brightest white.

    A channel of one value stays as it is.

    Args:
        inpt: shape (..., C, H, W).

    Example:
        >>> import ferrule as fe
        >>> autocontrast = fe.vision.transforms.functional.autocontrast
        >>> autocontrast(fe.tensor([[[0.25, 0.5]]])).tolist()
        [[[0.0, 1.0]]]
    """
    check_image(inpt, "autocontrast")
    bound = float(bound_of(inpt.dtype))
    values = inpt if is_float(inpt.dtype) else inpt.to(float32)
    darkest = ops.amin(values, (-2, -1), True)
    brightest = ops.amax(values, (-2, -1), True)
    flat = darkest == brightest
    scale = ops.where(flat, 1.0, (brightest - darkest) / bound)
    stretched = (values - ops.where(flat, 0.0, darkest)) / scale
    return stretched.clamp(0.0, bound).to(inpt.dtype)


def equalize(inpt: Tensor) -> Tensor:
    """Spreads every channel's values so that all are about equally frequent.

    Args:
        inpt: shape (..., C, H, W); other dtypes than uint8 are computed in it.

    Example:
        >>> import ferrule as fe
        >>> equalize = fe.vision.transforms.functional.equalize
        >>> x = fe.tensor([[[7] * 300 + [8] * 300]], dtype=fe.uint8)
        >>> equalize(x).unique().tolist()
        [0, 255]

    Source: Pillow's ImageOps.equalize.
    """
    check_image(inpt, "equalize")
    if inpt.dtype != uint8:
        whole = to_dtype(inpt, uint8, scale=True)
        return to_dtype(equalize(whole), inpt.dtype, scale=True)
    pixels = inpt.shape[-2] * inpt.shape[-1]
    values = inpt.reshape(-1, pixels).to(int64)
    ones = ops.ones_like(values)
    counts = ops.zeros_like(ops.expand(values[:, :1], (values.shape[0], 256)))
    counts = ops.scatter_add(counts, 1, values, ones)
    brightest = ops.gather(counts, 1, ops.amax(values, (1,), True))
    step = (pixels - brightest) // 255
    divisor = ops.maximum(step, 1)
    darker = ops.cumsum(counts, 1) - counts
    table = ops.minimum((darker + divisor // 2) // divisor, 255)
    spread = ops.gather(table, 1, values)
    return ops.where(step == 0, values, spread).to(uint8).reshape(inpt.shape)
