"""Data sets made of others: parts, sequences, stacks."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..._ferrule import FerruleWarning, Generator
from ._random import draw_key, permutation
from .dataset import Dataset, IterableDataset, T_co, wrap_indices
from .fetch import fetch_batch, fetch_samples, is_array

__all__ = ["ChainDataset", "ConcatDataset", "StackDataset", "Subset", "random_split"]


class Subset(Dataset[T_co]):
    """Some samples of a data set, in a given order.

    Args:
        dataset: where they come from.
        indices: which ones.

    Example:
        >>> import ferrule as fe
        >>> data = fe.utils.data.TensorDataset(fe.arange(0, 5))
        >>> fe.utils.data.Subset(data, [4, 0])[0][0].item()
        4
    """

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        self._rows: np.ndarray | None = None

    @property
    def in_memory(self) -> bool:
        """Are batches read from tensors, without Python code per sample?"""
        return is_array(self.dataset)

    def __getitem__(self, index: int | list[int]) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]  # type: ignore[index]
        return self.dataset[int(self.indices[index])]

    def __getitems__(self, indices: Sequence[int]) -> list[T_co]:
        return fetch_samples(self.dataset, [int(self.indices[i]) for i in indices])

    def __len__(self) -> int:
        return len(self.indices)

    def get_batch(self, indices: Sequence[int]) -> Any:
        """Returns a batch of the data set that this is a part of."""
        if self._rows is None or len(self._rows) != len(self.indices):
            self._rows = np.array(self.indices, dtype=np.int64)
        return fetch_batch(
            self.dataset, self._rows[wrap_indices(indices, len(self.indices))]
        )


class ConcatDataset(Dataset[Any]):
    """Several data sets, one after the other.

    Args:
        datasets: at least one, all with a length.

    Raises:
        ValueError: there is none, or one is a stream.

    Example:
        >>> import ferrule as fe
        >>> part = fe.utils.data.TensorDataset(fe.arange(0, 5))
        >>> both = fe.utils.data.ConcatDataset([part, part])
        >>> len(both), both[7][0].item()
        (10, 2)
    """

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("[ConcatDataset] expected at least one data set")
        for part in self.datasets:
            if isinstance(part, IterableDataset):
                raise ValueError(
                    f"[ConcatDataset] {type(part).__name__} is a stream; use "
                    "ChainDataset"
                )
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        index = int(wrap_indices([index], len(self))[0])
        which = bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]


class StackDataset(Dataset[Any]):
    """Data sets of the same length side by side.

    Args:
        args: data sets; sample i is the tuple of their samples i.
        kwargs: or data sets by name; sample i is a dict.

    Raises:
        ValueError: lengths differ, or there is no data set, or some have names
            and some have not.

    Example:
        >>> import ferrule as fe
        >>> data = fe.utils.data.StackDataset(x=[1, 2, 3], y="abc")
        >>> len(data), data[1]
        (3, {'x': 2, 'y': 'b'})
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                "[StackDataset] expected data sets, either all by position or all by "
                f"name, got {len(args)} and {len(kwargs)}"
            )
        self.datasets = args or kwargs
        sizes = [len(d) for d in self._parts()]
        if len(set(sizes)) > 1:
            raise ValueError(f"[StackDataset] the data sets' lengths differ: {sizes}")
        self._length = sizes[0]

    def _parts(self) -> list[Any]:
        sets = self.datasets
        return list(sets.values() if isinstance(sets, dict) else sets)

    def _named(self, parts: Iterable[Any]) -> Any:
        if isinstance(self.datasets, dict):
            return dict(zip(self.datasets, parts, strict=True))
        return tuple(parts)

    @property
    def in_memory(self) -> bool:
        """Are batches read from tensors, without Python code per sample?"""
        return all(is_array(d) for d in self._parts())

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        return self._named(d[index] for d in self._parts())

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        columns = [fetch_samples(d, indices) for d in self._parts()]
        return [self._named(parts) for parts in zip(*columns, strict=True)]

    def get_batch(self, indices: Sequence[int]) -> Any:
        """Returns a batch of each data set."""
        batches = self._named(fetch_batch(d, indices) for d in self._parts())
        return batches if isinstance(batches, dict) else list(batches)


class ChainDataset(IterableDataset[Any]):
    """Several streams, one after the other.

    Args:
        datasets: `IterableDataset`s; they are asked for when their turn comes.

    Raises:
        TypeError: (while reading) one is no `IterableDataset`.

    Example:
        >>> import ferrule as fe
        >>> class Count(fe.utils.data.IterableDataset):
        ...     def __iter__(self):
        ...         return iter(range(3))
        >>> list(fe.utils.data.ChainDataset([Count(), Count()]))
        [0, 1, 2, 0, 1, 2]
    """

    def __init__(self, datasets: Iterable[IterableDataset[Any]]) -> None:
        self.datasets = datasets

    def _streams(self) -> Iterator[Any]:
        for stream in self.datasets:
            if not isinstance(stream, IterableDataset):
                raise TypeError(
                    f"[ChainDataset] {type(stream).__name__} is no IterableDataset"
                )
            yield stream

    def __iter__(self) -> Iterator[Any]:
        for stream in self._streams():
            yield from stream

    def __len__(self) -> int:
        return sum(len(stream) for stream in self._streams())


def random_split(
    dataset: Dataset[T_co],
    lengths: Sequence[float],
    generator: Generator | None = None,
    *,
    seed: int | None = None,
) -> list[Subset[T_co]]:
    """Splits a data set at random into parts that do not overlap.

    Args:
        dataset: what is split.
        lengths: sizes of the parts, or shares that sum to 1; what rounding
            leaves over goes to the first parts.
        generator: what is drawn from, if `seed` is None; None: the generator
            that `ferrule.manual_seed` sets.
        seed: gives the same split every time.

    Raises:
        ValueError: the lengths do not sum to the data set's length or to 1.

    Example:
        >>> import ferrule as fe
        >>> data = fe.utils.data.TensorDataset(fe.arange(0, 10))
        >>> train, test = fe.utils.data.random_split(data, [0.8, 0.2], seed=0)
        >>> len(train), len(test)
        (8, 2)
    """
    total = len(dataset)
    if all(isinstance(n, (int, np.integer)) for n in lengths) and sum(lengths) != 1:
        sizes = [int(n) for n in lengths]
    else:
        sizes = _shares(total, lengths)
    if any(n < 0 for n in sizes) or sum(sizes) != total:
        raise ValueError(
            f"[random_split] lengths {list(lengths)} do not sum to the {total} samples"
        )
    order = permutation(total, draw_key(generator) if seed is None else seed)
    ends = list(accumulate(sizes))
    return [
        Subset(dataset, order[end - size : end].tolist())
        for size, end in zip(sizes, ends, strict=True)
    ]


def _shares(total: int, shares: Sequence[float]) -> list[int]:
    if any(n < 0 for n in shares) or abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"[random_split] shares must sum to 1, got {list(shares)}")
    sizes = [int(total * share) for share in shares]
    for i in range(total - sum(sizes)):
        sizes[i % len(sizes)] += 1
    for i, size in enumerate(sizes):
        if size == 0:
            warnings.warn(
                f"[random_split] part {i} of {total} samples is empty: its share is "
                f"{shares[i]}",
                FerruleWarning,
                stacklevel=3,
            )
    return sizes
