"""Losses that no op definition can express: with functions as arguments, or with
lengths given as lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._composed import composed
from .._ferrule import InvalidValue, ShapeError, Tensor, int64, ops, tensor

__all__ = ["ctc_loss", "triplet_margin_with_distance_loss"]


@composed
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own.

    Args:
        anchor: vectors, in any shape that the distance takes.
        positive: what should be near.
        negative: what should be farther away.
        distance_function: gives the distances; None is `pairwise_distance`.
        margin: by how much the negative should be farther away, above 0.
        swap: the negative's distance is that to the anchor or to the positive, the
            smaller one.
        reduction: "mean", "sum" or "none".

    Raises:
        InvalidValue: `margin` is not positive; unknown `reduction`.
        ShapeError: the tensors have different numbers of dimensions.

    Example:
        >>> import ferrule as fe
        >>> a, n = fe.zeros((1, 2)), fe.ones((1, 2))
        >>> loss = fe.nn.functional.triplet_margin_with_distance_loss
        >>> round(loss(a, a, n, margin=2.0).item(), 4)
        0.5858
    """
    name = "triplet_margin_with_distance_loss"
    if reduction not in ("mean", "sum", "none"):
        raise InvalidValue(
            f"[{name}] reduction must be 'mean', 'sum' or 'none', got {reduction!r}"
        )
    if margin <= 0:
        raise InvalidValue(f"[{name}] margin must be above 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            f"[{name}] anchor, positive and negative need the same number of "
            f"dimensions, got {anchor.shape}, {positive.shape} and {negative.shape}"
        )
    distance = distance_function or ops.pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    loss = ops.clamp_min(near - far + margin, 0.0)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


@composed
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification: -log of the probability that the
    frames spell the target, summed over all alignments.

    Args:
        log_probs: log-probabilities, as of `log_softmax`: (T, N, C), or (T, C)
            without a batch.
        targets: labels, integers other than `blank`: (N, S), padded; or those of
            all sequences one after another, (sum of `target_lengths`,); or (S,)
            without a batch.
        input_lengths: frames of every sequence, (N,), at most T.
        target_lengths: labels of every sequence, (N,).
        blank: the label that stands for none.
        reduction: "mean": every loss is divided by its target's length, then the
            mean over the batch is taken; "sum" or "none".
        zero_infinity: True makes 0 of infinite losses, and of their gradients;
            targets that are too long for the frames have one.

    Raises:
        ShapeError: shapes do not fit.
        InvalidValue: a length or a label is out of range; unknown `reduction`.

    Source: Graves et al., "Connectionist Temporal Classification: Labelling
    Unsegmented Sequence Data with Recurrent Neural Networks", 2006.

    Example:
        >>> import ferrule as fe
        >>> log_probs = fe.log_softmax(fe.zeros((2, 1, 2)), dim=2)
        >>> loss = fe.nn.functional.ctc_loss(log_probs, fe.tensor([[1]]), [2], [1])
        >>> round(loss.item(), 4)  # 3 of the 4 paths spell "1"
        0.2877
    """
    frames, labels = (
        t if isinstance(t, Tensor) else tensor(t, dtype=int64)
        for t in (input_lengths, target_lengths)
    )
    if targets.ndim == 1 and log_probs.ndim == 3:
        targets = _padded(targets, labels, target_lengths)
    return ops.ctc_loss(
        log_probs, targets, frames, labels, blank, reduction, zero_infinity
    )


def _padded(targets: Tensor, lengths: Tensor, given: Tensor | Sequence[int]) -> Tensor:
    """Targets that stand one after another, each in a row of its own."""
    if targets.shape[0] == 0 or lengths.ndim != 1 or lengths.shape[0] == 0:
        return ops.zeros((lengths.numel(), 0), int64, targets.device)
    if not isinstance(given, Tensor):
        longest = max(given)
    elif given.device.type == "graph":
        longest = targets.shape[0]  # that of any target, for all that is known
    else:
        longest = int(given.max().item())
    ends = ops.cumsum(lengths, 0)
    places = ops.arange(longest, device=targets.device)
    index = (ends - lengths).unsqueeze(1) + places
    index = ops.clamp(index, 0, targets.shape[0] - 1)
    return targets.index_select(0, index.reshape((-1,))).reshape(index.shape)
