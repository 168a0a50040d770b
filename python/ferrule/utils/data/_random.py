"""Random keys and permutations that do not depend on NumPy's version.

NumPy promises that the bits of Philox stay the same, but not its `shuffle`.
"""

from __future__ import annotations

import numpy as np

from ..._ferrule import Generator, ops


def draw_key(generator: Generator | None = None) -> int:
    """A number from a generator, or the one of the process; one tick."""
    return int(ops.randint(0, 1 << 62, (1,), generator=generator).item())


def philox(*key: int) -> np.random.Philox:
    """A stream of bits of its own for every key."""
    return np.random.Philox(np.random.SeedSequence(key))


def permutation(n: int, *key: int) -> np.ndarray:
    """A random order of 0..n-1: that of n random 64-bit numbers."""
    numbers = philox(*key).random_raw(n)
    order = np.argsort(numbers)
    ranked = numbers[order]
    if (ranked[1:] == ranked[:-1]).any():  # the quick sort leaves their order open
        return np.argsort(numbers, kind="stable")
    return order
