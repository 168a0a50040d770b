"""Helpers around training.

`data` feeds it, `Checkpoints` lets it be resumed, `logging` and `tensorboard` write
down what happens, `plot` draws it, `lr_find` looks for a learning rate, `checkpoint`
saves memory.
"""

from . import checkpoint, data, logging, plot, tensorboard
from ._checkpoints import Checkpoints
from ._lr_find import LRFind, lr_find

__all__ = [
    "Checkpoints",
    "LRFind",
    "checkpoint",
    "data",
    "logging",
    "lr_find",
    "plot",
    "tensorboard",
]
