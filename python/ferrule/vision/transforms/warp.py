"""Transforms that look at other places of an image: each pixel is read from one.

Coordinates count from the image's middle, in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..._ferrule import InvalidValue, ShapeError, Tensor, float32, ops, tensor
from ..._functions import broadcast_tensors
from ...nn.functional import grid_sample
from ._image import InterpolationMode, check_image, in_float

__all__ = ["affine", "elastic", "perspective", "rotate"]

Fill = float | Sequence[float] | None
Matrix = tuple[float, float, float, float, float, float]


def affine(
    inpt: Tensor,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | str = InterpolationMode.NEAREST,
    fill: Fill = None,
    center: Sequence[float] | None = None,
) -> Tensor:
    """Rotates, moves, scales and shears; the size stays.

    Args:
        inpt: shape (..., C, H, W).
        angle: in degrees, clockwise.
        translate: [to the right, downwards], in pixels.
        scale: above 0.
        shear: degrees in x, or [in x, in y].
        interpolation: "nearest" or "bilinear".
        fill: what lies beyond the image, one value or one for each channel; None
            is 0.
        center: [x, y] that stays where it is, from the upper left corner; None is
            the middle.

    Example:
        >>> import ferrule as fe
        >>> affine = fe.vision.transforms.functional.affine
        >>> affine(fe.tensor([[[1.0, 2.0, 3.0]]]), 0, [1, 0], 1.0, 0).tolist()
        [[[0.0, 1.0, 2.0]]]
    """
    check_image(inpt, "affine")
    if scale <= 0:
        raise InvalidValue(f"[affine] scale must be above 0, got {scale}")
    if len(translate) != 2:
        raise InvalidValue(f"[affine] translate must be two numbers, got {translate}")
    sides = [shear, 0.0] if isinstance(shear, (int, float)) else [*shear, 0.0][:2]
    middle = _from_middle(center, inpt)
    matrix = _inverse(angle, translate, scale, sides, middle)
    height, width = inpt.shape[-2], inpt.shape[-1]
    x, y = _moved(matrix, height, width)
    return _read("affine", inpt, x, y, interpolation, fill)


def rotate(
    inpt: Tensor,
    angle: float,
    interpolation: InterpolationMode | str = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Fill = None,
) -> Tensor:
    """Rotates.

    Args:
        inpt: shape (..., C, H, W).
        angle: in degrees, counter-clockwise.
        interpolation: "nearest" or "bilinear".
        expand: True makes the result so large that nothing is cut off, around the
            middle whatever `center` is; not for sizes that are chosen at run time.
        center: [x, y] that stays where it is, from the upper left corner; None is
            the middle.
        fill: what lies beyond the image, one value or one for each channel; None
            is 0.

    Example:
        >>> import ferrule as fe
        >>> rotate = fe.vision.transforms.functional.rotate
        >>> rotate(fe.tensor([[[1, 2], [3, 4]]]), 90).tolist()
        [[[2, 4], [1, 3]]]
    """
    check_image(inpt, "rotate")
    middle = (0.0, 0.0) if expand else _from_middle(center, inpt)
    matrix = _inverse(-angle, (0.0, 0.0), 1.0, (0.0, 0.0), middle)
    height, width = inpt.shape[-2], inpt.shape[-1]
    if expand:
        cos, sin = (abs(f(math.radians(angle))) for f in (math.cos, math.sin))
        # A hair more than a whole number is an error of rounding.
        around = (height * cos + width * sin, width * cos + height * sin)
        height, width = (math.ceil(n - 1e-4) for n in around)
    x, y = _moved(matrix, height, width)
    return _read("rotate", inpt, x, y, interpolation, fill)


def perspective(
    inpt: Tensor,
    startpoints: Sequence[Sequence[float]] | None,
    endpoints: Sequence[Sequence[float]] | None,
    interpolation: InterpolationMode | str = InterpolationMode.BILINEAR,
    fill: Fill = None,
    coefficients: Sequence[float] | None = None,
) -> Tensor:
    """Looks at the image from another side: straight lines stay straight.

    Args:
        inpt: shape (..., C, H, W).
        startpoints: four points [x, y] of the image.
        endpoints: where they get to.
        interpolation: "nearest" or "bilinear".
        fill: what lies beyond the image, one value or one for each channel; None
            is 0.
        coefficients: (a, b, c, d, e, f, g, h) instead of the points: the result at
            (x, y) is the image at ((a x + b y + c) / (g x + h y + 1),
            (d x + e y + f) / (g x + h y + 1)).

    Raises:
        InvalidValue: not four points, or three of them on one line.

    Example:
        >>> import ferrule as fe
        >>> perspective = fe.vision.transforms.functional.perspective
        >>> corners = [[0, 0], [2, 0], [2, 2], [0, 2]]
        >>> mirrored = [[2, 0], [0, 0], [0, 2], [2, 2]]
        >>> perspective(fe.tensor([[[1, 2], [3, 4]]]), corners, mirrored).tolist()
        [[[2, 1], [4, 3]]]
    """
    check_image(inpt, "perspective")
    if coefficients is None:
        if startpoints is None or endpoints is None:
            raise InvalidValue("[perspective] give points or coefficients")
        coefficients = _coefficients(startpoints, endpoints)
    if len(coefficients) != 8:
        raise InvalidValue(
            f"[perspective] there are 8 coefficients, got {len(coefficients)}"
        )
    a, b, c, d, e, f, g, h = (float(v) for v in coefficients)
    height, width = inpt.shape[-2], inpt.shape[-1]
    # Middles of pixels, from the corner.
    x = ops.arange(0, width).to(float32) + 0.5
    y = (ops.arange(0, height).to(float32) + 0.5).reshape(-1, 1)
    depth = x * g + y * h + 1.0
    across, down = (x * a + y * b + c) / depth, (x * d + y * e + f) / depth
    return _read(
        "perspective",
        inpt,
        (across * 2.0 - width) * 0.5,
        (down * 2.0 - height) * 0.5,
        interpolation,
        fill,
    )


def elastic(
    inpt: Tensor,
    displacement: Tensor,
    interpolation: InterpolationMode | str = InterpolationMode.BILINEAR,
    fill: Fill = None,
) -> Tensor:
    """Moves every pixel by a way of its own.

    Args:
        inpt: shape (..., C, H, W).
        displacement: shape (1, H, W, 2): where the pixel is read, in halves of the
            image's width and height to the right and downwards.
        interpolation: "nearest" or "bilinear".
        fill: what lies beyond the image, one value or one for each channel; None
            is 0.

    Raises:
        ShapeError: `displacement` does not fit the image.
    """
    check_image(inpt, "elastic")
    height, width = inpt.shape[-2], inpt.shape[-1]
    if tuple(displacement.shape) != (1, height, width, 2):
        raise ShapeError(
            f"[elastic] displacement must have shape (1, {height}, {width}, 2), got "
            f"{displacement.shape}"
        )
    x = displacement[0, :, :, 0] * width * 0.5 + _from_the_middle(width)
    y = displacement[0, :, :, 1] * height * 0.5 + _from_the_middle(height, -1)
    return _read("elastic", inpt, x, y, interpolation, fill)


# --- which place


def _from_middle(center: Sequence[float] | None, inpt: Tensor) -> tuple[float, float]:
    if center is None:
        return 0.0, 0.0
    return center[0] - inpt.shape[-1] / 2, center[1] - inpt.shape[-2] / 2


def _inverse(
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
    center: tuple[float, float],
) -> Matrix:
    """Where a pixel of the result is read.

    The result is moved(center + scale * rotated(sheared(p - center))); each part is
    undone, the last one first.
    """
    turn = math.radians(angle)
    rotated = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    slant_x, slant_y = (math.tan(math.radians(degrees)) for degrees in shear)
    sheared = np.array([[1.0, 0.0], [-slant_y, 1.0]]) @ [[1.0, -slant_x], [0.0, 1.0]]
    back = np.linalg.inv(scale * np.array(rotated) @ sheared)
    middle = np.array(center)
    rest = middle - back @ (middle + np.array(translate, np.float64))
    (a, b), (d, e) = back.tolist()
    return a, b, float(rest[0]), d, e, float(rest[1])


def _coefficients(
    start: Sequence[Sequence[float]], end: Sequence[Sequence[float]]
) -> list[float]:
    if len(start) != 4 or len(end) != 4:
        raise InvalidValue(
            f"[perspective] four points go to four, got {len(start)} and {len(end)}"
        )
    rows, right = [], []
    for (u, v), (x, y) in zip(start, end, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        right += [u, v]
    try:
        solved: list[float] = np.linalg.solve(
            np.array(rows, np.float64), np.array(right, np.float64)
        ).tolist()
    except np.linalg.LinAlgError:
        raise InvalidValue(
            f"[perspective] three of the endpoints {end} are on one line"
        ) from None
    return solved


def _from_the_middle(size: int, dim: int = 0) -> Tensor:
    """Middles of the pixels of a side, a row or (`dim` -1) a column."""
    places = (ops.arange(0, size) * 2 + (1 - size)).to(float32) * 0.5
    return places if dim == 0 else places.reshape(-1, 1)


def _moved(matrix: Matrix, height: int, width: int) -> tuple[Tensor, Tensor]:
    x, y = _from_the_middle(width), _from_the_middle(height, -1)
    a, b, c, d, e, f = matrix
    return x * a + y * b + c, x * d + y * e + f


# --- what is there


def _read(
    who: str,
    inpt: Tensor,
    x: Tensor,
    y: Tensor,
    interpolation: InterpolationMode | str,
    fill: Fill,
) -> Tensor:
    """The image at (x, y), each (height, width) or broadcast to it."""
    mode = InterpolationMode(interpolation).value
    if mode not in ("nearest", "bilinear"):
        raise InvalidValue(
            f"[{who}] interpolation must be 'nearest' or 'bilinear', got {mode!r}"
        )
    height, width = inpt.shape[-2], inpt.shape[-1]
    places = broadcast_tensors(x * 2.0 / width, y * 2.0 / height)
    grid = ops.stack(list(places), -1)

    def sample(images: Tensor) -> Tensor:
        if fill is not None:  # a channel that tells what is image
            images = ops.cat([images, ops.ones_like(images[:, :1])], 1)
        grids = grid.to(images.dtype).unsqueeze(0)
        grids = grids.expand(images.shape[0], -1, -1, -1)
        read = grid_sample(images, grids, mode=mode, align_corners=False)
        if fill is None:
            return read
        values = [fill] if isinstance(fill, (int, float)) else list(fill)
        channels = images.shape[1] - 1
        if len(values) not in (1, channels):
            raise ShapeError(
                f"[{who}] fill has {len(values)} values for {channels} channels"
            )
        border = tensor([float(v) for v in values], dtype=read.dtype).reshape(-1, 1, 1)
        return read[:, :-1] + (1.0 - read[:, -1:]) * border

    return in_float(inpt, sample)
