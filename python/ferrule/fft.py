"""Discrete Fourier transforms, as in `torch.fft`.

Every function is an op whose definition names it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._ferrule import module_ops

if TYPE_CHECKING:
    from ._ops.fft import *  # noqa: F403

globals().update(module_ops("fft"))
