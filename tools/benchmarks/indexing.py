"""Slices, masks and index lists."""

from __future__ import annotations

from typing import Any

import numpy as np

from .harness import Row, Settings, Work, libraries, per_call, progress


def index_work(lib: Any, small: Any, large: Any) -> dict[str, Work]:
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
        "x[1:3]": lambda: small[1:3],
        "x[1]": lambda: small[1],
        "x[1:3, ::2]": lambda: small[1:3, ::2],
        "x[mask], 1M": lambda: large[mask],
        "x[mask] = number, 1M": write_number,
        "x[mask] = values, 1M": write_values,
        "x[index], 500k of 1M": lambda: large[index],
        "x[index] = values, 500k of 1M": write_index,
    }


def run(settings: Settings) -> list[Row]:
    goals = {"x[1:3]": "<= 200 ns", "x[mask], 1M": "<= 1.5x NumPy"}
    libs = [*libraries(), ("numpy", np)]
    work = {}
    for who, lib in libs:
        dtype = {"dtype": np.float32} if lib is np else {}
        work[who] = index_work(
            lib, lib.zeros((4, 8), **dtype), lib.zeros(1_000_000, **dtype)
        )
    names = [name for name in work["ferrule"] if settings.wants(name)]
    rows = {name: Row(name, goals.get(name, "")) for name in names}
    for k in range(settings.rounds):
        for name, row in rows.items():
            for who, _ in libs:
                calls = 5 if "M" in name else 20_000
                row.add(who, per_call(work[who][name], calls))
        progress("round", k + 1, settings.rounds)
    return list(rows.values())
