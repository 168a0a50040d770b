"""`ImageFolder`: images in folders that are named after their classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from .._ferrule import Tensor
from ..utils.data import Dataset

__all__ = ["IMG_EXTENSIONS", "ImageFolder"]

IMG_EXTENSIONS = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),
)


def _read_rgb(path: str) -> Tensor:
    from ..vision.io import read_image

    return read_image(path, "RGB")


class ImageFolder(Dataset[tuple[Any, Any]]):
    """Image files, one folder for each class: root/cat/1.png, root/dog/a/2.jpg.

    Sample i is ``(image, class)``: uint8 of shape (3, H, W), unless `loader` says
    otherwise, and an int.

    Args:
        root: the folder of the classes' folders.
        transform: applied to the image of every sample.
        target_transform: applied to its class.
        loader: reads an image; None: `ferrule.vision.io.read_image`, as RGB.
        is_valid_file: says of a path whether it is an image; None goes by the
            name's ending.
        allow_empty: True accepts classes without an image.

    Attributes:
        classes: the folders' names, sorted.
        class_to_idx: their numbers.
        samples: (path, class) of every image, sorted by path.
        targets: the class of every image.

    Raises:
        FileNotFoundError: there is no folder in `root`, or one without images.

    Example:
        >>> import os, tempfile
        >>> import ferrule as fe
        >>> root = tempfile.mkdtemp()
        >>> os.mkdir(f"{root}/cat")
        >>> image = fe.zeros((3, 4, 5), dtype=fe.uint8)
        >>> fe.vision.io.write_png(image, f"{root}/cat/1.png")
        >>> data = fe.datasets.ImageFolder(root)
        >>> data.classes, data[0][0].shape, data[0][1]
        (['cat'], (3, 4, 5), 0)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        loader: Callable[[str], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        self.root = os.fspath(root)
        self.transform = transform
        self.target_transform = target_transform
        self.loader = loader or _read_rgb
        self.classes = sorted(p.name for p in Path(self.root).iterdir() if p.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"[ImageFolder] there is no folder in {self.root}")
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        is_image = is_valid_file or _has_image_ending
        paths: list[str] = []
        targets: list[int] = []
        for name, number in self.class_to_idx.items():
            found = sorted(_files(os.path.join(self.root, name), is_image))
            if not found and not allow_empty:
                raise FileNotFoundError(
                    f"[ImageFolder] no image in {os.path.join(self.root, name)}; "
                    f"known endings: {' '.join(IMG_EXTENSIONS)}"
                )
            paths += found
            targets += [number] * len(found)
        self.samples = _Samples(paths, targets)

    @property
    def targets(self) -> list[int]:
        """The class of every image."""
        targets: list[int] = self.samples.targets.tolist()
        return targets

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        image = self.loader(path)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __repr__(self) -> str:
        return f"ImageFolder({len(self)} images of {len(self.classes)} classes)"


def _has_image_ending(path: str) -> bool:
    return path.lower().endswith(IMG_EXTENSIONS)


def _files(folder: str, is_image: Callable[[str], bool]) -> Iterator[str]:
    for where, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = os.path.join(where, name)
            if is_image(path):
                yield path


class _Samples(Sequence[tuple[str, int]]):
    """(path, class) of every image, in two arrays.

    As Python objects they would be copied into every worker process, page by page,
    because looking at an object writes into it.
    """

    def __init__(self, paths: list[str], targets: list[int]) -> None:
        encoded = [os.fsencode(path) for path in paths]
        self._text = np.frombuffer(b"".join(encoded), np.uint8)
        self._ends = np.cumsum([0, *map(len, encoded)])
        self.targets = np.array(targets, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.targets)

    @overload
    def __getitem__(self, index: int) -> tuple[str, int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, int]]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        target = int(self.targets[index])  # raises IndexError
        index = range(len(self))[index]
        text = self._text[self._ends[index] : self._ends[index + 1]]
        return os.fsdecode(text.tobytes()), target
