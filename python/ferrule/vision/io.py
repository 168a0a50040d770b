"""Reads and writes image files, by Pillow."""

from __future__ import annotations

import os
from enum import Enum
from io import BytesIO
from typing import Any

import numpy as np

from .._ferrule import DTypeError, FormatError, ShapeError, Tensor, from_numpy, uint8

__all__ = [
    "ImageReadMode",
    "decode_image",
    "read_image",
    "write_jpeg",
    "write_png",
]


class ImageReadMode(Enum):
    """Which channels an image is read with; the values are Pillow's modes."""

    UNCHANGED = ""
    GRAY = "L"
    GRAY_ALPHA = "LA"
    RGB = "RGB"
    RGB_ALPHA = "RGBA"


def pillow() -> Any:
    """The module `PIL.Image`, imported when it is first needed."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "[vision] images are decoded by Pillow: pip install pillow"
        ) from error
    return Image


def read_image(
    path: str | os.PathLike[str],
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
) -> Tensor:
    """Reads an image file: PNG, JPEG, or what else Pillow knows.

    Args:
        path: the file.
        mode: which channels: an `ImageReadMode`, or the name of one.

    Returns:
        uint8 of shape (channels, height, width).

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: it is no image, or damaged.
        ImportError: Pillow is not installed.

    Example:
        >>> import os, tempfile
        >>> import ferrule as fe
        >>> path = os.path.join(tempfile.mkdtemp(), "image.png")
        >>> fe.vision.io.write_png(fe.zeros((3, 4, 5), dtype=fe.uint8), path)
        >>> fe.vision.io.read_image(path).shape
        (3, 4, 5)
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        return _decode(file, name, mode)


def decode_image(
    input: Tensor | bytes, mode: ImageReadMode | str = ImageReadMode.UNCHANGED
) -> Tensor:
    """Decodes the bytes of an image file; see `read_image`.

    Args:
        input: bytes, or a uint8 tensor of one dimension.
        mode: which channels.
    """
    if isinstance(input, Tensor):
        if input.dtype != uint8 or input.ndim != 1:
            raise DTypeError(
                "[decode_image] expected uint8 of one dimension, got "
                f"{input.dtype} {input.shape}"
            )
        input = input.numpy().tobytes()
    return _decode(BytesIO(input), f"{len(input)} bytes", mode)


def _decode(file: Any, name: str, mode: ImageReadMode | str) -> Tensor:
    image_module = pillow()
    if isinstance(mode, str):
        mode = ImageReadMode[mode.upper()]
    try:
        with image_module.open(file) as image:
            wanted = mode.value or _plain_mode(image)
            if image.mode != wanted:
                image = image.convert(wanted)
            return tensor_of(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise FormatError(f"[read_image] {name}: {error}") from error


def _plain_mode(image: Any) -> str:
    """The mode that has the image's own channels, as bytes."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return str(image.mode)
    if image.mode == "P":
        return "RGBA" if "transparency" in image.info else "RGB"
    return "L" if image.mode in ("1", "I", "I;16", "F") else "RGB"


def tensor_of(image: Any) -> Tensor:
    """An image of Pillow, or an array (H, W) or (H, W, C), as (C, H, W)."""
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ShapeError(
            "[vision] expected an image of shape (H, W) or (H, W, C), got "
            f"{array.shape}"
        )
    return from_numpy(np.array(array.transpose(2, 0, 1), order="C"))


def _image_of(input: Tensor, who: str) -> Any:
    if input.dtype != uint8 or input.ndim != 3 or input.shape[0] not in (1, 3, 4):
        raise ShapeError(
            f"[{who}] expected uint8 of shape (1, 3 or 4, H, W), got {input.dtype} "
            f"{input.shape}"
        )
    array = np.ascontiguousarray(input.numpy().transpose(1, 2, 0))
    return pillow().fromarray(array[:, :, 0] if array.shape[2] == 1 else array)


def write_png(
    input: Tensor, filename: str | os.PathLike[str], compression_level: int = 6
) -> None:
    """Writes uint8 of shape (1, 3 or 4, H, W) as a PNG file."""
    _image_of(input, "write_png").save(
        filename, "PNG", compress_level=compression_level
    )


def write_jpeg(
    input: Tensor, filename: str | os.PathLike[str], quality: int = 75
) -> None:
    """Writes uint8 of shape (1 or 3, H, W) as a JPEG file."""
    _image_of(input, "write_jpeg").save(filename, "JPEG", quality=quality)
