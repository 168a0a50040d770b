"""Linear algebra, as in `torch.linalg`.

Most functions are ops whose definitions name them here; those below choose among
ops by the type of an argument.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from . import return_types
from ._composed import composed
from ._ferrule import (
    DType,
    FerruleError,
    InvalidValue,
    ShapeError,
    Tensor,
    module_ops,
    ops,
)
from ._functions import broadcast_shapes

if TYPE_CHECKING:
    from ._ops.linalg import *  # noqa: F403

globals().update(module_ops("linalg"))

# What is raised for singular matrices, as for other errors of computation.
LinAlgError = FerruleError


@composed
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
            smallest sum of a column's absolute values; inf and -inf: of a row's;
            2 and -2: the largest and the smallest singular value; "nuc": the sum
            of singular values.
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
    if ord not in (1, -1, 2, -2, inf, -inf, "nuc"):
        raise InvalidValue(
            f"[matrix_norm] ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got "
            f"{ord!r}"
        )
    if ord in (2, -2, "nuc"):
        if dtype is not None:
            A = A.to(dtype)
        values = ops.linalg_svdvals(A.movedim(dim, (-2, -1)))
        reduce = ops.sum if ord == "nuc" else ops.amax if ord == 2 else ops.amin
        norm = reduce(values, (-1,))
        if keepdim:
            for d in sorted(d % A.ndim for d in dim):
                norm = norm.unsqueeze(d)
        return norm
    assert not isinstance(ord, str)
    rows, columns = (d + A.ndim if d < 0 else d for d in dim)
    summed, chosen = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = ops.linalg_vector_norm(A, 1, (summed,), True, dtype=dtype)
    norm = (ops.amax if ord > 0 else ops.amin)(sums, (chosen,), True)
    return norm if keepdim else norm.squeeze(dim)


@composed
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


@composed
def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """Condition number of matrices: how much errors of a system grow.

    Args:
        A: shape (..., m, n); square, unless `p` is None, 2 or -2.
        p: None or 2: the largest over the smallest singular value; -2: its
            inverse; else the norm of A times that of its inverse, see `matrix_norm`.

    Returns:
        Real, shape (...); inf of a singular matrix.

    Raises:
        InvalidValue: unknown `p`.
        ShapeError: a matrix is not square.

    Example:
        >>> import ferrule as fe
        >>> fe.linalg.cond(fe.tensor([[4.0, 0.0], [0.0, 2.0]])).item()
        2.0

    Source: numpy.linalg.cond.
    """
    if p is None or p in (2, -2):
        values = ops.linalg_svdvals(A)
        largest, smallest = values[..., 0], values[..., -1]
        return smallest / largest if p == -2 else largest / smallest
    inverse, info = ops.linalg_inv_ex(A)
    number = matrix_norm(A, p) * matrix_norm(inverse, p)
    return ops.where(info == 0, number, inf)


@composed
def matrix_rank(
    A: Tensor,
    tol: float | Tensor | None = None,
    hermitian: bool = False,
    *,
    atol: float | Tensor | None = None,
    rtol: float | Tensor | None = None,
) -> Tensor:
    """Rank of matrices: how many singular values do not count as 0.

    Args:
        A: shape (..., m, n); float32, float64 or complex.
        tol: an older name of `atol`, with which `rtol` is 0.
        hermitian: True takes the absolute eigenvalues, of the lower triangle.
        atol: values up to this count as 0; None: 0.
        rtol: and up to this times the largest; None: max(m, n) times the machine
            epsilon of the dtype, or 0 where `atol` is given.

    Returns:
        int64, shape (...).

    Raises:
        ShapeError: `A` is no matrix.

    Example:
        >>> import ferrule as fe
        >>> fe.linalg.matrix_rank(fe.tensor([[1.0, 2.0], [2.0, 4.0]])).item()
        1

    Source: numpy.linalg.matrix_rank.
    """
    values = ops.linalg_eigvalsh(A).abs() if hermitian else ops.linalg_svdvals(A)
    absolute = tol if atol is None else atol
    if rtol is None:
        eps = 2.0**-52 if str(values.dtype).endswith("64") else 2.0**-23
        rtol = 0.0 if absolute is not None else eps * max(A.shape[-2:])
    least = values.amax((-1,), True) * _column(rtol)
    if absolute is not None:
        least = ops.maximum(least, _column(absolute))
    return (values > least).sum((-1,))


def _column(tolerance: float | Tensor) -> float | Tensor:
    """A tolerance for each matrix, beside the matrix's values."""
    return tolerance.unsqueeze(-1) if isinstance(tolerance, Tensor) else tolerance


@composed
def lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> return_types.linalg_lstsq:
    """Least squares: the X of least norm that makes A X - B smallest.

    Args:
        A: shape (..., m, n); float32, float64 or complex.
        B: shape (..., m, k), or (m,), or (..., m); of the same dtype.
        rcond: singular values up to this times the largest count as 0; None:
            max(m, n) times the machine epsilon of the dtype.
        driver: "gels": QR, the quickest, for matrices of full rank; "gelsy" (None):
            QR with column pivoting, which estimates singular values; "gelsd" and
            "gelss": singular value decomposition.

    Returns:
        A named tuple of

        solution: shape (..., n, k), or that of `B` with n in place of m. Leading
            dimensions broadcast. The gradient holds where the rank does not change.
        residuals: squared norms of the columns of A X - B, shape (..., k), where
            m > n and every matrix has full rank; empty else, and of "gelsy".
        rank: int64, shape (...); empty of "gels".
        singular_values: shape (..., min(m, n)); of "gelsd" and "gelss", empty else.

    Raises:
        InvalidValue: unknown `driver`.
        ShapeError: the shapes do not fit.
        DTypeError: the dtypes differ.
        RuntimeError: a matrix has elements that are not finite, or does not have
            full rank and the driver is "gels".

    Example:
        >>> import ferrule as fe
        >>> A = fe.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
        >>> X = fe.linalg.lstsq(A, fe.tensor([1.0, 4.0, 3.0])).solution
        >>> [round(x, 4) for x in X.tolist()]
        [1.0, 2.0]

    Source: numpy.linalg.lstsq; torch.linalg.lstsq.
    """
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    right = B.unsqueeze(-1) if vector else B
    if A.shape[:-2] != right.shape[:-2]:
        batch = broadcast_shapes(A.shape[:-2], right.shape[:-2])
        A, right = (t.expand((*batch, *t.shape[-2:])) for t in (A, right))
    driver = "gelsy" if driver is None else driver
    solution, rank, values = ops.least_squares(A, right, rcond, driver)
    m, n = A.shape[-2:]
    by_values = driver in ("gelsd", "gelss")
    if m > n and (driver == "gels" or (by_values and bool((rank == n).all()))):
        residuals = (ops.matmul(A, solution) - right).abs().square().sum((-2,))
    else:
        residuals = ops.zeros((0,), dtype=values.dtype)
    if driver == "gels":
        rank = ops.zeros((0,), dtype=rank.dtype)
    if not by_values:
        values = ops.zeros((0,), dtype=values.dtype)
    solution = solution.squeeze(-1) if vector else solution
    return return_types.linalg_lstsq(solution, residuals, rank, values)
