"""`ImageDataset`: images in memory, read as scaled floats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._ferrule import Tensor, float32, from_numpy, no_grad
from ..utils.data import Dataset
from ..utils.data.collate import default_collate
from ..utils.data.dataset import wrap_indices
from ..utils.data.fetch import fetch_samples

Sample = tuple[Tensor, int]


class ImageDataset(Dataset[Sample]):
    """Base of the data sets of this package.

    Attributes:
        images: uint8, shape (N, H, W) or (N, C, H, W).
        labels: int64, shape (N,).
        transform: applied to the image of a sample, or None.
    """

    images: Tensor
    labels: Tensor
    full_scale: float = 255.0
    """The grey value that becomes 1."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        transform: Callable[[Tensor], Any] | None,
    ) -> None:
        self.images = from_numpy(images)
        self.labels = from_numpy(labels.astype(np.int64))
        self.transform = transform

    @property
    def in_memory(self) -> bool:
        """Are batches read from tensors, without Python code per sample?"""
        return self.transform is None

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Returns an image, float32 (C, H, W) from 0 to 1, and its label."""
        image, label = self._rows([index])
        image = image[0]
        if self.transform is not None:
            image = self.transform(image)
        return image, int(label.item())

    def get_batch(self, indices: Sequence[int]) -> Any:
        """Returns images, float32 (B, C, H, W), and labels, int64 (B,)."""
        if self.transform is not None:
            return default_collate(fetch_samples(self, indices))
        return self._rows(indices)

    def _rows(self, indices: Sequence[int]) -> list[Tensor]:
        rows = from_numpy(wrap_indices(indices, len(self)))
        with no_grad():
            images = self.images.index_select(0, rows).to(float32)
            if images.ndim == 3:
                images = images.unsqueeze(1)
            return [images / self.full_scale, self.labels.index_select(0, rows)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images of {self.images.shape[1:]})"
