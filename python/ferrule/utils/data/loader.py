"""`DataLoader`: batches of a data set, read ahead by workers if asked to."""

from __future__ import annotations

import multiprocessing
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count, islice, repeat
from typing import Any

from ..._ferrule import Generator, Tensor, default_generator
from ._seeding import epoch_seed
from .ahead import Ahead, Workers
from .collate import default_collate, default_convert
from .dataset import IterableDataset
from .fetch import END, Fetcher, MapFetcher, StreamFetcher
from .processes import ProcessWorkers
from .sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    batches_in,
    check_batch_size,
)
from .threads import ThreadWorkers

__all__ = ["DataLoader"]


class DataLoader:
    """Iterates over a data set in batches.

    Every ``iter(loader)`` is one epoch. The batches are the same, bit for bit,
    whatever `num_workers` is: random functions that a data set or collate_fn calls
    are seeded for every batch (see `sample_generator`).

    A `TensorDataset`, or a part of one, is read by indexing its tensors, on a thread
    if there are workers. Other data sets are read by worker processes, which hand
    their batches over by shared memory, or by threads.

    Args:
        dataset: a `Dataset`, anything with ``__getitem__`` and ``__len__``, or an
            `IterableDataset`.
        batch_size: samples per batch; None yields single samples.
        shuffle: True reads in another random order every epoch.
        sampler: yields indices, instead of `shuffle`.
        batch_sampler: yields lists of indices, instead of `batch_size`,
            `shuffle`, `sampler` and `drop_last`.
        num_workers: how many workers read ahead; 0 reads when a batch is asked for.
            A stream is read by one.
        collate_fn: makes a batch of a list of samples; None: `default_collate`, or
            `default_convert` for single samples.
        pin_memory: accepted as in PyTorch; memory of the CPU needs none.
        drop_last: True drops a last batch that is smaller.
        timeout: seconds to wait for a batch of a worker; 0 waits for ever.
        worker_init_fn: called in every worker with its number before it reads.
        multiprocessing_context: how worker processes are started, "fork", "spawn"
            or "forkserver", or a context of `multiprocessing`; None: "fork" on
            Linux, elsewhere what Python starts them by.
        generator: what orders and seeds come from, if `seed` is None; None: the
            generator that `ferrule.manual_seed` sets. `shuffle` draws one number
            per epoch.
        prefetch_factor: batches per worker that are read ahead; None: 2.
        persistent_workers: True keeps the workers when an epoch ends.
        pin_memory_device: accepted as in PyTorch.
        in_order: False gives batches as they come, not in order.
        seed: gives the same orders and random samples every time.
        workers: "process" or "thread"; None: processes, and threads where Python
            runs without its global lock.

    Raises:
        ValueError: arguments exclude each other or are out of range.
        SampleError: (while iterating) the data set raised an error; the message
            names the sample, and the cause holds the traceback.
        WorkerError: (while iterating) a worker process has ended.
        TimeoutError: (while iterating) no batch came within `timeout`.

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
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
        workers: str | None = None,
    ) -> None:
        stream = isinstance(dataset, IterableDataset)
        if stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                f"[DataLoader] {type(dataset).__name__} is a stream: it cannot be "
                "shuffled or sampled, only read"
            )
        if batch_size is not None:
            check_batch_size("DataLoader", batch_size)
        elif drop_last:
            raise ValueError("[DataLoader] drop_last needs a batch_size")
        if sampler is not None and shuffle:
            raise ValueError("[DataLoader] give either sampler or shuffle, not both")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "[DataLoader] batch_sampler replaces batch_size, shuffle, sampler "
                    "and drop_last"
                )
            batch_size = None
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        if workers not in (None, "process", "thread"):
            raise ValueError(
                f'[DataLoader] workers must be "process" or "thread", got {workers!r}'
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = _context(multiprocessing_context, num_workers)
        self.generator = generator
        if num_workers and prefetch_factor is None:
            prefetch_factor = 2
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        self.pin_memory_device = pin_memory_device
        self.in_order = in_order
        self.seed = seed
        self.workers = workers or _default_workers()
        if sampler is None and not stream:
            if shuffle:
                sampler = RandomSampler(dataset, generator=generator, seed=seed)
            else:
                sampler = SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self._single = batch_size is None and batch_sampler is None
        if collate_fn is None:
            collate_fn = default_convert if self._single else default_collate
        self.collate_fn = collate_fn
        self._pool: Workers | None = None
        self._epoch = 0
        self._running: _Position | None = None
        self._resume: _Position | None = None

    def __len__(self) -> int:
        """Number of batches of an epoch.

        Raises:
            TypeError: the data set or the sampler has no length.
        """
        source: Any = self.dataset
        if isinstance(self.dataset, IterableDataset):
            n = len(source)
            if self.batch_size is None:
                return n
            return batches_in(n, self.batch_size, self.drop_last)
        source = self.sampler if self._single else self.batch_sampler
        return len(source)

    def __iter__(self) -> Iterator[Any]:
        position, self._resume = self._resume, None
        if position is None:
            position = self._new_position()
            tasks = self._tasks(0)
        else:
            tasks = self._tasks_of(position)
        self._epoch = position.epoch + 1
        self._running = position
        seed = epoch_seed(*position.key)
        return _Epoch(self, position, self._read(tasks, seed, position.done))

    def _read(
        self, tasks: Iterator[tuple[int, Any]], seed: int, skip: int
    ) -> Iterator[Any]:
        """The batches that `tasks` asks for."""
        if self.num_workers == 0:
            fetcher = self._fetcher()
            fetcher.begin(seed, skip, process_wide=True)
            return _inline(fetcher, tasks)
        workers = self._pool
        if workers is None or workers.closed:
            workers = self._start_workers()
            if self.persistent_workers:
                self._pool = workers
                weakref.finalize(self, workers.close)
        assert self.prefetch_factor is not None
        workers.begin(seed, skip)
        return Ahead(
            tasks,
            workers,
            self.num_workers * self.prefetch_factor,
            self.in_order,
            self.timeout or None,
            self.persistent_workers,
        )

    def close(self) -> None:
        """Ends workers that `persistent_workers` has kept; a new ``iter`` starts them.

        Otherwise they end with their loader, or with the program. A loader in a
        `with` statement is closed at its end.
        """
        if self._pool is not None:
            self._pool.close()

    def __enter__(self) -> DataLoader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _fetcher(self) -> Fetcher:
        if isinstance(self.dataset, IterableDataset):
            return StreamFetcher(
                self.dataset, self.collate_fn, self.batch_size, self.drop_last
            )
        return MapFetcher(self.dataset, self.collate_fn, self._single)

    def _start_workers(self) -> Workers:
        fetcher = self._fetcher()
        stream = isinstance(fetcher, StreamFetcher)
        number = 1 if stream or fetcher.plain else self.num_workers
        if self.workers == "thread" or fetcher.plain:
            return ThreadWorkers(fetcher, number, self.worker_init_fn)
        assert self.prefetch_factor is not None
        ahead = self.prefetch_factor * self.num_workers // number
        context = self.multiprocessing_context or _default_context()
        return ProcessWorkers(fetcher, number, self.worker_init_fn, context, ahead)

    def _tasks(self, skip: int) -> Iterator[tuple[int, Any]]:
        """Number and indices of every batch of an epoch, from number `skip` on.

        The first is taken at once, so that a sampler draws its order now and not
        when the first batch is asked for.
        """
        batches: Iterator[Any] | None = None
        if isinstance(self.dataset, IterableDataset):
            batches = repeat(None)
        elif self._single:
            assert self.sampler is not None
            batches = islice(iter(self.sampler), skip, None)
        else:
            if isinstance(self.batch_sampler, BatchSampler):
                batches = self.batch_sampler.arrays()
            if batches is None:
                assert self.batch_sampler is not None
                batches = iter(self.batch_sampler)
            batches = islice(batches, skip, None)
        first = list(islice(batches, 1))
        return zip(count(skip), chain(first, batches), strict=False)

    # --- where it is

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is in its data, to be saved with a model.

        Of numbers, text and tensors, as `ferrule.save` takes them. Batches that
        workers have read ahead do not count: the next one after `load_state_dict`
        is the next one that the program would have got.

        Example:
            >>> import ferrule as fe
            >>> data = fe.utils.data.TensorDataset(fe.arange(0, 6))
            >>> loader = fe.utils.data.DataLoader(data, 2, shuffle=True)
            >>> batches = iter(loader)
            >>> _ = next(batches)
            >>> state = loader.state_dict()
            >>> rest = [x.tolist() for (x,) in batches]
            >>> again = fe.utils.data.DataLoader(data, 2, shuffle=True)
            >>> again.load_state_dict(state)
            >>> [x.tolist() for (x,) in again] == rest
            True
        """
        position = self._running or self._resume
        now = self._source()
        return {
            "epoch": self._epoch,
            "position": None if position is None else position.state_dict(),
            "generator": None if now is default_generator else now.get_state(),
            "sampler_epoch": getattr(self._index_sampler(), "epoch", None),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes to where `state_dict` was: the next ``iter`` gives the batches after it.

        The data set, the sampler and the batch size must be what they were; the
        number of workers need not. The generator that `ferrule.manual_seed` sets is
        left as it is: save and restore it with `ferrule.get_rng_state`.

        Raises:
            ValueError: it is no state of a `DataLoader`.
        """
        try:
            saved = state_dict["position"]
            position = None if saved is None else _Position(**saved)
            epoch, generator = int(state_dict["epoch"]), state_dict["generator"]
            sampler_epoch = state_dict["sampler_epoch"]
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"[DataLoader] load_state_dict: no state of a DataLoader: {error!r}"
            ) from None
        self._epoch = epoch
        self._running, self._resume = None, position
        if generator is not None and self._source() is not default_generator:
            self._source().set_state(generator)
        if sampler_epoch is not None:
            self._index_sampler().epoch = sampler_epoch

    def _index_sampler(self) -> Any:
        """The sampler of single indices."""
        return getattr(self.batch_sampler, "sampler", None) or self.sampler

    def _source(self) -> Generator:
        """The generator that orders are drawn from."""
        own = getattr(self._index_sampler(), "generator", None)
        return own or self.generator or default_generator

    def _new_position(self) -> _Position:
        # Looks at the generator without drawing, so that a pass over test data
        # does not change what training draws.
        source = self.generator or default_generator
        base: Any = source.__getstate__() if self.seed is None else (self.seed,)
        return _Position(
            epoch=self._epoch,
            done=0,
            key=[*base, self._epoch],
            generator=self._source().get_state(),
            sampler_epoch=getattr(self._index_sampler(), "epoch", None),
        )

    def _tasks_of(self, position: _Position) -> Iterator[tuple[int, Any]]:
        """What is left of an epoch that began as `position` says."""
        sampler, source = self._index_sampler(), self._source()
        now = source.get_state()
        source.set_state(position.generator)
        if position.sampler_epoch is not None:
            sampler.epoch = position.sampler_epoch
        try:
            return self._tasks(position.done)
        finally:
            source.set_state(now)


class _Position:
    """An epoch, and how much of it is done.

    Attributes:
        epoch: counts the epochs of the loader.
        done: batches that the program has got.
        key: what the epoch's seed is made of.
        generator: state of the generator that orders are drawn from, as it was when
            the epoch began.
        sampler_epoch: the sampler's `epoch`, then, or None if it has none.
    """

    def __init__(
        self,
        epoch: int,
        done: int,
        key: list[int],
        generator: Tensor,
        sampler_epoch: int | None,
    ) -> None:
        self.epoch = epoch
        self.done = done
        self.key = key
        self.generator = generator
        self.sampler_epoch = sampler_epoch

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))


class _Epoch(Iterator[Any]):
    """The batches of an epoch; counts them."""

    def __init__(
        self, loader: DataLoader, position: _Position, batches: Iterator[Any]
    ) -> None:
        self._loader = loader
        self._position = position
        self._batches = batches

    def __next__(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            if self._loader._running is self._position:
                self._loader._running = None
            raise
        self._position.done += 1
        return batch

    def __len__(self) -> int:
        return len(self._loader)


def _inline(fetcher: Fetcher, tasks: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    for number, indices in tasks:
        batch = fetcher.fetch(number, indices)
        if batch is END:
            return
        yield batch


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent: bool
) -> None:
    if num_workers < 0 or timeout < 0:
        raise ValueError(
            "[DataLoader] num_workers and timeout must be at least 0, got "
            f"{num_workers} and {timeout}"
        )
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError(
            f"[DataLoader] prefetch_factor must be at least 1, got {prefetch_factor}"
        )
    if num_workers == 0 and (prefetch_factor is not None or persistent):
        raise ValueError(
            "[DataLoader] prefetch_factor and persistent_workers need num_workers > 0"
        )


def _default_workers() -> str:
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    return "process" if has_lock else "thread"


def _default_context() -> Any:
    # Python 3.14 starts processes anew by default. A fork is quick, needs nothing to
    # be picklable and shares what the data set holds; Ferrule's threads allow it.
    return multiprocessing.get_context("fork" if sys.platform == "linux" else None)


def _context(choice: Any, num_workers: int) -> Any:
    """A context of `multiprocessing` by its name."""
    if choice is None:
        return None
    if num_workers == 0:
        raise ValueError(
            "[DataLoader] multiprocessing_context needs num_workers > 0, got "
            f"{choice!r} and 0"
        )
    if not isinstance(choice, str):
        return choice
    known = multiprocessing.get_all_start_methods()
    if choice not in known:
        raise ValueError(
            f"[DataLoader] multiprocessing_context must be one of {known}, got "
            f"{choice!r}"
        )
    return multiprocessing.get_context(choice)
