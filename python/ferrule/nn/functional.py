"""The functions that layers and losses are made of, with PyTorch's signatures.

Most are ops as they stand. The others are written in ops, so that they can be
differentiated any number of times, captured and exported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._ferrule import (
    Tensor,
    functional_ops,
    module_ops,
    ops,
)
from ._attention import multi_head_attention_forward
from ._convolution import conv1d, conv2d, conv3d
from ._embedding import embedding_bag, one_hot
from ._fractional_pooling import fractional_max_pool2d, fractional_max_pool3d
from ._interpolation import interpolate, upsample, upsample_bilinear, upsample_nearest
from ._losses import ctc_loss, triplet_margin_with_distance_loss
from ._normalization import instance_norm
from ._pooling import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)

if TYPE_CHECKING:  # the ops of which nothing stands here
    from .._ops.nn.functional import *  # noqa: F403

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "embedding",
    "embedding_bag",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "gelu",
    "instance_norm",
    "interpolate",
    "l1_loss",
    "layer_norm",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mse_loss",
    "multi_head_attention_forward",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
    "triplet_margin_with_distance_loss",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

# Every op that belongs here by its definition; a new one needs no line below.
# What is imported or defined here takes the place of the op of its name.
for _name, _op in {**functional_ops(), **module_ops("nn.functional")}.items():
    globals().setdefault(_name, _op)

adaptive_avg_pool1d = ops.adaptive_avg_pool1d
adaptive_avg_pool2d = ops.adaptive_avg_pool2d
adaptive_avg_pool3d = ops.adaptive_avg_pool3d
avg_pool1d = ops.avg_pool1d
avg_pool2d = ops.avg_pool2d
avg_pool3d = ops.avg_pool3d
binary_cross_entropy_with_logits = ops.binary_cross_entropy_with_logits
conv_transpose1d = ops.conv_transpose1d
conv_transpose2d = ops.conv_transpose2d
conv_transpose3d = ops.conv_transpose3d
cross_entropy = ops.cross_entropy
dropout = ops.dropout
embedding = ops.embedding
gelu = ops.gelu
l1_loss = ops.l1_loss
linear = ops.linear
log_softmax = ops.log_softmax
mse_loss = ops.mse_loss
nll_loss = ops.nll_loss
pad = ops.pad
relu = ops.relu
sigmoid = ops.sigmoid
softmax = ops.softmax
tanh = ops.tanh


def layer_norm(
    input: Tensor,
    normalized_shape: int | tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises over the last dimensions: (x - mean) / sqrt(var + eps).

    Args:
        input: shape (..., *normalized_shape).
        normalized_shape: the dimensions to normalise over.
        weight: factor, of shape `normalized_shape`.
        bias: summand, of shape `normalized_shape`.
        eps: added to the (biased) variance.

    Raises:
        ShapeError: `input` does not end in `normalized_shape`.

    Source: Ba et al., "Layer Normalization", 2016, equations 3 and 4.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.functional.layer_norm(fe.tensor([[1.0, 3.0]]), 2, eps=0).tolist()
        [[-1.0, 1.0]]
    """
    shape = _as_tuple(normalized_shape)
    return ops.layer_norm(input, shape, weight, bias, eps)[0]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises every channel: (x - mean) / sqrt(var + eps).

    Args:
        input: shape (N, C, ...).
        running_mean: shape (C,); used unless `training`, else updated in place.
        running_var: shape (C,); likewise, with the unbiased variance.
        weight: factor, of shape (C,).
        bias: summand, of shape (C,).
        training: True takes mean and (biased) variance of this batch.
        momentum: share of the batch in the running statistics.
        eps: added to the variance.

    Raises:
        ShapeError: shapes do not fit, or a single value per channel in
            training.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015, algorithms 1 and 2.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[1.0], [3.0]])
        >>> y = fe.nn.functional.batch_norm(x, None, None, training=True)
        >>> [round(v, 3) for v in y.reshape((-1,)).tolist()]
        [-1.0, 1.0]
    """
    return ops.batch_norm(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )[0]


def _as_tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)
