"""Elementwise functions."""

from __future__ import annotations

import ferrule as fe

from ._common import Array, Number, pair

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "equal",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "real",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "tanh",
    "trunc",
]


def abs(x: Array, /) -> Array:
    """As `ferrule.abs`."""
    return fe.abs(x)


def acos(x: Array, /) -> Array:
    """As `ferrule.acos`."""
    return fe.acos(x)


def acosh(x: Array, /) -> Array:
    """As `ferrule.acosh`."""
    return fe.acosh(x)


def add(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.add`."""
    return fe.add(*pair(x1, x2))


def asin(x: Array, /) -> Array:
    """As `ferrule.asin`."""
    return fe.asin(x)


def asinh(x: Array, /) -> Array:
    """As `ferrule.asinh`."""
    return fe.asinh(x)


def atan(x: Array, /) -> Array:
    """As `ferrule.atan`."""
    return fe.atan(x)


def atan2(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.atan2`."""
    return fe.atan2(*pair(x1, x2))


def atanh(x: Array, /) -> Array:
    """As `ferrule.atanh`."""
    return fe.atanh(x)


def bitwise_and(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.bitwise_and`."""
    return fe.bitwise_and(*pair(x1, x2))


def bitwise_invert(x: Array, /) -> Array:
    """As `ferrule.bitwise_not`."""
    return fe.bitwise_not(x)


def bitwise_left_shift(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.bitwise_left_shift`."""
    return fe.bitwise_left_shift(*pair(x1, x2))


def bitwise_or(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.bitwise_or`."""
    return fe.bitwise_or(*pair(x1, x2))


def bitwise_right_shift(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.bitwise_right_shift`."""
    return fe.bitwise_right_shift(*pair(x1, x2))


def bitwise_xor(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.bitwise_xor`."""
    return fe.bitwise_xor(*pair(x1, x2))


def ceil(x: Array, /) -> Array:
    """As `ferrule.ceil`."""
    return fe.ceil(x)


def clip(
    x: Array,
    /,
    min: Array | float | None = None,
    max: Array | float | None = None,
) -> Array:
    """Elements limited to [min, max]; NaN stays NaN."""
    if min is not None:
        x = fe.maximum(*pair(x, min))
    if max is not None:
        x = fe.minimum(*pair(x, max))
    return fe.clone(x) if min is max is None else x


def conj(x: Array, /) -> Array:
    """As `ferrule.conj`."""
    return fe.conj(x)


def copysign(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.copysign`."""
    return fe.copysign(*pair(x1, x2))


def cos(x: Array, /) -> Array:
    """As `ferrule.cos`."""
    return fe.cos(x)


def cosh(x: Array, /) -> Array:
    """As `ferrule.cosh`."""
    return fe.cosh(x)


def divide(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.div`."""
    return fe.div(*pair(x1, x2))


def equal(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.eq`."""
    return fe.eq(*pair(x1, x2))


def exp(x: Array, /) -> Array:
    """As `ferrule.exp`."""
    return fe.exp(x)


def expm1(x: Array, /) -> Array:
    """As `ferrule.expm1`."""
    return fe.expm1(x)


def floor(x: Array, /) -> Array:
    """As `ferrule.floor`."""
    return fe.floor(x)


def floor_divide(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.floor_divide`."""
    return fe.floor_divide(*pair(x1, x2))


def greater(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.gt`."""
    return fe.gt(*pair(x1, x2))


def greater_equal(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.ge`."""
    return fe.ge(*pair(x1, x2))


def hypot(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.hypot`."""
    return fe.hypot(*pair(x1, x2))


def imag(x: Array, /) -> Array:
    """The imaginary parts; 0 where numbers are real."""
    return fe.imag(x) if x.is_complex() else fe.zeros_like(x)


def isfinite(x: Array, /) -> Array:
    """As `ferrule.isfinite`."""
    return fe.isfinite(x)


def isinf(x: Array, /) -> Array:
    """As `ferrule.isinf`."""
    return fe.isinf(x)


def isnan(x: Array, /) -> Array:
    """As `ferrule.isnan`."""
    return fe.isnan(x)


def less(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.lt`."""
    return fe.lt(*pair(x1, x2))


def less_equal(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.le`."""
    return fe.le(*pair(x1, x2))


def log(x: Array, /) -> Array:
    """As `ferrule.log`."""
    return fe.log(x)


def log10(x: Array, /) -> Array:
    """As `ferrule.log10`."""
    return fe.log10(x)


def log1p(x: Array, /) -> Array:
    """As `ferrule.log1p`."""
    return fe.log1p(x)


def log2(x: Array, /) -> Array:
    """As `ferrule.log2`."""
    return fe.log2(x)


def logaddexp(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.logaddexp`."""
    return fe.logaddexp(*pair(x1, x2))


def logical_and(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.logical_and`."""
    return fe.logical_and(*pair(x1, x2))


def logical_not(x: Array, /) -> Array:
    """As `ferrule.logical_not`."""
    return fe.logical_not(x)


def logical_or(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.logical_or`."""
    return fe.logical_or(*pair(x1, x2))


def logical_xor(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.logical_xor`."""
    return fe.logical_xor(*pair(x1, x2))


def maximum(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.maximum`."""
    return fe.maximum(*pair(x1, x2))


def minimum(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.minimum`."""
    return fe.minimum(*pair(x1, x2))


def multiply(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.mul`."""
    return fe.mul(*pair(x1, x2))


def negative(x: Array, /) -> Array:
    """As `ferrule.neg`."""
    return fe.neg(x)


def nextafter(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.nextafter`."""
    return fe.nextafter(*pair(x1, x2))


def not_equal(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.ne`."""
    return fe.ne(*pair(x1, x2))


def positive(x: Array, /) -> Array:
    """The elements as they are."""
    return fe.clone(x)


def pow(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.pow`."""
    return fe.pow(*pair(x1, x2))


def real(x: Array, /) -> Array:
    """As `ferrule.real`."""
    return fe.real(x)


def reciprocal(x: Array, /) -> Array:
    """As `ferrule.reciprocal`."""
    return fe.reciprocal(x)


def remainder(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.remainder`."""
    return fe.remainder(*pair(x1, x2))


def round(x: Array, /) -> Array:
    """The nearest integers, halves to the even one; complex numbers by parts."""
    if x.is_complex():
        return fe.complex(fe.round(fe.real(x)), fe.round(fe.imag(x)))
    return fe.round(x)


def sign(x: Array, /) -> Array:
    """-1, 0 or 1; of a complex number z / |z|."""
    return fe.sgn(x) if x.is_complex() else fe.sign(x)


def signbit(x: Array, /) -> Array:
    """As `ferrule.signbit`."""
    return fe.signbit(x)


def sin(x: Array, /) -> Array:
    """As `ferrule.sin`."""
    return fe.sin(x)


def sinh(x: Array, /) -> Array:
    """As `ferrule.sinh`."""
    return fe.sinh(x)


def sqrt(x: Array, /) -> Array:
    """As `ferrule.sqrt`."""
    return fe.sqrt(x)


def square(x: Array, /) -> Array:
    """As `ferrule.square`."""
    return fe.square(x)


def subtract(x1: Array | Number, x2: Array | Number, /) -> Array:
    """As `ferrule.sub`."""
    return fe.sub(*pair(x1, x2))


def tan(x: Array, /) -> Array:
    """As `ferrule.tan`."""
    return fe.tan(x)


def tanh(x: Array, /) -> Array:
    """As `ferrule.tanh`."""
    return fe.tanh(x)


def trunc(x: Array, /) -> Array:
    """As `ferrule.trunc`."""
    return fe.trunc(x)
