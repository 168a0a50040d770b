"""The extension `fft`: discrete Fourier transforms.

Computed by `ferrule.fft`, whose docstrings say what the functions do; the names of
the arguments are the standard's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import ferrule as fe

from ._common import Array, Device

__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]

Norm = Literal["backward", "ortho", "forward"]
Axes = Sequence[int] | None


def fft(
    x: Array, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward"
) -> Array:
    """Transform along an axis."""
    return fe.fft.fft(x, n, axis, norm)


def ifft(
    x: Array, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward"
) -> Array:
    """Inverse of `fft`."""
    return fe.fft.ifft(x, n, axis, norm)


def fftn(
    x: Array,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Axes = None,
    norm: Norm = "backward",
) -> Array:
    """Transform along several axes; None: all."""
    return fe.fft.fftn(x, s, axes, norm)


def ifftn(
    x: Array,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Axes = None,
    norm: Norm = "backward",
) -> Array:
    """Inverse of `fftn`."""
    return fe.fft.ifftn(x, s, axes, norm)


def rfft(
    x: Array, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward"
) -> Array:
    """Transform of real numbers along an axis: half of the coefficients."""
    return fe.fft.rfft(x, n, axis, norm)


def irfft(
    x: Array, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward"
) -> Array:
    """Inverse of `rfft`."""
    return fe.fft.irfft(x, n, axis, norm)


def rfftn(
    x: Array,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Axes = None,
    norm: Norm = "backward",
) -> Array:
    """Transform of real numbers along several axes; None: all."""
    return fe.fft.rfftn(x, s, axes, norm)


def irfftn(
    x: Array,
    /,
    *,
    s: Sequence[int] | None = None,
    axes: Axes = None,
    norm: Norm = "backward",
) -> Array:
    """Inverse of `rfftn`."""
    return fe.fft.irfftn(x, s, axes, norm)


def hfft(
    x: Array, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward"
) -> Array:
    """Real transform of a signal that is its own mirrored conjugate."""
    return fe.fft.hfft(x, n, axis, norm)


def ihfft(
    x: Array, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward"
) -> Array:
    """Inverse of `hfft`."""
    return fe.fft.ihfft(x, n, axis, norm)


def fftfreq(
    n: int,
    /,
    *,
    d: float = 1.0,
    dtype: fe.dtype | None = None,
    device: Device = None,
) -> Array:
    """The frequencies of the coefficients of `fft`."""
    return fe.fft.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(
    n: int,
    /,
    *,
    d: float = 1.0,
    dtype: fe.dtype | None = None,
    device: Device = None,
) -> Array:
    """The frequencies of the coefficients of `rfft`."""
    return fe.fft.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x: Array, /, *, axes: int | Sequence[int] | None = None) -> Array:
    """Frequency 0 in the middle of the axes; None: of all."""
    return fe.fft.fftshift(x, axes)


def ifftshift(x: Array, /, *, axes: int | Sequence[int] | None = None) -> Array:
    """Inverse of `fftshift`."""
    return fe.fft.ifftshift(x, axes)
