"""Normalisation of single images, with running statistics."""

from __future__ import annotations

from .._composed import composed
from .._ferrule import InvalidValue, ShapeError, Tensor, no_grad, ops

__all__ = ["instance_norm"]


@composed
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises every channel of every image: (x - mean) / sqrt(var + eps).

    Args:
        input: shape (N, C, ...).
        running_mean: shape (C,); moved towards the mean over the batch of the
            images' means, in place. Without `use_input_stats` it is what the input
            is normalised by.
        running_var: shape (C,); likewise, with the unbiased variance.
        weight: factor, of shape (C,).
        bias: summand, of shape (C,).
        use_input_stats: True takes mean and (biased) variance of every image.
        momentum: share of the batch in the running statistics.
        eps: added to the variance.

    Raises:
        ShapeError: shapes do not fit, or a single value per channel.
        InvalidValue: no running statistics without `use_input_stats`.

    Source: Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast
    Stylization", 2016.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[[1.0, 3.0]]])
        >>> fe.nn.functional.instance_norm(x, eps=0.0).tolist()
        [[[-1.0, 1.0]]]
    """
    if input.ndim < 2:
        raise ShapeError(
            f"[instance_norm] input must be (N, C, ...), got shape {input.shape}"
        )
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise InvalidValue(
                "[instance_norm] use_input_stats=False normalises by running_mean "
                "and running_var; one of them is None"
            )
        return ops.batch_norm(
            input, running_mean, running_var, weight, bias, False, momentum, eps
        )[0]
    n, c = input.shape[0], input.shape[1]
    spatial = input.shape[2:]
    count = 1
    for size in spatial:
        count = count * size
    if count == 1:
        raise ShapeError(
            "[instance_norm] normalising needs more than one value a channel of an "
            f"image, got input {input.shape}"
        )
    if running_mean is None and running_var is None:
        return ops.group_norm(input, c, weight, bias, eps)
    # Every channel of every image is a channel of one image.
    flat = input.reshape((1, n * c, *spatial))
    mean, var = (
        None if running is None else running.detach().repeat((n,))
        for running in (running_mean, running_var)
    )
    scale, shift = (None if t is None else t.repeat((n,)) for t in (weight, bias))
    out = ops.batch_norm(flat, mean, var, scale, shift, True, momentum, eps)[0]
    with no_grad():
        for running, moved in ((running_mean, mean), (running_var, var)):
            if running is not None and moved is not None:
                running.copy_(moved.reshape((n, c)).mean(0))
    return out.reshape(input.shape)
