"""Layers that change the shape, or nothing."""

from __future__ import annotations

from math import prod
from typing import Any

from ..._ferrule import IndexOutOfRange, ShapeError, Tensor
from ..module import Module

__all__ = ["Flatten", "Identity", "Unflatten"]


class Identity(Module):
    """Returns its argument; takes the place of a layer.

    All arguments of the constructor are ignored.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Identity()(fe.ones((2,))).tolist()
        [1.0, 1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Flatten(Module):
    """Joins the dimensions from `start_dim` to `end_dim` (inclusive) into one.

    Raises:
        IndexOutOfRange: a dimension is out of range.
        InvalidValue: the start is behind the end.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Flatten()(fe.zeros((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension `dim` into several; one of them may be -1.

    Raises:
        IndexOutOfRange: `dim` is out of range.
        ShapeError: the sizes do not give the dimension's size.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Unflatten(1, (3, -1))(fe.zeros((2, 12))).shape
        (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        shape, sizes = input.shape, self.unflattened_size
        n = len(shape)
        if not -n <= self.dim < n:
            raise IndexOutOfRange(
                f"[Unflatten] dim {self.dim} is out of range for shape {shape}; "
                f"valid: {-n}..{n - 1}"
            )
        dim = self.dim % n
        known = prod(size for size in sizes if size != -1)
        holes = sizes.count(-1)
        if holes == 1 and known > 0 and shape[dim] % known == 0:
            sizes = tuple(shape[dim] // known if s == -1 else s for s in sizes)
        elif holes or known != shape[dim]:
            raise ShapeError(
                f"[Unflatten] dim {self.dim} of shape {shape} cannot be split "
                f"into {sizes}"
            )
        return input.reshape((*shape[:dim], *sizes, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
