"""`CTCLoss`."""

from __future__ import annotations

from collections.abc import Sequence

from ..._ferrule import Tensor
from .._losses import ctc_loss
from .loss import Loss

__all__ = ["CTCLoss"]


class CTCLoss(Loss):
    """Connectionist temporal classification; see `functional.ctc_loss`.

    Called with log-probabilities (T, N, C), targets, and the lengths of both.

    Args:
        blank: the label that stands for none.
        reduction: "mean" (divided by the target's length first), "sum" or "none".
        zero_infinity: True makes 0 of infinite losses and of their gradients.

    Source: Graves et al., "Connectionist Temporal Classification", 2006.

    Example:
        >>> import ferrule as fe
        >>> log_probs = fe.log_softmax(fe.zeros((2, 1, 2)), dim=2)
        >>> round(fe.nn.CTCLoss()(log_probs, fe.tensor([[1]]), [2], [1]).item(), 4)
        0.2877
    """

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Tensor | Sequence[int],
        target_lengths: Tensor | Sequence[int],
    ) -> Tensor:
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
