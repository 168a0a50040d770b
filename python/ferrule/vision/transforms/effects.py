"""Blur and noise, and transforms of values that happen or do not."""

from __future__ import annotations

from collections.abc import Sequence

from ..._ferrule import Tensor
from ...nn import Module
from . import functional as F
from ._draw import check_probability, happens, uniform
from ._image import Size
from .filters import blur_sizes, sigma_pair

__all__ = [
    "GaussianBlur",
    "GaussianNoise",
    "RandomAdjustSharpness",
    "RandomAutocontrast",
    "RandomEqualize",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
]


class GaussianBlur(Module):
    """Blurs by a random deviation; see `functional.gaussian_blur`.

    Args:
        kernel_size: [width, height] of the filter, odd, or one number for both.
        sigma: the least and the greatest deviation in pixels, or one for always.

    Raises:
        InvalidValue: a size is not odd, or a deviation not above 0.

    Example:
        >>> import ferrule as fe
        >>> fe.vision.transforms.GaussianBlur(5)(fe.rand(3, 8, 8)).shape
        (3, 8, 8)
    """

    def __init__(
        self, kernel_size: Size, sigma: float | Sequence[float] = (0.1, 2.0)
    ) -> None:
        super().__init__()
        self.kernel_size = blur_sizes(kernel_size)
        self.sigma = sigma
        low, high = sigma_pair(sigma)
        assert low is not None and high is not None
        self._limits = low, high

    def forward(self, inpt: Tensor) -> Tensor:
        return F.gaussian_blur(inpt, self.kernel_size, uniform(*self._limits))

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, sigma={self.sigma}"


class GaussianNoise(Module):
    """Adds normal noise; see `functional.gaussian_noise`.

    Args:
        mean: the noise's mean.
        sigma: its deviation.
        clip: True keeps the result within 0..1.
    """

    def __init__(
        self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True
    ) -> None:
        super().__init__()
        self.mean = mean
        self.sigma = sigma
        self.clip = clip

    def forward(self, inpt: Tensor) -> Tensor:
        return F.gaussian_noise(inpt, self.mean, self.sigma, self.clip)

    def extra_repr(self) -> str:
        return f"mean={self.mean}, sigma={self.sigma}, clip={self.clip}"


class _Sometimes(Module):
    """Does `apply` with probability `p`."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = check_probability(type(self).__name__, p)

    def forward(self, inpt: Tensor) -> Tensor:
        return self.apply_to(inpt) if happens(self.p) else inpt

    def apply_to(self, inpt: Tensor) -> Tensor:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"p={self.p}"


class RandomInvert(_Sometimes):
    """Makes the negative, with probability `p`.

    Args:
        p: the probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def apply_to(self, inpt: Tensor) -> Tensor:
        return F.invert(inpt)


class RandomAutocontrast(_Sometimes):
    """Stretches the values, with probability `p`; see `functional.autocontrast`.

    Args:
        p: the probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def apply_to(self, inpt: Tensor) -> Tensor:
        return F.autocontrast(inpt)


class RandomEqualize(_Sometimes):
    """Makes values equally frequent, with probability `p`; see `functional.equalize`.

    Args:
        p: the probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def apply_to(self, inpt: Tensor) -> Tensor:
        return F.equalize(inpt)


class RandomPosterize(_Sometimes):
    """Keeps the highest bits, with probability `p`; see `functional.posterize`.

    Args:
        bits: how many.
        p: the probability.
    """

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def apply_to(self, inpt: Tensor) -> Tensor:
        return F.posterize(inpt, self.bits)

    def extra_repr(self) -> str:
        return f"bits={self.bits}, p={self.p}"


class RandomSolarize(_Sometimes):
    """Makes negatives of bright pixels, with probability `p`.

    Args:
        threshold: see `functional.solarize`.
        p: the probability.
    """

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def apply_to(self, inpt: Tensor) -> Tensor:
        return F.solarize(inpt, self.threshold)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, p={self.p}"


class RandomAdjustSharpness(_Sometimes):
    """Sharpens or smooths, with probability `p`.

    Args:
        sharpness_factor: see `functional.adjust_sharpness`.
        p: the probability.
    """

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def apply_to(self, inpt: Tensor) -> Tensor:
        return F.adjust_sharpness(inpt, self.sharpness_factor)

    def extra_repr(self) -> str:
        return f"sharpness_factor={self.sharpness_factor}, p={self.p}"
