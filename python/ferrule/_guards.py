"""Decisions that Python code takes by sizes while it is captured.

`if x.shape[0] > 4:` is decided once; the program does what was decided for all sizes.
Whether that is right is found out by asking again at others.
"""

from __future__ import annotations

import linecache
import operator
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from . import _ferrule
from ._dims import Dim
from ._ferrule import FerruleError

__all__ = ["Decisions"]

# Numbered as CPython numbers them.
_COMPARE = (
    operator.lt,
    operator.le,
    operator.eq,
    operator.ne,
    operator.gt,
    operator.ge,
)
_OURS = os.path.dirname(__file__) + os.sep
_PROBES = [
    *range(10),
    *(n + d for n in (16, 32, 64, 128, 256, 1024, 4096) for d in (-1, 0, 1)),
]


class _Decision(NamedTuple):
    comparison: int
    exprs: tuple[int, int]  # -1: the number itself
    values: tuple[int, int]
    file: str
    line: int

    def holds(self, values: Mapping[int, int]) -> bool:
        """Is it as it was where expressions have these values?"""
        compare = _COMPARE[self.comparison]
        a, b = (values.get(e, v) for e, v in zip(self.exprs, self.values, strict=True))
        return bool(compare(a, b)) == bool(compare(*self.values))


class Decisions:
    """A block in which comparisons of sizes are noted, but for Ferrule's own code."""

    def __init__(self) -> None:
        self.found: dict[_Decision, None] = {}

    def __enter__(self) -> Decisions:
        self.before = _ferrule.set_size_guard(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        _ferrule.set_size_guard(self.before)

    def _note(self, comparison: int, a_expr: int, a: int, b_expr: int, b: int) -> None:
        frame = sys._getframe(1)
        file = frame.f_code.co_filename
        if not file.startswith(_OURS):
            exprs = (a_expr, b_expr)
            decision = _Decision(comparison, exprs, (a, b), file, frame.f_lineno)
            self.found[decision] = None

    def check(
        self,
        builder: _ferrule.ProgramBuilder,
        key: str,
        dims: Mapping[str, Dim],
        choice: Mapping[str, int],
    ) -> set[str]:
        """Asks again at other sizes of the signature `key`, which was just captured.

        Returns:
            Dimensions that must not have size 0, because a decision is another there.

        Raises:
            FerruleError: a decision is another at other sizes.
        """
        exprs = [e for d in self.found for e in d.exprs if e >= 0]
        not_zero = set()
        for name, dim in dims.items():
            if not exprs or dim.base is not None:
                continue
            outcomes: dict[int, list[bool]] = {}
            for size in self._probes(dim):
                sizes = {**choice, name: size}
                found = builder.values_at(
                    key, exprs, [d.at(sizes) for d in dims.values()]
                )
                if found:
                    values = dict(zip(exprs, found, strict=True))
                    outcomes[size] = [d.holds(values) for d in self.found]
            for i, decision in enumerate(self.found):
                bad = [size for size, held in outcomes.items() if not held[i]]
                if bad == [0]:
                    not_zero.add(name)
                elif bad:
                    good = [s for s, held in outcomes.items() if held[i]]
                    raise FerruleError(_message(decision, dim, choice[name], bad, good))
        return not_zero

    def _probes(self, dim: Dim) -> list[int]:
        near = {v + d for x in self.found for v in x.values for d in (-1, 0, 1)}
        ends = {dim.min, dim.max - dim.max % dim.multiple}
        return sorted(n for n in {*_PROBES, *near, *ends} if dim.fits(n))


def _message(
    decision: _Decision, dim: Dim, size: int, bad: list[int], good: list[int]
) -> str:
    text = linecache.getline(decision.file, decision.line).strip()
    nearest = min(bad, key=lambda n: abs(n - size))
    below = max((n for n in bad if n < size), default=-1)
    above = min((n for n in bad if n > size), default=-1)
    run = [n for n in good if n > below and (above < 0 or n < above)]
    limits = f", min={min(run)}" if below >= 0 and run else ""
    limits += f", max={max(run)}" if above >= 0 and run else ""
    return (
        f"[export] {decision.file}:{decision.line}: {text}\n"
        f"  was decided for {dim.name} = {size} when the program was captured, and is "
        f"another decision for {dim.name} = {nearest}. Compute it with tensors "
        "(fe.cond, fe.where), allow only sizes for which it holds, such as "
        f"fe.Dim('{dim.name}'{limits}), or leave the dimension fixed"
    )
