"""Forward-mode products, and whole Jacobians and Hessians, of functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .._ferrule import InvalidValue, Tensor, enable_grad, is_grad_enabled, ops
from .._tree import Structure, flatten, unflatten
from ..autograd._products import Linear, Tensors
from ._grad import Func, Output, Point, like, partial
from ._vmap import vmap

__all__ = ["hessian", "jacfwd", "jacrev", "jvp", "linearize"]


def jvp(
    func: Func,
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> tuple[Any, ...]:
    """The value of a function, and its Jacobian times a vector.

    There is no forward mode of its own: the product is the gradient of a gradient
    (see `linearize`) and costs a backward pass and one through that, a few times what
    the function costs, and its memory.

    Args:
        func: takes `primals` and returns tensors, in tuples, lists and dicts; with
            `has_aux` a pair of those and anything else.
        primals: the arguments, a tuple.
        tangents: vectors like them, a tuple.
        strict: an error where an output does not depend on the primals.
        has_aux: `func` returns more than what is differentiated.

    Returns:
        (output, product), and with `has_aux` a third entry.

    Raises:
        InvalidValue: `primals` or `tangents` is no tuple, or they differ in structure.
        ShapeError, DTypeError: a tangent is not like its primal.
        AutogradError: `strict`, and something is independent.

    Example:
        >>> import ferrule as fe
        >>> y, dy = fe.func.jvp(fe.sin, (fe.zeros(2),), (fe.tensor([1.0, 2.0]),))
        >>> dy.tolist()
        [1.0, 2.0]

    Source: torch.func.jvp; J. Townsend, "A new trick for calculating Jacobian vector
    products" (2017).
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple):
            raise InvalidValue(
                f"[jvp] {name} must be a tuple with an entry for each argument, got a "
                f"{type(given).__name__}"
            )
    value, push, aux = _linearized("jvp", func, primals, strict, has_aux)
    product = push(tangents)
    return (value, product, aux) if has_aux else (value, product)


