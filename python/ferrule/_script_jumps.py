"""Lowers the jumps of a function.

What follows an `if` with `return` or `continue` in it goes into its branches, so that
each path ends there; `break` sets a flag that the rest of the loop asks for.
"""

from __future__ import annotations

import ast
import copy

from ._script_calls import assign, at
from ._script_names import (
    SCOPES,
    TRY,
    assigned,
    blocks_of,
    exposed,
    loads,
    own_nodes,
    stored,
)

__all__ = ["Jumps"]

_FLAG = "__fe_go_"
_IN_LOOP = (
    "a return inside of a loop cannot depend on a tensor; set a variable, break, and "
    "return it after the loop"
)
_ELSE = "a loop with an else cannot depend on a tensor"
_IN_BLOCK = "a jump out of with or try cannot depend on a tensor, nor one out of match"


def _jumps(node: ast.AST, *, in_loop: bool = False) -> bool:
    """Is there a return, or a jump of a loop that stands around `node`?"""
    if isinstance(node, ast.Return):
        return True
    if isinstance(node, (ast.Break, ast.Continue)):
        return not in_loop
    if isinstance(node, SCOPES):
        return False
    inner = in_loop or isinstance(node, (ast.For, ast.While))
    return any(_jumps(c, in_loop=inner) for c in ast.iter_child_nodes(node))


def _returns(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Return) for n in own_nodes(node))


def _returns_in_loop(node: ast.AST) -> bool:
    return any(
        isinstance(n, (ast.For, ast.While)) and _returns(n)
        for n in (node, *own_nodes(node))
    )


def _breaks(loop: ast.For | ast.While) -> bool:
    def visit(node: ast.AST) -> bool:
        if isinstance(node, ast.Break):
            return True
        if isinstance(node, (*SCOPES, ast.For, ast.While)):
            return False
        return any(visit(c) for c in ast.iter_child_nodes(node))

    return any(visit(s) for s in loop.body)


class Jumps:
    """Lowers jumps, and notes on statements what `Emit` needs to know:

    plain (a reason why no tensor can decide it), ends (both ways of an if return),
    live (variables used afterwards), carried and flag of loops.
    """

    def __init__(self, function: ast.FunctionDef) -> None:
        self.function = function
        self.flags = 0
        # What inner functions read may be read whenever they are called.
        self.always: set[str] = set()
        for n in ast.walk(function):
            if n is not function and isinstance(n, SCOPES):
                self.always |= loads(n)
        self.loops = 0  # plain ones around the statement

    def lower_function(self) -> None:
        body = self.function.body
        self._note_live(body, set(), set())
        self.function.body = self._lower(body, None)

    def _note_live(
        self, block: list[ast.stmt], after: set[str], around: set[str]
    ) -> None:
        """`after`: variables used after the block; `around`: at the end of the loop's
        body in which it stands.
        """
        for i, s in enumerate(block):
            reads, given = exposed(block[i + 1 :], set())
            live = reads | (after - given) | self.always
            inner = around
            if isinstance(s, (ast.If, ast.For, ast.While)):
                s.live, s.around = live, around  # type: ignore[union-attr]
            if isinstance(s, (ast.For, ast.While)):
                test = loads(s.test) if isinstance(s, ast.While) else set()
                target = stored(s.target) if isinstance(s, ast.For) else set()
                live = inner = live | test | exposed(s.body, target)[0]
            elif isinstance(s, TRY):
                live = live | loads(s)
            for inner_block in blocks_of(s):
                self._note_live(inner_block, live, inner)

    def _lower(self, block: list[ast.stmt], flag: str | None) -> list[ast.stmt]:
        """A block at whose end a function returns (flag None) or a loop goes on."""
        out: list[ast.stmt] = []
        for i, s in enumerate(block):
            if isinstance(s, (ast.Return, ast.Raise)):
                return [*out, s]
            if isinstance(s, ast.Continue):
                return out or [at(ast.Pass(), s)]
            if isinstance(s, ast.Break):
                assert flag
                return [*out, assign(flag, False, s)]
            if isinstance(s, ast.If) and _jumps(s) and not _returns_in_loop(s):
                rest = block[i + 1 :]
                s.body = self._lower(s.body + copy.deepcopy(rest), flag)
                s.orelse = self._lower(s.orelse + rest, flag)
                s.ends = flag is None  # type: ignore[attr-defined]
                if flag is not None:  # what followed stands in its branches now
                    s.live = s.around | ({flag} if flag else set())  # type: ignore[attr-defined]
                return [*out, s]
            self._statement(s)
            out.append(s)
        if flag is None:
            last = block[-1] if block else self.function
            out.append(at(ast.Return(ast.Constant(None)), last))
        return out

    def _block(self, block: list[ast.stmt]) -> None:
        for s in block:
            self._statement(s)

    def _statement(self, s: ast.stmt) -> None:
        """A statement whose jumps, if any, stay as they are."""
        if isinstance(s, (ast.For, ast.While)):
            return self._loop(s)
        if isinstance(s, ast.If) and _jumps(s):
            s.plain = _IN_LOOP if self.loops else _IN_BLOCK  # type: ignore[attr-defined]
        for inner_block in blocks_of(s):
            self._block(inner_block)

    def _loop(self, s: ast.For | ast.While) -> None:
        held = (ast.With, ast.Match, *TRY)
        blocked = any(isinstance(n, held) and _jumps(n) for n in own_nodes(s))
        if s.orelse or _returns(s) or blocked:
            s.plain = (  # type: ignore[union-attr]
                _ELSE if s.orelse else _IN_LOOP if _returns(s) else _IN_BLOCK
            )
            self.loops += 1
            self._block(s.body)
            self._block(s.orelse)
            self.loops -= 1
            return
        flag = ""
        if _breaks(s):
            self.flags += 1
            flag = f"{_FLAG}{self.flags}"
        live: set[str] = s.live  # type: ignore[union-attr]
        s.body = self._lower(s.body, flag)
        test = loads(s.test) if isinstance(s, ast.While) else set()
        target = stored(s.target) if isinstance(s, ast.For) else set()
        read = live | test | exposed(s.body, target)[0]
        read = {n for n in read if not n.startswith(_FLAG)}  # inner loops' begin anew
        carried = (assigned(s.body) | target) & read | ({flag} if flag else set())
        if flag:
            going = ast.If(ast.Name(flag, ast.Load()), s.body, [])
            going.live = carried  # type: ignore[attr-defined]
            s.body = [at(going, s)]
        s.flag, s.carried = flag, carried  # type: ignore[union-attr]
