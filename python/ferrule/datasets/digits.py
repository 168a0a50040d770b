"""`Digits`: the small handwritten digits that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._ferrule import Tensor
from ._images import ImageDataset

__all__ = ["Digits"]


class Digits(ImageDataset):
    """Handwritten digits of 8 x 8 pixels; needs scikit-learn, no network.

    Sample i is ``(image, label)``: float32 of shape (1, 8, 8), the grey values
    divided by 16, and an int. A batch is (B, 1, 8, 8) and int64 (B,).

    Every fifth of the 1797 images (the 5th, the 10th, ...) is for testing: 359,
    and 1438 for training.

    Args:
        train: True for the training images, False for the test images.
        transform: applied to the image of every sample.

    Attributes:
        images: uint8 from 0 to 16, shape (N, 8, 8).
        labels: int64, shape (N,).

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits",
    UCI Machine Learning Repository, 1998 (its test part).

    Example:
        >>> import ferrule as fe
        >>> data = fe.datasets.Digits(train=False)
        >>> len(data), data[0][0].shape
        (359, (1, 8, 8))
    """

    full_scale = 16.0

    def __init__(
        self,
        train: bool = True,
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise ImportError(
                "[Digits] the images come with scikit-learn: pip install scikit-learn"
            ) from error
        self.train = train
        bunch = load_digits()
        is_test = np.arange(len(bunch.target)) % 5 == 4
        chosen = ~is_test if train else is_test
        images = bunch.images[chosen].astype(np.uint8)
        super().__init__(images, bunch.target[chosen], transform)
