"""Real architectures: what C++ computes from the file is bitwise what eager computes.

Each is exported once, with the sizes of its inputs free, and run by the native tool at
five sizes, with the passes and without. Small here; at full size with FERRULE_LONG=1.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import ferrule as fe
from ferrule import models

TOOL = Path(fe.__file__).parent / "bin" / "ferrule"
SIZES = (1, 7, 2, 5, 12)
Batch = Callable[[int, int], tuple[fe.Tensor, ...]]


class Architecture(NamedTuple):
    """How a model is made, small and large, and its inputs for a batch and a length."""

    small: Callable[[], fe.nn.Module]
    large: Callable[[], fe.nn.Module]
    inputs: Batch
    large_inputs: Batch
    free: dict[str, dict[int, str | fe.Dim]]


def images(channels: int, size: int) -> Batch:
    return lambda batch, _: (fe.randn(batch, channels, size, size),)


def words(vocabulary: int) -> Batch:
    return lambda batch, length: (fe.randint(0, vocabulary, (batch, length)),)


def words_and_lengths(vocabulary: int) -> Batch:
    def make(batch: int, length: int) -> tuple[fe.Tensor, ...]:
        lengths = fe.randint(1, length + 1, (batch,))
        return fe.randint(0, vocabulary, (batch, length)), lengths

    return make


def words_and_mask(vocabulary: int) -> Batch:
    def make(batch: int, length: int) -> tuple[fe.Tensor, ...]:
        tokens, lengths = words_and_lengths(vocabulary)(batch, length)
        return tokens, fe.arange(length) < lengths.unsqueeze(1)

    return make


def tokens_and_cache(vocabulary: int, layers: int, heads: int, width: int) -> Batch:
    """As many tokens as the size says, after twice as many, less two: at first none."""

    def make(batch: int, length: int) -> tuple[fe.Tensor, ...]:
        past = max(2 * length - 2, 0)
        cache = fe.randn(layers, 2, batch, heads, past, width // heads)
        return fe.randint(0, vocabulary, (batch, length)), cache

    return make


def planes(channels: int, multiple: int) -> Batch:
    def make(batch: int, length: int) -> tuple[fe.Tensor, ...]:
        return (fe.randn(batch, channels, multiple, multiple * min(length, 5)),)

    return make


def translator(width: int, **options: Any) -> tuple[models.Translator, dict[str, Any]]:
    return models.Translator(40, 30, width), dict(start=1, end=2, **options)


def greedy(width: int, length: int) -> fe.nn.Module:
    model, options = translator(width, max_length=length)
    return models.GreedyTranslator(model, **options)


def beam(width: int, length: int) -> fe.nn.Module:
    model, options = translator(width, max_length=length, beams=3)
    return models.BeamTranslator(model, **options)


BATCH: dict[int, str | fe.Dim] = {0: "batch"}
TEXT: dict[int, str | fe.Dim] = {0: "batch", 1: fe.Dim("length", min=1)}
ARCHITECTURES = {
    "MLP": Architecture(
        lambda: models.MLP(64, (32, 16)),
        models.MLP,
        images(1, 8),
        images(1, 28),
        {"x": BATCH},
    ),
    "LeNet": Architecture(
        models.LeNet, models.LeNet, images(1, 28), images(1, 28), {"x": BATCH}
    ),
    "ResNet-18": Architecture(
        lambda: models.resnet18(10, width=8, small_images=True),
        models.resnet18,
        images(3, 16),
        images(3, 224),
        {"x": BATCH},
    ),
    "ResNet-50": Architecture(
        lambda: models.resnet50(10, width=4),
        models.resnet50,
        images(3, 32),
        images(3, 224),
        {"x": BATCH},
    ),
    "MobileNetV2": Architecture(
        lambda: models.mobilenet_v2(10, 0.25),
        models.mobilenet_v2,
        images(3, 32),
        images(3, 224),
        {"x": BATCH},
    ),
    "U-Net": Architecture(
        lambda: models.UNet(3, 2, width=4, depth=3),
        models.UNet,
        planes(3, 16),
        planes(3, 32),
        {"x": {0: "batch", 3: fe.Dim("width", min=16, multiple=16)}},
    ),
    "LSTM tagger": Architecture(
        lambda: models.LSTMTagger(50, 5, 12, layers=2),
        lambda: models.LSTMTagger(5000, 20, 256, layers=2),
        words(50),
        words(5000),
        {"words": TEXT},
    ),
    "GRU with a loop": Architecture(
        lambda: models.GRUClassifier(50, 3, 12),
        lambda: models.GRUClassifier(5000, 3, 256),
        words_and_lengths(50),
        words_and_lengths(5000),
        {"words": TEXT, "lengths": BATCH},
    ),
    "BERT": Architecture(
        lambda: models.Bert(60, 16, layers=2, width=16, heads=2),
        models.Bert,
        words_and_mask(60),
        words_and_mask(30000),
        {"tokens": TEXT, "mask": TEXT},
    ),
    "GPT": Architecture(
        lambda: models.GPT(60, 40, layers=2, width=16, heads=2),
        models.GPT,
        words(60),
        words(50000),
        {"tokens": TEXT},
    ),
    "GPT with a cache": Architecture(
        lambda: models.GPTDecoder(models.GPT(60, 40, layers=2, width=16, heads=2)),
        lambda: models.GPTDecoder(models.GPT()),
        tokens_and_cache(60, 2, 2, 16),
        tokens_and_cache(50000, 12, 12, 768),
        {"tokens": TEXT, "cache": {2: "batch", 4: "past"}},
    ),
    "ViT": Architecture(
        lambda: models.VisionTransformer(
            16, 4, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=10
        ),
        models.vit_b_16,
        images(3, 16),
        images(3, 224),
        {"x": BATCH},
    ),
    "VAE": Architecture(
        lambda: models.VAE(64, 32, 4), models.VAE, images(1, 8), images(1, 28),
        {"x": BATCH},
    ),
    "greedy decoder": Architecture(
        lambda: greedy(12, 9), lambda: greedy(256, 40), words(40), words(40),
        {"source": TEXT},
    ),
    "beam decoder": Architecture(
        lambda: beam(12, 9), lambda: beam(256, 40), words(40), words(40),
        {"source": TEXT},
    ),
}  # fmt: skip


def settle(model: fe.nn.Module, example: tuple[fe.Tensor, ...]) -> fe.nn.Module:
    """Gives batch norms the statistics of an example, so that numbers stay apart."""
    norms = [m for m in model.modules() if isinstance(m, fe.nn.BatchNorm2d)]
    with fe.no_grad():
        for norm in norms:
            norm.momentum = None
            norm.weight.copy_(fe.rand(norm.num_features) + 0.5)
            norm.bias.copy_(fe.randn(norm.num_features) * 0.1)
    if norms:
        model.train()(*example)
    return model.eval()


def run_in_cpp(
    path: Path,
    inputs: dict[str, fe.Tensor],
    expected: list[fe.Tensor],
    passes: str,
    entry: str = "forward",
) -> None:
    """Runs the file with the tool, which compares the results bit by bit."""
    folder = path.parent
    command = [str(TOOL), "run", str(path), "--json", "--threads", "2"]
    command += ["--entry", entry]
    command += ["--passes", passes]
    for name, value in inputs.items():
        np.save(folder / f"{name}.npy", value.numpy())
        command += ["--input", f"{name}={folder / name}.npy"]
    names = ["output"] if len(expected) == 1 else None
    for i, value in enumerate(expected):
        name = names[i] if names else f"output{i}"
        np.save(folder / f"{name}.npy", value.numpy())
        command += ["--expect", f"{name}={folder / name}.npy"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    compared = json.loads(done.stdout)["compared"]
    assert len(compared) == len(expected)
    assert all(c["identical"] for c in compared)


def check(
    name: str, model: fe.nn.Module, inputs: Batch, sizes: tuple[int, ...], path: Path
) -> None:
    example = inputs(3, 4)
    # A state of the random numbers that the file begins with, as eager does below.
    fe.manual_seed(17)
    program = fe.export(
        model, example, dynamic_shapes=ARCHITECTURES[name].free, path=path
    )
    names = [n for n, _ in program._signatures["forward"][1]]
    for k, batch in enumerate(sizes):
        length = sizes[-1 - k]
        given = inputs(batch, length)
        fe.manual_seed(17)
        with fe.no_grad():
            expected = model(*given)
        results = [expected] if isinstance(expected, fe.Tensor) else list(expected)
        assert all(r.isfinite().all() for r in results)
        if batch > 1 and results[0].is_floating_point():
            assert (results[0].std(0) > 1e-3).any(), "the examples differ"
        for passes in ("default", "none"):
            run_in_cpp(path, dict(zip(names, given, strict=True)), results, passes)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_cpp_gives_the_bits_of_eager(name: str, tmp_path: Path) -> None:
    architecture = ARCHITECTURES[name]
    fe.manual_seed(3)
    model = settle(architecture.small(), architecture.inputs(4, 4))
    check(name, model, architecture.inputs, SIZES, tmp_path / "model.fer")


@pytest.mark.long
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_cpp_gives_the_bits_of_eager_at_full_size(name: str, tmp_path: Path) -> None:
    architecture = ARCHITECTURES[name]
    fe.manual_seed(3)
    model = settle(architecture.large(), architecture.large_inputs(4, 4))
    check(name, model, architecture.large_inputs, SIZES, tmp_path / "model.fer")
