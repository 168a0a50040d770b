"""Augmentation without tuning: transforms that are drawn from a list."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from ..._ferrule import InvalidValue, Tensor
from ...nn import Module
from . import functional as F
from ._draw import happens, integer
from ._image import InterpolationMode
from .dtypes import bound_of

__all__ = ["RandAugment", "TrivialAugmentWide"]

_Fill = float | Sequence[float] | None


class _Choice(NamedTuple):
    """A transform whose strength goes from `weakest` to `strongest`."""

    apply: Callable[[_Augment, Tensor, float], Tensor]
    weakest: float = 0.0
    strongest: float = 0.0
    signed: bool = False  # half of the time the other way


class _Augment(Module):
    """What both have: the list, and applying one of it."""

    choices: ClassVar[dict[str, _Choice]]

    def __init__(
        self,
        num_magnitude_bins: int,
        interpolation: InterpolationMode | str,
        fill: _Fill,
    ) -> None:
        super().__init__()
        if num_magnitude_bins < 2:
            raise InvalidValue(
                f"[{type(self).__name__}] num_magnitude_bins must be at least 2, got "
                f"{num_magnitude_bins}"
            )
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill

    def apply_one(self, inpt: Tensor, magnitude: int) -> Tensor:
        """Applies one of the list at strength `magnitude` of the bins."""
        choices = list(self.choices.values())
        choice = choices[integer(0, len(choices) - 1)]
        share = magnitude / (self.num_magnitude_bins - 1)
        strength = choice.weakest + share * (choice.strongest - choice.weakest)
        if choice.signed and happens(0.5):
            strength = -strength
        return choice.apply(self, inpt, strength)

    def shear(self, inpt: Tensor, slopes: Sequence[float]) -> Tensor:
        degrees = [math.degrees(math.atan(slope)) for slope in slopes]
        mode, fill = self.interpolation, self.fill
        return F.affine(inpt, 0.0, [0.0, 0.0], 1.0, degrees, mode, fill, [0.0, 0.0])

    def move(self, inpt: Tensor, x: float, y: float) -> Tensor:
        way = [int(x), int(y)]
        return F.affine(inpt, 0.0, way, 1.0, 0.0, self.interpolation, self.fill)


_PLAIN = {
    "Identity": _Choice(lambda self, x, _: x),
    "Solarize": _Choice(lambda self, x, s: F.solarize(x, bound_of(x.dtype) * s), 1, 0),
    "AutoContrast": _Choice(lambda self, x, _: F.autocontrast(x)),
    "Equalize": _Choice(lambda self, x, _: F.equalize(x)),
}


def _strengths(
    shear: float, rotate: float, factor: float, fewest_bits: int
) -> dict[str, _Choice]:
    """The choices whose strengths the two papers set apart."""
    return {
        "ShearX": _Choice(lambda self, x, s: self.shear(x, [s, 0.0]), 0.0, shear, True),
        "ShearY": _Choice(lambda self, x, s: self.shear(x, [0.0, s]), 0.0, shear, True),
        "Rotate": _Choice(
            lambda self, x, s: F.rotate(x, s, self.interpolation, fill=self.fill),
            0.0,
            rotate,
            True,
        ),
        "Brightness": _Choice(
            lambda self, x, s: F.adjust_brightness(x, 1 + s), 0.0, factor, True
        ),
        "Color": _Choice(
            lambda self, x, s: F.adjust_saturation(x, 1 + s), 0.0, factor, True
        ),
        "Contrast": _Choice(
            lambda self, x, s: F.adjust_contrast(x, 1 + s), 0.0, factor, True
        ),
        "Sharpness": _Choice(
            lambda self, x, s: F.adjust_sharpness(x, 1 + s), 0.0, factor, True
        ),
        "Posterize": _Choice(
            lambda self, x, s: F.posterize(x, round(s)), 8, fewest_bits
        ),
    }


class RandAugment(_Augment):
    """Applies random transforms of a list, one after the other, at one strength.

    Args:
        num_ops: how many.
        magnitude: the strength, from 0 to num_magnitude_bins - 1.
        num_magnitude_bins: how many strengths there are.
        interpolation: "nearest" or "bilinear".
        fill: what lies beyond the image, one value or one for each channel; None
            is 0.

    Example:
        >>> import ferrule as fe
        >>> augment = fe.vision.transforms.RandAugment()
        >>> augment(fe.zeros((3, 16, 16), dtype=fe.uint8)).shape
        (3, 16, 16)

    Source: E. Cubuk et al., "RandAugment: practical automated data augmentation with
    a reduced search space", NeurIPS 2020.
    """

    choices: ClassVar[dict[str, _Choice]] = {
        **_PLAIN,
        **_strengths(0.3, 30.0, 0.9, 4),
        "TranslateX": _Choice(
            lambda self, x, s: self.move(x, s * x.shape[-1], 0.0), 0.0, 150 / 331, True
        ),
        "TranslateY": _Choice(
            lambda self, x, s: self.move(x, 0.0, s * x.shape[-2]), 0.0, 150 / 331, True
        ),
    }

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode | str = InterpolationMode.NEAREST,
        fill: _Fill = None,
    ) -> None:
        super().__init__(num_magnitude_bins, interpolation, fill)
        if not 0 <= magnitude < num_magnitude_bins:
            raise InvalidValue(
                f"[RandAugment] magnitude must be in 0..{num_magnitude_bins - 1}, got "
                f"{magnitude}"
            )
        self.num_ops = num_ops
        self.magnitude = magnitude

    def forward(self, inpt: Tensor) -> Tensor:
        for _ in range(self.num_ops):
            inpt = self.apply_one(inpt, self.magnitude)
        return inpt

    def extra_repr(self) -> str:
        return f"num_ops={self.num_ops}, magnitude={self.magnitude}"


class TrivialAugmentWide(_Augment):
    """Applies one random transform of a list at a random strength.

    Args:
        num_magnitude_bins: how many strengths there are.
        interpolation: "nearest" or "bilinear".
        fill: what lies beyond the image, one value or one for each channel; None
            is 0.

    Example:
        >>> import ferrule as fe
        >>> augment = fe.vision.transforms.TrivialAugmentWide()
        >>> augment(fe.zeros((3, 16, 16), dtype=fe.uint8)).shape
        (3, 16, 16)

    Source: S. Müller, F. Hutter, "TrivialAugment: tuning-free yet state-of-the-art
    data augmentation", ICCV 2021.
    """

    choices: ClassVar[dict[str, _Choice]] = {
        **_PLAIN,
        **_strengths(0.99, 135.0, 0.99, 2),
        "TranslateX": _Choice(lambda self, x, s: self.move(x, s, 0.0), 0.0, 32.0, True),
        "TranslateY": _Choice(lambda self, x, s: self.move(x, 0.0, s), 0.0, 32.0, True),
    }

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode | str = InterpolationMode.NEAREST,
        fill: _Fill = None,
    ) -> None:
        super().__init__(num_magnitude_bins, interpolation, fill)

    def forward(self, inpt: Tensor) -> Tensor:
        return self.apply_one(inpt, integer(0, self.num_magnitude_bins - 1))

    def extra_repr(self) -> str:
        return f"num_magnitude_bins={self.num_magnitude_bins}"
