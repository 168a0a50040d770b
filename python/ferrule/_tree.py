"""Nested containers: tuples, lists and dicts of whatever else, the leaves.

Named tuples, OrderedDicts and dataclasses are containers, too, and come back as what
they were.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

__all__ = [
    "LEAF",
    "Structure",
    "entries",
    "flatten",
    "map_leaves",
    "paths",
    "spread",
    "unflatten",
]


class Structure(NamedTuple):
    """A container without its leaves; `kind` None is a leaf."""

    kind: type | None
    keys: tuple[Any, ...]  # of a dict or dataclass
    children: tuple[Structure, ...]


LEAF = Structure(None, (), ())


def entries(tree: Any) -> tuple[tuple[Any, ...], list[Any]] | None:
    """Keys and entries of a container; None of a leaf."""
    kind = type(tree)
    if kind in (dict, OrderedDict):
        return tuple(tree), list(tree.values())
    if kind in (tuple, list) or (isinstance(tree, tuple) and hasattr(tree, "_fields")):
        return (), list(tree)
    if is_dataclass(kind):
        names = tuple(f.name for f in fields(tree))
        return names, [getattr(tree, name) for name in names]
    return None


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves in order, and how they were nested."""
    leaves: list[Any] = []
    return leaves, _take_apart(tree, leaves)


# The recursion is in functions of the module: one within another refers to itself, and
# that cycle would keep the leaves until the garbage collector runs.


def _take_apart(tree: Any, leaves: list[Any]) -> Structure:
    found = entries(tree)
    if found is None:
        leaves.append(tree)
        return LEAF
    keys, parts = found
    return Structure(type(tree), keys, tuple(_take_apart(e, leaves) for e in parts))


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """Puts leaves back into their places."""
    return _build(structure, iter(leaves))


def _build(structure: Structure, rest: Iterator[Any]) -> Any:
    if structure.kind is None:
        return next(rest)
    parts = [_build(c, rest) for c in structure.children]
    make: Callable[..., Any] = structure.kind
    if issubclass(structure.kind, dict):
        return make(zip(structure.keys, parts, strict=True))
    if is_dataclass(structure.kind):
        return make(**dict(zip(structure.keys, parts, strict=True)))
    return make(*parts) if hasattr(structure.kind, "_fields") else make(parts)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same containers of function(leaf)."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(leaf) for leaf in leaves])


def spread(prefix: Any, structure: Structure) -> list[Any] | None:
    """One entry of `prefix` a leaf of `structure`; None if they do not fit.

    A leaf of the prefix stands for all leaves of what it meets.
    """
    if structure.kind is None:
        return [prefix] if entries(prefix) is None else None
    found = entries(prefix)
    if found is None:
        return [prefix] * _count(structure)
    keys, parts = found
    if len(parts) != len(structure.children) or keys != structure.keys:
        return None
    if issubclass(structure.kind, dict) != isinstance(prefix, dict):
        return None
    leaves: list[Any] = []
    for entry, child in zip(parts, structure.children, strict=True):
        inner = spread(entry, child)
        if inner is None:
            return None
        leaves += inner
    return leaves


def _count(structure: Structure) -> int:
    if structure.kind is None:
        return 1
    return sum(_count(c) for c in structure.children)


def paths(structure: Structure, name: str = "") -> list[str]:
    """Names of the leaves, in order, such as "state.h.0"."""
    if structure.kind is None:
        return [name]
    keys = structure.keys or getattr(structure.kind, "_fields", ())
    if getattr(structure.kind, "__module__", "") == "ferrule.return_types":
        keys = ()  # results of ops go wherever tuples without names do
    keys = keys or range(len(structure.children))
    return [
        path
        for key, child in zip(keys, structure.children, strict=True)
        for path in paths(child, f"{name}.{key}" if name else str(key))
    ]
