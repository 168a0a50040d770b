"""Images: reading them, and transforms as tensor ops.

The data sets of images are those of `ferrule.datasets`.
"""

from .. import datasets
from . import io, transforms

__all__ = ["datasets", "io", "transforms"]
