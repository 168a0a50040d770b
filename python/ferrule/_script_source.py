"""Rewrites the source of a function so that its `if`s and loops are calls.

    if test:                  def yes(y): y = y + 1; return (y,)
        y = y + 1      ->     def no(y): return (y,)
                              (y,) = runtime.if_(test, yes, no, (y,), ("y",), ...)

First jumps are lowered: what follows an `if` with `return` or `continue` in it goes
into its branches, so that each path ends there; `break` sets a flag that the rest of
the loop asks for. Then statements and expressions are replaced. What has no such form
(`return` inside of a loop) stays as it is, and is refused when a tensor decides it.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["rewritten"]

_RUNTIME = "__fe_script"
_MADE = "__fe_made"
_FLAG = "__fe_go_"
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_TRY: tuple[type[ast.AST], ...] = (ast.Try, getattr(ast, "TryStar", ast.Try))
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_REFUSED: dict[type[ast.AST], str] = {
    ast.Global: "global",
    ast.Nonlocal: "nonlocal",
    ast.Yield: "yield",
    ast.YieldFrom: "yield from",
    ast.Await: "await",
    ast.AsyncFor: "async for",
    ast.AsyncWith: "async with",
}
# Names in the module operator.
_IN_PLACE: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
    ast.BitXor: "xor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Is: "is_",
    ast.IsNot: "is_not",
    ast.In: "in",
    ast.NotIn: "not in",
}
# Methods that change a list, dict, set or deque.
_CHANGES = {
    *("add", "append", "appendleft", "clear", "difference_update", "discard"),
    *("extend", "extendleft", "insert", "intersection_update", "move_to_end", "pop"),
    *("popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort"),
    *("symmetric_difference_update", "update"),
}
_IN_LOOP = (
    "a return inside of a loop cannot depend on a tensor; set a variable, break, and "
    "return it after the loop"
)
_ELSE = "a loop with an else cannot depend on a tensor"
_IN_BLOCK = "a jump out of with or try cannot depend on a tensor, nor one out of match"
_ASSERT = "an assert of a tensor's value cannot be captured; leave it out"


def rewritten(function: Callable[..., Any], runtime: object) -> Callable[..., Any]:
    """The function with calls of `runtime` in place of its decisions.

    Raises:
        SyntaxError: the source cannot be read, or cannot be rewritten; says the line.
    """
    file = function.__code__.co_filename
    node = _parse(function, file)
    _mangle(node, function.__qualname__)
    for inner in _own(node):
        if word := _REFUSED.get(type(inner)):
            raise _error(f"'{word}' cannot be captured", file, inner)
    node.decorator_list, node.returns = [], None
    # Not the function's own name, which must mean in it what it did.
    node.name = _MADE
    node.body = [_TestsThatBind().visit(s) for s in node.body]
    _Jumps(node).lower_function()
    emitted = _Emit(next(iter(function.__code__.co_varnames), ""))
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
    outer.args.args = [ast.arg(n) for n in (_RUNTIME, *code.co_freevars)]
    outer.body = [node]
    module = ast.fix_missing_locations(ast.Module([outer], []))
    compiled = compile(module, file, "exec")
    made = _code_of(_code_of(compiled, "__fe_outer"), _MADE)
    made = made.replace(co_name=code.co_name)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    cells[_RUNTIME] = types.CellType(runtime)
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
        if s.orelse or not _binds(s.test):
            return s
        stop = ast.If(ast.UnaryOp(ast.Not(), s.test), [ast.Break()], [])
        s.test, s.body = ast.Constant(True), [stop, *s.body]
        return _at(s, s)


# --- which variables --------------------------------------------------------


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below, but for those of functions and classes inside."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _own(child)


def _assigned(block: Iterable[ast.stmt]) -> set[str]:
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
        if not isinstance(n, (*_SCOPES, *_COMPREHENSIONS)):
            for child in ast.iter_child_nodes(n):
                visit(child)

    for s in block:
        visit(s)
    return found


def _loads(node: ast.AST | None) -> set[str]:
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


def _exposed(block: Iterable[ast.stmt], given: set[str]) -> tuple[set[str], set[str]]:
    """Variables that are read before they are given a value, and those given after."""
    reads: set[str] = set()
    given = set(given)
    for s in block:
        if isinstance(s, ast.If):
            reads |= _loads(s.test) - given
            yes, a = _exposed(s.body, given)
            no, b = _exposed(s.orelse, given)
            reads |= yes | no
            given = _both(s, a, b)
        elif isinstance(s, (ast.For, ast.While)):
            head = s.iter if isinstance(s, ast.For) else s.test
            reads |= _loads(head) - given
            target = _stored(s.target) if isinstance(s, ast.For) else set()
            reads |= _exposed(s.body, given | target)[0]
            reads |= _exposed(s.orelse, given)[0]
        elif isinstance(s, ast.With):
            for item in s.items:
                reads |= _loads(item.context_expr) - given
                given |= _stored(item.optional_vars)
            inner, given = _exposed(s.body, given)
            reads |= inner
        else:
            reads |= _loads(s) - given
            if not isinstance(s, (ast.Match, *_TRY)):
                given |= _assigned([s])
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


def _stored(node: ast.AST | None) -> set[str]:
    if node is None:
        return set()
    return {
        n.id
        for n in ast.walk(node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def _blocks(s: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of a statement, but for those of functions and classes."""
    if isinstance(s, _SCOPES):
        return
    parts = [s, *getattr(s, "handlers", []), *getattr(s, "cases", [])]
    for part in parts:
        for name in ("body", "orelse", "finalbody"):
            if block := getattr(part, name, []):
                yield block


