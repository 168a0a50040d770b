"""The named tuples of functions with several results, as in `torch.return_types`.

>>> import ferrule as fe
>>> found = fe.tensor([[1.0, 5.0], [7.0, 2.0]]).max(dim=0)
>>> found.values.tolist(), found.indices.tolist()
([7.0, 5.0], [1, 0])
>>> type(found) is fe.return_types.max
True

Each has the name of its op, and its fields are the results that the op's definition
names. They are tuples, to be indexed and unpacked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import _ferrule
from ._ferrule import Tensor

if TYPE_CHECKING:
    from ._ops.return_types import *  # noqa: F403

globals().update(_ferrule.named_results())


class histogram(NamedTuple):
    """The results of `histogram`."""

    hist: Tensor
    bin_edges: Tensor


class linalg_lstsq(NamedTuple):
    """The results of `linalg.lstsq`."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


__all__ = ["histogram", "linalg_lstsq", *_ferrule.named_results()]
