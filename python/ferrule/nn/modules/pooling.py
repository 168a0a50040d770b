"""Pooling layers."""

from __future__ import annotations

from typing import Any

from ..._ferrule import Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]

_Ints = int | tuple[int, ...]


class _MaxPool(Module):
    """Common to the dimensions; see `MaxPool2d`."""

    _n = 0

    def __init__(
        self,
        kernel_size: _Ints,
        stride: _Ints | None = None,
        padding: _Ints = 0,
        dilation: _Ints = 1,
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
        return (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self._n - 1](
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


class MaxPool1d(_MaxPool):
    """Largest value of every window; see `functional.max_pool1d`.

    Input (N, C, L) or (C, L), output (N, C, L'). Arguments are as of
    `MaxPool2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.MaxPool1d(2)(fe.zeros((1, 3, 8))).shape
        (1, 3, 4)
    """

    _n = 1


class MaxPool2d(_MaxPool):
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

    _n = 2


class MaxPool3d(_MaxPool):
    """Largest value of every window; see `functional.max_pool3d`.

    Input (N, C, D, H, W) or (C, D, H, W), output (N, C, D', H', W'). Arguments
    are as of `MaxPool2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.MaxPool3d(2)(fe.zeros((1, 3, 4, 8, 8))).shape
        (1, 3, 2, 4, 4)
    """

    _n = 3


class _AvgPool(Module):
    """Common to the dimensions; see `AvgPool2d`."""

    _n = 0

    def __init__(
        self,
        kernel_size: _Ints,
        stride: _Ints | None = None,
        padding: _Ints = 0,
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
        return (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[self._n - 1](
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


class AvgPool1d(_AvgPool):
    """Mean of every window; see `functional.avg_pool1d`.

    Input (N, C, L) or (C, L), output (N, C, L'). Arguments are as of
    `AvgPool2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AvgPool1d(2)(fe.ones((1, 1, 4))).tolist()
        [[[1.0, 1.0]]]
    """

    _n = 1


class AvgPool2d(_AvgPool):
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

    _n = 2


class AvgPool3d(_AvgPool):
    """Mean of every window; see `functional.avg_pool3d`.

    Input (N, C, D, H, W) or (C, D, H, W), output (N, C, D', H', W'). Arguments
    are as of `AvgPool2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AvgPool3d(2)(fe.ones((1, 1, 2, 2, 2))).tolist()
        [[[[[1.0]]]]]
    """

    _n = 3


class _AdaptivePool(Module):
    """Common to pooling by a given size of the output."""

    def __init__(self, output_size: _Ints) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """Means of windows chosen so that the output has a given size.

    Input (N, C, L) or (C, L), output (N, C, output_size).

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AdaptiveAvgPool1d(2)(fe.ones((1, 3, 7))).shape
        (1, 3, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
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

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptivePool):
    """Means of windows chosen so that the output has a given size.

    Input (N, C, D, H, W) or (C, D, H, W), output (N, C, *output_size).

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AdaptiveAvgPool3d(1)(fe.ones((1, 3, 4, 5, 7))).shape
        (1, 3, 1, 1, 1)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    """Common to the dimensions; see `AdaptiveMaxPool2d`."""

    _n = 0

    def __init__(self, output_size: _Ints, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        pools = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)
        return pools[self._n - 1](input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Largest values of windows chosen so that the output has a given size.

    Input (N, C, L) or (C, L), output (N, C, output_size). Arguments are as of
    `AdaptiveMaxPool2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AdaptiveMaxPool1d(2)(fe.ones((1, 3, 7))).shape
        (1, 3, 2)
    """

    _n = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Largest values of windows chosen so that the output has a given size.

    Input (N, C, H, W), output (N, C, *output_size). Window i of H' covers rows
    floor(i H / H') to ceil((i + 1) H / H').

    Args:
        output_size: the size, or one number for both.
        return_indices: True also returns where the values came from.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AdaptiveMaxPool2d(2)(fe.ones((1, 3, 5, 7))).shape
        (1, 3, 2, 2)
    """

    _n = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Largest values of windows chosen so that the output has a given size.

    Input (N, C, D, H, W) or (C, D, H, W), output (N, C, *output_size).
    Arguments are as of `AdaptiveMaxPool2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.AdaptiveMaxPool3d(2)(fe.ones((1, 3, 4, 5, 7))).shape
        (1, 3, 2, 2, 2)
    """

    _n = 3
