"""`LBFGS`: quasi-Newton steps from a history of gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._ferrule import (
    FerruleError,
    Tensor,
    enable_grad,
    is_capturing,
    no_grad,
    ops,
    zeros_like,
)
from ._line_search import Point, strong_wolfe
from .optimizer import Optimizer, Params, learning_rate

__all__ = ["LBFGS"]


_NOT_CAPTURED = (
    "cannot be exported or compiled: a step calls its closure as often as the values "
    "that it finds ask for. Export a training step with another optimizer, such as "
    "Adam; in Python, fe.compile can make the closure a graph, if it clears the "
    "gradients by model.zero_grad()"
)


def _dot(a: Tensor, b: Tensor) -> float:
    return float(a.dot(b))


def _largest(x: Tensor) -> float:
    return float(x.abs().amax()) if x.numel() else 0.0


class LBFGS(Optimizer):
    """Limited-memory BFGS: Newton's steps with a Hessian made from past gradients.

    One `step` evaluates the closure many times; it is for whole data sets rather
    than for noisy batches. All parameters form one group. Needs memory for 2 *
    history_size + 3 copies of the parameters.

    Args:
        params: parameters.
        lr: step size; with a line search the first one tried.
        max_iter: iterations a step.
        max_eval: evaluations of the closure a step; None: 1.25 * max_iter.
        tolerance_grad: stops when no gradient is larger.
        tolerance_change: stops when loss or parameters change by less.
        history_size: how many past steps make the Hessian.
        line_search_fn: "strong_wolfe", or None for steps of lr as they are.

    Raises:
        ValueError: an option is out of range, or several groups.

    Source: Nocedal and Wright, "Numerical Optimization", 2006, algorithm 7.5;
    line search as in M. Schmidt's minFunc.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([3.0, -2.0]))
        >>> optimizer = fe.optim.LBFGS([p], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (p * p).sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        13.0
        >>> [round(x, 4) + 0.0 for x in p.tolist()]
        [0.0, 0.0]
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        if self.param_groups:
            raise ValueError(
                "[LBFGS] all parameters must be in one group: they move together"
            )
        super().add_param_group(param_group)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                "[LBFGS] line_search_fn must be 'strong_wolfe' or None, got "
                f"{group['line_search_fn']!r}"
            )

    def init_state(self) -> None:
        raise ValueError(f"[LBFGS] {_NOT_CAPTURED}")

    def _entry_shape(self, key: str, param: Tensor) -> tuple[int, ...] | None:
        return None  # the first parameter holds flat state of all of them

    # --- all parameters as one vector ---------------------------------------

    @property
    def _params(self) -> list[Tensor]:
        params: list[Tensor] = self.param_groups[0]["params"]
        return params

    def _flat_grad(self) -> Tensor:
        return ops.cat(
            [
                (zeros_like(p) if p.grad is None else p.grad).detach().reshape(-1)
                for p in self._params
            ]
        )

    def _move(self, size: float, direction: Tensor) -> None:
        offset = 0
        for p in self._params:
            part = ops.slice(direction, 0, offset, offset + p.numel())
            p.add_(part.reshape(p.shape) * size)
            offset += p.numel()

    # --- the step -----------------------------------------------------------

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:
        """Minimizes by up to `max_iter` iterations.

        Args:
            closure: computes the loss and its gradients anew, and returns it.

        Returns:
            The loss before the step.

        Raises:
            FerruleError: the step is captured, see `fe.compile` and `fe.export`.
        """
        if closure is None:
            raise TypeError(
                "[LBFGS.step] needs a closure that clears the gradients, computes the "
                "loss, calls backward() and returns the loss"
            )
        if is_capturing():
            raise FerruleError(f"[LBFGS.step] {_NOT_CAPTURED}")
        self._stepped = True

        def evaluate() -> Tensor:
            with enable_grad():
                return closure()

        with no_grad():
            return self._minimize(evaluate)

    def _minimize(self, evaluate: Callable[[], Tensor]) -> Tensor:
        group = self.param_groups[0]
        lr = learning_rate(group)
        tolerance = group["tolerance_change"]
        state = self.state.setdefault(self._params[0], {"func_evals": 0, "n_iter": 0})

        first_loss = evaluate()
        loss = float(first_loss)
        evals = 1
        state["func_evals"] += 1
        grad = self._flat_grad()
        if _largest(grad) <= group["tolerance_grad"]:
            return first_loss

        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            first = state["n_iter"] == 1
            direction = self._direction(grad, state, group["history_size"])
            state["prev_flat_grad"] = grad
            state["prev_loss"] = before = loss
            size = min(1.0, 1.0 / float(grad.abs().sum())) * lr if first else lr
            state["d"], state["t"] = direction, size
            slope = _dot(grad, direction)
            if slope > -tolerance:
                break

            used = 0
            if group["line_search_fn"] is not None:
                point, used = self._search(
                    evaluate,
                    Point(size, loss, grad, slope),
                    direction,
                    tolerance,
                    group["max_eval"] - evals,
                )
                size, loss, grad = point.t, point.f, point.g
                state["t"] = size
                self._move(size, direction)
            else:
                self._move(size, direction)
                # After the last one the gradient would not be used.
                if iteration != group["max_iter"]:
                    loss = float(evaluate())
                    grad = self._flat_grad()
                    used = 1
            evals += used
            state["func_evals"] += used
            if (
                evals >= group["max_eval"]
                or _largest(grad) <= group["tolerance_grad"]
                or _largest(direction) * size <= tolerance
                or abs(loss - before) < tolerance
            ):
                break
        return first_loss

    @staticmethod
    def _direction(grad: Tensor, state: dict[str, Any], history_size: int) -> Tensor:
        """The two-loop recursion: minus the inverse Hessian times the gradient."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -grad
        dirs, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y = grad - state["prev_flat_grad"]
        s = state["d"] * float(state["t"])
        curvature = _dot(y, s)
        if curvature > 1e-10:
            if len(dirs) == history_size:
                del dirs[0], steps[0], ro[0]
            dirs.append(y)
            steps.append(s)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / _dot(y, y)
        q = -grad
        shares = [0.0] * len(dirs)
        for i in reversed(range(len(dirs))):
            shares[i] = _dot(steps[i], q) * float(ro[i])
            q = q - dirs[i] * shares[i]
        r = q * float(state["H_diag"])
        for i in range(len(dirs)):
            r = r + steps[i] * (shares[i] - _dot(dirs[i], r) * float(ro[i]))
        return r

    def _search(
        self,
        evaluate: Callable[[], Tensor],
        start: Point,
        direction: Tensor,
        tolerance: float,
        max_evals: int,
    ) -> tuple[Point, int]:
        kept = [p.clone() for p in self._params]

        def at(size: float) -> Point:
            self._move(size, direction)
            loss = float(evaluate())
            grad = self._flat_grad()
            for p, value in zip(self._params, kept, strict=True):
                p.copy_(value)
            return Point(size, loss, grad, _dot(grad, direction))

        return strong_wolfe(at, start, _largest(direction), tolerance, max_evals)
