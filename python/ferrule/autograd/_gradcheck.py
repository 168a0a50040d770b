"""Compares gradients with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._ferrule import (
    AutogradError,
    DTypeError,
    Tensor,
    float64,
    from_numpy,
    grad,
    ops,
)

__all__ = ["gradcheck", "gradgradcheck"]

_SHOWN = 5


def gradcheck(
    fn: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Checks the gradients of a function against central differences.

    Every entry must satisfy
    abs(analytical - numerical) <= atol + rtol * abs(numerical), with
    numerical = (fn(x + eps) - fn(x - eps)) / (2 eps).

    Args:
        fn: gives a tensor or several; must not be random.
        inputs: its arguments. Those that require a gradient, which must be
            float64 or complex128, are checked.
        eps: step of the differences.
        atol: absolute tolerance.
        rtol: relative tolerance.
        raise_exception: False returns False where an entry differs.

    Returns:
        True.

    Raises:
        AutogradError: entries differ, those that differ most are listed; or no
            input requires a gradient.
        DTypeError: an input that requires a gradient has another dtype.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([0.5, -1.0], dtype=fe.float64, requires_grad=True)
        >>> fe.autograd.gradcheck(fe.tanh, [x])
        True
    """
    fn, args = _in_reals(fn, [inputs] if isinstance(inputs, Tensor) else list(inputs))
    checked = _checked(args)
    # Leaves of our own: the caller's tensors and gradients stay as they are.
    for i in checked:
        args[i] = args[i].detach().clone().requires_grad_()
    outputs = _differentiable(fn(*args))
    if not outputs:
        raise AutogradError(
            "[gradcheck] no floating output of the function depends on an input that "
            "requires a gradient"
        )
    leaves = [args[i] for i in checked]
    problems: list[str] = []
    numerical = {i: _numerical(fn, args, i, eps) for i in checked}
    for j, output in outputs:
        analytical = _analytical(output, leaves)
        for i, found in zip(checked, analytical, strict=True):
            problems += _compare(found, numerical[i][j], i, j, atol, rtol)
    if problems and raise_exception:
        raise AutogradError("[gradcheck] gradients differ:\n" + "\n".join(problems))
    return not problems


