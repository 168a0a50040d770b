"""Gradients of functions as functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._ferrule import (
    DTypeError,
    InvalidValue,
    ShapeError,
    Tensor,
    depends_on_other_leaves,
    enable_grad,
    is_grad_enabled,
    ones_like,
)
from .._tree import Structure, flatten, unflatten
from ..autograd._products import Tensors, grads_or_zeros

__all__ = ["grad", "grad_and_value", "value_and_grad", "vjp"]

Func = Callable[..., Any]


def grad(func: Func, argnums: Any = 0, has_aux: bool = False) -> Func:
    """The gradient of a function that returns one number, as a function.

    Args:
        func: takes tensors, in tuples, lists and dicts, and returns a tensor of shape
            (); with `has_aux` a pair of that and anything else.
        argnums: the argument to differentiate by, or a tuple of several; negative
            numbers count from the last.
        has_aux: `func` returns more than the number.

    Returns:
        A function of the same arguments that returns the gradient, with the structure
        of the argument (a tuple for a tuple of `argnums`), zeros where nothing depends
        on it; with `has_aux` a pair of it and what `func` returned beside the number.

    Raises:
        ShapeError: `func` does not return one number.
        DTypeError: an argument to differentiate by is not floating-point.
        InvalidValue: `argnums` names no argument; or `has_aux`, and there is no pair.

    Example:
        >>> import ferrule as fe
        >>> cube = lambda x: x**3
        >>> x = fe.tensor(2.0)
        >>> fe.func.grad(cube)(x).item(), fe.func.grad(fe.func.grad(cube))(x).item()
        (12.0, 12.0)

    Source: torch.func.grad.
    """
    both = _gradient("grad", func, argnums, has_aux)

    @functools.wraps(func, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        grads, _, aux = both(args, kwargs)
        return (grads, aux) if has_aux else grads

    return gradient


def grad_and_value(func: Func, argnums: Any = 0, has_aux: bool = False) -> Func:
    """The gradient of a function and its value: `grad` for arguments and errors.

    Returns:
        A function that returns (gradient, value); with `has_aux`
        (gradient, (value, aux)).

    Example:
        >>> import ferrule as fe
        >>> g, y = fe.func.grad_and_value(lambda x: x**3)(fe.tensor(2.0))
        >>> g.item(), y.item()
        (12.0, 8.0)

    Source: torch.func.grad_and_value.
    """
    both = _gradient("grad_and_value", func, argnums, has_aux)

    @functools.wraps(func, updated=())
    def gradient_and_value(*args: Any, **kwargs: Any) -> Any:
        grads, value, aux = both(args, kwargs)
        return grads, (value, aux) if has_aux else value

    return gradient_and_value


def value_and_grad(func: Func, argnums: Any = 0, has_aux: bool = False) -> Func:
    """`grad_and_value` under the name, and in the order, of JAX: the value first.

    Returns:
        A function that returns (value, gradient); with `has_aux`
        ((value, aux), gradient).

    Example:
        >>> import ferrule as fe
        >>> y, g = fe.func.value_and_grad(lambda x: x**3)(fe.tensor(2.0))
        >>> y.item(), g.item()
        (8.0, 12.0)

    Source: jax.value_and_grad.
    """
    both = _gradient("value_and_grad", func, argnums, has_aux)

    @functools.wraps(func, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        grads, value, aux = both(args, kwargs)
        return (value, aux) if has_aux else value, grads

    return value_and_gradient


def vjp(func: Func, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The value of a function, and the function that pulls vectors back through it.

    Args:
        func: takes `primals` and returns tensors, in tuples, lists and dicts; with
            `has_aux` a pair of those and anything else.
        *primals: the point: tensors, in tuples, lists and dicts.
        has_aux: `func` returns more than what is differentiated.

    Returns:
        (output, vjp_fn), and with `has_aux` a third entry. vjp_fn takes tensors like
        the output and returns their products with the Jacobian, a tuple with an entry
        for each primal. It may be called many times, and mapped.

    Raises:
        DTypeError: a primal is not floating-point.
        ShapeError: what vjp_fn gets is not like the output.
        InvalidValue: there is no primal; or an output is no tensor.

    Example:
        >>> import ferrule as fe
        >>> y, vjp_fn = fe.func.vjp(fe.sin, fe.zeros(3))
        >>> vjp_fn(fe.tensor([1.0, 2.0, 3.0]))[0].tolist()
        [1.0, 2.0, 3.0]

    Source: torch.func.vjp.
    """
    point = Point("vjp", primals)
    output, aux = point.call(func, has_aux)
    pulled = point.pullback(output)

    def vjp_fn(*cotangents: Any) -> Any:
        return pulled(cotangents[0] if len(cotangents) == 1 else cotangents)

    value = point.settled(output.value)
    return (value, vjp_fn, aux) if has_aux else (value, vjp_fn)


# --- parts


class Output:
    """What a function returned: its tensors, and how they were nested."""

    def __init__(self, who: str, value: Any) -> None:
        self.value = value
        leaves, self.structure = flatten(value)
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                raise InvalidValue(
                    f"[{who}] func must return tensors, or tuples, lists and dicts of "
                    f"them; got a {type(leaf).__name__}"
                )
        self.tensors: Tensors = tuple(leaves)


