"""Random programs of views, writes, indexing and arithmetic, run side by side.

A program is a list of steps; each is one line for Ferrule (and PyTorch, whose
spelling is the same) and one for NumPy. Afterwards every variable must have the
same shape, dtype and values, and the gradient of a weighted sum of all variables
must agree.

NumPy gets its derivatives from the complex step (Squire and Trapp, "Using complex
variables to estimate derivatives of real functions", 1998): floats are complex
numbers x + i h d for a random direction d, every step is analytic in the branch it
takes, and the imaginary part of the objective is h times its derivative along d,
without cancellation. Views and writes are NumPy's own. A write under no_grad
changes real parts only.

    python tests/python/fuzz.py --programs 1000000 --jobs 2
    python tests/python/fuzz.py --program 4711 --show
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import ferrule as fe

STEP = 1e-40  # h: its square vanishes beside 1
INPUTS = ("p", "q")  # the leaves that require gradients


@dataclass(frozen=True)
class Step:
    """One line of a program. `torch` is None where PyTorch has no such thing."""

    ferrule: str
    numpy: str
    torch: str | None

    @property
    def target(self) -> str:
        return self.numpy.split(" ", 1)[0]


@dataclass
class Program:
    seed: int
    shapes: dict[str, tuple[int, ...]]
    steps: list[Step] = field(default_factory=list)

    def inputs(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(self.seed)
        return {
            name: np.array(rng.uniform(-1, 1, shape).round(3))
            for name, shape in self.shapes.items()
        }

    def text(self) -> str:
        """The program as a script that shows both sides."""
        lines = ["import numpy as np", "import ferrule as fe", ""]
        for name, value in self.inputs().items():
            data = f"np.array({value.tolist()}).reshape({value.shape})"
            lines.append(f"{name} = fe.tensor({data}, requires_grad=True)")
        for step in self.steps:
            lines.append(f"{step.ferrule:58}  # {step.numpy}")
        return "\n".join(lines)


# --- running


@functools.lru_cache(maxsize=200_000)
def compiled(line: str) -> Any:
    return compile(line, line, "exec")


def dense(x: Any) -> np.ndarray:
    """A result as a fresh row-major array, as Ferrule's ops give it."""
    return np.array(x, order="C")


def windows(x: np.ndarray, dim: int, size: int, step: int) -> np.ndarray:
    w = np.lib.stride_tricks.sliding_window_view(
        x, size, dim, writeable=x.flags.writeable and step >= size
    )
    return w[(slice(None),) * dim + (slice(None, None, step),)]


def write_real(x: np.ndarray, value: Any) -> None:
    """What a write under no_grad does: the derivative knows nothing of it."""
    (x.real if x.dtype.kind == "c" else x)[...] = value


NUMPY = {
    "np": np,
    "C": dense,
    "windows": windows,
    "write_real": write_real,
    "real": lambda x: x.real,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.where(x.real > 0, x, 0),
    "clamp": lambda x, low, high: np.where(
        x.real < low, low, np.where(x.real > high, high, x)
    ),
}


def weights(shape: tuple[int, ...]) -> np.ndarray:
    n = int(np.prod(shape))
    return (np.arange(n) % 7 - 2.5).reshape(shape) / max(n, 1)


class NumpyRun:
    """A program in NumPy, one step at a time."""

    def __init__(self, program: Program) -> None:
        rng = np.random.default_rng(program.seed + 1)
        self.variables: dict[str, Any] = {}
        self.directions: dict[str, np.ndarray] = {}
        for name, value in program.inputs().items():
            d = np.asarray(rng.uniform(-1, 1, value.shape))
            x = dense(value + 1j * STEP * d)
            x.flags.writeable = False  # as a leaf that requires a gradient
            self.variables[name] = x
            self.directions[name] = d
        for step in program.steps:
            self.do(step)

    def do(self, step: Step) -> None:
        with np.errstate(all="ignore"):
            exec(compiled(step.numpy), NUMPY, self.variables)

    def objective(self) -> complex:
        total = 0j
        for x in self.variables.values():
            if x.dtype.kind == "c":
                total += (x * weights(x.shape)).sum()
        return total


