"""Transforms of images as functions, made of tensor ops.

An image is (..., C, H, W), uint8 from 0 to 255 or floating-point from 0 to 1. What
is written here runs in an exported file as it runs in training.

Source: torchvision.transforms.v2.functional.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..._ferrule import (
    DTypeError,
    InvalidValue,
    ShapeError,
    SymInt,
    Tensor,
    ops,
    sym_max,
    sym_min,
    tensor,
)
from ..._ferrule import float32 as _float32
from ...nn.functional import interpolate
from ...nn.functional import pad as _pad_constant
from ._image import InterpolationMode, Size, blend, check_factor, check_image, pair
from .color import adjust_hue, rgb_to_grayscale
from .dtypes import convert_image_dtype, is_float, to_dtype
from .filters import adjust_sharpness, gaussian_blur, gaussian_noise
from .tones import autocontrast, equalize, invert, posterize, solarize
from .warp import affine, elastic, perspective, rotate

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "elastic",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "gaussian_noise",
    "get_dimensions",
    "get_size",
    "hflip",
    "horizontal_flip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_dtype",
    "to_image",
    "to_tensor",
    "vertical_flip",
    "vflip",
]


def get_size(inpt: Tensor) -> list[int]:
    """[height, width] of an image."""
    check_image(inpt, "get_size")
    return [inpt.shape[-2], inpt.shape[-1]]


def get_dimensions(inpt: Tensor) -> list[int]:
    """[channels, height, width] of an image."""
    check_image(inpt, "get_dimensions")
    return list(inpt.shape[-3:])


def resize(
    inpt: Tensor,
    size: Size | None,
    interpolation: InterpolationMode | str = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Tensor:
    """Resizes images.

    Args:
        inpt: shape (..., C, H, W).
        size: [height, width]; or one number for the shorter side, the other keeps
            the proportions; None with `max_size`, which is then the longer side.
        interpolation: an `InterpolationMode` or its value.
        max_size: the longer side must not exceed this; for one number only.
        antialias: True widens the filter where the result is smaller.

    Returns:
        Shape (..., C, height, width), the dtype of `inpt`.

    Example:
        >>> import ferrule as fe
        >>> resize = fe.vision.transforms.functional.resize
        >>> resize(fe.rand(3, 40, 60), 20).shape
        (3, 20, 30)
    """
    check_image(inpt, "resize")
    height, width = inpt.shape[-2], inpt.shape[-1]
    new = _resized(height, width, size, max_size)
    if not isinstance(interpolation, InterpolationMode):
        interpolation = InterpolationMode(interpolation)
    mode = interpolation.value
    smooth = mode in ("bilinear", "bicubic")
    lead = tuple(inpt.shape[:-3])
    images = inpt
    if len(lead) != 1:
        images = inpt.reshape(-1, *inpt.shape[-3:])
    images = interpolate(
        images,
        size=tuple(new),
        mode=mode,
        align_corners=False if smooth else None,
        antialias=bool(antialias) and smooth,
    )
    return images if len(lead) == 1 else images.reshape(*lead, *images.shape[-3:])


def _resized(
    height: int, width: int, size: Size | None, max_size: int | None
) -> list[int]:
    if size is not None and not isinstance(size, int):
        if len(size) == 2:
            if max_size is not None:
                raise InvalidValue("[resize] max_size is for one number as size")
            return list(size)
        (size,) = size
    if size is None and max_size is None:
        raise InvalidValue("[resize] give size or max_size")
    # Without a branch, so that a graph finds the sizes of every image anew.
    if size is None:
        assert max_size is not None
        longer = sym_max(height, width)
        return [max_size * height // longer, max_size * width // longer]
    if max_size is not None and max_size <= size:
        raise InvalidValue(
            f"[resize] max_size {max_size} must be greater than size {size}"
        )
    shorter = sym_min(height, width)
    height, width = size * height // shorter, size * width // shorter
    if max_size is None:
        return [height, width]
    longer = sym_max(height, width)
    limit = sym_min(longer, max_size)
    return [limit * height // longer, limit * width // longer]


def crop(inpt: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """Cuts out a rectangle; what lies beyond the image is 0.

    Args:
        inpt: shape (..., C, H, W).
        top: first row; may be negative.
        left: first column; may be negative.
        height: number of rows.
        width: number of columns.

    Returns:
        Shape (..., C, height, width).

    Example:
        >>> import ferrule as fe
        >>> crop = fe.vision.transforms.functional.crop
        >>> crop(fe.arange(6).reshape(1, 2, 3), 1, 1, 2, 2).tolist()
        [[[4, 5], [0, 0]]]
    """
    check_image(inpt, "crop")
    for dim, start, size in ((-2, top, height), (-1, left, width)):
        before = sym_min(sym_max(-start, 0), size)
        inpt = ops.slice(inpt, dim, sym_max(start, 0), sym_max(start + size, 0))
        after = size - before - inpt.shape[dim]
        if before or after or isinstance(after, SymInt):
            sides = (before, after) if dim == -1 else (0, 0, before, after)
            inpt = _pad_constant(inpt, sides)
    return inpt


def center_crop(inpt: Tensor, output_size: Size) -> Tensor:
    """Cuts out the middle; an image that is smaller gets a border of 0.

    Args:
        inpt: shape (..., C, H, W).
        output_size: [height, width], or one number for both.

    Example:
        >>> import ferrule as fe
        >>> center_crop = fe.vision.transforms.functional.center_crop
        >>> center_crop(fe.rand(3, 8, 9), 4).shape
        (3, 4, 4)
    """
    check_image(inpt, "center_crop")
    height, width = pair(output_size)
    top = _middle(inpt.shape[-2] - height)
    left = _middle(inpt.shape[-1] - width)
    return crop(inpt, top, left, height, width)


def _middle(room: int) -> int:
    """Half of what is left over, half an element going to the even number.

    Of what is missing the smaller half, so that an odd border is wider at the end.
    """
    over, missing = sym_max(room, 0), sym_max(-room, 0)
    return (over + over // 2 % 2) // 2 - missing // 2


def five_crop(inpt: Tensor, size: Size) -> tuple[Tensor, ...]:
    """The four corners and the middle.

    Args:
        inpt: shape (..., C, H, W).
        size: [height, width] of a part, or one number for both.

    Returns:
        Top left, top right, bottom left, bottom right, middle.

    Raises:
        InvalidValue: the image is smaller than a part.

    Example:
        >>> import ferrule as fe
        >>> parts = fe.vision.transforms.functional.five_crop(fe.rand(3, 8, 9), 4)
        >>> [part.shape for part in parts] == [(3, 4, 4)] * 5
        True
    """
    check_image(inpt, "five_crop")
    height, width = pair(size)
    h, w = inpt.shape[-2], inpt.shape[-1]
    if height > h or width > w:
        raise InvalidValue(
            f"[five_crop] an image of {h} x {w} has no part of {height} x {width}"
        )
    corners = [(0, 0), (0, w - width), (h - height, 0), (h - height, w - width)]
    parts = [crop(inpt, top, left, height, width) for top, left in corners]
    return (*parts, center_crop(inpt, [height, width]))


def ten_crop(
    inpt: Tensor, size: Size, vertical_flip: bool = False
) -> tuple[Tensor, ...]:
    """`five_crop` of an image and of its mirror image.

    Args:
        inpt: shape (..., C, H, W).
        size: [height, width] of a part, or one number for both.
        vertical_flip: True exchanges top and bottom, False left and right.
    """
    mirrored = vflip(inpt) if vertical_flip else hflip(inpt)
    return five_crop(inpt, size) + five_crop(mirrored, size)


def resized_crop(
    inpt: Tensor,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Size,
    interpolation: InterpolationMode | str = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Tensor:
    """`crop`, then `resize`."""
    cut = crop(inpt, top, left, height, width)
    return resize(cut, size, interpolation, antialias=antialias)


def pad(
    inpt: Tensor,
    padding: Size,
    fill: float | Sequence[float] | None = None,
    padding_mode: str = "constant",
) -> Tensor:
    """Adds a border.

    Args:
        inpt: shape (..., C, H, W).
        padding: [left, top, right, bottom], [left and right, top and bottom], or
            one number for all sides.
        fill: the border's value, or one for each channel; None is 0.
        padding_mode: "constant", "edge", "reflect" (without the edge) or
            "symmetric" (with it).

    Example:
        >>> import ferrule as fe
        >>> pad = fe.vision.transforms.functional.pad
        >>> pad(fe.arange(3).reshape(1, 1, 3), [2, 0], padding_mode="reflect").tolist()
        [[[2, 1, 0, 1, 2, 1, 0]]]
    """
    check_image(inpt, "pad")
    left, top, right, bottom = _sides(padding)
    if padding_mode == "constant":
        sides = (left, right, top, bottom)
        if fill is None or isinstance(fill, (int, float)):
            return _pad_constant(inpt, sides, value=fill or 0)
        fills = list(fill) * (inpt.shape[-3] if len(fill) == 1 else 1)
        if len(fills) != inpt.shape[-3]:
            raise ShapeError(
                f"[pad] fill has {len(fills)} values for {inpt.shape[-3]} channels"
            )
        channels = [
            _pad_constant(inpt[..., c : c + 1, :, :], sides, value=value)
            for c, value in enumerate(fills)
        ]
        return ops.cat(channels, -3)
    if padding_mode not in ("edge", "reflect", "symmetric"):
        raise InvalidValue(
            "[pad] padding_mode must be 'constant', 'edge', 'reflect' or "
            f"'symmetric', got {padding_mode!r}"
        )
    for dim, before, after in ((-2, top, bottom), (-1, left, right)):
        n = inpt.shape[dim]
        index = ops.arange(-before, n + after)
        if padding_mode == "edge":
            index = ops.minimum(ops.maximum(index, 0), n - 1)
        elif padding_mode == "reflect":  # there and back, the ends once
            period = sym_max(2 * n - 2, 1)
            index = ops.remainder(index, period)
            index = ops.minimum(index, period - index)
        else:
            index = ops.remainder(index, 2 * n)
            index = ops.minimum(index, 2 * n - 1 - index)
        inpt = ops.index_select(inpt, dim, index)
    return inpt


def _sides(padding: Size) -> tuple[int, int, int, int]:
    if isinstance(padding, int):
        return (padding,) * 4
    sides = list(padding)
    if len(sides) == 1:
        sides *= 4
    elif len(sides) == 2:
        sides *= 2
    if len(sides) != 4:
        raise InvalidValue(f"[pad] padding must be 1, 2 or 4 numbers, got {padding}")
    return sides[0], sides[1], sides[2], sides[3]


def horizontal_flip(inpt: Tensor) -> Tensor:
    """Exchanges left and right.

    Example:
        >>> import ferrule as fe
        >>> flip = fe.vision.transforms.functional.horizontal_flip
        >>> flip(fe.arange(3).reshape(1, 1, 3)).tolist()
        [[[2, 1, 0]]]
    """
    return ops.flip(inpt, (-1,))


def vertical_flip(inpt: Tensor) -> Tensor:
    """Exchanges top and bottom."""
    return ops.flip(inpt, (-2,))


hflip, vflip = horizontal_flip, vertical_flip


def normalize(
    inpt: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    inplace: bool = False,
) -> Tensor:
    """Takes the mean off and divides by the deviation, channel by channel.

    Args:
        inpt: floating-point, shape (..., C, H, W).
        mean: one for each channel, or one for all.
        std: as `mean`.
        inplace: True writes over `inpt`.

    Raises:
        DTypeError: `inpt` is not floating-point.
        InvalidValue: a deviation is 0.

    Example:
        >>> import ferrule as fe
        >>> normalize = fe.vision.transforms.functional.normalize
        >>> normalize(fe.ones(1, 1, 2), [0.5], [0.25]).tolist()
        [[[2.0, 2.0]]]
    """
    check_image(inpt, "normalize")
    if not is_float(inpt.dtype):
        raise DTypeError(
            f"[normalize] expected a floating-point image, got {inpt.dtype}; use "
            "to_dtype(image, ferrule.float32, scale=True) first"
        )
    if any(s == 0 for s in std):
        raise InvalidValue(f"[normalize] std must not be 0, got {list(std)}")
    shift = tensor(list(mean), dtype=inpt.dtype).reshape(-1, 1, 1)
    scale = tensor(list(std), dtype=inpt.dtype).reshape(-1, 1, 1)
    if inplace:
        return inpt.sub_(shift).div_(scale)
    return (inpt - shift) / scale


def adjust_brightness(inpt: Tensor, brightness_factor: float) -> Tensor:
    """Multiplies by a factor: 0 is black, 1 the image itself.

    Example:
        >>> import ferrule as fe
        >>> adjust_brightness = fe.vision.transforms.functional.adjust_brightness
        >>> adjust_brightness(fe.tensor([[[0.25, 0.75]]]), 2.0).tolist()
        [[[0.5, 1.0]]]
    """
    check_factor("adjust_brightness", brightness_factor)
    return blend(inpt, None, brightness_factor)


def adjust_contrast(inpt: Tensor, contrast_factor: float) -> Tensor:
    """Blends with the mean of its grey image: 0 is grey, 1 the image itself."""
    check_factor("adjust_contrast", contrast_factor)
    grey = _grey(inpt)
    return blend(inpt, grey.mean((-3, -2, -1), keepdim=True), contrast_factor)


def adjust_saturation(inpt: Tensor, saturation_factor: float) -> Tensor:
    """Blends with its grey image: 0 is grey, 1 the image itself."""
    check_factor("adjust_saturation", saturation_factor)
    if inpt.shape[-3] == 1:
        return inpt
    return blend(inpt, _grey(inpt), saturation_factor)


def adjust_gamma(inpt: Tensor, gamma: float, gain: float = 1) -> Tensor:
    """gain * x ** gamma, of values from 0 to 1."""
    check_factor("adjust_gamma", gamma)
    values = inpt if is_float(inpt.dtype) else to_dtype(inpt, _float32, scale=True)
    values = (values**gamma * gain).clamp(0.0, 1.0)
    return values if is_float(inpt.dtype) else to_dtype(values, inpt.dtype, scale=True)


def _grey(inpt: Tensor) -> Tensor:
    """The grey image as floating-point numbers, whole ones of whole ones."""
    if is_float(inpt.dtype):
        return rgb_to_grayscale(inpt)
    return ops.floor(rgb_to_grayscale(inpt.to(_float32)))


def erase(
    inpt: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False
) -> Tensor:
    """Writes `v` over the rectangle of h x w whose upper left corner is (i, j)."""
    result = inpt if inplace else inpt.clone()
    result[..., i : i + h, j : j + w] = v
    return result


def pil_to_tensor(pic: Any) -> Tensor:
    """An image of Pillow as (C, H, W), without scaling."""
    from ..io import tensor_of

    return tensor_of(pic)


def to_image(inpt: Any) -> Tensor:
    """An image of Pillow, an array (H, W, C) or a tensor as a tensor (C, H, W)."""
    return inpt if isinstance(inpt, Tensor) else pil_to_tensor(inpt)


def to_tensor(pic: Any) -> Tensor:
    """An image of Pillow, or an array (H, W, C), as (C, H, W); uint8 becomes 0 to 1.

    Example:
        >>> import numpy as np
        >>> import ferrule as fe
        >>> to_tensor = fe.vision.transforms.functional.to_tensor
        >>> to_tensor(np.full((2, 3, 1), 255, np.uint8))[0, 0, 0].item()
        1.0
    """
    image = pil_to_tensor(pic)
    return image if is_float(image.dtype) else to_dtype(image, _float32, scale=True)
