"""Layers beside max and average pooling: back from it, by powers, at random."""

from __future__ import annotations

from typing import Any

from ..._ferrule import InvalidValue, Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]

_Ints = int | tuple[int, ...]
_Floats = float | tuple[float, ...]


class _MaxUnpool(Module):
    """Common to the dimensions; see `MaxUnpool2d`."""

    _n = 0

    def __init__(
        self, kernel_size: _Ints, stride: _Ints | None = None, padding: _Ints = 0
    ) -> None:
        super().__init__()

        def each(value: _Ints) -> _Ints:
            return (value,) * self._n if isinstance(value, int) else value

        self.kernel_size = each(kernel_size)
        self.stride = self.kernel_size if stride is None else each(stride)
        self.padding = each(padding)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: _Ints | None = None
    ) -> Tensor:
        return (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self._n - 1](
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}"
        )


class MaxUnpool1d(_MaxUnpool):
    """Puts values back to where `MaxPool1d` took them from.

    Arguments are as of `MaxUnpool2d`.

    Example:
        >>> import ferrule as fe
        >>> x, i = fe.tensor([[3.0, 4.0]]), fe.tensor([[1, 2]])
        >>> fe.nn.MaxUnpool1d(2)(x, i).tolist()
        [[0.0, 3.0, 4.0, 0.0]]
    """

    _n = 1


class MaxUnpool2d(_MaxUnpool):
    """Puts values back to where `MaxPool2d` took them from.

    Called with values, their indices and, where several sizes were pooled to that
    of the values, the output_size.

    Args:
        kernel_size: the window of the pooling.
        stride: its step; None: the window's size.
        padding: that of the pooling.

    Example:
        >>> import ferrule as fe
        >>> pool = fe.nn.MaxPool2d(2, return_indices=True)
        >>> x, indices = pool(fe.tensor([[[1.0, 3.0], [4.0, 2.0]]]))
        >>> fe.nn.MaxUnpool2d(2)(x, indices).tolist()
        [[[0.0, 0.0], [4.0, 0.0]]]
    """

    _n = 2


class MaxUnpool3d(_MaxUnpool):
    """Puts values back to where `MaxPool3d` took them from.

    Arguments are as of `MaxUnpool2d`.

    Example:
        >>> import ferrule as fe
        >>> x, i = fe.ones((1, 1, 1, 1)), fe.tensor([[[[5]]]])
        >>> fe.nn.MaxUnpool3d(2)(x, i).shape
        (1, 2, 2, 2)
    """

    _n = 3


class _LPPool(Module):
    """Common to the dimensions; see `LPPool2d`."""

    _n = 0

    def __init__(
        self,
        norm_type: float,
        kernel_size: _Ints,
        stride: _Ints | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self._n - 1](
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """(sum x^p)^(1/p) of every window of sequences.

    Arguments are as of `LPPool2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LPPool1d(2, 2)(fe.tensor([[3.0, 4.0]])).tolist()
        [[5.0]]
    """

    _n = 1


class LPPool2d(_LPPool):
    """(sum x^p)^(1/p) of every window of images.

    Args:
        norm_type: p.
        kernel_size: the window.
        stride: its step; None: the window's size.
        ceil_mode: True keeps a last window that is not filled.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LPPool2d(2, 2)(fe.ones((1, 2, 2))).tolist()
        [[[2.0]]]
    """

    _n = 2


class LPPool3d(_LPPool):
    """(sum x^p)^(1/p) of every window of volumes.

    Arguments are as of `LPPool2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LPPool3d(1, 2)(fe.ones((1, 2, 2, 2))).tolist()
        [[[[8.0]]]]
    """

    _n = 3


class _FractionalMaxPool(Module):
    """Common to the dimensions; see `FractionalMaxPool2d`."""

    _n = 0

    def __init__(
        self,
        kernel_size: _Ints,
        output_size: _Ints | None = None,
        output_ratio: _Floats | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        if (output_size is None) == (output_ratio is None):
            raise InvalidValue(
                f"[{type(self).__name__}] give either output_size or output_ratio"
            )
        self.kernel_size = kernel_size
        self.output_size = output_size
        self.output_ratio = output_ratio
        self.return_indices = return_indices
        self._random_samples = _random_samples

    def forward(self, input: Tensor) -> Any:
        pools = (F.fractional_max_pool2d, F.fractional_max_pool3d)
        return pools[self._n - 2](
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """Largest values of windows that lie at random distances.

    Input (N, C, H, W) or (C, H, W); see `functional.fractional_max_pool2d`.

    Args:
        kernel_size: the window.
        output_size: (H', W') of the result, or one number for both.
        output_ratio: instead of it: its ratio to the input's size, below 1.
        return_indices: True also returns where the values came from.

    Example:
        >>> import ferrule as fe
        >>> pool = fe.nn.FractionalMaxPool2d(2, output_ratio=(0.5, 0.7))
        >>> pool(fe.zeros((1, 3, 8, 10))).shape
        (1, 3, 4, 7)
    """

    _n = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """Largest values of windows of volumes that lie at random distances.

    Input (N, C, D, H, W) or (C, D, H, W). Arguments are as of
    `FractionalMaxPool2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.FractionalMaxPool3d(2, 3)(fe.zeros((1, 3, 8, 8, 8))).shape
        (1, 3, 3, 3, 3)
    """

    _n = 3