class TensorRun:
    """A program in Ferrule or PyTorch, with the gradients of its objective."""

    def __init__(self, program: Program, module: Any, spelling: str) -> None:
        space = {"fe": module, "np": np}
        self.variables: dict[str, Any] = {}
        self.gradients: dict[str, np.ndarray] | None = None
        for name, value in program.inputs().items():
            self.variables[name] = module.tensor(value, requires_grad=True)
        for step in program.steps:
            exec(compiled(getattr(step, spelling)), space, self.variables)
        self.differentiate(module)

    def differentiate(self, module: Any) -> None:
        total = None
        for x in self.variables.values():
            if x.dtype != module.float64 or not x.requires_grad:
                continue
            term = (x * module.tensor(weights(tuple(x.shape)))).sum()
            total = term if total is None else total + term
        leaves = [self.variables[name] for name in INPUTS]
        try:
            total.backward()
        except RuntimeError as error:
            # The program wrote over what a gradient needs.
            if "in place" not in str(error) and "inplace" not in str(error):
                raise
            return
        self.gradients = {
            name: np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
            for name, leaf in zip(INPUTS, leaves, strict=True)
        }


def close(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-11, equal_nan=True))


def difference(program: Program, torch: Any = None) -> str | None:
    """What differs between the libraries after a program; None: nothing."""
    expected = NumpyRun(program)
    try:
        got = TensorRun(program, fe, "ferrule")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    for name, x in expected.variables.items():
        t = got.variables[name]
        dtype = "float64" if x.dtype.kind == "c" else str(x.dtype)
        if tuple(t.shape) != x.shape:
            return f"{name} has shape {tuple(t.shape)}, in NumPy {x.shape}"
        if str(t.dtype).split(".")[-1] != dtype:
            return f"{name} is {t.dtype}, in NumPy {dtype}"
        if not close(t.detach().numpy(), x.real):
            return f"{name} is\n{t.tolist()}\nin NumPy\n{x.real.tolist()}"
    if got.gradients is None:
        return None if saved_and_written(program) else "backward refused for no reason"
    along = sum(
        float((got.gradients[name] * d).sum())
        for name, d in expected.directions.items()
    )
    want = expected.objective().imag / STEP
    if not close(along, want):
        return f"derivative along the direction is {along!r}, in NumPy {want!r}"
    if torch is None or any(step.torch is None for step in program.steps):
        return None
    other = TensorRun(program, torch, "torch")
    for name, t in got.variables.items():
        if not close(t.detach().numpy(), other.variables[name].detach().numpy()):
            return f"{name} differs from PyTorch's"
    if other.gradients is None:
        return None
    for name in INPUTS:
        if not close(got.gradients[name], other.gradients[name]):
            return (
                f"gradient of {name} is\n{got.gradients[name].tolist()}\n"
                f"in PyTorch\n{other.gradients[name].tolist()}"
            )
    return None


def saved_and_written(program: Program) -> bool:
    """May a gradient have needed memory that was written afterwards?

    A cautious answer: was any variable written that an earlier step read?
    """
    run = NumpyRun(Program(program.seed, program.shapes))
    read: list[np.ndarray] = []
    for step in program.steps:
        before = dict(run.variables)
        run.do(step)
        name = step.target
        if not name.isidentifier() or before.get(name) is run.variables.get(name):
            target = before.get(name.split(".")[0].split("[")[0])
            if target is None:  # a call: the first argument is written
                target = before.get(step.numpy.split("(")[-1].split(",")[0].strip())
            if target is None or any(np.shares_memory(target, r) for r in read):
                return True
        read += before.values()
    return False


# --- generating


