"""Layers that pad; see `functional.pad`."""

from __future__ import annotations

from ..._ferrule import InvalidValue, ShapeError, Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

_Ints = int | tuple[int, ...]


class _Pad(Module):
    """Common to all: the numbers of elements, first of the last dimension."""

    _n = 0
    _mode = "constant"

    def __init__(self, padding: _Ints) -> None:
        super().__init__()
        if isinstance(padding, int):
            padding = (padding,) * (2 * self._n)
        self.padding = tuple(padding)
        if len(self.padding) != 2 * self._n:
            raise InvalidValue(
                f"[{type(self).__name__}] padding must be one number or "
                f"{2 * self._n}, got {padding}"
            )

    def forward(self, input: Tensor) -> Tensor:
        # A constant needs no channels.
        if self._mode != "constant" and input.ndim not in (self._n + 1, self._n + 2):
            sides = ", ".join("DHW"[3 - self._n :]) if self._n > 1 else "L"
            raise ShapeError(
                f"[{type(self).__name__}] input must have shape (N, C, {sides}) or "
                f"(C, {sides}), got {input.shape}"
            )
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: _Ints, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A number at both ends of the last dimension.

    Args:
        padding: (left, right), or one number for both.
        value: the number.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ConstantPad1d((1, 2), 9.0)(fe.zeros((1, 1))).tolist()
        [[9.0, 0.0, 9.0, 9.0]]
    """

    _n = 1


class ConstantPad2d(_ConstantPad):
    """A number around the last two dimensions.

    Args:
        padding: (left, right, top, bottom), or one number for all.
        value: the number.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ConstantPad2d(1, 9.0)(fe.zeros((1, 2, 3))).shape
        (1, 4, 5)
    """

    _n = 2


class ConstantPad3d(_ConstantPad):
    """A number around the last three dimensions.

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.
        value: the number.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ConstantPad3d(1, 9.0)(fe.zeros((1, 1, 2, 3))).shape
        (1, 3, 4, 5)
    """

    _n = 3


class ZeroPad1d(_Pad):
    """Zeros at both ends of the last dimension; see `ConstantPad1d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ZeroPad1d(1)(fe.ones((1, 1))).tolist()
        [[0.0, 1.0, 0.0]]
    """

    _n = 1


class ZeroPad2d(_Pad):
    """Zeros around the last two dimensions; see `ConstantPad2d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ZeroPad2d((0, 1, 0, 0))(fe.ones((1, 1, 1))).tolist()
        [[[1.0, 0.0]]]
    """

    _n = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three dimensions; see `ConstantPad3d`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ZeroPad3d(1)(fe.ones((1, 1, 1, 1))).shape
        (1, 3, 3, 3)
    """

    _n = 3


class ReflectionPad1d(_Pad):
    """The mirror image at both ends, without the outermost element.

    Input (N, C, L) or (C, L).

    Args:
        padding: (left, right), or one number for both; less than L.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ReflectionPad1d(2)(fe.tensor([[1.0, 2.0, 3.0]])).tolist()
        [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]
    """

    _n = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """Mirror images around, without the outermost elements.

    Input (N, C, H, W) or (C, H, W).

    Args:
        padding: (left, right, top, bottom), or one number for all.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ReflectionPad2d(1)(fe.ones((1, 2, 3))).shape
        (1, 4, 5)
    """

    _n = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """Mirror images around, without the outermost elements.

    Input (N, C, D, H, W) or (C, D, H, W).

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ReflectionPad3d(1)(fe.ones((1, 2, 2, 3))).shape
        (1, 4, 4, 5)
    """

    _n = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """The outermost elements, repeated at both ends.

    Input (N, C, L) or (C, L).

    Args:
        padding: (left, right), or one number for both.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ReplicationPad1d((2, 1))(fe.tensor([[1.0, 2.0]])).tolist()
        [[1.0, 1.0, 1.0, 2.0, 2.0]]
    """

    _n = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """The outermost elements, repeated around.

    Input (N, C, H, W) or (C, H, W).

    Args:
        padding: (left, right, top, bottom), or one number for all.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ReplicationPad2d(1)(fe.ones((1, 2, 3))).shape
        (1, 4, 5)
    """

    _n = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """The outermost elements, repeated around.

    Input (N, C, D, H, W) or (C, D, H, W).

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.ReplicationPad3d(1)(fe.ones((1, 1, 2, 3))).shape
        (1, 3, 4, 5)
    """

    _n = 3
    _mode = "replicate"


class CircularPad1d(_Pad):
    """Goes on with the other end.

    Input (N, C, L) or (C, L).

    Args:
        padding: (left, right), or one number for both; at most L.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.CircularPad1d((1, 0))(fe.tensor([[1.0, 2.0, 3.0]])).tolist()
        [[3.0, 1.0, 2.0, 3.0]]
    """

    _n = 1
    _mode = "circular"


class CircularPad2d(_Pad):
    """Goes on with the other ends.

    Input (N, C, H, W) or (C, H, W).

    Args:
        padding: (left, right, top, bottom), or one number for all.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.CircularPad2d(1)(fe.ones((1, 2, 3))).shape
        (1, 4, 5)
    """

    _n = 2
    _mode = "circular"


class CircularPad3d(_Pad):
    """Goes on with the other ends.

    Input (N, C, D, H, W) or (C, D, H, W).

    Args:
        padding: (left, right, top, bottom, front, back), or one number for all.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.CircularPad3d(1)(fe.ones((1, 1, 2, 3))).shape
        (1, 3, 4, 5)
    """

    _n = 3
    _mode = "circular"
