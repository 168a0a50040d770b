"""Activation layers."""

from __future__ import annotations

from ..._ferrule import ShapeError, Tensor, ops
from ..module import Module

__all__ = [
    "GELU",
    "LogSoftmax",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Tanh",
]


class ReLU(Module):
    """max(0, x), elementwise.

    Args:
        inplace: True writes the result over the input.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ReLU()(fe.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.relu(input, inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class GELU(Module):
    """x Phi(x), elementwise, Phi being the normal distribution function.

    Args:
        approximate: "none", or "tanh" for the usual approximation.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.GELU()(fe.tensor([0.0])).tolist()
        [0.0]
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(
                f"[GELU] approximate must be 'none' or 'tanh', got {approximate!r}"
            )
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return ops.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Sigmoid()(fe.tensor([0.0])).tolist()
        [0.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.sigmoid(input)


class Tanh(Module):
    """tanh(x), elementwise.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Tanh()(fe.tensor([0.0])).tolist()
        [0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.tanh(input)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along a dimension.

    A classifier that is trained with `CrossEntropyLoss` must not end in it:
    the loss takes logits.

    Args:
        dim: the dimension that sums to one; the last one by default.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Softmax(dim=1)(fe.zeros((1, 2))).tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return ops.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """log(softmax(x)) along a dimension, without overflow.

    Args:
        dim: the dimension of the classes; the last one by default.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LogSoftmax(dim=0)(fe.zeros((1,))).tolist()
        [0.0]
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return ops.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """softmax(-x) along a dimension.

    Args:
        dim: the dimension that sums to one; the last one by default.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Softmin(dim=1)(fe.zeros((1, 2))).tolist()
        [[0.5, 0.5]]
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return ops.softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """`Softmax` over the channels of images, (N, C, H, W) or (C, H, W).

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Softmax2d()(fe.zeros((1, 2, 1, 1))).flatten().tolist()
        [0.5, 0.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ShapeError(
                f"[Softmax2d] expected (N, C, H, W) or (C, H, W), got {input.shape}"
            )
        return ops.softmax(input, -3)
