"""What the programs of fuzz.py are made of: one method for each kind of step.

A method chooses its operands among the variables that there are, looks at their
shapes in NumPy, and adds one line for each library. When it finds no operand that
fits it raises LookupError or adds nothing, and another step is tried.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fuzz import INPUTS, NumpyRun, Program, Step

LARGEST = 512  # elements of a variable
MOST_DIMS = 8  # of a tensor of Ferrule

# What values are compared with. Inputs have three decimals, and a sum or quotient of
# them that is exactly a bound in float64 may round to either side of it in float32.
LOW, HIGH, LEVEL = -0.400053, 0.600041, 0.200037


def times(n: int) -> Callable[[Any], Any]:
    """A step that is n times as likely as others of its family."""

    def mark(method: Any) -> Any:
        method.weight = n
        return method

    return mark


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


def at(dim: int, key: Any) -> str:
    """A key for one dimension, which keeps 0-d results arrays."""
    return ", ".join([":"] * dim + [str(key), "..."])


class Generator:
    """Writes a program, executing it in NumPy to know shapes as it goes."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.program = Program(seed, {name: self.shape() for name in INPUTS})
        self.run = NumpyRun(self.program)
        self.fresh = (f"v{i}" for i in itertools.count())

    def generate(self) -> Program:
        for name in INPUTS:  # something made of the leaves that may be written
            self.new(f"{name} * 1.0", f"C({name} * 1.0)")
        wanted = self.number(5, 30)
        families = ["view", "view", "compute", "write", "write"]
        for _ in range(4 * wanted):
            if len(self.program.steps) >= wanted:
                break
            step = self.pick(STEPS[self.pick(families)])
            try:
                getattr(self, step)()
            except LookupError:
                continue
        return self.program

    # --- choices

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def number(self, low: int, high: int) -> int:
        """In [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, items: Any) -> Any:
        if not items:
            raise LookupError
        return items[int(self.rng.integers(len(items)))]

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        rank = self.number(0, 4) if rank is None else rank
        return tuple(0 if self.chance(0.02) else self.number(1, 4) for _ in range(rank))

    def scalar(self) -> float:
        return round(float(self.rng.uniform(-1.5, 1.5)), 2)

    def dim(self, x: np.ndarray, filled: bool = False) -> int:
        """A dimension; `filled`: that is not empty."""
        return self.pick([d for d in range(x.ndim) if x.shape[d] or not filled])

    def variable(
        self, kinds: str = "ciub", test: Callable[[np.ndarray], Any] = lambda x: True
    ) -> tuple[str, np.ndarray]:
        """A variable, newer ones more often. Floats are of kind c here."""
        found = [
            (name, x)
            for name, x in self.run.variables.items()
            if x.dtype.kind in kinds and test(x)
        ]
        return self.pick(found[-4:] if self.chance(0.6) else found)

    def target(self, kinds: str = "ciu") -> tuple[str, np.ndarray]:
        """One that may be written: no leaf, nothing that overlaps itself."""
        return self.variable(kinds, lambda x: x.flags.writeable and x.size)

    def filled(self, kinds: str = "c") -> tuple[str, np.ndarray]:
        return self.variable(kinds, lambda x: x.ndim > 0 and x.size > 0)

    def operand(self, like: np.ndarray) -> str:
        """A number or a variable that can be written into `like`."""
        inexact = like.dtype.kind == "c"
        if self.chance(0.3):
            return repr(self.scalar() if inexact else self.number(0, 5))

        def fits(x: np.ndarray) -> bool:
            same = x.dtype.kind == "c" if inexact else x.dtype == like.dtype
            return (
                same
                and broadcasts(x.shape, like.shape)
                and np.broadcast_shapes(x.shape, like.shape) == like.shape
            )

        return self.variable("ciu", fits)[0]

    def tensor(self, text: str) -> str:
        """An operand as a tensor, where Ferrule takes no number."""
        return text if text.isidentifier() else f"fe.tensor({text}, dtype=fe.float64)"

    def copied(self, text: str) -> str:
        """An operand for NumPy where that does not read what overlaps first."""
        return f"{text}.copy()" if text.isidentifier() else text

    def saved(self, name: str) -> str:
        """An operand that a gradient keeps: mostly a copy, so that later writes
        do not make the gradient impossible."""
        return f"{name}.clone()" if self.chance(0.85) else name

    # --- writing it down

    def new(self, ferrule: str, numpy: str, torch: bool = True) -> None:
        """A step that defines a variable."""
        v = next(self.fresh)
        # PyTorch gives results the layout of the operands.
        dense = f"({ferrule}).contiguous()" if numpy.startswith("C(") else ferrule
        self.add(
            f"{v} = {ferrule}", f"{v} = {numpy}", f"{v} = {dense}" if torch else ""
        )

    def write(self, target: str, ferrule: str, numpy: str, torch: bool = True) -> None:
        """A step that writes over a variable."""
        x = self.run.variables[target]
        for name in re.findall(r"\b(?:v\d+|p|q)\b", ferrule.replace(target, "", 1)):
            # What PyTorch does then is not defined; NumPy and Ferrule read first.
            torch &= not np.shares_memory(x, self.run.variables[name])
        self.add(ferrule, numpy, ferrule if torch else "")

    def add(self, ferrule: str, numpy: str, torch: str) -> None:
        """Appends a step unless NumPy refuses it or it gets out of hand."""
        step = Step(ferrule, numpy, torch or None)
        before = dict(self.run.variables)
        try:
            self.run.do(step)
        except (ValueError, IndexError, TypeError):
            self.run.variables = before
            return
        changed = re.match(r"(?:with .*: )?(\w+)", ferrule)
        if changed and self.tame(self.run.variables[changed[1]]):
            self.program.steps.append(step)
        else:  # it may have written: start over without it
            self.run = NumpyRun(self.program)

    @staticmethod
    def tame(x: np.ndarray) -> bool:
        small = x.size <= LARGEST and x.ndim <= 6
        return small and (x.dtype.kind != "c" or bool((abs(x.real) < 1e3).all()))

    # --- keys

    def slice(self, n: int, negative: bool = True) -> str:
        if negative and self.chance(0.08):
            return f"::-{self.number(1, 2)}"
        start = "" if self.chance(0.4) else str(self.number(-n - 1, n + 1))
        stop = "" if self.chance(0.4) else str(self.number(-n - 1, n + 1))
        step = f":{self.number(1, 3)}" if self.chance(0.3) else ""
        return f"{start}:{stop}{step}"

    def basic_key(self, shape: tuple[int, ...]) -> str:
        parts: list[str] = []
        for n in shape[: self.number(0, len(shape))]:
            if self.chance(0.15) and parts.count("None") < MOST_DIMS - len(shape):
                parts.append("None")
            if self.chance(0.1):
                parts.append("...")
                break
            use_int = n and self.chance(0.35)
            parts.append(str(self.number(-n, n - 1)) if use_int else self.slice(n))
        return ", ".join(parts)

    def index_list(self, n: int, unique: bool) -> list[int]:
        if unique:
            chosen = self.rng.permutation(n)[: self.number(1, min(n, 3))]
            return [int(i) for i in chosen - n * self.number(0, 1)]
        return [int(i) for i in self.rng.integers(-n, n, self.number(1, 3))]

    def advanced_key(self, shape: tuple[int, ...], unique: bool) -> str:
        """Index lists among slices, ints and None. `unique`: no element twice."""
        parts: list[str] = []
        sizes: list[int] = []
        for n in shape:
            if n and len(sizes) < 2 and self.chance(0.5):
                index = self.index_list(n, unique)
                if all(len(index) == s or 1 in (len(index), s) for s in sizes):
                    sizes.append(len(index))
                    parts.append(str(index))
                    continue
            if n and self.chance(0.2):
                parts.append(str(self.number(-n, n - 1)))
            elif self.chance(0.1) and parts.count("None, :") < MOST_DIMS - len(shape):
                parts.append("None, :")
            else:
                parts.append(self.slice(n, negative=False))
        if not sizes:
            raise LookupError
        return ", ".join(parts)

    def mask(self, x: np.ndarray) -> tuple[str, np.ndarray]:
        """A mask of the first dimensions."""
        mask = self.rng.random(x.shape[: self.number(1, x.ndim)]) < 0.5
        return str(mask.tolist()), mask

    # --- views

    @times(4)
    def view_key(self) -> None:
        a, x = self.variable()
        key = self.basic_key(x.shape)
        whole = key if "..." in key else f"{key}, ..." if key else "..."
        if "::-" in key:  # Ferrule copies; PyTorch has no negative steps
            self.new(f"{a}[{key}]", f"C({a}[{whole}])", torch=False)
        else:
            self.new(f"{a}[{key or '...'}]", f"{a}[{whole}]")

    def view_transpose(self) -> None:
        a, x = self.variable()
        i, j = self.dim(x), self.dim(x)
        name = self.pick(["transpose", "swapaxes"])
        self.new(f"{a}.{name}({i}, {j - x.ndim})", f"np.swapaxes({a}, {i}, {j})")

    def view_permute(self) -> None:
        a, x = self.variable()
        dims = tuple(int(d) for d in self.rng.permutation(x.ndim))
        self.new(f"{a}.permute({dims})", f"{a}.transpose({dims})")

    def view_matrix_transpose(self) -> None:
        a, x = self.variable("ciub", lambda x: x.ndim >= 2)
        name = self.pick(["T", "mT"] if x.ndim == 2 else ["mT"])
        self.new(f"{a}.{name}", f"{a}.{name}")

    def view_movedim(self) -> None:
        a, x = self.variable()
        i, j = self.dim(x), self.dim(x)
        self.new(f"{a}.movedim({i}, {j})", f"np.moveaxis({a}, {i}, {j})")

    def view_expand(self) -> None:
        a, x = self.variable()
        grown = [self.number(1, 3) if n == 1 else n for n in x.shape]
        shape = (*self.shape(self.number(0, 1)), *grown)
        self.new(f"{a}.expand({shape})", f"np.broadcast_to({a}, {shape})")

    def view_unsqueeze(self) -> None:
        a, x = self.variable()
        d = self.number(-x.ndim - 1, x.ndim)
        self.new(f"{a}.unsqueeze({d})", f"np.expand_dims({a}, {d})")

    def view_squeeze(self) -> None:
        a, x = self.variable()
        self.new(
            f"{a}.squeeze()", f"{a}.reshape({tuple(n for n in x.shape if n != 1)})"
        )

    @times(3)
    def view_reshape(self) -> None:
        a, x = self.variable()
        shape = self.factors(x.size)
        name = "view" if x.flags.c_contiguous and self.chance(0.5) else "reshape"
        self.new(f"{a}.{name}({shape})", f"{a}.reshape({shape})")

    def factors(self, size: int) -> tuple[int, ...]:
        shape: list[int] = []
        rest = size
        while rest > 1 and len(shape) < 3:
            shape.append(self.pick([d for d in range(1, rest + 1) if rest % d == 0]))
            rest //= shape[-1]
        shape.append(rest)
        if size and self.chance(0.2):
            shape[self.number(0, len(shape) - 1)] = -1
        return tuple(shape)

    def view_flatten(self) -> None:
        a, x = self.variable()
        self.new(f"{a}.flatten()", f"{a}.reshape({x.size})")

    def view_narrow(self) -> None:
        a, x = self.variable()
        d = self.dim(x)
        start = self.number(0, x.shape[d])
        length = self.number(0, x.shape[d] - start)
        part = at(d, f"{start}:{start + length}")
        self.new(f"{a}.narrow({d}, {start}, {length})", f"{a}[{part}]")

    def view_select(self) -> None:
        a, x = self.variable()
        d = self.dim(x, filled=True)
        i = self.number(0, x.shape[d] - 1)
        call = self.pick([f"select({d}, {i - x.shape[d]})", f"unbind({d})[{i}]"])
        self.new(f"{a}.{call}", f"{a}[{at(d, i)}]")

    def view_split(self) -> None:
        a, x = self.variable()
        d = self.dim(x, filled=True)
        size = self.number(1, x.shape[d])
        call = f"split({size}, {d})"
        if self.chance(0.5):
            call = f"chunk({size}, {d})"
            size = -(-x.shape[d] // size)
        i = self.number(0, -(-x.shape[d] // size) - 1)
        part = at(d, f"{i * size}:{(i + 1) * size}")
        self.new(f"{a}.{call}[{i}]", f"{a}[{part}]")

    def view_diagonal(self) -> None:
        a, x = self.variable("ciub", lambda x: x.ndim >= 2)
        rows, columns = (int(d) for d in self.rng.permutation(x.ndim)[:2])
        args = f"{self.number(-2, 2)}, {rows}, {columns}"
        self.new(f"{a}.diagonal({args})", f"diagonal({a}, {args})")

    def view_unfold(self) -> None:
        a, x = self.variable()
        d = self.dim(x, filled=True)
        args = f"{d}, {self.number(1, x.shape[d])}, {self.number(1, 3)}"
        self.new(f"{a}.unfold({args})", f"windows({a}, {args})")

    def view_as_strided(self) -> None:
        a, x = self.variable("ciub", lambda x: x.flags.c_contiguous and x.size)
        step = self.number(1, 2)
        count = self.number(1, (x.size - 1) // step + 1)
        part = f":{(count - 1) * step + 1}:{step}"
        self.new(
            f"{a}.as_strided(({count},), ({step},))", f"{a}.reshape({x.size})[{part}]"
        )

    def view_contiguous(self) -> None:
        a, x = self.variable()
        self.new(f"{a}.contiguous()", a if x.flags.c_contiguous else f"C({a})")

    # --- new tensors

    @times(3)
    def compute_binary(self) -> None:
        a, x = self.variable("c")
        b, _ = self.variable("ciu", lambda y: broadcasts(y.shape, x.shape))
        op = self.pick("+-*")
        left, right = (self.saved(a), self.saved(b)) if op == "*" else (a, b)
        self.new(f"{left} {op} {right}", f"C({a} {op} {b})")

    def compute_with_number(self) -> None:
        (a, _), s = self.variable("c"), self.scalar()
        forms = [f"{a} * {s}", f"{s} - {a}", f"{a} + {s}", f"{a} / {s or 1.0}", f"-{a}"]
        line = self.pick(forms)
        self.new(line, f"C({line})")

    @times(2)
    def compute_unary(self) -> None:
        a, _ = self.variable("c")
        f = self.pick(["sin", "cos", "tanh", "sigmoid", "relu"])
        self.new(f"fe.{f}({self.saved(a)})", f"C({f}({a}))")

    def compute_where(self) -> None:
        a, x = self.variable("c")
        b, _ = self.variable("c", lambda y: broadcasts(y.shape, x.shape))
        self.new(
            f"fe.where({a} > {b}, {a}, {b})",
            f"C(np.where(real({a}) > real({b}), {a}, {b}))",
        )

    def compute_clamp(self) -> None:
        a, _ = self.variable("c")
        self.new(
            f"{self.saved(a)}.clamp({LOW}, {HIGH})", f"C(clamp({a}, {LOW}, {HIGH}))"
        )

    def compute_masked_fill(self) -> None:
        (a, _), s = self.variable("c"), self.scalar()
        self.new(
            f"{a}.masked_fill({a} > {LEVEL}, {s})",
            f"C(np.where(real({a}) > {LEVEL}, {s}, {a}))",
        )

    @times(2)
    def compute_reduction(self) -> None:
        a, x = self.variable("c", lambda x: x.size)
        f = self.pick(["sum", "mean"])
        if x.ndim == 0 or self.chance(0.2):
            self.new(f"{a}.{f}()", f"C({a}.{f}())")
            return
        d, keep = self.dim(x), self.chance(0.3)
        self.new(f"{a}.{f}({d}, keepdim={keep})", f"C({a}.{f}({d}, keepdims={keep}))")

    def compute_along(self) -> None:
        a, x = self.variable("c")
        d = self.dim(x)
        call = self.pick(
            [f"cumsum({a}, {d})", f"flip({a}, ({d},))", f"roll({a}, 1, {d})"]
        )
        self.new(f"fe.{call}", f"C(np.{call})")

    def compute_join(self) -> None:
        a, x = self.variable("c", lambda x: x.ndim)
        b, _ = self.variable("c", lambda y: y.shape == x.shape)
        d = self.number(-x.ndim, x.ndim - 1)
        self.new(f"fe.cat([{a}, {b}], {d})", f"C(np.concatenate([{a}, {b}], {d}))")

    def compute_stack(self) -> None:
        a, x = self.variable("c")
        b, _ = self.variable("c", lambda y: y.shape == x.shape)
        d = self.number(-x.ndim - 1, x.ndim)
        self.new(f"fe.stack([{a}, {b}], {d})", f"C(np.stack([{a}, {b}], {d}))")

    def compute_repeat(self) -> None:
        a, x = self.variable("c", lambda x: x.ndim)
        counts = tuple(self.number(1, 2) for _ in x.shape)
        self.new(f"{a}.repeat({counts})", f"C(np.tile({a}, {counts}))")

    def compute_matmul(self) -> None:
        a, x = self.variable("c", lambda x: x.ndim)

        def fits(y: np.ndarray) -> bool:
            return y.ndim > 0 and y.shape[max(y.ndim - 2, 0)] == x.shape[-1]

        b, _ = self.variable("c", fits)
        self.new(f"{self.saved(a)} @ {self.saved(b)}", f"C({a} @ {b})")

    @times(2)
    def compute_index(self) -> None:
        a, x = self.variable()
        key = self.advanced_key(x.shape, unique=False)
        # PyTorch takes ints before lists, NumPy counts them as lists.
        self.new(f"{a}[{key}]", f"C({a}[{key}])", torch=False)

    def compute_masked(self) -> None:
        a, x = self.filled("ciu")
        text, _ = self.mask(x)
        self.new(f"{a}[fe.tensor({text})]", f"C({a}[np.array({text})])")

    def compute_gather(self) -> None:
        a, x = self.filled()
        d = self.dim(x)
        shape = [self.number(1, 3) if i == d else n for i, n in enumerate(x.shape)]
        index = self.rng.integers(0, x.shape[d], shape).tolist()
        self.new(
            f"{a}.gather({d}, fe.tensor({index}))",
            f"C(np.take_along_axis({a}, np.array({index}), {d}))",
        )

    def compute_index_select(self) -> None:
        a, x = self.filled()
        d = self.dim(x)
        index = [int(i) for i in self.rng.integers(0, x.shape[d], self.number(1, 4))]
        self.new(
            f"{a}.index_select({d}, fe.tensor({index}))",
            f"C(np.take({a}, {index}, {d}))",
        )

    def compute_clone(self) -> None:
        a, _ = self.variable()
        self.new(f"{a}.clone()", f"C({a})")

    def compute_detached(self) -> None:
        a, _ = self.variable("c")
        self.new(f"{a}.detach().clone()", f"C({a}.real + 0j)")

    def compute_zeros(self) -> None:
        shape = self.shape()
        self.new(f"fe.zeros({shape}, dtype=fe.float64)", f"np.zeros({shape}, complex)")

    def compute_ints(self) -> None:
        shape, dtype = self.shape(), self.pick(["int64", "int32", "uint8", "int8"])
        data = self.rng.integers(0, 9, shape).tolist()
        self.new(
            f"fe.tensor({data}, dtype=fe.{dtype}).reshape({shape})",
            f"np.array({data}, np.{dtype}).reshape({shape})",
        )

    @times(2)
    def compute_int_binary(self) -> None:
        a, x = self.variable("iu")
        op = self.pick(["+", "-", "*", "&", "|", "^", "//", "%"])
        if op in ("//", "%"):
            b = str(self.number(1, 5))
        else:
            b, _ = self.variable("iu", lambda y: broadcasts(y.shape, x.shape))
        self.new(f"{a} {op} {b}", f"C({a} {op} {b})")

    def compute_comparison(self) -> None:
        (a, _), op, n = self.variable("ciu"), self.pick(["<", ">=", "!="]), 1
        self.new(f"{a} {op} {n}", f"C(real({a}) {op} {n})")

    # --- writes

    @times(2)
    def write_augmented(self) -> None:
        a, x = self.target()
        b, op = self.operand(x), self.pick("+-*")
        self.write(a, f"{a} {op}= {b}", f"{a} {op}= {b}")

    def write_method(self) -> None:
        a, x = self.target("c")
        b = self.operand(x)
        f, op = self.pick([("add_", "+"), ("sub_", "-"), ("mul_", "*")])
        self.write(a, f"{a}.{f}({b})", f"{a}[...] {op}= {b}")

    @times(5)
    def write_key(self) -> None:
        a, x = self.target()
        key = self.basic_key(x.shape) or "..."
        b = self.operand(np.asarray(x[eval(f"np.s_[{key}]")]))
        line = f"{a}[{key}] {self.pick(['=', '=', '=', '+=', '*='])} {b}"
        self.write(a, line, line, torch="::-" not in key)

    @times(3)
    def write_advanced(self) -> None:
        a, x = self.target()
        key = self.advanced_key(x.shape, unique=True)
        b = self.operand(x[eval(f"np.s_[{key}]")])
        part = f"{a}[{key}] {self.pick(['=', '=', '+=', '*='])}"
        self.write(a, f"{part} {b}", f"{part} {self.copied(b)}", torch=False)

    @times(2)
    def write_masked(self) -> None:
        a, x = self.target()
        if x.size == 0 or x.ndim == 0:
            raise LookupError
        text, mask = self.mask(x)
        b, op = self.operand(x[mask]), self.pick(["=", "=", "*="])
        self.write(
            a,
            f"{a}[fe.tensor({text})] {op} {b}",
            f"{a}[np.array({text})] {op} {self.copied(b)}",
        )

    def write_copy(self) -> None:
        a, x = self.target("c")
        b = self.operand(x)
        self.write(a, f"{a}.copy_({self.tensor(b)})", f"{a}[...] = {b}")

    def write_fill(self) -> None:
        a, x = self.target()
        s = self.scalar() if x.dtype.kind == "c" else self.number(0, 9)
        self.write(a, f"{a}.fill_({s})", f"{a}[...] = {s}")

    def write_zero(self) -> None:
        a, _ = self.target()
        self.write(a, f"{a}.zero_()", f"{a}[...] = 0")

    def write_unary(self) -> None:
        a, _ = self.target("c")
        f = self.pick(["sin", "tanh", "neg", "relu", "sigmoid"])
        self.write(a, f"{a}.{f}_()", f"{a}[...] = {f}({a})")

    def write_clamp(self) -> None:
        a, _ = self.target("c")
        self.write(
            a, f"{a}.clamp_({LOW}, {HIGH})", f"{a}[...] = clamp({a}, {LOW}, {HIGH})"
        )

    def write_masked_fill(self) -> None:
        (a, _), s = self.target("c"), self.scalar()
        self.write(
            a,
            f"{a}.masked_fill_({a} < {LEVEL}, {s})",
            f"{a}[real({a}) < {LEVEL}] = {s}",
        )

    def write_unrecorded(self) -> None:
        (a, _), s = self.target("c"), self.scalar()
        self.write(
            a, f"with fe.no_grad(): {a}.mul_({s})", f"write_real({a}, {a}.real * {s})"
        )

    def write_index_add(self) -> None:
        a, x = self.target("c")
        d = self.dim(x, filled=True)
        index = [int(i) for i in self.rng.integers(0, x.shape[d], self.number(1, 3))]
        shape = (*x.shape[:d], len(index), *x.shape[d + 1 :])
        b, _ = self.variable("c", lambda y: y.shape == shape)
        key = ", ".join([":"] * d + [str(index)])
        self.write(
            a,
            f"{a}.index_add_({d}, fe.tensor({index}), {b})",
            f"np.add.at({a}, np.s_[{key}], {b}.copy())",
        )

    def write_index_put(self) -> None:
        a, x = self.target("c")
        if x.ndim == 0 or x.shape[0] == 0:
            raise LookupError
        index = self.index_list(x.shape[0], unique=False)
        b = self.operand(x[index])
        self.write(
            a,
            f"{a}.index_put_((fe.tensor({index}),), {self.tensor(b)}, accumulate=True)",
            f"np.add.at({a}, {index}, np.array({b}))",
        )

    def write_scatter(self) -> None:
        a, x = self.target("c")
        d = self.dim(x, filled=True)
        b, _ = self.variable("c", lambda y: y.shape == x.shape)
        index = np.argsort(self.rng.random(x.shape), axis=d).tolist()
        self.write(
            a,
            f"{a}.scatter_({d}, fe.tensor({index}), {b})",
            f"np.put_along_axis({a}, np.array({index}), {b}.copy(), {d})",
        )


# The steps of each family, by their likelihood.
STEPS: dict[str, list[str]] = {
    family: [
        name
        for name, method in vars(Generator).items()
        if name.startswith(f"{family}_")
        for _ in range(getattr(method, "weight", 1))
    ]
    for family in ("view", "compute", "write")
}
