"""`@fe.script`: `if`, `while` and `for` over tensors in ordinary Python source.

A decorated function runs as it is. While it is captured, another function runs in its
place, made of its source (`_script_source.py`): each `if` and loop is a call of a
function below, which decides in Python where it can, and otherwise writes `fe.cond`,
`fe.while_loop` or `fe.scan` down.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
)
from contextlib import contextmanager
from typing import Any, TypeVar

from . import _control_flow, _ferrule
from ._ferrule import FerruleError, Tensor
from ._script_source import rewritten

__all__ = ["script"]

F = TypeVar("F", bound=Callable[..., Any])
State = tuple[Any, ...]


def script(function: F) -> F:
    """Lets a function decide by tensors while it is captured, in ordinary Python.

    `if`, `while`, `for i in range(tensor)`, `for x in tensor`, `a if test else b`,
    `and`, `or`, `not`, `break`, `continue` and early `return` over tensors become
    `fe.cond`, `fe.while_loop` and `fe.scan`. What depends on Python values alone stays
    as it is: such a loop is unrolled. Outside of a capture the function runs unchanged.

    Both ways of a decision must give a variable the same dtype and shape, if it is used
    afterwards; a variable that a loop changes keeps them from step to step, and has a
    value before the loop. Python numbers that change become tensors. `y[i] = v` and
    `y += v` in a branch or loop change a copy of `y`: other names of the same tensor
    and views of it keep the old values. Lists, dicts and attributes of objects can
    change where they were made, and are refused in a branch or loop below. Functions
    that are called are not looked into: decorate them, too.

    Loops over a tensor and over `range` have gradients, also in a captured training
    step; `while` over tensors, and `range` of a tensor, has none there.

    Args:
        function: a function or method whose source can be read.

    Returns:
        A function that does the same.

    Raises:
        SyntaxError: what cannot be rewritten, with its line; when the function is
            captured: `nonlocal`, `global`, `yield`, `await`.
        FerruleError: while captured: a decision by a tensor that cannot be written
            down, with its line and the reason.

    Example:
        >>> import ferrule as fe
        >>> def halve(x):
        ...     while x.sum() > 1:
        ...         x = x / 2
        ...     return x
        >>> fe.script(halve)(fe.tensor([3.0, 1.0])).tolist()
        [0.75, 0.25]
    """
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise TypeError(
            f"[script] a {type(function).__name__} cannot be scripted, but functions "
            "made by def; below @staticmethod and @classmethod, and of a module its "
            "forward"
        )
    if hasattr(function, "__script__"):
        return function
    if hasattr(function, "__wrapped__"):
        raise TypeError(
            f"[script] '{function.__name__}' is another decorator's function; "
            "@fe.script must be the innermost decorator"
        )

    @functools.cache
    def made() -> Callable[..., Any]:
        return rewritten(function, _Runtime(function.__code__.co_filename))

    @functools.wraps(function)
    def scripted(*args: Any, **kwargs: Any) -> Any:
        if not _ferrule.captures_control_flow():
            return function(*args, **kwargs)
        if inspect.ismethod(function):
            return made()(function.__self__, *args, **kwargs)
        return made()(*args, **kwargs)

    scripted.__script__ = True  # type: ignore[attr-defined]
    return scripted  # type: ignore[return-value]


class _Undefined:
    """Stands for a variable that has no value, and says why."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def _fail(self, *_: object, **__: object) -> Any:
        raise UnboundLocalError(self._reason)

    def __getattr__(self, name: str) -> Any:
        self._fail()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _fail
    __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = __neg__ = _fail
    __bool__ = __call__ = __getitem__ = __iter__ = __len__ = __index__ = _fail


def _container(value: Any) -> bool:
    return isinstance(value, (MutableSequence, MutableMapping, MutableSet))


def _symbolic(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.device.type == "graph"
        and _ferrule.captures_control_flow()
    )


