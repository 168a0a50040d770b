"""What an op costs beside its arithmetic: calls, recording, the backward pass."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import timeit
from typing import Any

from .harness import Row, Settings, Work, libraries, per_call, progress

CHAIN = 1000


def add_time(lib: Any, calls: int, *, recorded: bool) -> float:
    """Nanoseconds of one `add`, in timeit's loop (which costs about 10)."""
    a, b = lib.rand(4), lib.rand(4)
    a.requires_grad_(recorded)
    names = {"add": lib.add, "a": a, "b": b}
    return timeit.Timer("add(a, b)", globals=names).timeit(calls) / calls * 1e9


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


def chain_work(lib: Any) -> Work:
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
    """Of a fresh process, in nanoseconds.

    The modules' bytecode lies beside them, as after an installation: the first of two
    processes writes what is missing.
    """
    code = f"import time; t = time.perf_counter_ns(); import {module}; "
    code += "print(time.perf_counter_ns() - t)"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    for _ in range(2):
        nanoseconds = subprocess.check_output(
            [sys.executable, "-c", code], text=True, env=environment
        )
    return float(nanoseconds)


def run(settings: Settings) -> list[Row]:
    add = Row("add of 4 floats", "<= 150 ns")
    record = Row("the same, recorded", "<= 250 ns")
    backward = Row("backward per op", "<= 250 ns")
    chain = Row("10-op chain, forward + backward", ">= 5x faster")
    imported = Row("import beyond NumPy", "<= 60 ms")
    rows = [add, record, backward, chain, imported]
    chosen = [row for row in rows if settings.wants(row.name)]
    for k in range(settings.rounds):
        for who, lib in libraries():
            if add in chosen:
                add.add(who, add_time(lib, 20_000, recorded=False))
            if record in chosen:
                record.add(who, add_time(lib, 20_000, recorded=True))
            if backward in chosen:
                backward.add(who, backward_time(lib, 10))
            if chain in chosen:
                chain.add(who, per_call(chain_work(lib), 2_000))
            if imported in chosen and k < 5:
                base = import_time("numpy")
                both = import_time(f"numpy, {lib.__name__}")
                imported.add(who, both - base)
        progress("round", k + 1, settings.rounds)
    return chosen
