"""`Muon`: momentum, made orthogonal, for the matrices of hidden layers."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from .._ferrule import Tensor, bfloat16, ops, zeros_like
from .optimizer import Optimizer, Params, factor, learning_rate

__all__ = ["Muon"]


def _orthogonalized(
    update: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """About U V^T where `update` is U S V^T: singular values go to 0.7..1.2.

    A polynomial x -> a x + b x^3 + c x^5 is applied to the singular values
    `steps` times (Newton-Schulz). bfloat16 suffices for that.
    """
    a, b, c = coefficients
    tall = update.shape[0] > update.shape[1]
    x = update.to(bfloat16)
    if tall:
        x = x.T
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        square = ops.addmm(gram, gram, gram, beta=b, alpha=c)
        x = ops.addmm(x, square, x, beta=a)
    return x.T if tall else x


class Muon(Optimizer):
    """Momentum orthogonalized by Newton-Schulz iteration, for matrices.

    With g the gradient of the matrix p: b = b + (1 - momentum) * (g - b), and
    u = g + momentum * (b - g) with Nesterov, else u = b. Then
    p = (1 - lr * weight_decay) * p - lr * ratio * o, with o the nearest matrix to u
    whose singular values are about 1.

    Everything else, such as biases, embeddings and the last layer, is better
    trained by `AdamW`.

    Args:
        params: matrices or groups of them.
        lr: step size.
        weight_decay: pull towards zero, apart from the gradient.
        momentum: share of the old direction b that is kept.
        nesterov: look ahead.
        ns_coefficients: a, b, c of the polynomial a x + b x^3 + c x^5 that is
            applied to the singular values.
        eps: keeps the quotient by the norm finite.
        ns_steps: how often the polynomial is applied; below 100.
        adjust_lr_fn: ratio above. None or "original": sqrt(max(1, rows /
            columns)); "match_rms_adamw": 0.2 * sqrt(max(rows, columns)), which
            lets learning rates of AdamW be used.

    Raises:
        ValueError: an option is out of range, or a parameter is no matrix.

    Source: Jordan, "Muon: An optimizer for hidden layers in neural networks",
    2024; Liu et al., "Muon is Scalable for LLM Training", 2025.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.eye(2))
        >>> optimizer = fe.optim.Muon([p], lr=0.1, weight_decay=0.0)
        >>> p.sum().backward()
        >>> optimizer.step()
        >>> p.shape
        (2, 2)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "momentum")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                "[Muon] adjust_lr_fn must be 'original' or 'match_rms_adamw', got "
                f"{group['adjust_lr_fn']!r}"
            )
        if group["ns_steps"] >= 100:
            raise ValueError(
                f"[Muon] ns_steps must be below 100, got {group['ns_steps']}"
            )
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(
                "[Muon] ns_coefficients must be three numbers, got "
                f"{group['ns_coefficients']}"
            )
        for i, param in enumerate(group["params"]):
            if param.ndim != 2 or param.is_complex():
                raise ValueError(
                    f"[Muon] parameter {i} has shape {param.shape} and dtype "
                    f"{param.dtype}; only real matrices can be trained by Muon, give "
                    "biases, embeddings and others to AdamW"
                )

    def _init_state(self, group: dict[str, Any], params: list[Tensor]) -> None:
        for param in params:
            if param not in self.state:
                self.state[param] = {"momentum_buffer": zeros_like(param.detach())}

    def _update(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]
    ) -> None:
        self._init_state(group, params)
        lr, momentum = learning_rate(group), group["momentum"]
        for param, grad in zip(params, grads, strict=True):
            buffer = self.state[param]["momentum_buffer"]
            buffer.lerp_(grad, 1 - momentum)
            update = grad.lerp(buffer, momentum) if group["nesterov"] else buffer
            update = _orthogonalized(
                update, group["ns_coefficients"], group["ns_steps"], group["eps"]
            )
            rows, columns = int(param.shape[0]), int(param.shape[1])
            if group["adjust_lr_fn"] == "match_rms_adamw":
                ratio = 0.2 * sqrt(max(rows, columns))
            else:
                ratio = sqrt(max(1.0, rows / max(columns, 1)))
            param.mul_(factor(1 - lr * group["weight_decay"], param))
            param.sub_(update.to(param.dtype) * factor(lr * ratio, param))
