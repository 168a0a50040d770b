"""Special functions in Python's floats, for the references of ops: by other
methods than the kernels'.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def elementwise(f: Callable[..., float]) -> Callable[..., np.ndarray]:
    return np.vectorize(f, otypes=[float])


@elementwise
def digamma(x: float) -> float:
    """Central differences of the logarithm, after steps away from 0."""
    if x <= 0 and x == math.floor(x):
        return -math.inf if x == 0 else math.nan
    shift = 0.0
    while x < 30:
        shift -= 1 / x
        x += 1
    terms = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132)
    series = sum(t / x ** (2 * k + 2) for k, t in enumerate(terms))
    return shift + math.log(x) - 1 / (2 * x) - series


@elementwise
def zeta(s: float, q: float) -> float:
    """Many terms, and the first of Euler's and Maclaurin's for the rest."""
    n = 2000
    total = math.fsum(
        (q + k) ** -s if q + k > 0 else _power(q + k, s) for k in range(n)
    )
    a = q + n
    rest = a ** (1 - s) / (s - 1) + 0.5 * a**-s + s / 12 * a ** (-s - 1)
    return total + rest


def _power(x: float, s: float) -> float:
    """x^-s for x <= 0 and whole s."""
    if x == 0:
        return math.inf
    return abs(x) ** -s * (1 if s % 2 == 0 else -1)


@elementwise
def erfinv(x: float) -> float:
    """By halving intervals."""
    if abs(x) >= 1:
        return math.copysign(math.inf, x) if abs(x) == 1 else math.nan
    low, high = 0.0, 7.0
    for _ in range(200):
        middle = (low + high) / 2
        less = (
            math.erf(middle) < abs(x)
            if abs(x) < 0.5
            else math.erfc(middle) > 1 - abs(x)
        )
        low, high = (middle, high) if less else (low, middle)
    return math.copysign((low + high) / 2, x)


@elementwise
def log_ndtr(x: float) -> float:
    """For far negative x by a continued fraction."""
    if x > -5:
        return math.log(0.5 * math.erfc(-x / math.sqrt(2)))
    fraction = 0.0
    for k in range(200, 0, -1):
        fraction = k / (-x + fraction)
    return -x * x / 2 - math.log(-x + fraction) - 0.5 * math.log(2 * math.pi)


def bessel_i(order: int, x: np.ndarray) -> np.ndarray:
    """The mean of exp(x cos t) cos(order t) over a circle."""
    n = 4096
    t = 2 * np.pi * np.arange(n) / n
    return np.mean(np.exp(np.multiply.outer(x, np.cos(t))) * np.cos(order * t), -1)


def replaced(x: np.ndarray, src: np.ndarray, look: Callable) -> np.ndarray:
    """A copy in which the elements that `look` gives of it are those of src."""
    numbers = np.arange(x.size, dtype=np.int64).reshape(x.shape)
    result = x.copy().ravel()
    result[np.asarray(look(numbers)).ravel()] = src.ravel()
    return result.reshape(x.shape)
