"""How the inputs and outputs of an entry point are nested, as the file tells it.

A structure is JSON: `"tensor"` for the next tensor, otherwise a list of the kind and
what belongs to it:

    ["constant", 0.5]
    ["tuple", [entries]]  ["list", [entries]]
    ["dict", [keys], [entries]]
    ["namedtuple", "Name", [fields], [entries]]  ["dataclass", ...]

A file holds names of classes and no code: named tuples and dataclasses come back as the
classes that the reader is told (`types`), and otherwise as new ones of the same name
and fields.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, make_dataclass
from typing import Any

from ._ferrule import FormatError, Tensor, tensor
from ._tree import LEAF, Structure, entries, flatten, paths, unflatten

__all__ = ["Nested", "nested"]

_DEEPEST = 64
_CONSTANTS = (bool, int, float, str, type(None))


class Nested:
    """Tensors and constants in containers.

    Args:
        structure: the containers; their leaves are tensors and constants.
        constants: one a leaf; `...` stands for a tensor.
    """

    def __init__(self, structure: Structure, constants: Sequence[Any]) -> None:
        self.structure = structure
        self.constants = list(constants)

    @property
    def is_tensor(self) -> bool:
        """Is it one tensor, in no container?"""
        return self.structure.kind is None and self.constants == [...]

    def names(self, root: str = "") -> list[str]:
        """Of the tensors, in order, such as "state.h.0"."""
        every = paths(self.structure, root)
        return [n for n, c in zip(every, self.constants, strict=True) if c is ...]

    def types(self) -> list[type]:
        """Classes of the named tuples and dataclasses in it."""

        def visit(s: Structure) -> Iterator[type]:
            if s.kind is not None and s.kind not in (dict, tuple, list):
                yield s.kind
            for child in s.children:
                yield from visit(child)

        return list(visit(self.structure))

    def build(self, tensors: Sequence[Any]) -> Any:
        """The containers again, with other tensors."""
        rest = iter(tensors)
        leaves = [next(rest) if c is ... else c for c in self.constants]
        return unflatten(self.structure, leaves)

    def tensors(self, tree: Any, what: str) -> list[Tensor]:
        """Those of a tree of this structure.

        Raises:
            ValueError: another structure, or another constant.
        """
        leaves = _match(tree, self.structure)
        if leaves is None:
            given, structure = flatten(tree)
            raise ValueError(
                f"{what} is {_show(structure, _kinds(given))}; it must be "
                f"{_show(self.structure, self._kinds())}, as it was captured"
            )
        found = []
        names = paths(self.structure)
        for name, leaf, constant in zip(names, leaves, self.constants, strict=True):
            label = f"{what}{'.' if name else ''}{name}"
            if constant is not ...:
                if isinstance(leaf, Tensor) or leaf != constant:
                    raise ValueError(
                        f"{label} is {_kinds([leaf])[0]}; the program was captured "
                        f"with {constant!r}, a constant of it"
                    )
            elif not isinstance(leaf, Tensor):
                raise ValueError(f"{label} is a {type(leaf).__name__}, not a Tensor")
            else:
                found.append(leaf)
        return found

    def as_captured(self, tree: Any) -> list[Tensor] | None:
        """The tensors of an eager result, in which some may still be numbers; None if
        it is of another structure.
        """
        leaves = _match(tree, self.structure)
        if leaves is None:
            return None
        pairs = zip(leaves, self.constants, strict=True)
        found = [leaf for leaf, constant in pairs if constant is ...]
        if not all(isinstance(x, (Tensor, bool, int, float)) for x in found):
            return None
        return [x if isinstance(x, Tensor) else tensor(x) for x in found]

    def _kinds(self) -> list[str]:
        return ["tensor" if c is ... else repr(c) for c in self.constants]

    def to_json(self) -> Any:
        rest = iter(self.constants)

        def visit(s: Structure) -> Any:
            if s.kind is None:
                constant = next(rest)
                return "tensor" if constant is ... else ["constant", constant]
            parts = [visit(c) for c in s.children]
            if issubclass(s.kind, dict):
                return ["dict", list(s.keys), parts]
            if is_dataclass(s.kind):
                return ["dataclass", s.kind.__name__, list(s.keys), parts]
            if fields := getattr(s.kind, "_fields", None):
                return ["namedtuple", s.kind.__name__, list(fields), parts]
            return [s.kind.__name__, parts]

        return visit(self.structure)

    @classmethod
    def from_json(cls, text: Any, types: Iterable[type] = ()) -> Nested:
        """Raises FormatError where it is not a structure, TypeError where a class of
        `types` has other fields.
        """
        constants: list[Any] = []
        try:
            structure = _read(text, constants, 0)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise FormatError(f"a structure that cannot be read: {error}") from error
        return cls(_with_types(structure, {t.__name__: t for t in types}), constants)


def nested(tree: Any, what: str) -> tuple[list[Tensor], Nested]:
    """The tensors of a tree, and how they are nested.

    Raises:
        ValueError: a leaf that is neither a tensor nor a constant, or a key of a dict
            that is neither a text nor an int.
    """
    leaves, structure = flatten(tree)
    for bad in _bad_keys(structure):
        raise ValueError(
            f"{what} has a dict with the key {bad!r}; keys of exported dicts are texts "
            "and ints"
        )
    for name, leaf in zip(paths(structure), leaves, strict=True):
        if isinstance(leaf, Tensor) or type(leaf) in _CONSTANTS:
            continue
        raise ValueError(
            f"{what}{'.' if name else ''}{name} is a {type(leaf).__name__}, not a "
            "Tensor; tensors and Python numbers, texts and None, also nested in "
            "tuples, lists, dicts, named tuples and dataclasses, can be exported"
        )
    constants = [... if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    return tensors, Nested(structure, constants)


def _bad_keys(structure: Structure) -> Iterator[Any]:
    if structure.kind is not None and issubclass(structure.kind, dict):
        yield from (k for k in structure.keys if type(k) not in (str, int))
    for child in structure.children:
        yield from _bad_keys(child)


def _read(text: Any, constants: list[Any], depth: int) -> Structure:
    if depth > _DEEPEST:
        raise ValueError(f"it is more than {_DEEPEST} deep")
    if text == "tensor":
        constants.append(...)
        return LEAF
    kind, *parts = text
    if kind == "constant":
        if type(parts[0]) not in _CONSTANTS:
            raise ValueError(f"{parts[0]!r} is no constant")
        constants.append(parts[0])
        return LEAF
    children = tuple(_read(c, constants, depth + 1) for c in parts[-1])
    if kind in ("tuple", "list"):
        return Structure(tuple if kind == "tuple" else list, (), children)
    keys = tuple(parts[-2])
    if len(keys) != len(children) or len({*keys}) != len(keys):
        raise ValueError(f"{len(keys)} keys for {len(children)} entries")
    if kind == "dict":
        return Structure(dict, keys, children)
    if kind == "namedtuple":
        return Structure(namedtuple(parts[0], keys), (), children)
    if kind == "dataclass":
        return Structure(make_dataclass(parts[0], keys), keys, children)
    raise ValueError(f"{kind!r} is no container")


def _with_types(structure: Structure, known: Mapping[str, type]) -> Structure:
    """A structure of the known classes, by their names."""
    kind, keys, children = structure
    if (kind is not None) and (wanted := known.get(kind.__name__)) and _fields(kind):
        if _fields(wanted) != _fields(kind):
            raise TypeError(
                f"[load_program] types has {_described(wanted)}; in the file it is "
                f"{_described(kind)}"
            )
        kind = wanted
    return Structure(kind, keys, tuple(_with_types(c, known) for c in children))


def _fields(kind: type) -> tuple[str, tuple[str, ...]] | None:
    """Is it a named tuple or a dataclass, and of what."""
    if is_dataclass(kind):
        return "dataclass", tuple(f.name for f in fields(kind))
    if issubclass(kind, tuple) and (names := getattr(kind, "_fields", None)):
        return "namedtuple", names
    return None


def _described(kind: type) -> str:
    word, names = _fields(kind) or ("class", ())
    return f"the {word} {kind.__name__}({', '.join(names)})"


def _match(tree: Any, structure: Structure) -> list[Any] | None:
    """The leaves of a tree of this structure, None of another.

    Dicts may have their keys in another order, and classes of the same name and fields
    are the same.
    """
    found = entries(tree)
    if structure.kind is None or found is None:
        return [tree] if structure.kind is None and found is None else None
    keys, parts = found
    if issubclass(structure.kind, dict):
        if not isinstance(tree, dict) or {*keys} != {*structure.keys}:
            return None
        parts = [tree[k] for k in structure.keys]
    elif type(tree) is not structure.kind and not (
        type(tree).__name__ == structure.kind.__name__
        and (keys, getattr(tree, "_fields", ()))
        == (structure.keys, getattr(structure.kind, "_fields", ()))
    ):
        return None
    if len(parts) != len(structure.children):
        return None
    leaves: list[Any] = []
    for part, child in zip(parts, structure.children, strict=True):
        inner = _match(part, child)
        if inner is None:
            return None
        leaves += inner
    return leaves


def _kinds(leaves: Sequence[Any]) -> list[str]:
    return ["tensor" if isinstance(x, Tensor) else repr(x) for x in leaves]


def _show(structure: Structure, leaves: Sequence[str]) -> str:
    """ "{'x': tensor, 'n': 3}"."""
    rest = iter(leaves)

    def visit(s: Structure) -> str:
        if s.kind is None:
            return next(rest)
        parts = [visit(c) for c in s.children]
        if issubclass(s.kind, dict):
            pairs = zip(s.keys, parts, strict=True)
            return "{" + ", ".join(f"{k!r}: {e}" for k, e in pairs) + "}"
        if s.kind is list:
            return f"[{', '.join(parts)}]"
        if s.kind is tuple:
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        keys = s.keys or getattr(s.kind, "_fields", ())
        pairs = zip(keys, parts, strict=True)
        return f"{s.kind.__name__}({', '.join(f'{k}={e}' for k, e in pairs)})"

    return visit(structure)
