"""`Dropout`."""

from __future__ import annotations

from ..._ferrule import Tensor, ops
from ..module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """Sets elements to zero at random and scales the others by 1 / (1 - p).

    Does nothing in evaluation mode. Any shape.

    Args:
        p: probability of zero, 0 <= p <= 1.

    Raises:
        ValueError: `p` is not a probability.

    Source: Srivastava et al., "Dropout", 2014, section 4.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Dropout(0.5).eval()(fe.ones((2,))).tolist()
        [1.0, 1.0]
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"[Dropout] p must be between 0 and 1, got {p}")
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        return ops.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
