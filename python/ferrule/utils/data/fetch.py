"""Reads the samples of a batch, with an error that names the sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from ..._ferrule import FerruleError
from ._seeding import seeded
from .collate import default_collate

__all__ = ["END", "MapFetcher", "SampleError", "StreamFetcher"]

Collate = Callable[[Any], Any]


class SampleError(FerruleError):
    """A data set failed to give a sample; the cause is in ``__cause__``.

    Attributes:
        index: the sample's index, or None for a failed stream or batch.
    """

    index: int | None = None


class _End:
    """What a stream gives after its last batch; one object in every process."""

    def __reduce__(self) -> str:
        return "END"


END = _End()


def gives_batches(dataset: Any) -> bool:
    """Has the data set a `get_batch` that goes with its `__getitem__`?

    A class that overrides `__getitem__` alone is read by it.
    """
    for cls in type(dataset).__mro__:
        if "get_batch" in vars(cls):
            return True
        if "__getitem__" in vars(cls):
            return False
    return False


def is_array(dataset: Any) -> bool:
    """Are batches read from tensors in memory, without Python code per sample?"""
    return gives_batches(dataset) and bool(getattr(dataset, "in_memory", False))


def fetch_samples(dataset: Any, indices: Iterable[int]) -> list[Any]:
    """Reads samples, by `__getitems__` where the data set has it."""
    indices = [int(i) for i in indices]
    if callable(getattr(dataset, "__getitems__", None)):
        return _fetch_items(dataset, indices)
    samples = []
    for index in indices:
        try:
            samples.append(dataset[index])
        except SampleError:
            raise
        except Exception as error:
            raise _sample_error(f"sample {index}", dataset, error, index) from error
    return samples


def _fetch_items(dataset: Any, indices: list[int]) -> list[Any]:
    try:
        samples = list(dataset.__getitems__(indices))
    except SampleError:
        raise
    except Exception as error:
        what = f"__getitems__ for samples {_short(indices)}"
        raise _sample_error(what, dataset, error) from error
    if len(samples) != len(indices):
        raise SampleError(
            f"[DataLoader] {type(dataset).__name__}.__getitems__ returned "
            f"{len(samples)} samples for {len(indices)} indices"
        )
    return samples


def fetch_batch(dataset: Any, indices: Sequence[int]) -> Any:
    """A batch by `get_batch`, or of samples that are read one by one."""
    if gives_batches(dataset):
        return dataset.get_batch(indices)
    return default_collate(fetch_samples(dataset, indices))


def _short(indices: list[int]) -> str:
    text = ", ".join(map(str, indices[:8]))
    return text + (", ..." if len(indices) > 8 else "")


def _sample_error(
    what: str, dataset: Any, error: Exception, index: int | None = None
) -> SampleError:
    raised = SampleError(
        f"[DataLoader] {what} of {type(dataset).__name__} raised "
        f"{type(error).__name__}: {error}"
    )
    raised.index = index
    return raised


class MapFetcher:
    """Reads batches of a data set by index.

    Args:
        dataset: the data set.
        collate_fn: makes a batch of samples, or of one sample if `single`.
        single: True gives samples by themselves.
    """

    def __init__(self, dataset: Any, collate_fn: Collate, single: bool) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.single = single
        whole = not single and collate_fn is default_collate
        self.plain = whole and is_array(dataset)
        """Batches are read by indexing tensors: there is no random code to seed."""
        self._whole = whole

    def begin(self, seed: int, skip: int, process_wide: bool) -> None:
        """Starts an epoch; `skip` is for streams, here indices are left out."""
        self._seed, self._process_wide = seed, process_wide

    def fetch(self, number: int, indices: Any) -> Any:
        """Reads batch `number` of the epoch."""
        if self.plain:
            return self.dataset.get_batch(indices)
        with seeded(self._seed, number, self._process_wide):
            if self.single:
                (sample,) = fetch_samples(self.dataset, [indices])
                return self.collate_fn(sample)
            if self._whole:
                return fetch_batch(self.dataset, indices)
            return self.collate_fn(fetch_samples(self.dataset, indices))


class StreamFetcher:
    """Reads batches of a stream, one after the other.

    Args:
        dataset: the stream.
        collate_fn: makes a batch of samples, or of one sample if there is no
            `batch_size`.
        batch_size: samples a batch; None gives samples by themselves.
        drop_last: True drops a last batch that is smaller.
    """

    plain = False

    def __init__(
        self, dataset: Any, collate_fn: Collate, batch_size: int | None, drop_last: bool
    ) -> None:
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.batch_size = batch_size
        self.drop_last = drop_last
        self._samples: Iterator[Any] | None = None

    def begin(self, seed: int, skip: int, process_wide: bool) -> None:
        """Starts an epoch, whose first `skip` batches are read and forgotten."""
        self._seed, self._process_wide = seed, process_wide
        self._samples = None
        for number in range(skip):
            self.fetch(number)

    def fetch(self, number: int, indices: None = None) -> Any:
        """Reads batch `number`, which must be the next one; END after the last."""
        with seeded(self._seed, number, self._process_wide):
            samples = self._take(self.batch_size or 1)
            if not samples or (
                self.drop_last and self.batch_size and len(samples) < self.batch_size
            ):
                return END
            return self.collate_fn(samples if self.batch_size else samples[0])

    def _take(self, n: int) -> list[Any]:
        samples: list[Any] = []
        try:
            if self._samples is None:
                self._samples = iter(self.dataset)
            samples.extend(islice(self._samples, n))
        except SampleError:
            raise
        except Exception as error:
            raise SampleError(
                f"[DataLoader] the stream {type(self.dataset).__name__} raised "
                f"{type(error).__name__}: {error}"
            ) from error
        return samples


Fetcher = MapFetcher | StreamFetcher
