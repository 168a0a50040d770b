"""`Bilinear`."""

from __future__ import annotations

from math import sqrt

from ..._ferrule import Device, DType, InvalidValue, Tensor, ops
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["Bilinear"]


class Bilinear(Module):
    """Bilinear form of two vectors: x1^T A x2 + b for every output.

    Inputs (..., in1_features) and (..., in2_features), output (..., out_features).
    `weight` is (out_features, in1_features, in2_features); it and `bias` start
    uniformly within 1 / sqrt(in1_features).

    Args:
        in1_features: size of a vector of the first input.
        in2_features: size of a vector of the second one.
        out_features: size of a vector of the output.
        bias: False leaves the bias out.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Raises:
        InvalidValue: `in1_features` is not positive.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.Bilinear(2, 3, 4)
        >>> layer(fe.zeros((5, 2)), fe.zeros((5, 3))).shape
        (5, 4)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if in1_features < 1:
            raise InvalidValue(
                f"[Bilinear] in1_features must be positive, got {in1_features}"
            )
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(ops.empty(shape, dtype=dtype, device=device))
        value = None
        if bias:
            value = Parameter(ops.empty((out_features,), dtype=dtype, device=device))
        self.register_parameter("bias", value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        bound = 1.0 / sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return ops.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
