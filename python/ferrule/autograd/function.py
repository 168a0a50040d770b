"""`Function`: an op with a gradient of its own, in Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._ferrule import (
    AutogradError,
    Device,
    DType,
    Node,
    PackedTensor,
    ShapeError,
    Tensor,
    autograd_function,
    is_grad_enabled,
    no_grad,
    pack_saved_tensor,
    running_function,
    with_history,
    zeros,
)

__all__ = ["Function", "FunctionContext", "once_differentiable"]


class FunctionContext:
    """What `forward` hands to `backward` of a `Function`.

    Attributes:
        needs_input_grad: for every argument of `forward`, whether its gradient
            is wanted.

    Any other attribute may be set to keep numbers and the like.
    """

    needs_input_grad: tuple[bool, ...]

    def __init__(self, function: type[Function], args: tuple[Any, ...]) -> None:
        self._function = function
        self._n_args = len(args)
        # Shapes and not tensors, so that only what was saved lives on.
        self._inputs = {
            i: tuple(a.shape) for i, a in enumerate(args) if isinstance(a, Tensor)
        }
        self._outputs: list[tuple[tuple[int, ...], DType, Device]] = []
        self._saved: tuple[Tensor | PackedTensor | None, ...] | None = ()
        self._versions: tuple[int, ...] = ()
        self._untracked: set[int] = set()
        self._written: tuple[Tensor, ...] = ()
        self._materialize = True
        # Of saved tensors that `forward` made: place among the outputs.
        self._output_places: dict[int, int] = {}
        # The recorded function, while its gradient runs: it owns this context,
        # so that keeping it longer would be a reference cycle.
        self._running: Node | None = None
        self.needs_input_grad = tuple(
            isinstance(a, Tensor) and a.requires_grad for a in args
        )

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps inputs and outputs of `forward` for `backward`.

        Called once. What is saved must not be written to before `backward`.

        Raises:
            TypeError: something is neither a tensor nor None; set it as an
                attribute of the context.
        """
        for i, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"[{self._function.__name__}] save_for_backward takes tensors, "
                    f"got {type(tensor).__name__} as number {i}; set other values "
                    "as attributes, ctx.name = value"
                )
        self._saved = tensors
        self._versions = tuple(-1 if t is None else t._version for t in tensors)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given: tensors, or None.

        Raises:
            AutogradError: one was changed in place since, or a backward pass
                that does not retain the graph has dropped them.
        """
        name = self._function.__name__
        if self._saved is None:
            raise AutogradError(
                f"[{name}] backward a second time: the saved tensors of this graph "
                "were freed by the first pass; pass retain_graph=True to it"
            )
        saved: list[Tensor | None] = []
        for i, (kept, version) in enumerate(
            zip(self._saved, self._versions, strict=True)
        ):
            tensor = kept.unpack() if isinstance(kept, PackedTensor) else kept
            if tensor is kept and tensor is not None and tensor._version != version:
                raise AutogradError(
                    f"[{name}] saved tensor {i} of shape {tensor.shape} was changed "
                    "in place between forward and backward; save a clone"
                )
            if self._running is not None and i in self._output_places:
                # Needed where the gradient itself is being recorded.
                place = self._output_places[i]
                assert tensor is not None
                tensor = with_history(tensor, self._running, place)
            saved.append(tensor)
        return tuple(saved)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Says which arguments `forward` wrote in place; it must return them."""
        self._written = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says of outputs of `forward` that they have no gradient."""
        self._untracked.update(id(t) for t in tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """False gives `backward` None, not zeros, for outputs that are unused."""
        self._materialize = value

    def _keep(self, outputs: list[Tensor]) -> None:
        """Prepares what was saved for the time until `backward`.

        Outputs are kept without history, see `saved_tensors`; inputs that are
        written in place count as outputs. Hooks on saved tensors see them all.
        """
        self._outputs = [(tuple(t.shape), t.dtype, t.device) for t in outputs]
        places = {id(t): i for i, t in enumerate(outputs)}
        assert self._saved is not None
        saved = list(self._saved)
        for i, tensor in enumerate(saved):
            if not isinstance(tensor, Tensor):
                continue
            if id(tensor) in places:
                self._output_places[i] = places[id(tensor)]
                saved[i] = tensor.detach()
            packed = pack_saved_tensor(tensor)
            if packed is not None:
                saved[i] = packed
        self._saved = tuple(saved)

    def _release(self) -> None:
        """Called by the engine after a pass that does not retain the graph."""
        if self._saved:
            self._saved = None

    def _run_backward(self, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Calls `backward` for the engine and checks what it returns."""
        self._running = running_function() if is_grad_enabled() else None
        try:
            return self._call_backward(grads)
        finally:
            self._running = None

    def _call_backward(
        self, grads: tuple[Tensor | None, ...]
    ) -> tuple[Tensor | None, ...]:
        name = self._function.__name__
        if self._materialize:
            grads = tuple(
                zeros(shape, dtype=dtype, device=device) if g is None else g
                for g, (shape, dtype, device) in zip(grads, self._outputs, strict=True)
            )
        result = self._function.backward(self, *grads)
        returned = result if isinstance(result, tuple) else (result,)
        if len(returned) != self._n_args:
            raise AutogradError(
                f"[{name}] backward returned {len(returned)} gradients, but forward "
                f"has {self._n_args} arguments; return None for those without one"
            )
        for i, grad in enumerate(returned):
            if grad is None:
                continue
            if i not in self._inputs:
                raise AutogradError(
                    f"[{name}] backward returned a gradient for argument {i}, which "
                    "is no tensor; return None"
                )
            if tuple(grad.shape) != self._inputs[i]:
                raise ShapeError(
                    f"[{name}] backward returned a gradient of shape {grad.shape} for "
                    f"argument {i} of shape {self._inputs[i]}"
                )
        return tuple(returned[i] for i in self._inputs)