def gradgradcheck(
    fn: Callable[..., Tensor | Sequence[Tensor]],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Checks second derivatives: `gradcheck` of the gradient of a function.

    Args:
        fn: as of `gradcheck`.
        inputs: as of `gradcheck`.
        grad_outputs: what the gradients of the outputs are taken to be; None:
            random numbers, the same every time.
        eps: step of the differences.
        atol: absolute tolerance.
        rtol: relative tolerance.
        raise_exception: False returns False where an entry differs.

    Returns:
        True.

    Raises:
        AutogradError, DTypeError: as of `gradcheck`.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([0.5, -1.0], dtype=fe.float64, requires_grad=True)
        >>> fe.autograd.gradgradcheck(lambda x: x * x * x, [x])
        True
    """
    fn, args = _in_reals(fn, [inputs] if isinstance(inputs, Tensor) else list(inputs))
    checked = _checked(args)
    if grad_outputs is None:
        random = np.random.Generator(np.random.Philox(0))
        weights = [
            from_numpy(np.asarray(random.uniform(0.5, 1.5, o.shape))).to(o.dtype)
            for _, o in _differentiable(fn(*args))
        ]
    elif isinstance(grad_outputs, Tensor):
        weights = [grad_outputs]
    else:
        weights = list(grad_outputs)
    weights = [w.detach().clone().requires_grad_() for w in weights]

    def gradient(*both: Any) -> tuple[Tensor, ...]:
        own, given = both[: len(args)], both[len(args) :]
        outputs = [output for _, output in _differentiable(fn(*own))]
        leaves = [own[i] for i in checked]
        found = grad(outputs, leaves, list(given), create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    if not any(g.requires_grad for g in gradient(*args, *weights)):
        return True  # the gradient is constant, as that of sign
    return gradcheck(gradient, [*args, *weights], eps, atol, rtol, raise_exception)


def _in_reals(
    fn: Callable[..., Any], args: list[Any]
) -> tuple[Callable[..., Any], list[Any]]:
    """The function with pairs of real numbers in place of complex ones.

    So the gradient of a complex number is checked as that of its two parts.
    """
    places = [
        i
        for i, a in enumerate(args)
        if isinstance(a, Tensor) and a.requires_grad and a.is_complex()
    ]
    real = list(args)
    for i in places:
        real[i] = ops.view_as_real(args[i].detach().contiguous()).requires_grad_()

    def paired(*own: Any) -> list[Tensor]:
        given = list(own)
        for i in places:
            given[i] = ops.view_as_complex(own[i])
        return [
            ops.view_as_real(t) if t.is_complex() else t for t in _as_list(fn(*given))
        ]

    return paired, real


def _checked(args: list[Any]) -> list[int]:
    """Places of the arguments that require a gradient."""
    places = [
        i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad
    ]
    if not places:
        raise AutogradError("[gradcheck] no input requires a gradient")
    for i in places:
        if args[i].dtype != float64:
            raise DTypeError(
                f"[gradcheck] input {i} is {args[i].dtype}; differences need float64: "
                "make it with dtype=ferrule.float64"
            )
    return places


def _as_list(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)


def _differentiable(result: Any) -> list[tuple[int, Tensor]]:
    """Outputs with a history, with their places."""
    return [(i, t) for i, t in enumerate(_as_list(result)) if t.requires_grad]


def _numerical(
    fn: Callable[..., Any], args: list[Any], place: int, eps: float
) -> list[np.ndarray]:
    """Jacobians (inputs, outputs) of all outputs by argument `place`."""
    base = np.array(args[place].detach().numpy())

    def run(k: int, step: float) -> list[np.ndarray]:
        moved = base.copy()
        moved.reshape(-1)[k] += step
        # Leaves, so that functions that take gradients themselves work.
        changed = list(args)
        changed[place] = from_numpy(moved).requires_grad_()
        result = _as_list(fn(*changed))
        return [np.array(t.detach().numpy(), np.float64).reshape(-1) for t in result]

    rows = [
        [(a - b) / (2.0 * eps) for a, b in zip(run(k, eps), run(k, -eps), strict=True)]
        for k in range(base.size)
    ]
    if not rows:
        empty = list(args)
        empty[place] = from_numpy(base.copy()).requires_grad_()
        return [np.zeros((0, t.numel())) for t in _as_list(fn(*empty))]
    return [np.stack(column) for column in zip(*rows, strict=True)]


def _analytical(output: Tensor, leaves: list[Tensor]) -> list[np.ndarray]:
    """Jacobians (inputs, outputs) of one output by every leaf, row by row."""
    size = output.numel()
    jacobians = [np.zeros((leaf.numel(), size)) for leaf in leaves]
    for k in range(size):
        unit = np.zeros(output.shape)
        unit.reshape(-1)[k] = 1.0
        seed = from_numpy(unit).to(output.dtype)
        found = grad([output], leaves, [seed], retain_graph=True, allow_unused=True)
        for jacobian, g in zip(jacobians, found, strict=True):
            if g is not None:
                jacobian[:, k] = np.array(g.detach().numpy()).reshape(-1)
    return jacobians


def _compare(
    analytical: np.ndarray,
    numerical: np.ndarray,
    place: int,
    output: int,
    atol: float,
    rtol: float,
) -> list[str]:
    """Lines on the entries that differ, the worst first."""
    excess = np.abs(analytical - numerical) - (atol + rtol * np.abs(numerical))
    bad = ~(excess <= 0)  # also NaN
    if not bad.any():
        return []
    lines = [
        f"  output {output} by input {place}: {int(bad.sum())} of {bad.size} entries"
    ]
    order = np.argsort(-np.where(np.isnan(excess), np.inf, excess), axis=None)
    for flat in order[: min(_SHOWN, int(bad.sum()))]:
        row, column = np.unravel_index(flat, excess.shape)
        lines.append(
            f"    d output[{column}] / d input[{row}]: analytical "
            f"{analytical[row, column]:.9g}, numerical {numerical[row, column]:.9g}"
        )
    return lines
