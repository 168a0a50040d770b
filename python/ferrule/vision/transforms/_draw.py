"""Random numbers of the transforms: from Ferrule's generator.

A loader seeds that for every batch, in its workers too.
"""

from __future__ import annotations

import math

from ..._ferrule import InvalidValue, ops


def uniform(low: float, high: float) -> float:
    """A number from `low` to `high`."""
    return low + (high - low) * float(ops.rand((1,)).item())


def integer(low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return int(ops.randint(low, high + 1, (1,)).item())


def happens(p: float) -> bool:
    """True with probability `p`."""
    return float(ops.rand((1,)).item()) < p


def beta(alpha: float) -> float:
    """A number from 0 to 1, distributed as Beta(alpha, alpha)."""
    one, other = _log_gamma_variate(alpha), _log_gamma_variate(alpha)
    return 1.0 / (1.0 + math.exp(min(other - one, 700.0)))


def _log_gamma_variate(shape: float) -> float:
    """The logarithm of a number distributed as Gamma(shape, 1).

    Small shapes give numbers that are too small for a float, but not their logarithms.

    Source: G. Marsaglia, W. Tsang, "A simple method for generating gamma variables",
    ACM TOMS 26(3), 2000.
    """
    if shape < 1.0:
        boost = math.log(1.0 - uniform(0.0, 1.0)) / shape
        return _log_gamma_variate(shape + 1.0) + boost
    d = shape - 1.0 / 3.0
    while True:
        x = float(ops.randn((1,)).item())
        v = (1.0 + x / math.sqrt(9.0 * d)) ** 3
        u = 1.0 - uniform(0.0, 1.0)
        if v > 0.0 and math.log(u) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
            return math.log(d * v)


def check_probability(who: str, p: float) -> float:
    """`p`, or an error."""
    if not 0.0 <= p <= 1.0:
        raise InvalidValue(f"[{who}] p must be in 0..1, got {p}")
    return p