# --- jumps ------------------------------------------------------------------


def _jumps(node: ast.AST, *, in_loop: bool = False) -> bool:
    """Is there a return, or a jump of a loop that stands around `node`?"""
    if isinstance(node, ast.Return):
        return True
    if isinstance(node, (ast.Break, ast.Continue)):
        return not in_loop
    if isinstance(node, _SCOPES):
        return False
    inner = in_loop or isinstance(node, (ast.For, ast.While))
    return any(_jumps(c, in_loop=inner) for c in ast.iter_child_nodes(node))


def _returns(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Return) for n in _own(node))


def _returns_in_loop(node: ast.AST) -> bool:
    return any(
        isinstance(n, (ast.For, ast.While)) and _returns(n) for n in (node, *_own(node))
    )


def _breaks(loop: ast.For | ast.While) -> bool:
    def visit(node: ast.AST) -> bool:
        if isinstance(node, ast.Break):
            return True
        if isinstance(node, (*_SCOPES, ast.For, ast.While)):
            return False
        return any(visit(c) for c in ast.iter_child_nodes(node))

    return any(visit(s) for s in loop.body)


class _Jumps:
    """Lowers jumps, and notes on statements what `_Emit` needs to know:

    plain (a reason why no tensor can decide it), ends (both ways of an if return),
    live (variables used afterwards), carried and flag of loops.
    """

    def __init__(self, function: ast.FunctionDef) -> None:
        self.function = function
        self.flags = 0
        # What inner functions read may be read whenever they are called.
        self.always: set[str] = set()
        for n in ast.walk(function):
            if n is not function and isinstance(n, _SCOPES):
                self.always |= _loads(n)
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
            reads, given = _exposed(block[i + 1 :], set())
            live = reads | (after - given) | self.always
            inner = around
            if isinstance(s, (ast.If, ast.For, ast.While)):
                s.live, s.around = live, around  # type: ignore[union-attr]
            if isinstance(s, (ast.For, ast.While)):
                test = _loads(s.test) if isinstance(s, ast.While) else set()
                target = _stored(s.target) if isinstance(s, ast.For) else set()
                live = inner = live | test | _exposed(s.body, target)[0]
            elif isinstance(s, _TRY):
                live = live | _loads(s)
            for inner_block in _blocks(s):
                self._note_live(inner_block, live, inner)

    def _lower(self, block: list[ast.stmt], flag: str | None) -> list[ast.stmt]:
        """A block at whose end a function returns (flag None) or a loop goes on."""
        out: list[ast.stmt] = []
        for i, s in enumerate(block):
            if isinstance(s, (ast.Return, ast.Raise)):
                return [*out, s]
            if isinstance(s, ast.Continue):
                return out or [_at(ast.Pass(), s)]
            if isinstance(s, ast.Break):
                assert flag
                return [*out, _set(flag, False, s)]
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
            out.append(_at(ast.Return(ast.Constant(None)), last))
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
        for inner_block in _blocks(s):
            self._block(inner_block)

    def _loop(self, s: ast.For | ast.While) -> None:
        held = (ast.With, ast.Match, *_TRY)
        blocked = any(isinstance(n, held) and _jumps(n) for n in _own(s))
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
        test = _loads(s.test) if isinstance(s, ast.While) else set()
        target = _stored(s.target) if isinstance(s, ast.For) else set()
        read = live | test | _exposed(s.body, target)[0]
        read = {n for n in read if not n.startswith(_FLAG)}  # inner loops' begin anew
        carried = (_assigned(s.body) | target) & read | ({flag} if flag else set())
        if flag:
            going = ast.If(ast.Name(flag, ast.Load()), s.body, [])
            going.live = carried  # type: ignore[attr-defined]
            s.body = [_at(going, s)]
        s.flag, s.carried = flag, carried  # type: ignore[union-attr]


