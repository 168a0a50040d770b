"""Data sets that can be used at once."""

from .cifar import CIFAR10, CIFAR100
from .digits import Digits
from .folder import ImageFolder
from .mnist import MNIST, FashionMNIST

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "Digits", "FashionMNIST", "ImageFolder"]
