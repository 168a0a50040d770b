"""`GradScaler`: keeps small gradients of float16 from becoming zero."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, overload

from .._ferrule import (
    Device,
    DTypeError,
    InvalidValue,
    Tensor,
    float16,
    float32,
    is_capturing,
    no_grad,
    ops,
    tensor,
)
from ..optim import Optimizer

__all__ = ["GradScaler"]


class _Iteration:
    """What happened to an optimizer's gradients since the last `update`."""

    def __init__(self) -> None:
        self.unscaled = False
        self.stepped = False
        # By device: 1.0 if a gradient was infinite or NaN, else 0.0.
        self.found_inf: dict[Device, Tensor] = {}


class GradScaler:
    """Scales the loss so that its gradients fit into float16.

    The gradients are divided by the scale again before the optimizer's step,
    which is skipped if one of them is infinite or NaN. The scale is lowered then,
    and raised after many steps that went well.

        scaler = fe.amp.GradScaler()
        for x, target in loader:
            optimizer.zero_grad()
            with fe.autocast("cpu", fe.float16):
                loss = loss_of(model(x), target)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()

    bfloat16 has the range of float32 and needs no scaling. What is skipped
    depends on values, so that `step` cannot be captured.

    Args:
        device: accepted as PyTorch's, where its default is "cuda"; gradients are
            scaled where they are.
        init_scale: the scale at first.
        growth_factor: what the scale is multiplied by after `growth_interval`
            steps without an infinite gradient; more than 1.
        backoff_factor: what it is multiplied by after one with; less than 1.
        growth_interval: number of steps.
        enabled: False makes `step` call the optimizer's, and the rest do nothing.

    Raises:
        InvalidValue: a factor is out of its range.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.Linear(2, 1)
        >>> optimizer = fe.optim.SGD(layer.parameters(), lr=0.1)
        >>> scaler = fe.amp.GradScaler(init_scale=8.0)
        >>> scaler.scale(layer(fe.ones(1, 2)).sum()).backward()
        >>> layer.weight.grad.tolist()
        [[8.0, 8.0]]
        >>> scaler.unscale_(optimizer)  # such as for clipping
        >>> layer.weight.grad.tolist()
        [[1.0, 1.0]]
        >>> layer.weight.grad[0, 0] = fe.inf
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> scaler.get_scale()
        8.0

    Source: Micikevicius et al., "Mixed precision training", ICLR 2018, section
    3.2; the rule for the scale is that of torch.amp.GradScaler.
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and not growth_factor > 1.0:
            raise InvalidValue(
                f"[GradScaler] growth_factor must be more than 1, got {growth_factor}"
            )
        if enabled and not backoff_factor < 1.0:
            raise InvalidValue(
                f"[GradScaler] backoff_factor must be less than 1, got {backoff_factor}"
            )
        self._device = device
        self._enabled = enabled
        self._init_scale = init_scale
        self._scale: Tensor | None = None  # of shape (); made when first used
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0  # steps since the scale changed
        self._iterations: dict[int, _Iteration] = {}

    # --- an iteration -------------------------------------------------------

    @overload
    def scale(self, outputs: Tensor) -> Tensor: ...
    @overload
    def scale(self, outputs: list[Tensor]) -> list[Tensor]: ...
    @overload
    def scale(self, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]: ...
    @overload
    def scale(self, outputs: Iterable[Tensor]) -> Iterable[Tensor]: ...
    def scale(self, outputs: Tensor | Iterable[Tensor]) -> Tensor | Iterable[Tensor]:
        """Multiplies one output or several, such as the loss, by the scale.

        Raises:
            ValueError: something else than tensors.
        """
        if not self._enabled:
            return outputs
        if self._scale is None:
            self._set_scale(self._init_scale)
        scaled: Tensor | Iterable[Tensor] = self._scaled(outputs)
        return scaled

    def _scaled(self, outputs: Any) -> Any:
        if isinstance(outputs, Tensor):
            assert self._scale is not None
            if is_capturing():  # a constant of the program
                return outputs * self._scale
            return outputs * self._scale.to(outputs.device)
        if isinstance(outputs, Iterable):
            scaled = map(self._scaled, outputs)
            return (
                type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
            )
        raise ValueError(
            "[GradScaler.scale] expected a Tensor or an iterable of Tensors, got "
            f"{type(outputs).__name__}"
        )

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients of an optimizer's parameters by the scale.

        `step` does so if it was not done before. Call it to see the gradients as
        they are, such as for `clip_grad_norm_`, once all are there.

        Raises:
            RuntimeError: a second time since `update`, or after `step`, or
                nothing was scaled.
            DTypeError: a gradient is float16: parameters must be float32.
        """
        if not self._enabled:
            return
        scale = self._scale_in_use("unscale_")
        done = self._iterations.setdefault(id(optimizer), _Iteration())
        if done.stepped:
            raise RuntimeError("[GradScaler.unscale_] called after step()")
        if done.unscaled:
            raise RuntimeError(
                "[GradScaler.unscale_] called a second time for this optimizer since "
                "the last update()"
            )
        if is_capturing():
            raise RuntimeError(
                "[GradScaler] whether a step is skipped depends on values, which "
                "cannot be captured; train in bfloat16, which needs no scaling"
            )
        inverse = tensor(1.0 / scale.item(), dtype=float32)
        grads = [
            p.grad
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        if any(g.dtype is float16 for g in grads):
            raise DTypeError(
                "[GradScaler.unscale_] a gradient is float16; keep the parameters in "
                "float32 and compute in float16 by autocast"
            )
        with no_grad():
            for g in grads:
                finite = ops.all(ops.isfinite(g))
                bad = ops.logical_not(finite).to(float32)
                before = done.found_inf.get(g.device)
                done.found_inf[g.device] = (
                    bad if before is None else ops.maximum(before, bad)
                )
                g.mul_(inverse.to(g.device))
        done.unscaled = True

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Calls `optimizer.step`, unless a gradient is infinite or NaN.

        The gradients are divided by the scale first, unless `unscale_` did it.

        Args:
            optimizer: whose parameters have gradients of a scaled loss.
            args, kwargs: are passed on; a closure cannot be.

        Returns:
            What `optimizer.step` returns; None if it was skipped.

        Raises:
            RuntimeError: a second time since `update`, with a closure, or no
                parameter has a gradient; and as of `unscale_`.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or "closure" in kwargs:
            raise RuntimeError(
                "[GradScaler.step] closures are not supported: whether to step is "
                "known only after the gradients are"
            )
        self._scale_in_use("step")
        done = self._iterations.setdefault(id(optimizer), _Iteration())
        if done.stepped:
            raise RuntimeError(
                "[GradScaler.step] called a second time for this optimizer since the "
                "last update()"
            )
        if not done.unscaled:
            self.unscale_(optimizer)
        if not done.found_inf:
            raise RuntimeError(
                "[GradScaler.step] no parameter of the optimizer has a gradient; was "
                "scaler.scale(loss).backward() called?"
            )
        result = None
        if not any(found.item() for found in done.found_inf.values()):
            result = optimizer.step(**kwargs)
        done.stepped = True
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Changes the scale; call it at the end of every iteration.

        Args:
            new_scale: the scale from now on, a number or a tensor of one element;
                None lowers or raises it by the rule above.

        Raises:
            RuntimeError: nothing was scaled, or `step` was not called.
            InvalidValue: `new_scale` has several elements or requires grad.
        """
        if not self._enabled:
            return
        scale = self._scale_in_use("update")
        if new_scale is not None:
            if isinstance(new_scale, Tensor) and (
                new_scale.numel() != 1 or new_scale.requires_grad
            ):
                raise InvalidValue(
                    "[GradScaler.update] new_scale must be a number, or a tensor of "
                    "one element that does not require grad, got shape "
                    f"{new_scale.shape}"
                )
            self._set_scale(float(new_scale))
        else:
            found = [f for i in self._iterations.values() for f in i.found_inf.values()]
            if not found:
                raise RuntimeError(
                    "[GradScaler.update] step() or unscale_() must come before it"
                )
            self._adapt(scale.item(), any(f.item() for f in found))
        self._iterations = {}

    def _adapt(self, scale: float, found_inf: bool) -> None:
        if found_inf:
            self._set_scale(scale * self._backoff_factor)
            self._growth_tracker = 0
            return
        self._growth_tracker += 1
        if self._growth_tracker == self._growth_interval:
            self._growth_tracker = 0
            grown = tensor(scale * self._growth_factor, dtype=float32)
            if math.isfinite(grown.item()):
                self._scale = grown

    def _set_scale(self, scale: float) -> None:
        self._scale = tensor(scale, dtype=float32)

    def _scale_in_use(self, method: str) -> Tensor:
        if self._scale is None:
            raise RuntimeError(
                f"[GradScaler.{method}] nothing was scaled yet: call "
                "scaler.scale(loss).backward() before"
            )
        return self._scale

    # --- settings and state -------------------------------------------------

    def get_scale(self) -> float:
        """The scale; 1.0 if disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        """What the scale is raised by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Sets what the scale is raised by."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is lowered by."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Sets what the scale is lowered by."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """The number of steps after which the scale is raised."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Sets the number of steps after which the scale is raised."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The state, in PyTorch's layout; empty if disabled. Call after `update`."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave; does nothing if disabled.

        Raises:
            RuntimeError: the state is empty, as that of a disabled one.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "[GradScaler.load_state_dict] the state is empty; was it saved by a "
                "GradScaler that was disabled?"
            )
        self._init_scale = state_dict["scale"]
        if self._scale is not None:
            self._set_scale(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]

    def __getstate__(self) -> dict[str, Any]:
        if self._iterations:
            raise RuntimeError(
                "[GradScaler] can be pickled between iterations only: after update()"
            )
        return {**self.__dict__, "_init_scale": self.get_scale(), "_scale": None}

    def _found_inf_per_device(self, optimizer: Optimizer) -> dict[Device, Tensor]:
        return self._iterations.setdefault(id(optimizer), _Iteration()).found_inf
