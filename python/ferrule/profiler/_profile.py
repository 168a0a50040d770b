"""`profile` records a part of a program, `record_function` names parts of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from enum import Enum
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar

from .. import _ferrule
from ._averages import Averages
from ._events import Event, read_log
from ._trace import write_trace

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
]

_F = TypeVar("_F", bound=Callable[..., Any])


class ProfilerActivity(Enum):
    """What is recorded."""

    CPU = 0


class ProfilerAction(Enum):
    """What a profile does during a step; see `schedule`."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0
) -> Callable[[int], ProfilerAction]:
    """Which steps of a long run are recorded, for `profile`.

    Args:
        wait: steps of each cycle that are left out.
        warmup: further ones that are left out, while the program settles.
        active: steps that are recorded, then handed to `on_trace_ready`.
        repeat: how many cycles; 0: as long as the run lasts.
        skip_first: steps before the first cycle.

    Returns:
        A function of the step's number.

    Raises:
        ValueError: a number is negative, or `active` is 0.

    Example:
        >>> import ferrule as fe
        >>> plan = fe.profiler.schedule(wait=1, warmup=0, active=2, repeat=1)
        >>> [plan(step).name for step in range(4)]
        ['NONE', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise ValueError(
            "[schedule] wait, warmup, repeat and skip_first must be at least 0 and "
            f"active at least 1, got {wait}, {warmup}, {repeat}, {skip_first} and "
            f"{active}"
        )
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise ValueError(f"[schedule] a step's number is not negative: {step}")
        cycle, place = divmod(step - skip_first, length)
        if step < skip_first or (repeat and cycle >= repeat) or place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        if place < length - 1:
            return ProfilerAction.RECORD
        return ProfilerAction.RECORD_AND_SAVE

    return action


class record_function:
    """Context manager and decorator: a span of the program with a name.

    Costs next to nothing while no profile is recorded.

    Args:
        name: what tables and traces call it.

    Example:
        >>> import ferrule as fe
        >>> with fe.profiler.profile() as prof:
        ...     with fe.profiler.record_function("my block"):
        ...         x = fe.ones(3) + 1
        >>> [event.name for event in prof.events()]
        ['my block', 'ones', 'add']
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._span: _ferrule.ProfileSpan | None = None

    def __enter__(self) -> record_function:
        if _ferrule.is_profiling():
            self._span = _ferrule.ProfileSpan(self.name)
            self._span.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.__exit__(*exc_info)

    def __call__(self, function: _F) -> _F:
        @wraps(function)
        def named(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return named  # type: ignore[return-value]


class profile:
    """Context manager: records every op, gradient and optimizer step inside.

    All threads of the process are recorded. Recording costs about a microsecond
    an op; when nothing is recorded, ops cost what they always do.

    Args:
        activities: there is only `ProfilerActivity.CPU`; None: this.
        schedule: which steps to record, of a loop that calls `step`; None: all
            that happens.
        on_trace_ready: called with this object when steps were recorded as
            `schedule` says, and at the end.

    Raises:
        RuntimeError: (on entering) another profile is being recorded.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Linear(8, 8)
        >>> optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
        >>> with fe.profiler.profile() as prof:
        ...     model(fe.ones((4, 8))).sum().backward()
        ...     optimizer.step()
        >>> sorted({event.phase for event in prof.events()})
        ['backward', 'forward', 'optimizer']
        >>> [row.count for row in prof.key_averages() if row.key == "linear"]
        [1]
    """

    def __init__(
        self,
        activities: Iterable[ProfilerActivity] | None = None,
        *,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], object] | None = None,
    ) -> None:
        for activity in activities or ():
            if not isinstance(activity, ProfilerActivity):
                raise TypeError(
                    f"[profile] unknown activity {activity!r}; there is "
                    "ProfilerActivity.CPU"
                )
        self._schedule = schedule
        self._on_trace_ready = on_trace_ready
        self._rows: list[tuple[Any, ...]] = []
        self._events: list[Event] | None = None
        self._recording = False
        self._step_span: record_function | None = None
        self.step_num = 0
        """How many times `step` was called."""

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begins; the same as entering the context."""
        self.step_num = 0
        self._follow(ProfilerAction.NONE, self._action())

    def stop(self) -> None:
        """Ends; the same as leaving the context."""
        if self._recording:
            self._end_recording()

    def step(self) -> None:
        """Says that a step of the loop has ended.

        What is recorded then is what `schedule` says of the next one. Steps
        stand in the trace as "ProfilerStep#N".
        """
        before = self._action()
        self.step_num += 1
        self._follow(before, self._action())

    def _action(self) -> ProfilerAction:
        if self._schedule is None:
            return ProfilerAction.RECORD
        return self._schedule(self.step_num)

    def _follow(self, before: ProfilerAction, now: ProfilerAction) -> None:
        self._end_step()
        if self._recording and before is ProfilerAction.RECORD_AND_SAVE:
            self._end_recording()
        records = now in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if records and not self._recording:
            _ferrule.start_profile()
            self._recording = True
        if self._recording and self._schedule is not None:
            self._step_span = record_function(f"ProfilerStep#{self.step_num}")
            self._step_span.__enter__()

    def _end_step(self) -> None:
        if self._step_span is not None:
            self._step_span.__exit__(None, None, None)
            self._step_span = None

    def _end_recording(self) -> None:
        self._end_step()
        self._rows = _ferrule.stop_profile()
        self._events = None
        self._recording = False
        if self._on_trace_ready is not None:
            self._on_trace_ready(self)

    # --- what was recorded -------------------------------------------------

    def events(self) -> list[Event]:
        """All events of the last recording, as they began."""
        if self._events is None:
            self._events = read_log(self._rows)
        return self._events

    def key_averages(self, group_by_input_shape: bool = False) -> Averages:
        """Events with the same name together; ``.table()`` makes it text.

        Args:
            group_by_input_shape: True takes only those together whose inputs
                have the same shapes.
        """
        return Averages(self.events(), group_by_input_shape)

    def table(self, sort_by: str | None = None, rows: int = 10) -> str:
        """The most important rows as text; see `Averages.table`."""
        return self.key_averages().table(sort_by, rows)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes a JSON file for https://ui.perfetto.dev or chrome://tracing.

        It shows events by thread, with shapes, and the bytes in tensors.
        """
        memory: dict[int, int] = {}
        for row in self._rows:
            start, end, before, after = row[4:8]
            memory[start], memory[end] = before, after
        write_trace(path, self.events(), sorted(memory.items()))

    def __repr__(self) -> str:
        state = "recording" if self._recording else f"{len(self._rows)} events"
        return f"profile({state})"
