"""Arrays as pictures: their layout, a grid of many, PNG.

Source: "Portable Network Graphics (PNG) Specification", W3C.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

__all__ = ["grid", "pixels", "png"]

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels: PNG's code


def pixels(array: np.ndarray, layout: str) -> np.ndarray:
    """Bytes of shape (height, width, channels).

    Args:
        array: floats from 0 to 1, which are clipped to it, or uint8.
        layout: what its dimensions are, such as "CHW"; images of "NCHW" are laid
            out in a square grid.

    Raises:
        ValueError: the layout does not fit, or there are not 1 to 4 channels.
    """
    layout = layout.upper()
    if len(layout) != array.ndim or len(set(layout)) != len(layout):
        raise ValueError(
            f"[add_image] dataformats '{layout}' does not fit an image of shape "
            f"{array.shape}"
        )
    if not {"H", "W"} <= set(layout) <= set("NCHW"):
        raise ValueError(f"[add_image] unknown dataformats '{layout}'")
    for name, axis in (("C", array.ndim), ("N", 0)):
        if name not in layout:
            array = np.expand_dims(array, axis)
            layout = layout + "C" if name == "C" else "N" + layout
    array = array.transpose([layout.index(c) for c in "NHWC"])
    if array.shape[-1] not in _COLOR_TYPES or 0 in array.shape:
        raise ValueError(
            "[add_image] an image must have 1 to 4 channels and at least one pixel; "
            f"height, width and channels are {array.shape[1:]}"
        )
    if array.dtype != np.uint8:
        array = np.nan_to_num(array.astype(np.float64))
        array = (array.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return grid(array, int(np.ceil(np.sqrt(len(array)))))


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Images (count, height, width, channels) side by side, as one."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width, channels), images.dtype)
    cells[:count] = images
    cells = cells.reshape(rows, columns, height, width, channels)
    return cells.transpose(0, 2, 1, 3, 4).reshape(
        rows * height, columns * width, channels
    )


def png(image: np.ndarray) -> bytes:
    """A PNG file of bytes of shape (height, width, 1 to 4 channels)."""
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    # A byte before every row says that it is stored as it is.
    rows = np.zeros((height, 1 + width * channels), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows.tobytes()))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )
