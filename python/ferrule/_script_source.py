"""Rewrites the source of a function so that its `if`s and loops are calls.

    if test:                  def yes(y): y = y + 1; return (y,)
        y = y + 1      ->     def no(y): return (y,)
                              (y,) = runtime.if_(test, yes, no, (y,), ("y",), ...)

First jumps are lowered (`_script_jumps.py`), then statements and expressions are
replaced (`_script_calls.py`). What has no such form (`return` inside of a loop) stays
as it is, and is refused when a tensor decides it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Callable
from typing import Any

from ._script_calls import RUNTIME, Emit, at, binds
from ._script_jumps import Jumps
from ._script_names import own_nodes

__all__ = ["rewritten"]

_MADE = "__fe_made"
_REFUSED: dict[type[ast.AST], str] = {
    ast.Global: "global",
    ast.Nonlocal: "nonlocal",
    ast.Yield: "yield",
    ast.YieldFrom: "yield from",
    ast.Await: "await",
    ast.AsyncFor: "async for",
    ast.AsyncWith: "async with",
}


def rewritten(function: Callable[..., Any], runtime: object) -> Callable[..., Any]:
    """The function with calls of `runtime` in place of its decisions.

    Raises:
        SyntaxError: the source cannot be read, or cannot be rewritten; says the line.
    """
    file = function.__code__.co_filename
    node = _parse(function, file)
    _mangle(node, function.__qualname__)
    for inner in own_nodes(node):
        if word := _REFUSED.get(type(inner)):
            raise _error(f"'{word}' cannot be captured", file, inner)
    node.decorator_list, node.returns = [], None
    # Not the function's own name, which must mean in it what it did.
    node.name = _MADE
    node.body = [_TestsThatBind().visit(s) for s in node.body]
    Jumps(node).lower_function()
    emitted = Emit(next(iter(function.__code__.co_varnames), ""))
    node.body = emitted.block(node.body)
    arguments = node.args
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [
        None if d is None else ast.Constant(None) for d in arguments.kw_defaults
    ]
    for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        a.annotation = None
    code = function.__code__
    # Free variables of the original are those of the rewritten one, too.
    outer = ast.parse("def __fe_outer(): pass").body[0]
    assert isinstance(outer, ast.FunctionDef)
    outer.args.args = [ast.arg(n) for n in (RUNTIME, *code.co_freevars)]
    outer.body = [node]
    module = ast.fix_missing_locations(ast.Module([outer], []))
    compiled = compile(module, file, "exec")
    made = _code_of(_code_of(compiled, "__fe_outer"), _MADE)
    made = made.replace(co_name=code.co_name)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    cells[RUNTIME] = types.CellType(runtime)
    closure = tuple(cells[name] for name in made.co_freevars)
    result = types.FunctionType(
        made, function.__globals__, function.__name__, function.__defaults__, closure
    )
    result.__kwdefaults__ = function.__kwdefaults__
    return result


def _parse(function: Callable[..., Any], file: str) -> ast.FunctionDef:
    try:
        lines, first = inspect.getsourcelines(function)
        node = ast.parse(textwrap.dedent("".join(lines))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError) as error:
        raise SyntaxError(
            f"[script] the source of '{function.__name__}' ({file}) cannot be read"
        ) from error
    if not isinstance(node, ast.FunctionDef):
        raise _error("only a function made by def can be scripted", file, node)
    ast.increment_lineno(node, first - 1)
    return node


def _error(text: str, file: str, node: ast.AST) -> SyntaxError:
    line = getattr(node, "lineno", 0)
    return SyntaxError(f"[script] {file}:{line}: {text}")


def _code_of(code: types.CodeType, name: str) -> types.CodeType:
    return next(
        c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == name
    )


class _Mangle(ast.NodeTransformer):
    """`__name` in a class is `_Class__name`."""

    def __init__(self, owner: str) -> None:
        self.owner = owner.lstrip("_")

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._mangled(node.name)
        return node  # it has names of its own

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(node, ast.keyword):
                break  # Python leaves these alone
            if isinstance(name := getattr(node, field, None), str):
                setattr(node, field, self._mangled(name))
        return super().generic_visit(node)

    def _mangled(self, name: str) -> str:
        if not name.startswith("__") or name.endswith("__") or "." in name:
            return name
        return f"_{self.owner}{name}"


def _mangle(node: ast.FunctionDef, qualified: str) -> None:
    """Private names, as the class in which the function stands makes them."""
    outer = qualified.split(".")[:-1]
    while outer and outer[-1] == "<locals>":
        outer = outer[:-2]
    if outer and outer[-1].strip("_"):
        _Mangle(outer[-1]).visit(node)


class _TestsThatBind(ast.NodeTransformer):
    """`while (n := f()) > 1:` becomes `while True:` with a break: a test that is a
    function of its own gives no variable a value.
    """

    def _leave(self, node: Any) -> Any:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _leave

    def visit_While(self, s: ast.While) -> Any:
        self.generic_visit(s)
        if s.orelse or not binds(s.test):
            return s
        stop = ast.If(ast.UnaryOp(ast.Not(), s.test), [ast.Break()], [])
        s.test, s.body = ast.Constant(True), [stop, *s.body]
        return at(s, s)