class Point:
    """Where a function is differentiated: arguments that are recorded anew.

    What the results are to outer transformations, and to `backward()`, is found out
    from the history: they are recorded, and differentiable, where something from
    outside wants gradients; else they are free of history.
    """

    def __init__(self, who: str, args: tuple[Any, ...]) -> None:
        self.who = who
        if not args:
            raise InvalidValue(f"[{who}] there is no argument to differentiate by")
        self.outer = is_grad_enabled()
        leaves, self.structure = flatten(args)
        self.tensors: Tensors = tuple(self._recorded(leaf) for leaf in leaves)
        self.args = unflatten(self.structure, self.tensors)
        self.follows = False

    def _recorded(self, leaf: Any) -> Tensor:
        if not isinstance(leaf, Tensor):
            raise InvalidValue(
                f"[{self.who}] cannot differentiate by a {type(leaf).__name__}; pass "
                "tensors, or leave the argument out of argnums"
            )
        if not (leaf.is_floating_point() or leaf.is_complex()):
            raise DTypeError(
                f"[{self.who}] cannot differentiate by a tensor of {leaf.dtype}; "
                "convert it with .float(), or leave the argument out of argnums"
            )
        with enable_grad():
            if self.outer and leaf.requires_grad:
                return leaf.view_as(leaf)
            return leaf.detach().requires_grad_()

    def call(self, func: Func, has_aux: bool) -> tuple[Output, Any]:
        """func at the point, and what it returned beside."""
        with enable_grad():
            raw = func(*self.args)
        aux = None
        if has_aux:
            if not isinstance(raw, tuple) or len(raw) != 2:
                raise InvalidValue(
                    f"[{self.who}] with has_aux=True func must return a pair (output, "
                    f"aux), got a {type(raw).__name__}"
                )
            raw, aux = raw
        output = Output(self.who, raw)
        self.follows = self.outer and depends_on_other_leaves(
            output.tensors, self.own_leaves()
        )
        return output, self.settled(aux)

    def own_leaves(self) -> list[Tensor]:
        return [t for t in self.tensors if t.is_leaf]

    def settled(self, tree: Any) -> Any:
        """What a caller sees: without history, unless somebody outside follows it."""
        if self.follows:
            return tree
        leaves, structure = flatten(tree)
        settled = [t.detach() if isinstance(t, Tensor) else t for t in leaves]
        return unflatten(structure, settled)

    def pullback(self, output: Output) -> Callable[[Any], Any]:
        """From vectors like the output to their products with the Jacobian."""

        def pulled(cotangents: Any) -> Any:
            vs = like(self.who, "output", cotangents, output.structure, output.tensors)
            follows = is_grad_enabled() and (
                self.follows or any(v.requires_grad for v in vs)
            )
            with enable_grad():
                grads = grads_or_zeros(
                    self.who, output.tensors, self.tensors, vs, follows
                )
            return unflatten(self.structure, grads)

        return pulled


def like(
    who: str, what: str, given: Any, structure: Structure, tensors: Tensors
) -> Tensors:
    """The tensors of `given`, which must be like those of the input or output."""
    leaves, found = flatten(given)
    if found != structure:
        raise InvalidValue(
            f"[{who}] the vector has {len(leaves)} tensor(s), nested differently from "
            f"the {len(tensors)} of the {what}"
        )
    for leaf, t in zip(leaves, tensors, strict=True):
        if not isinstance(leaf, Tensor):
            raise InvalidValue(
                f"[{who}] a vector is made of tensors, got a {type(leaf).__name__}"
            )
        if leaf.shape != t.shape:
            raise ShapeError(
                f"[{who}] the vector has shape {leaf.shape} for a tensor of the "
                f"{what} of shape {t.shape}"
            )
    return tuple(leaves)


def numbered(who: str, argnums: Any, count: int) -> tuple[int, ...]:
    """argnums as a tuple of numbers that are not negative."""
    several = isinstance(argnums, (tuple, list))
    numbers = tuple(argnums) if several else (argnums,)
    if several and not numbers:
        raise InvalidValue(f"[{who}] argnums is empty; name an argument")
    for n in numbers:
        if not isinstance(n, int) or isinstance(n, bool):
            raise InvalidValue(
                f"[{who}] argnums must be an int or a tuple of them, got {argnums!r}"
            )
        if not -count <= n < count:
            raise InvalidValue(
                f"[{who}] argnums names argument {n}, but there are {count} by position"
            )
    wrapped = tuple(n % count for n in numbers)
    if len(set(wrapped)) < len(wrapped):
        raise InvalidValue(f"[{who}] argnums names an argument twice: {argnums!r}")
    return wrapped


def partial(
    who: str, func: Func, argnums: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Func, tuple[Any, ...]]:
    """A function of the chosen arguments alone, and those arguments."""
    at = numbered(who, argnums, len(args))

    def chosen(*values: Any) -> Any:
        merged = list(args)
        for n, value in zip(at, values, strict=True):
            merged[n] = value
        return func(*merged, **kwargs)

    return chosen, tuple(args[n] for n in at)


def _gradient(
    who: str, func: Func, argnums: Any, has_aux: bool
) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, Any, Any]]:
    def both(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
        chosen, values = partial(who, func, argnums, args, kwargs)
        point = Point(who, values)
        output, aux = point.call(chosen, has_aux)
        if not isinstance(output.value, Tensor) or output.value.ndim:
            shape = getattr(output.value, "shape", type(output.value).__name__)
            raise ShapeError(
                f"[{who}] func must return one number, a tensor of shape (), got "
                f"{shape}; reduce it, for example with .sum() or .mean(), or use "
                "fe.func.vjp or fe.func.jacrev"
            )
        with enable_grad():
            grads = grads_or_zeros(
                who,
                output.tensors,
                point.tensors,
                (ones_like(output.value).detach(),),
                point.follows,
                retain_graph=point.follows,
            )
        nested = unflatten(point.structure, grads)
        if not isinstance(argnums, (tuple, list)):
            nested = nested[0]
        return nested, point.settled(output.value), aux

    return both
