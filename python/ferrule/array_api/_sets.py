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


def _unique(x: Array) -> tuple[Array, Array, Array]:
    """Different values, which of them each element is, how often each occurs."""
    if not x.is_complex():
        values, inverse, counts = fe.unique(x, return_inverse=True, return_counts=True)
        return values, inverse, counts
    # Complex numbers have no order: their parts are numbered, then the pairs.
    real = fe.unique(fe.real(x), return_inverse=True)[1]
    imag = fe.unique(fe.imag(x), return_inverse=True)[1]
    _, inverse, counts = fe.unique(
        real * x.numel() + imag, return_inverse=True, return_counts=True
    )
    return x.reshape(-1)[_first(inverse, counts)], inverse, counts


def _first(inverse: Array, counts: Array) -> Array:
    """Where each value is first. As sorting is stable, the places of one value
    stand in a run, in their order."""
    order = fe.argsort(inverse.reshape(-1), stable=True)
    return order[fe.cumsum(counts, 0) - counts]


def unique_all(x: Array, /) -> UniqueAll:
    """The different values in ascending order (complex ones by their parts), where
    each is first, which of them each element is, and how often each occurs. NaNs
    differ from each other."""
    values, inverse, counts = _unique(x)
    return UniqueAll(values, _first(inverse, counts), inverse, counts)


def unique_counts(x: Array, /) -> UniqueCounts:
    """The values of `unique_all` and how often each occurs."""
    values, _, counts = _unique(x)
    return UniqueCounts(values, counts)


def unique_inverse(x: Array, /) -> UniqueInverse:
    """The values of `unique_all` and which of them each element is."""
    values, inverse, _ = _unique(x)
    return UniqueInverse(values, inverse)


def unique_values(x: Array, /) -> Array:
    """The values of `unique_all`."""
    return _unique(x)[0]
