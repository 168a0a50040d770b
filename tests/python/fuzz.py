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
import multiprocessing
import sys
import time
from collections.abc import Iterator
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


@functools.lru_cache(maxsize=4096)
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


def diagonal(x: np.ndarray, offset: int, dim1: int, dim2: int) -> np.ndarray:
    """A diagonal that shares memory and can be written, unlike NumPy's."""
    rest = [d for d in range(x.ndim) if d not in (dim1, dim2)]
    part = x.transpose([*rest, dim1, dim2])
    rows, columns = part.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    part = part[..., max(-offset, 0) :, max(offset, 0) :][..., :length, :length]
    return np.lib.stride_tricks.as_strided(
        part,
        (*part.shape[:-2], length),
        (*part.strides[:-2], part.strides[-1] + part.strides[-2]),
        writeable=x.flags.writeable,
    )


NUMPY = {
    "np": np,
    "diagonal": diagonal,
    "C": dense,
    "windows": windows,
    "write_real": write_real,
    "real": lambda x: x.real,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "neg": np.negative,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "relu": lambda x: np.where(x.real > 0, x, 0),
    "clamp": lambda x, low, high: np.where(
        x.real < low, low, np.where(x.real > high, high, x)
    ),
}


@functools.cache
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
    if np.array_equal(a, b):
        return True
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-11, equal_nan=True))


def difference(
    program: Program, torch: Any = None, expected: NumpyRun | None = None
) -> str | None:
    """What differs between the libraries after a program; None: nothing."""
    expected = expected or NumpyRun(program)
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
    try:
        other = TensorRun(program, torch, "torch")
    except (RuntimeError, TypeError):
        return None  # it refuses, for example operands that overlap the target
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
        read += run.variables.values()  # a result may be kept, too
    return False


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


def generate(seed: int) -> tuple[Program, NumpyRun]:
    """A program, and what came of it in NumPy while it was written."""
    from fuzz_steps import Generator

    generator = Generator(seed)
    return generator.generate(), generator.run


def failures(seeds: range, torch: Any = None) -> Iterator[str]:
    for seed in seeds:
        program, run = generate(seed)
        if difference(program, torch, run) is not None:
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
        program, _ = generate(args.program)
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
        (range(s, min(s + size, end)), args.torch) for s in range(args.seed, end, size)
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
