"""Reads idx files, plain or gzipped.

Layout: two zero bytes, the type of the elements (8: uint8), the number of
dimensions, each dimension as a big-endian 32-bit number, and the elements.
Source: http://yann.lecun.com/exdb/mnist.
"""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

from .._ferrule import FormatError

_UINT8 = 8


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Returns the uint8 array of a file, which must have `ndim` dimensions.

    Raises:
        FormatError: it is no such file; the message says in what.
    """
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"[idx] {path} is no whole gzip file: {error}") from error
    head = 4 + 4 * ndim
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UINT8:
        raise FormatError(
            f"[idx] {path} does not begin as an idx file of uint8 (00 00 08), but "
            f"with {data[:3].hex(' ') or 'nothing'}"
        )
    if data[3] != ndim:
        raise FormatError(f"[idx] {path} has {data[3]} dimensions, expected {ndim}")
    if len(data) < head:
        raise FormatError(f"[idx] {path} ends within its header of {head} bytes")
    shape = tuple(np.frombuffer(data, ">u4", ndim, offset=4).tolist())
    if len(data) - head != prod(shape):
        raise FormatError(
            f"[idx] {path} says shape {shape}, which is {prod(shape)} bytes, but "
            f"holds {len(data) - head}"
        )
    # A copy, because bytes are read-only.
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape).copy()
