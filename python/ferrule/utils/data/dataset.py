"""Data sets: by index (`Dataset`) or as a stream (`IterableDataset`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from ..._ferrule import IndexOutOfRange, ShapeError, Tensor, from_numpy, no_grad

if TYPE_CHECKING:
    from .combined import ChainDataset, ConcatDataset

__all__ = ["Dataset", "IterableDataset", "TensorDataset"]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A data set with a length whose samples are read by index.

    Define ``__getitem__(index)`` and ``__len__()``. For speed, a data set may also
    define ``__getitems__(indices)``, which returns a list of samples, or
    ``get_batch(indices)``, which returns a batch and takes the place of
    `default_collate`; if that reads tensors in memory and nothing else, an
    attribute ``in_memory = True`` saves the loader worker processes.

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
        # Not NotImplementedError: list() asks for a length and goes without.
        raise TypeError(f"{type(self).__name__} must define __len__")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        from .combined import ConcatDataset

        return ConcatDataset([self, other])


class IterableDataset(Generic[T_co]):
    """A data set that is a stream: define ``__iter__``.

    A loader reads a stream by one worker, whatever `num_workers` is, so that no
    sample comes twice; `get_worker_info` says so to a stream that would read a
    share of its own.

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

    def __add__(self, other: IterableDataset[Any]) -> ChainDataset:
        from .combined import ChainDataset

        return ChainDataset([self, other])


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

    in_memory = True

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

    def get_batch(self, indices: Sequence[int] | np.ndarray) -> list[Tensor]:
        """Returns the rows `indices` of every tensor."""
        # An array comes from a sampler, and the op checks it anyway.
        if not isinstance(indices, np.ndarray):
            indices = wrap_indices(indices, len(self))
        rows = from_numpy(indices)
        with no_grad():
            return [t.index_select(0, rows) for t in self.tensors]


def wrap_indices(indices: Sequence[int], n: int) -> np.ndarray:
    """Indices as int64, negative ones counted from the end, checked."""
    rows = np.asarray(indices, dtype=np.int64)
    if not rows.size or (rows.min() >= 0 and rows.max() < n):
        return rows
    bad = (rows < -n) | (rows >= n)
    if bad.any():
        raise IndexOutOfRange(
            f"index {rows[bad][0]} is out of range for {n} samples; "
            f"valid: {-n}..{n - 1}"
        )
    return np.where(rows < 0, rows + n, rows)
