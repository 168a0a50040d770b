"""Checkpointing: less memory for a second computation of the forward pass."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from .._ferrule import (
    AutogradError,
    Tensor,
    enable_grad,
    is_capturing,
    is_grad_enabled,
    rng_state,
    set_rng,
)
from ..autograd.graph import saved_tensors_hooks

__all__ = ["checkpoint", "checkpoint_sequential"]


class _Place:
    """Stands, in the recorded graph, for a tensor that was not saved.

    It lives as long as the op that wants the tensor.
    """

    __slots__ = ("__weakref__", "kind")

    def __init__(self, tensor: Tensor) -> None:
        self.kind = (tensor.shape, tensor.dtype)


class _Done(BaseException):
    """All that was wanted has been computed again."""


class _Segment:
    """One call of a function under `checkpoint`."""

    def __init__(self, again: Callable[[], object]) -> None:
        self._again = again
        self._places: list[weakref.ref[_Place]] = []
        # What was computed again; goes with the op that wants it.
        self._values: weakref.WeakKeyDictionary[_Place, tuple[Tensor, int]]
        self._values = weakref.WeakKeyDictionary()

    def pack(self, tensor: Tensor) -> _Place:
        place = _Place(tensor)
        self._places.append(weakref.ref(place))
        return place

    def unpack(self, place: _Place) -> Tensor:
        if place not in self._values:
            self._compute_again()
        if place not in self._values:
            raise AutogradError(
                "[checkpoint] computed again, the function saved "
                f"fewer than the {len(self._places)} tensors of the first time; it "
                "must do the same both times"
            )
        tensor, version = self._values[place]
        if tensor._version != version:
            raise AutogradError(
                "[checkpoint] a tensor saved for a gradient was overwritten in place "
                "by the function; write into a clone() instead"
            )
        return tensor

    def _compute_again(self) -> None:
        count = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal count
            if count < len(self._places):
                place = self._places[count]()
                if place is not None:
                    kind = (tensor.shape, tensor.dtype)
                    if kind != place.kind:
                        raise AutogradError(
                            f"[checkpoint] computed again, tensor {count} that the "
                            f"function saves is {kind[1]} {kind[0]}, at first it was "
                            f"{place.kind[1]} {place.kind[0]}; it must do the same "
                            "both times"
                        )
                    self._values[place] = (tensor, tensor._version)
            count += 1
            if count == len(self._places):
                raise _Done
            return tensor

        try:
            with saved_tensors_hooks(pack, lambda tensor: tensor), enable_grad():
                self._again()
        except _Done:
            pass


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Calls `function(*args, **kwargs)` and saves nothing inside for gradients.

    The backward pass calls it again when it needs what was not saved, so that
    a model costs the memory of its largest segment, and about a third more
    time. Values and gradients are the same, bit by bit. `function` must do the
    same both times, and should have no side effects: those happen twice.

    While a program is exported nothing is computed twice.

    Args:
        function: of tensors and anything else; may be a module.
        use_reentrant: only False.
        preserve_rng_state: draws the same random numbers the second time, for
            dropout. False saves the time if there are none.

    Raises:
        ValueError: `use_reentrant` is True.
        AutogradError: (in the backward pass) the second call did otherwise.

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
        raise ValueError("[checkpoint] use_reentrant=True is not supported; use False")
    if not is_grad_enabled() or is_capturing():
        return function(*args, **kwargs)
    rng = rng_state() if preserve_rng_state else None

    def again() -> None:
        # On stand-ins: what is recorded now must not reach the first graph.
        new_args = tuple(_stand_in(a) for a in args)
        new_kwargs = {k: _stand_in(v) for k, v in kwargs.items()}
        if rng is None:
            function(*new_args, **new_kwargs)
            return
        now = rng_state()
        set_rng(*rng)
        try:
            function(*new_args, **new_kwargs)
        finally:
            set_rng(*now)

    segment = _Segment(again)
    with saved_tensors_hooks(segment.pack, segment.unpack):
        return function(*args, **kwargs)


def _stand_in(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.detach().requires_grad_(value.requires_grad)


def checkpoint_sequential(
    functions: Iterable[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool = False,
    preserve_rng_state: bool = True,
) -> Any:
    """Runs functions one after another, in segments under `checkpoint`.

    The last segment is run as it is: its gradient comes first.

    Args:
        functions: such as an `nn.Sequential`.
        segments: how many, 1 .. number of functions.
        input: of the first function.
        use_reentrant: only False.
        preserve_rng_state: see `checkpoint`.

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
