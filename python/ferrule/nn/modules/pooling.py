"""Pooling layers."""

from __future__ import annotations

from typing import Any

from ..._ferrule import Tensor, ops
from .. import functional as F
from ..module import Module

__all__ = ["AdaptiveAvgPool2d", "AvgPool2d", "MaxPool2d"]

_Pair = int | tuple[int, int]


class MaxPool2d(Module):
    """Largest value of every window; see `functional.max_pool2d`.

    Input (N, C, H, W), output (N, C, H', W') with
    H' = (H + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1.

    Args:
        kernel_size: the window.
        stride: its step; None: the window's size.
        padding: minus infinity at both sides.
        dilation: distance of the window's elements.
        return_indices: True also returns where the values came from.
        ceil_mode: True keeps a last window that is not filled.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.MaxPool2d(2)(fe.zeros((1, 3, 8, 8))).shape
        (1, 3, 4, 4)
    """

    def __init__(
        self,
        kernel_size: _Pair,
        stride: _Pair | None = None,
        padding: _Pair = 0,
        dilation: _Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """Mean of every window.

    Input (N, C, H, W), output (N, C, H', W') with
    H' = (H + 2 padding - kernel_size) // stride + 1.

    Args:
        kernel_size: the window.
        stride: its step; None: the window's size.
        padding: zeros at both sides.
        ceil_mode: True keeps a last window that is not filled.
        count_include_pad: False divides by the number of real elements.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AvgPool2d(2)(fe.ones((1, 1, 2, 2))).tolist()
        [[[[1.0]]]]
    """

    def __init__(
        self,
        kernel_size: _Pair,
        stride: _Pair | None = None,
        padding: _Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return ops.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}"
        )


class AdaptiveAvgPool2d(Module):
    """Means of windows chosen so that the output has a given size.

    Input (N, C, H, W), output (N, C, *output_size). Window i of H' covers rows
    floor(i H / H') to ceil((i + 1) H / H').

    Args:
        output_size: the size, or one number for both.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AdaptiveAvgPool2d(1)(fe.ones((1, 3, 5, 7))).shape
        (1, 3, 1, 1)
    """

    def __init__(self, output_size: _Pair) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return ops.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
