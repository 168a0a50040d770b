"""Layers that learn how many features come in from their first call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._ferrule import InvalidValue, Tensor, no_grad, ops
from ..module import Module
from ..parameter import Parameter, UninitializedParameter
from .conv import Conv1d, Conv2d, Conv3d, ConvNd
from .conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    ChannelNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
]


class _Lazy(Module):
    """Stands before the class of a layer, which it becomes by the first call.

    Until then the layer has 0 features, and its parameters no elements.
    """

    _becomes: type[Module]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The next class is the layer's: what this one is mixed into.
        super().__init__(0, *args, **kwargs)  # type: ignore[call-arg]
        for name, p in list(self.named_parameters(recurse=False)):
            setattr(self, name, UninitializedParameter(p.detach()))

    def reset_parameters(self) -> None:
        """Does nothing: there is nothing to draw yet."""

    def has_uninitialized_params(self) -> bool:
        """True: after the first call the layer is an ordinary one."""
        return True

    def initialize_parameters(self, input: Tensor) -> None:
        """Makes an ordinary layer of it, for such inputs."""
        self._initialize(int(input.shape[self._feature_dim(input)]))

    def forward(self, input: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.initialize_parameters(input)
        return self.forward(input, *args, **kwargs)

    def _prepare_to_load(self, path: str, state: Mapping[str, Any]) -> None:
        prefix = f"{path}." if path else ""
        for name in (*self._parameter_names, *self._buffer_names):
            shape = getattr(state.get(prefix + name), "shape", ())
            if name in ("weight", "running_mean") and len(shape) > 0:
                self._initialize(self._features_of(tuple(shape)))
                return

    def _initialize(self, features: int) -> None:
        for name, shape in self._shapes(features).items():
            value = self.__dict__[name]
            if value is None:
                continue
            new = ops.empty(shape, dtype=value.dtype, device=value.device)
            if isinstance(value, Parameter):
                with no_grad():
                    value._replace(new.requires_grad_(value.requires_grad))
                value.__class__ = Parameter
            else:
                setattr(self, name, new)
        self.__class__ = self._becomes  # type: ignore[assignment]
        self.reset_parameters()

    # What a family of layers says of itself.

    def _feature_dim(self, input: Tensor) -> int:
        """The dimension of an input that the features are counted in."""
        raise NotImplementedError

    def _features_of(self, shape: tuple[int, ...]) -> int:
        """How many features a layer has, from the shape of its first tensor."""
        raise NotImplementedError

    def _shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        """Notes the number of features; gives the shapes of all tensors."""
        raise NotImplementedError


class LazyLinear(_Lazy, Linear):
    """`Linear` whose `in_features` is that of the first input.

    Takes the arguments of `Linear` but for `in_features`.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.LazyLinear(2)
        >>> layer(fe.zeros((1, 3))).shape
        (1, 2)
        >>> layer
        Linear(in_features=3, out_features=2, bias=True)
    """

    _becomes = Linear

    def _feature_dim(self, input: Tensor) -> int:
        return -1

    def _features_of(self, shape: tuple[int, ...]) -> int:
        return shape[-1]

    def _shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        self.in_features = features
        return {
            "weight": (self.out_features, features),
            "bias": (self.out_features,),
        }


class _LazyConv(_Lazy, ConvNd):
    """Common to the convolutions."""

    def _feature_dim(self, input: Tensor) -> int:
        return -1 - self._n

    def _features_of(self, shape: tuple[int, ...]) -> int:
        return shape[0] if self._transposed else shape[1] * self.groups

    def _shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        if features % self.groups:
            raise InvalidValue(
                f"[{type(self).__name__}] the input has {features} channels, no "
                f"multiple of groups {self.groups}"
            )
        self.in_channels = features
        first, second = features, self.out_channels // self.groups
        if not self._transposed:
            first, second = self.out_channels, features // self.groups
        return {
            "weight": (first, second, *self.kernel_size),
            "bias": (self.out_channels,),
        }


class _LazyNorm(_Lazy, ChannelNorm):
    """Common to the normalisations."""

    def _feature_dim(self, input: Tensor) -> int:
        # Images without a batch have one dimension less.
        unbatched = issubclass(self._becomes, _INSTANCE_NORMS)
        return 0 if unbatched and input.ndim == self._ranks[0] else 1

    def _features_of(self, shape: tuple[int, ...]) -> int:
        return shape[0]

    def _shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        self.num_features = features
        names = ("weight", "bias", "running_mean", "running_var")
        return dict.fromkeys(names, (features,))


class _LazyInstanceNorm(_LazyNorm):
    """Other defaults than `InstanceNorm2d`, as in PyTorch."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(eps, momentum, affine, track_running_stats, **kwargs)


