"""Resizing of sequences, images and volumes: one op for each dimension."""

from __future__ import annotations

from math import floor
from typing import Any

from .._composed import composed
from .._ferrule import InvalidValue, ShapeError, SymInt, Tensor, float32, ops, uint8

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

_Ints = int | tuple[int, ...]
_Floats = float | tuple[float, ...]

# The mode of `resize` by that of `interpolate`, and the spatial dimensions it is
# for; None: all. "area" is average pooling.
_MODES: dict[str, tuple[str, int | None]] = {
    "nearest": ("nearest", None),
    "nearest-exact": ("nearest-exact", None),
    "area": ("area", None),
    "linear": ("linear", 1),
    "bilinear": ("linear", 2),
    "bicubic": ("cubic", 2),
    "trilinear": ("linear", 3),
}
_AREAS = (ops.adaptive_avg_pool1d, ops.adaptive_avg_pool2d, ops.adaptive_avg_pool3d)


@composed
def interpolate(
    input: Tensor,
    size: _Ints | None = None,
    scale_factor: _Floats | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resizes sequences, images or volumes.

    Args:
        input: shape (N, C, L), (N, C, H, W) or (N, C, D, H, W), floating-point;
            uint8 is rounded.
        size: the new spatial sizes, or one number for all.
        scale_factor: instead of `size`: factors of the sizes, or one for all.
        mode: "nearest" (as OpenCV), "nearest-exact" (as Pillow), "linear" (of
            sequences), "bilinear" and "bicubic" (of images), "trilinear" (of
            volumes), "area" (means of windows).
        align_corners: True maps the centres of the outermost elements onto each
            other, False (and None) their outer edges; not for nearest and area.
        recompute_scale_factor: True takes the coordinates' scale from the sizes
            and not from `scale_factor`.
        antialias: True widens the filter where the result is smaller, as Pillow
            does; for "bilinear" and "bicubic".

    Returns:
        Shape (N, C, *size).

    Raises:
        ShapeError: `input` has another number of dimensions.
        InvalidValue: arguments that do not go together.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[[0.0, 1.0]]])
        >>> fe.nn.functional.interpolate(x, scale_factor=2, mode="linear").tolist()
        [[[0.0, 0.25, 0.75, 1.0]]]

    Source: torch.nn.functional.interpolate.
    """
    n = input.ndim - 2
    if not 1 <= n <= 3:
        raise ShapeError(
            f"[interpolate] input must have shape (N, C, L), (N, C, H, W) or "
            f"(N, C, D, H, W), got {input.shape}"
        )
    if mode not in _MODES:
        raise InvalidValue(
            f"[interpolate] mode must be one of {', '.join(map(repr, _MODES))}; "
            f"got {mode!r}"
        )
    kind, dims = _MODES[mode]
    if dims not in (None, n):
        fitting = [m for m, (_, d) in _MODES.items() if d in (None, n)]
        raise InvalidValue(
            f"[interpolate] mode {mode!r} is not for input of shape {input.shape}; "
            f"modes for it: {', '.join(fitting)}"
        )
    if dims is None and align_corners is not None:
        raise InvalidValue(
            f"[interpolate] align_corners is for linear and cubic modes, not {mode!r}"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise InvalidValue(
            f"[interpolate] antialias is for 'bilinear' and 'bicubic', not {mode!r}"
        )
    sizes, factors = _sizes(input, size, scale_factor, recompute_scale_factor)
    if kind == "area":
        return _AREAS[n - 1](input, sizes)
    result = ops.cast(input, float32) if input.dtype == uint8 else input
    for k in reversed(range(n)):
        result = ops.resize(
            result, 2 + k, sizes[k], kind, bool(align_corners), factors[k], antialias
        )
    if result.dtype != input.dtype:
        result = ops.cast(ops.clamp(ops.round(result), 0, 255), input.dtype)
    return result


def _each(name: str, value: object, n: int) -> list[Any]:
    values = list(value) if isinstance(value, (tuple, list)) else [value] * n
    if len(values) != n:
        raise InvalidValue(
            f"[interpolate] {name} must be one number or {n}, got {value!r}"
        )
    return values


def _sizes(
    input: Tensor,
    size: _Ints | None,
    scale_factor: _Floats | None,
    recompute: bool | None,
) -> tuple[list[int], list[float | None]]:
    """The new sizes, and the factors that the coordinates are to be scaled by."""
    n = input.ndim - 2
    if (size is None) == (scale_factor is None):
        raise InvalidValue("[interpolate] give either size or scale_factor")
    if size is not None:
        if recompute:
            raise InvalidValue(
                "[interpolate] recompute_scale_factor is for scale_factor, not size"
            )
        return _each("size", size, n), [None] * n
    factors = [float(f) for f in _each("scale_factor", scale_factor, n)]
    sizes = [_scaled(input.shape[2 + k], factors[k]) for k in range(n)]
    return sizes, [None] * n if recompute else list(factors)


def _scaled(size: int, factor: float) -> int:
    if factor == int(factor):
        return size * int(factor)
    if isinstance(size, SymInt) and size.expr >= 0:
        raise InvalidValue(
            f"[interpolate] scale_factor {factor} of a size that is known only when "
            "the program runs; give size, or a whole number"
        )
    return floor(float(size) * factor)


def upsample(
    input: Tensor,
    size: _Ints | None = None,
    scale_factor: _Floats | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Another name of `interpolate`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.functional.upsample(fe.zeros((1, 1, 2)), 4).shape
        (1, 1, 4)
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: _Ints | None = None, scale_factor: _Floats | None = None
) -> Tensor:
    """`interpolate` with mode "nearest".

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[[1.0, 2.0]]])
        >>> fe.nn.functional.upsample_nearest(x, scale_factor=2).tolist()
        [[[1.0, 1.0, 2.0, 2.0]]]
    """
    return interpolate(input, size, scale_factor)


def upsample_bilinear(
    input: Tensor, size: _Ints | None = None, scale_factor: _Floats | None = None
) -> Tensor:
    """`interpolate` with mode "bilinear" and aligned corners.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[[[0.0, 2.0]]]])
        >>> fe.nn.functional.upsample_bilinear(x, (1, 3)).tolist()
        [[[[0.0, 1.0, 2.0]]]]
    """
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)
