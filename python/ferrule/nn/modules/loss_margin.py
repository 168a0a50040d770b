"""Losses that want scores or distances to differ by a margin."""

from __future__ import annotations

from collections.abc import Callable

from ..._ferrule import Tensor, ops
from .._losses import triplet_margin_with_distance_loss
from .loss import Loss

__all__ = [
    "CosineEmbeddingLoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class MarginRankingLoss(Loss):
    """max(0, margin - target * (input1 - input2)).

    Target: 1 where input1 should be the larger one, -1 where input2.

    Args:
        margin: by how much.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> loss = fe.nn.MarginRankingLoss(0.5)
        >>> loss(fe.zeros((1,)), fe.zeros((1,)), fe.ones((1,))).item()
        0.5
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return ops.margin_ranking_loss(
            input1, input2, target, self.margin, self.reduction
        )


class MultiMarginLoss(Loss):
    """Hinge loss of classes; see `functional.multi_margin_loss`.

    Input: scores (N, C) or (C,). Target: classes, int64, (N,) or ().

    Args:
        p: 1 or 2, the power of every term.
        margin: by how much the right score should exceed the others.
        weight: factor of every class, shape (C,).
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> loss = fe.nn.MultiMarginLoss()
        >>> loss(fe.tensor([[0.5, 0.0]]), fe.tensor([0])).item()
        0.25
    """

    weight: Tensor | None

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.p = p
        self.margin = margin
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.multi_margin_loss(
            input, target, self.p, self.margin, self.weight, self.reduction
        )


class MultiLabelMarginLoss(Loss):
    """Hinge loss of several classes; see `functional.multilabel_margin_loss`.

    Input: scores (N, C) or (C,). Target: classes, ended by -1, the same shape.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> loss = fe.nn.MultiLabelMarginLoss()
        >>> loss(fe.tensor([0.5, 0.0]), fe.tensor([0, -1])).item()
        0.25
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.multilabel_margin_loss(input, target, self.reduction)


class CosineEmbeddingLoss(Loss):
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1.

    cos is the cosine of input1 and input2, both (N, D) or (D,).

    Args:
        margin: how alike the unlike may be, from -1 to 1.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> x, loss = fe.ones((1, 2)), fe.nn.CosineEmbeddingLoss()
        >>> loss(x, -x, fe.tensor([1])).item()
        2.0
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return ops.cosine_embedding_loss(
            input1, input2, target, self.margin, self.reduction
        )


class TripletMarginLoss(Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin).

    Distances are those of `functional.pairwise_distance`.

    Args:
        margin: by how much the negative should be farther away.
        p: order of the norm.
        eps: added to differences.
        swap: the negative's distance is that to the anchor or to the positive, the
            smaller one.
        reduction: "mean", "sum" or "none".

    Source: Balntas et al., "Learning Shallow Convolutional Feature Descriptors", 2016.

    Example:
        >>> import ferrule as fe
        >>> a, n = fe.zeros((1, 2)), fe.ones((1, 2))
        >>> round(fe.nn.TripletMarginLoss(2.0)(a, a, n).item(), 4)
        0.5858
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return ops.triplet_margin_loss(
            anchor,
            positive,
            negative,
            self.margin,
            self.p,
            self.eps,
            self.swap,
            self.reduction,
        )


class TripletMarginWithDistanceLoss(Loss):
    """`TripletMarginLoss` with a distance of one's own.

    Args:
        distance_function: gives the distances of two tensors of vectors; None is
            `functional.pairwise_distance`.
        margin: by how much the negative should be farther away.
        swap: the negative's distance is that to the anchor or to the positive, the
            smaller one.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> def city_blocks(x, y):
        ...     return (x - y).abs().sum(-1)
        >>> loss = fe.nn.TripletMarginWithDistanceLoss(
        ...     distance_function=city_blocks, margin=3.0
        ... )
        >>> a, n = fe.zeros((1, 2)), fe.ones((1, 2))
        >>> loss(a, a, n).item()
        1.0
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
