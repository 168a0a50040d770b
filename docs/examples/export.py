"""Makes the files that the examples run; small ones, so that it takes seconds.

python export.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import ferrule as fe
from ferrule import models
from ferrule.nn import functional as F


def classifier(path: Path) -> models.ResNet:
    """A network for pictures of 32x32, and how to train it further."""
    model = models.resnet18(3, width=8, small_images=True)
    # On the device only the last layer learns, and at a rate that is chosen there.
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    optimizer = fe.optim.Adam(model.fc.parameters(), lr=fe.tensor(0.01))
    fe.export(
        model,
        (fe.rand(2, 3, 32, 32),),
        dynamic_shapes={"x": {0: fe.Dim("batch", min=1)}},
        train=(F.cross_entropy, optimizer),
        targets=(fe.tensor([0, 1]),),
        path=path,
        metadata={"classes": "red\ngreen\nblue"},
    )
    return model.eval()


def gpt(path: Path) -> models.GPT:
    """A small language model of characters that reads a text and a cache."""
    characters = " abcdefghijklmnopqrstuvwxyz"
    model = models.GPT(len(characters), 64, layers=2, width=32, heads=4).eval()
    fe.export(
        models.GPTDecoder(model),
        (fe.zeros(1, 3, dtype=fe.int64), fe.zeros(2, 2, 1, 4, 2, 8)),
        dynamic_shapes={
            "tokens": {1: fe.Dim("new", min=1, max=64)},
            "cache": {4: fe.Dim("past", max=64)},
        },
        path=path,
        metadata={"characters": characters, "context": "64"},
    )
    return model


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    fe.manual_seed(0)
    classifier(folder / "classifier.fer")
    gpt(folder / "gpt.fer")
    print(f"wrote {folder / 'classifier.fer'} and {folder / 'gpt.fer'}")
