"""Benchmarks, interleaved with NumPy, and with PyTorch where it is installed.

    tools/bench overhead      host cost of an op, of recording and of backward
    tools/bench indexing      slices, masks and index lists

Machines are noisy: every round measures each contender once, in turn, and the
table shows the median over the rounds with the quartiles; beside a peer's median
stands how many times longer it takes. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ferrule as fe

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parent.parent


class Row:
    """One line of the table: the same work by each library, in nanoseconds."""

    def __init__(self, name: str, budget: str = "") -> None:
        self.name = name
        self.budget = budget
        self.samples: dict[str, list[float]] = {}

    def add(self, who: str, value: float) -> None:
        self.samples.setdefault(who, []).append(value)

    def summary(self) -> dict[str, Any]:
        result: dict[str, Any] = {"name": self.name, "budget": self.budget}
        for who, values in self.samples.items():
            q1, median, q3 = (
                statistics.quantiles(values, n=4)
                if len(values) > 1
                else [values[0]] * 3
            )
            result[who] = {"q1": q1, "median": median, "q3": q3}
        return result


def per_call(work: Callable[[], Any], calls: int, units: int = 1) -> float:
    """Nanoseconds a unit of work."""
    started = time.perf_counter_ns()
    for _ in range(calls):
        work()
    return (time.perf_counter_ns() - started) / (calls * units)


def contenders() -> list[tuple[str, Any]]:
    return [("ferrule", fe)] + ([("torch", torch)] if torch is not None else [])


def add_time(lib: Any, calls: int, *, recorded: bool) -> float:
    """Nanoseconds of one `add`, in timeit's loop (which costs about 10)."""
    a, b = lib.rand(4), lib.rand(4)
    a.requires_grad_(recorded)
    names = {"add": lib.add, "a": a, "b": b}
    return timeit.Timer("add(a, b)", globals=names).timeit(calls) / calls * 1e9


CHAIN = 1000


def backward_time(lib: Any, calls: int) -> float:
    """Of the backward pass alone, per op of a chain."""
    a, b = lib.rand(4), lib.rand(4)
    a.requires_grad_(True)
    total = 0
    for _ in range(calls):
        y = a
        for _ in range(CHAIN):
            y = y * b
        loss = y.sum()
        started = time.perf_counter_ns()
        loss.backward()
        total += time.perf_counter_ns() - started
        a.grad = None
    return total / (calls * CHAIN)


def chain_work(lib: Any) -> Callable[[], Any]:
    a, b = lib.rand(4), lib.rand(4)
    a.requires_grad_(True)

    def work() -> None:
        y = a
        for _ in range(5):
            y = y * b + b
        y.sum().backward()
        a.grad = None

    return work


def import_time(module: str) -> float:
    """Of a fresh process, in nanoseconds."""
    code = f"import time; t = time.perf_counter_ns(); import {module}; "
    code += "print(time.perf_counter_ns() - t)"
    return float(subprocess.check_output([sys.executable, "-c", code], text=True))


def overhead(rounds: int) -> list[Row]:
    add = Row("add of 4 floats, ns", "<= 150")
    record = Row("the same, recorded, ns", "<= 250")
    backward = Row("backward per op, ns", "<= 250")
    chain = Row("10-op chain, forward + backward, ns", ">= 5x faster")
    imported = Row("import beyond NumPy, ns", "<= 60e6")
    for k in range(rounds):
        for who, lib in contenders():
            add.add(who, add_time(lib, 20_000, recorded=False))
            record.add(who, add_time(lib, 20_000, recorded=True))
            backward.add(who, backward_time(lib, 10))
            chain.add(who, per_call(chain_work(lib), 2_000))
            if k < 5:
                base = import_time("numpy")
                module = "ferrule" if who == "ferrule" else "torch"
                both = import_time(f"numpy, {module}")
                imported.add(who, both - base)
        progress(k + 1, rounds)
    return [add, record, backward, chain, imported]


def index_work(lib: Any, small: Any, large: Any) -> dict[str, Callable[[], Any]]:
    """Statements on a (4, 8) tensor and on a million elements of `lib`."""
    key = np.random.default_rng(0)
    chosen = key.random(large.shape[0]) < 0.5
    if lib is np:
        mask, index = chosen, np.flatnonzero(chosen)
        values = np.ones(len(index), np.float32)
    else:
        mask = lib.tensor(chosen)
        index = lib.tensor(np.flatnonzero(chosen))
        values = lib.ones(len(index))

    def write_number() -> None:
        large[mask] = 0.5

    def write_values() -> None:
        large[mask] = values

    def write_index() -> None:
        large[index] = values

    return {
        "x[1:3], ns": lambda: small[1:3],
        "x[1], ns": lambda: small[1],
        "x[1:3, ::2], ns": lambda: small[1:3, ::2],
        "x[mask], 1M, ns": lambda: large[mask],
        "x[mask] = number, 1M, ns": write_number,
        "x[mask] = values, 1M, ns": write_values,
        "x[index], 500k of 1M, ns": lambda: large[index],
        "x[index] = values, 500k of 1M, ns": write_index,
    }


def indexing(rounds: int) -> list[Row]:
    goals = {"x[1:3], ns": "<= 200", "x[mask], 1M, ns": "<= 1.5x NumPy"}
    rows: dict[str, Row] = {}
    libs = [*contenders(), ("numpy", np)]
    work = {}
    for who, lib in libs:
        dtype = {"dtype": np.float32} if lib is np else {}
        work[who] = index_work(
            lib, lib.zeros((4, 8), **dtype), lib.zeros(1_000_000, **dtype)
        )
    for k in range(rounds):
        for name in work["ferrule"]:
            row = rows.setdefault(name, Row(name, goals.get(name, "")))
            for who, _ in libs:
                calls = 5 if "M" in name else 20_000
                row.add(who, per_call(work[who][name], calls))
        progress(k + 1, rounds)
    return list(rows.values())


def progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\rround {done}/{total}", end=end, file=sys.stderr, flush=True)


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def show(rows: list[Row]) -> None:
    peers = [who for who in ("numpy", "torch") if who in rows[0].samples]
    names = "".join(f" {who} |" for who in peers)
    print(f"| {'work':<38} | ferrule | spread |{names} goal |")
    print("|---" * (4 + len(peers)) + "|")
    for row in rows:
        s = row.summary()
        own = s["ferrule"]
        line = f"| {row.name:<38} | {own['median']:,.0f} "
        line += f"| {own['q1']:,.0f}..{own['q3']:,.0f} |"
        for who in peers:
            other = s[who]["median"]
            line += f" {other:,.0f} ({other / own['median']:.1f}x) |"
        print(f"{line} {row.budget} |")


BENCHMARKS = {"indexing": indexing, "overhead": overhead}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    fe.set_num_threads(options.threads)
    if torch is not None:
        torch.set_num_threads(options.threads)
    rows = BENCHMARKS[options.benchmark](options.rounds)
    versions = f"ferrule {fe.__version__}"
    versions += f", torch {torch.__version__}" if torch is not None else ""
    print(
        f"{options.benchmark}: {versions}, Python {platform.python_version()}, "
        f"{cpu_name()}, {options.threads} thread(s), {options.rounds} rounds\n"
    )
    show(rows)
    if options.json:
        result = {"benchmark": options.benchmark, "versions": versions}
        result["rows"] = [row.summary() for row in rows]
        Path(options.json).write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
