"""`default_collate` makes a batch of samples, `default_convert` one of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..._ferrule import (
    DTypeError,
    ShapeError,
    Tensor,
    as_tensor,
    float64,
    from_numpy,
    stack,
    tensor,
)

__all__ = ["default_collate", "default_convert"]


def default_collate(batch: Sequence[Any]) -> Any:
    """Stacks samples along a new first dimension.

    Tensors and arrays of one shape are stacked; numbers become a tensor (int64,
    float64 or bool); mappings, named tuples and lists are collated by member and
    keep their type, tuples become a list; strings and bytes stay a list.

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
    if _is_array(first):
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
        return _like(first, members)
    if isinstance(first, (tuple, list)):
        _check_same([len(sample) for sample in batch], "length")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return _like(first, parts)
    raise DTypeError(
        f"[default_collate] samples of type {_type_name(first)} cannot be made "
        "a batch; return tensors, arrays, numbers, strings or containers of them, "
        "or give the DataLoader a collate_fn"
    )


def default_convert(data: Any) -> Any:
    """Makes tensors of the arrays in a sample; all else stays as it is.

    What a `DataLoader` without batches does to its samples.

    Args:
        data: a sample; mappings, tuples and lists are converted by member.

    Example:
        >>> import numpy as np
        >>> import ferrule as fe
        >>> fe.utils.data.default_convert({"x": np.zeros(3), "name": "a"})["x"].shape
        (3,)
    """
    if _is_array(data):
        return as_tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {k: default_convert(v) for k, v in data.items()})
    if isinstance(data, (tuple, list)):
        parts = [default_convert(v) for v in data]
        return _like(data, parts)
    return data


def _is_array(value: Any) -> bool:
    """Is it an array, or a scalar of NumPy, of numbers?"""
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc"


def _type_name(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"ndarray of {value.dtype}"
    return type(value).__name__


def _like(first: Any, parts: Any) -> Any:
    """A container of the type of `first`, if its constructor is the usual one.

    A plain tuple becomes a list, as in PyTorch.
    """
    if hasattr(first, "_fields"):  # a named tuple
        return type(first)(*parts)
    if type(first) in (dict, tuple, list):
        return parts
    make: Callable[[Any], Any] = type(first)
    try:
        return make(parts)
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
