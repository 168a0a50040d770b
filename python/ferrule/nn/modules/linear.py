"""`Linear`: the fully connected layer."""

from __future__ import annotations

from math import sqrt

from ..._ferrule import Device, DType, Tensor, ops
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["Linear"]


class Linear(Module):
    """y = x W^T + b.

    Args:
        in_features: size of the last dimension of the input.
        out_features: size of the last dimension of the output.
        bias: False leaves b out.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Input (..., in_features), output (..., out_features). `weight` is
    (out_features, in_features) and `bias` (out_features,), both drawn from
    U(-k, k), k = 1 / sqrt(in_features).

    Raises:
        ShapeError: the input's last dimension is not `in_features`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Linear(20, 30)(fe.zeros((128, 20))).shape
        (128, 30)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        shape = (out_features, in_features)
        self.weight = Parameter(ops.empty(shape, dtype=dtype, device=device))
        value = ops.empty((out_features,), dtype=dtype, device=device) if bias else None
        self.register_parameter("bias", None if value is None else Parameter(value))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        init.kaiming_uniform_(self.weight, a=sqrt(5.0))
        if self.bias is not None:
            bound = 1.0 / sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
