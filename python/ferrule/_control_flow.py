"""Control flow that depends on values: `cond`, `while_loop`, `scan`, `map`.

Outside of a capture they call the functions they are given, as often as the values
say, and gradients are recorded as ever. While a model is exported, each function runs
once, on symbolic tensors, into a graph of its own, which the runtime then runs as
often as the values say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _ferrule
from ._ferrule import Tensor, no_grad
from ._tree import flatten, paths, unflatten
from .amp.autocast_mode import autocast_as_now
from .autograd import Function, enable_grad, grad

__all__ = ["cond", "map", "scan", "while_loop"]

Build = Callable[[list[Tensor]], Any]


def cond(
    pred: Tensor | bool,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    operands: tuple[Any, ...] | list[Any] = (),
) -> Any:
    """`true_fn(*operands)` if `pred` is true, else `false_fn(*operands)`.

    Args:
        pred: a bool, or a tensor with one bool.
        true_fn, false_fn: functions of the operands. They may also use tensors around
            them. Captured, they must return the same structure, dtypes and shapes, and
            write into no tensor but their own.
        operands: arguments, also nested in tuples, lists, dicts, dataclasses.

    Returns:
        What the function returned.

    Raises:
        TypeError: `pred` is neither a bool nor a tensor of one; or the functions
            return different structures.
        ShapeError, DTypeError: they return different shapes or dtypes.

    Example:
        >>> import ferrule as fe
        >>> def safe_log(x):
        ...     return fe.cond((x > 0).all(), fe.log, fe.zeros_like, (x,))
        >>> safe_log(fe.tensor([1.0, -1.0])).tolist()
        [0.0, 0.0]

    References:
        As torch.cond, and lax.cond of JAX.
    """
    _check_condition("cond", pred)
    if not (isinstance(pred, Tensor) and _captured(pred)):
        return true_fn(*operands) if bool(pred) else false_fn(*operands)
    leaves, build, _ = _tensors("cond", tuple(operands))

    def branch(fn: Callable[..., Any]) -> _Body:
        return _Body(lambda *parts: fn(*build(list(parts))))

    yes, no = branch(true_fn), branch(false_fn)
    return _Cond(pred, yes, no)(leaves)


def while_loop(
    cond_fn: Callable[..., Tensor | bool],
    body_fn: Callable[..., Any],
    carried_inputs: tuple[Any, ...] | list[Any],
) -> tuple[Any, ...]:
    """Repeats `values = body_fn(*values)` while `cond_fn(*values)` is true.

    Captured, a loop has no gradient, because the number of its steps, and so of what
    would have to be kept, is known only afterwards: use `scan`.

    Args:
        cond_fn: gives a bool, or a tensor with one.
        body_fn: gives the next values: a tuple of the same structure, dtypes and
            shapes.
        carried_inputs: the first values; tensors, numbers, and containers of them.
            Numbers become tensors of no dimensions.

    Returns:
        The last values.

    Raises:
        TypeError, ShapeError, DTypeError: a step changes structure, shape or dtype.

    Example:
        >>> import ferrule as fe
        >>> def double(n, x):
        ...     return n + 1, x * 2
        >>> n, x = fe.while_loop(lambda n, x: n < 3, double, (0, fe.ones(2)))
        >>> x.tolist()
        [8.0, 8.0]

    References:
        As torch.while_loop, and lax.while_loop of JAX.
    """
    values, rebuild, names = _tensors("while_loop", tuple(carried_inputs))

    def build(parts: list[Tensor]) -> tuple[Any, ...]:
        return tuple(rebuild(parts))

    def test(*parts: Tensor) -> Any:
        keep_going = cond_fn(*build(list(parts)))
        _check_condition("while_loop", keep_going)
        return keep_going

    def step(*parts: Tensor) -> list[Tensor]:
        after = body_fn(*build(list(parts)))
        after = after if isinstance(after, (tuple, list)) else (after,)
        return _next_carry("while_loop", names, tuple(after), parts)

    while not _captured(*values):
        # Captured is also a loop of numbers that ends by a captured tensor.
        keep_going = test(*values)
        if isinstance(keep_going, Tensor) and _captured(keep_going):
            break
        if not keep_going:
            return build(values)
        values = step(*values)
    if _wants_gradient(values):
        raise _ferrule.AutogradError(
            "[while_loop] a loop whose number of steps is not known has no gradient "
            "in a graph; use fe.scan with a fixed number of steps, or call it under "
            "fe.no_grad()"
        )
    return build(_While(_Body(test), _Body(step))(values))


def scan(
    combine_fn: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    *,
    dim: int = 0,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Goes through `xs` with a state: `carry, y = combine_fn(carry, x)` at each step.

    Captured, the gradient keeps the carry of each step and computes all else again.

    Args:
        combine_fn: takes the carry and a slice of `xs`, and gives the next carry, of
            the same structure, dtypes and shapes, and results of the step, or None.
        init: the first carry; tensors, numbers, and containers of them.
        xs: tensors, or containers of them, of equal size along `dim`; None: then
            `length` is the number of steps.
        dim: the dimension of `xs` to go along; results are stacked along it, too.
        length: the number of steps, where there is no `xs`.
        reverse: go from the last slice to the first.

    Returns:
        The last carry, and the results of all steps, stacked.

    Raises:
        ValueError: neither `xs` nor `length`; or no steps outside of a capture, where
            the shapes of the results are then unknown.
        TypeError, ShapeError, DTypeError: a step changes structure, shape or dtype.

    Example:
        >>> import ferrule as fe
        >>> def step(total, x):
        ...     return total + x, total * x
        >>> total, products = fe.scan(step, fe.tensor(0.0), fe.tensor([1.0, 2.0, 3.0]))
        >>> total.item(), products.tolist()
        (6.0, [0.0, 2.0, 9.0])

    References:
        As lax.scan of JAX, and torch._higher_order_ops.scan.
    """
    carry, build_carry, names = _tensors("scan", init)
    slices, build_xs, _ = _tensors("scan", xs)
    if not slices:
        if length is None:
            raise ValueError("[scan] without xs, length must say how many steps")
        through = [_ferrule.arange(length)]
    else:
        through = slices = [x.movedim(dim, 0) for x in slices]
        for x in slices[1:]:
            if x.shape[0] != slices[0].shape[0]:
                raise _ferrule.ShapeError(
                    f"[scan] xs have sizes {slices[0].shape[0]} and {x.shape[0]} along "
                    f"dimension {dim}; they must be equal"
                )
    made: list[Build] = []

    def step(*parts: Tensor) -> list[Tensor]:
        before = parts[: len(carry)]
        x = build_xs(list(parts[len(carry) :]) if slices else [])
        result = combine_fn(build_carry(list(before)), x)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(
                f"[scan] combine_fn must return (carry, y), got {type(result).__name__}"
            )
        after = _next_carry("scan", names, result[0], before)
        ys, build, _ = _tensors("scan", result[1])
        made[:] = [build]
        return [*after, *ys]

    if _captured(*carry, *through):
        results = _Scan(_Body(step), len(carry), reverse)([*carry, *through])
    else:
        results = _eager_scan(step, carry, through, reverse)
    ys = [y.movedim(0, dim) for y in results[len(carry) :]]
    return build_carry(results[: len(carry)]), made[0](ys)


