"""Maximum pooling, whose indices are returned on request only."""

from __future__ import annotations

from typing import Any

from .._ferrule import Tensor, ops

__all__ = [
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

_Ints = int | tuple[int, ...]


def max_pool1d(
    input: Tensor,
    kernel_size: _Ints,
    stride: _Ints | None = None,
    padding: _Ints = 0,
    dilation: _Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of every window of sequences.

    Args:
        input: shape (N, C, L) or (C, L).
        kernel_size: the window.
        stride: its step; None: the window's size.
        padding: minus infinity at both ends, at most half the window.
        dilation: distance of the window's elements.
        ceil_mode: True keeps a last window that is not filled.
        return_indices: True also gives where the values came from, int64.

    Returns:
        Shape (N, C, L'), or a tuple of that and the indices.

    Raises:
        ShapeError: shapes do not fit.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.functional.max_pool1d(fe.zeros((1, 3, 8)), 2).shape
        (1, 3, 4)
    """
    pooled = ops.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode)
    return pooled if return_indices else pooled[0]


def max_pool2d(
    input: Tensor,
    kernel_size: _Ints,
    stride: _Ints | None = None,
    padding: _Ints = 0,
    dilation: _Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of every window.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        kernel_size: the window.
        stride: its step; None: the window's size.
        padding: minus infinity at both sides, at most half the window.
        dilation: distance of the window's elements.
        ceil_mode: True keeps a last window that is not filled.
        return_indices: True also gives where the values came from, as
            h * W + w, int64.

    Returns:
        Shape (N, C, H', W'), or a tuple of that and the indices.

    Raises:
        ShapeError: shapes do not fit.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.functional.max_pool2d(fe.zeros((1, 3, 8, 8)), 2).shape
        (1, 3, 4, 4)
    """
    pooled = ops.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)
    return pooled if return_indices else pooled[0]


def max_pool3d(
    input: Tensor,
    kernel_size: _Ints,
    stride: _Ints | None = None,
    padding: _Ints = 0,
    dilation: _Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Largest value of every window of volumes.

    Args:
        input: shape (N, C, D, H, W) or (C, D, H, W).
        kernel_size: the window.
        stride: its step; None: the window's size.
        padding: minus infinity at both sides, at most half the window.
        dilation: distance of the window's elements.
        ceil_mode: True keeps a last window that is not filled.
        return_indices: True also gives where the values came from, as
            (d * H + h) * W + w, int64.

    Returns:
        Shape (N, C, D', H', W'), or a tuple of that and the indices.

    Raises:
        ShapeError: shapes do not fit.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.functional.max_pool3d(fe.zeros((1, 3, 4, 8, 8)), 2).shape
        (1, 3, 2, 4, 4)
    """
    op = ops.max_pool3d_with_indices if return_indices else ops.max_pool3d
    return op(input, kernel_size, stride, padding, dilation, ceil_mode)


def adaptive_max_pool1d(
    input: Tensor, output_size: _Ints, return_indices: bool = False
) -> Any:
    """Largest values of windows chosen so that the result has a given size.

    Args:
        input: shape (N, C, L) or (C, L).
        output_size: L' of the result.
        return_indices: True also gives where the values came from, int64.

    Returns:
        Shape (N, C, L'), or a tuple of that and the indices. Window o reaches
        from floor(o L / L') to ceil((o + 1) L / L').

    Raises:
        ShapeError: the input has no elements.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.functional.adaptive_max_pool1d(fe.zeros((1, 3, 8)), 5).shape
        (1, 3, 5)
    """
    pooled = ops.adaptive_max_pool1d(input, output_size)
    return pooled if return_indices else pooled[0]


def adaptive_max_pool2d(
    input: Tensor, output_size: _Ints, return_indices: bool = False
) -> Any:
    """Largest values of windows chosen so that the result has a given size.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        output_size: (H', W') of the result, or one number for both.
        return_indices: True also gives where the values came from, as
            h * W + w, int64.

    Returns:
        Shape (N, C, H', W'), or a tuple of that and the indices. Window o
        reaches from row floor(o H / H') to ceil((o + 1) H / H').

    Raises:
        ShapeError: the input has no elements.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.functional.adaptive_max_pool2d(fe.zeros((1, 3, 8, 8)), 5).shape
        (1, 3, 5, 5)
    """
    pooled = ops.adaptive_max_pool2d(input, output_size)
    return pooled if return_indices else pooled[0]


def adaptive_max_pool3d(
    input: Tensor, output_size: _Ints, return_indices: bool = False
) -> Any:
    """Largest values of windows chosen so that the result has a given size.

    Args:
        input: shape (N, C, D, H, W) or (C, D, H, W).
        output_size: (D', H', W') of the result, or one number for all.
        return_indices: True also gives where the values came from, as
            (d * H + h) * W + w, int64.

    Returns:
        Shape (N, C, D', H', W'), or a tuple of that and the indices. Window o
        reaches from layer floor(o D / D') to ceil((o + 1) D / D').

    Raises:
        ShapeError: the input has no elements.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.functional.adaptive_max_pool3d(fe.zeros((1, 3, 4, 8, 8)), 2).shape
        (1, 3, 2, 2, 2)
    """
    pooled = ops.adaptive_max_pool3d(input, output_size)
    return pooled if return_indices else pooled[0]
