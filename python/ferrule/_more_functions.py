"""Functions of `ferrule` that give several tensors or take any number of them,
and are rarer than those of `_functions`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from . import return_types
from ._composed import composed
from ._ferrule import (
    IndexOutOfRange,
    InvalidValue,
    ShapeError,
    SymInt,
    Tensor,
    float32,
    int64,
    ops,
    tensor,
)

__all__ = [
    "block_diag",
    "combinations",
    "gradient",
    "histogram",
    "lu",
    "svd_lowrank",
    "unravel_index",
]


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with matrices along its diagonal, and zeros elsewhere.

    Args:
        tensors: matrices; a vector is a row, a 0-d tensor one element.

    Raises:
        ShapeError: a tensor has more than two dimensions.
        InvalidValue: there is no tensor.

    Example:
        >>> import ferrule as fe
        >>> fe.block_diag(fe.tensor([[1, 2]]), fe.tensor(3)).tolist()
        [[1, 2, 0], [0, 0, 3]]

    Source: scipy.linalg.block_diag.
    """
    if not tensors:
        raise InvalidValue("[block_diag] needs at least one tensor")
    for t in tensors:
        if t.ndim > 2:
            raise ShapeError(
                f"[block_diag] tensors must have at most 2 dimensions, got {t.shape}"
            )
    blocks = [ops.atleast_2d(t) for t in tensors]
    width = sum(b.shape[1] for b in blocks)
    rows, left = [], 0
    for b in blocks:
        rows.append(ops.pad(b, (left, width - left - b.shape[1])))
        left = left + b.shape[1]
    return ops.cat(rows, 0)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, one a row.

    Args:
        input: a vector.
        r: how many are chosen.
        with_replacement: True chooses an element several times.

    Raises:
        ShapeError: `input` is no vector, or its size is not fixed.
        InvalidValue: `r` is negative.

    Example:
        >>> import ferrule as fe
        >>> fe.combinations(fe.tensor([1, 2, 3])).tolist()
        [[1, 2], [1, 3], [2, 3]]

    Source: itertools.combinations.
    """
    if input.ndim != 1:
        raise ShapeError(
            f"[combinations] input must be a vector, got shape {input.shape}"
        )
    if r < 0:
        raise InvalidValue(f"[combinations] r must be 0 or more, got {r}")
    n = input.shape[0]
    if isinstance(n, SymInt) and n.expr >= 0:
        raise ShapeError("[combinations] needs a fixed size where it is captured")
    if r == 0:
        return ops.zeros((0,), input.dtype)
    choose = (
        itertools.combinations_with_replacement
        if with_replacement
        else itertools.combinations
    )
    chosen = list(choose(range(n), r))
    index = tensor(chosen, dtype=int64) if chosen else ops.zeros((0, r), int64)
    return ops.index_select(input, 0, index.reshape(-1)).reshape(len(chosen), r)


def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Indices of dimensions from numbers of elements, counted row by row.

    Args:
        indices: integers, any shape.
        shape: of the tensor that they number the elements of.

    Returns:
        A tensor for each dimension.

    Raises:
        InvalidValue: a size is negative, or `indices` are no integers.

    Example:
        >>> import ferrule as fe
        >>> [i.tolist() for i in fe.unravel_index(fe.tensor([1, 5]), (2, 3))]
        [[0, 1], [1, 2]]

    Source: numpy.unravel_index.
    """
    if indices.is_floating_point() or indices.is_complex():
        raise InvalidValue(
            f"[unravel_index] indices must be integers, got {indices.dtype}"
        )
    sizes = [shape] if isinstance(shape, int) else list(shape)
    if any(n < 0 for n in sizes):
        raise InvalidValue(f"[unravel_index] negative size in {tuple(sizes)}")
    result = []
    rest = indices
    for n in reversed(sizes):
        result.append(ops.remainder(rest, n))
        rest = ops.floor_divide(rest, n)
    return tuple(reversed(result))


