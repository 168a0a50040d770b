"""Functions of `ferrule` that are methods of Tensor and not ops themselves.

An op of the same name in the op table takes their place.
"""

from __future__ import annotations

from typing import Any

from ._ferrule import Tensor

__all__ = ["flatten", "max", "min", "std"]


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Joins the dimensions from `start_dim` to `end_dim` (inclusive) into one.

    Raises:
        IndexOutOfRange: a dimension is out of range.
        InvalidValue: `start_dim` is behind `end_dim`.

    Example:
        >>> import ferrule as fe
        >>> fe.flatten(fe.zeros((2, 3, 4)), 1).shape
        (2, 12)
    """
    return input.flatten(start_dim, end_dim)


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; with `dim`, the largest along it and their indices.

    Args:
        input: any shape.
        dim: None for all elements; an int for one dimension, which gives a
            tuple (values, indices); a tensor for the elementwise maximum.
        keepdim: True keeps the dimension, with size 1.

    Example:
        >>> import ferrule as fe
        >>> values, indices = fe.max(fe.tensor([[1, 5], [7, 2]]), 1)
        >>> values.tolist(), indices.tolist()
        ([5, 7], [1, 0])
    """
    return input.max(dim, keepdim)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with `dim`, the smallest along it; see `max`.

    Example:
        >>> import ferrule as fe
        >>> fe.min(fe.tensor([3, 1, 2])).item()
        1
    """
    return input.min(dim, keepdim)


def std(
    input: Tensor,
    dim: int | list[int] | tuple[int, ...] | None = None,
    correction: int = 1,
    keepdim: bool = False,
) -> Tensor:
    """Standard deviation: the square root of `var`, with its arguments.

    Example:
        >>> import ferrule as fe
        >>> fe.std(fe.tensor([1.0, 3.0]), correction=0).item()
        1.0
    """
    return input.std(dim, correction, keepdim)