def linearize(func: Func, *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of a function, and its Jacobian at that point as a function.

    Args:
        func: takes `primals` and returns tensors, in tuples, lists and dicts.
        *primals: the point.

    Returns:
        (output, jvp_fn); jvp_fn takes vectors like the primals and returns the product
        of the Jacobian with them. A call costs a backward pass; it may be mapped.

    Raises:
        InvalidValue, ShapeError, DTypeError: as for `jvp`.

    Example:
        >>> import ferrule as fe
        >>> y, jvp_fn = fe.func.linearize(fe.sin, fe.zeros(2))
        >>> jvp_fn(fe.tensor([1.0, 2.0])).tolist()
        [1.0, 2.0]

    Source: torch.func.linearize; see `jvp`.
    """
    value, push, _ = _linearized("linearize", func, primals, False, False)
    return value, lambda *tangents: push(tangents)


def jacrev(
    func: Func,
    argnums: Any = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Func:
    """The Jacobian of a function, by one backward pass mapped over its outputs.

    For functions with fewer outputs than inputs; `jacfwd` for the others.

    Args:
        func: takes tensors, in tuples, lists and dicts, and returns such; with
            `has_aux` a pair of those and anything else.
        argnums: the argument to differentiate by, or a tuple of several.
        has_aux: `func` returns more than what is differentiated.
        chunk_size: how many rows are computed at once, to bound memory; None: all.

    Returns:
        A function that returns, nested like the output and within it like the
        argument(s), tensors of the output's shape followed by the argument's; with
        `has_aux` a pair of that and what `func` returned beside.

    Raises:
        InvalidValue, DTypeError: as for `grad`.

    Example:
        >>> import ferrule as fe
        >>> fe.func.jacrev(lambda x: x * x)(fe.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]

    Source: torch.func.jacrev.
    """

    @functools.wraps(func, updated=())
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        chosen, values = partial("jacrev", func, argnums, args, kwargs)
        point = Point("jacrev", values)
        output, aux = point.call(chosen, has_aux)
        pulled = point.pullback(output)

        def pull(*cotangents: Tensor) -> list[Tensor]:
            return flatten(pulled(unflatten(output.structure, cotangents)))[0]

        by_output = rows_of(pull, output.tensors, point.tensors, chunk_size)
        result = _nested(by_output, output.structure, point.structure, argnums)
        result = point.settled(result)
        return (result, aux) if has_aux else result

    return jacobian


def jacfwd(
    func: Func, argnums: Any = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Func:
    """The Jacobian of a function, by one forward-mode product mapped over its inputs.

    For functions with fewer inputs than outputs; `jacrev` for the others. What a
    product costs, `jvp` says; the function itself runs once.

    Args:
        func, argnums, has_aux: as for `jacrev`.
        randomness: of the products, as for `vmap`; the function draws once.

    Returns:
        As `jacrev`.

    Raises:
        InvalidValue, DTypeError: as for `grad`.

    Example:
        >>> import ferrule as fe
        >>> fe.func.jacfwd(lambda x: x * x)(fe.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]

    Source: torch.func.jacfwd; see `jvp`.
    """

    @functools.wraps(func, updated=())
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        chosen, values = partial("jacfwd", func, argnums, args, kwargs)
        point = Point("jacfwd", values)
        output, aux = point.call(chosen, has_aux)
        pushed = _pushforward(point, output, False)

        def push(*tangents: Tensor) -> Tensors:
            return pushed(unflatten(point.structure, tangents))

        by_output = columns_of(push, output.tensors, point.tensors, randomness)
        result = _nested(by_output, output.structure, point.structure, argnums)
        result = point.settled(result)
        return (result, aux) if has_aux else result

    return jacobian


def hessian(func: Func, argnums: Any = 0) -> Func:
    """The Hessian of a function: jacfwd(jacrev(func)).

    Args:
        func: as for `jacrev`, as a rule with one number as its output.
        argnums: the argument to differentiate by, twice, or a tuple of several.

    Returns:
        A function that returns, nested like the output and within it twice like the
        argument(s), tensors of the shapes of output, argument and argument.

    Raises:
        InvalidValue, DTypeError: as for `grad`.

    Example:
        >>> import ferrule as fe
        >>> fe.func.hessian(lambda x: (x**3).sum())(fe.tensor([1.0, 2.0])).tolist()
        [[6.0, 0.0], [0.0, 12.0]]

    Source: torch.func.hessian.
    """
    return jacfwd(jacrev(func, argnums), argnums)


# --- parts


def rows_of(
    pull: Callable[..., Sequence[Tensor]],
    ys: Tensors,
    xs: Tensors,
    chunk_size: int | None = None,
) -> list[list[Tensor]]:
    """Jacobians by output and input, from a function that pulls vectors like `ys`."""
    if not ys:
        return []
    mapped = vmap(lambda *vs: list(pull(*vs)), chunk_size=chunk_size)
    # By input: the gradients of all elements of all outputs, one after another.
    by_input = [
        [
            g.reshape((*y.shape, *x.shape))
            for g, y in zip(_parted(grads, ys), ys, strict=True)
        ]
        for grads, x in zip(mapped(*_unit_vectors(ys)), xs, strict=True)
    ]
    return [list(row) for row in zip(*by_input, strict=True)]


def columns_of(
    push: Callable[..., Sequence[Tensor]],
    ys: Tensors,
    xs: Tensors,
    randomness: str = "error",
) -> list[list[Tensor]]:
    """The same, from a function that pushes vectors like `xs`."""
    mapped = vmap(lambda *vs: list(push(*vs)), randomness=randomness)
    # By output: the derivatives by all elements of all inputs, in dimension 0.
    return [
        [
            d.movedim(0, -1).reshape((*y.shape, *x.shape))
            for d, x in zip(_parted(derivatives, xs), xs, strict=True)
        ]
        for derivatives, y in zip(mapped(*_unit_vectors(xs)), ys, strict=True)
    ]


def _pushforward(
    point: Point, output: Output, strict: bool
) -> Callable[[Any], Tensors]:
    with enable_grad():
        linear = Linear(point.who, output.tensors, point.tensors, strict)

    def push(tangents: Any) -> Tensors:
        vs = like(point.who, "input", tangents, point.structure, point.tensors)
        follows = is_grad_enabled() and (
            point.follows or any(v.requires_grad for v in vs)
        )
        with enable_grad():
            return linear(vs, follows)

    return push


def _linearized(
    who: str, func: Func, primals: tuple[Any, ...], strict: bool, has_aux: bool
) -> tuple[Any, Callable[[Any], Any], Any]:
    point = Point(who, primals)
    output, aux = point.call(func, has_aux)
    push = _pushforward(point, output, strict)
    return (
        point.settled(output.value),
        lambda tangents: unflatten(output.structure, push(tangents)),
        aux,
    )


def _unit_vectors(tensors: Tensors) -> list[Tensor]:
    """Vectors like the tensors, in a batch: each is 1 in one element of one of them."""
    total = sum(t.numel() for t in tensors)
    ones = ops.eye(total)
    vectors, start = [], 0
    for t in tensors:
        part = ones.narrow(1, start, t.numel()).to(t.dtype)
        vectors.append(part.reshape((total, *t.shape)))
        start += t.numel()
    return vectors


def _parted(stacked: Tensor, tensors: Tensors) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = stacked.split_with_sizes([t.numel() for t in tensors])
    return parts


def _nested(by_output: Any, output: Structure, inputs: Structure, argnums: Any) -> Any:
    rows = []
    for blocks in by_output:
        row = unflatten(inputs, list(blocks))
        rows.append(row if isinstance(argnums, (tuple, list)) else row[0])
    return unflatten(output, rows)
