"""Functions of `ferrule` that divide a tensor into views; see Tensor's methods."""

from __future__ import annotations

from ._ferrule import Tensor

__all__ = [
    "as_strided",
    "chunk",
    "dsplit",
    "hsplit",
    "split",
    "split_with_sizes",
    "tensor_split",
    "unbind",
    "vsplit",
]

as_strided = Tensor.as_strided
chunk = Tensor.chunk
dsplit = Tensor.dsplit
hsplit = Tensor.hsplit
split = Tensor.split
split_with_sizes = Tensor.split_with_sizes
tensor_split = Tensor.tensor_split
unbind = Tensor.unbind
vsplit = Tensor.vsplit
