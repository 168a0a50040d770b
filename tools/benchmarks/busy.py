"""Training while another process has a core: more threads must not make it slower.

Starts a process that computes without end on one core, and measures training steps
with one thread and with two. Libraries that hand each thread its share in advance
wait for the one that the system has put aside.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from . import train
from .harness import Row, Settings, libraries, per_call, progress

STEPS = 50
ALONE = " 1 thread"  # the others have two
GOAL = "2 threads >= 0.8x of 1"


@contextmanager
def competitor() -> Iterator[None]:
    """A process that computes on one core until the end of the block."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        if hasattr(os, "sched_setaffinity"):
            core = max(os.sched_getaffinity(0))
            os.sched_setaffinity(process.pid, {core})
        yield
    finally:
        process.kill()
        process.wait()


def steps(lib: Any, work: Any, threads: int) -> float:
    """Nanoseconds a step."""
    lib.set_num_threads(threads)
    work()
    return per_call(work, STEPS)


def run(settings: Settings) -> list[Row]:
    rows = []
    for task in train.TASKS[:2]:
        for other, goal in (("nothing else running", ""), ("one core taken", GOAL)):
            row = Row(f"{task.name}, {other}", goal)
            if not settings.wants(row.name):
                continue
            works = [(who, lib, train.step(lib, task)) for who, lib in libraries()]
            with competitor() if goal else nullcontext():
                for k in range(settings.rounds):
                    for who, lib, work in works:
                        row.add(who, steps(lib, work, 2))
                        row.add(who + ALONE, steps(lib, work, 1))
                    progress(row.name, k + 1, settings.rounds)
            rows.append(row)
    settings.apply()
    return rows


def notes(rows: list[Row]) -> list[str]:
    result = []
    for row in rows:
        for who, _ in libraries():
            ratio = row.ratio(who + ALONE) / row.ratio(who)
            result.append(f"{row.name}: 2 threads are {ratio:.2f}x 1 for {who}")
    return result
