"""Reads the samples of a batch, with an error that names the sample."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..._ferrule import FerruleError
from ._random import philox
from .collate import default_collate

__all__ = ["SampleError", "sample_generator"]


class SampleError(FerruleError):
    """A data set failed to give a sample; the cause is in ``__cause__``.

    Attributes:
        index: the sample's index, or None for a failed stream or batch.
    """

    index: int | None = None


class _Context(threading.local):
    """Which sample this thread reads, for `sample_generator`."""

    key: tuple[int, ...] | None = None
    generator: np.random.Generator | None = None


_context = _Context()


def sample_generator() -> np.random.Generator:
    """Returns the random generator of the sample that is being read.

    To be called in ``Dataset.__getitem__``, for random augmentation: what it
    draws depends on the loader's seed, the epoch and the sample only, so that
    batches are the same for every number of workers.

    Raises:
        RuntimeError: no `DataLoader` is reading a sample in this thread.

    Example:
        >>> import ferrule as fe
        >>> class Noise(fe.utils.data.Dataset):
        ...     def __len__(self):
        ...         return 4
        ...
        ...     def __getitem__(self, index):
        ...         return fe.utils.data.sample_generator().random()
        >>> loader = fe.utils.data.DataLoader(Noise(), batch_size=4, seed=0)
        >>> next(iter(loader)).shape
        (4,)
    """
    if _context.key is None:
        raise RuntimeError(
            "[sample_generator] no DataLoader is reading a sample here; call it in "
            "Dataset.__getitem__"
        )
    if _context.generator is None:
        _context.generator = np.random.Generator(philox(*_context.key))
    return _context.generator


def fetch_samples(dataset: Any, indices: Sequence[int]) -> list[Any]:
    """Reads samples one by one; `fetch` has set the key of the epoch."""
    epoch_key = _context.key
    samples = []
    try:
        for index in indices:
            if epoch_key is not None:
                _context.key, _context.generator = (*epoch_key, index), None
            try:
                samples.append(dataset[index])
            except SampleError:
                raise
            except Exception as error:
                raise _sample_error(dataset, index, error) from error
    finally:
        _context.key, _context.generator = epoch_key, None
    return samples


def fetch_batch(dataset: Any, indices: Sequence[int]) -> Any:
    """A batch by `get_batch`; what is no `Dataset` may lack it."""
    if hasattr(dataset, "get_batch"):
        return dataset.get_batch(indices)
    return default_collate(fetch_samples(dataset, indices))


def fetch(
    dataset: Any,
    indices: Sequence[int],
    collate_fn: Callable[[list[Any]], Any] | None,
    key: tuple[int, ...],
) -> Any:
    """What a worker does for one batch."""
    _context.key = key
    try:
        if collate_fn is not None:
            return collate_fn(fetch_samples(dataset, indices))
        return fetch_batch(dataset, indices)
    finally:
        _context.key = None


def _sample_error(dataset: Any, index: int, error: Exception) -> SampleError:
    raised = SampleError(
        f"[DataLoader] sample {index} of {type(dataset).__name__} raised "
        f"{type(error).__name__}: {error}"
    )
    raised.index = int(index)
    return raised


def take(stream: Iterable[Any], n: int) -> list[Any]:
    """The next `n` samples of a stream, or fewer at its end."""
    samples: list[Any] = []
    try:
        for sample in stream:
            samples.append(sample)
            if len(samples) == n:
                break
    except Exception as error:
        raise SampleError(
            f"[DataLoader] the stream raised {type(error).__name__} after "
            f"{len(samples)} samples of a batch: {error}"
        ) from error
    return samples
