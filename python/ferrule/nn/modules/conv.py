"""`Conv2d`: the convolution layer."""

from __future__ import annotations

from math import sqrt

from ..._ferrule import Device, DType, Tensor, ops
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["Conv2d"]

_Pair = int | tuple[int, int]


def _pair(value: _Pair) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    height, width = value
    return height, width


class Conv2d(Module):
    """Two-dimensional convolution; see `functional.conv2d`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the window.
        stride: step of the window.
        padding: zeros at both sides, or "same" or "valid".
        dilation: distance of the window's elements.
        groups: number of blocks of channels that do not see each other.
        bias: False leaves the bias out.
        padding_mode: "zeros" is the only one.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Input (N, in_channels, H, W), output (N, out_channels, H', W'). `weight` is
    (out_channels, in_channels / groups, kh, kw) and `bias` (out_channels,),
    both drawn from U(-k, k), k = 1 / sqrt(in_channels / groups * kh * kw).

    Raises:
        ValueError: channels are no multiple of `groups`, or an argument is not
            one of its words.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Conv2d(3, 16, 3, padding=1)(fe.zeros((2, 3, 8, 8))).shape
        (2, 16, 8, 8)
    """

    weight: Parameter
    bias: Parameter | None
    padding: tuple[int, int] | str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Pair,
        stride: _Pair = 1,
        padding: _Pair | str = 0,
        dilation: _Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"[Conv2d] in_channels {in_channels} and out_channels {out_channels} "
                f"must be multiples of groups {groups}"
            )
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(
                f"[Conv2d] padding must be a number, 'same' or 'valid', got {padding!r}"
            )
        if padding_mode != "zeros":
            raise ValueError(
                f"[Conv2d] padding_mode must be 'zeros', got {padding_mode!r}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.padding = padding if isinstance(padding, str) else _pair(padding)
        self.dilation = _pair(dilation)
        self.groups = groups
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(ops.empty(shape, dtype=dtype, device=device))
        value = ops.empty((out_channels,), dtype=dtype, device=device) if bias else None
        self.register_parameter("bias", None if value is None else Parameter(value))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        init.kaiming_uniform_(self.weight, a=sqrt(5.0))
        if self.bias is not None:
            _, channels, height, width = self.weight.shape
            fan_in = channels * height * width
            bound = 1.0 / sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding != (0, 0):
            text += f", padding={self.padding!r}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text
