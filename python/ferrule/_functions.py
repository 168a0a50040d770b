"""Functions of `ferrule` that no op definition can express: overloads, any
number of tensors as arguments, tuples of tensors as results.

An op of the same name in the op table takes their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, overload

from . import return_types
from ._composed import composed
from ._ferrule import InvalidValue, ShapeError, Tensor, ops

__all__ = [
    "allclose",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "equal",
    "max",
    "meshgrid",
    "min",
    "nonzero",
    "tensordot",
    "trace",
    "where",
]


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether `isclose` holds for all elements, with its arguments.

    Example:
        >>> import ferrule as fe
        >>> fe.allclose(fe.tensor([1.0]), fe.tensor([1.1]), rtol=0.2)
        True
    """
    return input.allclose(other, rtol, atol, equal_nan)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements.

    Example:
        >>> import ferrule as fe
        >>> fe.equal(fe.tensor([1, 2]), fe.tensor([[1, 2]]))
        False
    """
    return input.equal(other)


def _listed(tensors: tuple[Any, ...]) -> list[Tensor]:
    """The tensors given one by one, or as one list."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return list(tensors[0])
    return list(tensors)


@overload
def max(input: Tensor, dim: Tensor | None = None, keepdim: bool = False) -> Tensor: ...


@overload
def max(input: Tensor, dim: int, keepdim: bool = False) -> return_types.max: ...


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; with `dim`, the largest along it and their indices.

    Args:
        input: any shape.
        dim: None for all elements; an int for one dimension, which gives a
            named tuple (values, indices); a tensor for the elementwise maximum.
        keepdim: True keeps the dimension, with size 1.

    Example:
        >>> import ferrule as fe
        >>> largest = fe.max(fe.tensor([[1, 5], [7, 2]]), 1)
        >>> largest.values.tolist(), largest.indices.tolist()
        ([5, 7], [1, 0])
    """
    return input.max(dim, keepdim)


@overload
def min(input: Tensor, dim: Tensor | None = None, keepdim: bool = False) -> Tensor: ...


@overload
def min(input: Tensor, dim: int, keepdim: bool = False) -> return_types.min: ...


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with `dim`, the smallest along it; see `max`.

    Example:
        >>> import ferrule as fe
        >>> fe.min(fe.tensor([3, 1, 2])).item()
        1
    """
    return input.min(dim, keepdim)


