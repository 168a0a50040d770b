"""What a function reaches: tensors, optimizers, and the links that lead to them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from .._ferrule import Tensor, first_broken
from ..nn import Module
from ..optim import Optimizer

__all__ = ["Reached"]

_PLAIN = (int, float, complex, str, bytes, type, BuiltinFunctionType, type(None))
# Longer lists are not looked through.
_LONGEST = 10_000
# What is defined there refers to no tensors of the program.
_OTHERS = frozenset(sys.stdlib_module_names - {"__main__"}) | {
    "ferrule",
    "numpy",
    "torch",
}
_PACKAGE = str(Path(__file__).resolve().parent.parent)


def _is_foreign(module: str | None) -> bool:
    return (module or "").partition(".")[0] in _OTHERS


def _is_foreign_function(function: FunctionType) -> bool:
    # A doctest of ours has our name, but is none of our files.
    if function.__code__.co_filename.startswith(_PACKAGE):
        return True
    module = (function.__module__ or "").partition(".")[0]
    return module in _OTHERS and module != "ferrule"


class Reached:
    """What can be reached from some objects, and how.

    From functions by their closures, globals and defaults, from objects by their
    attributes, through lists, tuples and dicts. Every link on the way is noted, so
    that `changed` can tell whether all of it is still the same.

    Attributes:
        tensors: each once, with a name such as "model.fc.weight".
        optimizers: each once.
    """

    def __init__(self, roots: Iterator[tuple[str, Any]]) -> None:
        self.tensors: dict[int, tuple[str, Tensor]] = {}
        self.optimizers: list[Optimizer] = []
        self._links: list[tuple[Any, Any, Any]] = []
        self._names: list[str] = []
        self._seen: dict[int, Any] = {}  # kept alive: ids must not be used again
        for name, value in roots:
            self._visit(name, value)
        self._seen.clear()
        self.links = tuple(self._links)

    def changed(self) -> str:
        """Name of a link that leads elsewhere by now; "" if there is none."""
        broken = first_broken(self.links)
        return self._names[broken] if broken >= 0 else ""

    def _link(self, name: str, container: Any, key: Any, value: Any) -> None:
        self._names.append(name)
        self._links.append((container, key, value))

    def _visit(self, name: str, value: Any) -> None:
        if isinstance(value, _PLAIN):
            return
        if isinstance(value, Tensor):
            self.tensors.setdefault(id(value), (name, value))
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, Optimizer):
            self._visit_optimizer(name, value)
        elif isinstance(value, FunctionType):
            self._visit_function(name, value)
        elif isinstance(value, MethodType):
            self._visit(name, value.__self__)
            self._visit(name, value.__func__)
        elif isinstance(value, functools.partial):
            self._visit(name, (value.func, value.args, value.keywords))
        elif isinstance(value, (list, dict)):
            self._visit_container(name, value)
        elif isinstance(value, (tuple, set, frozenset)):
            for entry in value:
                self._visit(name, entry)
        elif not isinstance(value, ModuleType):
            self._visit_object(name, value)

    def _visit_container(self, name: str, value: Any) -> None:
        if len(value) > _LONGEST:
            return
        if isinstance(value, list):
            self._link(name, value, None, tuple(value))
            for i, entry in enumerate(value):
                self._visit(f"{name}[{i}]", entry)
            return
        self._link(name, value, None, tuple(value.values()))
        for key, entry in list(value.items()):
            self._visit(f"{name}[{key!r}]", entry)

    def _visit_function(self, name: str, function: FunctionType) -> None:
        # Of a decorator of ours the closure is of interest: what it calls.
        free = function.__code__.co_freevars
        for key, cell in zip(free, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not set yet
                continue
            self._link(key, cell, None, value)
            self._visit(key, value)
        self._visit(name, function.__defaults__)
        self._visit(name, tuple((function.__kwdefaults__ or {}).values()))
        if _is_foreign_function(function):
            return
        names = set(_names_in(function.__code__))
        for key in sorted(names & function.__globals__.keys()):
            value = function.__globals__[key]
            self._link(key, function.__globals__, key, value)
            if isinstance(value, ModuleType):
                self._visit_module(value, names)
            else:
                self._visit(key, value)

    def _visit_module(self, module: ModuleType, names: set[str]) -> None:
        """A Python module that a function names: what it may read of it."""
        if _is_foreign(module.__name__):
            return
        for key in sorted(names & vars(module).keys()):
            value = vars(module)[key]
            self._link(f"{module.__name__}.{key}", vars(module), key, value)
            self._visit(f"{module.__name__}.{key}", value)

    def _visit_object(self, name: str, value: Any) -> None:
        kind = type(value)
        foreign = _is_foreign(kind.__module__)
        if foreign and not isinstance(value, Module):
            # A compiled function, or one of functools: what it calls.
            self._visit(name, getattr(value, "__wrapped__", None))
            return
        attributes = getattr(value, "__dict__", None)
        if type(attributes) is dict:
            self._link(name, attributes, None, tuple(attributes.values()))
            for key, entry in list(attributes.items()):
                self._visit(f"{name}.{key}", entry)
        for base in kind.__mro__:
            if _is_foreign(base.__module__):
                continue
            for entry in list(vars(base).values()):
                if isinstance(entry, (staticmethod, classmethod)):
                    entry = entry.__func__
                if isinstance(entry, property):
                    entry = entry.fget
                if isinstance(entry, FunctionType):
                    self._visit(f"{kind.__name__}.{entry.__name__}", entry)

    def _visit_optimizer(self, name: str, optimizer: Optimizer) -> None:
        self.optimizers.append(optimizer)
        groups = optimizer.param_groups
        self._link(f"{name}.param_groups", groups, None, tuple(groups))
        for i, group in enumerate(groups):
            self._visit(f"{name}.param_groups[{i}]", group["params"])
        names = {id(t): n for n, t in self.tensors.values()}
        state = optimizer.state
        self._link(f"{name}.state", state, None, tuple(state.values()))
        for param, entry in list(state.items()):
            self._visit(f"{name}.state[{names.get(id(param), '')}]", entry)


def _names_in(code: CodeType) -> Iterator[str]:
    """Names that code reads, inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
