"""Events with the same name taken together, and the text table of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .._text import bytes_text, duration_text
from ._events import Event

__all__ = ["Averages", "EventAverage"]


@dataclass(eq=False)
class EventAverage:
    """All events with one name. Times are in microseconds, memory in bytes."""

    key: str
    """The name, with the inputs' shapes if events were grouped by them."""
    count: int = 0
    """How many there were."""
    cpu_time_total: float = 0.0
    """From start to end; an event inside one of the same name is counted once."""
    self_cpu_time_total: float = 0.0
    """Without the events inside."""
    cpu_memory_usage: int = 0
    """By how much tensors had grown at the end."""
    self_cpu_memory_usage: int = 0
    """Without the events inside."""
    macs: int = 0
    """Multiply-accumulate operations of the events and of those inside."""

    @property
    def cpu_time(self) -> float:
        """Microseconds of one, on average."""
        return self.cpu_time_total / self.count

    def add(self, event: Event, nested: bool) -> None:
        """Counts an event; `nested` in one of the same key."""
        self.count += 1
        self.self_cpu_time_total += event.self_time / 1e3
        self.self_cpu_memory_usage += event.self_memory
        if not nested:
            self.cpu_time_total += event.duration / 1e3
            self.cpu_memory_usage += event.memory
            self.macs += _macs(event)


def _macs(event: Event) -> int:
    return event.macs + sum(_macs(child) for child in event.children)


_SORT_KEYS = (
    "count",
    "cpu_memory_usage",
    "cpu_time",
    "cpu_time_total",
    "macs",
    "self_cpu_memory_usage",
    "self_cpu_time_total",
)


class Averages(list[EventAverage]):
    """The rows of a table, longest self time first; `print` shows it."""

    def __init__(self, events: Iterable[Event], by_shape: bool = False) -> None:
        events = list(events)
        rows: dict[str, EventAverage] = {}
        keys: dict[int, str] = {}
        for event in events:
            key = keys[id(event)] = _key(event, by_shape)
            row = rows.setdefault(key, EventAverage(key))
            above, nested = event.parent, False
            while above is not None and not nested:
                nested = keys.get(id(above)) == key
                above = above.parent
            row.add(event, nested)
        super().__init__(sorted(rows.values(), key=lambda r: -r.self_cpu_time_total))
        self._phases: Counter[str] = Counter()
        for event in events:
            self._phases[event.phase] += event.self_time

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, *, rows: int = 0
    ) -> str:
        """The rows as text, with the sums of each phase below.

        Args:
            sort_by: "self_cpu_time_total" (None: this), "cpu_time_total",
                "cpu_time", "count", "self_cpu_memory_usage",
                "cpu_memory_usage" or "macs"; the largest comes first.
            row_limit: that many rows at most; -1: all.
            rows: another name of it.

        Raises:
            ValueError: there is no such key.
        """
        key = sort_by or "self_cpu_time_total"
        if key not in _SORT_KEYS:
            raise ValueError(
                f"[table] sort_by must be one of {', '.join(_SORT_KEYS)}, not {key!r}"
            )
        limit = rows or row_limit
        ordered = sorted(self, key=lambda row: -getattr(row, key))
        shown = ordered if limit < 0 else ordered[:limit]
        total = sum(row.self_cpu_time_total for row in self)
        head = ["name", "self", "self %", "total", "average", "calls", "self memory"]
        lines = [head, *(_cells(row, total) for row in shown)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text = [_line(line, widths) for line in lines]
        text.insert(1, "-" * max(map(len, text)))
        if len(shown) < len(self):
            text.append(f"... and {len(self) - len(shown)} more")
        phases = [
            f"{phase} {duration_text(self._phases[phase] / 1e9)}"
            for phase in ("forward", "backward", "optimizer")
            if self._phases[phase]
        ]
        text.append(f"total {duration_text(total / 1e6)}: {', '.join(phases)}")
        return "\n".join(text)

    def __str__(self) -> str:
        return self.table()


def _key(event: Event, by_shape: bool) -> str:
    if not by_shape or not event.inputs:
        return event.name
    return f"{event.name} {', '.join(str(list(shape)) for _, shape in event.inputs)}"


def _cells(row: EventAverage, total: float) -> list[str]:
    share = 100 * row.self_cpu_time_total / total if total else 0.0
    return [
        row.key,
        duration_text(row.self_cpu_time_total / 1e6),
        f"{share:.1f} %",
        duration_text(row.cpu_time_total / 1e6),
        duration_text(row.cpu_time / 1e6),
        str(row.count),
        bytes_text(row.self_cpu_memory_usage),
    ]


def _line(cells: list[Any], widths: list[int]) -> str:
    name, *numbers = cells
    texts = [f"{n:>{w}}" for n, w in zip(numbers, widths[1:], strict=True)]
    return "  ".join([f"{name:<{widths[0]}}", *texts])
