"""What the profiler recorded, one `Event` for each op, gradient and span."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

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


# Work by op. These are all the ops with a kernel that multiplies and adds; the
# others that do (conv1d, addmm, bilinear, ...) are compositions of them, whose
# parts are events, too.
Shapes = Sequence[tuple[int, ...]]


def _conv(inputs: Shapes, outputs: Shapes) -> int:
    return prod(outputs[0]) * prod(inputs[1][1:])


def _conv_of_gradient(inputs: Shapes, outputs: Shapes) -> int:
    return prod(inputs[0]) * prod(inputs[1][1:])


def _conv_of_weight(inputs: Shapes, outputs: Shapes) -> int:
    return prod(inputs[0]) * prod(outputs[0][1:])


def _linear(inputs: Shapes, outputs: Shapes) -> int:
    return prod(outputs[0]) * inputs[1][-1]


def _matmul(inputs: Shapes, outputs: Shapes) -> int:
    a, b = inputs[0], inputs[1]
    if len(a) == 1:
        return prod(outputs[0]) * a[0]
    if len(b) == 1:
        return prod(outputs[0]) * b[0]
    rows = outputs[0][-2]  # either operand may be transposed
    return prod(outputs[0]) * (a[-2] * a[-1] // rows) if rows else 0


def _attention(inputs: Shapes, outputs: Shapes) -> int:
    query, key, value = inputs[:3]
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _recurrence(inputs: Shapes, outputs: Shapes) -> int:
    gates, hidden = inputs[0], inputs[1]
    return prod(gates) * hidden[-1]


_MACS: dict[str, Callable[[Shapes, Shapes], int]] = {
    "attention": _attention,
    "conv2d": _conv,
    "conv2d_dx": _conv_of_gradient,
    "conv2d_dw": _conv_of_weight,
    "linear": _linear,
    "matmul": _matmul,
    "recurrence": _recurrence,
}


def macs_of(
    name: str, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
) -> int:
    """Multiply-accumulate operations of one call of an op.

    Those of products of matrices: `linear`, `matmul`, convolutions, attention
    and recurrent steps, by the plain algorithm (a faster one may need fewer).
    0 for all other ops, which work element by element.
    """
    formula = _MACS.get(name)
    if formula is None:
        return 0
    return formula([shape for _, shape in inputs], [shape for _, shape in outputs])
