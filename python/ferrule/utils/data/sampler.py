"""Samplers: the order in which samples are read.

A sampler that knows its order beforehand has `order`, which gives it as an array;
the loader cuts that into batches without touching single indices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ..._ferrule import Generator, as_tensor, float64, ops
from ._random import draw_key, permutation, philox

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Yields indices of samples, once through per iteration.

    Define ``__iter__``, and ``__len__`` if the number is known.
    """

    def __iter__(self) -> Iterator[T_co]:
        """Starts an epoch."""
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ...

    Args:
        data_source: what is sampled.

    Example:
        >>> import ferrule as fe
        >>> list(fe.utils.data.SequentialSampler([7, 8, 9]))
        [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def order(self) -> np.ndarray:
        """Starts an epoch; its indices."""
        return np.arange(len(self.data_source))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All indices in random order, another one every epoch.

    Args:
        data_source: what is sampled.
        replacement: True draws every index independently.
        num_samples: how many an epoch; None: the length of `data_source`. More
            than that without replacement are several orders in a row.
        generator: what is drawn from, if `seed` is None, one number per epoch;
            None: the generator that `ferrule.manual_seed` sets.
        seed: gives the same orders every time.

    Raises:
        ValueError: `num_samples` is negative, or there is nothing to draw from.

    Example:
        >>> import ferrule as fe
        >>> sorted(fe.utils.data.RandomSampler(range(4), seed=0))
        [0, 1, 2, 3]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        if num_samples is not None:
            _check_count("RandomSampler", num_samples)
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.seed = seed
        self.generator = generator
        self.epoch = 0

    @property
    def num_samples(self) -> int:
        """How many an epoch; the data set may grow."""
        n = len(self.data_source)
        return n if self._num_samples is None else self._num_samples

    def order(self) -> np.ndarray:
        """Starts an epoch; its indices."""
        n, count = len(self.data_source), self.num_samples
        if count and not n:
            raise ValueError(f"[RandomSampler] cannot draw {count} of 0 samples")
        if self.seed is None:
            key: tuple[int, ...] = (draw_key(self.generator),)
        else:
            key = (self.seed, self.epoch)
        self.epoch += 1
        if self.replacement:
            bits = philox(*key).random_raw(count).tolist()
            return np.array([raw * n >> 64 for raw in bits], dtype=np.int64)
        if count <= n:
            return permutation(n, *key)[:count]
        rounds = range(-(-count // n))
        return np.concatenate([permutation(n, *key, k) for k in rounds])[:count]

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Given indices in random order, another one every epoch.

    Args:
        indices: which samples.
        generator: what is drawn from, one number per epoch; None: the generator
            that `ferrule.manual_seed` sets.

    Example:
        >>> import ferrule as fe
        >>> sorted(fe.utils.data.SubsetRandomSampler([5, 1, 8]))
        [1, 5, 8]
    """

    def __init__(
        self, indices: Sequence[int], generator: Generator | None = None
    ) -> None:
        self.indices = indices
        self.generator = generator

    def order(self) -> np.ndarray:
        """Starts an epoch; its indices."""
        chosen = np.array(self.indices, dtype=np.int64)
        drawn: np.ndarray = chosen[permutation(len(chosen), draw_key(self.generator))]
        return drawn

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices with given probabilities.

    Args:
        weights: one for every sample; they need not sum to 1.
        num_samples: how many are drawn an epoch.
        replacement: False draws every index once at most.
        generator: what is drawn from; None: the generator that
            `ferrule.manual_seed` sets.

    Raises:
        ValueError: `num_samples` is no positive number; `weights` are not a
            sequence of numbers; (while drawing) they are negative, or too few are
            above 0.

    Example:
        >>> import ferrule as fe
        >>> set(fe.utils.data.WeightedRandomSampler([0.0, 1.0, 0.0], 5))
        {1}
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_count("WeightedRandomSampler", num_samples, least=1)
        self.weights = as_tensor(weights, dtype=float64)
        if self.weights.ndim != 1:
            raise ValueError(
                "[WeightedRandomSampler] weights must be a sequence of numbers, got "
                f"shape {self.weights.shape}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def order(self) -> np.ndarray:
        """Starts an epoch; its indices."""
        drawn: np.ndarray = ops.multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        ).numpy()
        return drawn

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Groups the indices of a sampler into lists.

    Args:
        sampler: yields indices.
        batch_size: how many make a batch.
        drop_last: True drops a last batch that is smaller.

    Raises:
        ValueError: `batch_size` is not positive.

    Example:
        >>> import ferrule as fe
        >>> list(fe.utils.data.BatchSampler(range(5), 2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, sampler: Iterable[int], batch_size: int, drop_last: bool
    ) -> None:
        check_batch_size("BatchSampler", batch_size)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self._group(iter(self.sampler))

    def _group(self, indices: Iterator[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in indices:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def arrays(self) -> Iterator[np.ndarray] | None:
        """Starts an epoch; its batches as arrays, where the sampler has `order`."""
        if type(self).__iter__ is not BatchSampler.__iter__ or not has_order(
            self.sampler
        ):
            return None
        sampler: Any = self.sampler
        order = sampler.order()
        stop = len(order)
        if self.drop_last:
            stop -= stop % self.batch_size
        step = self.batch_size
        return (order[i : min(i + step, stop)] for i in range(0, stop, step))

    def __len__(self) -> int:
        sampler: Any = self.sampler
        return batches_in(len(sampler), self.batch_size, self.drop_last)


def has_order(sampler: Any) -> bool:
    """Has it an `order` that goes with its `__iter__`?

    A class that overrides `__iter__` alone is iterated.
    """
    for cls in type(sampler).__mro__:
        if "order" in vars(cls):
            return True
        if "__iter__" in vars(cls):
            return False
    return False


def batches_in(samples: int, batch_size: int, drop_last: bool) -> int:
    """How many batches they make."""
    return (samples + (0 if drop_last else batch_size - 1)) // batch_size


def check_batch_size(name: str, batch_size: Any) -> None:
    """Raises ValueError unless it is a positive number."""
    if not _is_int(batch_size) or batch_size < 1:
        raise ValueError(f"[{name}] batch_size must be at least 1, got {batch_size!r}")


def _check_count(name: str, count: Any, least: int = 0) -> None:
    if not _is_int(count) or count < least:
        raise ValueError(
            f"[{name}] num_samples must be a whole number of at least {least}, got "
            f"{count!r}"
        )


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
