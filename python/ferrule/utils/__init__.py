"""Helpers around training: `data` feeds it, `checkpoint` saves memory, `tensorboard`
shows it."""

from . import checkpoint, data, logging, tensorboard

__all__ = ["checkpoint", "data", "logging", "tensorboard"]
