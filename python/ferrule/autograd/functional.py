"""Jacobians, Hessians and their products with vectors, of Python functions.

Every function here takes `func`, which maps tensors to tensors, and `inputs`, a
tensor or a tuple of them. Results have the structure of `func`'s outputs and of
`inputs`: a tensor for a tensor, a tuple for a tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._ferrule import (
    ShapeError,
    Tensor,
    enable_grad,
    ones_like,
    ops,
    zeros_like,
)
from ._products import Linear, Tensors, grads_or_zeros

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Func = Callable[..., Any]

_OUTPUTS = "the outputs of func"


def vjp(
    func: Func,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs of `func`, and `v` times its Jacobian: a backward pass.

    Args:
        func: from tensors to a tensor or a tuple of them.
        inputs: the point, a tensor or a tuple.
        v: in the structure and shapes of the outputs; may be left out if there
            is one output with one element.
        create_graph: record it, so that the results can be differentiated.
        strict: an error where an output does not depend on an input; without
            it, such gradients are zeros.

    Returns:
        (outputs, products), the products like `inputs`.

    Raises:
        AutogradError: `strict`, and something is independent.
        ShapeError: `v` does not fit the outputs.
        TypeError: something is not a tensor.

    Example:
        >>> import ferrule as fe
        >>> from ferrule.autograd.functional import vjp
        >>> x = fe.tensor([1.0, 2.0])
        >>> vjp(lambda t: t * t, x, fe.tensor([1.0, 10.0]))[1].tolist()
        [2.0, 40.0]
    """
    with enable_grad():
        xs = _prepared("vjp", inputs, create_graph)
        raw = func(*xs)
        ys = _tensors("vjp", _OUTPUTS, raw)
        vs = _vectors("vjp", "outputs", v, ys)
        grads = grads_or_zeros("vjp", ys, xs, vs, create_graph, strict)
    return _like(raw, ys, create_graph), _like(inputs, grads, create_graph)