def trace(input: Any, *args: Any, **kwargs: Any) -> Any:
    """The sum of a matrix's diagonal; of a function: the `Program` that it computes.

    Args:
        input: a matrix, shape (m, n); or a function of tensors or an `nn.Module`, which
            stays in train or eval mode as it is.
        args, kwargs: example arguments of the function, nested as in `export`.
        dynamic_shapes: which dimensions of them vary, as in `export`.
        check: run the program against eager at several sizes (default: True).

    Returns:
        A 0-d tensor, int64 for integers and bools; or the program, which can be called,
        printed (`print(program.graph)`), drawn (`program.graph.svg()`) and saved.

    Raises:
        ShapeError: `input` is a tensor that has not two dimensions.
        ValueError, FerruleError: the function cannot be captured, as in `export`.

    Example:
        >>> import ferrule as fe
        >>> fe.trace(fe.tensor([[1, 2], [3, 4]])).item()
        5
        >>> program = fe.trace(lambda x: (x * x).sum(), fe.rand(3))
        >>> program(fe.tensor([1.0, 2.0, 3.0])).item()
        14.0

    References:
        numpy.trace; for functions torch.jit.trace.
    """
    if not callable(input):
        return ops.trace(input, *args, **kwargs)
    from ._export import trace_function  # loaded when first used

    return trace_function(input, *args, **kwargs)


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that shapes broadcast to.

    Raises:
        ShapeError: two sizes differ, and neither is 1.

    Example:
        >>> import ferrule as fe
        >>> fe.broadcast_shapes((2, 1), (3,))
        (2, 3)
    """
    result: list[int] = []
    for given in shapes:
        shape = [given] if isinstance(given, int) else list(given)
        if any(n < 0 for n in shape):
            raise ShapeError(f"[broadcast_shapes] negative size in {tuple(shape)}")
        result = [1] * (len(shape) - len(result)) + result
        for d in range(-len(shape), 0):
            if result[d] == 1:
                result[d] = shape[d]
            elif shape[d] not in (1, result[d]):
                raise ShapeError(
                    f"[broadcast_shapes] {tuple(shape)} does not fit "
                    f"{tuple(result)}: sizes {shape[d]} and {result[d]} differ in "
                    f"dimension {d}"
                )
    return tuple(result)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Views of the tensors, all of the shape that they broadcast to.

    Raises:
        ShapeError: two sizes differ, and neither is 1.

    Example:
        >>> import ferrule as fe
        >>> a, b = fe.broadcast_tensors(fe.tensor([1, 2]), fe.tensor([[3], [4]]))
        >>> a.tolist(), b.tolist()
        ([[1, 2], [1, 2]], [[3, 3], [4, 4]])
    """
    found = _listed(tensors)
    shape = broadcast_shapes(*(t.shape for t in found))
    return tuple(t.expand(shape) for t in found)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of the points of a grid, one tensor a vector.

    Args:
        tensors: vectors (or 0-d tensors), one by one or as a list.
        indexing: "ij": dimension k of the results belongs to vector k; "xy":
            the first two dimensions change places.

    Returns:
        Views whose repeated elements share memory.

    Raises:
        InvalidValue: `indexing` is something else.
        ShapeError: a tensor has more than one dimension.

    Example:
        >>> import ferrule as fe
        >>> x, y = fe.meshgrid(fe.tensor([1, 2]), fe.tensor([3, 4]))
        >>> x.tolist(), y.tolist()
        ([[1, 1], [2, 2]], [[3, 4], [3, 4]])
    """
    if indexing not in ("ij", "xy"):
        raise InvalidValue(
            f'[meshgrid] indexing must be "ij" or "xy", got {indexing!r}'
        )
    found = _listed(tensors)
    for t in found:
        if t.ndim > 1:
            raise ShapeError(
                f"[meshgrid] tensors must have one dimension, got shape {t.shape}"
            )
    order = list(range(len(found)))
    if indexing == "xy" and len(found) > 1:
        order[:2] = [1, 0]
    sizes = [t.numel() for t in found]
    shape = tuple(sizes[k] for k in order)
    grids = []
    for k, t in enumerate(found):
        line = [1] * len(found)
        line[order.index(k)] = sizes[k]
        grids.append(t.reshape(line).expand(shape))
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of the elements of vectors, one a row.

    Example:
        >>> import ferrule as fe
        >>> fe.cartesian_prod(fe.tensor([1, 2]), fe.tensor([3, 4])).tolist()
        [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    found = _listed(tensors)
    if len(found) == 1:
        return found[0]
    return ops.stack([t.reshape(-1) for t in meshgrid(found)], -1)


@composed
def tensordot(
    a: Tensor, b: Tensor, dims: int | Sequence[Any] = 2, out: None = None
) -> Tensor:
    """Products of `a` and `b`, summed over pairs of their dimensions.

    Args:
        a, b: tensors of one dtype.
        dims: a number n: the last n dimensions of `a` and the first n of `b`; or
            two lists of dimensions, which are paired.

    Returns:
        The other dimensions of `a`, then those of `b`.

    Raises:
        InvalidValue: the lists have different lengths.
        ShapeError: the sizes of a pair differ.

    Example:
        >>> import ferrule as fe
        >>> fe.tensordot(fe.ones((2, 3)), fe.ones((3, 2)), 1).tolist()
        [[3.0, 3.0], [3.0, 3.0]]

    Source: numpy.tensordot.
    """
    if isinstance(dims, int):
        if not 0 <= dims <= sorted([a.ndim, b.ndim])[0]:
            raise InvalidValue(
                f"[tensordot] dims = {dims} is out of range for shapes {a.shape} "
                f"and {b.shape}"
            )
        of_a = list(range(a.ndim - dims, a.ndim))
        of_b = list(range(dims))
    else:
        if len(dims) != 2:
            raise InvalidValue("[tensordot] dims must be an int or two lists")
        of_a, of_b = ([d] if isinstance(d, int) else list(d) for d in dims)
        of_a = [range(a.ndim)[d] for d in of_a]
        of_b = [range(b.ndim)[d] for d in of_b]
    if len(of_a) != len(of_b):
        raise InvalidValue(
            f"[tensordot] {len(of_a)} dimensions of a and {len(of_b)} of b"
        )
    for i, j in zip(of_a, of_b, strict=True):
        if a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"[tensordot] dimension {i} of {a.shape} and {j} of {b.shape} differ"
            )
    free_a = [d for d in range(a.ndim) if d not in of_a]
    free_b = [d for d in range(b.ndim) if d not in of_b]
    shape_a = [a.shape[d] for d in free_a]
    shape_b = [b.shape[d] for d in free_b]
    inner = prod(a.shape[d] for d in of_a)
    left = a.permute(free_a + of_a).reshape(prod(shape_a), inner)
    right = b.permute(of_b + free_b).reshape(inner, prod(shape_b))
    return (left @ right).reshape(shape_a + shape_b)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Where the elements are that are not zero; see also `argwhere`.

    Args:
        input: any shape.
        as_tuple: False gives their indices as one tensor of shape (n, ndim),
            True one tensor a dimension, which can be used as an index.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[0, 3], [5, 0]])
        >>> fe.nonzero(x).tolist()
        [[0, 1], [1, 0]]
        >>> x[fe.nonzero(x, as_tuple=True)].tolist()
        [3, 5]
    """
    return input.nonzero(as_tuple=True) if as_tuple else input.nonzero()


@overload
def where(condition: Tensor) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Tensor, input: Any, other: Any) -> Tensor: ...
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """Elements of `input` where the condition holds, of `other` elsewhere.

    With the condition alone: where it holds, as nonzero(as_tuple=True).

    Args:
        condition: bool tensor.
        input, other: tensors or numbers; all three shapes broadcast.

    Returns:
        Tensor of the broadcast shape and the promoted dtype.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: the condition is not bool.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([-1.0, 2.0])
        >>> fe.where(x > 0, x, 0.0).tolist()
        [0.0, 2.0]
        >>> fe.where(x > 0)[0].tolist()
        [1]
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return ops.where(condition, input, other)
