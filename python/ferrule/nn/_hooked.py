"""`Hooked`: what a module does with hooks, the base of `Module`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ._hooks import BackwardHooks, ForwardHook, RemovableHandle

__all__ = ["Hooked"]

_T = TypeVar("_T")


class Hooked:
    """Registers hooks, and calls `forward` with them around it."""

    # All hooks in one dict for each kind, by handle; empty for most modules.
    _forward_pre_hooks: dict[object, ForwardHook]
    _forward_hooks: dict[object, ForwardHook]
    _backward_pre_hooks: dict[object, Callable[..., Any]]
    _backward_hooks: dict[object, Callable[..., Any]]

    if TYPE_CHECKING:

        def forward(self, *args: Any, **kwargs: Any) -> Any: ...

    def _call_hooked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        done: set[int] = set()
        result: Any = None
        try:
            for pre in list(self._forward_pre_hooks.values()):
                if pre.with_kwargs:
                    changed = pre.call(self, args, kwargs)
                    if changed is not None:
                        args, kwargs = changed
                else:
                    changed = pre.call(self, args)
                    if changed is not None:
                        args = changed if isinstance(changed, tuple) else (changed,)
            backward = None
            if self._backward_hooks or self._backward_pre_hooks:
                backward = BackwardHooks(
                    self,
                    list(self._backward_pre_hooks.values()),
                    list(self._backward_hooks.values()),
                )
                args = backward.watch_inputs(args)
            result = self.forward(*args, **kwargs)
            for hook in list(self._forward_hooks.values()):
                done.add(id(hook))
                given = (args, kwargs) if hook.with_kwargs else (args,)
                changed = hook.call(self, *given, result)
                if changed is not None:
                    result = changed
            return result if backward is None else backward.watch_outputs(result)
        except BaseException:
            for hook in list(self._forward_hooks.values()):
                if hook.always_call and id(hook) not in done:
                    given = (args, kwargs) if hook.with_kwargs else (args,)
                    hook.call(self, *given, result)
            raise

    def register_forward_pre_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
    ) -> RemovableHandle:
        """Calls ``hook(module, args)`` before every `forward`.

        What it returns, unless None, replaces the arguments: a tuple, or one
        value for a single argument. With `with_kwargs` it is called as
        ``hook(module, args, kwargs)`` and returns ``(args, kwargs)`` or None.
        With `prepend` it comes before the hooks that are there.
        """
        entry = ForwardHook(hook, with_kwargs)
        return self._add_hook(self._forward_pre_hooks, entry, prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Calls ``hook(module, args, output)`` after every `forward`.

        What it returns, unless None, replaces the output. With `with_kwargs`
        it is called as ``hook(module, args, kwargs, output)``, with
        `always_call` also when `forward` raised an error, the output being None
        then. With `prepend` it comes before the hooks that are there.
        """
        entry = ForwardHook(hook, with_kwargs, always_call)
        return self._add_hook(self._forward_hooks, entry, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, grad_output)`` before the gradient of every call.

        `grad_output` is a tuple with the gradient of every tensor that the
        module returned, or None. What the hook returns, unless None, replaces
        it: a tuple, or one tensor for a single output.
        """
        return self._add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, grad_input, grad_output)`` after the gradient.

        Both are tuples, with the gradients of the tensors among the module's
        positional arguments and of those that it returned; None where there is
        none. What the hook returns, unless None, replaces `grad_input`. Runs
        when the gradients of all inputs are known; if no input wants one, when
        those of the outputs are. While there are such hooks, the module may
        not write into its inputs, nor the caller into its outputs.

        Example:
            >>> import ferrule as fe
            >>> layer = fe.nn.Linear(2, 1)
            >>> handle = layer.register_full_backward_hook(
            ...     lambda module, grad_input, grad_output: print(grad_output[0].shape)
            ... )
            >>> layer(fe.ones((3, 2))).sum().backward()
            (3, 1)
        """
        return self._add_hook(self._backward_hooks, hook, prepend)

    @staticmethod
    def _add_hook(hooks: dict[object, _T], hook: _T, prepend: bool) -> RemovableHandle:
        key = object()
        if prepend:
            others = dict(hooks)
            hooks.clear()
            hooks[key] = hook
            hooks.update(others)
        else:
            hooks[key] = hook
        return RemovableHandle(lambda: hooks.pop(key, None))
