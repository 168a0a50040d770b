"""vmap: a function of one sample, run on a batch of them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .._ferrule import (
    FerruleWarning,
    InvalidValue,
    Tensor,
    Vmap,
    ops,
)
from .._tree import Structure, flatten, spread, unflatten

__all__ = ["vmap"]


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Makes a function of one sample one of a batch, without a loop.

    `func` is called once, on symbolic tensors that look like a sample's; what it
    does is then done for all samples at once, each op by its batching rule. So it
    sees no values: `.item()`, an `if` on a tensor, and results whose size depends on
    values (`nonzero`, masks as indices) are errors. An op without a batching rule
    runs sample by sample, and a warning names it.

    Gradients go through, into the batch and into tensors that `func` sees beside
    its arguments; and `func` may compute some: `vmap(grad(loss))` are the gradients
    of every sample.

    Args:
        func: takes and returns tensors, in tuples, lists and dicts; other arguments,
            and all keyword arguments, are passed on as they are.
        in_dims: which dimension of an argument counts the samples; None: it is the
            same for all. One number for all arguments, or a tuple with one for each,
            nested like them as far as wanted.
        out_dims: where the samples go in the results, nested like them likewise.
        randomness: what random ops do: "error"; "same" draws once for all samples;
            "different" draws for each.
        chunk_size: how many samples run at once, to bound memory; None: all.

    Returns:
        A function of the same arguments with the samples in `in_dims`, whose results
        have them in `out_dims`.

    Raises:
        ValueError: `in_dims` or `out_dims` does not fit what is given or returned;
            nothing is mapped; an argument of the function is not one of those above.
        RuntimeError: the function asks for values, draws random numbers with
            randomness="error", or writes what differs by sample into a tensor that
            all share.

    Example:
        >>> import ferrule as fe
        >>> dot = fe.vmap(fe.dot)
        >>> dot(fe.tensor([[1.0, 2.0], [3.0, 4.0]]), fe.ones(2, 2)).tolist()
        [3.0, 7.0]
        >>> slope = fe.vmap(fe.func.grad(lambda x: x**3))
        >>> slope(fe.tensor([1.0, 2.0])).tolist()
        [3.0, 12.0]

    Source: torch.func.vmap; the graph is rewritten as in J. Bradbury et al., "JAX:
    composable transformations of Python+NumPy programs" (2018).
    """
    if randomness not in ("error", "same", "different"):
        raise InvalidValue(
            f'[vmap] randomness must be "error", "same" or "different", got '
            f"{randomness!r}"
        )
    if chunk_size is not None and chunk_size < 1:
        raise InvalidValue(f"[vmap] chunk_size must be 1 or more, got {chunk_size}")

    @functools.wraps(func, updated=())
    def batched(*args: Any, **kwargs: Any) -> Any:
        given = _read(in_dims, args)

        def run(leaves: Sequence[Any], size: int) -> tuple[list[Tensor], _Returned]:
            part = given._replace(leaves=list(leaves), size=size)
            return _run(func, part, out_dims, randomness, kwargs)

        if chunk_size is None or given.size <= chunk_size:
            results, returned = run(given.leaves, given.size)
            return unflatten(returned.structure, results)
        chunks = []
        for start in range(0, given.size, chunk_size):
            length = min(chunk_size, given.size - start)
            part = [
                t if d is None else t.narrow(d, start, length)
                for t, d in zip(given.leaves, given.dims, strict=True)
            ]
            results, returned = run(part, length)
            chunks.append(results)
        joined = [
            parts[0] if d is None else ops.cat(parts, d)
            for parts, d in zip(zip(*chunks, strict=True), returned.dims, strict=True)
        ]
        return unflatten(returned.structure, joined)

    return batched


class _Given(NamedTuple):
    leaves: list[Any]
    dims: list[int | None]  # not negative
    structure: Structure
    size: int


class _Returned(NamedTuple):
    structure: Structure
    dims: list[int | None]


