"""Dropout layers."""

from __future__ import annotations

from ..._ferrule import InvalidValue, Tensor, ops
from .._evaluation import warn_of_training
from ..module import Module

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _Dropout(Module):
    """What draws with probability `p`, and does nothing in evaluation mode."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise InvalidValue(
                f"[{type(self).__name__}] p must be between 0 and 1, got {p}"
            )
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"

    def _draws(self) -> bool:
        """Is it in training mode?"""
        if self.training and self.p > 0.0:
            warn_of_training(self)
        return self.training


class Dropout(_Dropout):
    """Sets elements to zero at random and scales the others by 1 / (1 - p).

    Does nothing in evaluation mode. Any shape.

    Args:
        p: probability of zero, 0 <= p <= 1.
        inplace: True writes the result over the input.

    Raises:
        InvalidValue: `p` is not a probability.

    Source: Srivastava et al., "Dropout", 2014, section 4.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Dropout(0.5).eval()(fe.ones((2,))).tolist()
        [1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.dropout(input, self.p, self._draws(), inplace=self.inplace)


class Dropout1d(_Dropout):
    """`Dropout` of whole channels of sequences, (N, C, L) or (C, L).

    Args:
        p: probability of zero, 0 <= p <= 1.
        inplace: True writes the result over the input.

    Source: Tompson et al., "Efficient Object Localization Using Convolutional
    Networks", 2015.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Dropout1d(1.0)(fe.ones((1, 1, 2))).tolist()
        [[[0.0, 0.0]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.dropout1d(input, self.p, self._draws(), inplace=self.inplace)


class Dropout2d(_Dropout):
    """`Dropout` of whole channels of images, (N, C, H, W); see `Dropout1d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Dropout2d(1.0)(fe.ones((1, 1, 1, 2))).tolist()
        [[[[0.0, 0.0]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.dropout2d(input, self.p, self._draws(), inplace=self.inplace)


class Dropout3d(_Dropout):
    """`Dropout` of whole channels of volumes, (N, C, D, H, W); see `Dropout1d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Dropout3d(1.0)(fe.ones((1, 1, 1, 1, 2))).flatten().tolist()
        [0.0, 0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.dropout3d(input, self.p, self._draws(), inplace=self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1; goes with `SELU`.

    Args:
        p: probability of a drop, 0 <= p <= 1.
        inplace: True writes the result over the input.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AlphaDropout(0.5).eval()(fe.ones((2,))).tolist()
        [1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.alpha_dropout(input, self.p, self._draws(), inplace=self.inplace)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels, (N, C, ...).

    Example:
        >>> import ferrule as fe
        >>> fe.nn.FeatureAlphaDropout(0.5).eval()(fe.ones((1, 2))).tolist()
        [[1.0, 1.0]]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.feature_alpha_dropout(
            input, self.p, self._draws(), inplace=self.inplace
        )
