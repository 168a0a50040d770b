"""Models whose files begin with raw input: images of any size, and bytes of text.

What prepares the input and what names the result stand in the file, so `ferrule run`
needs an array of bytes, and gives the bits that Python gave.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn

TOOL = Path(fe.__file__).parent / "bin" / "ferrule"
T = fe.vision.transforms
F = T.functional

LABELS = ["cat", "dog", "sea lion", "bird", "tree"]
SIZES = [(1, 1), (28, 28), (40, 60), (61, 37), (9, 200), (300, 211)]
ANY_SIZE = {0: fe.Dim("height", min=1), 1: fe.Dim("width", min=1)}


def pixels(height: int, width: int) -> fe.Tensor:
    key = np.random.default_rng(height * 1000 + width)
    return fe.from_numpy(key.integers(0, 256, (height, width, 3), dtype=np.uint8))


def run_tool(
    folder: Path, x: fe.Tensor, expected: tuple[fe.Tensor, ...], *options: str
) -> str:
    """`ferrule run` on model.fer; it fails unless the results are these bits."""
    np.save(folder / "x.npy", x.numpy())
    arguments = [str(TOOL), "run", "model.fer", "--input", "x.npy", *options]
    for i, value in enumerate(expected):
        np.save(folder / f"{i}.npy", value.detach().numpy())
        arguments += ["--expect", f"output{i}={i}.npy"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Classifier(nn.Module):
    """The three likeliest classes of an image as a camera gives it, (H, W, 3)."""

    def __init__(self, interpolation: str) -> None:
        super().__init__()
        self.prepare = T.Compose(
            [
                T.Resize(32, interpolation, antialias=True),
                T.CenterCrop(28),
                T.ToDtype(fe.float32, scale=True),
                T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, len(LABELS)),
        )

    def forward(self, image: fe.Tensor) -> tuple[fe.Tensor, fe.Tensor]:
        x = self.prepare(image.permute(2, 0, 1)).unsqueeze(0)
        likely, classes = self.net(x).softmax(1).topk(3)
        return likely[0], classes[0]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_images_of_any_size(interpolation: str, tmp_path: Path) -> None:
    fe.manual_seed(0)
    model = Classifier(interpolation).eval()
    fe.export(
        model,
        (pixels(40, 60),),
        dynamic_shapes=(ANY_SIZE,),
        metadata={"labels:output1": "\n".join(LABELS)},
        path=tmp_path / "model.fer",
    )
    for size in SIZES:
        image = pixels(*size)
        likely, classes = model(image)
        text = run_tool(tmp_path, image, (likely, classes))
        names = "".join(f" {i} ({LABELS[i]})" for i in classes.tolist())
        assert f"output1: int64 (3){names}\n" in text.replace("(3,)", "(3)")
        assert (likely.diff() <= 0).all() and likely.sum().item() < 1
    found = json.loads(run_tool(tmp_path, image, (likely, classes), "--json"))
    assert "labels" not in found["outputs"][0]
    assert found["outputs"][1]["labels"] == [LABELS[i] for i in classes.tolist()]


def test_labels_that_are_missing(tmp_path: Path) -> None:
    def numbers(x: fe.Tensor) -> tuple[fe.Tensor, fe.Tensor]:
        return x.to(fe.int64) - 1, x

    x = fe.tensor([0, 1, 2, 3], dtype=fe.uint8)
    labels = {"labels:output0": "a\n\nc\n", "labels:output": "no such result"}
    fe.export(numbers, (x,), metadata=labels, path=tmp_path / "model.fer")
    text = run_tool(tmp_path, x, numbers(x))
    assert " -1 (?) 0 (a) 1 () 2 (c)\n" in text
    inspected = subprocess.run(
        [str(TOOL), "inspect", "model.fer"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "labels:output0: a\n  ...\n" in inspected


def gray_of_hue(x: fe.Tensor) -> fe.Tensor:
    x = F.adjust_saturation(F.adjust_hue(x, 0.2), 1.5)
    return F.rgb_to_grayscale(F.adjust_contrast(x, 0.7))


SQUARE = [[0, 0], [9, 0], [9, 9], [0, 9]]
SLANTED = [[1, 0], [8, 2], [9, 9], [0, 7]]


def to_multiple_of_32(x: fe.Tensor) -> fe.Tensor:
    height, width = x.shape[-2:]
    return nn.functional.pad(x, (0, -width % 32, 3 - height, -height % 32))


STEPS: dict[str, Callable[[fe.Tensor], fe.Tensor]] = {
    "resize to a longest side": lambda x: F.resize(x, None, max_size=25),
    "resize with a limit": lambda x: F.resize(x, 24, max_size=40),
    "resize to both sides": lambda x: F.resize(x, [7, 19], antialias=False),
    "resize to the nearest": lambda x: F.resize(x, 12, "nearest"),
    "crop": lambda x: F.crop(x, -2, 3, 30, 24),
    "center crop": lambda x: F.center_crop(x, [30, 41]),
    "pad": lambda x: F.pad(x, [1, 2, 3, 4], fill=[1, 2, 3]),
    "pad edge": lambda x: F.pad(x, [1, 2, 3, 4], padding_mode="edge"),
    "pad reflect": lambda x: F.pad(x, [1, 2, 3, 4], padding_mode="reflect"),
    "pad symmetric": lambda x: F.pad(x, [1, 2, 3, 4], padding_mode="symmetric"),
    "pad to a multiple": to_multiple_of_32,
    "flip": F.horizontal_flip,
    "colours": gray_of_hue,
    "gamma": lambda x: F.adjust_gamma(F.invert(x), 2.2),
    "rotate": lambda x: F.rotate(x, 30, "bilinear", fill=[1, 2, 3]),
    "affine": lambda x: F.affine(x, 10, [2, 1], 1.1, [5, 2]),
    "perspective": lambda x: F.perspective(x, SQUARE, SLANTED),
    "blur": lambda x: F.gaussian_blur(F.pad(x, 3, padding_mode="edge"), [3, 5]),
    "sharpness": lambda x: F.adjust_sharpness(x, 1.5),
    "tones": lambda x: F.solarize(F.posterize(F.autocontrast(x), 3), 99),
    "equalize": F.equalize,
    "corners": lambda x: fe.cat(F.ten_crop(F.pad(x, 4), 8)),
}


@pytest.mark.parametrize("name", STEPS)
def test_every_step_at_any_size(name: str, tmp_path: Path) -> None:
    def model(image: fe.Tensor) -> tuple[fe.Tensor, fe.Tensor]:
        result = STEPS[name](image.permute(2, 0, 1))
        return result, result.to(fe.float32).mean()

    fe.export(
        model,
        (pixels(40, 60),),
        dynamic_shapes=(ANY_SIZE,),
        path=tmp_path / "model.fer",
    )
    for size in SIZES:
        image = pixels(*size)
        run_tool(tmp_path, image, model(image))


class Language(nn.Module):
    """Guesses the language of a text from its bytes.

    Letters become small, everything else a space; pairs of neighbours are numbered by
    a hash, and each number has a row of a table.
    """

    rows = 509

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(self.rows, 4)

    def tokens(self, text: fe.Tensor) -> fe.Tensor:
        capital = (text >= ord("A")) & (text <= ord("Z"))
        letters = fe.where(capital, text + 32, text).to(fe.int64)
        small = (letters >= ord("a")) & (letters <= ord("z"))
        letters = fe.where(small, letters - ord("a") + 1, 0)
        return (letters[:-1] * 31 + letters[1:] * 7919) % self.rows

    def forward(self, text: fe.Tensor) -> tuple[fe.Tensor, fe.Tensor]:
        likely, language = self.table(self.tokens(text)).mean(0).softmax(0).topk(2)
        return likely, language


def test_bytes_of_text(tmp_path: Path) -> None:
    fe.manual_seed(1)
    model = Language().eval()

    def as_bytes(text: str) -> fe.Tensor:
        return fe.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())

    fe.export(
        model,
        (as_bytes("To be, or not to be"),),
        dynamic_shapes=({0: fe.Dim("bytes", min=2, max=4096)},),
        metadata={"labels:output1": "English\nDeutsch\nfrançais\nespañol"},
        path=tmp_path / "model.fer",
    )
    tokens = model.tokens(as_bytes("Ab9"))
    assert tokens.tolist() == [(31 + 2 * 7919) % 509, 2 * 31 % 509]
    for text in ("ab", "Sein oder Nichtsein", "Ser o no ser. " * 200, "être"):
        likely, language = model(as_bytes(text))
        shown = run_tool(tmp_path, as_bytes(text), (likely, language))
        names = ["English", "Deutsch", "français", "español"]
        assert all(f"({names[i]})" in shown for i in language.tolist())
    np.save(tmp_path / "x.npy", as_bytes("a").numpy())
    done = subprocess.run(
        [str(TOOL), "run", "model.fer", "--input", "x.npy"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3 and "bytes" in done.stderr
