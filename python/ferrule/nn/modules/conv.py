"""Convolution layers, and what they have in common."""

from __future__ import annotations

from math import prod, sqrt

from ..._ferrule import Device, DType, Tensor, ops
from .. import functional as F
from .. import init
from .._convolution import same_padding
from ..module import Module
from ..parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d"]

_Ints = int | tuple[int, ...]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class ConvNd(Module):
    """Common to convolutions of `_n` dimensions and their transposes."""

    weight: Parameter
    bias: Parameter | None

    _n = 0
    _transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Ints,
        stride: _Ints,
        dilation: _Ints,
        groups: int,
        bias: bool,
        device: Device | None,
        dtype: DType | None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"[{name}] in_channels {in_channels} and out_channels {out_channels} "
                f"must be multiples of groups {groups}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = self._each(kernel_size, "kernel_size")
        self.stride = self._each(stride, "stride")
        self.dilation = self._each(dilation, "dilation")
        self.groups = groups
        first, second = in_channels, out_channels // groups
        if not self._transposed:
            first, second = out_channels, in_channels // groups
        shape = (first, second, *self.kernel_size)
        self.weight = Parameter(ops.empty(shape, dtype=dtype, device=device))
        value = ops.empty((out_channels,), dtype=dtype, device=device) if bias else None
        self.register_parameter("bias", None if value is None else Parameter(value))
        self.reset_parameters()

    def _each(self, value: _Ints, what: str) -> tuple[int, ...]:
        """One number for each dimension."""
        each = (value,) * self._n if isinstance(value, int) else tuple(value)
        if len(each) == 1:
            each *= self._n
        if len(each) != self._n:
            raise ValueError(
                f"[{type(self).__name__}] {what} must be one int or one for each "
                f"dimension ({self._n}), got {value}"
            )
        return each

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        init.kaiming_uniform_(self.weight, a=sqrt(5.0))
        if self.bias is not None:
            fan_in = prod(self.weight.shape[1:])
            bound = 1.0 / sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound)

    def _describe(self, padding: object, output_padding: object, mode: str) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}"
        )
        zeros = (0,) * self._n
        if padding != zeros:
            text += f", padding={padding}"
        if self.dilation != (1,) * self._n:
            text += f", dilation={self.dilation}"
        if output_padding != zeros:
            text += f", output_padding={output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if mode != "zeros":
            text += f", padding_mode={mode}"
        return text


class _Conv(ConvNd):
    """Common to the convolutions that are not transposed; see `Conv2d`."""

    padding: tuple[int, ...] | str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Ints,
        stride: _Ints = 1,
        padding: _Ints | str = 0,
        dilation: _Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        name = type(self).__name__
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(
                f"[{name}] padding must be a number, 'same' or 'valid', got {padding!r}"
            )
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"[{name}] padding_mode must be one of {_PADDING_MODES}, "
                f"got {padding_mode!r}"
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            dilation,
            groups,
            bias,
            device,
            dtype,
        )
        if padding == "same" and self.stride != (1,) * self._n:
            raise ValueError(f"[{name}] padding 'same' needs stride 1, got {stride}")
        self.padding = (
            padding if isinstance(padding, str) else self._each(padding, "padding")
        )
        self.padding_mode = padding_mode

    def forward(self, input: Tensor) -> Tensor:
        padding: tuple[int, ...] | str | int = self.padding
        if self.padding_mode != "zeros" and padding != "valid":
            both = (
                same_padding(self.dilation, self.kernel_size)
                if isinstance(self.padding, str)
                else [(p, p) for p in self.padding]
            )
            pad = [p for ends in reversed(both) for p in ends]
            input = F.pad(input, pad, mode=self.padding_mode)
            padding = 0
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self._n - 1]
        return convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
        )

    def extra_repr(self) -> str:
        return self._describe(self.padding, (0,) * self._n, self.padding_mode)


class Conv1d(_Conv):
    """One-dimensional convolution; see `functional.conv1d`.

    Input (N, in_channels, L) or (in_channels, L), output (N, out_channels, L').
    Arguments and parameters are as of `Conv2d`, with one dimension.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Conv1d(3, 16, 3, padding=1)(fe.zeros((2, 3, 8))).shape
        (2, 16, 8)
    """

    _n = 1


class Conv2d(_Conv):
    """Two-dimensional convolution; see `functional.conv2d`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the window.
        stride: step of the window.
        padding: elements at both sides, or "same" or "valid".
        dilation: distance of the window's elements.
        groups: number of blocks of channels that do not see each other.
        bias: False leaves the bias out.
        padding_mode: "zeros", or "reflect", "replicate", "circular" as of
            `functional.pad`.
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

    _n = 2


class Conv3d(_Conv):
    """Three-dimensional convolution; see `functional.conv3d`.

    Input (N, in_channels, D, H, W) or without N, output (N, out_channels, D',
    H', W'). Arguments and parameters are as of `Conv2d`, with three dimensions.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Conv3d(3, 16, 3, padding=1)(fe.zeros((2, 3, 4, 8, 8))).shape
        (2, 16, 4, 8, 8)
    """

    _n = 3
