"""Signals; so far their windows, as in `torch.signal`."""

from . import windows

__all__ = ["windows"]