@composed
def histogram(
    input: Tensor,
    bins: int | Tensor,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> return_types.histogram:
    """How many elements lie in each of several intervals, and their edges.

    Args:
        input: any shape; floating-point.
        bins: number of intervals of equal width, or a vector of edges.
        range: where the first begins and the last ends; None: the smallest and
            the largest element.
        weight: of each element, instead of 1.
        density: True gives a density, whose integral is 1.

    Returns:
        A named tuple (hist, bin_edges). The last interval includes its upper end.

    Raises:
        InvalidValue: no bins, or a range beside edges.
        ShapeError: `weight` has another shape, or edges are no vector.

    Example:
        >>> import ferrule as fe
        >>> hist, edges = fe.histogram(fe.tensor([1.0, 2.0, 1.0]), 4, range=(0, 3))
        >>> hist.tolist(), edges.tolist()
        ([0.0, 2.0, 1.0, 0.0], [0.0, 0.75, 1.5, 2.25, 3.0])

    Source: numpy.histogram.
    """
    if weight is not None and weight.shape != input.shape:
        raise ShapeError(
            f"[histogram] weight must have the shape of input, {input.shape}, got "
            f"{weight.shape}"
        )
    if isinstance(bins, Tensor):
        if range is not None:
            raise InvalidValue("[histogram] range is for a number of bins, not edges")
        if bins.ndim != 1 or bins.shape[0] < 1:
            raise ShapeError(
                f"[histogram] edges must be a vector, got shape {bins.shape}"
            )
        edges = bins
    else:
        if bins < 1:
            raise InvalidValue(f"[histogram] bins must be positive, got {bins}")
        edges = _edges(input, bins, range)
    x = input.reshape(-1)
    n = edges.shape[0] - 1
    inside = (x >= edges[0]) & (x <= edges[-1])
    place = ops.searchsorted(edges, x.detach(), right=True) - 1
    share = ops.ones_like(x) if weight is None else weight.reshape(-1)
    share = ops.where(inside, share, 0.0)
    hist = ops.scatter_add(
        ops.zeros((n,), input.dtype), 0, ops.clamp(place, 0, n - 1), share
    )
    if density:
        hist = hist / (edges[1:] - edges[:-1]) / hist.sum()
    return return_types.histogram(hist, edges)


def _edges(input: Tensor, bins: int, range: tuple[float, float] | None) -> Tensor:
    if range is not None:
        low, high = range
        if low > high:
            raise InvalidValue(f"[histogram] range {range} ends before it begins")
    elif input.numel() == 0:
        low, high = 0.0, 0.0
    else:
        low, high = input.amin().item(), input.amax().item()
    if low == high:  # one number: a bin on each side
        low, high = low - 0.5, high + 0.5
    return ops.linspace(low, high, bins + 1, input.dtype)


@composed
def gradient(
    input: Tensor,
    *,
    spacing: float | Sequence[Any] = 1,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> list[Tensor]:
    """Derivatives along dimensions, by differences of the second order.

    Args:
        input: values of a function on a grid.
        spacing: distance of the places, one for all or for each dimension; or
            vectors of their coordinates.
        dim: the dimensions; None: all.
        edge_order: 1 or 2, the order of the differences at both ends.

    Returns:
        A tensor for each dimension.

    Raises:
        InvalidValue: arguments that do not go together.
        ShapeError: too few places for the differences.

    Example:
        >>> import ferrule as fe
        >>> fe.gradient(fe.tensor([1.0, 2.0, 4.0, 7.0]))[0].tolist()
        [1.0, 1.5, 2.5, 3.0]

    Source: numpy.gradient.
    """
    if edge_order not in (1, 2):
        raise InvalidValue(f"[gradient] edge_order must be 1 or 2, got {edge_order}")
    if dim is None:
        dims = list(range(input.ndim))
    else:
        dims = [dim] if isinstance(dim, int) else list(dim)
    for d in dims:
        if not -input.ndim <= d < input.ndim:
            raise IndexOutOfRange(
                f"[gradient] dim {d} is out of range for shape {input.shape}; "
                f"valid: {-input.ndim}..{input.ndim - 1}"
            )
    dims = [d % input.ndim for d in dims]
    if isinstance(spacing, (list, tuple)):
        steps = list(spacing)
    else:
        steps = [spacing] * len(dims)
    if len(steps) != len(dims):
        raise InvalidValue(
            f"[gradient] spacing has {len(steps)} entries for {len(dims)} dimensions"
        )
    return [
        _derivative(input, d, step, edge_order)
        for d, step in zip(dims, steps, strict=True)
    ]


def _derivative(x: Tensor, dim: int, step: Any, edge_order: int) -> Tensor:
    n = x.shape[dim]
    if n < edge_order + 1:
        raise ShapeError(
            f"[gradient] dimension {dim} of shape {x.shape} has too few places for "
            f"edge_order {edge_order}"
        )
    if not x.is_floating_point() and not x.is_complex():
        x = ops.cast(x, float32)
    if isinstance(step, Tensor) and step.ndim == 1:
        if step.shape[0] != n:
            raise ShapeError(
                f"[gradient] {step.shape[0]} coordinates for the {n} places of "
                f"dimension {dim}"
            )
        h = step[1:] - step[:-1]
    else:
        h = ops.ones((n - 1,), x.dtype) * step
    h = h.reshape([n - 1 if d == dim else 1 for d in range(x.ndim)])

    def part(t: Tensor, start: int, end: int | None) -> Tensor:
        return ops.slice(t, dim, start, end)

    slopes = (part(x, 1, None) - part(x, 0, -1)) / h
    if edge_order == 1 or n < 3:
        ends = part(slopes, 0, 1), part(slopes, n - 2, None)
    else:
        # The parabola through the three outermost places.
        first, second = part(slopes, 0, 1), part(slopes, 1, 2)
        a, b = part(h, 0, 1), part(h, 1, 2)
        left = first + (first - second) * a / (a + b)
        last, before = part(slopes, n - 2, None), part(slopes, n - 3, n - 2)
        a, b = part(h, n - 2, None), part(h, n - 3, n - 2)
        ends = left, last + (last - before) * a / (a + b)
    if n == 2:
        return ops.cat([*ends], dim)
    h0, h1 = part(h, 0, -1), part(h, 1, None)
    middle = (part(slopes, 0, -1) * h1 + part(slopes, 1, None) * h0) / (h0 + h1)
    return ops.cat([ends[0], middle, ends[1]], dim)


@composed
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """LU decomposition in compact form; see `linalg.lu_factor_ex`.

    Args:
        A: shape (..., m, n); float32, float64 or complex.
        pivot: exchange rows.
        get_infos: True gives the numbers of pivots that are 0, too, and does not
            raise an error for them.

    Example:
        >>> import ferrule as fe
        >>> fe.lu(fe.tensor([[0.0, 2.0], [1.0, 3.0]]))[1].tolist()
        [2, 2]

    Source: torch.lu.
    """
    result = ops.linalg_lu_factor_ex(A, pivot=pivot, check_errors=not get_infos)
    return result if get_infos else result[:2]


@composed
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The largest singular values and their vectors, by a random projection.

    Args:
        A: shape (..., m, n); float32, float64 or complex.
        q: how many; None: 6. The rank of `A`, or a little more, gives all.
        niter: steps of subspace iteration; None: 2.
        M: subtracted from `A`, such as the mean of its rows; broadcasts.

    Returns:
        U: shape (..., m, q), S: (..., q), V: (..., n, q).

    Raises:
        InvalidValue: q is more than min(m, n), or negative.

    Example:
        >>> import ferrule as fe
        >>> U, S, V = fe.svd_lowrank(fe.diag(fe.tensor([3.0, 2.0, 0.0])), q=2)
        >>> [round(s, 4) for s in S.tolist()]
        [3.0, 2.0]

    Source: Halko, Martinsson and Tropp, "Finding Structure with Randomness", 2009,
    algorithms 4.4 and 5.1.
    """
    q = 6 if q is None else q
    if not 0 <= q <= min(A.shape[-2:]):
        raise InvalidValue(
            f"[svd_lowrank] q must be between 0 and the smaller size of matrices of "
            f"shape {A.shape}, got {q}"
        )
    if M is not None:
        A = A - M
    start = ops.randn((A.shape[-1], q), dtype=float32).to(A.dtype)
    Q = ops.linalg_qr(ops.matmul(A, start))[0]
    for _ in range(2 if niter is None else niter):
        Q = ops.linalg_qr(ops.matmul(A.mH, Q))[0]
        Q = ops.linalg_qr(ops.matmul(A, Q))[0]
    U, S, Vh = ops.linalg_svd(ops.matmul(Q.mH, A), False)
    return ops.matmul(Q, U), S, Vh.mH
