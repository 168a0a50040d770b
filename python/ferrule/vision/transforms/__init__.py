"""Transforms of images: the names of torchvision.transforms.v2, on tensors.

Each is an `nn.Module`. Those that draw nothing are tensor ops alone, so that
``nn.Sequential(transform, model)`` exports with them.
"""

from . import functional
from .functional import InterpolationMode
from .geometry import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
)
from .meta import (
    Compose,
    ConvertImageDtype,
    Identity,
    Lambda,
    PILToTensor,
    RandomApply,
    ToDtype,
    ToImage,
    ToTensor,
)
from .pixels import (
    ColorJitter,
    Grayscale,
    Normalize,
    RandomErasing,
    RandomGrayscale,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "Grayscale",
    "Identity",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandomApply",
    "RandomCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "ToDtype",
    "ToImage",
    "ToTensor",
    "functional",
]
