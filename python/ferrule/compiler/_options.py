"""The options of optimizers: which are fixed in a graph, which may change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .._ferrule import Tensor
from .._number import Number
from ..optim import Optimizer

__all__ = ["Options"]


class Options:
    """The options of some optimizers, while and after their step is captured.

    Numbers that only the step's kernel looks at, such as the learning rate, are
    given to every run; a graph holds for all values of the same kind: positive or
    not, below 1 or not. All else is part of the graph.
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self._numbers: list[Number] = []
        # (group, key, place in a tuple or None) of each number.
        self._places: list[tuple[dict[str, Any], str, int | None]] = []
        self._fixed: list[tuple[dict[str, Any], list[str], list[Any]]] = []
        groups = [g for o in optimizers for g in o.param_groups]
        self._replaced: list[tuple[dict[str, Any], str, Any]] = []
        for group in groups:
            fixed = []
            for key, value in group.items():
                stand_in = self._numbered(group, key, value)
                if stand_in is not None:
                    self._replaced.append((group, key, stand_in))
                elif key != "params":  # whose links are watched
                    fixed.append(key)
            self._fixed.append((group, fixed, [group[key] for key in fixed]))

    def _numbered(self, group: dict[str, Any], key: str, value: Any) -> Any:
        """What stands for a value while capturing; None: itself."""
        if isinstance(value, Tensor) and value.numel() == 1:
            value = float(value)
        if type(value) is float:
            return self._number(group, key, None, value)
        if type(value) is tuple and value and all(type(v) is float for v in value):
            return tuple(self._number(group, key, i, v) for i, v in enumerate(value))
        return None

    def _number(
        self, group: dict[str, Any], key: str, place: int | None, value: float
    ) -> Number:
        number = Number(value, len(self._numbers))
        self._numbers.append(number)
        self._places.append((group, key, place))
        return number

    @contextmanager
    def numbered(self) -> Iterator[None]:
        """A block in which the options are numbers of a run."""
        before = [(group, key, group[key]) for group, key, _ in self._replaced]
        for group, key, stand_in in self._replaced:
            group[key] = stand_in
        try:
            yield
        finally:
            for group, key, value in before:
                group[key] = value

    def changed(self) -> str:
        """Within the block: an option that was given another value, or ""."""
        for group, key, stand_in in self._replaced:
            if group[key] is not stand_in:
                return key
        for group, keys, values in self._fixed:
            for key, value in zip(keys, values, strict=True):
                if group.get(key) is not value:
                    return key
        return ""

    def values(self) -> list[float] | None:
        """The numbers of a run now; None if the graph does not hold for them."""
        for group, keys, fixed in self._fixed:
            if [group.get(key) for key in keys] != fixed:
                return None
        values = []
        for number, (group, key, place) in zip(
            self._numbers, self._places, strict=True
        ):
            option: Any = group.get(key)
            value = option if place is None else option[place]
            if type(value) is not float:
                if not (isinstance(value, Tensor) and value.numel() == 1):
                    return None
                value = float(value)
            if value != number.value and (
                number.read or _kind(value) != _kind(number.value)
            ):
                return None
            values.append(value)
        return values


def _kind(value: float) -> tuple[bool, bool, bool]:
    return value > 0, value < 1, math.isfinite(value)