def map(f: Callable[..., Any], xs: Any, *args: Any) -> Any:
    """`f(x, *args)` for each slice `x` of `xs` along its first dimension, stacked.

    Args:
        f: gives tensors, or containers of them.
        xs: tensors, or containers of them, of equal first size.
        args: handed to every call as they are.

    Example:
        >>> import ferrule as fe
        >>> rows = fe.tensor([[1.0, 3.0], [4.0, 4.0]])
        >>> fe.map(lambda row: row / row.sum(), rows).tolist()
        [[0.25, 0.75], [0.5, 0.5]]

    References:
        As torch._higher_order_ops.map, and lax.map of JAX.
    """
    return scan(lambda carry, x: (carry, f(x, *args)), (), xs)[1]


# --- eager ------------------------------------------------------------------


def _eager_scan(
    step: Callable[..., list[Tensor]],
    carry: list[Tensor],
    xs: list[Tensor],
    reverse: bool,
) -> list[Tensor]:
    n = xs[0].shape[0]
    if n == 0:
        raise ValueError(
            "[scan] no steps: the shapes of the results are unknown; leave the call "
            "out where xs may be empty"
        )
    rows: list[list[Tensor]] = []
    for i in reversed(range(n)) if reverse else range(n):
        after = step(*carry, *(x[i] for x in xs))
        carry, ys = after[: len(carry)], after[len(carry) :]
        rows.append(ys)
    if reverse:
        rows.reverse()
    return [*carry, *(_ferrule.stack(list(ys)) for ys in zip(*rows, strict=True))]


