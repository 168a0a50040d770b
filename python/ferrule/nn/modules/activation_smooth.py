"""Activation layers that are smooth, gated, or shrink their input."""

from __future__ import annotations

from ..._ferrule import Tensor, ops
from ..module import Module

__all__ = [
    "GLU",
    "Hardshrink",
    "LogSigmoid",
    "Mish",
    "SiLU",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanhshrink",
]


class SiLU(Module):
    """x * sigmoid(x), elementwise; also called swish.

    Args:
        inplace: True writes the result over the input.

    Source: Elfwing et al., "Sigmoid-Weighted Linear Units", 2018.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.SiLU()(fe.tensor([0.0])).tolist()
        [0.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.silu(input, inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """x * tanh(softplus(x)), elementwise.

    Args:
        inplace: True writes the result over the input.

    Source: Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2020.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Mish()(fe.tensor([0.0])).tolist()
        [0.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.mish(input, inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta, elementwise.

    Args:
        beta: how closely it follows `ReLU`.
        threshold: where beta * x is larger, the result is x.

    Example:
        >>> import ferrule as fe
        >>> round(fe.nn.Softplus()(fe.tensor([0.0])).item(), 4)
        0.6931
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return ops.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """log(sigmoid(x)), elementwise, without overflow.

    Example:
        >>> import ferrule as fe
        >>> round(fe.nn.LogSigmoid()(fe.tensor([0.0])).item(), 4)
        -0.6931
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.logsigmoid(input)


class Softsign(Module):
    """x / (1 + abs(x)), elementwise.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Softsign()(fe.tensor([-1.0, 3.0])).tolist()
        [-0.5, 0.75]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x), elementwise.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Tanhshrink()(fe.tensor([0.0])).tolist()
        [0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        return ops.tanhshrink(input)


class Hardshrink(Module):
    """x where its magnitude is above lambd, else 0.

    Args:
        lambd: what magnitudes must exceed.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Hardshrink()(fe.tensor([2.0, 0.25])).tolist()
        [2.0, 0.0]
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Module):
    """x moved towards 0 by lambd, and 0 where its magnitude is smaller.

    Args:
        lambd: 0 or more.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Softshrink()(fe.tensor([2.0, 0.25])).tolist()
        [1.5, 0.0]
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return ops.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class GLU(Module):
    """a * sigmoid(b) for the halves a and b of the input.

    Args:
        dim: the dimension that is halved.

    Source: Dauphin et al., "Language Modeling with Gated Convolutional Networks",
    2017.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.GLU()(fe.tensor([4.0, 0.0])).tolist()
        [2.0]
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return ops.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
