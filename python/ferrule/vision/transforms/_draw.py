"""Random numbers of the transforms: from Ferrule's generator.

A loader seeds that for every batch, in its workers too.
"""

from __future__ import annotations

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


def check_probability(who: str, p: float) -> float:
    """`p`, or an error."""
    if not 0.0 <= p <= 1.0:
        raise InvalidValue(f"[{who}] p must be in 0..1, got {p}")
    return p
