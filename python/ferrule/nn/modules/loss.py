"""Losses as modules; each calls the function of the same name."""

from __future__ import annotations

from ..._ferrule import InvalidValue, ShapeError, Tensor, ops
from ..module import Module

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "NLLLoss2d",
]


class Loss(Module):
    """A loss with the argument `reduction`."""

    _reductions: tuple[str, ...] = ("mean", "sum", "none")

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if isinstance(reduction, Tensor):
            name = type(self).__name__
            raise TypeError(
                f"[{name}] takes options, not tensors to compare: make the loss first "
                f"and call it then, nn.{name}()(input, target)"
            )
        if reduction not in self._reductions:
            *others, last = map(repr, self._reductions)
            raise InvalidValue(
                f"[{type(self).__name__}] reduction must be {', '.join(others)} or "
                f"{last}, got {reduction!r}"
            )
        self.reduction = reduction

    def _check_weight(self, weight: Tensor | None) -> None:
        """Of classes: one dimension."""
        if weight is not None and weight.ndim != 1:
            raise ShapeError(
                f"[{type(self).__name__}] weight must have a factor for every class, "
                f"shape (C,), got {weight.shape}; a loss is made first and then "
                f"called: nn.{type(self).__name__}()(input, target)"
            )


class CrossEntropyLoss(Loss):
    """Cross-entropy of logits and classes: -log(softmax(x)[class]).

    Input: logits (N, C) or (N, C, d1, ...), not probabilities. Target: classes,
    int64, (N,) or (N, d1, ...). Output: a scalar, or with "none" the target's
    shape.

    Args:
        weight: factor of every class, shape (C,).
        ignore_index: targets of this value count for nothing.
        reduction: "mean" (weighted), "sum" or "none".
        label_smoothing: this share of the target is spread over all classes
            (Szegedy et al., "Rethinking the Inception Architecture", 2016,
            section 7).

    Example:
        >>> import ferrule as fe
        >>> loss = fe.nn.CrossEntropyLoss()
        >>> round(loss(fe.zeros((3, 4)), fe.tensor([0, 1, 2])).item(), 4)
        1.3863
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self._check_weight(weight)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.cross_entropy(
            input,
            target,
            self.weight,
            self.ignore_index,
            self.reduction,
            self.label_smoothing,
        )


class NLLLoss(Loss):
    """Negative log-likelihood of classes; see `functional.nll_loss`.

    Input: log-probabilities (N, C) or (N, C, d1, ...). Target: classes, int64,
    (N,) or (N, d1, ...).

    Args:
        weight: factor of every class, shape (C,).
        ignore_index: targets of this value count for nothing.
        reduction: "mean" (weighted), "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> logp = fe.log_softmax(fe.zeros((3, 4)), dim=1)
        >>> round(fe.nn.NLLLoss()(logp, fe.tensor([0, 1, 2])).item(), 4)
        1.3863
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self._check_weight(weight)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.nll_loss(
            input, target, self.weight, self.ignore_index, self.reduction
        )


class NLLLoss2d(NLLLoss):
    """`NLLLoss` of images; its old name. `NLLLoss` does the same.

    Example:
        >>> import ferrule as fe
        >>> target = fe.zeros((1, 2, 2), dtype=fe.int64)
        >>> fe.nn.NLLLoss2d()(fe.zeros((1, 3, 2, 2)), target).item() == 0
        True
    """


class MSELoss(Loss):
    """Squared error; see `functional.mse_loss`. Nothing is broadcast.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.MSELoss()(fe.zeros((2,)), fe.ones((2,))).item()
        1.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.mse_loss(input, target, self.reduction)


class L1Loss(Loss):
    """Absolute error; see `functional.l1_loss`. Nothing is broadcast.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.L1Loss()(fe.zeros((2,)), fe.ones((2,))).item()
        1.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.l1_loss(input, target, self.reduction)


class BCEWithLogitsLoss(Loss):
    """Cross-entropy of yes/no decisions, from logits.

    See `functional.binary_cross_entropy_with_logits`. Nothing is broadcast.

    Args:
        weight: factor of every element.
        reduction: "mean", "sum" or "none".
        pos_weight: factor of the positive part.

    Example:
        >>> import ferrule as fe
        >>> loss = fe.nn.BCEWithLogitsLoss()
        >>> round(loss(fe.zeros((2,)), fe.ones((2,))).item(), 4)
        0.6931
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )
