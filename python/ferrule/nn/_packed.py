"""`PackedSequence`: sequences of several lengths without padding.

The steps of a batch stand one after the other, the longest sequence first; at step
t stand those sequences that are longer than t.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._ferrule import (
    Device,
    DType,
    InvalidValue,
    Tensor,
    as_tensor,
    full,
    int64,
    ops,
    tensor,
)

__all__ = ["Lengths", "PackedSequence", "invert_permutation", "pack", "unpack"]


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Where every entry of a permutation stands in it; None gives None.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.utils.rnn.invert_permutation(fe.tensor([2, 0, 1])).tolist()
        [1, 2, 0]
    """
    if permutation is None:
        return None
    return tensor(np.argsort(permutation.numpy(), kind="stable"))


class PackedSequence(_Fields):
    """A batch of sequences of several lengths, as recurrent layers take it.

    Made by `pack_padded_sequence` and `pack_sequence`.

    Args:
        data: (sum of all lengths, ...): step 0 of all sequences, step 1 of those
            that have one, and so on; the longest sequence first.
        batch_sizes: int64, how many sequences have a step t.
        sorted_indices: which sequence of the batch stands at each place; None: as
            given.
        unsorted_indices: the inverse of it.

    Example:
        >>> import ferrule as fe
        >>> a, b = fe.tensor([1.0]), fe.tensor([2.0, 3.0])
        >>> packed = fe.nn.utils.rnn.pack_sequence([a, b], enforce_sorted=False)
        >>> packed.data.tolist(), packed.batch_sizes.tolist()
        ([2.0, 1.0, 3.0], [2, 1])
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data: Tensor) -> PackedSequence:
        return PackedSequence(data, *self[1:])

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Converts the data; arguments as of `Tensor.to`."""
        return self._with(self.data.to(*args, **kwargs))

    def cpu(self) -> PackedSequence:
        """Moves the data to the CPU."""
        return self.to("cpu")

    def float(self) -> PackedSequence:
        """Converts the data to float32."""
        return self._with(self.data.float())

    def double(self) -> PackedSequence:
        """Converts the data to float64."""
        return self._with(self.data.double())

    def half(self) -> PackedSequence:
        """Converts the data to float16."""
        return self._with(self.data.half())

    @property
    def dtype(self) -> DType:
        return self.data.dtype

    @property
    def device(self) -> Device:
        return self.data.device


class Lengths:
    """Where the steps of sequences stand, padded and packed.

    Args:
        lengths: of the sequences, longest first.
        steps: of the padded batch; at least the largest length.
    """

    def __init__(self, lengths: np.ndarray, steps: int | None = None) -> None:
        self.lengths = lengths
        self.longest = int(lengths.max())
        self.steps = self.longest if steps is None else steps
        step = np.arange(self.steps)[:, None]
        self._valid = step < lengths  # (steps, batch)

    @classmethod
    def of(cls, packed: PackedSequence, steps: int | None = None) -> Lengths:
        sizes = packed.batch_sizes.numpy()
        places = np.arange(sizes[0])[:, None]
        return cls((places < sizes).sum(1), steps)

    @property
    def batch_sizes(self) -> Tensor:
        return tensor(self._valid[: self.longest].sum(1))

    @property
    def packed_order(self) -> Tensor:
        """Which row of (steps * batch, ...) each packed row is."""
        return tensor(np.flatnonzero(self._valid))

    @property
    def padded_order(self) -> Tensor:
        """Which packed row each row of (steps * batch, ...) is; padding: the last."""
        order = np.full(self._valid.size, int(self.lengths.sum()))
        order[np.flatnonzero(self._valid)] = np.arange(self.lengths.sum())
        return tensor(order)

    def _rows(self, step: np.ndarray) -> Tensor:
        """The rows of (steps * batch, ...) of a step of every sequence."""
        return tensor((step * len(self.lengths) + np.arange(len(self.lengths))).ravel())

    def reversed(self, x: Tensor) -> Tensor:
        """(steps, batch, ...) with each sequence, not its padding, backwards."""
        step = np.arange(self.steps)[:, None]
        rows = self._rows(np.where(self._valid, self.lengths - 1 - step, step))
        return ops.index_select(x.flatten(0, 1), 0, rows).reshape(x.shape)

    def last(self, x: Tensor) -> Tensor:
        """The last step of every sequence of (steps, batch, ...)."""
        return ops.index_select(x.flatten(0, 1), 0, self._rows(self.lengths - 1))


def pack(padded: Tensor, lengths: Lengths) -> Tensor:
    """The packed rows of (steps, batch, ...)."""
    return ops.index_select(padded.flatten(0, 1), 0, lengths.packed_order)


def unpack(data: Tensor, lengths: Lengths, padding_value: float) -> Tensor:
    """(steps, batch, ...) of packed rows."""
    padding = full(
        (1, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device
    )
    rows = ops.index_select(ops.cat([data, padding], 0), 0, lengths.padded_order)
    return rows.reshape((lengths.steps, len(lengths.lengths), *data.shape[1:]))


def checked_lengths(name: str, lengths: Any, batch: int) -> np.ndarray:
    """Lengths as an array: one for each sequence, all of them at least 1."""
    given = as_tensor(lengths)
    values: np.ndarray = given.to(int64).numpy()
    if given.ndim != 1 or len(values) != batch:
        raise InvalidValue(
            f"[{name}] lengths must be one number for each of the {batch} sequences, "
            f"got shape {given.shape}"
        )
    if len(values) == 0 or values.min() < 1:
        raise InvalidValue(
            f"[{name}] every length must be 1 or more, got {values.tolist()}"
        )
    return values
