"""`autocast`: regions of mixed precision, also for functions with own gradients."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar

import numpy as np

from .._ferrule import (
    DeviceError,
    DType,
    FerruleWarning,
    Tensor,
    autocast_decrement_nesting,
    autocast_increment_nesting,
    bfloat16,
    clear_autocast_cache,
    float16,
    float64,
    get_autocast_dtype,
    is_autocast_cache_enabled,
    is_autocast_enabled,
    set_autocast_cache_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
)
from ..autograd._modes import decorated

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_F = TypeVar("_F", bound=Callable[..., Any])


def is_autocast_available(device_type: str) -> bool:
    """Whether there are devices of this kind, such as "cpu"."""
    try:
        get_autocast_dtype(device_type)
    except DeviceError:
        return False
    return True


class autocast:
    """Context manager and decorator: ops choose the precision they compute in.

    Inside, an op whose time is spent in products (linear layers, convolutions,
    matrix products, attention) casts its floating-point operands to `dtype`, and
    one that needs precision (losses and some reductions) casts them to float32.
    All others compute in the dtype they are given, or in the widest among it.
    Which op does what is part of its definition. float64 is left alone, and so
    are in-place forms.

    Parameters stay float32, and so do their gradients. Enclose the forward pass
    and the loss; the backward pass computes in the dtypes that the forward pass
    chose, wherever it is called. bfloat16 has the range of float32 and needs no
    more than that; with float16 scale the loss by `GradScaler`.

    Regions nest: an inner one with enabled=False computes in the dtypes of its
    operands. The state belongs to the thread. An exported program has the casts
    in it.

    Args:
        device_type: the kind of device that it holds for, such as "cpu".
        dtype: bfloat16 or float16; None takes `get_autocast_dtype(device_type)`,
            which is bfloat16 on the CPU.
        enabled: False makes a region without autocast.
        cache_enabled: whether a parameter that several ops use is cast once; it is
            cast again after it was written. None leaves that as it is outside.

    Raises:
        DeviceError: no such device. "cuda" without one warns and does nothing.

    Warns:
        FerruleWarning: `dtype` is no 16-bit float; autocast is off then.

    Example:
        >>> import ferrule as fe
        >>> layer, x = fe.nn.Linear(2, 3), fe.ones(4, 2)
        >>> with fe.autocast("cpu"):
        ...     y = layer(x)
        ...     loss = fe.nn.functional.mse_loss(y, fe.zeros(4, 3))
        >>> y.dtype, loss.dtype
        (ferrule.bfloat16, ferrule.float32)
        >>> loss.backward()
        >>> layer.weight.grad.dtype
        ferrule.float32

    Source: Micikevicius et al., "Mixed precision training", ICLR 2018; which ops
    are cast is as on the CPU in PyTorch.
    """

    def __init__(
        self,
        device_type: str,
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(
                "[autocast] device_type must be a str, such as 'cpu', got "
                f"{type(device_type).__name__}"
            )
        self.device = device_type
        self._available = is_autocast_available(device_type)
        if not self._available and device_type != "cuda":
            get_autocast_dtype(device_type)  # its error says what devices there are
        if enabled and not self._available:
            _warn("there is no device 'cuda'; autocast is off")
            enabled = False
        if dtype is None:
            dtype = get_autocast_dtype(device_type) if self._available else float16
        if enabled and dtype not in (bfloat16, float16):
            _warn(f"dtype must be bfloat16 or float16, got {dtype}; autocast is off")
            enabled = False
        self.fast_dtype = dtype
        self._enabled = enabled
        self._cache_enabled = cache_enabled
        self._before: list[tuple[bool, DType, bool]] = []

    def __enter__(self) -> autocast:
        autocast_increment_nesting()
        if self._available:
            self._before.append(
                (
                    is_autocast_enabled(self.device),
                    get_autocast_dtype(self.device),
                    is_autocast_cache_enabled(),
                )
            )
            set_autocast_enabled(self.device, self._enabled)
            if self._enabled:
                set_autocast_dtype(self.device, self.fast_dtype)
            if self._cache_enabled is not None:
                set_autocast_cache_enabled(self._cache_enabled)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        if self._available:
            enabled, dtype, cache_enabled = self._before.pop()
            set_autocast_enabled(self.device, enabled)
            set_autocast_dtype(self.device, dtype)
            set_autocast_cache_enabled(cache_enabled)

    def __call__(self, function: _F) -> _F:
        if not callable(function):
            raise TypeError(
                "[autocast] decorates functions, got "
                f"{type(function).__name__}; as a context manager it is written "
                '`with fe.autocast("cpu"):`'
            )
        return decorated(lambda: self, function)  # type: ignore[return-value]


def autocast_as_now(device_types: Iterable[str]) -> Callable[[], ExitStack]:
    """For what is computed again later: makes contexts with autocast as it is now."""
    states = [
        (kind, get_autocast_dtype(kind), is_autocast_enabled(kind))
        for kind in sorted(device_types)
    ]
    cache_enabled = is_autocast_cache_enabled()

    def contexts() -> ExitStack:
        stack = ExitStack()
        for state in states:
            stack.enter_context(autocast(*state, cache_enabled))
        return stack

    return contexts


def _warn(text: str) -> None:
    warnings.warn(f"[autocast] {text}", FerruleWarning, stacklevel=3)


def _cast(value: Any, device_type: str, dtype: DType) -> Any:
    """`value` with its floating-point tensors cast, also those in containers."""
    if isinstance(value, Tensor):
        casts = (
            value.is_floating_point()
            and value.dtype is not float64
            and value.device.type == device_type
        )
        return value.to(dtype) if casts else value
    if isinstance(value, (str, bytes, np.ndarray)):
        return value
    if isinstance(value, Mapping):
        return {
            _cast(k, device_type, dtype): _cast(v, device_type, dtype)
            for k, v in value.items()
        }
    if isinstance(value, Iterable):
        cast = (_cast(v, device_type, dtype) for v in value)
        return type(value)(cast) if isinstance(value, (list, tuple)) else cast
    return value


def custom_fwd(
    fwd: Callable[..., Any] | None = None,
    *,
    device_type: str,
    cast_inputs: DType | None = None,
) -> Callable[..., Any]:
    """Decorates `forward` of an `autograd.Function` that is used under autocast.

    Args:
        fwd: the function; its first argument is the context.
        device_type: the kind of device, such as "cpu".
        cast_inputs: within autocast, floating-point tensors of that device among
            the arguments are cast to this dtype (float64 stays), and autocast is
            off inside. None leaves both as they are.

    Raises:
        ValueError: `device_type` is no str.

    Example:
        >>> import ferrule as fe
        >>> class Square(fe.autograd.Function):
        ...     @staticmethod
        ...     @fe.amp.custom_fwd(device_type="cpu", cast_inputs=fe.float32)
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x
        ...
        ...     @staticmethod
        ...     @fe.amp.custom_bwd(device_type="cpu")
        ...     def backward(ctx, grad):
        ...         return 2 * grad * ctx.saved_tensors[0]
        >>> with fe.autocast("cpu"):
        ...     Square.apply(fe.ones(2, dtype=fe.bfloat16)).dtype
        ferrule.float32
    """
    _require_str("custom_fwd", device_type)
    if fwd is None:
        return functools.partial(
            custom_fwd, device_type=device_type, cast_inputs=cast_inputs
        )
    function = fwd

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        ctx = args[0]
        available = is_autocast_available(device_type)
        enabled = available and is_autocast_enabled(device_type)
        ctx._dtype = get_autocast_dtype(device_type) if available else None
        ctx._fwd_used_autocast = enabled and cast_inputs is None
        if not enabled or cast_inputs is None:
            return function(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return function(
                *_cast(args, device_type, cast_inputs),
                **_cast(kwargs, device_type, cast_inputs),
            )

    return wrapper


def custom_bwd(
    bwd: Callable[..., Any] | None = None, *, device_type: str
) -> Callable[..., Any]:
    """Decorates `backward` of an `autograd.Function`: as `forward`, so `backward`.

    It runs under autocast if `forward`, decorated with `custom_fwd`, did, and
    without if not.

    Args:
        bwd: the function; its first argument is the context.
        device_type: the kind of device, such as "cpu".

    Raises:
        ValueError: `device_type` is no str.
    """
    _require_str("custom_bwd", device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    function = bwd

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        ctx = args[0]
        if not hasattr(ctx, "_fwd_used_autocast"):
            raise RuntimeError(
                "[custom_bwd] forward of this function must be decorated with "
                "custom_fwd"
            )
        if ctx._dtype is None:  # no such device
            return function(*args, **kwargs)
        with autocast(device_type, ctx._dtype, enabled=ctx._fwd_used_autocast):
            return function(*args, **kwargs)

    return wrapper


def _require_str(name: str, device_type: object) -> None:
    if not isinstance(device_type, str):
        raise ValueError(
            f"[{name}] device_type must be a str, such as 'cpu', got "
            f"{type(device_type).__name__}"
        )
