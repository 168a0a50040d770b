"""What the profiler recorded, one `Event` for each op, gradient and span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .._ferrule import macs_of as _macs_of

__all__ = ["Event", "TensorInfo", "macs_of", "read_log"]

TensorInfo = tuple[str, tuple[int, ...]]
"""Name of the dtype, and the shape."""

_OPTIMIZER = "Optimizer.step#"  # what the spans of optimizers begin with


@dataclass(eq=False)
class Event:
    """Something that took time on one thread.

    Times are in nanoseconds; `start` counts from a point that all events of the
    process share. `memory` is by how many bytes the process's tensors had grown
    at the end; other threads may have had their part in it.
    """

    name: str
    """An op ("conv2d"), its gradient ("Conv2dBackward") or a span."""
    kind: str
    """ "op", "backward" or "user"."""
    thread: int
    """0 is the first thread that did anything."""
    start: int
    end: int
    memory: int
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    parent: Event | None = None
    """The event that this one is part of."""
    children: list[Event] = field(default_factory=list)

    @property
    def duration(self) -> int:
        """Nanoseconds from start to end."""
        return self.end - self.start

    @property
    def self_time(self) -> int:
        """Nanoseconds that are not those of `children`."""
        return self.duration - sum(child.duration for child in self.children)

    @property
    def self_memory(self) -> int:
        """Bytes that are not those of `children`."""
        return self.memory - sum(child.memory for child in self.children)

    @property
    def phase(self) -> str:
        """What it was done for: "forward", "backward" or "optimizer"."""
        event: Event | None = self
        while event is not None:
            if event.kind == "backward" or (event.kind, event.name) == (
                "user",
                "backward",
            ):
                return "backward"
            if event.kind == "user" and event.name.startswith(_OPTIMIZER):
                return "optimizer"
            event = event.parent
        return "forward"

    @property
    def macs(self) -> int:
        """Multiplications that are followed by an addition; see `macs_of`."""
        if self.kind != "op":
            return 0
        return macs_of(self.name, self.inputs, self.outputs)

    def __repr__(self) -> str:
        return (
            f"Event({self.name!r}, {self.kind}, {self.duration / 1e3:.1f} us, "
            f"thread {self.thread})"
        )


def read_log(rows: Sequence[tuple[Any, ...]]) -> list[Event]:
    """Events of the compiled module's log, in the order in which they began."""
    events: list[Event] = []
    for row in rows:
        name, kind, thread, parent, start, end, before, after, inputs, outputs = row
        if kind == "backward":
            name = _gradient_name(name)
        event = Event(name, kind, thread, start, end, after - before, inputs, outputs)
        if parent >= 0:
            event.parent = events[parent]
            events[parent].children.append(event)
        events.append(event)
    return events


def _gradient_name(op: str) -> str:
    """ "cross_entropy" -> "CrossEntropyBackward", as `grad_fn` shows it."""
    if op == "AccumulateGrad":
        return op
    return "".join(part[:1].upper() + part[1:] for part in op.split("_")) + "Backward"


def macs_of(
    name: str, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
) -> int:
    """Multiply-accumulate operations of one call of an op.

    Those of products of matrices: `linear`, `matmul`, convolutions, attention
    and recurrent steps, by the plain algorithm (a faster one may need fewer), as the
    op's definition says. 0 for all other ops: they work element by element, or are
    compositions whose parts are events, too.
    """
    return _macs_of(name, inputs, outputs)
