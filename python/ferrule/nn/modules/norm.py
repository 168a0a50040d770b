"""Normalisation layers."""

from __future__ import annotations

from ..._ferrule import Device, DType, ShapeError, Tensor, int64, no_grad, ops
from .. import functional as F
from .. import init
from .._evaluation import warn_of_training
from .._normalization import instance_norm
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
]


class ChannelNorm(Module):
    """What layers with running statistics of channels have in common."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    _ranks: tuple[int, ...] = ()
    _layout_text = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        shape = (num_features,)
        for name, kept in (("weight", affine), ("bias", affine and bias)):
            value = ops.empty(shape, dtype=dtype, device=device) if kept else None
            self.register_parameter(name, None if value is None else Parameter(value))
        mean = var = count = None
        if track_running_stats:
            mean = ops.zeros(shape, dtype=dtype, device=device)
            var = ops.ones(shape, dtype=dtype, device=device)
            count = ops.zeros((), dtype=int64, device=device)
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", var)
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forgets the running statistics: mean 0, variance 1."""
        if self.running_mean is not None:
            init.zeros_(self.running_mean)
        if self.running_var is not None:
            init.ones_(self.running_var)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Sets weight to 1, bias to 0, and forgets the running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_rank(self, input: Tensor) -> None:
        if input.ndim not in self._ranks:
            raise ShapeError(
                f"[{type(self).__name__}] expected {self._layout_text}, "
                f"got shape {input.shape}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(ChannelNorm):
    """Common to the dimensions; see `BatchNorm2d`."""

    def forward(self, input: Tensor) -> Tensor:
        self._check_rank(input)
        mean, var, momentum = self.running_mean, self.running_var, self.momentum
        count = self.num_batches_tracked
        if self.training:
            warn_of_training(self)
        if self.training and count is not None:
            count.add_(1)
            if momentum is None:
                self._average_in(input, count)
        if momentum is None:
            momentum = 0.0
            if self.training:
                mean = var = None
        training = self.training or mean is None
        return F.batch_norm(
            input, mean, var, self.weight, self.bias, training, momentum, self.eps
        )

    def _average_in(self, input: Tensor, count: Tensor) -> None:
        """Makes the running statistics the mean over all batches so far."""
        if self.running_mean is None or self.running_var is None:
            return
        dims = [0, *range(2, input.ndim)]
        with no_grad():
            share = 1.0 / count
            for running, batch in (
                (self.running_mean, input.mean(dims)),
                (self.running_var, input.var(dims)),
            ):
                running.copy_(running + (batch - running) * share)


class BatchNorm1d(_BatchNorm):
    """Normalises every feature over the batch; see `BatchNorm2d`.

    Input and output (N, C) or (N, C, L).

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.BatchNorm1d(2)
        >>> layer(fe.zeros((8, 2))).shape
        (8, 2)
    """

    _ranks = (2, 3)
    _layout_text = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Normalises every channel over the batch and the plane.

    In training mode by mean and variance of the batch, which also enter the
    running statistics; in evaluation mode by the running statistics.

    Input and output (N, C, H, W).

    Args:
        num_features: the number C of channels.
        eps: added to the variance.
        momentum: share of the batch in the running statistics; None gives all
            batches the same share.
        affine: False leaves `weight` (ones) and `bias` (zeros) out.
        track_running_stats: False always takes the batch's statistics.
        device: where the parameters are made.
        dtype: dtype of the parameters.
        bias: False leaves only `bias` out.

    Raises:
        ShapeError: the input has another number of dimensions or channels, or
            a single value per channel in training mode.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015, algorithms 1 and 2.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.BatchNorm2d(3)
        >>> layer(fe.zeros((2, 3, 4, 4))).shape
        (2, 3, 4, 4)
    """

    _ranks = (4,)
    _layout_text = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Normalises every channel over the batch and the volume; see `BatchNorm2d`.

    Input and output (N, C, D, H, W).

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.BatchNorm3d(3)
        >>> layer(fe.zeros((2, 3, 4, 4, 4))).shape
        (2, 3, 4, 4, 4)
    """

    _ranks = (5,)
    _layout_text = "(N, C, D, H, W)"


class _InstanceNorm(ChannelNorm):
    """Common to the dimensions; see `InstanceNorm2d`."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Device | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
            device,
            dtype,
            bias=bias,
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_rank(input)
        batched = input.ndim == self._ranks[1]
        x = input if batched else input.unsqueeze(0)
        if x.shape[1] != self.num_features:
            raise ShapeError(
                f"[{type(self).__name__}] expected {self.num_features} channels, got "
                f"shape {input.shape}"
            )
        out = instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return out if batched else out.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Normalises every channel of every sequence; see `InstanceNorm2d`.

    Input and output (N, C, L) or (C, L).

    Example:
        >>> import ferrule as fe
        >>> fe.nn.InstanceNorm1d(2)(fe.zeros((8, 2, 3))).shape
        (8, 2, 3)
    """

    _ranks = (2, 3)
    _layout_text = "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    """Normalises every channel of every image.

    By mean and variance of the image; in evaluation mode by the running
    statistics, if there are any.

    Input and output (N, C, H, W) or (C, H, W).

    Args:
        num_features: the number C of channels.
        eps: added to the variance.
        momentum: share of the batch in the running statistics.
        affine: True learns `weight` and `bias`.
        track_running_stats: True keeps running statistics.
        device: where the parameters are made.
        dtype: dtype of the parameters.
        bias: False leaves only `bias` out.

    Raises:
        ShapeError: the input has another number of dimensions or channels, or a
            single value per channel.

    Source: Ulyanov et al., "Instance Normalization", 2016.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.InstanceNorm2d(3)(fe.zeros((2, 3, 4, 4))).shape
        (2, 3, 4, 4)
    """

    _ranks = (3, 4)
    _layout_text = "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    """Normalises every channel of every volume; see `InstanceNorm2d`.

    Input and output (N, C, D, H, W) or (C, D, H, W).

    Example:
        >>> import ferrule as fe
        >>> fe.nn.InstanceNorm3d(3)(fe.zeros((2, 3, 4, 4, 4))).shape
        (2, 3, 4, 4, 4)
    """

    _ranks = (4, 5)
    _layout_text = "(N, C, D, H, W) or (C, D, H, W)"


class LayerNorm(Module):
    """Normalises over the last dimensions; see `functional.layer_norm`.

    Args:
        normalized_shape: the dimensions, or one size for the last one.
        eps: added to the variance.
        elementwise_affine: False leaves `weight` (ones) and `bias` out.
        bias: False leaves only `bias` (zeros) out.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LayerNorm(8)(fe.zeros((2, 5, 8))).shape
        (2, 5, 8)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        present = {"weight": elementwise_affine, "bias": elementwise_affine and bias}
        for name, kept in present.items():
            value = None
            if kept:
                value = ops.empty(self.normalized_shape, dtype=dtype, device=device)
            self.register_parameter(name, None if value is None else Parameter(value))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps
        )

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )
