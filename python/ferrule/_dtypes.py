"""What is known of dtypes and of objects: finfo, iinfo, is_complex, ..."""

from __future__ import annotations

from typing import Any

from ._ferrule import (
    DType,
    Tensor,
    bfloat16,
    float16,
    float32,
    float64,
    result_type,
)
from ._ferrule import bool as bool_

__all__ = ["finfo", "iinfo", "is_complex", "is_floating_point", "is_tensor"]

# Bits of the fraction, largest exponent, decimal digits that survive.
_FLOATS = {
    float16: (10, 15, 3),
    bfloat16: (7, 127, 2),
    float32: (23, 127, 6),
    float64: (52, 1023, 15),
}


class finfo:
    """Limits of a floating-point dtype; a complex one has those of its parts.

    Args:
        type: a dtype, or a tensor for its dtype.

    Attributes:
        bits: of one number.
        eps: distance from 1 to the next number.
        max, min: the largest number and its negative.
        smallest_normal, tiny: the smallest positive number with full precision.
        resolution: 10 to the power of minus the decimal digits that survive.
        dtype: the (real) dtype itself.

    Raises:
        TypeError: the dtype is not floating-point.

    Example:
        >>> import ferrule as fe
        >>> fe.finfo(fe.float32).eps == 2.0**-23
        True
        >>> fe.finfo(fe.complex128).dtype
        ferrule.float64

    Source: IEEE 754-2008, section 3.6; numpy.finfo.
    """

    def __init__(self, type: Any = float32) -> None:
        dtype = result_type(type).to_real()
        if dtype not in _FLOATS:
            raise TypeError(f"[finfo] {dtype} is not floating-point; see iinfo")
        fraction, exponent, digits = _FLOATS[dtype]
        self.dtype: DType = dtype
        self.bits: int = 8 * dtype.itemsize
        self.eps: float = 2.0**-fraction
        self.max: float = (2 - self.eps) * 2.0**exponent
        self.min: float = -self.max
        self.smallest_normal: float = 2.0 ** (1 - exponent)
        self.tiny: float = self.smallest_normal
        self.resolution: float = float(f"1e-{digits}")

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, "
            f"max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype.

    Args:
        type: a dtype, or a tensor for its dtype.

    Attributes:
        bits: of one number.
        max, min: the largest and the smallest number.
        dtype: the dtype itself.

    Raises:
        TypeError: the dtype is no integer.

    Example:
        >>> import ferrule as fe
        >>> fe.iinfo(fe.int8).min, fe.iinfo(fe.int8).max
        (-128, 127)

    Source: numpy.iinfo.
    """

    def __init__(self, type: Any) -> None:
        dtype = result_type(type)
        if dtype == bool_ or dtype.is_floating_point or dtype.is_complex:
            raise TypeError(f"[iinfo] {dtype} is no integer; see finfo")
        self.dtype: DType = dtype
        self.bits: int = 8 * dtype.itemsize
        self.max: int = 2 ** (self.bits - dtype.is_signed) - 1
        self.min: int = -self.max - 1 if dtype.is_signed else 0

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def is_complex(input: Tensor) -> bool:
    """Whether a tensor is complex.

    Example:
        >>> import ferrule as fe
        >>> fe.is_complex(fe.tensor([1j]))
        True
    """
    return input.is_complex()


def is_floating_point(input: Tensor) -> bool:
    """Whether a tensor is floating-point; a complex one is not.

    Example:
        >>> import ferrule as fe
        >>> fe.is_floating_point(fe.tensor([1.0]))
        True
    """
    return input.is_floating_point()


def is_tensor(obj: object) -> bool:
    """Whether an object is a Tensor.

    Example:
        >>> import ferrule as fe
        >>> fe.is_tensor(fe.zeros(2)), fe.is_tensor([0.0, 0.0])
        (True, False)
    """
    return isinstance(obj, Tensor)
