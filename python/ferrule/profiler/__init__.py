"""Where the time and the memory go: ops, gradients, optimizer steps.

>>> import ferrule as fe
>>> model = fe.nn.Linear(64, 64)
>>> with fe.profiler.profile() as prof:
...     model(fe.ones((32, 64))).sum().backward()
>>> print(prof.table(rows=3))  # doctest: +SKIP
>>> prof.export_chrome_trace("trace.json")  # doctest: +SKIP

The trace opens in https://ui.perfetto.dev and in chrome://tracing.
"""

from ._averages import Averages, EventAverage
from ._events import Event
from ._profile import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
)

__all__ = [
    "Averages",
    "Event",
    "EventAverage",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
]
