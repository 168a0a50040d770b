"""Nested containers of tensors: taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

__all__ = ["flatten", "paths"]

Build = Callable[[list[Any]], Any]


def _children(tree: Any) -> tuple[list[str], list[Any], Build] | None:
    """Names of the parts, the parts, and how to put others in their place."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return list(tree._fields), list(tree), lambda parts: type(tree)(*parts)
    if isinstance(tree, (tuple, list)):
        names = [str(i) for i in range(len(tree))]
        return names, list(tree), type(tree)
    if isinstance(tree, Mapping):
        keys = list(tree)
        return (
            [str(k) for k in keys],
            [tree[k] for k in keys],
            lambda parts: dict(zip(keys, parts, strict=True)),
        )
    if is_dataclass(tree) and not isinstance(tree, type):
        names = [f.name for f in fields(tree)]
        return (
            names,
            [getattr(tree, name) for name in names],
            lambda parts: replace(tree, **dict(zip(names, parts, strict=True))),
        )
    if tree is None:
        return [], [], lambda parts: None
    return None


def flatten(tree: Any) -> tuple[list[Any], Build]:
    """Leaves of nested tuples, lists, dicts, named tuples, dataclasses and None.

    Returns:
        The leaves in order, and a function that builds the same structure from as
        many other leaves.

    Example:
        >>> leaves, build = flatten({"a": 1, "b": (2, [3, None])})
        >>> leaves
        [1, 2, 3]
        >>> build([4, 5, 6])
        {'a': 4, 'b': (5, [6, None])}
    """
    found = _children(tree)
    if found is None:
        return [tree], lambda leaves: leaves[0]
    _, parts, make = found
    flat = [flatten(part) for part in parts]

    def build(leaves: list[Any]) -> Any:
        at, built = 0, []
        for part, put in flat:
            built.append(put(leaves[at : at + len(part)]))
            at += len(part)
        return make(built)

    return [leaf for part, _ in flat for leaf in part], build


def paths(tree: Any, name: str = "") -> list[str]:
    """Names of the leaves, in the order of `flatten`, such as "state.h.0"."""
    found = _children(tree)
    if found is None:
        return [name]
    names, parts, _ = found
    return [
        path
        for key, part in zip(names, parts, strict=True)
        for path in paths(part, f"{name}.{key}" if name else key)
    ]
