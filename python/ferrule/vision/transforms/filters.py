"""Filters: each pixel from its neighbours, and noise."""

from __future__ import annotations

from collections.abc import Sequence

from ..._ferrule import DTypeError, InvalidValue, Tensor, float32, ops, sym_max, tensor
from ...nn.functional import conv2d
from ...nn.functional import pad as _pad
from ._image import Size, blend, check_factor, check_image, in_float, pair
from .dtypes import is_float

__all__ = ["adjust_sharpness", "gaussian_blur", "gaussian_noise"]


def gaussian_blur(
    inpt: Tensor,
    kernel_size: Size,
    sigma: float | Sequence[float] | None = None,
) -> Tensor:
    """Blurs with a Gaussian; beyond the border the image is mirrored.

    Args:
        inpt: shape (..., C, H, W).
        kernel_size: [width, height] of the filter, odd, or one number for both.
        sigma: its deviation in pixels, one for both directions or [in x, in y];
            None: 0.15 kernel_size + 0.35.

    Raises:
        InvalidValue: a size is not odd, or a deviation not above 0.

    Example:
        >>> import ferrule as fe
        >>> blur = fe.vision.transforms.functional.gaussian_blur
        >>> x = fe.tensor([[[0, 0, 100, 0, 0]] * 3], dtype=fe.uint8)
        >>> blur(x, 3, 1.0)[0, 1].tolist()
        [0, 27, 45, 27, 0]
    """
    check_image(inpt, "gaussian_blur")
    sizes, sigmas = blur_sizes(kernel_size), sigma_pair(sigma)
    across, down = (_gaussian(n, s) for n, s in zip(sizes, sigmas, strict=True))
    left, top = sizes[0] // 2, sizes[1] // 2

    def blur(x: Tensor) -> Tensor:
        planes = _pad(_planes(x), (left, left, top, top), mode="reflect")
        planes = conv2d(planes, across.to(x.dtype).reshape(1, 1, 1, -1))
        planes = conv2d(planes, down.to(x.dtype).reshape(1, 1, -1, 1))
        return planes.reshape(x.shape)

    return in_float(inpt, blur)


def blur_sizes(kernel_size: Size) -> tuple[int, int]:
    """(width, height) of a filter, or an error."""
    sizes = pair(kernel_size)
    if any(n < 1 or n % 2 == 0 for n in sizes):
        raise InvalidValue(
            f"[gaussian_blur] kernel_size must be odd and above 0, got {kernel_size}"
        )
    return sizes


def sigma_pair(
    sigma: float | Sequence[float] | None,
) -> tuple[float | None, float | None]:
    """Two deviations, or an error; None is for `gaussian_blur` to choose."""
    if sigma is None:
        return None, None
    given = [sigma] if isinstance(sigma, (int, float)) else list(sigma)
    if len(given) not in (1, 2) or any(s <= 0 for s in given):
        raise InvalidValue(
            f"[gaussian_blur] sigma must be one or two numbers above 0, got {sigma}"
        )
    return given[0], given[-1]


def _gaussian(size: int, sigma: float | None) -> Tensor:
    """The filter's weights, which sum to 1."""
    deviation = 0.15 * size + 0.35 if sigma is None else sigma
    places = ops.arange(0, size).to(float32) - (size - 1) / 2
    return ops.softmax(-0.5 * (places / deviation) ** 2, 0)


def _planes(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N * C, 1, H, W): one filter serves all channels."""
    return x.reshape(-1, 1, *x.shape[-2:])


def adjust_sharpness(inpt: Tensor, sharpness_factor: float) -> Tensor:
    """Blends with a smoothed image: 0 is smooth, 1 the image itself, 2 sharp.

    The outermost pixels stay as they are.

    Args:
        inpt: shape (..., C, H, W).
        sharpness_factor: not negative.

    Example:
        >>> import ferrule as fe
        >>> sharpen = fe.vision.transforms.functional.adjust_sharpness
        >>> x = fe.full((1, 3, 3), 0.5)
        >>> sharpen(x, 2.0).tolist() == x.tolist()
        True

    Source: the filter is that of Pillow's ImageFilter.SMOOTH.
    """
    check_image(inpt, "adjust_sharpness")
    check_factor("adjust_sharpness", sharpness_factor)
    weights = [1.0, 1.0, 1.0, 1.0, 5.0, 1.0, 1.0, 1.0, 1.0]

    def smooth(x: Tensor) -> Tensor:
        height, width = x.shape[-2], x.shape[-1]
        filter = tensor(weights, dtype=x.dtype).reshape(1, 1, 3, 3) / 13.0
        inner = conv2d(_pad(_planes(x), (1, 1, 1, 1)), filter).reshape(x.shape)
        inside = _inside(height).reshape(-1, 1) & _inside(width)
        return ops.where(inside, inner, x)

    return blend(inpt, in_float(inpt, smooth), sharpness_factor)


def _inside(size: int) -> Tensor:
    """True but for the first and the last place."""
    places = ops.arange(0, size)
    return (places > 0) & (places < sym_max(size - 1, 0))


def gaussian_noise(
    inpt: Tensor, mean: float = 0.0, sigma: float = 0.1, clip: bool = True
) -> Tensor:
    """Adds normal noise to a floating-point image.

    Args:
        inpt: floating-point, shape (..., C, H, W).
        mean: the noise's mean.
        sigma: its deviation, not negative.
        clip: True keeps the result within 0..1.

    Raises:
        DTypeError: `inpt` is not floating-point.
        InvalidValue: `sigma` is negative.
    """
    check_image(inpt, "gaussian_noise")
    if not is_float(inpt.dtype):
        raise DTypeError(
            f"[gaussian_noise] expected a floating-point image, got {inpt.dtype}; use "
            "to_dtype(image, ferrule.float32, scale=True) first"
        )
    if sigma < 0:
        raise InvalidValue(f"[gaussian_noise] sigma must not be negative, got {sigma}")
    noisy = inpt + (mean + sigma * ops.randn_like(inpt))
    return noisy.clamp(0.0, 1.0) if clip else noisy
