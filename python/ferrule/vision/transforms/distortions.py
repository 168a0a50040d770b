"""Random transforms that look at other places of an image."""

from __future__ import annotations

from collections.abc import Sequence

from ..._ferrule import InvalidValue, Tensor, float32, ops
from ...nn import Module
from . import functional as F
from ._draw import check_probability, happens, integer, uniform
from ._image import InterpolationMode

__all__ = [
    "ElasticTransform",
    "RandomAffine",
    "RandomPerspective",
    "RandomRotation",
]

_Fill = float | Sequence[float]


class RandomRotation(Module):
    """Rotates by a random angle; see `functional.rotate`.

    Args:
        degrees: the least and the greatest angle, or one number d for -d to d.
        interpolation: "nearest" or "bilinear".
        expand: True makes the result so large that nothing is cut off.
        center: [x, y] that stays where it is; None is the middle.
        fill: what lies beyond the image, one value or one for each channel.

    Example:
        >>> import ferrule as fe
        >>> T = fe.vision.transforms
        >>> T.RandomRotation(30)(fe.rand(3, 8, 8)).shape
        (3, 8, 8)
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: InterpolationMode | str = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: _Fill = 0,
    ) -> None:
        super().__init__()
        self.degrees = _around_zero("RandomRotation", "degrees", degrees)
        self.interpolation = InterpolationMode(interpolation)
        self.expand = expand
        self.center = center
        self.fill = fill

    def forward(self, inpt: Tensor) -> Tensor:
        angle = uniform(*self.degrees)
        return F.rotate(
            inpt, angle, self.interpolation, self.expand, self.center, self.fill
        )

    def extra_repr(self) -> str:
        return f"degrees={self.degrees}, expand={self.expand}"


class RandomAffine(Module):
    """Rotates, moves, scales and shears at random; see `functional.affine`.

    Args:
        degrees: the least and the greatest angle, or one number d for -d to d.
        translate: the greatest way (to the sides, up and down) as parts of width and
            height; None moves nothing.
        scale: the least and the greatest scale; None keeps it.
        shear: degrees in x: the least and the greatest, or one number s for -s to s;
            four numbers are those in x and in y; None shears nothing.
        interpolation: "nearest" or "bilinear".
        fill: what lies beyond the image, one value or one for each channel.
        center: [x, y] that stays where it is; None is the middle.

    Raises:
        InvalidValue: a number is out of range.

    Example:
        >>> import ferrule as fe
        >>> T = fe.vision.transforms
        >>> move = T.RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1))
        >>> move(fe.rand(3, 8, 8)).shape
        (3, 8, 8)
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: InterpolationMode | str = InterpolationMode.NEAREST,
        fill: _Fill = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.degrees = _around_zero("RandomAffine", "degrees", degrees)
        if translate is not None and not (
            len(translate) == 2 and all(0.0 <= t <= 1.0 for t in translate)
        ):
            raise InvalidValue(
                f"[RandomAffine] translate must be two numbers in 0..1, got {translate}"
            )
        if scale is not None and not (len(scale) == 2 and 0 < scale[0] <= scale[1]):
            raise InvalidValue(
                f"[RandomAffine] scale must be two numbers above 0, got {scale}"
            )
        self.translate = translate
        self.scale = scale
        self.shear = shear
        self._shears = [(0.0, 0.0), (0.0, 0.0)]
        if isinstance(shear, Sequence) and len(shear) == 4:
            self._shears = [(shear[0], shear[1]), (shear[2], shear[3])]
        elif shear is not None:
            self._shears[0] = _around_zero("RandomAffine", "shear", shear)
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill
        self.center = center

    def forward(self, inpt: Tensor) -> Tensor:
        height, width = F.get_size(inpt)
        angle = uniform(*self.degrees)
        way = [0.0, 0.0]
        if self.translate is not None:
            most = self.translate[0] * width, self.translate[1] * height
            way = [float(round(uniform(-m, m))) for m in most]
        scale = 1.0 if self.scale is None else uniform(self.scale[0], self.scale[1])
        shear = [uniform(*limits) for limits in self._shears]
        return F.affine(
            inpt, angle, way, scale, shear, self.interpolation, self.fill, self.center
        )

    def extra_repr(self) -> str:
        names = ("degrees", "translate", "scale", "shear")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class RandomPerspective(Module):
    """Looks at the image from a random side, with probability `p`.

    Args:
        distortion_scale: how far a corner may move, as a part of half the side.
        p: the probability.
        interpolation: "nearest" or "bilinear".
        fill: what lies beyond the image, one value or one for each channel.

    Example:
        >>> import ferrule as fe
        >>> T = fe.vision.transforms
        >>> T.RandomPerspective(p=1.0)(fe.rand(3, 8, 8)).shape
        (3, 8, 8)
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: InterpolationMode | str = InterpolationMode.BILINEAR,
        fill: _Fill = 0,
    ) -> None:
        super().__init__()
        if not 0.0 <= distortion_scale <= 1.0:
            raise InvalidValue(
                "[RandomPerspective] distortion_scale must be in 0..1, got "
                f"{distortion_scale}"
            )
        self.distortion_scale = distortion_scale
        self.p = check_probability("RandomPerspective", p)
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill

    def forward(self, inpt: Tensor) -> Tensor:
        if not happens(self.p):
            return inpt
        height, width = F.get_size(inpt)
        far_x = int(self.distortion_scale * (width // 2))
        far_y = int(self.distortion_scale * (height // 2))
        right, bottom = width - 1, height - 1
        corners = [(0, 0), (right, 0), (right, bottom), (0, bottom)]
        moved = []
        for x, y in corners:  # each towards the middle
            dx, dy = integer(0, far_x), integer(0, far_y)
            moved.append((x - dx if x else dx, y - dy if y else dy))
        return F.perspective(inpt, corners, moved, self.interpolation, self.fill)

    def extra_repr(self) -> str:
        return f"distortion_scale={self.distortion_scale}, p={self.p}"


class ElasticTransform(Module):
    """Moves pixels as if the image were printed on rubber.

    Args:
        alpha: how far, or [in x, in y]: at most half as many pixels, before ways are
            blurred.
        sigma: how smoothly: the deviation of the Gaussian that random ways are blurred
            with, or [in x, in y].
        interpolation: "nearest" or "bilinear".
        fill: what lies beyond the image, one value or one for each channel.

    Example:
        >>> import ferrule as fe
        >>> fe.vision.transforms.ElasticTransform()(fe.rand(3, 50, 50)).shape
        (3, 50, 50)

    Source: P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional
    neural networks applied to visual document analysis", ICDAR 2003.
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 50.0,
        sigma: float | Sequence[float] = 5.0,
        interpolation: InterpolationMode | str = InterpolationMode.BILINEAR,
        fill: _Fill = 0,
    ) -> None:
        super().__init__()
        self.alpha = _two(alpha)
        self.sigma = _two(sigma)
        self.interpolation = InterpolationMode(interpolation)
        self.fill = fill

    def forward(self, inpt: Tensor) -> Tensor:
        height, width = F.get_size(inpt)
        ways = []
        for alpha, sigma, side in zip(
            self.alpha, self.sigma, (width, height), strict=True
        ):
            way: Tensor = ops.rand((1, height, width)).to(float32) * 2.0 - 1.0
            size = int(8 * sigma + 1)
            if sigma > 0:
                way = F.gaussian_blur(way, size + (size + 1) % 2, sigma)
            ways.append(way * alpha / side)
        return F.elastic(inpt, ops.stack(ways, -1), self.interpolation, self.fill)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, sigma={self.sigma}"


def _two(value: float | Sequence[float]) -> tuple[float, float]:
    given = [value] if isinstance(value, (int, float)) else list(value)
    return float(given[0]), float(given[-1])


def _around_zero(
    who: str, name: str, value: float | Sequence[float]
) -> tuple[float, float]:
    """(least, greatest) of a pair, or of one number."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise InvalidValue(f"[{who}] {name} must not be negative: {value}")
        return -value, value
    if len(value) != 2 or value[0] > value[1]:
        raise InvalidValue(
            f"[{who}] {name} must be one number, or the least and the greatest, got "
            f"{value}"
        )
    return value[0], value[1]
