"""Checkpointing: less memory for a second computation of the forward pass."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from .._ferrule import (
    AutogradError,
    Tensor,
    capture_draw_again,
    capture_draws,
    captures_control_flow,
    enable_grad,
    is_capturing,
    is_grad_enabled,
    rng_state,
    set_rng,
)
from ..amp.autocast_mode import autocast_as_now
from ..autograd.graph import saved_tensors_hooks

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(AutogradError):
    """A function under `checkpoint` did otherwise when it was computed again."""


# What takes the place of the arguments `early_stop` and `debug`; None: nothing.
_early_stop: bool | None = None
_debug: bool | None = None


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Context manager: sets `early_stop` of every `checkpoint` called inside."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Context manager: sets `debug` of every `checkpoint` called inside.

    None leaves it to the calls.
    """
    global _debug
    before, _debug = _debug, enabled
    try:
        yield
    finally:
        _debug = before


def noop_context_fn() -> Contexts:
    """The `context_fn` of `checkpoint` that changes nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


class _Place:
    """Stands, in the recorded graph, for a tensor that was not saved.

    It lives as long as the op that wants the tensor.
    """

    __slots__ = ("__weakref__", "kind")

    def __init__(self, tensor: Tensor) -> None:
        self.kind = _kind_of(tensor)


def _kind_of(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tensor.shape} on {tensor.device.type}"


class _Done(BaseException):
    """All that was wanted has been computed again."""


class _Segment:
    """One call of a function under `checkpoint`."""

    def __init__(
        self, again: Callable[[], object], check: bool, early_stop: bool, debug: bool
    ) -> None:
        self._again = again
        self._check = check
        self._early_stop = early_stop
        # For `debug`: what was saved the first time, and now.
        self._saved: list[str] | None = [] if debug else None
        self._saved_again: list[str] = []
        self._places: list[weakref.ref[_Place]] = []
        # What was computed again; goes with the op that wants it.
        self._values: weakref.WeakKeyDictionary[_Place, tuple[Tensor, int]]
        self._values = weakref.WeakKeyDictionary()

    def pack(self, tensor: Tensor) -> _Place:
        place = _Place(tensor)
        self._places.append(weakref.ref(place))
        if self._saved is not None:
            self._saved.append(place.kind)
        return place

    def unpack(self, place: _Place) -> Tensor:
        if place not in self._values:
            self._compute_again()
        if place not in self._values:
            raise self._error(
                "computed again, the function saved fewer than the "
                f"{len(self._places)} tensors of the first time"
            )
        tensor, version = self._values[place]
        if tensor._version != version:
            raise CheckpointError(
                "[checkpoint] a tensor saved for a gradient was overwritten in place "
                "by the function; write into a clone() instead"
            )
        return tensor

    def _compute_again(self) -> None:
        count = 0
        self._saved_again = []

        def pack(tensor: Tensor) -> Tensor:
            nonlocal count
            if self._saved is not None:
                self._saved_again.append(_kind_of(tensor))
            if count == len(self._places):
                raise self._error(
                    "computed again, the function saves more than the "
                    f"{count} tensors of the first time"
                )
            place = self._places[count]()
            if place is not None:
                if self._check and _kind_of(tensor) != place.kind:
                    raise self._error(
                        f"computed again, tensor {count} that the function saves is "
                        f"{_kind_of(tensor)}, at first it was {place.kind}"
                    )
                self._values[place] = (tensor, tensor._version)
            count += 1
            if self._early_stop and count == len(self._places):
                raise _Done
            return tensor

        try:
            with saved_tensors_hooks(pack, lambda tensor: tensor), enable_grad():
                self._again()
        except _Done:
            pass

    def _error(self, what: str) -> CheckpointError:
        text = f"[checkpoint] {what}; it must do the same both times"
        if self._saved is None:
            return CheckpointError(f"{text} (debug=True lists all tensors it saves)")
        for title, kinds in (
            ("At first", self._saved),
            ("Computed again", self._saved_again),
        ):
            lines = "".join(f"\n  {i}: {kind}" for i, kind in enumerate(kinds))
            text += f"\n{title} it saved:{lines or ' nothing'}"
        return CheckpointError(text)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Calls `function(*args, **kwargs)` and saves nothing inside for gradients.

    The backward pass calls it again when it needs what was not saved, so that
    a model costs the memory of its largest segment, and about a third more
    time. Values and gradients are the same, bit by bit. `function` must do the
    same both times, and should have no side effects: those happen twice.
    Autocast is the second time as it was at first.

    Exported, a training step computes twice what is computed twice here. A graph
    keeps what random ops gave, such as the result of dropout; in control flow
    (`fe.scan`, ...) it cannot, which is an error.

    Args:
        function: of tensors and anything else; may be a module.
        use_reentrant: PyTorch has two ways of which True names the older one. Here
            is one, which can do what both can; with True, `context_fn`, `debug`
            and `kwargs` are refused as there.
        context_fn: gives two context managers, for the first call and the second.
        determinism_check: "default" compares shapes, dtypes and devices of what
            both calls save; "none" does not.
        debug: an error lists all tensors that both calls saved.
        early_stop: the second call ends once it has computed what is wanted.
        preserve_rng_state: draws the same random numbers the second time, for
            dropout. False saves the time if there are none.

    Raises:
        ValueError: unknown `determinism_check`, or see `use_reentrant`.
        CheckpointError: (in the backward pass) the second call did otherwise, or
            an argument was written in place since the first.

    Example:
        >>> import ferrule as fe
        >>> from ferrule.utils.checkpoint import checkpoint
        >>> x = fe.tensor([0.5], requires_grad=True)
        >>> checkpoint(lambda t: t.exp().sin(), x).sum().backward()
        >>> x.grad.item() == (fe.cos(fe.exp(x)) * fe.exp(x)).item()
        True

    Source: Chen et al., "Training deep nets with sublinear memory cost",
    arXiv:1604.06174 (2016).
    """
    if use_reentrant:
        if context_fn is not noop_context_fn or debug:
            raise ValueError(
                "[checkpoint] context_fn and debug need use_reentrant=False"
            )
        if kwargs:
            raise ValueError(
                "[checkpoint] with use_reentrant=True, arguments of the function "
                f"must be positional, got {', '.join(kwargs)}"
            )
    if determinism_check not in ("default", "none"):
        raise ValueError(
            "[checkpoint] determinism_check must be 'default' or 'none', got "
            f"{determinism_check!r}"
        )
    captured = captures_control_flow()
    # Under vmap nothing is kept between the two runs of the function.
    if not is_grad_enabled() or (is_capturing() and not captured):
        return function(*args, **kwargs)
    first, second = context_fn()
    rng = rng_state() if preserve_rng_state else None
    begin = end = capture_draws() if captured else 0
    values = [*args, *kwargs.values()]
    versions = [v._version if isinstance(v, Tensor) else 0 for v in values]
    same_autocast = autocast_as_now(
        {"cpu", *(v.device.type for v in values if isinstance(v, Tensor))} - {"graph"}
    )

    def again() -> None:
        for value, version in zip(values, versions, strict=True):
            if isinstance(value, Tensor) and value._version != version:
                raise CheckpointError(
                    "[checkpoint] an argument of the function "
                    f"({value.dtype} {value.shape}) was written in place since the "
                    "call, so that it cannot be computed again; give it a clone()"
                )
        # On stand-ins: what is recorded now must not reach the first graph.
        new_args = tuple(_stand_in(a) for a in args)
        new_kwargs = {k: _stand_in(v) for k, v in kwargs.items()}
        with same_autocast(), second, same_numbers():
            function(*new_args, **new_kwargs)

    @contextlib.contextmanager
    def same_numbers() -> Iterator[None]:
        """Random ops draw what they drew first; afterwards they go on as they were."""
        now = rng_state()
        if captured:
            before = capture_draw_again((begin, end))
        elif rng is not None:
            set_rng(*rng)
        try:
            yield
        finally:
            if captured:
                capture_draw_again(before)
            elif rng is not None:
                set_rng(*now)

    segment = _Segment(
        again,
        determinism_check == "default",
        early_stop if _early_stop is None else _early_stop,
        debug if _debug is None else _debug,
    )
    with saved_tensors_hooks(segment.pack, segment.unpack), first:
        result = function(*args, **kwargs)
    end = capture_draws() if captured else 0
    return result


def _stand_in(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.detach().requires_grad_(value.requires_grad)


def checkpoint_sequential(
    functions: Iterable[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """Runs functions one after another, in segments under `checkpoint`.

    The last segment is run as it is: its gradient comes first.

    Args:
        functions: such as an `nn.Sequential`.
        segments: how many, 1 .. number of functions.
        input: of the first function.
        use_reentrant, preserve_rng_state: see `checkpoint`.

    Raises:
        ValueError: `segments` is out of range, or as of `checkpoint`.
    """
    chain = list(functions)
    if not 1 <= segments <= len(chain):
        raise ValueError(
            f"[checkpoint_sequential] segments must be in 1..{len(chain)}, the number "
            f"of functions, got {segments}"
        )

    def run(first: int, end: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for function in chain[first:end]:
                x = function(x)
            return x

        return forward

    size = len(chain) // segments
    for first in range(0, size * (segments - 1), size):
        input = checkpoint(
            run(first, first + size),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
    return run(size * (segments - 1), len(chain))(input)
