"""Data loaders: an epoch of arrays in memory, and of PNG files that are decoded."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .harness import Case, Row, Settings, Work, libraries, measure, tensor_in

IMAGES = 20_000  # of 28 x 28, as those of MNIST
FILES = 256  # of 160 x 160 pixels
_GOALS = {"arrays": ">= 10x", "PNG files": ">= 1x"}


def epochs(make: Callable[[Any], Any]) -> Callable[[], dict[str, Work]]:
    """One epoch of each library's loader; `make` builds it."""

    def build() -> dict[str, Work]:
        works = {}
        for who, lib in libraries():
            loader = make(lib)
            works[who] = lambda loader=loader: sum(1 for _ in loader)
        return works

    return build


def arrays(batch_size: int, workers: int) -> Callable[[Any], Any]:
    key = np.random.default_rng(0)
    images = key.random((IMAGES, 1, 28, 28), np.float32)
    labels = key.integers(0, 10, IMAGES)

    def make(lib: Any) -> Any:
        data = lib.utils.data
        pair = data.TensorDataset(tensor_in(lib, images), tensor_in(lib, labels))
        return data.DataLoader(
            pair, batch_size=batch_size, shuffle=True, num_workers=workers
        )

    return make


class Pictures:
    """Files that are decoded when they are read."""

    def __init__(self, lib: Any, folder: str) -> None:
        self.from_numpy = lib.from_numpy
        self.paths = [str(path) for path in sorted(Path(folder).glob("*.png"))]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        from PIL import Image

        with Image.open(self.paths[index]) as picture:
            pixels = np.array(picture)
        return self.from_numpy(pixels.transpose(2, 0, 1).copy()), index


def pictures(folder: str, workers: int, persistent: bool) -> Callable[[Any], Any]:
    def make(lib: Any) -> Any:
        return lib.utils.data.DataLoader(
            Pictures(lib, folder),
            batch_size=32,
            shuffle=True,
            num_workers=workers,
            persistent_workers=persistent,
        )

    return make


def draw_files(folder: str) -> None:
    from PIL import Image

    key = np.random.default_rng(0)
    for i in range(FILES):
        # Noise on a ramp compresses about as well as a photograph.
        ramp = np.add.outer(np.arange(160), np.arange(160))[..., None] // 2
        noise = key.integers(0, 64, (160, 160, 3))
        Image.fromarray((ramp + noise).astype(np.uint8)).save(f"{folder}/{i:04}.png")


def run(settings: Settings) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        draw_files(folder)
        rows = [
            (f"arrays, batches of {size}, {n} workers", arrays(size, n))
            for size in (64, 256)
            for n in (0, 2)
        ]
        rows += [
            (f"PNG files, {n} workers{', kept' * kept}", pictures(folder, n, kept))
            for n, kept in ((0, False), (2, False), (2, True))
        ]
        cases = [
            Case(name, epochs(make), goal=_GOALS[name.split(",")[0]])
            for name, make in rows
        ]
        return measure(cases, settings)