# --- statements and expressions as calls ------------------------------------


def _at(node: Any, like: ast.AST) -> Any:
    return ast.fix_missing_locations(ast.copy_location(node, like))


def _set(name: str, value: Any, like: ast.AST) -> ast.stmt:
    made = ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))
    return _at(made, like)  # type: ignore[no-any-return]


def _call(name: str, *args: ast.expr) -> ast.Call:
    runtime = ast.Name(_RUNTIME, ast.Load())
    return ast.Call(ast.Attribute(runtime, name, ast.Load()), list(args), [])


def _later(value: ast.expr) -> ast.Lambda:
    return ast.Lambda(ast.arguments([], [], None, [], [], None, []), value)


def _texts(names: Iterable[str]) -> ast.Tuple:
    return ast.Tuple([ast.Constant(n) for n in names], ast.Load())


def _state(names: Iterable[str]) -> ast.Tuple:
    """Values of variables, which may have none yet."""
    return ast.Tuple(
        [_call("get", _later(ast.Name(n, ast.Load())), ast.Constant(n)) for n in names],
        ast.Load(),
    )


def _store(names: list[str], value: ast.expr) -> ast.stmt:
    if not names:
        return ast.Expr(value)
    target = ast.Tuple([ast.Name(n, ast.Store()) for n in names], ast.Store())
    return ast.Assign([target], value)


def _function(name: str, params: Iterable[str], body: list[ast.stmt]) -> ast.stmt:
    made = ast.parse(f"def {name}(): pass").body[0]
    assert isinstance(made, ast.FunctionDef)
    made.args.args = [ast.arg(p) for p in params]
    made.body = body
    return made


def _give(names: Iterable[str]) -> ast.stmt:
    return ast.Return(ast.Tuple([ast.Name(n, ast.Load()) for n in names], ast.Load()))


def _binds(node: ast.AST) -> bool:
    """Would it mean something else in a function of its own?"""
    return any(isinstance(n, ast.NamedExpr) for n in ast.walk(node))


