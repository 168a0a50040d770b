"""Hooks of modules: their handles, and how gradients pass through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .._ferrule import Tensor, autograd_function, is_grad_enabled

__all__ = ["BackwardHooks", "ForwardHook", "RemovableHandle"]


class ForwardHook(NamedTuple):
    call: Callable[..., Any]
    with_kwargs: bool
    always_call: bool = False


class BackwardHooks:
    """The backward hooks of one call of a module.

    Its inputs and its outputs each go through an identity with a gradient rule
    of its own. Backwards, that of the outputs is met first: it runs the
    pre-hooks and notes the gradients; that of the inputs runs the hooks.
    """

    def __init__(
        self,
        module: object,
        pre_hooks: list[Callable[..., Any]],
        hooks: list[Callable[..., Any]],
    ) -> None:
        self._module = module
        self._pre_hooks = pre_hooks
        self._hooks = hooks
        self._watches_inputs = False
        self._n_inputs = 0
        self._grad_output: tuple[Tensor | None, ...] = ()

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self._n_inputs = sum(isinstance(a, Tensor) for a in args)
        self._watches_inputs = is_grad_enabled() and any(
            isinstance(a, Tensor) and a.requires_grad for a in args
        )
        if not (self._watches_inputs and self._hooks):
            return args
        return self._through_identity(args, "ModuleInput", self._at_inputs)

    def watch_outputs(self, result: Any) -> Any:
        if isinstance(result, Tensor):
            return self._through_identity((result,), "ModuleOutput", self._at_outputs)[
                0
            ]
        if type(result) in (tuple, list):
            new = self._through_identity(
                tuple(result), "ModuleOutput", self._at_outputs
            )
            return type(result)(new)
        return result

    @staticmethod
    def _through_identity(
        values: tuple[Any, ...], name: str, rule: Callable[..., Any]
    ) -> tuple[Any, ...]:
        tensors = [v for v in values if isinstance(v, Tensor)]
        if not tensors:
            return values
        new = iter(autograd_function(name, tensors, tensors, rule))
        return tuple(next(new) if isinstance(v, Tensor) else v for v in values)

    def _at_outputs(self, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        for hook in self._pre_hooks:
            grads = self._replaced(
                hook(self._module, grads), grads, "register_full_backward_pre_hook"
            )
        self._grad_output = grads
        if not self._watches_inputs:
            for hook in self._hooks:
                hook(self._module, (None,) * self._n_inputs, grads)
        return grads

    def _at_inputs(self, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        for hook in self._hooks:
            grads = self._replaced(
                hook(self._module, grads, self._grad_output),
                grads,
                "register_full_backward_hook",
            )
        self._grad_output = ()
        return grads

    @staticmethod
    def _replaced(
        changed: Any, grads: tuple[Tensor | None, ...], who: str
    ) -> tuple[Tensor | None, ...]:
        if changed is None:
            return grads
        new = tuple(changed) if isinstance(changed, (tuple, list)) else (changed,)
        if len(new) != len(grads):
            raise RuntimeError(
                f"[{who}] the hook returned {len(new)} gradients, it was given "
                f"{len(grads)}"
            )
        return new


class RemovableHandle:
    """Returned by the `register_*_hook` methods; removes the hook again.

    Also a context manager that removes it at the end of the block.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.ReLU()
        >>> handle = layer.register_forward_hook(lambda m, args, out: out * 2)
        >>> layer(fe.ones((1,))).item()
        2.0
        >>> handle.remove()
        >>> layer(fe.ones((1,))).item()
        1.0
    """

    def __init__(self, remove: Callable[[], object]) -> None:
        self._remove: Callable[[], object] | None = remove

    def remove(self) -> None:
        """Removes the hook; does nothing the second time."""
        remove, self._remove = self._remove, None
        if remove is not None:
            remove()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.remove()
