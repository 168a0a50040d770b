"""Batch norms folded into the layer before them, for inference."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

from ..._ferrule import FerruleError, Tensor, ops
from ..module import Module
from ..modules.linear import Linear
from ..modules.norm import _BatchNorm
from ..parameter import Parameter

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]

_Layer = TypeVar("_Layer", bound=Module)


def _statistics(name: str, layer: Module, bn: _BatchNorm) -> tuple[Tensor, Tensor]:
    for module in (layer, bn):
        if module.training:
            raise FerruleError(
                f"[{name}] {type(module).__name__} is in training mode, in which it "
                "cannot be fused; call .eval() first"
            )
    if bn.running_mean is None or bn.running_var is None:
        raise FerruleError(
            f"[{name}] {type(bn).__name__} has no running statistics "
            "(track_running_stats=False)"
        )
    return bn.running_mean, bn.running_var


def _folded(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    shape: list[int],
) -> tuple[Parameter, Parameter]:
    w, b = weight.detach(), ops.zeros_like(mean) if bias is None else bias.detach()
    factor = (var + eps).rsqrt()
    if scale is not None:
        factor = factor * scale.detach()
    new_bias = (b - mean) * factor
    if shift is not None:
        new_bias = new_bias + shift.detach()
    trained = weight.requires_grad
    return (
        Parameter((w * factor.reshape(shape)).to(w.dtype), trained),
        Parameter(
            new_bias.to(w.dtype if bias is None else b.dtype),
            trained if bias is None else bias.requires_grad,
        ),
    )


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution that does the batch norm behind it, too.

    Args:
        conv_w, conv_b: of the convolution.
        bn_rm, bn_rv, bn_eps: running mean and variance, and eps, of the norm.
        bn_w, bn_b: weight and bias of the norm.
        transpose: the convolution is a transposed one.
    """
    shape = [1] * conv_w.ndim
    shape[1 if transpose else 0] = -1
    return _folded(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape)


def fuse_conv_bn_eval(conv: _Layer, bn: _BatchNorm, transpose: bool = False) -> _Layer:
    """A copy of a convolution that does the batch norm behind it, too.

    Args:
        conv: the convolution, in eval mode.
        bn: the norm of its output, in eval mode.
        transpose: the convolution is a transposed one.

    Raises:
        FerruleError: one of them is in training mode, or there are no statistics.

    Example:
        >>> import ferrule as fe
        >>> conv, bn = fe.nn.Conv2d(1, 2, 3).eval(), fe.nn.BatchNorm2d(2).eval()
        >>> x = fe.rand((1, 1, 4, 4))
        >>> fused = fe.nn.utils.fuse_conv_bn_eval(conv, bn)
        >>> fe.allclose(fused(x), bn(conv(x)), atol=1e-6)
        True
    """
    mean, var = _statistics("fuse_conv_bn_eval", conv, bn)
    fused: Any = deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, mean, var, bn.eps, bn.weight, bn.bias, transpose
    )
    result: _Layer = fused
    return result


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a linear layer that does the batch norm behind it, too.

    Arguments as of `fuse_conv_bn_weights`.
    """
    return _folded(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def fuse_linear_bn_eval(linear: Linear, bn: _BatchNorm) -> Linear:
    """A copy of a linear layer that does the batch norm behind it, too.

    Args:
        linear: the layer, in eval mode.
        bn: the norm of its output, in eval mode, of as many features, or of one.

    Raises:
        FerruleError: one of them is in training mode, there are no statistics, or
            the features do not fit.

    Example:
        >>> import ferrule as fe
        >>> linear, bn = fe.nn.Linear(3, 2).eval(), fe.nn.BatchNorm1d(2).eval()
        >>> x = fe.rand((4, 3))
        >>> fused = fe.nn.utils.fuse_linear_bn_eval(linear, bn)
        >>> fe.allclose(fused(x), bn(linear(x)), atol=1e-6)
        True
    """
    mean, var = _statistics("fuse_linear_bn_eval", linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise FerruleError(
            f"[fuse_linear_bn_eval] the norm has {bn.num_features} features, the layer "
            f"{linear.out_features}"
        )
    fused = deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, mean, var, bn.eps, bn.weight, bn.bias
    )
    return fused
