"""The little of the protocol buffers' encoding that event files need.

A message is the concatenation of its fields, in any order. Source: "Encoding",
protobuf.dev.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

__all__ = ["boolean", "data", "double", "doubles", "floating", "integer", "text"]

_VARINT, _64_BITS, _BYTES, _32_BITS = 0, 1, 2, 5


def _varint(value: int) -> bytes:
    value &= 2**64 - 1  # negative numbers are sent as 64 bits
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def integer(field: int, value: int) -> bytes:
    """A field of an integer or enum type."""
    return _key(field, _VARINT) + _varint(value)


def boolean(field: int, value: bool) -> bytes:
    """A field of type bool."""
    return integer(field, int(value))


def double(field: int, value: float) -> bytes:
    """A field of type double."""
    return _key(field, _64_BITS) + struct.pack("<d", value)


def floating(field: int, value: float) -> bytes:
    """A field of type float. What is beyond its range becomes infinite."""
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        packed = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return _key(field, _32_BITS) + packed


def data(field: int, value: bytes) -> bytes:
    """A field of type bytes, or a message."""
    return _key(field, _BYTES) + _varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """A field of type string."""
    return data(field, value.encode())


def doubles(field: int, values: Iterable[float]) -> bytes:
    """A repeated field of type double."""
    numbers = list(values)
    return data(field, struct.pack(f"<{len(numbers)}d", *numbers))
