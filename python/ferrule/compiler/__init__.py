"""`fe.compile`, and what it has done.

>>> import ferrule as fe
>>> model = fe.compile(fe.nn.Linear(4, 2))
>>> with fe.no_grad():
...     model(fe.zeros(3, 4)).shape
(3, 2)
"""

from .._ferrule import is_capturing as is_compiling
from ._compiled import CompiledFunction, OptimizedModule, Stats, compile, reset, stats

__all__ = [
    "CompiledFunction",
    "OptimizedModule",
    "Stats",
    "compile",
    "is_compiling",
    "reset",
    "stats",
]
