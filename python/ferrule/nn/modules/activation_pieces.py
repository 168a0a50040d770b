"""Activation layers of straight pieces, and the exponential linear units."""

from __future__ import annotations

from ..._ferrule import Device, DType, Tensor, ops
from ..init import constant_
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "PReLU",
    "RReLU",
    "ReLU6",
    "Threshold",
]


class ReLU6(Module):
    """min(max(0, x), 6), elementwise.

    Args:
        inplace: True writes the result over the input.

    Source: Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10", 2010.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ReLU6()(fe.tensor([-1.0, 9.0])).tolist()
        [0.0, 6.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.relu6(input, inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """x where it is positive, else negative_slope * x.

    Args:
        negative_slope: the slope for negative elements.
        inplace: True writes the result over the input.

    Source: Maas et al., "Rectifier Nonlinearities Improve Neural Network Acoustic
    Models", 2013.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LeakyReLU(0.5)(fe.tensor([-2.0, 2.0])).tolist()
        [-1.0, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.leaky_relu(input, self.negative_slope, inplace=self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (
            ", inplace=True" if self.inplace else ""
        )


class PReLU(Module):
    """x where it is positive, else weight * x, with learned slopes.

    Args:
        num_parameters: 1, or one slope for every channel (dimension 1).
        init: what the slopes start with.
        device: where they are made.
        dtype: their dtype.

    Source: He et al., "Delving Deep into Rectifiers", 2015.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.PReLU()(fe.tensor([-2.0, 2.0])).tolist()
        [-0.5, 2.0]
    """

    weight: Parameter

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        shape = (num_parameters,)
        self.weight = Parameter(ops.empty(shape, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the slopes to `init`."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return ops.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """`LeakyReLU` with slopes that are drawn in training.

    Args:
        lower: the least slope.
        upper: the greatest; in evaluation mode the slope is their mean.
        inplace: True writes the result over the input.

    Source: Xu et al., "Empirical Evaluation of Rectified Activations", 2015.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.RReLU(0.25, 0.75).eval()(fe.tensor([-2.0, 2.0])).tolist()
        [-1.0, 2.0]
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.rrelu(
            input, self.lower, self.upper, self.training, inplace=self.inplace
        )

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (
            ", inplace=True" if self.inplace else ""
        )


class ELU(Module):
    """x where it is positive, else alpha * (exp(x) - 1).

    Args:
        alpha: the result for very negative elements is -alpha.
        inplace: True writes the result over the input.

    Source: Clevert et al., "Exponential Linear Units", 2016.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ELU()(fe.tensor([-fe.inf, 2.0])).tolist()
        [-1.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.elu(input, self.alpha, inplace=self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(Module):
    """x where it is positive, else alpha * (exp(x / alpha) - 1).

    Args:
        alpha: the result for very negative elements is -alpha.
        inplace: True writes the result over the input.

    Source: Barron, "Continuously Differentiable Exponential Linear Units", 2017.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.CELU(0.5)(fe.tensor([-fe.inf, 2.0])).tolist()
        [-0.5, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.celu(input, self.alpha, inplace=self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class SELU(Module):
    """`ELU` that keeps mean 0 and variance 1; goes with `AlphaDropout`.

    Args:
        inplace: True writes the result over the input.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.SELU()(fe.tensor([0.0])).tolist()
        [0.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.selu(input, inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardtanh(Module):
    """x within [min_val, max_val].

    Args:
        min_val: the lower limit.
        max_val: the upper limit.
        inplace: True writes the result over the input.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Hardtanh()(fe.tensor([-3.0, 0.5])).tolist()
        [-1.0, 0.5]
    """

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
    ) -> None:
        super().__init__()
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardtanh(input, self.min_val, self.max_val, inplace=self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (
            ", inplace=True" if self.inplace else ""
        )


class Hardsigmoid(Module):
    """min(max(0, x + 3), 6) / 6, elementwise.

    Args:
        inplace: True writes the result over the input.

    Source: Howard et al., "Searching for MobileNetV3", 2019.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Hardsigmoid()(fe.tensor([0.0])).tolist()
        [0.5]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardsigmoid(input, inplace=self.inplace)


class Hardswish(Module):
    """x * min(max(0, x + 3), 6) / 6, elementwise.

    Args:
        inplace: True writes the result over the input.

    Source: Howard et al., "Searching for MobileNetV3", 2019.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Hardswish()(fe.tensor([3.0])).tolist()
        [3.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.hardswish(input, inplace=self.inplace)


class Threshold(Module):
    """x where it is above the threshold, else a value.

    Args:
        threshold: what elements must exceed.
        value: takes the place of those that do not.
        inplace: True writes the result over the input.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Threshold(1.0, 7.0)(fe.tensor([2.0, 0.0])).tolist()
        [2.0, 7.0]
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return ops.threshold(input, self.threshold, self.value, inplace=self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (
            ", inplace=True" if self.inplace else ""
        )
