"""What random code in a data set draws from: seeded for each batch.

A batch's numbers depend on the epoch's key and the batch's place in the epoch
alone, so whoever reads it, and when, makes no difference.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..._ferrule import Generator, swap_generator

__all__ = ["sample_generator"]

_MASK = (1 << 64) - 1


class _Context(threading.local):
    """The batch that this thread reads."""

    key: tuple[int, ...] | None = None
    generator: np.random.Generator | None = None


_context = _Context()


def sample_generator() -> np.random.Generator:
    """Returns NumPy's random generator for the batch that is being read.

    To be called in ``Dataset.__getitem__``, for random augmentation: what it
    draws depends on the loader's seed, the epoch and the batch only, so that
    batches are the same for every number of workers, whether these are processes
    or threads.

    Ferrule's random functions are seeded in the same way. So are the generators
    of the modules `random` and `numpy.random`, except in threads
    (``workers="thread"``), because they belong to the whole process.

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
        bits = np.random.Philox(np.random.SeedSequence(_context.key))
        _context.generator = np.random.Generator(bits)
    return _context.generator


def epoch_seed(*key: int) -> int:
    """64 bits that stand for a key of any length."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def _batch_seed(seed: int, number: int) -> int:
    """Well mixed for consecutive numbers.

    Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number
    generators", OOPSLA 2014 (the finalizer of SplitMix64).
    """
    z = (seed + (number + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


@contextmanager
def seeded(seed: int, number: int, process_wide: bool) -> Iterator[None]:
    """Random code inside draws what belongs to batch `number`.

    Args:
        seed: the epoch's.
        number: the batch's place in the epoch.
        process_wide: True seeds `random` and `numpy.random` as well, and puts
            their states back afterwards.
    """
    mixed = _batch_seed(seed, number)
    before = swap_generator(Generator().manual_seed(mixed))
    outer = _context.key, _context.generator
    _context.key, _context.generator = (seed, number), None
    if process_wide:
        states = random.getstate(), np.random.get_state()  # noqa: NPY002
        random.seed(mixed)
        np.random.seed(mixed & 0xFFFFFFFF)  # noqa: NPY002
    try:
        yield
    finally:
        if process_wide:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
        _context.key, _context.generator = outer
        swap_generator(before)
