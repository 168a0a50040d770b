"""Measures contenders in turn, and shows what came out.

A benchmark is a list of cases; a case builds, when its turn comes, one function
for each contender, all doing the same work.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import ferrule as fe

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]
try:
    import onnx
    import onnxruntime
except ImportError:
    onnx = onnxruntime = None  # type: ignore[assignment]

Work = Callable[[], Any]

# One sample is about this long, in seconds, or one call where that is longer.
SAMPLE = 0.005
OWN = "ferrule"


@dataclass
class Settings:
    """What the command line chose."""

    rounds: int = 9
    threads: int = 1
    only: str = ""
    large: bool = False
    compile: bool = False

    def apply(self) -> None:
        """Sets the number of threads in every library."""
        fe.set_num_threads(self.threads)
        if torch is not None:
            torch.set_num_threads(self.threads)

    def wants(self, name: str) -> bool:
        return self.only in name


@dataclass
class Case:
    """One line of a table, before it is measured.

    `build` returns the work of each contender; that of "ferrule" must be there.
    `flops`, or bytes `read` alone or `moved` (read and written), say how much work
    it is, for the fraction of the machine's limit.
    """

    name: str
    build: Callable[[], dict[str, Work]]
    flops: float = 0
    read: float = 0
    moved: float = 0
    goal: str = ""


@dataclass
class Row:
    """One line of a table: nanoseconds of each contender, one sample a round."""

    name: str
    goal: str = ""
    samples: dict[str, list[float]] = field(default_factory=dict)
    limit: float | None = None  # nanoseconds that the machine's limit allows

    def add(self, who: str, value: float) -> None:
        self.samples.setdefault(who, []).append(value)

    def median(self, who: str) -> float:
        return statistics.median(self.samples[who])

    def quartiles(self, who: str) -> tuple[float, float]:
        values = self.samples[who]
        if len(values) == 1:
            return values[0], values[0]
        first, _, third = statistics.quantiles(values, n=4, method="inclusive")
        return first, third

    def peers(self) -> list[str]:
        """Contenders that are not variants of Ferrule."""
        return [who for who in self.samples if not who.startswith(OWN)]

    def ratio(self, who: str) -> float:
        """How many times longer it takes than Ferrule."""
        return self.median(who) / self.median(OWN)

    def best_ratio(self) -> float | None:
        return min((self.ratio(who) for who in self.peers()), default=None)

    def of_limit(self) -> float | None:
        return None if self.limit is None else self.limit / self.median(OWN)

    def summary(self) -> dict[str, Any]:
        result: dict[str, Any] = {"name": self.name, "goal": self.goal}
        for who in self.samples:
            first, third = self.quartiles(who)
            result[who] = {"q1": first, "median": self.median(who), "q3": third}
        return result | {"best": self.best_ratio(), "of_limit": self.of_limit()}


class Limits:
    """The best that this run has seen of the machine."""

    def __init__(self) -> None:
        self._best: dict[str, float] = {}

    def measure(self) -> None:
        for name, value in fe._ferrule._machine_limits().items():
            self._best[name] = max(value, self._best.get(name, 0))

    def nanoseconds(self, case: Case) -> float | None:
        work = {"flops": case.flops, "read": case.read, "stream": case.moved}
        spans = [w / self._best[name] for name, w in work.items() if w]
        return max(spans) * 1e9 if spans else None


def per_call(work: Work, calls: int, units: int = 1) -> float:
    """Nanoseconds a unit of work."""
    started = time.perf_counter_ns()
    for _ in range(calls):
        work()
    return (time.perf_counter_ns() - started) / (calls * units)


def settle(work: Work, threads: int) -> None:
    """Lets pass what the one before left behind.

    The caches hold what it wrote: tens of MiB that have to be written to memory
    before they can hold anything else. Its threads look for work a while; and those
    of this one begin on the cores that the system chose, which may be one for all: it
    moves them within some 20 ms.
    """
    work()
    if threads > 1:
        time.sleep(0.3)
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            work()


def measure(cases: Iterable[Case], settings: Settings) -> list[Row]:
    """Measures the cases that are wanted, one after the other."""
    chosen = [case for case in cases if settings.wants(case.name)]
    limits = Limits()
    rows = []
    for k, case in enumerate(chosen):
        if k % 4 == 0:
            limits.measure()
        row = Row(case.name, case.goal)
        works = case.build()
        calls = {}
        for who, work in works.items():
            work()
            once = min(per_call(work, 1) for _ in range(2))
            calls[who] = max(1, min(100_000, int(SAMPLE * 1e9 / once)))
        for _ in range(settings.rounds):
            for who, work in works.items():
                settle(work, settings.threads)
                row.add(who, per_call(work, calls[who]))
        del works
        rows.append(row)
        progress(case.name, k + 1, len(chosen))
    limits.measure()
    for row, case in zip(rows, chosen):
        row.limit = limits.nanoseconds(case)
    return rows


def libraries() -> list[tuple[str, Any]]:
    """Ferrule, and PyTorch where it is installed."""
    return [(OWN, fe)] + ([("torch", torch)] if torch is not None else [])


def tensor_in(lib: Any, array: Any) -> Any:
    """A tensor of `lib`, with a copy of the array."""
    return lib.tensor(array) if lib is fe else lib.from_numpy(np.array(array))


def onnx_session(model: Any, settings: Settings) -> Any:
    """An ONNX Runtime session for a model or its bytes."""
    choice = onnxruntime.SessionOptions()
    choice.intra_op_num_threads = settings.threads
    choice.inter_op_num_threads = 1
    choice.log_severity_level = 3
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(data, choice, ["CPUExecutionProvider"])


def onnx_node(
    op: str,
    inputs: dict[str, Any],
    constants: dict[str, Any],
    settings: Settings,
    **attributes: Any,
) -> Work:
    """One ONNX operator as a function; its constants may be prepared beforehand."""
    helper = onnx.helper
    names = [*inputs, *constants]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "one",
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(a.shape))
            for name, a in inputs.items()
        ],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(a, name) for name, a in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    session = onnx_session(model, settings)
    return lambda: session.run(None, inputs)


def progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        line = f"{done}/{total} {what}"[:78]
        print(f"\r{line:<78}", end=end, file=sys.stderr, flush=True)


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def span(nanoseconds: float, digits: int = 3) -> str:
    """A time for people: 3 digits and a unit."""
    for factor, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if abs(nanoseconds) >= factor:
            return f"{nanoseconds / factor:#.{digits}g}".rstrip(".") + f" {unit}"
    return f"{nanoseconds:.0f} ns"


def versions() -> str:
    text = f"ferrule {fe.__version__}, NumPy {np.__version__}"
    text += f", torch {torch.__version__}" if torch is not None else ""
    text += f", ONNX Runtime {onnxruntime.__version__}" if onnxruntime else ""
    return f"{text}, Python {platform.python_version()}, {cpu_name()}"


def show(rows: list[Row]) -> None:
    """The table, in Markdown. Columns that no row fills are left out."""
    others: list[str] = []
    for row in rows:
        others += [who for who in row.samples if who != OWN and who not in others]
    limited = any(row.limit for row in rows)
    goals = any(row.goal for row in rows)
    heads = ["work", OWN, "quartiles", *others]
    heads += ["best peer"] if len(others) > 1 else []
    heads += ["limit"] if limited else []
    heads += ["goal"] if goals else []
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        first, third = row.quartiles(OWN)
        cells = [row.name, span(row.median(OWN)), f"{span(first)}..{span(third)}"]
        for who in others:
            known = who in row.samples
            cells.append(
                f"{span(row.median(who))} ({row.ratio(who):.2f}x)" if known else "-"
            )
        if len(others) > 1:
            best = row.best_ratio()
            cells.append("-" if best is None else f"{best:.2f}x")
        if limited:
            part = row.of_limit()
            cells.append("-" if part is None else f"{part:.0%}")
        cells += [row.goal] if goals else []
        print("| " + " | ".join(cells) + " |")


def report(
    command: str, settings: Settings, rows: list[Row], notes: list[str], path: str
) -> None:
    print(
        f"{command}: {versions()}, {settings.threads} thread(s), "
        f"{settings.rounds} rounds\n"
    )
    show(rows)
    for note in notes:
        print(f"\n{note}")
    if path:
        result = {"benchmark": command, "versions": versions()}
        result |= {"threads": settings.threads, "rounds": settings.rounds}
        result |= {"rows": [row.summary() for row in rows], "notes": notes}
        Path(path).write_text(json.dumps(result, indent=1))


def at_least(rows: list[Row], what: str, ratio: float = 1.0) -> str:
    """How many rows reach a ratio to their best peer."""
    known = [r for r in rows if r.best_ratio() is not None]
    good = sum((r.best_ratio() or 0) >= ratio for r in known)
    return f"{what}: {good} of {len(known)} rows >= {ratio}x the best peer"


def geometric_mean(ratios: list[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else float("nan")
