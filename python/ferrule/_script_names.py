"""Which variables a piece of source assigns, reads, and leaves to what follows."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

__all__ = [
    "SCOPES",
    "TRY",
    "assigned",
    "blocks_of",
    "exposed",
    "loads",
    "own_nodes",
    "stored",
]

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
TRY: tuple[type[ast.AST], ...] = (ast.Try, getattr(ast, "TryStar", ast.Try))
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below, but for those of functions and classes inside."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, SCOPES):
            yield from own_nodes(child)


def assigned(block: Iterable[ast.stmt]) -> set[str]:
    """Variables that a block gives a value, also by writing into them."""
    found: set[str] = set()

    def visit(n: ast.AST) -> None:
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
            found.add(n.id)
        elif isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store):
            if isinstance(n.value, ast.Name):
                found.add(n.value.id)
        elif isinstance(n, (ast.FunctionDef, ast.ClassDef)):
            found.add(n.name)
        elif isinstance(n, ast.alias):
            found.add((n.asname or n.name).split(".")[0])
        elif isinstance(n, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            found.update([n.name] if n.name else [])
        elif isinstance(n, ast.MatchMapping) and n.rest:
            found.add(n.rest)
        if not isinstance(n, (*SCOPES, *_COMPREHENSIONS)):
            for child in ast.iter_child_nodes(n):
                visit(child)

    for s in block:
        visit(s)
    return found


def loads(node: ast.AST | None) -> set[str]:
    """Variables that are read somewhere in a node."""
    if node is None:
        return set()
    found = {
        n.id
        for n in ast.walk(node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    for n in ast.walk(node):
        if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name):
            found.add(n.target.id)
    return found


def exposed(block: Iterable[ast.stmt], given: set[str]) -> tuple[set[str], set[str]]:
    """Variables that are read before they are given a value, and those given after."""
    reads: set[str] = set()
    given = set(given)
    for s in block:
        if isinstance(s, ast.If):
            reads |= loads(s.test) - given
            yes, a = exposed(s.body, given)
            no, b = exposed(s.orelse, given)
            reads |= yes | no
            given = _both(s, a, b)
        elif isinstance(s, (ast.For, ast.While)):
            head = s.iter if isinstance(s, ast.For) else s.test
            reads |= loads(head) - given
            target = stored(s.target) if isinstance(s, ast.For) else set()
            reads |= exposed(s.body, given | target)[0]
            reads |= exposed(s.orelse, given)[0]
        elif isinstance(s, ast.With):
            for item in s.items:
                reads |= loads(item.context_expr) - given
                given |= stored(item.optional_vars)
            inner, given = exposed(s.body, given)
            reads |= inner
        else:
            reads |= loads(s) - given
            if not isinstance(s, (ast.Match, *TRY)):
                given |= assigned([s])
    return reads, given


def _both(s: ast.If, a: set[str], b: set[str]) -> set[str]:
    """Given after both ways, of which one may not come to the end."""
    if _ends(s.body):
        return b
    return a if _ends(s.orelse) else a & b


def _ends(block: list[ast.stmt]) -> bool:
    return bool(block) and isinstance(
        block[-1], (ast.Return, ast.Break, ast.Continue, ast.Raise)
    )


def stored(node: ast.AST | None) -> set[str]:
    if node is None:
        return set()
    return {
        n.id
        for n in ast.walk(node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def blocks_of(s: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of a statement, but for those of functions and classes."""
    if isinstance(s, SCOPES):
        return
    parts = [s, *getattr(s, "handlers", []), *getattr(s, "cases", [])]
    for part in parts:
        for name in ("body", "orelse", "finalbody"):
            if block := getattr(part, name, []):
                yield block