# --- captured ---------------------------------------------------------------


class _Body:
    """A function of tensors, which runs into a region: a graph inside of a graph."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.build: Build | None = None
        self.names: list[str] = []
        self.types: list[tuple[Any, tuple[int, ...]]] = []

    def trace(
        self, inputs: list[Tensor], first_slice: int, name: str
    ) -> _ferrule.Capture:
        """Runs it once on symbolic stand-ins of `inputs`.

        Those from number `first_slice` on are given as slices.
        """
        region: _ferrule.Capture = _ferrule.capture_region(name)
        try:
            stand_ins = [
                region.region_input(t, i >= first_slice) for i, t in enumerate(inputs)
            ]
            result = self.fn(*stand_ins)
            outputs, self.build, self.names = _tensors(name, result)
            self.types = [(t.dtype, tuple(t.shape)) for t in outputs]
            region.close(outputs)
        finally:
            region.abandon()
        return region


def _emit(
    op: str,
    predicate: Tensor | None,
    carry: list[Tensor],
    xs: list[Tensor],
    reverse: bool,
    regions: list[_ferrule.Capture],
) -> list[Tensor]:
    """The results of a new node."""
    results: list[Tensor] = _ferrule.capture_control(
        op, predicate, carry, xs, reverse, regions
    )
    return results


class _Cond:
    def __init__(self, pred: Tensor, yes: _Body, no: _Body) -> None:
        self.pred, self.yes, self.no = pred, yes, no

    def __call__(self, operands: list[Tensor]) -> Any:
        n = len(operands)
        with no_grad():
            regions = [
                self.yes.trace(operands, n, "cond, if true"),
                self.no.trace(operands, n, "cond, if not"),
            ]
        _check_branches(self.yes, self.no)

        def emit() -> list[Tensor]:
            return _emit("cond", self.pred, operands, [], False, regions)

        captured = _ferrule.captured(regions)
        results = _recorded(
            emit,
            [*operands, *captured],
            lambda results, grads: self.backward(operands, captured, grads),
        )
        assert self.yes.build is not None
        return self.yes.build(results)

    def backward(
        self, operands: list[Tensor], captured: list[Tensor], grads: list[Tensor]
    ) -> list[Tensor | None]:
        n = len(operands)
        wanted = _differentiable(operands), _differentiable(captured)

        def gradient(fn: Callable[..., Any]) -> _Body:
            return _Body(
                lambda *parts: _gradients(fn, parts[:n], captured, parts[n:], wanted)
            )

        node = _Cond(self.pred, gradient(self.yes.fn), gradient(self.no.fn))
        return _spread(node([*operands, *grads]), wanted)


class _While:
    def __init__(self, test: _Body, step: _Body) -> None:
        self.test, self.step = test, step

    def __call__(self, carry: list[Tensor]) -> list[Tensor]:
        n = len(carry)
        with no_grad():
            regions = [
                self.test.trace(carry, n, "while_loop, condition"),
                self.step.trace(carry, n, "while_loop, step"),
            ]
        return _emit("while_loop", None, carry, [], False, regions)


class _Scan:
    def __init__(self, step: _Body, carried: int, reverse: bool) -> None:
        self.step, self.carried, self.reverse = step, carried, reverse

    def __call__(self, inputs: list[Tensor]) -> list[Tensor]:
        n = self.carried
        carry, xs = inputs[:n], inputs[n:]
        with no_grad():
            region = self.step.trace(inputs, n, "scan, step")
        captured = _ferrule.captured([region])
        wants = _wants_gradient([*inputs, *captured])
        if wants:
            # The gradient needs the carry that each step began with.
            keeping = _Body(lambda *parts: [*self.step.fn(*parts), *parts[:n]])
            with no_grad():
                region = keeping.trace(inputs, n, "scan, step")

        def emit() -> list[Tensor]:
            return _emit("scan", None, carry, xs, self.reverse, [region])

        if not wants:
            return emit()

        def backward(results: list[Tensor], grads: list[Tensor]) -> list[Tensor | None]:
            count = len(results) - n
            return self.backward(inputs, results[count:], captured, grads[:count])

        return _recorded(emit, [*inputs, *captured], backward)[: -n or None]

    def backward(
        self,
        inputs: list[Tensor],
        carries: list[Tensor],
        captured: list[Tensor],
        grads: list[Tensor],
    ) -> list[Tensor | None]:
        n = self.carried
        xs = inputs[n:]
        wanted = _differentiable(inputs), _differentiable(captured)
        moving = [i for i in range(n) if inputs[i].is_floating_point()]
        fixed = [i for i, yes in enumerate(wanted[1]) if yes]
        slides = [i for i in range(len(xs)) if wanted[0][n + i]]

        def step(*parts: Tensor) -> list[Tensor]:
            # carry: gradient of the carry, and the sums for what was captured;
            # slices: the carry before the step, xs, the gradients of ys.
            at = 0
            d_carry, at = parts[at : at + len(moving)], at + len(moving)
            sums, at = parts[at : at + len(fixed)], at + len(fixed)
            before, at = parts[at : at + n], at + n
            x, at = parts[at : at + len(xs)], at + len(xs)
            d_ys = parts[at:]
            full = dict(zip(moving, d_carry, strict=True))
            outs = [full.get(i) for i in range(n)]
            everything = (
                [*(i in full for i in range(n)), *wanted[0][n:]],
                wanted[1],
            )
            found = _gradients(
                self.step.fn, (*before, *x), captured, (*outs, *d_ys), everything
            )
            d_before, found = found[: len(moving)], found[len(moving) :]
            d_x, found = found[: len(slides)], found[len(slides) :]
            return [
                *d_before,
                *(s + d for s, d in zip(sums, found, strict=True)),
                *d_x,
            ]

        first = [
            *(grads[i] for i in moving),
            *(_ferrule.zeros_like(captured[i]) for i in fixed),
        ]
        node = _Scan(_Body(step), len(first), not self.reverse)
        found = node([*first, *carries, *xs, *grads[n:]])
        d_init = dict(zip(moving, found, strict=False))
        d_fixed = found[len(moving) : len(first)]
        d_xs = dict(zip(slides, found[len(first) :], strict=True))
        return [
            *(d_init.get(i) for i in range(n)),
            *(d_xs.get(i) for i in range(len(xs))),
            *_spread(d_fixed, ([], wanted[1])),
        ]


def _recorded(
    emit: Callable[[], list[Tensor]],
    inputs: list[Tensor],
    backward: Callable[[list[Tensor], list[Tensor]], list[Tensor | None]],
) -> list[Tensor]:
    """The results of `emit`, with a gradient if one is wanted."""
    if not _wants_gradient(inputs):
        return emit()
    return list(_ControlFlow.apply(emit, backward, *inputs))


class _ControlFlow(Function):
    @staticmethod
    def forward(ctx: Any, emit: Any, backward: Any, *inputs: Tensor) -> Any:
        results = emit()
        ctx.save_for_backward(*results)
        ctx.gradient = backward
        # The gradient calls the functions again: as they were called here.
        ctx.as_now = autocast_as_now(["cpu"])
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        with ctx.as_now():
            found = ctx.gradient(list(ctx.saved_tensors), list(grads))
        return (None, None, *found)


def _gradients(
    fn: Callable[..., Any],
    inputs: tuple[Tensor, ...],
    captured: list[Tensor],
    grads: tuple[Tensor | None, ...],
    wanted: tuple[list[bool], list[bool]],
) -> list[Tensor]:
    """Gradients of `fn(*inputs)` in the inputs and captured tensors that want one."""
    leaves = [
        t.detach().requires_grad_(yes) for t, yes in zip(inputs, wanted[0], strict=True)
    ]
    sources = [t for t, yes in zip(leaves, wanted[0], strict=True) if yes]
    sources += [t for t, yes in zip(captured, wanted[1], strict=True) if yes]
    recorded = _ferrule.is_grad_enabled()
    # The gradient is that of this function, not of what came before it.
    with _ferrule.Leaves(captured), enable_grad():
        outputs, _, _ = _tensors("cond", fn(*leaves))
        pairs = [
            (y, g)
            for y, g in zip(outputs, grads, strict=True)
            if g is not None and y.requires_grad
        ]
        if not pairs:
            return [_ferrule.zeros_like(t) for t in sources]
        found = grad(
            [y for y, _ in pairs],
            sources,
            [g for _, g in pairs],
            allow_unused=True,
            create_graph=recorded,
        )
    return [
        _ferrule.zeros_like(t) if g is None else g
        for t, g in zip(sources, found, strict=True)
    ]


def _spread(
    grads: list[Tensor], wanted: tuple[list[bool], list[bool]]
) -> list[Tensor | None]:
    """One gradient for each input and captured tensor, None where none is wanted."""
    rest = iter(grads)
    return [next(rest) if yes else None for group in wanted for yes in group]


# --- checks -----------------------------------------------------------------


def _captured(*tensors: Any) -> bool:
    return _ferrule.captures_control_flow() and any(
        isinstance(t, Tensor) and t.device.type == "graph" for t in tensors
    )


def _differentiable(tensors: list[Tensor]) -> list[bool]:
    return [t.requires_grad for t in tensors]


def _wants_gradient(tensors: list[Tensor]) -> bool:
    return _ferrule.is_grad_enabled() and any(t.requires_grad for t in tensors)


def _tensors(op: str, tree: Any) -> tuple[list[Tensor], Build, list[str]]:
    """The tensors in `tree`, what puts others in their places, and their names.

    Numbers become tensors. None stays where it is.
    """
    leaves, structure = flatten(tree)
    names = paths(structure)
    there = [i for i, leaf in enumerate(leaves) if leaf is not None]
    tensors = []
    for i in there:
        leaf = leaves[i]
        if isinstance(leaf, (bool, int, float, complex)):
            leaf = _ferrule.tensor(leaf)
        elif not isinstance(leaf, Tensor):
            raise TypeError(
                f"[{op}] {names[i] or 'a value'} is a {type(leaf).__name__}; tensors "
                "and numbers, also nested in tuples, lists, dicts and dataclasses, "
                "can be handed on"
            )
        tensors.append(leaf)

    def build(parts: list[Tensor]) -> Any:
        filled = dict(zip(there, parts, strict=True))
        return unflatten(structure, [filled.get(i) for i in range(len(leaves))])

    return tensors, build, [names[i] for i in there]


def _check_condition(op: str, value: Any) -> None:
    if isinstance(value, bool):
        return
    if not isinstance(value, Tensor) or value.dtype is not _ferrule.bool:
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(
            f"[{op}] the condition is {kind}; it must be a bool or a tensor with one "
            "bool, such as x.sum() > 0"
        )
    if value.numel() != 1:
        raise _ferrule.ShapeError(
            f"[{op}] the condition has shape {value.shape}; it must be one bool: "
            "reduce it with .all() or .any()"
        )


def _next_carry(
    op: str, names: list[str], after: Any, values: tuple[Tensor, ...]
) -> list[Tensor]:
    """The tensors of `after`, which must be like those before the step."""
    leaves, _, found = _tensors(op, after)
    if names != found:
        raise TypeError(
            f"[{op}] a step must return a carry of the structure it was given: "
            f"{_listed(names)}, got {_listed(found)}"
        )
    for name, old, new in zip(_carry_names(names), values, leaves, strict=True):
        if old.dtype is not new.dtype:
            raise _ferrule.DTypeError(
                f"[{op}] {name} is {old.dtype} before a step and {new.dtype} after it; "
                f"cast it with .to(fe.{old.dtype})"
            )
        if tuple(old.shape) != tuple(new.shape):
            raise _ferrule.ShapeError(
                f"[{op}] {name} has shape {old.shape} before a step and {new.shape} "
                "after it; a carry keeps its shape"
            )
    return leaves


def _carry_names(names: list[str]) -> list[str]:
    return [f"carry.{name}" if name else "carry" for name in names]


def _listed(names: list[str]) -> str:
    return ", ".join(_carry_names(names)) or "nothing"


def _check_branches(yes: _Body, no: _Body) -> None:
    if yes.names != no.names:
        raise TypeError(
            "[cond] the two functions return different structures: "
            f"{', '.join(yes.names) or 'nothing'} and "
            f"{', '.join(no.names) or 'nothing'}"
        )
    for name, a, b in zip(yes.names, yes.types, no.types, strict=True):
        what = f"result {name}" if name else "the result"
        if a[0] is not b[0]:
            raise _ferrule.DTypeError(
                f"[cond] {what} is {a[0]} if true and {b[0]} if not; cast one of them"
            )
        if a[1] != b[1]:
            raise _ferrule.ShapeError(
                f"[cond] {what} has shape {a[1]} if true and {b[1]} if not"
            )
