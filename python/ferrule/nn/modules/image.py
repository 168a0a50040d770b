"""Layers that resize images, rearrange their pixels or take them to pieces."""

from __future__ import annotations

from ..._ferrule import Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "ChannelShuffle",
    "Fold",
    "PixelShuffle",
    "PixelUnshuffle",
    "Unfold",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
]

_Ints = int | tuple[int, ...]
_Floats = float | tuple[float, ...]


class Upsample(Module):
    """Resizes sequences, images or volumes; see `functional.interpolate`.

    Args:
        size: the new spatial sizes, or one number for all.
        scale_factor: instead of `size`: factors of the sizes, or one for all.
        mode: "nearest", "linear", "bilinear", "bicubic" or "trilinear".
        align_corners: True maps the centres of the outermost elements onto each
            other.
        recompute_scale_factor: True takes the coordinates' scale from the sizes.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Upsample(scale_factor=2)(fe.zeros((1, 3, 4, 5))).shape
        (1, 3, 8, 10)
    """

    def __init__(
        self,
        size: _Ints | None = None,
        scale_factor: _Floats | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        if isinstance(scale_factor, tuple):
            scale_factor = tuple(float(f) for f in scale_factor)
        elif scale_factor:
            scale_factor = float(scale_factor)
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        if self.scale_factor is not None:
            info = f"scale_factor={self.scale_factor!r}"
        else:
            info = f"size={self.size!r}"
        return f"{info}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Resizes images (N, C, H, W) by repeating pixels.

    Args:
        size: (H', W'), or one number for both.
        scale_factor: instead of `size`: factors of height and width, or one.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[[[1.0, 2.0]]]])
        >>> fe.nn.UpsamplingNearest2d((1, 4))(x).tolist()
        [[[[1.0, 1.0, 2.0, 2.0]]]]
    """

    def __init__(
        self, size: _Ints | None = None, scale_factor: _Floats | None = None
    ) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Resizes images (N, C, H, W) linearly, corners aligned.

    Args:
        size: (H', W'), or one number for both.
        scale_factor: instead of `size`: factors of height and width, or one.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[[[0.0, 2.0]]]])
        >>> fe.nn.UpsamplingBilinear2d((1, 3))(x).tolist()
        [[[[0.0, 1.0, 2.0]]]]
    """

    def __init__(
        self, size: _Ints | None = None, scale_factor: _Floats | None = None
    ) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Module):
    """Larger images of fewer channels; see `functional.pixel_shuffle`.

    Input (..., C * r * r, H, W), output (..., C, H * r, W * r).

    Args:
        upscale_factor: r.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.PixelShuffle(2)(fe.zeros((1, 8, 3, 4))).shape
        (1, 2, 6, 8)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Smaller images of more channels; see `functional.pixel_unshuffle`.

    Input (..., C, H * r, W * r), output (..., C * r * r, H, W).

    Args:
        downscale_factor: r.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.PixelUnshuffle(2)(fe.zeros((1, 2, 6, 8))).shape
        (1, 8, 3, 4)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """Deals out the channels of groups in turns; see `functional.channel_shuffle`.

    Args:
        groups: number of groups that the channels are in.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ChannelShuffle(2)(fe.zeros((1, 4, 3, 3))).shape
        (1, 4, 3, 3)
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class Unfold(Module):
    """Patches of images as columns; see `functional.unfold`.

    Input (N, C, H, W), output (N, C * kh * kw, L).

    Args:
        kernel_size: size of a patch.
        dilation: distance of a patch's elements.
        padding: zeros at both sides.
        stride: distance of patches.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Unfold(2)(fe.zeros((1, 3, 4, 5))).shape
        (1, 12, 12)
    """

    def __init__(
        self,
        kernel_size: _Ints,
        dilation: _Ints = 1,
        padding: _Ints = 0,
        stride: _Ints = 1,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(
            input, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Fold(Module):
    """Images from patches, added up where they overlap; see `functional.fold`.

    Input (N, C * kh * kw, L), output (N, C, *output_size).

    Args:
        output_size: height and width of the images.
        kernel_size: size of a patch.
        dilation: distance of a patch's elements.
        padding: what is cut off at both sides.
        stride: distance of patches.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.Fold((4, 5), 2)(fe.zeros((1, 12, 12))).shape
        (1, 3, 4, 5)
    """

    def __init__(
        self,
        output_size: _Ints,
        kernel_size: _Ints,
        dilation: _Ints = 1,
        padding: _Ints = 0,
        stride: _Ints = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input,
            self.output_size,
            self.kernel_size,
            self.dilation,
            self.padding,
            self.stride,
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )
