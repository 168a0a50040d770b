"""Batches of sequences of several lengths: padded and packed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..._ferrule import InvalidValue, ShapeError, Tensor, full, ops, tensor
from .._packed import (
    Lengths,
    PackedSequence,
    checked_lengths,
    invert_permutation,
    pack,
    unpack,
)

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Packs a padded batch, for recurrent layers.

    Args:
        input: (steps, batch, ...), or (batch, steps, ...) with `batch_first`.
        lengths: of the sequences; at least 1.
        batch_first: see `input`.
        enforce_sorted: the longest sequence comes first, and so on; False sorts.

    Raises:
        InvalidValue: lengths that do not fit or are not sorted.
        ShapeError: `input` has fewer than two dimensions.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[1, 2, 3], [4, 0, 0]])
        >>> fe.nn.utils.rnn.pack_padded_sequence(x, [3, 1], batch_first=True).data
        tensor([1, 4, 2, 3], shape=(4,), dtype=int64, device=cpu)
    """
    name = "pack_padded_sequence"
    if input.ndim < 2:
        raise ShapeError(
            f"[{name}] input must have the dimensions of steps and batch, got shape "
            f"{input.shape}"
        )
    padded = input.transpose(0, 1) if batch_first else input
    values = checked_lengths(name, lengths, int(padded.shape[1]))
    if values.max() > padded.shape[0]:
        raise InvalidValue(
            f"[{name}] a length is {values.max()}, the input has "
            f"{padded.shape[0]} steps"
        )
    order = None
    if not enforce_sorted:
        places = np.argsort(-values, kind="stable")
        values = values[places]
        order = tensor(places)
        padded = ops.index_select(padded, 1, order)
    elif np.any(np.diff(values) > 0):
        raise InvalidValue(
            f"[{name}] lengths must not increase, got {values.tolist()}; pass "
            "enforce_sorted=False to have the batch sorted"
        )
    where = Lengths(values, int(padded.shape[0]))
    return PackedSequence(pack(padded, where), where.batch_sizes, order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded batch of a packed one, and the lengths; undoes the sorting.

    Args:
        sequence: a packed batch.
        batch_first: (batch, steps, ...) instead of (steps, batch, ...).
        padding_value: stands behind the shorter sequences.
        total_length: how many steps the result has; None: as many as the longest.

    Raises:
        InvalidValue: `total_length` is less than the longest sequence.

    Example:
        >>> import ferrule as fe
        >>> rnn = fe.nn.utils.rnn
        >>> packed = rnn.pack_sequence([fe.tensor([1, 2]), fe.tensor([3])])
        >>> padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True)
        >>> padded.tolist(), lengths.tolist()
        ([[1, 2], [3, 0]], [2, 1])
    """
    where = Lengths.of(sequence, total_length)
    if where.steps < where.longest:
        raise InvalidValue(
            f"[pad_packed_sequence] total_length is {total_length}, the longest "
            f"sequence has {where.longest} steps"
        )
    padded = unpack(sequence.data, where, padding_value)
    lengths = tensor(where.lengths)
    if sequence.unsorted_indices is not None:
        padded = ops.index_select(padded, 1, sequence.unsorted_indices)
        lengths = ops.index_select(lengths, 0, sequence.unsorted_indices)
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stacks sequences of several lengths, padded to the longest.

    Args:
        sequences: each (steps, ...).
        batch_first: (batch, steps, ...) instead of (steps, batch, ...).
        padding_value: stands beside the shorter sequences.
        padding_side: "right" (behind them) or "left".

    Raises:
        InvalidValue: no sequence, or another side.
        ShapeError: sequences that differ in more than their lengths.

    Example:
        >>> import ferrule as fe
        >>> a, b = fe.tensor([1, 2]), fe.tensor([3])
        >>> fe.nn.utils.rnn.pad_sequence([a, b], batch_first=True).tolist()
        [[1, 2], [3, 0]]
    """
    if padding_side not in ("left", "right"):
        raise InvalidValue(
            "[pad_sequence] padding_side must be 'left' or 'right', got "
            f"{padding_side!r}"
        )
    rows = list(sequences.unbind(0) if isinstance(sequences, Tensor) else sequences)
    if not rows:
        raise InvalidValue("[pad_sequence] needs at least one sequence")
    for i, x in enumerate(rows):
        if x.ndim == 0 or x.shape[1:] != rows[0].shape[1:]:
            raise ShapeError(
                f"[pad_sequence] sequence {i} has shape {x.shape}, the first "
                f"{rows[0].shape}; they may differ in the first dimension only"
            )
    longest = max(int(x.shape[0]) for x in rows)
    padded = []
    for x in rows:
        missing = longest - int(x.shape[0])
        if missing:
            shape = (missing, *x.shape[1:])
            filler = full(shape, padding_value, dtype=x.dtype, device=x.device)
            parts = [filler, x] if padding_side == "left" else [x, filler]
            x = ops.cat(parts, 0)
        padded.append(x)
    return ops.stack(padded, 0 if batch_first else 1)


def pack_sequence(
    sequences: Sequence[Tensor], enforce_sorted: bool = True
) -> PackedSequence:
    """Packs sequences of several lengths, each (steps, ...).

    Args:
        sequences: a list of them.
        enforce_sorted: the longest comes first, and so on; False sorts.

    Raises:
        InvalidValue, ShapeError: as of `pad_sequence` and `pack_padded_sequence`.

    Example:
        >>> import ferrule as fe
        >>> a, b = fe.tensor([1, 2]), fe.tensor([3])
        >>> fe.nn.utils.rnn.pack_sequence([a, b]).data.tolist()
        [1, 3, 2]
    """
    lengths = [int(x.shape[0]) for x in sequences]
    return pack_padded_sequence(
        pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted
    )


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded batch, as a list.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([[1, 2], [3, 0]])
        >>> [s.tolist() for s in fe.nn.utils.rnn.unpad_sequence(x, [2, 1], True)]
        [[1, 2], [3]]
    """
    rows: Any = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    values = checked_lengths("unpad_sequence", lengths, int(rows.shape[0]))
    return [x.narrow(0, 0, int(n)) for x, n in zip(rows.unbind(0), values, strict=True)]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch, as a list in the order given.

    Example:
        >>> import ferrule as fe
        >>> packed = fe.nn.utils.rnn.pack_sequence([fe.tensor([1, 2]), fe.tensor([3])])
        >>> [s.tolist() for s in fe.nn.utils.rnn.unpack_sequence(packed)]
        [[1, 2], [3]]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
