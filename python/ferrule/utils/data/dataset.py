"""Data sets: by index (`Dataset`) or as a stream (`IterableDataset`)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import numpy as np

from ..._ferrule import (
    Generator,
    IndexOutOfRange,
    ShapeError,
    Tensor,
    from_numpy,
    no_grad,
)
from ._random import draw_key, permutation
from .collate import default_collate
from .fetch import fetch_batch, fetch_samples

__all__ = [
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A data set with a length whose samples are read by index.

    Define ``__getitem__(index)`` and ``__len__()``; or for speed also
    ``get_batch(indices)``.

    Example:
        >>> import ferrule as fe
        >>> class Squares(fe.utils.data.Dataset):
        ...     def __len__(self):
        ...         return 10
        ...
        ...     def __getitem__(self, index):
        ...         return index, index * index
        >>> loader = fe.utils.data.DataLoader(Squares(), batch_size=4)
        >>> [y.tolist() for x, y in loader]
        [[0, 1, 4, 9], [16, 25, 36, 49], [64, 81]]
    """

    def __getitem__(self, index: int) -> T_co:
        """Returns sample `index`."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__")

    def __len__(self) -> int:
        """Returns the number of samples."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])

    def get_batch(self, indices: Sequence[int]) -> Any:
        """Returns a batch; what the loader calls if it has no collate_fn.

        This one reads the samples one by one and collates them; a data set that
        can do better overrides it.
        """
        return default_collate(fetch_samples(self, indices))


class IterableDataset(Generic[T_co]):
    """A data set that is a stream: define ``__iter__``.

    Example:
        >>> import ferrule as fe
        >>> class Count(fe.utils.data.IterableDataset):
        ...     def __iter__(self):
        ...         return iter(range(5))
        >>> loader = fe.utils.data.DataLoader(Count(), batch_size=2)
        >>> [batch.tolist() for batch in loader]
        [[0, 1], [2, 3], [4]]
    """

    def __iter__(self) -> Iterator[T_co]:
        """Starts the stream from its beginning."""
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Rows of tensors: sample i is ``(a[i], b[i], ...)``.

    A batch is read by one indexing op per tensor.

    Args:
        tensors: tensors with the same first dimension.

    Raises:
        ShapeError: first dimensions differ, or no tensor.

    Example:
        >>> import ferrule as fe
        >>> x, y = fe.zeros((5, 3)), fe.arange(0, 5)
        >>> data = fe.utils.data.TensorDataset(x, y)
        >>> len(data), data[2][1].item()
        (5, 2)
    """

    def __init__(self, *tensors: Tensor) -> None:
        shapes = [t.shape for t in tensors]
        if not tensors or any(not s or s[0] != shapes[0][0] for s in shapes):
            text = ", ".join(map(str, shapes)) or "none"
            raise ShapeError(
                "[TensorDataset] expected tensors with the same first dimension, "
                f"got shapes {text}"
            )
        self.tensors = tensors

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def get_batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """Returns the rows `indices` of every tensor."""
        rows = from_numpy(wrap_indices(indices, len(self)))
        with no_grad():
            return tuple(t.index_select(0, rows) for t in self.tensors)


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

    def __getitem__(self, index: int) -> T_co:
        return self.dataset[int(self.indices[index])]

    def __len__(self) -> int:
        return len(self.indices)

    def get_batch(self, indices: Sequence[int]) -> Any:
        """Returns a batch of the data set that this is a part of."""
        return fetch_batch(self.dataset, [int(self.indices[i]) for i in indices])


class ConcatDataset(Dataset[Any]):
    """Several data sets, one after the other.

    Args:
        datasets: at least one, all with a length.

    Raises:
        ValueError: there is none.

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
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        index = int(wrap_indices([index], len(self))[0])
        which = bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]


def random_split(
    dataset: Dataset[T_co],
    lengths: Sequence[float],
    seed: int | None = None,
    generator: Generator | None = None,
) -> list[Subset[T_co]]:
    """Splits a data set at random into parts that do not overlap.

    Args:
        dataset: what is split.
        lengths: sizes of the parts, or shares that sum to 1; what rounding
            leaves over goes to the first parts.
        seed: gives the same split every time; None draws from the generator
            that `ferrule.manual_seed` sets.
        generator: what is drawn from, if `seed` is None.

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
    if all(isinstance(n, (int, np.integer)) for n in lengths):
        sizes = [int(n) for n in lengths]
    else:
        if any(n < 0 for n in lengths) or abs(sum(lengths) - 1.0) > 1e-9:
            raise ValueError(f"[random_split] shares must sum to 1, got {lengths}")
        sizes = [int(total * share) for share in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
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


def wrap_indices(indices: Sequence[int], n: int) -> np.ndarray:
    """Indices as int64, negative ones counted from the end, checked."""
    rows = np.array(indices, dtype=np.int64)
    bad = (rows < -n) | (rows >= n)
    if bad.any():
        raise IndexOutOfRange(
            f"index {rows[bad][0]} is out of range for {n} samples; "
            f"valid: {-n}..{n - 1}"
        )
    rows[rows < 0] += n
    return rows
