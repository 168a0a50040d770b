"""Grey images, and hues."""

from __future__ import annotations

from ..._ferrule import InvalidValue, ShapeError, Tensor, float32, ops
from .dtypes import is_float, to_dtype

__all__ = ["adjust_hue", "rgb_to_grayscale"]


def rgb_to_grayscale(inpt: Tensor, num_output_channels: int = 1) -> Tensor:
    """The luma of a colour image.

    Args:
        inpt: shape (..., 3 or 1, H, W).
        num_output_channels: 1, or 3 equal ones.

    Returns:
        Shape (..., num_output_channels, H, W), the dtype of `inpt`.

    Source: ITU-R BT.601: 0.2989 R + 0.587 G + 0.114 B.
    """
    if num_output_channels not in (1, 3):
        raise InvalidValue(
            f"[rgb_to_grayscale] num_output_channels must be 1 or 3, got "
            f"{num_output_channels}"
        )
    grey = inpt
    if inpt.shape[-3] != 1:
        _check_colour("rgb_to_grayscale", inpt)
        values = inpt if is_float(inpt.dtype) else inpt.to(float32)
        red, green, blue = (values[..., c : c + 1, :, :] for c in range(3))
        grey = (red * 0.2989 + green * 0.587 + blue * 0.114).to(inpt.dtype)
    return ops.cat([grey] * 3, -3) if num_output_channels == 3 else grey


def adjust_hue(inpt: Tensor, hue_factor: float) -> Tensor:
    """Turns the circle of hues.

    Args:
        inpt: shape (..., 3 or 1, H, W).
        hue_factor: from -0.5 to 0.5, in turns; 0 is the image itself.

    Example:
        >>> import ferrule as fe
        >>> red = fe.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
        >>> third = fe.vision.transforms.functional.adjust_hue(red, 1 / 3)
        >>> fe.round(third.flatten(), decimals=4).tolist()
        [0.0, 1.0, 0.0]

    Source: A. R. Smith, "Color gamut transform pairs", SIGGRAPH 1978.
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise InvalidValue(
            f"[adjust_hue] hue_factor must be in -0.5..0.5, got {hue_factor}"
        )
    if inpt.shape[-3] == 1:
        return inpt
    _check_colour("adjust_hue", inpt)
    rgb = inpt if is_float(inpt.dtype) else to_dtype(inpt, float32, scale=True)
    hue, chroma, value = _hue_chroma_value(rgb)
    hue = hue + hue_factor * 6.0
    # A channel is the value less its part of the chroma: that of red is at hue 0,
    # of green at 2, of blue at 4, and 5, 3, 1 count from where it begins to fall.
    parts = []
    for start in (5.0, 3.0, 1.0):
        k = ops.remainder(hue + start, 6.0)
        share = ops.minimum(k, 4.0 - k).clamp(0.0, 1.0)
        parts.append(value - chroma * share)
    turned = ops.cat(parts, -3)
    if is_float(inpt.dtype):
        return turned
    return to_dtype(turned, inpt.dtype, scale=True)


def _hue_chroma_value(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue from 0 to 6, the greatest less the least channel, and the greatest."""
    red, green, blue = (rgb[..., c : c + 1, :, :] for c in range(3))
    value = ops.amax(rgb, (-3,), True)
    chroma = value - ops.amin(rgb, (-3,), True)
    some = ops.where(chroma == 0, 1.0, chroma)
    hue = ops.where(
        value == red,
        (green - blue) / some,
        ops.where(
            value == green, 2.0 + (blue - red) / some, 4.0 + (red - green) / some
        ),
    )
    return hue, chroma, value


def _check_colour(who: str, inpt: Tensor) -> None:
    if inpt.ndim < 3 or inpt.shape[-3] != 3:
        raise ShapeError(f"[{who}] expected shape (..., 3, H, W), got {inpt.shape}")
