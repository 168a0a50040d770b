"""`CIFAR10` and `CIFAR100`: 32 x 32 colour images."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._ferrule import FormatError, Tensor
from ._download import cache_dir, download
from ._files import not_found, places
from ._images import ImageDataset

__all__ = ["CIFAR10", "CIFAR100"]

_PIXELS = 3 * 32 * 32


class CIFAR10(ImageDataset):
    """Small photographs in ten classes: 50,000 for training, 10,000 for testing.

    Sample i is ``(image, label)``: float32 of shape (3, 32, 32) from 0 to 1, and an
    int. A batch is (B, 3, 32, 32) and int64 (B,).

    The binary version is read (that for Python is pickled, and loading it could run
    code): "cifar-10-binary.tar.gz", or the folder "cifar-10-batches-bin" that is in
    it. It is looked for in `root`, in $FERRULE_DATA and in the cache
    ($XDG_CACHE_HOME/ferrule or ~/.cache/ferrule), each time in the folder "cifar-10"
    and then in the place itself; what is not found is downloaded into `root` or else
    the cache, and checked by SHA-256.

    Args:
        root: folder of the files.
        train: True for the training images, False for the test images.
        download: False raises an error instead of downloading.
        transform: applied to the image of every sample.

    Attributes:
        images: uint8, shape (N, 3, 32, 32).
        labels: int64, shape (N,).
        classes: the names of the labels.

    Raises:
        FileNotFoundError: no files, and `download` is False.
        FormatError: a file is damaged.
        FerruleError: the download failed.

    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images",
    2009.

    Example:
        >>> import ferrule as fe
        >>> fe.datasets.CIFAR10.classes[3]
        'cat'
    """

    folder = "cifar-10"
    archive = "cifar-10-binary.tar.gz"
    inside = "cifar-10-batches-bin"
    files: tuple[tuple[str, ...], tuple[str, ...]] = (
        ("test_batch.bin",),
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    )
    """Of the test and of the training images."""
    label_bytes = 1
    """Before the pixels of an image; the last one counts."""
    labels_below = 10
    mirrors: tuple[str, ...] = ("https://www.cs.toronto.edu/~kriz/",)
    sha256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    classes: tuple[str, ...] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        download: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        self.train = train
        parts = self._find(root)
        if parts is None:
            parts = self._read_archive(self._get(root, download))
        records = np.concatenate(
            [self._records(name, part) for name, part in parts.items()]
        )
        labels = records[:, self.label_bytes - 1]
        if labels.size and labels.max() >= self.labels_below:
            raise FormatError(
                f"[{type(self).__name__}] there is a label {labels.max()}; there are "
                f"{self.labels_below} classes"
            )
        images = records[:, self.label_bytes :].reshape(-1, 3, 32, 32)
        super().__init__(np.ascontiguousarray(images), labels, transform)

    def _find(self, root: str | os.PathLike[str] | None) -> dict[str, bytes] | None:
        """The files by name, from the first place that has them."""
        for place in places(root, self.folder):
            for folder in (place / self.inside, place):
                paths = [folder / name for name in self.files[self.train]]
                if all(path.is_file() for path in paths):
                    return {str(path): path.read_bytes() for path in paths}
            if (place / self.archive).is_file():
                return self._read_archive(place / self.archive)
        return None

    def _read_archive(self, path: Path) -> dict[str, bytes]:
        parts = {}
        try:
            with tarfile.open(path) as archive:
                for name in self.files[self.train]:
                    member = archive.extractfile(f"{self.inside}/{name}")
                    if member is None:
                        raise KeyError(f"{name} is no file")
                    parts[f"{path}: {name}"] = member.read()
        except (tarfile.TarError, KeyError, OSError, EOFError) as error:
            raise FormatError(
                f"[{type(self).__name__}] {path} is damaged: {error}"
            ) from error
        return parts

    def _records(self, name: str, data: bytes) -> np.ndarray:
        size = self.label_bytes + _PIXELS
        if len(data) % size:
            raise FormatError(
                f"[{type(self).__name__}] {name} has {len(data)} bytes, which is no "
                f"multiple of the {size} of an image"
            )
        return np.frombuffer(data, np.uint8).reshape(-1, size)

    def _get(self, root: str | os.PathLike[str] | None, allowed: bool) -> Path:
        if not allowed:
            what = f"{self.archive} or {self.inside}"
            raise not_found(type(self).__name__, what, root, self.folder)
        target = (Path(root) if root else cache_dir()) / self.folder
        return download(self.archive, self.sha256, self.mirrors, target)


class CIFAR100(CIFAR10):
    """Small photographs in a hundred classes, in the format of `CIFAR10`.

    The files are looked for in the folder "cifar-100"; their names begin with
    "cifar-100-binary". A label is the fine one; the names of the classes stand in
    the archive's "fine_label_names.txt".

    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images",
    2009.

    Example:
        >>> import ferrule as fe
        >>> fe.datasets.CIFAR100.labels_below
        100
    """

    folder = "cifar-100"
    archive = "cifar-100-binary.tar.gz"
    inside = "cifar-100-binary"
    files = (("test.bin",), ("train.bin",))
    label_bytes = 2
    labels_below = 100
    sha256 = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
    classes = ()
