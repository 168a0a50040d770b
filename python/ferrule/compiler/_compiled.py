"""`compile`: functions that run as graphs."""

from __future__ import annotations

import copy
import functools
import linecache
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

from .. import _ferrule
from .._ferrule import FerruleError, FerruleWarning, Tensor
from .._tree import Structure, flatten
from ..nn import Module
from ._capture import Captured
from ._links import Reached

__all__ = ["CompiledFunction", "OptimizedModule", "Stats", "compile", "reset", "stats"]

# Graphs that a function keeps: the least recently used goes.
CACHE_SIZE = 64

_PACKAGE = str(Path(__file__).resolve().parent.parent)


class Stats(NamedTuple):
    """What became of the calls of compiled functions."""

    captures: int
    """Graphs that were captured."""
    runs: int
    """Calls that ran a graph."""
    eager: int
    """Calls that ran the function itself: the first of a function whose optimizer
    has no state yet, and those of what cannot be captured."""
    dropped: int
    """Graphs that were dropped because there were too many, or because a tensor
    that they use was replaced."""


class _Counts:
    def __init__(self) -> None:
        self.captures = self.runs = self.eager = self.dropped = 0


_counts = _Counts()
_epoch = 0  # raised by reset()


def stats() -> Stats:
    """Counts of all compiled functions since the program began, or `reset`.

    Example:
        >>> import ferrule as fe
        >>> fe.compiler.reset()
        >>> double = fe.compile(lambda x: x * 2)
        >>> double(fe.ones(2)).tolist(), double(fe.zeros(2)).tolist()
        ([2.0, 2.0], [0.0, 0.0])
        >>> fe.compiler.stats()
        Stats(captures=1, runs=2, eager=0, dropped=0)
    """
    c = _counts
    return Stats(c.captures, c.runs, c.eager, c.dropped)


def reset() -> None:
    """Drops all graphs of all compiled functions, and sets `stats` to 0."""
    global _counts, _epoch
    _counts = _Counts()
    _epoch += 1


