"""Distances and angles of vectors as modules."""

from __future__ import annotations

from ..._ferrule import Tensor, ops
from ..module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """Cosine of the angle between vectors.

    Args:
        dim: the vectors lie along this dimension.
        eps: shorter lengths count as this.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[1.0, 0.0]])
        >>> fe.nn.CosineSimilarity()(x, 5.0 * x).tolist()
        [1.0]
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return ops.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """Norm of x1 - x2 + eps along the last dimension.

    Args:
        p: order of the norm.
        eps: added to every difference.
        keepdim: True keeps the last dimension, with size 1.

    Example:
        >>> import ferrule as fe
        >>> distance = fe.nn.PairwiseDistance(eps=0.0)
        >>> distance(fe.zeros((1, 2)), fe.tensor([[3.0, 4.0]])).tolist()
        [5.0]
    """

    def __init__(
        self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
    ) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return ops.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
