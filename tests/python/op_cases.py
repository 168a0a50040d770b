"""The cases that every op is tested with: the examples of its definition.

An example is an argument list in Python, with generators for tensors:

    f(2, 3)      floats from a normal distribution
    p(2, 3)      positive floats, from 0.5 to 2.5
    u(2, 3)      floats from 0.1 to 0.9
    i(10, 2, 3)  integers from 0 to 9
    b(2, 3)      bools
    z(2, 3)      complex numbers, both parts from a normal distribution

and with matrices of a kind, made of others, along which derivatives are taken:

    hermitian(f(3, 3))   the Hermitian part
    positive(f(3, 3))    positive definite: a a^H + I
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import ferrule as fe
from ferrule import _ferrule

TABLE = {op["name"]: op for op in _ferrule.op_table()}


@dataclass
class Made:
    """An argument that is a function of a free array, or of a tensor."""

    free: np.ndarray
    function: Callable[[Any], Any]

    def of(self, value: Any) -> Any:
        square = value.ndim >= 2 and value.shape[-1] == value.shape[-2]
        with fe.autocast("cpu", enabled=False):  # it is no part of the call
            return self.function(value) if square else value


def adjoint(a: Any) -> Any:
    return np.conj(np.swapaxes(a, -1, -2)) if isinstance(a, np.ndarray) else a.mH


def hermitian(a: np.ndarray) -> Made:
    return Made(a, lambda x: (x + adjoint(x)) / 2)


def positive(a: np.ndarray) -> Made:
    def function(x: Any) -> Any:
        eye = np.eye(x.shape[-1])
        one = eye if isinstance(x, np.ndarray) else fe.tensor(eye).to(x.dtype)
        return x @ adjoint(x) + one

    return Made(a, function)


@dataclass
class Case:
    """One call of an op: NumPy arrays and attributes."""

    op: str
    text: str
    args: list[Any]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.op}({self.text})"

    def bound(self) -> dict[str, Any]:
        """Arguments by parameter name, with defaults."""
        given: dict[str, Any] = {}
        for p in TABLE[self.op]["parameters"]:
            if p["has_default"]:
                given[p["name"]] = p["default"]
            elif p["optional"]:
                given[p["name"]] = None
        names = [p["name"] for p in TABLE[self.op]["parameters"]]
        given.update(zip(names, map_arrays(self.args, lambda a: a), strict=False))
        given.update({k: map_arrays(v, lambda a: a) for k, v in self.kwargs.items()})
        for p in TABLE[self.op]["parameters"]:
            if p["fixed_len"] == 2 and isinstance(given[p["name"]], int):
                given[p["name"]] = (given[p["name"]],) * 2
        return given

    def arrays(self) -> list[np.ndarray]:
        """Every array, in order; lists element by element."""
        found: list[np.ndarray] = []
        map_arrays([*self.args, *self.kwargs.values()], lambda a: found.append(a))
        return found

    def written(self) -> list[np.ndarray]:
        """The arrays that the op writes in place."""
        bound = self.bound()
        names = [p["name"] for p in TABLE[self.op]["parameters"] if p["mutated"]]
        found: list[np.ndarray] = []
        map_arrays([bound[name] for name in names], lambda a: found.append(a))
        return found

    def call(self, dtype: Any = None, arrays: list[Any] | None = None) -> Any:
        """Runs the op. Floats become `dtype`, complex numbers have such parts;
        `arrays` replaces the tensors.
        """
        stream = iter(arrays) if arrays is not None else None

        def convert(a: np.ndarray) -> Any:
            if stream is not None:
                return next(stream)
            t = fe.tensor(a)
            if dtype is None or a.dtype.kind not in "fc":
                return t
            return t.to(dtype if a.dtype.kind == "f" else dtype.to_complex())

        args = map_arrays(self.args, convert)
        kwargs = {k: map_arrays(v, convert) for k, v in self.kwargs.items()}
        return getattr(_ferrule.ops, self.op)(*args, **kwargs)


def map_arrays(value: Any, function: Any) -> Any:
    if isinstance(value, np.ndarray):
        return function(value)
    if isinstance(value, Made):
        result = function(value.free)
        return None if result is None else value.of(result)
    if isinstance(value, (list, tuple)):
        return type(value)(map_arrays(v, function) for v in value)
    return value


def windows(
    x: np.ndarray,
    kernel: tuple[int, int],
    stride: tuple[int, int] | int,
    padding: tuple[int, int],
    ceil_mode: bool,
    pad: float,
) -> np.ndarray:
    """Windows of images, for references: (..., rows, columns, *kernel).

    Padding has the value `pad`; cells that only ceil_mode reaches are NaN.
    """
    stride = (stride,) * 2 if isinstance(stride, int) else stride
    at = []
    for axis in (0, 1):
        n, k, s, p = x.shape[axis - 2], kernel[axis], stride[axis], padding[axis]
        count = (n + 2 * p - k + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1  # a window must begin inside
        at.append(np.arange(count)[:, None] * s + np.arange(k))
        width = [(0, 0)] * x.ndim
        width[axis - 2] = (p, p)
        x = np.pad(x, width, constant_values=pad)
        width[axis - 2] = (0, k + s)
        x = np.pad(x, width, constant_values=np.nan)
    rows, columns = at
    return x[..., rows[:, None, :, None], columns[None, :, None, :]]


class _Generators(dict):
    """What an example may call. `grow` makes large tensors of small ones."""

    def __init__(self, seed: int, grow: Any) -> None:
        rng = np.random.default_rng(seed)

        def shape(s: tuple[int, ...]) -> tuple[int, ...]:
            return grow(s)

        super().__init__(
            f=lambda *s: rng.standard_normal(shape(s)),
            p=lambda *s: rng.uniform(0.5, 2.5, shape(s)),
            u=lambda *s: rng.uniform(0.1, 0.9, shape(s)),
            i=lambda high, *s: rng.integers(0, high, shape(s)),
            b=lambda *s: rng.random(shape(s)) < 0.5,
            z=lambda *s: (
                rng.standard_normal(shape(s)) + 1j * rng.standard_normal(shape(s))
            ),
            hermitian=hermitian,
            positive=positive,
            fe=fe,
            np=np,
            _pack=lambda *args, **kwargs: (list(args), kwargs),
        )


def cases(op: str, grow: Any = lambda s: s, seed: int = 1000) -> list[Case]:
    """The examples of an op, one a line of its definition."""
    result = []
    lines = [x for x in (TABLE[op]["examples"] or "").split("\n") if x.strip()]
    for k, line in enumerate(lines):
        space = _Generators(seed + k, grow)
        args, kwargs = eval(f"_pack({line})", space)
        args = [np.asarray(a) if isinstance(a, np.generic) else a for a in args]
        result.append(Case(op, line.strip(), args, kwargs))
    return result


def tensors_of(result: Any) -> list[fe.Tensor]:
    """The tensors of a result: one, several, or none."""
    if result is None:
        return []
    return list(result) if isinstance(result, (tuple, list)) else [result]