class CompiledFunction:
    """A function that runs as a graph: what `compile` makes of one.

    Called like the function. `__wrapped__` is the function itself. A copy captures
    anew, and so does what was pickled.
    """

    def __init__(
        self, function: Callable[..., Any], fullgraph: bool, passes: str
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._fullgraph = fullgraph
        self._passes = passes
        self._lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._epoch = _epoch
        # By signature of the call; None: it cannot be captured.
        self._graphs: OrderedDict[Hashable, list[Captured] | None] = OrderedDict()
        self._warmed = False
        self._recaptured = 0

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method, it gets its object as the first argument."""
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> tuple[Any, ...]:
        name = getattr(self._function, "__qualname__", "")
        module = getattr(self._function, "__module__", None)
        return _restore, (module, name, self._options(), self._picklable())

    def _picklable(self) -> Any:
        """What cannot be found by its name is pickled itself."""
        function: Any = self._function
        return None if hasattr(function, "__qualname__") else function

    def _options(self) -> tuple[bool, str]:
        return self._fullgraph, self._passes

    def __copy__(self) -> CompiledFunction:
        return CompiledFunction(self._function, *self._options())

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledFunction:
        return CompiledFunction(copy.deepcopy(self._function, memo), *self._options())

    def __repr__(self) -> str:
        return f"<compiled {_name_of(self._function)}>"

    def graphs(self) -> list[Captured]:
        """The graphs that are kept, for looking into them: `graph.steps()`."""
        return [g for found in self._graphs.values() for g in found or ()]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _ferrule.is_capturing():  # it becomes part of what is captured
            return self._function(*args, **kwargs)
        leaves: Sequence[Any]
        structure: Structure | int
        if kwargs or any(not isinstance(a, Tensor) for a in args):
            leaves, structure = flatten((args, kwargs))
        else:
            leaves, structure = args, len(args)
        kinds, given, others = _ferrule.call_key(leaves)
        key = (
            (structure, kinds, *map(_static, others)) if others else (structure, kinds)
        )
        with self._lock:
            found, numbers = self._find(key)
            if found is None and key in self._graphs and self._graphs[key] is None:
                _counts.eager += 1
                return self._function(*args, **kwargs)
            if found is None:
                return self._first(key, leaves, structure, args, kwargs)
        _counts.runs += 1
        return found.run(given, numbers)

    def _find(self, key: Hashable) -> tuple[Captured | None, list[float]]:
        """The graph for a call, and the numbers of its run."""
        if self._epoch != _epoch:
            self._forget()
        for captured in self._graphs.get(key) or ():
            numbers = captured.numbers()
            if numbers is not None:
                self._graphs.move_to_end(key)
                return captured, numbers
        return None, []

    def _first(
        self,
        key: Hashable,
        leaves: Sequence[Any],
        structure: Structure | int,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """A call that no graph is there for."""
        reached = self._reach(leaves)
        if not self._warmed and _lacks_state(reached):
            # Optimizers make their state in their first step.
            self._warmed = True
            _counts.eager += 1
            return self._function(*args, **kwargs)
        if isinstance(structure, int):
            leaves, structure = flatten((args, {}))
        try:
            captured = Captured(
                self._function, leaves, structure, reached, self._passes
            )
        except Exception as error:
            _tell_place(error, self._function)
            if self._fullgraph:
                raise
            warnings.warn(
                f"{error}\n  so that {_name_of(self._function)} runs uncompiled for "
                "such arguments; see fe.compile(fullgraph=...)",
                FerruleWarning,
                stacklevel=3,
            )
            self._keep(key, None)
            _counts.eager += 1
            return self._function(*args, **kwargs)
        _counts.captures += 1
        self._keep(key, captured)
        numbers = captured.numbers()
        if numbers is None:
            raise FerruleError(
                f"[compile] what {_name_of(self._function)} uses was changed by "
                "another thread while it was captured"
            )
        _counts.runs += 1
        return captured.run([a for a in leaves if isinstance(a, Tensor)], numbers)

    def _reach(self, leaves: Sequence[Any]) -> Reached:
        roots = [(_name_of(self._function), self._function)]
        roots += [
            (f"argument {i}", a)
            for i, a in enumerate(leaves)
            if not isinstance(a, Tensor)
        ]
        return Reached(iter(roots))

    def _keep(self, key: Hashable, captured: Captured | None) -> None:
        kept = self._graphs
        if captured is None:
            kept[key] = None
            return
        old = kept.get(key) or []
        if old:
            self._recaptured += 1
            if self._recaptured == 16:
                why = old[-1].reached.changed()
                warnings.warn(
                    f"[compile] {_name_of(self._function)} was captured 16 times for "
                    "arguments of the same kind, because what it uses was replaced"
                    + (f", such as '{why}'" if why else ""),
                    FerruleWarning,
                    stacklevel=5,
                )
        kept[key] = [*old[-7:], captured]
        kept.move_to_end(key)
        _counts.dropped += len(old) - len(old[-7:])
        while len(kept) > CACHE_SIZE:
            _, gone = kept.popitem(last=False)
            _counts.dropped += len(gone or ())


class OptimizedModule(Module):
    """A module whose call runs as a graph: what `compile` makes of one.

    The module itself is `_orig_mod`; attributes that this one lacks are its. They
    share their parameters, and train() and eval() hold for both.
    """

    def __init__(self, module: Module, fullgraph: bool, passes: str) -> None:
        super().__init__()
        self._orig_mod = module
        object.__setattr__(self, "training", module.training)
        object.__setattr__(
            self, "_compiled", CompiledFunction(module, fullgraph, passes)
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            raise AttributeError(name)
        return getattr(self._orig_mod, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return OptimizedModule, (self._orig_mod, *self._compiled._options())

    def __deepcopy__(self, memo: dict[int, Any]) -> OptimizedModule:
        return OptimizedModule(
            copy.deepcopy(self._orig_mod, memo), *self._compiled._options()
        )


def _restore(
    module: str, name: str, options: tuple[bool, str], function: Any
) -> CompiledFunction:
    """Unpickles: the function is found by its name, or was pickled itself."""
    if function is None:
        from importlib import import_module

        function = import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    if isinstance(function, CompiledFunction):
        return function
    return CompiledFunction(function, *options)


@overload
def compile(
    model: None = None,
    *,
    fullgraph: bool = True,
    dynamic: bool | None = None,
    passes: str | Iterable[str] = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
@overload
def compile(  # type: ignore[overload-overlap]
    model: Module,
    *,
    fullgraph: bool = True,
    dynamic: bool | None = None,
    passes: str | Iterable[str] = "",
) -> OptimizedModule: ...
@overload
def compile(
    model: Callable[..., Any],
    *,
    fullgraph: bool = True,
    dynamic: bool | None = None,
    passes: str | Iterable[str] = "",
) -> CompiledFunction: ...
def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = True,
    dynamic: bool | None = None,
    passes: str | Iterable[str] = "",
) -> Any:
    """Makes a function or module run as a graph: the same results, faster.

    The first call captures what the function does to tensors, as `export` does; that
    call and later ones run the graph, by the same passes and the same executor as
    exported files. Parameters and buffers are shared: whoever writes them is seen,
    and sees what the graph writes. Results have the same bits as those of the
    function itself, random numbers included.

    It compiles three things:

    - what runs under `no_grad`, such as a model in use;
    - whole steps of training, which is the fastest way: a function that computes the
      loss, calls `backward()` and `optimizer.step()`. The loss that it returns has no
      history. The learning rate and other numbers of the optimizer may change from
      call to call; schedulers run outside;
    - models whose results are differentiated outside. They are recorded as one op,
      once differentiable.

    A function is captured anew for other shapes, dtypes and Python values among its
    arguments, other modes (`train()`, `no_grad`, autocast), and when a tensor,
    module or number that it reaches is replaced: by its closure, the globals it
    names, attributes, lists and dicts. 64 kinds of arguments are kept for each
    function. Python code runs while capturing only: what it prints, counts or
    appends happens once. Hooks are captured with what they compute. While a function
    is captured, no other thread may use its tensors; later calls may run at once.

    Args:
        model: a function or an `nn.Module`. Without it, a decorator is returned.
        fullgraph: what cannot be captured is an error. With False, calls of that kind
            run the function itself, after a warning.
        dynamic: as in PyTorch, a hint that sizes will vary. Each set of shapes has a
            graph of its own here, made in milliseconds, so it changes nothing.
        passes: how graphs are made faster, as in `load_program`: "none", "-fold",
            or a list of such words. All passes that run by default keep every bit.

    Returns:
        A `CompiledFunction`, or an `OptimizedModule` for a module.

    Raises:
        TypeError: `model` cannot be called.
        ValueError: there is no such pass.
        FerruleError: when called: the function cannot be captured; names the line.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Linear(4, 2)
        >>> optimizer = fe.optim.Adam(model.parameters(), lr=0.1)
        >>> @fe.compile
        ... def step(x, y):
        ...     optimizer.zero_grad()
        ...     loss = fe.nn.functional.mse_loss(model(x), y)
        ...     loss.backward()
        ...     optimizer.step()
        ...     return loss
        >>> losses = [step(fe.ones(3, 4), fe.zeros(3, 2)).item() for _ in range(20)]
        >>> losses[-1] < losses[0]
        True
    """
    if not isinstance(passes, str):
        passes = ",".join(passes)
    _ferrule.check_passes(passes)
    if model is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, passes=passes
        )
    if isinstance(model, (CompiledFunction, OptimizedModule)):
        return model
    if isinstance(model, Module):
        return OptimizedModule(model, fullgraph, passes)
    if not callable(model):
        raise TypeError(
            f"[compile] expected a function or a module, got {type(model).__name__}"
        )
    return CompiledFunction(model, fullgraph, passes)


# --- details ----------------------------------------------------------------

_VALUES = (int, float, complex, str, bytes, bool, type(None))


def _static(value: Any) -> Hashable:
    """What stands for an argument that is no tensor in a key."""
    kind = type(value)
    if kind in _VALUES:
        return (kind, repr(value) if kind in (float, complex) else value)
    if kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "__array__"):
        raise TypeError(
            f"[compile] a compiled function got a NumPy {kind.__name__}, whose numbers "
            "would become part of the graph; pass fe.from_numpy(array)"
        )
    return _Same(value)


class _Same:
    """Equal to another one of the same object, which it keeps alive."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _lacks_state(reached: Reached) -> bool:
    """Has an optimizer not stepped yet?"""
    return any(
        all(p not in o.state for p in group["params"] if p.requires_grad)
        for o in reached.optimizers
        for group in o.param_groups
    )


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def _tell_place(error: BaseException, function: Any) -> None:
    """Adds to an error of ours where in the user's program it came about."""
    place, at = "", error.__traceback__
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if not file.startswith(_PACKAGE):
            line = linecache.getline(file, at.tb_lineno).strip()
            place = f" at {file}:{at.tb_lineno}" + (f": {line}" if line else "")
        at = at.tb_next
    if isinstance(error, FerruleError) and error.args:
        text = f"{error.args[0]}\n  while compiling {_name_of(function)}{place}"
        error.args = (text, *error.args[1:])
