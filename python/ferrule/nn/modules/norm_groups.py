"""Normalisation of groups, of root mean squares, and across channels."""

from __future__ import annotations

from ..._ferrule import Device, DType, InvalidValue, Tensor, ops
from .. import init
from ..module import Module
from ..parameter import Parameter

__all__ = ["CrossMapLRN2d", "GroupNorm", "LocalResponseNorm", "RMSNorm"]


class GroupNorm(Module):
    """Normalises groups of channels of every image.

    Input and output (N, C, ...).

    Args:
        num_groups: number of groups, which divides the channels.
        num_channels: the number C of channels.
        eps: added to the (biased) variance.
        affine: False leaves `weight` (ones) and `bias` (zeros) out.
        device: where the parameters are made.
        dtype: dtype of the parameters.
        bias: False leaves only `bias` out.

    Raises:
        InvalidValue: `num_groups` does not divide `num_channels`.

    Source: Wu and He, "Group Normalization", 2018.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.GroupNorm(2, 6)(fe.zeros((1, 6, 4, 4))).shape
        (1, 6, 4, 4)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise InvalidValue(
                f"[GroupNorm] num_groups must divide num_channels, got {num_groups} "
                f"and {num_channels}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, kept in (("weight", affine), ("bias", affine and bias)):
            value = None
            if kept:
                value = Parameter(
                    ops.empty((num_channels,), dtype=dtype, device=device)
                )
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divides by the root mean square over the last dimensions.

    Args:
        normalized_shape: the dimensions, or one size for the last one.
        eps: added to the mean square; None is the spacing of numbers at 1.
        elementwise_affine: False leaves `weight` (ones) out.
        device: where the parameter is made.
        dtype: dtype of the parameter.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.RMSNorm(2, eps=0.0)(fe.tensor([3.0, -3.0])).tolist()
        [1.0, -1.0]
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        value = None
        if elementwise_affine:
            shape = self.normalized_shape
            value = Parameter(ops.empty(shape, dtype=dtype, device=device))
        self.register_parameter("weight", value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return ops.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(Module):
    """Divides by a power of the mean square of the neighbouring channels.

    See `functional.local_response_norm`. Input and output (N, C, ...).

    Args:
        size: how many channels count, this one in the middle.
        alpha: factor of the mean.
        beta: the power.
        k: added to the mean.

    Source: Krizhevsky et al., "ImageNet Classification with Deep Convolutional
    Neural Networks", 2012, section 3.3.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.LocalResponseNorm(1, alpha=3.0, beta=0.5)
        >>> layer(fe.ones((1, 1, 1))).item()
        0.5
    """

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
    ) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return ops.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """`LocalResponseNorm` of images, as Caffe and Torch had it.

    PyTorch's counts the first channel in every window, which is a mistake. An even
    `size` means the channels within (size - 1) // 2 on both sides; their sum of
    squares is divided by `size`.

    Args:
        size: how many channels count.
        alpha: factor of the mean.
        beta: the power.
        k: added to the mean.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.CrossMapLRN2d(1, alpha=3.0, beta=0.5)
        >>> layer(fe.ones((1, 1, 1, 1))).item()
        0.5
    """

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1
    ) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        within = (self.size - 1) // 2 * 2 + 1
        alpha = self.alpha * within / self.size
        return ops.local_response_norm(input, within, alpha, self.beta, self.k)
