"""`default_collate`: makes one batch of a list of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..._ferrule import (
    DTypeError,
    ShapeError,
    Tensor,
    float64,
    from_numpy,
    stack,
    tensor,
)

__all__ = ["default_collate"]


def default_collate(batch: Sequence[Any]) -> Any:
    """Stacks samples along a new first dimension.

    Tensors and arrays of one shape are stacked; numbers become a tensor (int64,
    float64 or bool); mappings, tuples and lists are collated by member and keep
    their type; strings and bytes stay a list.

    Args:
        batch: at least one sample, all of the same structure.

    Raises:
        ShapeError: shapes or lengths of samples differ.
        DTypeError: a type that cannot be collated.
        ValueError: no sample.

    Example:
        >>> import ferrule as fe
        >>> x, y = fe.utils.data.default_collate([(fe.ones((3,)), 0)] * 2)
        >>> x.shape, y.tolist()
        ((2, 3), [0, 0])
    """
    if not batch:
        raise ValueError("[default_collate] the batch has no sample")
    first = batch[0]
    if isinstance(first, Tensor):
        _check_same([t.shape for t in batch], "shape")
        return stack(list(batch))
    if isinstance(first, (np.ndarray, np.generic)):
        _check_same([np.shape(a) for a in batch], "shape")
        return from_numpy(np.stack(batch))
    if isinstance(first, (bool, int)):
        return tensor(list(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype=float64)
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        members = {k: default_collate([sample[k] for sample in batch]) for k in first}
        return members if type(first) is dict else _like(first, members)
    if isinstance(first, (tuple, list)):
        _check_same([len(sample) for sample in batch], "length")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        if hasattr(first, "_fields"):  # a named tuple
            return type(first)(*parts)
        return _like(first, parts)
    raise DTypeError(
        f"[default_collate] samples of type {type(first).__name__} cannot be made "
        "a batch; return tensors, arrays, numbers, strings or containers of them, "
        "or give the DataLoader a collate_fn"
    )


def _like(first: Any, parts: Any) -> Any:
    """A container of the type of `first`, if its constructor is the usual one."""
    try:
        return type(first)(parts)
    except TypeError:
        return parts


def _check_same(values: list[Any], what: str) -> None:
    for i, value in enumerate(values):
        if value != values[0]:
            raise ShapeError(
                f"[default_collate] sample 0 of the batch has {what} {values[0]}, but "
                f"sample {i} {value}; make them equal or give the DataLoader a "
                "collate_fn"
            )
