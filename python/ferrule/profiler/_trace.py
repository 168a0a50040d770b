"""The profile as a trace that Perfetto and Chrome open.

Source of the format: "Trace Event Format", Google, 2016. Times are
microseconds; "X" is an event with a duration, "C" a counter, "M" a name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from ._events import Event

__all__ = ["write_trace"]


def write_trace(
    path: str | os.PathLike[str],
    events: Sequence[Event],
    memory: Sequence[tuple[int, int]],
) -> None:
    """Writes a trace.

    Args:
        path: the file.
        events: what the trace shows, from the first one on.
        memory: pairs of a time in nanoseconds and the bytes in tensors then.
    """
    process = os.getpid()
    origin = min((event.start for event in events), default=0)
    entries: list[dict[str, Any]] = [
        _name("process_name", process, 0, "ferrule"),
        *(
            _name("thread_name", process, thread, f"thread {thread}")
            for thread in sorted({event.thread for event in events})
        ),
    ]
    for event in events:
        entry: dict[str, Any] = {
            "ph": "X",
            "name": event.name,
            "cat": event.kind,
            "pid": process,
            "tid": event.thread,
            "ts": (event.start - origin) / 1e3,
            "dur": event.duration / 1e3,
            "args": {"phase": event.phase},
        }
        if event.kind == "op":
            entry["args"]["inputs"] = [f"{d}{list(s)}" for d, s in event.inputs]
            entry["args"]["outputs"] = [f"{d}{list(s)}" for d, s in event.outputs]
        entries.append(entry)
    for time, count in memory:
        entries.append(
            {
                "ph": "C",
                "name": "tensors",
                "pid": process,
                "ts": (time - origin) / 1e3,
                "args": {"bytes": count},
            }
        )
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"displayTimeUnit": "ms", "traceEvents": entries}, file)


def _name(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {
        "ph": "M",
        "name": kind,
        "pid": process,
        "tid": thread,
        "args": {"name": name},
    }
