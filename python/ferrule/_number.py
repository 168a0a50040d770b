"""`Number`: a number that a captured function takes anew for every run."""

from __future__ import annotations

import operator
from typing import Any

from ._ferrule import set_number_type

__all__ = ["Number"]


class Number:
    """An option of an optimizer, such as its learning rate, while it is captured.

    The steps of optimizers hand it to their kernel as it is. Whoever else looks at
    it gets the value, which is then part of what was captured (`read`).
    """

    __slots__ = ("index", "read", "value")

    def __init__(self, value: float, index: int) -> None:
        self.value = value
        self.index = index
        self.read = False

    def __float__(self) -> float:
        self.read = True
        return self.value

    def __bool__(self) -> bool:
        return float(self) != 0

    def __repr__(self) -> str:
        return repr(float(self))

    __hash__ = object.__hash__


def _plain(function: Any, swap: bool = False) -> Any:
    def method(self: Number, *others: Any) -> Any:
        values = [float(o) if type(o) is Number else o for o in (self, *others)]
        return function(*(reversed(values) if swap else values))

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Number, f"__{_name}__", _plain(getattr(operator, _name)))
    setattr(Number, f"__r{_name}__", _plain(getattr(operator, _name), swap=True))
for _name in ("lt", "le", "eq", "ne", "gt", "ge", "neg", "pos", "abs"):
    setattr(Number, f"__{_name}__", _plain(getattr(operator, _name)))

set_number_type(Number)
