"""Losses of yes/no decisions."""

from __future__ import annotations

from ..._ferrule import Tensor, ops
from .loss import Loss

__all__ = [
    "BCELoss",
    "HingeEmbeddingLoss",
    "MultiLabelSoftMarginLoss",
    "SoftMarginLoss",
]


class BCELoss(Loss):
    """Cross-entropy of yes/no decisions, from probabilities.

    -(y * log(x) + (1 - y) * log(1 - x)). `BCEWithLogitsLoss` takes logits and is
    more accurate. Nothing is broadcast.

    Args:
        weight: factor of every element; broadcasts.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> loss = fe.nn.BCELoss()
        >>> round(loss(fe.tensor([0.5]), fe.ones((1,))).item(), 4)
        0.6931
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.binary_cross_entropy(input, target, self.weight, self.reduction)


class SoftMarginLoss(Loss):
    """Logistic loss of two classes: log(1 + exp(-target * input)).

    Target: 1 or -1.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> loss = fe.nn.SoftMarginLoss()
        >>> round(loss(fe.zeros((1,)), fe.ones((1,))).item(), 4)
        0.6931
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.soft_margin_loss(input, target, self.reduction)


class MultiLabelSoftMarginLoss(Loss):
    """Cross-entropy of several yes/no decisions, averaged over the classes.

    Input: logits (..., C). Target: 0 or 1, the same shape.

    Args:
        weight: factor of every class, shape (C,).
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> loss = fe.nn.MultiLabelSoftMarginLoss()
        >>> round(loss(fe.zeros((1, 2)), fe.ones((1, 2))).item(), 4)
        0.6931
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.multilabel_soft_margin_loss(
            input, target, self.weight, self.reduction
        )


class HingeEmbeddingLoss(Loss):
    """x where the target is 1, max(0, margin - x) where it is -1.

    Input: distances.

    Args:
        margin: how far the unlike should be.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> loss = fe.nn.HingeEmbeddingLoss()
        >>> loss(fe.tensor([0.25]), fe.tensor([-1])).item()
        0.75
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.hinge_embedding_loss(input, target, self.margin, self.reduction)
