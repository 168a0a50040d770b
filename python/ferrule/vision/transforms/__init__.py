"""Transforms of images: the names of torchvision.transforms.v2, on tensors.

Each is an `nn.Module`. Those that draw nothing are tensor ops alone, so that
``nn.Sequential(transform, model)`` exports with them.
"""

from . import functional
from ._image import InterpolationMode
from .augment import (
    RandAugment,
    TrivialAugmentWide,
)
from .distortions import (
    ElasticTransform,
    RandomAffine,
    RandomPerspective,
    RandomRotation,
)
from .effects import (
    GaussianBlur,
    GaussianNoise,
    RandomAdjustSharpness,
    RandomAutocontrast,
    RandomEqualize,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
)
from .geometry import (
    CenterCrop,
    FiveCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    TenCrop,
)
from .meta import (
    Compose,
    ConvertImageDtype,
    Identity,
    Lambda,
    PILToTensor,
    RandomApply,
    RandomChoice,
    RandomOrder,
    ToDtype,
    ToImage,
    ToTensor,
)
from .mixing import (
    CutMix,
    MixUp,
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
    "CutMix",
    "ElasticTransform",
    "FiveCrop",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "Identity",
    "InterpolationMode",
    "Lambda",
    "MixUp",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToDtype",
    "ToImage",
    "ToTensor",
    "TrivialAugmentWide",
    "functional",
]
