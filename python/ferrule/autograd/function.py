"""`Function`: an op with a gradient of its own, in Python."""

from __future__ import annotations

from typing import Any

from .._ferrule import (
    AutogradError,
    Device,
    DType,
    ShapeError,
    Tensor,
    autograd_function,
    is_grad_enabled,
    no_grad,
    zeros,
)

__all__ = ["Function", "FunctionContext"]


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
        self._saved: tuple[Tensor | None, ...] = ()
        self._versions: tuple[int, ...] = ()
        self._untracked: set[int] = set()
        self._materialize = True
        # Of saved tensors that `forward` made: place among the outputs.
        self._output_places: dict[int, int] = {}
        self._remake: tuple[list[Tensor], list[Tensor]] = ([], [])
        self.needs_input_grad = tuple(
            isinstance(a, Tensor) and a.requires_grad for a in args
        )

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps inputs and outputs of `forward` for `backward`.

        Called once. What is saved must not be written to before `backward`.
        """
        self._saved = tensors
        self._versions = tuple(-1 if t is None else t._version for t in tensors)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` was given: tensors, or None.

        Raises:
            AutogradError: one was changed in place since.
        """
        for i, (tensor, version) in enumerate(
            zip(self._saved, self._versions, strict=True)
        ):
            if tensor is not None and tensor._version != version:
                raise AutogradError(
                    f"[{self._function.__name__}] saved tensor {i} of shape "
                    f"{tensor.shape} was changed in place between forward and "
                    "backward; save a clone"
                )
        if not self._output_places or not is_grad_enabled():
            return self._saved
        # The gradient itself is being recorded: outputs need their history. It
        # is made anew, because keeping it here would be a reference cycle.
        inputs, outputs = self._remake
        recorded = self._record(inputs, [t.detach() for t in outputs])
        saved = list(self._saved)
        for i, place in self._output_places.items():
            saved[i] = recorded[place]
        return tuple(saved)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says of outputs of `forward` that they have no gradient."""
        self._untracked.update(id(t) for t in tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """False gives `backward` None, not zeros, for outputs that are unused."""
        self._materialize = value

    def _keep_outputs(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """Saved outputs are kept without history; see `saved_tensors`."""
        self._outputs = [(tuple(t.shape), t.dtype, t.device) for t in outputs]
        places = {id(t): i for i, t in enumerate(outputs)}
        saved = list(self._saved)
        for i, tensor in enumerate(saved):
            if tensor is not None and id(tensor) in places:
                self._output_places[i] = places[id(tensor)]
                saved[i] = tensor.detach()
        if self._output_places:
            self._saved = tuple(saved)
            self._remake = (inputs, [t.detach() for t in outputs])

    def _record(
        self, inputs: list[Tensor], outputs: list[Tensor]
    ) -> tuple[Tensor, ...]:
        name = self._function.__name__
        return tuple(autograd_function(name, inputs, outputs, self._run_backward))

    def _run_backward(self, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Calls `backward` for the engine and checks what it returns."""
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
            result = cls.forward(ctx, *args)
        outputs = result if isinstance(result, tuple) else (result,)
        for output in outputs:
            if not isinstance(output, Tensor):
                raise TypeError(
                    f"[{cls.__name__}] forward must return tensors, got "
                    f"{type(output).__name__}"
                )
        tracked = [t for t in outputs if id(t) not in ctx._untracked]
        if not (is_grad_enabled() and any(ctx.needs_input_grad) and tracked):
            return result
        inputs = [args[i] for i in ctx._inputs]
        # An input that is returned as it is becomes an output of its own.
        given = {id(t) for t in inputs}
        tracked = [t.detach() if id(t) in given else t for t in tracked]
        ctx._keep_outputs(inputs, tracked)
        recorded = iter(ctx._record(inputs, tracked))
        new = tuple(t if id(t) in ctx._untracked else next(recorded) for t in outputs)
        return new if isinstance(result, tuple) else new[0]
