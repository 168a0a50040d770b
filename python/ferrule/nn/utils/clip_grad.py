"""Limits for gradients, between `backward` and `optimizer.step`."""

from __future__ import annotations

from collections.abc import Iterable

from ..._ferrule import FerruleError, Tensor, no_grad, ops, zeros

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]

Tensors = Tensor | Iterable[Tensor]


def _gradients(parameters: Tensors) -> list[Tensor]:
    params = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    grads = [p.grad for p in params]
    return [g for g in grads if g is not None]


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of some tensors, as if they were one vector.

    Args:
        tensors: one or several.
        norm_type: the order; inf is the largest magnitude.
        error_if_nonfinite: True raises if the norm is infinite or NaN.
        foreach: accepted as PyTorch's, changes nothing.

    Returns:
        Tensor of shape ().

    Raises:
        FerruleError: see `error_if_nonfinite`.

    Example:
        >>> import ferrule as fe
        >>> tensors = [fe.tensor([3.0]), fe.tensor([[4.0]])]
        >>> fe.nn.utils.get_total_norm(tensors).item()
        5.0
    """
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    order = float(norm_type)
    if not given:
        return zeros(())
    with no_grad():
        norms = [ops.norm(t, order) for t in given]
        total = ops.norm(ops.stack([n.to(norms[0].device) for n in norms]), order)
        if error_if_nonfinite and not bool(total.isfinite()):
            raise FerruleError(
                f"[get_total_norm] the norm of order {order} is {total.item()}: a "
                "gradient is infinite or NaN (autograd.detect_anomaly finds where); "
                "error_if_nonfinite=False scales by it anyway"
            )
    return total


def clip_grads_with_norm_(
    parameters: Tensors,
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scales gradients by max_norm / (total_norm + 1e-6), if that is below 1.

    Args:
        parameters: one or several; those without a gradient are passed over.
        max_norm: the largest norm allowed.
        total_norm: the norm of all gradients, as `get_total_norm` gives it.
        foreach: accepted as PyTorch's, changes nothing.
    """
    with no_grad():
        scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for grad in _gradients(parameters):
            grad.mul_(scale.to(grad.device).to(grad.dtype))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients together so that their norm is at most `max_norm`.

    Args:
        parameters: one or several; those without a gradient are passed over.
        max_norm: the largest norm allowed.
        norm_type: the order; inf is the largest magnitude.
        error_if_nonfinite: True raises if the norm is infinite or NaN.
        foreach: accepted as PyTorch's, changes nothing.

    Returns:
        The norm before, of shape ().

    Raises:
        FerruleError: see `error_if_nonfinite`; nothing is changed then.

    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent
    neural networks", 2013.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([3.0, 4.0]))
        >>> (p * p / 2).sum().backward()
        >>> fe.nn.utils.clip_grad_norm_(p, max_norm=1.0).item()
        5.0
        >>> [round(g, 4) for g in p.grad.tolist()]
        [0.6, 0.8]
    """
    params = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    grads = _gradients(params)
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(params, max_norm, total, foreach)
    return total


def clip_grad_value_(
    parameters: Tensors, clip_value: float, foreach: bool | None = None
) -> None:
    """Limits every element of the gradients to -clip_value..clip_value.

    Args:
        parameters: one or several; those without a gradient are passed over.
        clip_value: the largest magnitude allowed.
        foreach: accepted as PyTorch's, changes nothing.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([3.0, -0.5]))
        >>> (p * p / 2).sum().backward()
        >>> fe.nn.utils.clip_grad_value_(p, 1.0)
        >>> p.grad.tolist()
        [1.0, -0.5]
    """
    limit = float(clip_value)
    with no_grad():
        for grad in _gradients(parameters):
            grad.clamp_(-limit, limit)