class _Range:
    """`range` of sizes or tensors that are not known yet."""

    def __init__(self, *limits: Any) -> None:
        self.start, self.stop, self.step = 0, None, 1
        if len(limits) == 1:
            (self.stop,) = limits
        else:
            self.start, self.stop, *rest = limits
            self.step = rest[0] if rest else 1

    @property
    def counted(self) -> bool:
        """Is the number of steps known from sizes?"""
        return not any(
            isinstance(v, Tensor) for v in (self.start, self.stop, self.step)
        )


class _Runtime:
    """What a rewritten function calls.

    State is a tuple of variables, `names` are theirs, and `live` those that are used
    afterwards.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        # Of each branch or loop that is being written down, the Python objects made.
        self.own: list[list[Any]] = []

    @property
    def depth(self) -> int:
        return len(self.own)

    def _place(self, line: int) -> str:
        return f"{self.file}:{line}"

    def _refuse(self, line: int, reason: str) -> FerruleError:
        return FerruleError(f"[script] {self._place(line)}: {reason}")

    @contextmanager
    def _at(self, line: int, what: str) -> Iterator[None]:
        """Errors say where the decision stands."""
        try:
            yield
        except (TypeError, ValueError, FerruleError) as error:
            text = str(error)
            if text.startswith("[script]"):
                raise
            raise type(error)(
                f"[script] {self._place(line)}: {what}: {text}"
            ) from error

    @contextmanager
    def _inside(self) -> Iterator[None]:
        self.own.append([])
        try:
            yield
        finally:
            self.own.pop()

    def _named(self, state: State, names: Sequence[str]) -> dict[str, Any]:
        return dict(zip(names, state, strict=True))

    @staticmethod
    def get(read: Callable[[], Any], name: str) -> Any:
        """A variable, which may have no value yet."""
        try:
            return read()
        except NameError:
            return _Undefined(f"'{name}' is used before it has a value")

    def plain(self, value: Any, line: int, reason: str) -> Any:
        """A value that Python decides by."""
        if _symbolic(value):
            raise self._refuse(line, reason)
        return value

    # --- expressions

    def and_(
        self, first: Any, second: Callable[[], Any], line: int, truth: bool
    ) -> Any:
        if not _symbolic(first):
            return first and second()
        return self._decide(first, second, lambda: first, line, truth)

    def or_(self, first: Any, second: Callable[[], Any], line: int, truth: bool) -> Any:
        if not _symbolic(first):
            return first or second()
        return self._decide(first, lambda: first, second, line, truth)

    def _decide(
        self,
        test: Tensor,
        yes: Callable[[], Any],
        no: Callable[[], Any],
        line: int,
        truth: bool,
    ) -> Any:
        """`and` and `or`: the second is computed where the first does not decide
        (x[i] after i < n), and the result is an operand, or its truth in a test.
        """
        if truth:
            return self._cond(
                test, lambda: self._truth(yes()), lambda: self._truth(no()), line
            )
        return self._cond(test, yes, no, line)

    def compare(
        self, line: int, names: Sequence[str], *operands: Callable[[], Any]
    ) -> Any:
        """`a < b < c`, each computed at most once."""

        return self._compare_on(line, names, operands, operands[0](), 0)

    def _compare_on(
        self,
        line: int,
        names: Sequence[str],
        operands: Sequence[Callable[[], Any]],
        left: Any,
        i: int,
    ) -> Any:
        """From comparison `i` on, whose left side is known."""
        right = operands[i + 1]()
        name = names[i]
        if name in ("in", "not in"):
            found = (left in right) == (name == "in")
        else:
            found = getattr(operator, name)(left, right)
        if i + 1 == len(names):
            return found
        return self.and_(
            found,
            lambda: self._compare_on(line, names, operands, right, i + 1),
            line,
            False,
        )

    @staticmethod
    def not_(value: Any) -> Any:
        return _ferrule.ops.logical_not(value) if _symbolic(value) else not value

    @staticmethod
    def _truth(value: Any) -> Tensor:
        """One bool."""
        if not isinstance(value, Tensor):
            return _ferrule.tensor(bool(value))
        return (value if value.dtype is _ferrule.bool else value != 0).reshape(())

    def choose(
        self, test: Any, yes: Callable[[], Any], no: Callable[[], Any], line: int
    ) -> Any:
        if not _symbolic(test):
            return yes() if test else no()
        return self._cond(test, yes, no, line)

    def range_(self, *limits: Any) -> Any:
        if any(_symbolic(v) or getattr(v, "expr", -1) >= 0 for v in limits):
            return _Range(*limits)
        return range(*limits)

    def made(self, value: Any) -> Any:
        """A new Python object: the branch or loop that made it may change it."""
        if self.own:
            self.own[-1].append(value)
        return value

    def changed(self, holder: Any, what: str, line: int) -> Any:
        """An object that is about to be changed, by `what`."""
        if not self.own or isinstance(holder, Tensor):
            return holder
        if any(holder is own for own in self.own[-1]):
            return holder
        raise self._refuse(
            line,
            f"'{what}' changes an object ({type(holder).__name__}) that was made "
            "before the branch or loop, which is written down once, whether it runs "
            "or not; change variables, and collect tensors in one (y[i] = v)",
        )

    def called(self, holder: Any, what: str, line: int) -> Any:
        """An object of which a method of this name changes containers."""
        return self.changed(holder, what, line) if _container(holder) else holder

    def put(
        self, target: Any, key: Any, value: Any, what: str, line: int, name: str = ""
    ) -> Any:
        """`target[key] = value`, or `+=`; in a branch or loop into a copy."""
        if self.depth and _symbolic(target):
            target = target.clone()
        self.changed(target, what, line)
        if name:
            value = self.augment(name, target[key], value, what, line)
        target[key] = value
        return target

    def augment(self, name: str, target: Any, value: Any, what: str, line: int) -> Any:
        """`target += value`; a tensor in a branch or loop is made anew."""
        anew = self.depth > 0 and _symbolic(target)
        self.called(target, what, line)
        in_place = "i" + name.rstrip("_")
        function: Any = getattr(operator, name if anew else in_place)
        return function(target, value)

    # --- statements

    def _cond(
        self, test: Tensor, yes: Callable[[], Any], no: Callable[[], Any], line: int
    ) -> Any:
        def inside(f: Callable[[], Any]) -> Callable[[], Any]:
            def run() -> Any:
                with self._inside():
                    return f()

            return run

        with self._at(line, "the two ways differ, or one of them fails"):
            return _control_flow.cond(self._truth(test), inside(yes), inside(no))

    def if_return(
        self,
        test: Any,
        yes: Callable[..., Any],
        no: Callable[..., Any],
        state: State,
        line: int,
    ) -> Any:
        """An `if` both of whose ways end in `return`."""
        return self.choose(test, lambda: yes(*state), lambda: no(*state), line)

    def if_(
        self,
        test: Any,
        yes: Callable[..., State],
        no: Callable[..., State],
        state: State,
        names: Sequence[str],
        live: Sequence[str],
        line: int,
    ) -> State:
        if not _symbolic(test):
            return yes(*state) if test else no(*state)

        def way(f: Callable[..., State]) -> Callable[[], dict[str, Any]]:
            def run() -> dict[str, Any]:
                after = self._named(f(*state), names)
                for name in live:
                    if isinstance(after[name], _Undefined):
                        raise self._refuse(
                            line,
                            f"'{name}' has a value on one way only, and is used "
                            "afterwards; give it one before the if",
                        )
                return {name: after[name] for name in live}

            return run

        after = self._cond(test, way(yes), way(no), line)
        reason = f"[script] {self._place(line)}: '%s' is assigned in a branch only"
        return tuple(after.get(n, _Undefined(reason % n)) for n in names)

    def while_(
        self,
        test: Callable[..., Any],
        body: Callable[..., State],
        state: State,
        names: Sequence[str],
        carried: Sequence[str],
        live: Sequence[str],
        line: int,
    ) -> State:
        while not _symbolic(found := test(*state)):
            if not found:
                return state
            state = body(*state)
        before = self._named(state, names)
        first = self._carry(before, carried, live, line)

        def full(values: dict[str, Any]) -> State:
            return tuple(values.get(n, before[n]) for n in names)

        def keep_going(values: dict[str, Any]) -> Any:
            with self._inside():
                return self._truth(test(*full(values)))

        def step(values: dict[str, Any]) -> tuple[dict[str, Any]]:
            with self._inside():
                after = self._named(body(*full(values)), names)
            return ({n: after[n] for n in first},)

        with self._at(line, "a while loop over tensors"):
            (after,) = _control_flow.while_loop(keep_going, step, (first,))
        return self._after(after, names, line)

    def for_(
        self,
        items: Any,
        body: Callable[..., State],
        state: State,
        names: Sequence[str],
        carried: Sequence[str],
        live: Sequence[str],
        flag: str,
        line: int,
    ) -> State:
        """`flag` names the variable that `break` sets to False; "" if there is none."""
        if isinstance(items, _Range) and not items.counted:
            return self._count(items, body, state, names, carried, live, flag, line)
        if isinstance(items, _Range):
            items = _ferrule.arange(items.start, items.stop, items.step)
        if not _symbolic(items):
            for item in items:
                state = body(item, *state)
                if flag and self._named(state, names)[flag] is False:
                    break
            return state
        before = self._named(state, names)
        first = self._carry(before, carried, live, line)

        def step(values: dict[str, Any], item: Tensor) -> tuple[dict[str, Any], None]:
            with self._inside():
                now = tuple(values.get(n, before[n]) for n in names)
                after = self._named(body(item, *now), names)
            return {n: after[n] for n in first}, None

        with self._at(line, "a for loop over a tensor"):
            after, _ = _control_flow.scan(step, first, items)
        return self._after(after, names, line)

    def _count(
        self,
        items: _Range,
        body: Callable[..., State],
        state: State,
        names: Sequence[str],
        carried: Sequence[str],
        live: Sequence[str],
        flag: str,
        line: int,
    ) -> State:
        """A `for` over the range of a tensor: a `while` with a counter."""
        counter = " counter"
        if isinstance(items.step, Tensor):
            raise self._refuse(
                line, "the step of a range must be a number, not a tensor"
            )

        def test(*now: Any) -> Any:
            i = now[-1]
            more = i < items.stop if items.step > 0 else i > items.stop
            going = self._named(now[:-1], names)[flag] if flag else True
            return self.and_(more, lambda: going, line, True)

        def step(*now: Any) -> State:
            return (*body(now[-1], *now[:-1]), now[-1] + items.step)

        start = items.start
        first = start if isinstance(start, Tensor) else _ferrule.tensor(int(start))
        everything = (*names, counter)
        kept = (*carried, counter)
        return self.while_(test, step, (*state, first), everything, kept, live, line)[
            :-1
        ]

    def _carry(
        self,
        before: dict[str, Any],
        carried: Iterable[str],
        live: Iterable[str],
        line: int,
    ) -> dict[str, Any]:
        for name in live:
            if isinstance(before[name], _Undefined):
                raise self._refuse(
                    line,
                    f"'{name}' gets its first value inside of a loop over tensors, "
                    "which may have no step, and is used afterwards; give it one "
                    "before the loop",
                )
        keep = [n for n in carried if not isinstance(before[n], _Undefined)]
        return {n: before[n] for n in keep}

    def _after(self, after: dict[str, Any], names: Sequence[str], line: int) -> State:
        reason = f"[script] {self._place(line)}: '%s' is assigned inside of a loop only"
        return tuple(after.get(n, _Undefined(reason % n)) for n in names)