def jvp(
    func: Func,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs of `func`, and its Jacobian times `v`.

    Args:
        func: from tensors to a tensor or a tuple of them.
        inputs: the point, a tensor or a tuple.
        v: in the structure and shapes of the inputs; may be left out if there
            is one input with one element.
        create_graph: record it, so that the results can be differentiated.
        strict: an error where an output does not depend on an input.

    Returns:
        (outputs, products), the products like the outputs.

    Raises:
        AutogradError: `strict`, and something is independent.
        ShapeError: `v` does not fit the inputs.
        TypeError: something is not a tensor.

    Example:
        >>> import ferrule as fe
        >>> from ferrule.autograd.functional import jvp
        >>> x = fe.tensor([1.0, 2.0])
        >>> jvp(lambda t: (t * t).sum(), x, fe.tensor([1.0, 10.0]))[1].item()
        42.0

    It costs two backward passes: see Linear in autograd/_products.py.

    Source: J. Townsend, "A new trick for calculating Jacobian vector products"
    (2017).
    """
    with enable_grad():
        xs = _prepared("jvp", inputs, create_graph)
        vs = _vectors("jvp", "inputs", v, xs)
        raw = func(*xs)
        ys = _tensors("jvp", _OUTPUTS, raw)
        products = Linear("jvp", ys, xs, strict)(vs, create_graph)
    return _like(raw, ys, create_graph), _like(raw, products, create_graph)


def jacobian(
    func: Func,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of `func`, row by row: a backward pass for each.

    Args:
        func: from tensors to a tensor or a tuple of them.
        inputs: the point, a tensor or a tuple.
        create_graph: record it, so that the result can be differentiated.
        strict: an error where an output does not depend on an input.
        vectorize: one backward pass for all rows at once, by fe.vmap; quicker, with
            as many times the memory.
        strategy: "reverse-mode", or "forward-mode", a product for every column, which
            needs `vectorize`: for few inputs and many outputs.

    Returns:
        For one input and one output a tensor of the output's shape followed by
        the input's; a tuple with an entry an input and, outside of it, one
        with an entry an output, where `inputs` or the outputs are tuples.

    Raises:
        ValueError: no such `strategy`, or one that does not go with the others.
        AutogradError: `strict`, and something is independent.
        TypeError: something is not a tensor.

    Example:
        >>> import ferrule as fe
        >>> from ferrule.autograd.functional import jacobian
        >>> jacobian(lambda t: t * t, fe.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    _check_strategy("jacobian", strategy, vectorize, strict)
    with enable_grad():
        xs = _prepared("jacobian", inputs, create_graph)
        raw = func(*xs)
        ys = _tensors("jacobian", _OUTPUTS, raw)
        if vectorize:
            table = _mapped_jacobian(ys, xs, create_graph, strategy)
        else:
            table = [_jacobian_of(y, xs, create_graph, strict) for y in ys]
    rows = tuple(_like(inputs, row, create_graph) for row in table)
    return rows if isinstance(raw, tuple) else rows[0]


def hessian(
    func: Func,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of a function with one output of one element.

    Args:
        func: from tensors to a tensor with one element.
        inputs: the point, a tensor or a tuple.
        create_graph: record it, so that the result can be differentiated.
        strict: an error where the output, or its gradient, does not depend on
            an input.
        vectorize, outer_jacobian_strategy: as `vectorize` and `strategy` of jacobian,
            for the Jacobian of the gradient.

    Returns:
        For one input a tensor of its shape twice over; for a tuple the blocks,
        in a tuple of tuples.

    Raises:
        ShapeError: the output does not have one element.
        ValueError: no such strategy, or one that does not go with the others.
        AutogradError: `strict`, and something is independent.
        TypeError: something is not a tensor.

    Example:
        >>> import ferrule as fe
        >>> from ferrule.autograd.functional import hessian
        >>> hessian(lambda t: (t**3).sum(), fe.tensor([1.0, 2.0])).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    strategy = outer_jacobian_strategy
    _check_strategy("hessian", strategy, vectorize, strict)

    def gradient(*xs: Tensor) -> Any:
        y = _single("hessian", func, xs)
        grads = grads_or_zeros("hessian", (y,), xs, (ones_like(y),), True, strict)
        return grads if isinstance(inputs, tuple) else grads[0]

    return jacobian(gradient, inputs, create_graph, strict, vectorize, strategy)


def vhp(
    func: Func,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output of `func`, and `v` times its Hessian.

    Args:
        func: from tensors to a tensor with one element.
        inputs: the point, a tensor or a tuple.
        v: in the structure and shapes of the inputs; may be left out if there
            is one input with one element.
        create_graph: record it, so that the results can be differentiated.
        strict: an error where the output, or its gradient, does not depend on
            an input.

    Returns:
        (output, products), the products like `inputs`.

    Raises:
        ShapeError: the output does not have one element, or `v` does not fit.
        AutogradError: `strict`, and something is independent.

    Example:
        >>> import ferrule as fe
        >>> from ferrule.autograd.functional import vhp
        >>> vhp(lambda t: (t**3).sum(), fe.tensor([1.0]), fe.tensor([2.0]))[1].tolist()
        [12.0]
    """
    with enable_grad():
        xs = _prepared("vhp", inputs, create_graph)
        vs = _vectors("vhp", "inputs", v, xs)
        y = _single("vhp", func, xs)
        grads = grads_or_zeros("vhp", (y,), xs, (ones_like(y),), True, strict)
        products = grads_or_zeros("vhp", grads, xs, vs, create_graph, strict)
    return _settled(y, create_graph), _like(inputs, products, create_graph)


def hvp(
    func: Func,
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output of `func`, and its Hessian times `v`.

    For a Hessian that is symmetric the same as `vhp`, which is cheaper: see
    there for arguments and errors.

    Returns:
        (output, products), the products like `inputs`.

    Example:
        >>> import ferrule as fe
        >>> from ferrule.autograd.functional import hvp
        >>> hvp(lambda t: (t**3).sum(), fe.tensor([1.0]), fe.tensor([2.0]))[1].tolist()
        [12.0]

    Source: see jvp.
    """
    with enable_grad():
        xs = _prepared("hvp", inputs, create_graph)
        vs = _vectors("hvp", "inputs", v, xs)
        y = _single("hvp", func, xs)
        grads = grads_or_zeros("hvp", (y,), xs, (ones_like(y),), True, strict)
        products = Linear("hvp", grads, xs, strict)(vs, create_graph)
    return _settled(y, create_graph), _like(inputs, products, create_graph)


# --- parts


def _check_strategy(who: str, strategy: str, vectorize: bool, strict: bool) -> None:
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(
            f"[{who}] the strategy is 'reverse-mode' or 'forward-mode', got "
            f"'{strategy}'"
        )
    if strategy == "forward-mode" and not vectorize:
        raise ValueError(f"[{who}] forward-mode needs vectorize=True")
    if vectorize and strict:
        raise ValueError(f"[{who}] strict=True needs vectorize=False")


def _tensors(who: str, what: str, given: Any) -> Tensors:
    entries = given if isinstance(given, tuple) else (given,)
    for entry in entries:
        if not isinstance(entry, Tensor):
            raise TypeError(
                f"[{who}] {what} must be a tensor or a tuple of tensors, got "
                f"{type(entry).__name__}"
            )
    return entries


def _prepared(who: str, inputs: Any, create_graph: bool) -> Tensors:
    """Inputs that are recorded from here on; with `create_graph`, from before."""
    xs = _tensors(who, "inputs", inputs)
    if create_graph:
        return tuple(
            x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in xs
        )
    return tuple(x.detach().requires_grad_() for x in xs)


def _single(who: str, func: Func, xs: Tensors) -> Tensor:
    ys = _tensors(who, _OUTPUTS, func(*xs))
    if len(ys) != 1 or ys[0].numel() != 1:
        shapes = ", ".join(str(y.shape) for y in ys)
        raise ShapeError(
            f"[{who}] func must return one tensor with one element, got {shapes}"
        )
    return ys[0]


def _vectors(who: str, of: str, v: Any, like: Tensors) -> Tensors:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise ShapeError(
                f"[{who}] v may be left out only if the {of} are one element; give "
                f"tensors of their shapes"
            )
        return (ones_like(like[0]).detach(),)
    vs = _tensors(who, "v", v)
    shapes = [t.shape for t in like]
    if [t.shape for t in vs] != shapes:
        raise ShapeError(
            f"[{who}] v has shapes {[t.shape for t in vs]}, the {of} {shapes}"
        )
    return vs


def _jacobian_of(y: Tensor, xs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    flat = y.reshape((-1,))
    rows: list[Tensors] = []
    for i in range(flat.shape[0]):
        one = (ones_like(flat[i]).detach(),)
        rows.append(
            grads_or_zeros("jacobian", (flat[i],), xs, one, create_graph, strict)
        )
    if not rows:
        return tuple(
            zeros_like(x).detach().reshape((-1,))[:0].reshape((*y.shape, *x.shape))
            for x in xs
        )
    return tuple(
        ops.stack([row[k] for row in rows]).reshape((*y.shape, *x.shape))
        for k, x in enumerate(xs)
    )


def _mapped_jacobian(
    ys: Tensors, xs: Tensors, create_graph: bool, strategy: str
) -> list[Tensors]:
    from ..func import _jacobian as mapped  # which imports this package

    if strategy == "forward-mode":
        linear = Linear("jacobian", ys, xs)
        table = mapped.columns_of(lambda *vs: linear(vs, create_graph), ys, xs)
    else:
        table = mapped.rows_of(
            lambda *vs: grads_or_zeros("jacobian", ys, xs, vs, create_graph), ys, xs
        )
    return [tuple(row) for row in table]


def _settled(t: Tensor, create_graph: bool) -> Tensor:
    return t if create_graph else t.detach()


def _like(structure: Any, values: Tensors, create_graph: bool) -> Any:
    settled = tuple(_settled(v, create_graph) for v in values)
    return settled if isinstance(structure, tuple) else settled[0]
