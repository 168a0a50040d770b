"""How long models take for one example.

"ferrule graph" is the exported program; PyTorch runs in inference mode, with
--compile compiled, too; ONNX Runtime runs what PyTorch exports.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import ferrule as fe

from . import models
from .harness import (
    OWN,
    Case,
    Row,
    Settings,
    Work,
    at_least,
    measure,
    onnx,
    onnx_session,
    tensor_in,
    torch,
)

Shapes = list[tuple[int, ...]]

MODELS: list[tuple[str, Callable[[Any], Any], Shapes]] = [
    ("MLP", models.mlp, [(1, 784)]),
    ("LeNet", models.lenet, [(1, 1, 28, 28)]),
    ("MobileNetV2", models.mobilenet_v2, [(1, 3, 224, 224)]),
    ("ResNet-50", models.resnet50, [(1, 3, 224, 224)]),
    ("BERT base, 128 tokens", models.bert, [(1, 128, 768)]),
    ("GPT-2 small, a token", models.gpt_step, [(1, 1), (12, 2, 1, 12, 127, 64)]),
]


def exported(model: Any, inputs: list[Any]) -> bytes:
    """As an ONNX file, by PyTorch's exporter that needs no further package."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, tuple(inputs), file, dynamo=False)
    return file.getvalue()


def numbers(key: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """An input: tokens where there is one a row, else numbers."""
    if shape[1:] == (1,):
        return key.integers(0, 50257, shape)
    return key.standard_normal(shape, np.float32)


def build(model: Any, shapes: Shapes, settings: Settings) -> dict[str, Work]:
    key = np.random.default_rng(0)
    arrays = [numbers(key, shape) for shape in shapes]
    own = model(fe).eval()
    xs = [tensor_in(fe, array) for array in arrays]
    program = fe.export(own, xs, check=False)

    def eager() -> None:
        with fe.no_grad():
            own(*xs)

    works: dict[str, Work] = {OWN: eager, f"{OWN} graph": lambda: program(*xs)}
    if torch is None:
        return works
    other = model(torch).eval()
    ys = [tensor_in(torch, array) for array in arrays]

    def inference(run: Any) -> Work:
        def work() -> None:
            with torch.inference_mode():
                run(*ys)

        return work

    works["torch"] = inference(other)
    if settings.compile:
        works["torch compiled"] = inference(torch.compile(other))
    if onnx:
        session = onnx_session(exported(other, ys), settings)
        feed = {i.name: a for i, a in zip(session.get_inputs(), arrays)}
        works["onnx"] = lambda: session.run(None, feed)
    return works


def cases(settings: Settings) -> Iterator[Case]:
    for name, model, shapes in MODELS:
        yield Case(
            name, lambda m=model, s=shapes: build(m, s, settings), goal=">= 1.0x"
        )


def run(settings: Settings) -> list[Row]:
    return measure(cases(settings), settings)


def notes(rows: list[Row]) -> list[str]:
    """What is deployed is the graph: the goal is for it."""
    graph = f"{OWN} graph"
    against = [
        f"{r.name} {r.median('onnx') / r.median(graph):.2f}x"
        for r in rows
        if "onnx" in r.samples
    ]
    lines = [at_least(rows, "models")]
    if against:
        lines.append(f"ONNX Runtime against the graph: {', '.join(against)}")
    return lines
