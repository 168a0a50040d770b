"""Event files: TFRecords that hold the protobuf message `Event`.

Numbers of fields are those of TensorFlow's event.proto and summary.proto.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from pathlib import Path

from ..._ferrule import _crc32c
from . import _protobuf as pb

__all__ = ["EventFile"]

_count = itertools.count()


class EventFile:
    """One event file, which is appended to."""

    def __init__(
        self, folder: str | os.PathLike[str], flush_secs: float, suffix: str = ""
    ) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = (
            f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}."
            f"{os.getpid()}.{next(_count)}{suffix}"
        )
        self.path = Path(folder) / name
        self._file = self.path.open("xb")
        self._flush_secs = flush_secs
        self._flushed = time.monotonic()
        self.event(pb.text(3, "brain.Event:2"))
        self.flush()

    def event(
        self, what: bytes, step: int | None = None, walltime: float | None = None
    ) -> None:
        """Appends an event; `what` are its other fields."""
        head = pb.double(1, time.time() if walltime is None else walltime)
        if step is not None:
            head += pb.integer(2, step)
        self._file.write(_record(head + what))
        if time.monotonic() - self._flushed >= self._flush_secs:
            self.flush()

    def flush(self) -> None:
        """Gives all to the system."""
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flushes and closes; again does nothing."""
        self._file.close()


def _record(message: bytes) -> bytes:
    """A TFRecord: length, its checksum, the message, its checksum."""
    length = struct.pack("<Q", len(message))
    return length + _checksum(length) + message + _checksum(message)


def _checksum(message: bytes) -> bytes:
    """CRC32C, rotated and moved so that sums of sums are no sums again."""
    crc = _crc32c(message)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
