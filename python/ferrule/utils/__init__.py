"""Helpers around training: `data` feeds it, `checkpoint` saves memory."""

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
