"""Transforms that move pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..._ferrule import InvalidValue, Tensor
from ...nn import Module
from . import functional as F
from ._draw import check_probability, happens, integer, uniform
from ._image import InterpolationMode, Size, pair

__all__ = [
    "CenterCrop",
    "FiveCrop",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
]


class Resize(Module):
    """Resizes images; see `functional.resize`.

    Args:
        size: [height, width]; or one number for the shorter side; None with
            `max_size` as the longer side.
        interpolation: an `InterpolationMode` or its value.
        max_size: the longer side must not exceed this.
        antialias: True widens the filter where the result is smaller.
    """

    def __init__(
        self,
        size: Size | None,
        interpolation: InterpolationMode | str = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = size
        self.interpolation = InterpolationMode(interpolation)
        self.max_size = max_size
        self.antialias = antialias

    def forward(self, inpt: Tensor) -> Tensor:
        return F.resize(
            inpt, self.size, self.interpolation, self.max_size, self.antialias
        )

    def extra_repr(self) -> str:
        return f"size={self.size}, interpolation={self.interpolation.value}"


class CenterCrop(Module):
    """Cuts out the middle; see `functional.center_crop`.

    Args:
        size: [height, width], or one number for both.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = pair(size)

    def forward(self, inpt: Tensor) -> Tensor:
        return F.center_crop(inpt, self.size)

    def extra_repr(self) -> str:
        return f"size={self.size}"


class FiveCrop(Module):
    """Cuts out the four corners and the middle; see `functional.five_crop`.

    Args:
        size: [height, width] of a part, or one number for both.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = pair(size)

    def forward(self, inpt: Tensor) -> tuple[Tensor, ...]:
        return F.five_crop(inpt, self.size)

    def extra_repr(self) -> str:
        return f"size={self.size}"


class TenCrop(FiveCrop):
    """`FiveCrop` of an image and of its mirror image.

    Args:
        size: [height, width] of a part, or one number for both.
        vertical_flip: True exchanges top and bottom, False left and right.
    """

    def __init__(self, size: Size, vertical_flip: bool = False) -> None:
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def forward(self, inpt: Tensor) -> tuple[Tensor, ...]:
        return F.ten_crop(inpt, self.size, self.vertical_flip)


class Pad(Module):
    """Adds a border; see `functional.pad`.

    Args:
        padding: [left, top, right, bottom], [left and right, top and bottom], or
            one number for all sides.
        fill: the border's value, or one for each channel.
        padding_mode: "constant", "edge", "reflect" or "symmetric".
    """

    def __init__(
        self,
        padding: Size,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, inpt: Tensor) -> Tensor:
        return F.pad(inpt, self.padding, self.fill, self.padding_mode)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, padding_mode={self.padding_mode}"


class RandomCrop(Module):
    """Cuts out a rectangle at a random place.

    Args:
        size: [height, width], or one number for both.
        padding: a border that is added before; see `functional.pad`.
        pad_if_needed: True adds a border on both sides of an image that is too
            small.
        fill: the border's value, or one for each channel.
        padding_mode: "constant", "edge", "reflect" or "symmetric".

    Raises:
        InvalidValue: (when called) the image is smaller than `size`.

    Example:
        >>> import ferrule as fe
        >>> fe.vision.transforms.RandomCrop(32, padding=4)(fe.rand(3, 32, 32)).shape
        (3, 32, 32)
    """

    def __init__(
        self,
        size: Size,
        padding: Size | None = None,
        pad_if_needed: bool = False,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = pair(size)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, inpt: Tensor) -> Tensor:
        if self.padding is not None:
            inpt = F.pad(inpt, self.padding, self.fill, self.padding_mode)
        height, width = self.size
        h, w = F.get_size(inpt)
        if self.pad_if_needed and (h < height or w < width):
            border = [max(width - w, 0), max(height - h, 0)]
            inpt = F.pad(inpt, border, self.fill, self.padding_mode)
            h, w = F.get_size(inpt)
        if h < height or w < width:
            raise InvalidValue(
                f"[RandomCrop] an image of {h} x {w} is smaller than {height} x "
                f"{width}; give padding or pad_if_needed=True"
            )
        top, left = integer(0, h - height), integer(0, w - width)
        return F.crop(inpt, top, left, height, width)

    def extra_repr(self) -> str:
        return f"size={self.size}, padding={self.padding}"


class RandomResizedCrop(Module):
    """Cuts out a rectangle of random size, proportions and place, and resizes it.

    Args:
        size: [height, width] of the result, or one number for both.
        scale: the least and the greatest share of the area.
        ratio: the least and the greatest width / height.
        interpolation: an `InterpolationMode` or its value.
        antialias: True widens the filter where the result is smaller.

    Example:
        >>> import ferrule as fe
        >>> T = fe.vision.transforms
        >>> T.RandomResizedCrop(8)(fe.rand(3, 32, 48)).shape
        (3, 8, 8)

    Source: C. Szegedy et al., "Going deeper with convolutions", 2014, section 6.
    """

    def __init__(
        self,
        size: Size,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode | str = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = pair(size)
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.interpolation = InterpolationMode(interpolation)
        self.antialias = antialias

    def forward(self, inpt: Tensor) -> Tensor:
        h, w = F.get_size(inpt)
        top, left, height, width = random_rectangle(h, w, self.scale, self.ratio)
        cut = F.crop(inpt, top, left, height, width)
        return F.resize(cut, self.size, self.interpolation, antialias=self.antialias)

    def extra_repr(self) -> str:
        return f"size={self.size}, scale={self.scale}, ratio={self.ratio}"


def random_rectangle(
    height: int, width: int, scale: Sequence[float], ratio: Sequence[float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a part; after ten misses, of the middle."""
    for _ in range(10):
        area = height * width * uniform(scale[0], scale[1])
        proportion = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1])))
        w = round(math.sqrt(area * proportion))
        h = round(math.sqrt(area / proportion))
        if 0 < w <= width and 0 < h <= height:
            return integer(0, height - h), integer(0, width - w), h, w
    w, h = width, height
    if width < ratio[0] * height:
        h = round(width / ratio[0])
    elif width > ratio[1] * height:
        w = round(height * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


class RandomHorizontalFlip(Module):
    """Exchanges left and right, with probability `p`.

    Args:
        p: the probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = check_probability(type(self).__name__, p)

    def forward(self, inpt: Tensor) -> Tensor:
        return F.horizontal_flip(inpt) if happens(self.p) else inpt

    def extra_repr(self) -> str:
        return f"p={self.p}"


class RandomVerticalFlip(RandomHorizontalFlip):
    """Exchanges top and bottom, with probability `p`.

    Args:
        p: the probability.
    """

    def forward(self, inpt: Tensor) -> Tensor:
        return F.vertical_flip(inpt) if happens(self.p) else inpt
