"""Set functions."""

from __future__ import annotations

from typing import NamedTuple

import ferrule as fe

from ._common import Array, Number, pair

__all__ = ["isin", "unique_all", "unique_counts", "unique_inverse", "unique_values"]


class UniqueAll(NamedTuple):
    """The result of `unique_all`."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCounts(NamedTuple):
    """The result of `unique_counts`."""

    values: Array
    counts: Array


class UniqueInverse(NamedTuple):
    """The result of `unique_inverse`."""

    values: Array
    inverse_indices: Array


def isin(x1: Array | Number, x2: Array | Number, /, *, invert: bool = False) -> Array:
    """Which elements of `x1` are also in `x2`."""
    return fe.isin(*pair(x1, x2), invert=invert)


def unique_all(x: Array, /) -> UniqueAll:
    """The different values in ascending order, where each is first, which of
    them each element is, and how often each occurs. NaNs differ from each other."""
    values, inverse, counts = fe.unique(x, return_inverse=True, return_counts=True)
    # Sorted by value and, as sorting is stable, by place: the first of each run.
    order = fe.argsort(inverse.reshape(-1), stable=True)
    first = order[fe.cumsum(counts, 0) - counts]
    return UniqueAll(values, first, inverse, counts)


def unique_counts(x: Array, /) -> UniqueCounts:
    """The different values in ascending order and how often each occurs."""
    return UniqueCounts(*fe.unique(x, return_counts=True))


def unique_inverse(x: Array, /) -> UniqueInverse:
    """The different values in ascending order and which of them each element is."""
    return UniqueInverse(*fe.unique(x, return_inverse=True))


def unique_values(x: Array, /) -> Array:
    """The different values in ascending order."""
    return fe.unique(x)
