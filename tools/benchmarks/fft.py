"""Fourier transforms along the last dimension, of many and of few lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .harness import (
    Case,
    Row,
    Settings,
    Work,
    at_least,
    geometric_mean,
    libraries,
    measure,
    tensor_in,
)

SIZES = (16, 64, 100, 256, 1000, 1024, 4096, 16_384, 65_536)
PRIMES = (37, 127, 1009, 65_537)
LINES = (1, 16, 100, 1000)
MOST = 20_000_000  # numbers

Transform = Callable[[Any, Any], Any]
KINDS: dict[str, tuple[str, Transform]] = {
    "fft": ("complex64", lambda lib, x: lib.fft.fft(x)),
    "rfft": ("float32", lambda lib, x: lib.fft.rfft(x)),
    "irfft": ("complex64", lambda lib, x: lib.fft.irfft(x)),
    "fft complex128": ("complex128", lambda lib, x: lib.fft.fft(x)),
}
IMAGES = ((1, 512, 512), (8, 224, 224), (64, 32, 32))


def build(shape: tuple[int, ...], dtype: str, run: Transform) -> dict[str, Work]:
    key = np.random.default_rng(0)
    array = key.standard_normal(shape)
    if dtype.startswith("complex"):
        array = array + 1j * key.standard_normal(shape)
    array = array.astype(dtype)
    works: dict[str, Work] = {}
    for who, lib in libraries():
        x = tensor_in(lib, array)
        works[who] = lambda lib=lib, x=x: run(lib, x)
    works["numpy"] = lambda: run(np, array)
    return works


def stft(lib: Any, x: Any, window: Any) -> Any:
    return lib.stft(x, 400, 160, window=window, return_complex=True)


def build_stft() -> dict[str, Work]:
    """Ten seconds of speech, as speech recognition cuts them."""
    sound = np.random.default_rng(0).standard_normal((4, 160_000), np.float32)
    works: dict[str, Work] = {}
    for who, lib in libraries():
        x, window = tensor_in(lib, sound), lib.hann_window(400)
        works[who] = lambda lib=lib, x=x, window=window: stft(lib, x, window)
    return works


def cases(settings: Settings) -> Iterator[Case]:
    for kind, (dtype, run) in KINDS.items():
        # The result of irfft has an even size.
        for n in SIZES if kind == "irfft" else (*SIZES, *PRIMES):
            for lines in LINES:
                if n * lines > MOST:
                    continue
                size = n // 2 + 1 if kind == "irfft" else n
                yield Case(
                    f"{kind}, {lines:,} x {n:,}",
                    lambda size=size, lines=lines, dtype=dtype, run=run: build(
                        (lines, size), dtype, run
                    ),
                )
    for shape in IMAGES:
        name = " x ".join(map(str, shape))
        yield Case(
            f"fft2, {name}",
            lambda shape=shape: build(
                shape, "complex64", lambda lib, x: lib.fft.fft2(x)
            ),
        )
        yield Case(
            f"rfft2, {name}",
            lambda shape=shape: build(
                shape, "float32", lambda lib, x: lib.fft.rfft2(x)
            ),
        )
    yield Case("stft, 4 x 160,000, frames of 400", build_stft)


def run(settings: Settings) -> list[Row]:
    return measure(cases(settings), settings)


def notes(rows: list[Row]) -> list[str]:
    known = [r for r in rows if "torch" in r.samples]
    slow = [r.name for r in known if r.ratio("torch") < 1]
    mean = geometric_mean([r.ratio("torch") for r in known])
    return [
        at_least(rows, "all"),
        f"PyTorch takes {mean:.2f} times as long (geometric mean)",
        f"slower than PyTorch: {'; '.join(slow) or 'none'}",
    ]
