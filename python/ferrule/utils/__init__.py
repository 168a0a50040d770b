"""Helpers around training.

`data` feeds it, `Checkpoints` lets it be resumed, `logging` and `tensorboard` write
down what happens, `checkpoint` saves memory.
"""

from . import checkpoint, data, logging, tensorboard
from ._checkpoints import Checkpoints

__all__ = ["Checkpoints", "checkpoint", "data", "logging", "tensorboard"]