class Function:
    """Base class of ops written in Python, with their gradient.

    Define the static methods `forward` and `backward`, and call `apply`.
    `backward` gets a gradient per output (zeros if unused) and returns one per
    argument of `forward`, None for those that have none. If it is made of ops,
    it can be differentiated again.

    Example:
        >>> import ferrule as fe
        >>> class Cube(fe.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x * x
        ...
        ...     @staticmethod
        ...     def backward(ctx, grad):
        ...         (x,) = ctx.saved_tensors
        ...         return grad * 3.0 * x * x
        >>> x = fe.tensor([2.0], requires_grad=True)
        >>> Cube.apply(x).sum().backward()
        >>> x.grad.tolist()
        [12.0]
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Computes the output, a tensor or a tuple; nothing is recorded."""
        raise NotImplementedError("a Function must define forward(ctx, ...)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Saves for `backward`, if `forward` is defined without `ctx`."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Computes the gradients of the arguments from those of the outputs."""
        raise NotImplementedError("a Function must define backward(ctx, ...)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs `forward` and records it.

        Raises:
            AutogradError: (in the backward pass) `backward` returned another
                number of gradients than `forward` has arguments.
            ShapeError: (likewise) a gradient has another shape than its input.
            TypeError: `forward` returned something other than tensors.
        """
        ctx = FunctionContext(cls, args)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        outputs = result if isinstance(result, tuple) else (result,)
        for output in outputs:
            if not isinstance(output, Tensor):
                raise TypeError(
                    f"[{cls.__name__}] forward must return tensors, got "
                    f"{type(output).__name__}"
                )
        written = {id(t) for t in ctx._written}
        for t in ctx._written:
            if not any(t is a for a in args) or not any(t is o for o in outputs):
                raise AutogradError(
                    f"[{cls.__name__}] mark_dirty is for arguments that forward "
                    "writes in place and returns"
                )
        tracked = [t for t in outputs if id(t) not in ctx._untracked]
        if not (is_grad_enabled() and any(ctx.needs_input_grad) and tracked):
            return result
        inputs = [args[i] for i in ctx._inputs]
        # An input that is returned as it is becomes an output of its own.
        given = {id(t) for t in inputs} - written
        tracked = [t.detach() if id(t) in given else t for t in tracked]
        ctx._keep(tracked)
        recorded = iter(
            autograd_function(
                cls.__name__,
                inputs,
                tracked,
                ctx._run_backward,
                ctx._release,
                sum(1 << i for i, t in enumerate(tracked) if id(t) in written),
            )
        )
        new = []
        for t in outputs:
            made = t if id(t) in ctx._untracked else next(recorded)
            new.append(t if id(t) in written else made)
        return tuple(new) if isinstance(result, tuple) else new[0]


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of `Function.backward`: it cannot be differentiated again.

    It runs unrecorded; a pass through its result is an error, where otherwise
    the second derivative would silently be wrong.

    Example:
        >>> import ferrule as fe
        >>> from ferrule.autograd import Function, once_differentiable
        >>> class Double(Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         return x * 2
        ...
        ...     @staticmethod
        ...     @once_differentiable
        ...     def backward(ctx, grad):
        ...         return grad * 2
        >>> x = fe.tensor([1.0], requires_grad=True)
        >>> fe.autograd.grad(Double.apply(x).sum(), x)[0].tolist()
        [2.0]
    """

    @functools.wraps(backward)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            result = backward(ctx, *grads)
        inputs = [g for g in grads if isinstance(g, Tensor) and g.requires_grad]
        if not is_grad_enabled() or not inputs:
            return result
        name = ctx._function.__name__

        def refuse(*_: Any) -> Any:
            raise AutogradError(
                f"[{name}] its backward is marked with @once_differentiable and "
                "was differentiated again"
            )

        results = result if isinstance(result, tuple) else (result,)
        made = [r for r in results if isinstance(r, Tensor)]
        recorded = iter(autograd_function(name, inputs, made, refuse))
        new = tuple(next(recorded) if isinstance(r, Tensor) else r for r in results)
        return new if isinstance(result, tuple) else new[0]

    return wrapper
