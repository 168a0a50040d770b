"""Max pooling of windows at random distances."""

from __future__ import annotations

from typing import Any

from .._ferrule import InvalidValue, ShapeError, Tensor, ops

__all__ = ["fractional_max_pool2d", "fractional_max_pool3d"]

_Ints = int | tuple[int, ...]
_Floats = float | tuple[float, ...]


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: _Ints,
    output_size: _Ints | None = None,
    output_ratio: _Floats | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Largest values of windows that lie at random distances.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        kernel_size: the window.
        output_size: (H', W') of the result, or one number for both.
        output_ratio: instead of it: its ratio to the input's size, below 1.
        return_indices: True also gives where the values came from, as
            h * W + w, int64.
        _random_samples: shape (N, C, 2): what is else drawn from [0, 1).

    Returns:
        Shape (N, C, H', W'), or a tuple of that and the indices.

    Raises:
        InvalidValue: neither output_size nor output_ratio, or both.
        ShapeError: shapes do not fit.

    Example:
        >>> import ferrule as fe
        >>> x = fe.zeros((1, 3, 8, 8))
        >>> fe.nn.functional.fractional_max_pool2d(x, 2, output_ratio=0.7).shape
        (1, 3, 5, 5)

    Source: Graham, "Fractional Max-Pooling", 2015.
    """
    return _pool(
        ops.fractional_max_pool2d, 2, input, kernel_size, output_size, output_ratio,
        return_indices, _random_samples,
    )  # fmt: skip


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: _Ints,
    output_size: _Ints | None = None,
    output_ratio: _Floats | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Largest values of windows of volumes that lie at random distances.

    Arguments are as of `fractional_max_pool2d`, for (N, C, D, H, W).

    Example:
        >>> import ferrule as fe
        >>> x = fe.zeros((1, 3, 8, 8, 8))
        >>> fe.nn.functional.fractional_max_pool3d(x, 2, 4).shape
        (1, 3, 4, 4, 4)
    """
    return _pool(
        ops.fractional_max_pool3d, 3, input, kernel_size, output_size, output_ratio,
        return_indices, _random_samples,
    )  # fmt: skip


def _pool(
    op: Any,
    n: int,
    input: Tensor,
    kernel_size: _Ints,
    output_size: _Ints | None,
    output_ratio: _Floats | None,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    name = op.__name__
    if not n < input.ndim < n + 3:
        raise ShapeError(
            f"[{name}] input must be a batch of images or an image, of {n + 2} or "
            f"{n + 1} dimensions, got shape {input.shape}"
        )
    if (output_size is None) == (output_ratio is None):
        raise InvalidValue(f"[{name}] give either output_size or output_ratio")
    if output_ratio is not None:
        ratios = (
            output_ratio
            if isinstance(output_ratio, (tuple, list))
            else (output_ratio,) * n
        )
        if any(not 0 < r < 1 for r in ratios):
            raise InvalidValue(
                f"[{name}] output_ratio must lie between 0 and 1, got {output_ratio}"
            )
        sizes = input.shape[-n:]
        output_size = tuple(int(m * r) for m, r in zip(sizes, ratios, strict=True))
    if samples is None:
        batch = input.shape[0] if input.ndim == n + 2 else 1
        samples = ops.rand((batch, input.shape[-n - 1], n), dtype=input.dtype)
    result = op(input, kernel_size, output_size, samples)
    return result if return_indices else result[0]
