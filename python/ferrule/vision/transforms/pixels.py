"""Transforms that change the values of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..._ferrule import InvalidValue, Tensor, ops, tensor
from ...nn import Module
from . import functional as F
from ._draw import check_probability, happens, integer, uniform
from .dtypes import is_float

__all__ = [
    "ColorJitter",
    "Grayscale",
    "Normalize",
    "RandomErasing",
    "RandomGrayscale",
]

_Range = float | Sequence[float]


class Normalize(Module):
    """Takes the mean off and divides by the deviation; see `functional.normalize`.

    Args:
        mean: one for each channel.
        std: one for each channel.
        inplace: True writes over the image.

    Example:
        >>> import ferrule as fe
        >>> fe.vision.transforms.Normalize([0.5], [0.5])(fe.ones(1, 1, 1)).item()
        1.0
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], inplace: bool = False
    ) -> None:
        super().__init__()
        self.mean = list(mean)
        self.std = list(std)
        self.inplace = inplace

    def forward(self, inpt: Tensor) -> Tensor:
        return F.normalize(inpt, self.mean, self.std, self.inplace)

    def extra_repr(self) -> str:
        return f"mean={self.mean}, std={self.std}"


class Grayscale(Module):
    """Makes a grey image.

    Args:
        num_output_channels: 1, or 3 equal ones.
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, inpt: Tensor) -> Tensor:
        return F.rgb_to_grayscale(inpt, self.num_output_channels)


class RandomGrayscale(Module):
    """Makes an image grey, with probability `p`; it keeps its channels.

    Args:
        p: the probability.
    """

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        self.p = check_probability("RandomGrayscale", p)

    def forward(self, inpt: Tensor) -> Tensor:
        if not happens(self.p):
            return inpt
        return F.rgb_to_grayscale(inpt, int(inpt.shape[-3]))


class ColorJitter(Module):
    """Changes brightness, contrast, saturation and hue at random, in random order.

    Args:
        brightness: a factor is drawn from max(0, 1 - brightness) to 1 + brightness,
            or from a pair (least, greatest).
        contrast: as `brightness`.
        saturation: as `brightness`.
        hue: a turn is drawn from -hue to hue, at most 0.5, or from a pair.

    Raises:
        InvalidValue: a number is out of range.

    Example:
        >>> import ferrule as fe
        >>> jitter = fe.vision.transforms.ColorJitter(0.2, 0.2, 0.2, 0.1)
        >>> jitter(fe.rand(3, 4, 4)).shape
        (3, 4, 4)
    """

    def __init__(
        self,
        brightness: _Range = 0,
        contrast: _Range = 0,
        saturation: _Range = 0,
        hue: _Range = 0,
    ) -> None:
        super().__init__()
        self.brightness = _range("brightness", brightness, 1.0, 0.0, math.inf)
        self.contrast = _range("contrast", contrast, 1.0, 0.0, math.inf)
        self.saturation = _range("saturation", saturation, 1.0, 0.0, math.inf)
        self.hue = _range("hue", hue, 0.0, -0.5, 0.5)

    def forward(self, inpt: Tensor) -> Tensor:
        steps = [
            (F.adjust_brightness, self.brightness),
            (F.adjust_contrast, self.contrast),
            (F.adjust_saturation, self.saturation),
            (F.adjust_hue, self.hue),
        ]
        for i in ops.randperm(len(steps)).tolist():
            adjust, limits = steps[i]
            if limits is not None:
                inpt = adjust(inpt, uniform(*limits))
        return inpt

    def extra_repr(self) -> str:
        names = ("brightness", "contrast", "saturation", "hue")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


def _range(
    name: str, value: _Range, center: float, least: float, greatest: float
) -> tuple[float, float] | None:
    """Between what a factor is drawn; None where it is always `center`."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise InvalidValue(f"[ColorJitter] {name} must not be negative: {value}")
        low, high = center - value, center + value
        low = max(low, 0.0) if center else low
    else:
        low, high = value
    if not least <= low <= high <= greatest:
        raise InvalidValue(
            f"[ColorJitter] {name} must be in {least}..{greatest}, got {value}"
        )
    return None if low == high == center else (low, high)


class RandomErasing(Module):
    """Writes over a random rectangle, with probability `p`.

    Args:
        p: the probability.
        scale: the least and the greatest share of the area.
        ratio: the least and the greatest height / width.
        value: a number, one for each channel, or "random" for normal noise.
        inplace: True writes over the image.

    Source: Z. Zhong et al., "Random erasing data augmentation", AAAI 2020.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        self.p = check_probability("RandomErasing", p)
        if isinstance(value, str) and value != "random":
            raise InvalidValue(
                f"[RandomErasing] value must be numbers or 'random', got {value!r}"
            )
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.value = value
        self.inplace = inplace

    def forward(self, inpt: Tensor) -> Tensor:
        if not happens(self.p):
            return inpt
        channels, height, width = F.get_dimensions(inpt)
        for _ in range(10):
            area = height * width * uniform(*self.scale)
            proportion = math.exp(uniform(*map(math.log, self.ratio)))
            h = round(math.sqrt(area * proportion))
            w = round(math.sqrt(area / proportion))
            if 0 < h < height and 0 < w < width:
                top, left = integer(0, height - h), integer(0, width - w)
                value = self._values(inpt, int(channels), h, w)
                return F.erase(inpt, top, left, h, w, value, self.inplace)
        return inpt

    def _values(self, inpt: Tensor, channels: int, h: int, w: int) -> Tensor:
        if isinstance(self.value, str):
            noise: Tensor = ops.randn((channels, h, w))
            return noise.to(inpt.dtype) if is_float(inpt.dtype) else noise
        values = self.value
        if isinstance(values, (int, float)):
            values = [values]
        return tensor(list(values), dtype=inpt.dtype).reshape(-1, 1, 1)
