"""`MNIST` and `FashionMNIST`: 28 x 28 grey images in ten classes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from .._ferrule import FormatError, Tensor
from ._download import cache_dir, download
from ._files import not_found, places
from ._idx import read_idx
from ._images import ImageDataset

__all__ = ["MNIST", "FashionMNIST"]

_NAMES = {
    True: ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    False: ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class MNIST(ImageDataset):
    """Handwritten digits: 60,000 images for training, 10,000 for testing.

    Sample i is ``(image, label)``: float32 of shape (1, 28, 28), the grey values
    divided by 255, and an int. A batch is (B, 1, 28, 28) and int64 (B,).

    The idx files, gzipped or not, are looked for in `root`, in $FERRULE_DATA and
    in the cache ($XDG_CACHE_HOME/ferrule or ~/.cache/ferrule), each time in the
    folder "mnist" and then in the place itself. Files that are not found are
    downloaded into `root` or else the cache, and checked by SHA-256.

    Args:
        root: folder of the files.
        train: True for the training images, False for the test images.
        download: False raises an error instead of downloading.
        transform: applied to the image of every sample.

    Attributes:
        images: uint8, shape (N, 28, 28).
        labels: int64, shape (N,).
        classes: the names of the labels.

    Raises:
        FileNotFoundError: no files, and `download` is False.
        FormatError: a file is damaged.
        FerruleError: the download failed.

    Source: LeCun et al., "Gradient-Based Learning Applied to Document
    Recognition", 1998, section III.A.

    Example:
        >>> import ferrule as fe
        >>> data = fe.datasets.MNIST(train=False)  # doctest: +SKIP
        >>> image, label = data[0]  # doctest: +SKIP
        >>> image.shape, label  # doctest: +SKIP
        ((1, 28, 28), 7)
    """

    folder = "mnist"
    classes: tuple[str, ...] = tuple("0123456789")
    mirrors: tuple[str, ...] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    sha256: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        "train-labels-idx1-ubyte": (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
        "t10k-images-idx3-ubyte": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        "t10k-labels-idx1-ubyte": (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    }

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        download: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        self.train = train
        paths = self._find(root) or self._get(root, download)
        images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
        if len(images) != len(labels):
            raise FormatError(
                f"[{type(self).__name__}] {paths[0]} has {len(images)} images, but "
                f"{paths[1]} has {len(labels)} labels"
            )
        if labels.size and labels.max() >= len(self.classes):
            raise FormatError(
                f"[{type(self).__name__}] {paths[1]} has a label {labels.max()}; "
                f"there are {len(self.classes)} classes"
            )
        super().__init__(images, labels, transform)

    def _find(self, root: str | os.PathLike[str] | None) -> list[Path]:
        """Paths of images and labels in the first place that has both."""
        for place in places(root, self.folder):
            found = []
            for name in _NAMES[self.train]:
                candidates = (place / f"{name}.gz", place / name)
                found += [path for path in candidates if path.is_file()][:1]
            if len(found) == 2:
                return found
        return []

    def _get(self, root: str | os.PathLike[str] | None, allowed: bool) -> list[Path]:
        names = _NAMES[self.train]
        if not allowed:
            what = f"{names[0]}[.gz] and {names[1]}[.gz]"
            raise not_found(type(self).__name__, what, root, self.folder)
        target = (Path(root) if root else cache_dir()) / self.folder
        return [
            download(f"{name}.gz", self.sha256[name], self.mirrors, target)
            for name in names
        ]


class FashionMNIST(MNIST):
    """Pictures of clothes, in the format of `MNIST` and used as it is.

    The files are looked for in the folder "fashion-mnist".

    Source: Xiao et al., "Fashion-MNIST", 2017, arXiv:1708.07747.

    Example:
        >>> import ferrule as fe
        >>> fe.datasets.FashionMNIST.classes[9]
        'Ankle boot'
    """

    folder = "fashion-mnist"
    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    mirrors = (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    )
    sha256: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "train-labels-idx1-ubyte": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        "t10k-images-idx3-ubyte": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        "t10k-labels-idx1-ubyte": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    }
