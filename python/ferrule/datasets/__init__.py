"""Data sets that can be used at once."""

from .digits import Digits
from .mnist import MNIST, FashionMNIST

__all__ = ["MNIST", "Digits", "FashionMNIST"]