def _read(in_dims: Any, args: tuple[Any, ...]) -> _Given:
    """The arguments, and which dimension of each counts the samples."""
    if not isinstance(in_dims, (int, tuple, list)) or isinstance(in_dims, bool):
        raise InvalidValue(
            "[vmap] in_dims must be an int or a tuple with an entry for each argument, "
            f"got {in_dims!r}"
        )
    if not args:
        raise InvalidValue("[vmap] the function got no argument to map over")
    leaves, structure = flatten(args)
    prefix = tuple(in_dims) if isinstance(in_dims, list) else in_dims
    found = spread(prefix, structure)
    if found is None:
        raise InvalidValue(
            f"[vmap] in_dims={in_dims!r} is not nested like the {len(args)} "
            "argument(s); it needs one entry for each, or one int for all"
        )
    dims: list[int | None] = []
    sizes: dict[int, str] = {}
    size = None
    for i, (leaf, dim) in enumerate(zip(leaves, found, strict=True)):
        if dim is None:
            dims.append(None)
            continue
        what = f"argument {i}" if len(leaves) == len(args) else f"tensor {i}"
        if not isinstance(dim, int) or isinstance(dim, bool):
            raise InvalidValue(f"[vmap] in_dims of {what} is {dim!r}, not an int")
        if not isinstance(leaf, Tensor):
            raise InvalidValue(
                f"[vmap] in_dims is {dim} for {what}, which is no tensor but of type "
                f"{type(leaf).__name__}; use None for what is the same for all samples"
            )
        ndim = leaf.ndim
        if not -ndim <= dim < ndim:
            raise InvalidValue(
                f"[vmap] in_dims is {dim} for {what}, of shape {leaf.shape}; "
                + (f"valid: {-ndim}..{ndim - 1}" if ndim else "it has no dimension")
            )
        dims.append(dim % ndim)
        size = leaf.shape[dim % ndim]
        sizes.setdefault(int(size), f"{what} has {int(size)}")
    if size is None:
        raise InvalidValue(
            "[vmap] in_dims is None for all arguments; one of them must have samples"
        )
    if len(sizes) > 1:
        raise InvalidValue(
            "[vmap] the arguments have different numbers of samples: "
            + ", ".join(sizes.values())
        )
    return _Given(leaves, dims, structure, size)


def _run(
    func: Callable[..., Any],
    given: _Given,
    out_dims: Any,
    randomness: str,
    kwargs: dict[str, Any],
) -> tuple[list[Tensor], _Returned]:
    batch = Vmap(given.size, randomness)
    try:
        samples = [
            leaf if dim is None else batch.input(leaf.movedim(dim, 0) if dim else leaf)
            for leaf, dim in zip(given.leaves, given.dims, strict=True)
        ]
        leaves, structure = flatten(
            func(*unflatten(given.structure, samples), **kwargs)
        )
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                raise InvalidValue(
                    "[vmap] the function must return tensors, or tuples, lists and "
                    f"dicts of them; got a {type(leaf).__name__}"
                )
        found = spread(out_dims, structure)
        if found is None:
            raise InvalidValue(
                f"[vmap] out_dims={out_dims!r} is not nested like what the function "
                f"returns, {len(leaves)} tensor(s)"
            )
        results = batch.finish(leaves)
    finally:
        batch.abandon()
    slow = batch.one_by_one()
    if slow:
        warnings.warn(
            f"[vmap] no batching rule for {', '.join(slow)}: sample by sample, which "
            "is slow; the result is right",
            FerruleWarning,
            stacklevel=4,
        )
    placed, dims = [], []
    for (t, is_batched), dim in zip(results, found, strict=True):
        dims.append(_out_dim(dim, t.ndim - is_batched))
        placed.append(_placed(t, is_batched, dims[-1], given.size))
    return placed, _Returned(structure, dims)


def _out_dim(dim: Any, ndim: int) -> int | None:
    """Where the samples go in a result that has `ndim` dimensions for each."""
    if dim is None:
        return None
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise InvalidValue(f"[vmap] out_dims has the entry {dim!r}, which is no int")
    if not -ndim - 1 <= dim <= ndim:
        raise InvalidValue(
            f"[vmap] out_dims is {dim} for a result of {ndim} dimension(s) a sample; "
            f"valid: {-ndim - 1}..{ndim}"
        )
    return dim % (ndim + 1)


def _placed(t: Tensor, is_batched: bool, dim: int | None, size: int) -> Tensor:
    if dim is None:
        if is_batched:
            raise InvalidValue(
                f"[vmap] out_dims is None for a result of shape {t.shape[1:]} that "
                "differs from sample to sample; say where the samples go"
            )
        return t
    if not is_batched:
        t = t.expand((size, *t.shape))
    return t.movedim(0, dim) if dim else t
