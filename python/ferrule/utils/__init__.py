"""Helpers around training: `data` feeds it, `checkpoint` saves memory, `tensorboard`
shows it."""

from . import checkpoint, data, tensorboard

__all__ = ["checkpoint", "data", "tensorboard"]
