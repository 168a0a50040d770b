"""Samplers: the order in which samples are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

from ..._ferrule import Generator
from ._random import draw_key, permutation, philox

__all__ = ["BatchSampler", "RandomSampler", "Sampler", "SequentialSampler"]

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

    Example:
        >>> import ferrule as fe
        >>> list(fe.utils.data.SequentialSampler([7, 8, 9]))
        [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All indices in random order, another one every epoch.

    Args:
        data_source: what is sampled.
        replacement: True draws every index independently.
        num_samples: how many a epoch; None: the length of `data_source`.
        seed: gives the same orders every time; None draws from the generator
            that `ferrule.manual_seed` sets, one number per epoch.
        generator: what is drawn from, if `seed` is None.

    Raises:
        ValueError: `num_samples` is negative, or more than there are without
            replacement.

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
        seed: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        n = len(data_source)
        count = n if num_samples is None else num_samples
        if count < 0 or (count > n and not (replacement and n)):
            raise ValueError(
                f"[RandomSampler] cannot draw {count} of {n} samples"
                + ("" if replacement else " without replacement")
            )
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = count
        self.seed = seed
        self.generator = generator
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        if self.seed is None:
            key: tuple[int, ...] = (draw_key(self.generator),)
        else:
            key = (self.seed, self.epoch)
        self.epoch += 1
        if not self.replacement:
            return iter(permutation(n, *key)[: self.num_samples].tolist())
        bits = philox(*key).random_raw(self.num_samples)
        return iter([raw * n >> 64 for raw in bits.tolist()])

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
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        sampler: Any = self.sampler
        n = len(sampler)
        rest = 0 if self.drop_last else self.batch_size - 1
        return (n + rest) // self.batch_size


def check_batch_size(name: str, batch_size: Any) -> None:
    """Raises ValueError unless it is a positive number."""
    if (
        not isinstance(batch_size, int)
        or isinstance(batch_size, bool)
        or batch_size < 1
    ):
        raise ValueError(f"[{name}] batch_size must be at least 1, got {batch_size!r}")
