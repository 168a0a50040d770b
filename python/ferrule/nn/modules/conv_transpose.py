"""Transposed convolution layers."""

from __future__ import annotations

from collections.abc import Sequence

from ..._ferrule import Device, DType, ShapeError, Tensor
from .. import functional as F
from .conv import ConvNd

__all__ = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

_Ints = int | tuple[int, ...]


class _ConvTranspose(ConvNd):
    """Common to the dimensions; see `ConvTranspose2d`."""

    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Ints,
        stride: _Ints = 1,
        padding: _Ints = 0,
        output_padding: _Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _Ints = 1,
        padding_mode: str = "zeros",
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f"[{type(self).__name__}] padding_mode must be 'zeros', got "
                f"{padding_mode!r}"
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
        self.padding = self._each(padding, "padding")
        self.output_padding = self._each(output_padding, "output_padding")
        self.padding_mode = padding_mode

    def forward(
        self, input: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        more = self.output_padding
        if output_size is not None:
            more = self._padding_for(input, tuple(output_size))
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
        return convolve[self._n - 1](
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            more,
            self.groups,
            self.dilation,
        )

    def _padding_for(self, input: Tensor, size: tuple[int, ...]) -> tuple[int, ...]:
        """The output_padding that gives the result its size."""
        name, n = type(self).__name__, self._n
        if len(size) > n and len(size) == input.ndim:
            size = size[-n:]  # batch and channels need not be told, but may
        if len(size) != n:
            raise ShapeError(
                f"[{name}] output_size must have {n} numbers, or as many as the "
                f"input has dimensions ({input.ndim}), got {size}"
            )
        least = [
            (length - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
            for length, stride, padding, dilation, kernel in zip(
                input.shape[-n:],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        most = [
            low + stride - 1 for low, stride in zip(least, self.stride, strict=True)
        ]
        more = tuple(a - b for a, b in zip(size, least, strict=True))
        if any(not 0 <= m < s for m, s in zip(more, self.stride, strict=True)):
            raise ShapeError(
                f"[{name}] output_size {size} cannot come of an input of shape "
                f"{input.shape}; possible: {tuple(least)} to {tuple(most)}"
            )
        return more

    def extra_repr(self) -> str:
        return self._describe(self.padding, self.output_padding, self.padding_mode)


class ConvTranspose1d(_ConvTranspose):
    """Transposed one-dimensional convolution; see `functional.conv_transpose1d`.

    Input (N, in_channels, L) or (in_channels, L), output (N, out_channels, L').
    Arguments and parameters are as of `ConvTranspose2d`, with one dimension.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ConvTranspose1d(3, 16, 4, stride=2)(fe.zeros((2, 3, 8))).shape
        (2, 16, 18)
    """

    _n = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed two-dimensional convolution; see `functional.conv_transpose2d`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the window.
        stride: distance in the output of neighbours in the input.
        padding: rows and columns that are left out at both sides of the output.
        output_padding: rows and columns that the output has more at its far
            sides.
        groups: number of blocks of channels that do not see each other.
        bias: False leaves the bias out.
        dilation: distance of the window's elements.
        padding_mode: "zeros" is the only one.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Input (N, in_channels, H, W), output (N, out_channels, H', W'). The layer
    takes output_size, (H', W') or all four sizes, in place of output_padding:
    `layer(x, output_size=(8, 8))`. `weight` is (in_channels, out_channels /
    groups, kh, kw) and `bias` (out_channels,), both drawn from U(-k, k),
    k = 1 / sqrt(out_channels / groups * kh * kw).

    Raises:
        ValueError: channels are no multiple of `groups`, or an argument is not
            one of its words.
        ShapeError: the output cannot have the size that is asked for.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.ConvTranspose2d(3, 16, 3, stride=2, padding=1)
        >>> layer(fe.zeros((2, 3, 8, 8)), output_size=(16, 16)).shape
        (2, 16, 16, 16)
    """

    _n = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed three-dimensional convolution; see `functional.conv_transpose3d`.

    Input (N, in_channels, D, H, W) or without N, output (N, out_channels, D',
    H', W'). Arguments and parameters are as of `ConvTranspose2d`, with three
    dimensions.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ConvTranspose3d(3, 4, 2, stride=2)(fe.zeros((2, 3, 4, 5, 5))).shape
        (2, 4, 8, 10, 10)
    """

    _n = 3
