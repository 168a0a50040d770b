"""Transforms that chain others, and that change what an image is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..._ferrule import DType, InvalidValue, Tensor, float64, ops, tensor
from ..._ferrule import float32 as _float32
from ...nn import Module
from . import functional as F
from ._draw import check_probability, happens

__all__ = [
    "Compose",
    "ConvertImageDtype",
    "Identity",
    "Lambda",
    "PILToTensor",
    "RandomApply",
    "RandomChoice",
    "RandomOrder",
    "ToDtype",
    "ToImage",
    "ToTensor",
]


class Compose(Module):
    """Applies transforms one after the other.

    Args:
        transforms: modules, or any functions.

    Example:
        >>> import ferrule as fe
        >>> T = fe.vision.transforms
        >>> prepare = T.Compose([
        ...     T.Resize(32), T.CenterCrop(32), T.ToDtype(fe.float32, scale=True)
        ... ])
        >>> prepare(fe.zeros((3, 40, 60), dtype=fe.uint8)).shape
        (3, 32, 32)
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        super().__init__()
        self.transforms = list(transforms)
        for i, transform in enumerate(self.transforms):
            if isinstance(transform, Module):
                self.add_module(str(i), transform)

    def forward(self, inpt: Any) -> Any:
        for transform in self.transforms:
            inpt = transform(inpt)
        return inpt

    def __repr__(self) -> str:
        lines = "".join(f"\n      {t}" for t in self.transforms)
        return f"{type(self).__name__}({lines}\n)"


class RandomApply(Compose):
    """Applies all transforms of a list, or none.

    Args:
        transforms: modules, or any functions.
        p: the probability that they are applied.
    """

    def __init__(
        self, transforms: Iterable[Callable[[Any], Any]], p: float = 0.5
    ) -> None:
        super().__init__(list(transforms))
        self.p = check_probability("RandomApply", p)

    def forward(self, inpt: Any) -> Any:
        return super().forward(inpt) if happens(self.p) else inpt


class RandomChoice(Compose):
    """Applies one transform of a list.

    Args:
        transforms: modules, or any functions.
        p: how likely each is, in any unit; None: all alike.

    Raises:
        InvalidValue: there are not as many `p` as transforms, or they are negative.

    Example:
        >>> import ferrule as fe
        >>> T = fe.vision.transforms
        >>> choose = T.RandomChoice([T.Resize(8), T.CenterCrop(8)], p=[1, 3])
        >>> choose(fe.rand(3, 16, 16)).shape
        (3, 8, 8)
    """

    def __init__(
        self,
        transforms: Sequence[Callable[[Any], Any]],
        p: Sequence[float] | None = None,
    ) -> None:
        super().__init__(transforms)
        weights = [1.0] * len(self.transforms) if p is None else list(p)
        if len(weights) != len(self.transforms) or min(weights, default=0) < 0:
            raise InvalidValue(
                f"[RandomChoice] p must have {len(self.transforms)} numbers of at "
                f"least 0, got {p}"
            )
        if sum(weights) <= 0:
            raise InvalidValue("[RandomChoice] there is nothing to choose from")
        self.p = [w / sum(weights) for w in weights]

    def forward(self, inpt: Any) -> Any:
        weights = tensor(self.p, dtype=float64)
        return self.transforms[int(ops.multinomial(weights, 1).item())](inpt)


class RandomOrder(Compose):
    """Applies transforms in random order.

    Args:
        transforms: modules, or any functions.
    """

    def forward(self, inpt: Any) -> Any:
        for i in ops.randperm(len(self.transforms)).tolist():
            inpt = self.transforms[i](inpt)
        return inpt


class Identity(Module):
    """Returns the image as it is."""

    def forward(self, inpt: Any) -> Any:
        return inpt


class Lambda(Module):
    """Applies a function.

    Args:
        lambd: the function.
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, inpt: Any) -> Any:
        return self.lambd(inpt)


class ToImage(Module):
    """Makes a tensor (C, H, W) of an image of Pillow or an array (H, W, C)."""

    def forward(self, inpt: Any) -> Tensor:
        return F.to_image(inpt)


class PILToTensor(Module):
    """Makes a tensor (C, H, W) of an image of Pillow, without scaling."""

    def forward(self, inpt: Any) -> Tensor:
        return F.pil_to_tensor(inpt)


class ToTensor(Module):
    """Makes a tensor (C, H, W) from 0 to 1 of an image of Pillow or an array."""

    def forward(self, inpt: Any) -> Tensor:
        return F.to_tensor(inpt)


class ToDtype(Module):
    """Changes the dtype.

    Args:
        dtype: what it becomes.
        scale: True maps white to white: 255 to 1.0, 1.0 to 255.
    """

    def __init__(self, dtype: DType, scale: bool = False) -> None:
        super().__init__()
        self.dtype = dtype
        self.scale = scale

    def forward(self, inpt: Tensor) -> Tensor:
        return F.to_dtype(inpt, self.dtype, self.scale)

    def extra_repr(self) -> str:
        return f"{self.dtype}, scale={self.scale}"


class ConvertImageDtype(ToDtype):
    """`ToDtype` with ``scale=True``.

    Args:
        dtype: what it becomes.
    """

    def __init__(self, dtype: DType = _float32) -> None:
        super().__init__(dtype, scale=True)
