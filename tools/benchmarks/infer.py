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

MODELS: list[tuple[str, Callable[[Any], Any], tuple[int, ...]]] = [
    ("MLP", models.mlp, (1, 784)),
    ("LeNet", models.lenet, (1, 1, 28, 28)),
    ("MobileNetV2", models.mobilenet_v2, (1, 3, 224, 224)),
]


def exported(model: Any, x: Any) -> bytes:
    """As an ONNX file, by PyTorch's exporter that needs no further package."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), file, dynamo=False)
    return file.getvalue()


def build(model: Any, shape: tuple[int, ...], settings: Settings) -> dict[str, Work]:
    array = np.random.default_rng(0).standard_normal(shape, np.float32)
    own = model(fe.nn).eval()
    x = tensor_in(fe, array)
    program = fe.export(own, (x,), check=False)

    def eager() -> None:
        with fe.no_grad():
            own(x)

    works: dict[str, Work] = {OWN: eager, f"{OWN} graph": lambda: program(x)}
    if torch is None:
        return works
    other = model(torch.nn).eval()
    y = tensor_in(torch, array)

    def inference(run: Any) -> Work:
        def work() -> None:
            with torch.inference_mode():
                run(y)

        return work

    works["torch"] = inference(other)
    if settings.compile:
        works["torch compiled"] = inference(torch.compile(other))
    if onnx:
        session = onnx_session(exported(other, y), settings)
        feed = {session.get_inputs()[0].name: array}
        works["onnx"] = lambda: session.run(None, feed)
    return works


def cases(settings: Settings) -> Iterator[Case]:
    for name, model, shape in MODELS:
        yield Case(name, lambda m=model, s=shape: build(m, s, settings), goal=">= 1.0x")


def run(settings: Settings) -> list[Row]:
    return measure(cases(settings), settings)


def notes(rows: list[Row]) -> list[str]:
    return [at_least(rows, "models")]
