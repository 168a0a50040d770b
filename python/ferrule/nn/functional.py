"""The functions that layers and losses are made of, with PyTorch's signatures.

Most are ops as they stand. The others are written in ops, so that they can be
differentiated any number of times, captured and exported.
"""

from __future__ import annotations

from .._ferrule import (
    DTypeError,
    InvalidValue,
    ShapeError,
    Tensor,
    functional_ops,
    ops,
)
from ._convolution import conv1d, conv2d, conv3d
from ._pooling import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)

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
    "dropout",
    "embedding",
    "gelu",
    "l1_loss",
    "layer_norm",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mse_loss",
    "nll_loss",
    "pad",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]

# Every op that belongs here by its definition; a new one needs no line below.
# What is imported or defined here takes the place of the op of its name.
for _name, _op in functional_ops().items():
    globals().setdefault(_name, _op)

adaptive_avg_pool1d = ops.adaptive_avg_pool1d
adaptive_avg_pool2d = ops.adaptive_avg_pool2d
adaptive_avg_pool3d = ops.adaptive_avg_pool3d
avg_pool1d = ops.avg_pool1d
avg_pool2d = ops.avg_pool2d
avg_pool3d = ops.avg_pool3d
conv_transpose1d = ops.conv_transpose1d
conv_transpose2d = ops.conv_transpose2d
conv_transpose3d = ops.conv_transpose3d
cross_entropy = ops.cross_entropy
dropout = ops.dropout
embedding = ops.embedding
gelu = ops.gelu
linear = ops.linear
log_softmax = ops.log_softmax
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


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of the classes `target` under `input`.

    Args:
        input: log-probabilities, shape (N, C), (C,) or (N, C, d1, ...).
        target: classes, int64, shape (N,), () or (N, d1, ...).
        weight: factor of every class, shape (C,).
        ignore_index: targets of this value count for nothing.
        reduction: "mean" (weighted), "sum" or "none".

    Raises:
        ShapeError: shapes do not fit.
        InvalidValue: unknown `reduction`.

    Example:
        >>> import ferrule as fe
        >>> logp = fe.log_softmax(fe.zeros((3, 4)), dim=1)
        >>> loss = fe.nn.functional.nll_loss(logp, fe.tensor([0, 1, 2]))
        >>> round(loss.item(), 4)  # log(4)
        1.3863
    """
    _check_reduction("nll_loss", reduction)
    dim = 0 if input.ndim == 1 else 1
    wanted = input.shape[:dim] + input.shape[dim + 1 :]
    if input.ndim == 0 or target.shape != wanted:
        raise ShapeError(
            f"[nll_loss] input of shape {input.shape} (N, C, ...) needs a target "
            f"of shape {wanted}, got {target.shape}"
        )
    kept = ops.ne(target, ignore_index)
    safe = ops.where(kept, target, 0)
    loss = -input.gather(dim, safe.unsqueeze(dim)).squeeze(dim)
    if weight is None:
        share = ops.cast(kept, input.dtype)
    else:
        picked = weight.index_select(0, safe.reshape((-1,))).reshape(target.shape)
        share = ops.where(kept, picked, 0.0)
        loss = loss * picked
    loss = ops.where(kept, loss, 0.0)  # no -inf * 0 from ignored targets
    if reduction == "none":
        return loss
    return loss.sum() / share.sum() if reduction == "mean" else loss.sum()


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error (input - target)^2.

    Args:
        input: any shape.
        target: the same shape; nothing is broadcast.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: shapes differ.
        InvalidValue: unknown `reduction`.

    Example:
        >>> import ferrule as fe
        >>> x, y = fe.tensor([1.0, 2.0]), fe.tensor([1.0, 4.0])
        >>> fe.nn.functional.mse_loss(x, y).item()
        2.0
    """
    _check_same_shape("mse_loss", input, target)
    difference = input - target
    return _reduce("mse_loss", difference * difference, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Absolute error abs(input - target); arguments as of `mse_loss`.

    Example:
        >>> import ferrule as fe
        >>> x, y = fe.tensor([1.0, 2.0]), fe.tensor([1.0, 4.0])
        >>> fe.nn.functional.l1_loss(x, y).item()
        1.0
    """
    _check_same_shape("l1_loss", input, target)
    return _reduce("l1_loss", (input - target).abs(), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of yes/no decisions, from logits.

    -(pos_weight * y * log(sigmoid(x)) + (1 - y) * log(1 - sigmoid(x)))

    Args:
        input: logits x, any shape.
        target: y between 0 and 1, floating, the same shape; nothing is
            broadcast.
        weight: factor of every element, broadcast to the shape.
        reduction: "mean", "sum" or "none".
        pos_weight: factor of the positive part, broadcast to the shape.

    Raises:
        ShapeError: shapes differ.
        DTypeError: `target` is not floating.
        InvalidValue: unknown `reduction`.

    Example:
        >>> import ferrule as fe
        >>> x, y = fe.zeros((2,)), fe.tensor([0.0, 1.0])
        >>> loss = fe.nn.functional.binary_cross_entropy_with_logits(x, y)
        >>> round(loss.item(), 4)  # log(2)
        0.6931
    """
    name = "binary_cross_entropy_with_logits"
    _check_same_shape(name, input, target)
    if target.dtype != input.dtype:
        raise DTypeError(
            f"[{name}] input is {input.dtype} but target {target.dtype}; "
            "write target.to(input.dtype)"
        )
    # sigmoid(x) and 1 - sigmoid(x) are the softmax of (x, 0): no overflow, and
    # no kink at 0, so that every derivative is right.
    pair = ops.stack([input, ops.zeros_like(input)], -1)
    logs = ops.log_softmax(pair, -1)
    yes = logs.select(-1, 0) * target
    if pos_weight is not None:
        yes = yes * pos_weight
    loss = -(yes + logs.select(-1, 1) * (1.0 - target))
    if weight is not None:
        loss = loss * weight
    return _reduce(name, loss, reduction)


def _as_tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise InvalidValue(
            f"[{name}] reduction must be 'mean', 'sum' or 'none', got {reduction!r}"
        )


def _reduce(name: str, loss: Tensor, reduction: str) -> Tensor:
    _check_reduction(name, reduction)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def _check_same_shape(name: str, input: Tensor, target: Tensor) -> None:
    """Broadcasting in a loss is a mistake that trains to nonsense."""
    mine, other = input.shape, target.shape
    if mine == other:
        return
    if mine == (*other, 1):
        fix = "write input.squeeze(-1) or target.unsqueeze(-1)"
    elif other == (*mine, 1):
        fix = "write target.squeeze(-1) or input.unsqueeze(-1)"
    else:
        fix = "if broadcasting is meant, write target.expand(input.shape)"
    raise ShapeError(
        f"[{name}] input has shape {mine} but target {other}; a loss does not "
        f"broadcast: {fix}"
    )
