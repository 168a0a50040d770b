"""Losses between numbers, and of distributions with a formula."""

from __future__ import annotations

from ..._ferrule import Tensor, ops
from .loss import Loss

__all__ = [
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
]


class SmoothL1Loss(Loss):
    """Squared error near 0, absolute error away from it.

    d^2 / (2 beta) where d = abs(input - target) is below beta, else d - beta / 2.
    Nothing is broadcast.

    Args:
        reduction: "mean", "sum" or "none".
        beta: where one becomes the other; 0 is `L1Loss`.

    Source: Girshick, "Fast R-CNN", 2015, equation 3.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.SmoothL1Loss()(fe.zeros((1,)), fe.tensor([2.0])).item()
        1.5
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(Loss):
    """Squared error near 0, absolute error away from it.

    d^2 / 2 where d = abs(input - target) is at most delta, else
    delta * (d - delta / 2). Nothing is broadcast.

    Args:
        reduction: "mean", "sum" or "none".
        delta: where one becomes the other.

    Source: Huber, "Robust Estimation of a Location Parameter", 1964.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.HuberLoss()(fe.zeros((1,)), fe.tensor([2.0])).item()
        1.5
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.huber_loss(input, target, self.reduction, self.delta)


class GaussianNLLLoss(Loss):
    """Negative log-likelihood of normal distributions with given variances.

    See `functional.gaussian_nll_loss`.

    Args:
        full: True adds the constant log(2 pi) / 2.
        eps: smaller variances count as this.
        reduction: "mean", "sum" or "none".

    Source: Nix and Weigend, "Estimating the Mean and Variance of the Target
    Probability Distribution", 1994.

    Example:
        >>> import ferrule as fe
        >>> x, y = fe.zeros((1,)), fe.tensor([2.0])
        >>> fe.nn.GaussianNLLLoss()(x, y, fe.ones((1,))).item()
        2.0
    """

    def __init__(
        self, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor) -> Tensor:
        return ops.gaussian_nll_loss(
            input, target, var, self.full, self.eps, self.reduction
        )


class PoissonNLLLoss(Loss):
    """Negative log-likelihood of counts that follow a Poisson distribution.

    See `functional.poisson_nll_loss`.

    Args:
        log_input: the input is the logarithm of the rate.
        full: True adds Stirling's formula for log(target!).
        eps: keeps the logarithm finite, without `log_input`.
        reduction: "mean", "sum" or "none".

    Example:
        >>> import ferrule as fe
        >>> fe.nn.PoissonNLLLoss()(fe.zeros((1,)), fe.ones((1,))).item()
        1.0
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.poisson_nll_loss(
            input, target, self.log_input, self.full, self.eps, self.reduction
        )


class KLDivLoss(Loss):
    """Kullback-Leibler divergence: target * (log(target) - input).

    Input: log-probabilities. Target: probabilities.

    Args:
        reduction: "batchmean" (the divergence, averaged over the batch), "mean" (over
            all elements), "sum" or "none".
        log_target: True: the target holds log-probabilities, too.

    Example:
        >>> import ferrule as fe
        >>> p = fe.tensor([[0.5, 0.5]])
        >>> fe.nn.KLDivLoss("batchmean")(p.log(), p).item()
        0.0
    """

    _reductions = ("batchmean", "mean", "sum", "none")

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return ops.kl_div(input, target, self.reduction, self.log_target)
