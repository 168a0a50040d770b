"""Linear algebra, as in `torch.linalg`.

Most functions are ops whose definitions name them here; those below choose among
ops by the type of an argument.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from ._ferrule import DType, InvalidValue, ShapeError, Tensor, module_ops, ops

if TYPE_CHECKING:
    from ._ops.linalg import *  # noqa: F403

globals().update(module_ops("linalg"))


def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """Norm of matrices.

    Args:
        A: at least two dimensions; floating-point or complex.
        ord: "fro": the root of the sum of squares; 1 and -1: the largest and the
            smallest sum of a column's absolute values; inf and -inf: of a row's.
        dim: the dimensions of rows and columns.
        keepdim: keep them, with size 1.
        dtype: converts `A` first.

    Returns:
        Real tensor without the dimensions.

    Raises:
        InvalidValue: unknown `ord`, or a dimension is named twice.
        ShapeError: `A` is no matrix.

    Example:
        >>> import ferrule as fe
        >>> fe.linalg.matrix_norm(fe.tensor([[3.0, 0.0], [0.0, -4.0]])).item()
        5.0

    Source: torch.linalg.matrix_norm.
    """
    if A.ndim < 2:
        raise ShapeError(
            f"[matrix_norm] 'A' must be a matrix or a batch of them, got shape "
            f"{A.shape}"
        )
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise InvalidValue(f"[matrix_norm] dim must be two dimensions, got {dim!r}")
    if ord == "fro":
        return ops.linalg_vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if ord not in (1, -1, inf, -inf):
        raise InvalidValue(
            f"[matrix_norm] ord must be 'fro', 1, -1, inf or -inf, got {ord!r}"
        )
    rows, columns = (d + A.ndim if d < 0 else d for d in dim)
    summed, chosen = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = ops.linalg_vector_norm(A, 1, (summed,), True, dtype=dtype)
    norm = (ops.amax if ord > 0 else ops.amin)(sums, (chosen,), True)
    return norm if keepdim else norm.squeeze(dim)


def norm(
    A: Tensor,
    ord: float | str | None = None,
    dim: int | tuple[int, ...] | None = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """Norm of vectors or matrices.

    Args:
        A: any shape; floating-point or complex.
        ord: None: the root of the sum of squares; else see `vector_norm` for one
            dimension and `matrix_norm` for two.
        dim: one dimension or two; None: all, and with an `ord` there must not be
            more than two.
        keepdim: keep them, with size 1.
        dtype: converts `A` first.

    Returns:
        Real tensor without the dimensions.

    Raises:
        InvalidValue: `ord` is none of such a norm.
        ShapeError: a tensor of more than two dimensions, an `ord`, and no `dim`.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[1.0, -2.0], [2.0, 4.0]])
        >>> fe.linalg.norm(x).item(), fe.linalg.norm(x, 1).item()
        (5.0, 6.0)

    Source: torch.linalg.norm.
    """
    if ord is None:
        return ops.linalg_vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None and A.ndim not in (1, 2):
        raise ShapeError(
            f"[norm] with ord = {ord!r} name the dimensions of vectors or matrices "
            f"in dim; shape is {A.shape}"
        )
    dims = tuple(range(A.ndim)) if dim is None else dim
    if isinstance(dims, int) or len(dims) == 1:
        if isinstance(ord, str):
            raise InvalidValue(
                f"[norm] ord = {ord!r} is a norm of matrices; name two dimensions"
            )
        return ops.linalg_vector_norm(A, ord, dims, keepdim, dtype=dtype)
    if len(dims) != 2:
        raise InvalidValue(f"[norm] dim must be one or two dimensions, got {dim!r}")
    return matrix_norm(A, ord, (dims[0], dims[1]), keepdim, dtype=dtype)
