"""The recorded graph: its nodes, and hooks on what they save."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .._ferrule import (
    AutogradError,
    Node,
    Tensor,
    pop_saved_tensor_hooks,
    push_saved_tensor_hooks,
)

__all__ = [
    "Node",
    "disable_saved_tensors_hooks",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class _Disabled(threading.local):
    messages: tuple[str, ...] = ()


_disabled = _Disabled()


class saved_tensors_hooks:
    """Context manager: what ops save for their gradient goes through a hook.

    `pack_hook` is called with every tensor that an op inside the block saves,
    detached; what it returns is kept instead. `unpack_hook` is called with that
    when the gradient needs it, perhaps several times, and returns the tensor
    again. It must be of the same shape, dtype and device. The hooks may not
    write to the tensors. Blocks may be nested; the innermost hooks count.

    Args:
        pack_hook: from a tensor to anything.
        unpack_hook: from that to a tensor.

    Raises:
        AutogradError: inside of `disable_saved_tensors_hooks`, or (in the
            backward pass) another kind of tensor was unpacked.

    Example:
        >>> import ferrule as fe
        >>> packed = []
        >>> x = fe.tensor([3.0], requires_grad=True)
        >>> with fe.autograd.graph.saved_tensors_hooks(
        ...     lambda t: packed.append(t.tolist()) or len(packed) - 1,
        ...     lambda i: fe.tensor(packed[i]),
        ... ):
        ...     y = (x * x).sum()
        >>> packed
        [[3.0], [3.0]]
        >>> y.backward()
        >>> x.grad.tolist()
        [6.0]
    """

    def __init__(
        self,
        pack_hook: Callable[[Tensor], Any],
        unpack_hook: Callable[[Any], Tensor],
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if _disabled.messages:
            raise AutogradError(_disabled.messages[-1])
        push_saved_tensor_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *exc_info: Any) -> None:
        pop_saved_tensor_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Context manager: what ops save for their gradient waits in CPU memory.

    For tensors on other devices: they are copied there and back, which frees
    the device's memory between the forward and the backward pass.

    Args:
        pin_memory: accepted as in PyTorch; the memory is never pinned.
        device_type: likewise.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(
            lambda t: (t.device, t.cpu()), lambda kept: kept[1].to(kept[0])
        )


class disable_saved_tensors_hooks:
    """Context manager: inside, using `saved_tensors_hooks` is an error.

    Args:
        error_message: what the error says.
    """

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __enter__(self) -> None:
        _disabled.messages = (*_disabled.messages, self.error_message)

    def __exit__(self, *exc_info: Any) -> None:
        _disabled.messages = _disabled.messages[:-1]
