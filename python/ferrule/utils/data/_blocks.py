"""Hands objects from a worker process to its reader through shared memory.

The arrays and tensors of an object, and its pickle, are laid into one block: a file
in memory that has no name, so that nothing is left behind however a process ends.
The reader's arrays and tensors are the block itself, without a copy. When the last
of them is gone, the worker is told, and uses the block again.

Messages are few bytes of fixed size, so a worker never waits for its reader.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import tempfile
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..._ferrule import Tensor, from_numpy

# What kind of message, the batch's number, the block, the size of the block if it is
# new (its file follows), and where in it the pickle is.
_MESSAGE = struct.Struct("<qqqqqq")
RESULT, FAILURE, _DROPPED = range(3)
_ALIGNMENT = 64
_SMALLEST = 1 << 16
# Beyond so many blocks in the hands of the program, batches are copied out: a
# block costs an open file.
_MOST_OUT = 64
# What NumPy has a dtype for; other tensors are copied.
_DTYPES = {
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
}


class Message(NamedTuple):
    """A worker's word: an object for batch `number`."""

    kind: int
    number: int
    value: Any


def _round_up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def _nameless_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("ferrule-loader")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd


def _over_block(block: Any, dtype: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor whose elements are those of a buffer."""
    return from_numpy(np.frombuffer(block, dtype).reshape(shape))


class _Pickler(pickle.Pickler):
    """Leaves the elements of plain tensors out of the pickle."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor or value.requires_grad:
            return NotImplemented
        name = str(value.dtype).rpartition(".")[2]
        if name not in _DTYPES or not value.numel():
            return NotImplemented
        buffer = value.__reduce_ex__(5)[1][0]
        return _over_block, (buffer, name, tuple(value.shape))


class BlockWriter:
    """A worker's end.

    Args:
        channel: a socket that can pass files on.
        keep: blocks that are kept when they are not in use.
    """

    def __init__(self, channel: socket.socket, keep: int) -> None:
        self._channel = channel
        self._keep = keep
        self._blocks: dict[int, mmap.mmap] = {}
        self._free: list[int] = []
        self._made = 0

    def freed(self, blocks: list[int]) -> None:
        """The reader has done with these blocks."""
        self._free += blocks
        self._free.sort(key=lambda i: len(self._blocks[i]))
        while len(self._free) > self._keep:
            self._drop(self._free.pop(0))

    def send(self, kind: int, number: int, value: Any) -> None:
        """Sends an object; raises what pickle raises, and then sends nothing."""
        pieces: list[memoryview] = []
        packed = _Bytes()
        _Pickler(packed, 5, buffer_callback=lambda b: pieces.append(b.raw())).dump(
            value
        )
        layout, end = [], 0
        for piece in pieces:
            layout.append((end, piece.nbytes))
            end = _round_up(end + piece.nbytes, _ALIGNMENT)
        head = pickle.dumps((layout, bytes(packed)))
        block, new_file = self._take(end + len(head))
        memory = self._blocks[block]
        for (start, size), piece in zip(layout, pieces, strict=True):
            memory[start : start + size] = piece
        memory[end : end + len(head)] = head
        size = len(memory) if new_file is not None else 0
        self._tell((kind, number, block, size, end, len(head)), new_file)

    def _take(self, size: int) -> tuple[int, int | None]:
        """A block of at least `size` bytes, and its file if it is new."""
        for i, block in enumerate(self._free):
            if len(self._blocks[block]) >= size:
                return self._free.pop(i), None
        # They are all too small now, and will be.
        if self._free:
            self._drop(self._free.pop())
        block = self._made
        self._made += 1
        size = _round_up(size + size // 8, _SMALLEST)
        fd = _nameless_file(size)
        self._blocks[block] = mmap.mmap(fd, size)
        return block, fd

    def _drop(self, block: int) -> None:
        self._blocks.pop(block).close()
        self._tell((_DROPPED, 0, block, 0, 0, 0), None)

    def _tell(self, message: tuple[int, ...], file: int | None) -> None:
        packed = _MESSAGE.pack(*message)
        if file is None:
            self._channel.sendall(packed)
        else:
            socket.send_fds(self._channel, [packed], [file])
            os.close(file)


class _Bytes(bytearray):
    """What a pickler can write to."""

    def write(self, data: Any) -> None:
        self += data


class BlockReader:
    """The reader's end.

    Args:
        channel: the other end of the worker's socket.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._blocks: dict[int, mmap.mmap] = {}
        self._owners: dict[int, weakref.ref[np.ndarray]] = {}
        # The program may drop a batch in any thread and at any time.
        self._freed: deque[int] = deque()

    def freed(self) -> list[int]:
        """Blocks that the program has done with since this was asked for."""
        blocks = []
        while self._freed:
            blocks.append(self._freed.popleft())
            self._owners.pop(blocks[-1], None)
        return blocks

    def receive(self) -> Message | None:
        """Reads one message; None if it was between the two ends.

        Raises:
            EOFError: the worker is gone.
        """
        data = b""
        files: list[int] = []
        while len(data) < _MESSAGE.size:
            try:
                part, new, _, _ = socket.recv_fds(
                    self._channel, _MESSAGE.size - len(data), 1
                )
            except ConnectionError:
                part = b""
            if not part:
                raise EOFError("the worker is gone")
            data, files = data + part, files + new
        kind, number, block, size, start, length = _MESSAGE.unpack(data)
        if kind == _DROPPED:
            del self._blocks[block]
            return None
        if files:
            self._blocks[block] = mmap.mmap(files[0], size)
            os.close(files[0])
        return Message(kind, number, self._open(block, start, length))

    def _open(self, block: int, start: int, length: int) -> Any:
        memory = self._blocks[block]
        layout, packed = pickle.loads(memory[start : start + length])
        if not layout or len(self._owners) >= _MOST_OUT:
            copies = [bytearray(memory[a : a + n]) for a, n in layout]
            self._freed.append(block)
            return pickle.loads(packed, buffers=copies)
        # Every array over the block keeps this one alive.
        owner = np.frombuffer(memory, np.uint8)
        self._owners[block] = weakref.ref(owner, _appender(self._freed, block))
        return pickle.loads(packed, buffers=[owner[a : a + n] for a, n in layout])


def _appender(freed: deque[int], block: int) -> Callable[[Any], None]:
    return lambda _: freed.append(block)