_INSTANCE_NORMS = (InstanceNorm1d, InstanceNorm2d, InstanceNorm3d)


class LazyConv1d(_LazyConv, Conv1d):
    """`Conv1d` whose `in_channels` is that of the first input.

    Takes the arguments of `Conv1d` but for `in_channels`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyConv1d(4, 3)(fe.zeros((1, 2, 5))).shape
        (1, 4, 3)
    """

    _becomes = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """`Conv2d` whose `in_channels` is that of the first input.

    Takes the arguments of `Conv2d` but for `in_channels`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyConv2d(4, 3)(fe.zeros((1, 2, 5, 5))).shape
        (1, 4, 3, 3)
    """

    _becomes = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """`Conv3d` whose `in_channels` is that of the first input.

    Takes the arguments of `Conv3d` but for `in_channels`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyConv3d(4, 3)(fe.zeros((1, 2, 5, 5, 5))).shape
        (1, 4, 3, 3, 3)
    """

    _becomes = Conv3d


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """`ConvTranspose1d` whose `in_channels` is that of the first input.

    Takes the arguments of `ConvTranspose1d` but for `in_channels`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyConvTranspose1d(4, 3)(fe.zeros((1, 2, 3))).shape
        (1, 4, 5)
    """

    _becomes = ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """`ConvTranspose2d` whose `in_channels` is that of the first input.

    Takes the arguments of `ConvTranspose2d` but for `in_channels`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyConvTranspose2d(4, 3)(fe.zeros((1, 2, 3, 3))).shape
        (1, 4, 5, 5)
    """

    _becomes = ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):
    """`ConvTranspose3d` whose `in_channels` is that of the first input.

    Takes the arguments of `ConvTranspose3d` but for `in_channels`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyConvTranspose3d(4, 3)(fe.zeros((1, 2, 3, 3, 3))).shape
        (1, 4, 5, 5, 5)
    """

    _becomes = ConvTranspose3d


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """`BatchNorm1d` whose `num_features` is that of the first input.

    Takes the arguments of `BatchNorm1d` but for `num_features`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyBatchNorm1d()(fe.zeros((1, 2, 5))).shape
        (1, 2, 5)
    """

    _becomes = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """`BatchNorm2d` whose `num_features` is that of the first input.

    Takes the arguments of `BatchNorm2d` but for `num_features`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyBatchNorm2d()(fe.zeros((1, 2, 5, 5))).shape
        (1, 2, 5, 5)
    """

    _becomes = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """`BatchNorm3d` whose `num_features` is that of the first input.

    Takes the arguments of `BatchNorm3d` but for `num_features`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyBatchNorm3d()(fe.zeros((1, 2, 5, 5, 5))).shape
        (1, 2, 5, 5, 5)
    """

    _becomes = BatchNorm3d


class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d):
    """`InstanceNorm1d` whose `num_features` is that of the first input.

    Takes the arguments of `InstanceNorm1d` but for `num_features`, with `affine`
    and `track_running_stats` True by default.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyInstanceNorm1d()(fe.zeros((1, 2, 5))).shape
        (1, 2, 5)
    """

    _becomes = InstanceNorm1d


class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d):
    """`InstanceNorm2d` whose `num_features` is that of the first input.

    Takes the arguments of `InstanceNorm2d` but for `num_features`, with `affine`
    and `track_running_stats` True by default.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyInstanceNorm2d()(fe.zeros((1, 2, 5, 5))).shape
        (1, 2, 5, 5)
    """

    _becomes = InstanceNorm2d


class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d):
    """`InstanceNorm3d` whose `num_features` is that of the first input.

    Takes the arguments of `InstanceNorm3d` but for `num_features`, with `affine`
    and `track_running_stats` True by default.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.LazyInstanceNorm3d()(fe.zeros((1, 2, 5, 5, 5))).shape
        (1, 2, 5, 5, 5)
    """

    _becomes = InstanceNorm3d
