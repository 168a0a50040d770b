"""`DataLoader`: batches of a data set, optionally read ahead by threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from ..._ferrule import Generator, rng_state
from .collate import default_collate
from .dataset import IterableDataset
from .fetch import fetch, take
from .prefetch import Prefetcher
from .sampler import BatchSampler, RandomSampler, SequentialSampler, check_batch_size

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over a data set in batches.

    Every ``iter(loader)`` is one epoch. The batches are the same, bit for bit,
    whatever `num_workers` is.

    Args:
        dataset: a `Dataset`, anything with ``__getitem__`` and ``__len__``, or an
            `IterableDataset`.
        batch_size: samples per batch; None yields single samples.
        shuffle: True reads in another random order every epoch.
        sampler: yields indices, instead of `shuffle`.
        batch_sampler: yields lists of indices, instead of `batch_size`,
            `shuffle`, `sampler` and `drop_last`.
        num_workers: number of background threads; 0 reads on the caller's
            thread. A stream is read by one thread.
        collate_fn: makes a batch of a list of samples; None: the data set's
            `get_batch`, which by default is `default_collate`.
        drop_last: True drops a last batch that is smaller.
        seed: gives the same orders and `sample_generator`s every time; None takes
            them from the generator that `ferrule.manual_seed` sets (`shuffle`
            draws one number per epoch).
        generator: what is drawn from, if `seed` is None; None: the generator that
            `ferrule.manual_seed` sets.
        prefetch_factor: batches per worker that are read ahead.

    Raises:
        ValueError: arguments exclude each other or are out of range.
        SampleError: (while iterating) the data set raised an error; the message
            names the sample, and the cause holds the traceback.

    Example:
        >>> import ferrule as fe
        >>> data = fe.utils.data.TensorDataset(fe.arange(0, 5))
        >>> loader = fe.utils.data.DataLoader(data, batch_size=2, num_workers=2)
        >>> [x.tolist() for (x,) in loader]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        *,
        seed: int | None = None,
        generator: Generator | None = None,
        prefetch_factor: int = 2,
    ) -> None:
        if num_workers < 0 or prefetch_factor < 1:
            raise ValueError(
                "[DataLoader] num_workers must be at least 0 and prefetch_factor at "
                f"least 1, got {num_workers} and {prefetch_factor}"
            )
        if batch_size is not None:
            check_batch_size("DataLoader", batch_size)
        elif drop_last:
            raise ValueError("[DataLoader] drop_last needs a batch_size")
        if sampler is not None and shuffle:
            raise ValueError("[DataLoader] give either sampler or shuffle, not both")
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        ):
            raise ValueError(
                "[DataLoader] batch_sampler replaces batch_size, shuffle, sampler "
                "and drop_last"
            )
        self.dataset = dataset
        self.batch_size = batch_size if batch_sampler is None else None
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.seed = seed
        self.generator = generator
        self.prefetch_factor = prefetch_factor
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self._epoch = 0
        if isinstance(dataset, IterableDataset):
            if shuffle or sampler is not None or batch_sampler is not None:
                raise ValueError(
                    f"[DataLoader] {type(dataset).__name__} is a stream: it cannot be "
                    "shuffled or sampled, only read"
                )
            return
        if sampler is None and batch_sampler is None:
            if shuffle:
                self.sampler = RandomSampler(dataset, seed=seed, generator=generator)
            else:
                self.sampler = SequentialSampler(dataset)
        if self.batch_sampler is None and batch_size is not None:
            assert self.sampler is not None
            self.batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)

    def __len__(self) -> int:
        """Number of batches of an epoch.

        Raises:
            TypeError: the data set or the sampler has no length.
        """
        if isinstance(self.dataset, IterableDataset):
            source: Any = self.dataset
            n = len(source)
            if self.batch_size is None:
                return n
            rest = 0 if self.drop_last else self.batch_size - 1
            return (n + rest) // self.batch_size
        source = self.sampler if self.batch_sampler is None else self.batch_sampler
        return len(source)

    def __iter__(self) -> Iterator[Any]:
        # Looks at the generator without drawing, so that a pass over test data
        # does not change what training draws.
        if self.seed is not None:
            base: tuple[int, ...] = (self.seed,)
        elif self.generator is not None:
            base = self.generator.__getstate__()
        else:
            base = rng_state()
        key = (*base, self._epoch)
        self._epoch += 1
        if isinstance(self.dataset, IterableDataset):
            batches: Iterator[Any] = self._stream()
            if self.num_workers == 0:
                return batches
            end = object()
            ahead = (partial(next, batches, end) for _ in _forever())
            return _until(
                Prefetcher(ahead, 1, self.num_workers * self.prefetch_factor), end
            )
        tasks = self._tasks(key)
        if self.num_workers == 0:
            return (task() for task in tasks)
        depth = self.num_workers * self.prefetch_factor
        return Prefetcher(tasks, self.num_workers, depth)

    def _tasks(self, key: tuple[int, ...]) -> Iterator[Callable[[], Any]]:
        """The work of an epoch, one callable per batch."""
        if self.batch_sampler is not None:
            for indices in self.batch_sampler:
                yield partial(fetch, self.dataset, indices, self.collate_fn, key)
        elif self.sampler is not None:
            single = self.collate_fn or _identity
            for index in self.sampler:
                yield partial(fetch, self.dataset, [index], partial(_only, single), key)

    def _stream(self) -> Iterator[Any]:
        samples = iter(self.dataset)
        while batch := take(samples, self.batch_size or 1):
            if self.batch_size is None:
                yield (self.collate_fn or _identity)(batch[0])
            elif len(batch) == self.batch_size or not self.drop_last:
                yield (self.collate_fn or default_collate)(batch)


def _identity(sample: Any) -> Any:
    return sample


def _only(convert: Callable[[Any], Any], samples: list[Any]) -> Any:
    return convert(samples[0])


def _forever() -> Iterator[None]:
    while True:
        yield None


def _until(results: Iterator[Any], end: object) -> Iterator[Any]:
    for result in results:
        if result is end:
            return
        yield result