class _Emit(ast.NodeTransformer):
    """`first` is the function's first variable, of which `super()` is."""

    def __init__(self, first: str) -> None:
        self.first = first
        self.count = 0

    def block(self, block: list[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for s in block:
            made = self.visit(s)
            out += made if isinstance(made, list) else [made]
        return out or [ast.Pass()]

    def _names(self, *kinds: str) -> list[str]:
        self.count += 1
        return [f"__fe_{kind}_{self.count}" for kind in kinds]

    def _leave(self, node: Any) -> Any:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _leave

    def visit_Delete(self, s: ast.Delete) -> Any:
        # Variables go when the function ends.
        s.targets = [t for t in s.targets if not isinstance(t, ast.Name)]
        return self.generic_visit(s) if s.targets else _at(ast.Pass(), s)

    def visit_Assert(self, s: ast.Assert) -> Any:
        self.generic_visit(s)
        s.test = _plain(s.test, s, _ASSERT)
        return ast.fix_missing_locations(s)

    def visit_If(self, s: ast.If) -> Any:
        line = ast.Constant(s.lineno)
        _mark_truth(s.test)
        test = self.visit(s.test)
        body, orelse = self.block(s.body), self.block(s.orelse)
        if reason := getattr(s, "plain", ""):
            made = ast.If(_plain(test, s, reason), body, orelse if s.orelse else [])
            return _at(made, s)
        names = sorted(_assigned(s.body) | _assigned(s.orelse))
        yes, no = self._names("yes", "no")
        ways = [ast.Name(yes, ast.Load()), ast.Name(no, ast.Load()), _state(names)]
        if getattr(s, "ends", False):
            defs = [_function(yes, names, body), _function(no, names, orelse)]
            result: ast.stmt = ast.Return(_call("if_return", test, *ways, line))
        else:
            live = sorted({*names} & s.live)  # type: ignore[attr-defined]
            defs = [
                _function(yes, names, [*body, _give(names)]),
                _function(no, names, [*orelse, _give(names)]),
            ]
            found = _call("if_", test, *ways, _texts(names), _texts(live), line)
            result = _store(names, found)
        return [_at(n, s) for n in (*defs, result)]

    def visit_While(self, s: ast.While) -> Any:
        _mark_truth(s.test)
        test = self.visit(s.test)
        body = self.block(s.body)
        if reason := getattr(s, "plain", ""):
            made = ast.While(
                _plain(test, s, reason), body, [*map(self.visit, s.orelse)]
            )
            return _at(made, s)
        names, tail = self._loop(s, set())
        if s.flag:  # type: ignore[attr-defined]
            flag = ast.Name(s.flag, ast.Load())  # type: ignore[attr-defined]
            test = _both_true(flag, test, s)
        keep, step = self._names("test", "step")
        call = _call(
            "while_",
            ast.Name(keep, ast.Load()),
            ast.Name(step, ast.Load()),
            _state(names),
            *tail,
            ast.Constant(s.lineno),
        )
        made_all = [
            *self._start(s),
            _function(keep, names, [ast.Return(test)]),
            _function(step, names, [*body, _give(names)]),
            _store(names, call),
        ]
        return [_at(n, s) for n in made_all]

    def visit_For(self, s: ast.For) -> Any:
        items = s.iter
        if (
            isinstance(items, ast.Call)
            and isinstance(items.func, ast.Name)
            and items.func.id == "range"
            and not items.keywords
        ):
            items = _call("range_", *(self.visit(a) for a in items.args))
        else:
            items = self.visit(items)
        body = self.block(s.body)
        if reason := getattr(s, "plain", ""):
            # A range is one of Python's here.
            items = _plain(self.visit(s.iter), s, reason)
            made = ast.For(s.target, items, body, [*map(self.visit, s.orelse)])
            return _at(made, s)
        names, tail = self._loop(s, _stored(s.target))
        item, step = self._names("item", "step")
        take = ast.Assign([s.target], ast.Name(item, ast.Load()))
        call = _call(
            "for_",
            items,
            ast.Name(step, ast.Load()),
            _state(names),
            *tail,
            ast.Constant(s.flag),  # type: ignore[attr-defined]
            ast.Constant(s.lineno),
        )
        made_all = [
            *self._start(s),
            _function(step, [item, *names], [take, *body, _give(names)]),
            _store(names, call),
        ]
        return [_at(n, s) for n in made_all]

    def _loop(self, s: Any, target: set[str]) -> tuple[list[str], list[ast.expr]]:
        names = sorted(_assigned(s.body) | target | ({s.flag} if s.flag else set()))
        live = sorted({*names} & s.live)
        return names, [_texts(names), _texts(sorted(s.carried)), _texts(live)]

    def _start(self, s: Any) -> list[ast.stmt]:
        return [_set(s.flag, True, s)] if s.flag else []

    # --- writes into elements

    def visit_Assign(self, s: ast.Assign) -> Any:
        (target,) = s.targets if len(s.targets) == 1 else (None,)
        if not isinstance(target, ast.Subscript) or not isinstance(
            target.value, ast.Name
        ):
            return self.generic_visit(s)
        s.value = self.visit(s.value)
        target.slice = self.visit(target.slice)
        return _at(_put(target, s.value), s)

    def visit_AugAssign(self, s: ast.AugAssign) -> Any:
        t = s.target
        s.value = self.visit(s.value)
        if isinstance(t, ast.Name):
            name = ast.Constant(_IN_PLACE[type(s.op)])
            place = ast.Constant(t.id), ast.Constant(s.lineno)
            load = ast.Name(t.id, ast.Load())
            value = _call("augment", name, load, s.value, *place)
            return _at(ast.Assign([t], value), s)
        if not isinstance(t, ast.Subscript) or not isinstance(t.value, ast.Name):
            s.target = self.visit(t)
            return s
        t.slice = self.visit(t.slice)
        name = ast.Constant(_IN_PLACE[type(s.op)])
        return _at(_put(t, s.value, name), s)

    # --- expressions

    def visit_BoolOp(self, e: ast.BoolOp) -> Any:
        if any(map(_binds, e.values[1:])):
            return e
        self.generic_visit(e)
        name = "and_" if isinstance(e.op, ast.And) else "or_"
        line, truth = ast.Constant(e.lineno), ast.Constant(hasattr(e, "truth"))
        result = e.values[-1]
        for value in reversed(e.values[:-1]):
            result = _call(name, value, _later(result), line, truth)
        return _at(result, e)

    def visit_UnaryOp(self, e: ast.UnaryOp) -> Any:
        _mark_truth(e)
        self.generic_visit(e)
        return _at(_call("not_", e.operand), e) if isinstance(e.op, ast.Not) else e

    def visit_IfExp(self, e: ast.IfExp) -> Any:
        if _binds(e.body) or _binds(e.orelse):
            return e
        _mark_truth(e.test)
        self.generic_visit(e)
        ways = _later(e.body), _later(e.orelse)
        return _at(_call("choose", e.test, *ways, ast.Constant(e.lineno)), e)

    def visit_Compare(self, e: ast.Compare) -> Any:
        if len(e.ops) == 1 or _binds(e):
            return self.generic_visit(e)
        self.generic_visit(e)
        names = _texts(_COMPARISONS[type(op)] for op in e.ops)
        operands = (_later(value) for value in (e.left, *e.comparators))
        return _at(_call("compare", ast.Constant(e.lineno), names, *operands), e)

    # --- what Python objects hold

    def _changed(self, name: str, holder: ast.expr, what: ast.expr) -> ast.Call:
        line, text = ast.Constant(what.lineno), ast.Constant(ast.unparse(what))
        return _call(name, holder, text, line)

    def visit_Subscript(self, e: ast.Subscript) -> Any:
        text = copy.deepcopy(e)
        self.generic_visit(e)
        if not isinstance(e.ctx, ast.Load):
            e.value = self._changed("changed", e.value, text)
        return ast.fix_missing_locations(e)

    def visit_Attribute(self, e: ast.Attribute) -> Any:
        text = copy.deepcopy(e)
        self.generic_visit(e)
        if not isinstance(e.ctx, ast.Load):
            e.value = self._changed("changed", e.value, text)
        return ast.fix_missing_locations(e)

    def visit_Call(self, e: ast.Call) -> Any:
        function = copy.deepcopy(e.func)
        self.generic_visit(e)
        if isinstance(e.func, ast.Attribute) and e.func.attr in _CHANGES:
            e.func.value = self._changed("called", e.func.value, function)
            return ast.fix_missing_locations(e)
        if not isinstance(e.func, ast.Name):
            return e
        if e.func.id == "super" and not (e.args or e.keywords):
            # In a function of its own it would not find the method's first argument.
            e.args = [ast.Name(n, ast.Load()) for n in ("__class__", self.first)]
            return ast.fix_missing_locations(e)
        return _at(_call("made", e), e)

    def _new(self, e: Any) -> Any:
        self.generic_visit(e)
        return _at(_call("made", e), e)

    def visit_Dict(self, e: ast.Dict) -> Any:
        return self._new(e)

    def visit_Set(self, e: ast.Set) -> Any:
        return self._new(e)

    def visit_ListComp(self, e: ast.ListComp) -> Any:
        return self._new(e)

    def visit_DictComp(self, e: ast.DictComp) -> Any:
        return self._new(e)

    def visit_SetComp(self, e: ast.SetComp) -> Any:
        return self._new(e)

    def visit_List(self, e: ast.List) -> Any:
        return self._new(e) if isinstance(e.ctx, ast.Load) else self.generic_visit(e)


def _plain(value: ast.expr, like: ast.AST, reason: str) -> ast.expr:
    line = ast.Constant(getattr(like, "lineno", 0))
    return _call("plain", value, line, ast.Constant(reason))


def _put(target: ast.Subscript, value: ast.expr, *augmented: ast.expr) -> ast.stmt:
    assert isinstance(target.value, ast.Name)
    name = target.value.id
    place = ast.Constant(f"{name}[...]"), ast.Constant(target.lineno)
    load = ast.Name(name, ast.Load())
    call = _call("put", load, _key(target.slice), value, *place, *augmented)
    return ast.Assign([ast.Name(name, ast.Store())], call)


def _mark_truth(test: ast.expr) -> None:
    """Of `and` and `or` in a test only the truth is asked."""
    if isinstance(test, ast.BoolOp):
        test.truth = True  # type: ignore[attr-defined]
        for value in test.values:
            _mark_truth(value)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        _mark_truth(test.operand)


def _both_true(first: ast.expr, second: ast.expr, like: ast.stmt) -> ast.Call:
    line = ast.Constant(like.lineno)
    return _call("and_", first, _later(second), line, ast.Constant(True))


def _key(key: ast.expr) -> ast.expr:
    """What stands between brackets, as an expression: slices are made by a call."""
    if isinstance(key, ast.Slice):
        ends = (key.lower, key.upper, key.step)
        return ast.Call(
            ast.Name("slice", ast.Load()), [e or ast.Constant(None) for e in ends], []
        )
    if isinstance(key, ast.Tuple):
        key.elts = [_key(e) for e in key.elts]
    return key
