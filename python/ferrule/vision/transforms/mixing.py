"""Transforms of whole batches: images are mixed, and their labels likewise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..._ferrule import InvalidValue, ShapeError, Tensor, float32, ops
from ...nn import Module
from . import functional as F
from ._draw import beta, integer
from .dtypes import is_float

__all__ = ["CutMix", "MixUp"]


class _Mix(Module):
    """What both have: labels become shares of classes."""

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        num_classes: int | None = None,
        labels_getter: Callable[[Any], Tensor] | str | None = "default",
    ) -> None:
        super().__init__()
        if alpha <= 0:
            raise InvalidValue(
                f"[{type(self).__name__}] alpha must be above 0: {alpha}"
            )
        if isinstance(labels_getter, str) and labels_getter != "default":
            raise InvalidValue(
                f"[{type(self).__name__}] labels_getter must be a function, 'default' "
                f"or None, got {labels_getter!r}"
            )
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self.labels_getter = labels_getter

    def forward(self, *inputs: Any) -> Any:
        if len(inputs) == 1 and not isinstance(inputs[0], Tensor):
            inputs = tuple(inputs[0])
        sample = list(inputs)
        labels = self._labels(sample)
        images = sample[0]
        if not isinstance(images, Tensor) or images.ndim != 4:
            raise ShapeError(
                f"[{type(self).__name__}] expected a batch (N, C, H, W) first, got "
                f"{getattr(images, 'shape', type(images).__name__)}; apply it to what "
                "a DataLoader gives, or in its collate_fn"
            )
        share, mixed = self.mix(images)
        result = []
        for value in sample:
            if value is images:
                value = mixed
            elif value is labels and labels is not None:
                value = self._mixed_labels(labels, share)
            result.append(value)
        return tuple(result) if len(result) > 1 else result[0]

    def mix(self, images: Tensor) -> tuple[float, Tensor]:
        """The share of each image itself, and the mixed images."""
        raise NotImplementedError

    def _labels(self, sample: list[Any]) -> Tensor | None:
        if self.labels_getter is None:
            return None
        if callable(self.labels_getter):
            return self.labels_getter(sample)
        if len(sample) < 2 or not isinstance(sample[1], Tensor):
            raise InvalidValue(
                f"[{type(self).__name__}] expected images and labels; give "
                "labels_getter where labels stand elsewhere, None where there are none"
            )
        return sample[1]

    def _mixed_labels(self, labels: Tensor, share: float) -> Tensor:
        if labels.ndim == 1 and not is_float(labels.dtype):
            if self.num_classes is None:
                raise InvalidValue(
                    f"[{type(self).__name__}] give num_classes: labels are numbers"
                )
            labels = ops.one_hot(labels, self.num_classes)
        elif labels.ndim != 2:
            raise ShapeError(
                f"[{type(self).__name__}] labels must have shape (N,) or (N, classes), "
                f"got {labels.shape}"
            )
        shares = labels if is_float(labels.dtype) else labels.to(float32)
        return shares * share + ops.roll(shares, (1,), (0,)) * (1.0 - share)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, num_classes={self.num_classes}"


class MixUp(_Mix):
    """Adds to every image the one before it, in random shares.

    Args:
        alpha: the shares are drawn from Beta(alpha, alpha).
        num_classes: how many; needed where labels are numbers.
        labels_getter: finds the labels in the sample; "default": the second input;
            None: there are none.

    Returns:
        The inputs as a tuple, or the images alone: images are mixed, labels are
        shares (N, num_classes), as `cross_entropy` takes them.

    Raises:
        ShapeError: the first input is no batch of images.
        InvalidValue: `alpha` is not above 0; there are no labels.

    Example:
        >>> import ferrule as fe
        >>> mix = fe.vision.transforms.MixUp(num_classes=3)
        >>> images, shares = mix(fe.rand(4, 3, 8, 8), fe.tensor([0, 1, 2, 0]))
        >>> shares.shape
        (4, 3)

    Source: H. Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018.
    """

    def mix(self, images: Tensor) -> tuple[float, Tensor]:
        share = beta(self.alpha)
        values = images if is_float(images.dtype) else images.to(float32)
        mixed = values * share + ops.roll(values, (1,), (0,)) * (1.0 - share)
        return share, mixed.to(images.dtype)


class CutMix(_Mix):
    """Puts a random rectangle of the image before it into every image.

    Args:
        alpha: the share of the image itself is drawn from Beta(alpha, alpha).
        num_classes: how many; needed where labels are numbers.
        labels_getter: finds the labels in the sample; "default": the second input;
            None: there are none.

    Returns:
        As `MixUp`; shares are those of the areas.

    Raises:
        ShapeError: the first input is no batch of images.
        InvalidValue: `alpha` is not above 0; there are no labels.

    Example:
        >>> import ferrule as fe
        >>> mix = fe.vision.transforms.CutMix(num_classes=3)
        >>> images, shares = mix(fe.rand(4, 3, 8, 8), fe.tensor([0, 1, 2, 0]))
        >>> bool((shares.sum(1) - 1).abs().max() < 1e-6)
        True

    Source: S. Yun et al., "CutMix: Regularization strategy to train strong
    classifiers with localizable features", ICCV 2019.
    """

    def mix(self, images: Tensor) -> tuple[float, Tensor]:
        height, width = F.get_size(images)
        half = 0.5 * math.sqrt(1.0 - beta(self.alpha))
        x, y = integer(0, width - 1), integer(0, height - 1)
        left, right = max(x - int(half * width), 0), min(x + int(half * width), width)
        top, bottom = (
            max(y - int(half * height), 0),
            min(y + int(half * height), height),
        )
        mixed = images.clone()
        other = ops.roll(images, (1,), (0,))
        mixed[..., top:bottom, left:right] = other[..., top:bottom, left:right]
        share = 1.0 - (right - left) * (bottom - top) / (height * width)
        return share, mixed