class Generator:
    """Writes a program, executing it in NumPy to know shapes as it goes."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        shapes = {name: self.shape() for name in INPUTS}
        self.program = Program(seed, shapes)
        self.run = NumpyRun(self.program)
        self.fresh = (f"v{i}" for i in itertools.count())

    # Choices.

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def number(self, low: int, high: int) -> int:
        """In [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, items: Any) -> Any:
        items = list(items)
        return items[int(self.rng.integers(len(items)))]

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        rank = self.number(0, 4) if rank is None else rank
        return tuple(
            0 if self.chance(0.02) else self.number(1, 4) for _ in range(rank)
        )

    def scalar(self) -> float:
        return round(float(self.rng.uniform(-1.5, 1.5)), 2)

    def names(self, test: Callable[[np.ndarray], Any]) -> list[str]:
        return [n for n, x in self.run.variables.items() if test(x)]

    def variable(
        self, kinds: str = "ciub", test: Callable[[np.ndarray], Any] = lambda x: True
    ) -> str:
        """A variable, newer ones more often; LookupError when there is none."""
        names = self.names(lambda x: x.dtype.kind in kinds and test(x))
        if not names:
            raise LookupError
        if self.chance(0.6):
            names = names[-4:]
        return self.pick(names)

    def target(self, kinds: str = "ciu") -> str:
        return self.variable(kinds, lambda x: x.flags.writeable)

    def value(self, name: str) -> np.ndarray:
        return self.run.variables[name]

    def operand(self, like: np.ndarray, kinds: str = "c") -> tuple[str, str]:
        """Something that broadcasts to `like`, for Ferrule and NumPy."""
        if self.chance(0.3):
            v = repr(self.scalar() if like.dtype.kind == "c" else self.number(0, 5))
            return v, v

        def fits(x: np.ndarray) -> bool:
            try:
                return np.broadcast_shapes(x.shape, like.shape) == like.shape
            except ValueError:
                return False

        name = self.variable(kinds, fits)
        return name, name

    # Writing it down.

    def add(
        self, ferrule: str, numpy: str | None = None, torch: str | None = "same"
    ) -> None:
        """Appends a step unless NumPy refuses it."""
        step = Step(ferrule, numpy or ferrule, ferrule if torch == "same" else torch)
        before = dict(self.run.variables)
        try:
            self.run.do(step)
        except (ValueError, IndexError, TypeError):
            self.run.variables = before
            return
        x = self.run.variables.get(step.target)
        small = x is None or (x.size <= 512 and x.ndim <= 6)
        if not small or not self.tame():
            # Too large to be quick or to be compared: start over without it.
            self.run = NumpyRun(self.program)
            return
        self.program.steps.append(step)

    def tame(self) -> bool:
        return all(
            x.dtype.kind != "c" or np.all(np.abs(x.real) < 1e3)
            for x in self.run.variables.values()
        )

    def view(self) -> None:
        """A view by one of many ways."""
        a = self.variable()
        x = self.value(a)
        v = next(self.fresh)
        n = x.ndim
        dims = [int(d) for d in self.rng.permutation(n)]
        kind = self.pick(
            "key key key transpose permute expand unsqueeze squeeze reshape reshape "
            "view narrow select movedim diagonal unfold contiguous flatten T mT "
            "swapaxes chunk split unbind as_strided detach".split()
        )
        if kind == "key":
            key = self.basic_key(x.shape)
            negative = "::-" in key
            tail = "" if "..." in key else ", ..." if key else "..."
            copied = f"C({a}[{key}{tail}])" if negative else f"{a}[{key}{tail}]"
            self.add(f"{v} = {a}[{key or '...'}]", f"{v} = {copied}", *[None] * negative)
        elif kind == "transpose" and n:
            i, j = self.pick(dims), self.pick(dims)
            self.add(f"{v} = {a}.transpose({i}, {j - n})", f"{v} = np.swapaxes({a}, {i}, {j})")
        elif kind == "swapaxes" and n:
            i, j = self.pick(dims), self.pick(dims)
            self.add(f"{v} = {a}.swapaxes({i}, {j})")
        elif kind == "permute":
            self.add(f"{v} = {a}.permute({tuple(dims)})", f"{v} = {a}.transpose({tuple(dims)})")
        elif kind == "expand":
            new = [self.number(1, 3) if s == 1 else s for s in x.shape]
            shape = (*self.shape(self.number(0, 1)), *new)
            self.add(f"{v} = {a}.expand({shape})", f"{v} = np.broadcast_to({a}, {shape})")
        elif kind == "unsqueeze":
            d = self.number(-n - 1, n)
            self.add(f"{v} = {a}.unsqueeze({d})", f"{v} = np.expand_dims({a}, {d})")
        elif kind == "squeeze":
            shape = tuple(s for s in x.shape if s != 1)
            self.add(f"{v} = {a}.squeeze()", f"{v} = {a}.reshape({shape})")
        elif kind in ("reshape", "view"):
            shape = self.other_shape(x.size)
            if kind == "view" and not x.flags.c_contiguous:
                return
            self.add(f"{v} = {a}.{kind}({shape})", f"{v} = {a}.reshape({shape})")
        elif kind == "flatten":
            self.add(f"{v} = {a}.flatten()", f"{v} = {a}.reshape(-1)" if x.size else None)
        elif kind == "narrow" and n:
            d = self.pick(dims)
            start = self.number(0, x.shape[d])
            length = self.number(0, x.shape[d] - start)
            part = ", ".join([":"] * d + [f"{start}:{start + length}"])
            self.add(f"{v} = {a}.narrow({d}, {start}, {length})", f"{v} = {a}[{part}]")
        elif kind == "select" and n and x.shape[dims[0]]:
            d = dims[0]
            i = self.number(-x.shape[d], x.shape[d] - 1)
            part = ", ".join([":"] * d + [str(i), "..."])
            self.add(f"{v} = {a}.select({d}, {i})", f"{v} = {a}[{part}]")
        elif kind == "movedim" and n:
            i, j = self.pick(dims), self.pick(dims)
            self.add(f"{v} = {a}.movedim({i}, {j})", f"{v} = np.moveaxis({a}, {i}, {j})")
        elif kind == "diagonal" and n >= 2:
            k = self.number(-2, 2)
            args = f"{k}, {dims[0]}, {dims[1]}"
            # NumPy's is read-only and may become a copy.
            self.add(f"{v} = {a}.diagonal({args})", f"{v} = diagonal({a}, {args})")
        elif kind == "unfold" and n and x.shape[dims[0]]:
            d = dims[0]
            size, step = self.number(1, x.shape[d]), self.number(1, 3)
            self.add(f"{v} = {a}.unfold({d}, {size}, {step})", f"{v} = windows({a}, {d}, {size}, {step})")
        elif kind == "contiguous":
            copied = a if x.flags.c_contiguous else f"C({a})"
            self.add(f"{v} = {a}.contiguous()", f"{v} = {copied}")
        elif kind == "T" and n == 2:
            self.add(f"{v} = {a}.T")
        elif kind == "mT" and n >= 2:
            self.add(f"{v} = {a}.mT")
        elif kind in ("chunk", "split") and n and x.shape[dims[0]]:
            d = dims[0]
            size = self.number(1, x.shape[d])
            if kind == "chunk":
                size = -(-x.shape[d] // size)
                count = -(-x.shape[d] // size)
                call = f"chunk({count}, {d})"
            else:
                count = -(-x.shape[d] // size)
                call = f"split({size}, {d})"
            i = self.number(0, count - 1)
            part = ", ".join([":"] * d + [f"{i * size}:{(i + 1) * size}"])
            self.add(f"{v} = {a}.{call}[{i}]", f"{v} = {a}[{part}]")
        elif kind == "unbind" and n and x.shape[dims[0]]:
            d, i = dims[0], self.number(0, x.shape[dims[0]] - 1)
            part = ", ".join([":"] * d + [str(i), "..."])
            self.add(f"{v} = {a}.unbind({d})[{i}]", f"{v} = {a}[{part}]")
        elif kind == "as_strided" and x.flags.c_contiguous and x.size > 1:
            step = self.number(1, 2)
            count = self.number(1, (x.size - 1) // step + 1)
            first = f"{a}.reshape(-1)[:{(count - 1) * step + 1}:{step}]"
            self.add(
                f"{v} = {a}.as_strided(({count},), ({step},))", f"{v} = {first}"
            )
        elif kind == "detach" and x.dtype.kind == "c":
            self.add(f"{v} = {a}.detach().clone()", f"{v} = C({a}.real + 0j)")

    def other_shape(self, size: int) -> tuple[int, ...]:
        shape: list[int] = []
        rest = size
        while rest > 1 and len(shape) < 3:
            d = self.pick([d for d in range(1, rest + 1) if rest % d == 0])
            shape.append(d)
            rest //= d
        shape.append(rest)
        if self.chance(0.2) and size:
            shape[self.number(0, len(shape) - 1)] = -1
        return tuple(shape)

    def basic_key(self, shape: tuple[int, ...]) -> str:
        parts: list[str] = []
        used = False
        for n in shape[: self.number(0, len(shape))]:
            if self.chance(0.15):
                parts.append("None")
            if not used and self.chance(0.1):
                parts.append("...")
                used = True
                break
            if n and self.chance(0.35):
                parts.append(str(self.number(-n, n - 1)))
            else:
                parts.append(self.slice(n))
        return ", ".join(parts)

    def slice(self, n: int) -> str:
        start = "" if self.chance(0.4) else str(self.number(-n - 1, n + 1))
        stop = "" if self.chance(0.4) else str(self.number(-n - 1, n + 1))
        if self.chance(0.08):
            return f"::-{self.number(1, 2)}"
        step = f":{self.number(1, 3)}" if self.chance(0.3) else ""
        return f"{start}:{stop}{step}"

    def index_list(self, n: int, unique: bool) -> str:
        count = self.number(1, min(n, 3) if unique else 3)
        if unique:
            items = self.rng.permutation(n)[:count] - n * self.number(0, 1)
        else:
            items = self.rng.integers(-n, n, count)
        return str([int(i) for i in items])

    def advanced_key(self, shape: tuple[int, ...], unique: bool) -> str:
        """Index lists and masks among slices and ints. `unique`: no element is
        named twice."""
        parts: list[str] = []
        lists = 0
        count: int | None = None
        for n in shape:
            if n and lists < 2 and self.chance(0.5):
                text = self.index_list(n, unique)
                size = text.count(",") + 1
                if count is not None and size not in (1, count):
                    parts.append(":")
                    continue
                if count is None or size > 1:
                    count = size
                parts.append(text)
                lists += 1
            elif n and self.chance(0.2):
                parts.append(str(self.number(-n, n - 1)))
            elif self.chance(0.1):
                parts.append("None, :")
            else:
                parts.append(self.slice(n).replace("::-", "::"))
        if lists == 0:
            raise LookupError
        return ", ".join(parts)

    def mask_of(self, shape: tuple[int, ...]) -> str:
        return str((self.rng.random(shape) < 0.5).tolist())

    def compute(self) -> None:
        """A new tensor."""
        v = next(self.fresh)
        kind = self.pick(
            "binary binary binary scalar unary unary sum mean cat stack where matmul "
            "index index mask clone flip cumsum new new gather int_binary compare "
            "masked_fill clamp repeat take roll".split()
        )
        if kind in ("binary", "where"):
            a = self.variable("c")
            b = self.variable(
                "ciu" if kind == "binary" else "c",
                lambda x: broadcasts(x.shape, self.value(a).shape),
            )
            if kind == "where":
                self.add(
                    f"{v} = fe.where({a} > {b}, {a}, {b})",
                    f"{v} = C(np.where(real({a}) > real({b}), {a}, {b}))",
                )
                return
            op = self.pick("+-*")
            # Mostly on copies, so that later writes spare what is saved.
            left, right = (
                (f"{a}.clone()", f"{b}.clone()") if op == "*" and self.chance(0.85) else (a, b)
            )
            self.add(f"{v} = {left} {op} {right}", f"{v} = C({a} {op} {b})")
        elif kind == "scalar":
            a, s = self.variable("c"), self.scalar()
            line = self.pick([f"{a} * {s}", f"{s} - {a}", f"{a} + {s}", f"{a} / {s or 1.0}", f"-{a}"])
            self.add(f"{v} = {line}", f"{v} = C({line})")
        elif kind == "unary":
            a = self.variable("c")
            f, g = self.pick(
                [("sin", "np.sin"), ("cos", "np.cos"), ("tanh", "np.tanh"),
                 ("sigmoid", "sigmoid"), ("relu", "relu")]
            )
            source = f"{a}.clone()" if self.chance(0.85) else a
            self.add(f"{v} = fe.{f}({source})", f"{v} = C({g}({a}))")
        elif kind in ("sum", "mean", "cumsum", "flip", "roll"):
            a = self.variable("c")
            n = self.value(a).ndim
            d = self.number(-n, n - 1) if n else None
            if kind in ("cumsum", "flip", "roll"):
                if d is None:
                    return
                text = f"1, {d}" if kind == "roll" else f"{d}"
                self.add(f"{v} = fe.{kind}({a}, {text})", f"{v} = C(np.{kind}({a}, {text}))")
            elif d is not None and self.chance(0.8) and self.value(a).size:
                keep = self.chance(0.3)
                self.add(
                    f"{v} = {a}.{kind}({d}, keepdim={keep})",
                    f"{v} = C({a}.{kind}({d}, keepdims={keep}))",
                )
            elif kind == "sum":
                self.add(f"{v} = {a}.sum()", f"{v} = C({a}.sum())")
        elif kind in ("cat", "stack"):
            a = self.variable("c")
            x = self.value(a)
            b = self.variable("c", lambda y: y.shape == x.shape)
            d = self.number(-x.ndim, x.ndim - 1) if x.ndim else 0
            if kind == "cat" and x.ndim == 0:
                return
            f = "concatenate" if kind == "cat" else "stack"
            self.add(f"{v} = fe.{kind}([{a}, {b}], {d})", f"{v} = np.{f}([{a}, {b}], {d})")
        elif kind == "matmul":
            a = self.variable("c", lambda x: x.ndim >= 1)
            k = self.value(a).shape[-1]
            b = self.variable(
                "c", lambda x: x.ndim >= 1 and x.shape[max(x.ndim - 2, 0)] == k
            )
            left, right = (f"{a}.clone()", f"{b}.clone()") if self.chance(0.85) else (a, b)
            self.add(f"{v} = {left} @ {right}", f"{v} = C({a} @ {b})")
        elif kind == "index":
            a = self.variable()
            key = self.advanced_key(self.value(a).shape, unique=False)
            self.add(f"{v} = {a}[{key}]", f"{v} = C({a}[{key}])")
        elif kind == "mask":
            a = self.variable("ci", lambda x: x.ndim > 0 and 0 not in x.shape)
            shape = self.value(a).shape[: self.number(1, self.value(a).ndim)]
            key = f"np.array({self.mask_of(shape)})"
            self.add(f"{v} = {a}[{key}]", f"{v} = C({a}[{key}])")
        elif kind == "clone":
            a = self.variable()
            self.add(f"{v} = {a}.clone()", f"{v} = C({a})")
        elif kind == "new":
            shape = self.shape()
            self.add(
                f"{v} = fe.zeros({shape}, dtype=fe.float64)",
                f"{v} = np.zeros({shape}, complex)",
            )
        elif kind == "gather":
            a = self.variable("c", lambda x: x.ndim > 0 and 0 not in x.shape)
            x = self.value(a)
            d = self.number(0, x.ndim - 1)
            shape = list(x.shape)
            shape[d] = self.number(1, 3)
            index = self.rng.integers(0, x.shape[d], shape).tolist()
            self.add(
                f"{v} = {a}.gather({d}, fe.tensor({index}))",
                f"{v} = np.take_along_axis({a}, np.array({index}), {d})",
            )
        elif kind == "take":
            a = self.variable("c", lambda x: x.ndim > 0 and 0 not in x.shape)
            x = self.value(a)
            d = self.number(0, x.ndim - 1)
            index = [int(i) for i in self.rng.integers(0, x.shape[d], self.number(1, 4))]
            self.add(
                f"{v} = {a}.index_select({d}, fe.tensor({index}))",
                f"{v} = np.take({a}, {index}, {d})",
            )
        elif kind == "int_binary":
            ints = self.names(lambda x: x.dtype.kind in "iu")
            if not ints or self.chance(0.4):
                shape = self.shape(self.number(0, 3))
                dtype = self.pick(["int64", "int32", "uint8", "int8"])
                data = self.rng.integers(0, 9, shape).tolist()
                self.add(
                    f"{v} = fe.tensor({data}, dtype=fe.{dtype}).reshape({shape})",
                    f"{v} = np.array({data}, np.{dtype}).reshape({shape})",
                )
                return
            a = self.variable("iu")
            b = self.variable("iu", lambda x: broadcasts(x.shape, self.value(a).shape))
            op = self.pick("+ - * & | ^ // %".split())
            if op in ("//", "%"):
                b = str(self.number(1, 5))
            self.add(f"{v} = {a} {op} {b}", f"{v} = C({a} {op} {b})")
        elif kind == "compare":
            a = self.variable("ciu")
            op, s = self.pick(["<", ">=", "!="]), self.number(0, 2)
            self.add(f"{v} = {a} {op} {s}", f"{v} = C(real({a}) {op} {s})")
        elif kind == "masked_fill":
            a = self.variable("c")
            s = self.scalar()
            self.add(
                f"{v} = {a}.masked_fill({a} > 0.1, {s})",
                f"{v} = C(np.where(real({a}) > 0.1, {s}, {a}))",
            )
        elif kind == "clamp":
            a = self.variable("c")
            self.add(
                f"{v} = {a}.clone().clamp(-0.4, 0.6)", f"{v} = C(clamp({a}, -0.4, 0.6))"
            )
        elif kind == "repeat":
            a = self.variable("c", lambda x: x.size < 30)
            times = tuple(self.number(1, 2) for _ in self.value(a).shape)
            self.add(f"{v} = {a}.repeat({times})" if times else f"{v} = {a}.clone()",
                     f"{v} = np.tile({a}, {times})" if times else f"{v} = C({a})")

    def write(self) -> None:
        """Writes over a tensor or a part of it."""
        a = self.target()
        x = self.value(a)
        inexact = x.dtype.kind == "c"
        kind = self.pick(
            "augment augment method key key key key advanced advanced mask copy fill "
            "unary no_grad masked_fill augment_key index_add index_put scatter".split()
        )
        if kind == "augment":
            v, w = self.operand(x, "c" if inexact else "iu")
            op = self.pick("+ - *".split())
            if not inexact and v.isidentifier() and self.value(v).dtype != x.dtype:
                return
            self.add(f"{a} {op}= {v}", f"{a} {op}= {w}")
        elif kind == "method" and inexact:
            v, w = self.operand(x)
            f, op = self.pick([("add_", "+="), ("sub_", "-="), ("mul_", "*=")])
            self.add(f"{a}.{f}({v})", f"{a}[...] {op} {w}")
        elif kind in ("key", "augment_key"):
            key = self.basic_key(x.shape) or "..."
            part = x[eval(f"np.s_[{key}]")]
            v, w = self.operand(np.asarray(part), "c" if inexact else "iu")
            negative = "::-" in key
            op = "=" if kind == "key" else self.pick(["+=", "*="])
            if not inexact and v.isidentifier() and self.value(v).dtype != x.dtype:
                return
            self.add(f"{a}[{key}] {op} {v}", f"{a}[{key}] {op} {w}", *[None] * negative)
        elif kind == "advanced":
            key = self.advanced_key(x.shape, unique=True)
            part = x[eval(f"np.s_[{key}]")]
            v, w = self.operand(np.asarray(part), "c" if inexact else "iu")
            op = self.pick(["=", "=", "+=", "*="])
            if not inexact and v.isidentifier() and self.value(v).dtype != x.dtype:
                return
            self.add(f"{a}[{key}] {op} {v}", f"{a}[{key}] {op} {w}")
        elif kind == "mask" and x.ndim and 0 not in x.shape:
            shape = x.shape[: self.number(1, x.ndim)]
            text = self.mask_of(shape)
            part = x[np.array(eval(text))]
            v, w = self.operand(part, "c" if inexact else "iu")
            if not inexact and v.isidentifier() and self.value(v).dtype != x.dtype:
                return
            op = self.pick(["=", "=", "*="])
            self.add(
                f"{a}[fe.tensor({text})] {op} {v}", f"{a}[np.array({text})] {op} {w}"
            )
        elif kind == "copy" and inexact:
            v, w = self.operand(x)
            if not v.isidentifier():
                v = f"fe.tensor({v}, dtype=fe.float64)"
            self.add(f"{a}.copy_({v})", f"{a}[...] = {w}")
        elif kind == "fill":
            s = self.scalar() if inexact else self.number(0, 9)
            if self.chance(0.3):
                self.add(f"{a}.zero_()", f"{a}[...] = 0")
            else:
                self.add(f"{a}.fill_({s})", f"{a}[...] = {s}")
        elif kind == "unary" and inexact:
            f, g = self.pick([("sin_", "np.sin"), ("tanh_", "np.tanh"), ("neg_", "np.negative"), ("relu_", "relu")])
            self.add(f"{a}.{f}()", f"{a}[...] = {g}({a})")
        elif kind == "no_grad" and inexact:
            s = self.scalar()
            self.add(
                f"with fe.no_grad(): {a}.mul_({s})", f"write_real({a}, {a}.real * {s})"
            )
        elif kind == "masked_fill" and inexact:
            s = self.scalar()
            self.add(
                f"{a}.masked_fill_({a} < 0.2, {s})", f"{a}[real({a}) < 0.2] = {s}"
            )
        elif kind == "index_add" and inexact and x.ndim and 0 not in x.shape:
            d = self.number(0, x.ndim - 1)
            n = self.number(1, 3)
            index = [int(i) for i in self.rng.integers(0, x.shape[d], n)]
            shape = (*x.shape[:d], n, *x.shape[d + 1 :])
            b = self.variable("c", lambda y: y.shape == shape)
            key = ", ".join([":"] * d + [str(index)])
            self.add(
                f"{a}.index_add_({d}, fe.tensor({index}), {b})",
                f"np.add.at({a}, np.s_[{key}], {b}.copy())",
            )
        elif kind == "index_put" and inexact and x.ndim and x.shape[0]:
            index = [int(i) for i in self.rng.integers(-x.shape[0], x.shape[0], 2)]
            v, w = self.operand(x[index])
            if not v.isidentifier():
                v = f"fe.tensor({v}, dtype=fe.float64)"
            copy = f"{w}.copy()" if w.isidentifier() else w
            self.add(
                f"{a}.index_put_((fe.tensor({index}),), {v}, accumulate=True)",
                f"np.add.at({a}, {index}, {copy})",
            )
        elif kind == "scatter" and inexact and x.ndim and 0 not in x.shape:
            d = self.number(0, x.ndim - 1)
            b = self.variable("c", lambda y: y.shape == x.shape)
            order = np.argsort(self.rng.random(x.shape), axis=d).tolist()
            self.add(
                f"{a}.scatter_({d}, fe.tensor({order}), {b})",
                f"np.put_along_axis({a}, np.array({order}), {b}.copy(), {d})",
            )

    def generate(self) -> Program:
        # Something that may be written, made of the leaves.
        for name in INPUTS:
            self.add(f"{next(self.fresh)} = {name} * 1.0", None)
            last = self.program.steps[-1]
            self.program.steps[-1] = Step(last.ferrule, f"{last.target} = C({name} * 1.0)", last.ferrule)
        self.run = NumpyRun(self.program)
        wanted = self.number(5, 30)
        for _ in range(4 * wanted):
            if len(self.program.steps) >= wanted:
                break
            make = self.pick([self.view, self.view, self.compute, self.write, self.write])
            try:
                make()
            except LookupError:
                continue
        return self.program


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


def diagonal(x: np.ndarray, offset: int, dim1: int, dim2: int) -> np.ndarray:
    """A diagonal that shares memory and can be written."""
    at = [d for d in range(x.ndim) if d not in (dim1, dim2)]
    part = x.transpose([*at, dim1, dim2])
    rows, columns = part.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    part = part[..., max(-offset, 0) :, max(offset, 0) :][..., :length, :length]
    return np.lib.stride_tricks.as_strided(
        part,
        (*part.shape[:-2], length),
        (*part.strides[:-2], part.strides[-1] + part.strides[-2]),
        writeable=x.flags.writeable,
    )


NUMPY["diagonal"] = diagonal


# --- shrinking


def shrink(program: Program, torch: Any = None) -> Program:
    """Leaves out steps as long as the rest still differs."""

    def differs(steps: list[Step]) -> bool:
        candidate = Program(program.seed, program.shapes, steps)
        try:
            return difference(candidate, torch) is not None
        except Exception:  # NumPy cannot run it: it is no program
            return False

    steps = list(program.steps)
    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(steps))):
            rest = steps[:i] + steps[i + 1 :]
            if differs(rest):
                steps = rest
                changed = True
    return Program(program.seed, program.shapes, steps)


def report(program: Program, torch: Any = None) -> str:
    small = shrink(program, torch)
    return f"{small.text()}\n\n# seed {program.seed}: {difference(small, torch)}"


def failures(seeds: range, torch: Any = None) -> Iterator[str]:
    for seed in seeds:
        program = Generator(seed).generate()
        if difference(program, torch) is not None:
            yield report(program, torch)


# --- by hand


def work(job: tuple[range, bool]) -> tuple[int, list[str]]:
    seeds, with_torch = job
    return len(seeds), list(failures(seeds, load_torch() if with_torch else None))


def load_torch() -> Any:
    import torch

    torch.set_num_threads(1)
    return torch


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--programs", type=int, default=20_000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--torch", action="store_true", help="compare with PyTorch too")
    parser.add_argument("--program", type=int, help="run only the one of this seed")
    parser.add_argument("--show", action="store_true", help="print that program")
    args = parser.parse_args()
    fe.set_num_threads(1)
    if args.program is not None:
        program = Generator(args.program).generate()
        torch = load_torch() if args.torch else None
        if args.show:
            print(program.text())
        found = difference(program, torch)
        print(report(program, torch) if found else "no difference")
        return int(found is not None)
    start, done, bad = time.monotonic(), 0, 0
    size = 500
    end = args.seed + args.programs
    jobs = [
        (range(s, min(s + size, end)), args.torch)
        for s in range(args.seed, end, size)
    ]
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for count, found in pool.imap(work, jobs):
            done += count
            bad += len(found)
            for text in found:
                print(text, end="\n\n", flush=True)
            rate = done / (time.monotonic() - start)
            print(
                f"{done} programs, {bad} with differences, {rate:.0f}/s",
                file=sys.stderr,
                flush=True,
            )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
