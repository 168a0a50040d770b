"""Puts calls of the runtime in place of statements and expressions."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable
from typing import Any

from ._script_names import assigned, stored

__all__ = ["RUNTIME", "Emit", "assign", "at", "binds"]

RUNTIME = "__fe_script"
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
_ASSERT = "an assert of a tensor's value cannot be captured; leave it out"


def at(node: Any, like: ast.AST) -> Any:
    return ast.fix_missing_locations(ast.copy_location(node, like))


def assign(name: str, value: Any, like: ast.AST) -> ast.stmt:
    made = ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))
    return at(made, like)  # type: ignore[no-any-return]


def _call(name: str, *args: ast.expr) -> ast.Call:
    runtime = ast.Name(RUNTIME, ast.Load())
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


def binds(node: ast.AST) -> bool:
    """Would it mean something else in a function of its own?"""
    return any(isinstance(n, ast.NamedExpr) for n in ast.walk(node))


class Emit(ast.NodeTransformer):
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
        return self.generic_visit(s) if s.targets else at(ast.Pass(), s)

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
            return at(made, s)
        names = sorted(assigned(s.body) | assigned(s.orelse))
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
        return [at(n, s) for n in (*defs, result)]

    def visit_While(self, s: ast.While) -> Any:
        _mark_truth(s.test)
        test = self.visit(s.test)
        body = self.block(s.body)
        if reason := getattr(s, "plain", ""):
            made = ast.While(
                _plain(test, s, reason), body, [*map(self.visit, s.orelse)]
            )
            return at(made, s)
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
        return [at(n, s) for n in made_all]

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
            return at(made, s)
        names, tail = self._loop(s, stored(s.target))
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
        return [at(n, s) for n in made_all]

    def _loop(self, s: Any, target: set[str]) -> tuple[list[str], list[ast.expr]]:
        names = sorted(assigned(s.body) | target | ({s.flag} if s.flag else set()))
        live = sorted({*names} & s.live)
        return names, [_texts(names), _texts(sorted(s.carried)), _texts(live)]

    def _start(self, s: Any) -> list[ast.stmt]:
        return [assign(s.flag, True, s)] if s.flag else []

    # --- writes into elements

    def visit_Assign(self, s: ast.Assign) -> Any:
        (target,) = s.targets if len(s.targets) == 1 else (None,)
        if not isinstance(target, ast.Subscript) or not isinstance(
            target.value, ast.Name
        ):
            return self.generic_visit(s)
        s.value = self.visit(s.value)
        target.slice = self.visit(target.slice)
        return at(_put(target, s.value), s)

    def visit_AugAssign(self, s: ast.AugAssign) -> Any:
        t = s.target
        s.value = self.visit(s.value)
        if isinstance(t, ast.Name):
            name = ast.Constant(_IN_PLACE[type(s.op)])
            place = ast.Constant(t.id), ast.Constant(s.lineno)
            load = ast.Name(t.id, ast.Load())
            value = _call("augment", name, load, s.value, *place)
            return at(ast.Assign([t], value), s)
        if not isinstance(t, ast.Subscript) or not isinstance(t.value, ast.Name):
            s.target = self.visit(t)
            return s
        t.slice = self.visit(t.slice)
        name = ast.Constant(_IN_PLACE[type(s.op)])
        return at(_put(t, s.value, name), s)

    # --- expressions

    def visit_BoolOp(self, e: ast.BoolOp) -> Any:
        if any(map(binds, e.values[1:])):
            return e
        self.generic_visit(e)
        name = "and_" if isinstance(e.op, ast.And) else "or_"
        line, truth = ast.Constant(e.lineno), ast.Constant(hasattr(e, "truth"))
        result = e.values[-1]
        for value in reversed(e.values[:-1]):
            result = _call(name, value, _later(result), line, truth)
        return at(result, e)

    def visit_UnaryOp(self, e: ast.UnaryOp) -> Any:
        _mark_truth(e)
        self.generic_visit(e)
        return at(_call("not_", e.operand), e) if isinstance(e.op, ast.Not) else e

    def visit_IfExp(self, e: ast.IfExp) -> Any:
        if binds(e.body) or binds(e.orelse):
            return e
        _mark_truth(e.test)
        self.generic_visit(e)
        ways = _later(e.body), _later(e.orelse)
        return at(_call("choose", e.test, *ways, ast.Constant(e.lineno)), e)

    def visit_Compare(self, e: ast.Compare) -> Any:
        if len(e.ops) == 1 or binds(e):
            return self.generic_visit(e)
        self.generic_visit(e)
        names = _texts(_COMPARISONS[type(op)] for op in e.ops)
        operands = (_later(value) for value in (e.left, *e.comparators))
        return at(_call("compare", ast.Constant(e.lineno), names, *operands), e)

    # --- what Python objects hold

    def _changed(self, name: str, holder: ast.expr, what: ast.expr) -> ast.Call:
        line, text = ast.Constant(what.lineno), ast.Constant(ast.unparse(what))
        return _call(name, holder, text, line)

    def _place(self, e: ast.Subscript | ast.Attribute) -> Any:
        """`x[i]` and `x.name`: what is not read of them is written to the object."""
        text = copy.deepcopy(e)
        self.generic_visit(e)
        if not isinstance(e.ctx, ast.Load):
            e.value = self._changed("changed", e.value, text)
        return ast.fix_missing_locations(e)

    def visit_Subscript(self, e: ast.Subscript) -> Any:
        return self._place(e)

    def visit_Attribute(self, e: ast.Attribute) -> Any:
        return self._place(e)

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
        return at(_call("made", e), e)

    def _new(self, e: Any) -> Any:
        self.generic_visit(e)
        return at(_call("made", e), e)

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
