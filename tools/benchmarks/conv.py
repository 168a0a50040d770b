"""The distinct convolutions of ResNet-50 and MobileNetV2, batch 1, and their gradients.

PyTorch runs in both memory layouts; a gradient is that of the input and of the
weight together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import ferrule as fe

from .harness import (
    Case,
    Row,
    Settings,
    Work,
    at_least,
    geometric_mean,
    libraries,
    measure,
    onnx,
    onnx_node,
    tensor_in,
    torch,
)


class Layer(NamedTuple):
    """Square kernels and images; as many groups as channels where depthwise."""

    inputs: int
    outputs: int
    kernel: int
    size: int
    stride: int = 1
    depthwise: bool = False

    @property
    def out_size(self) -> int:
        return (self.size - 1) // self.stride + 1

    @property
    def groups(self) -> int:
        return self.inputs if self.depthwise else 1

    @property
    def name(self) -> str:
        kind = "dw " if self.depthwise else ""
        step = f"/{self.stride}" if self.stride > 1 else ""
        channels = f"{self.inputs}->{self.outputs}"
        return f"{kind}{self.kernel}x{self.kernel}{step} {channels} {self.size}^2"

    @property
    def flops(self) -> float:
        taps = self.inputs // self.groups * self.kernel**2
        return 2.0 * taps * self.outputs * self.out_size**2


RESNET = [
    Layer(3, 64, 7, 224, 2),
    Layer(64, 64, 1, 56),
    Layer(64, 64, 3, 56),
    Layer(64, 256, 1, 56),
    Layer(256, 64, 1, 56),
    Layer(256, 128, 1, 56),
    Layer(128, 128, 3, 56, 2),
    Layer(128, 512, 1, 28),
    Layer(256, 512, 1, 56, 2),
    Layer(512, 128, 1, 28),
    Layer(128, 128, 3, 28),
    Layer(512, 256, 1, 28),
    Layer(256, 256, 3, 28, 2),
    Layer(256, 1024, 1, 14),
    Layer(512, 1024, 1, 28, 2),
    Layer(1024, 256, 1, 14),
    Layer(256, 256, 3, 14),
    Layer(1024, 512, 1, 14),
    Layer(512, 512, 3, 14, 2),
    Layer(512, 2048, 1, 7),
    Layer(1024, 2048, 1, 14, 2),
    Layer(2048, 512, 1, 7),
    Layer(512, 512, 3, 7),
]
MOBILENET = [
    Layer(3, 32, 3, 224, 2),
    Layer(32, 32, 3, 112, 1, True),
    Layer(32, 16, 1, 112),
    Layer(16, 96, 1, 112),
    Layer(96, 96, 3, 112, 2, True),
    Layer(96, 24, 1, 56),
    Layer(24, 144, 1, 56),
    Layer(144, 144, 3, 56, 1, True),
    Layer(144, 24, 1, 56),
    Layer(144, 144, 3, 56, 2, True),
    Layer(144, 32, 1, 28),
    Layer(32, 192, 1, 28),
    Layer(192, 192, 3, 28, 1, True),
    Layer(192, 32, 1, 28),
    Layer(192, 192, 3, 28, 2, True),
    Layer(192, 64, 1, 14),
    Layer(64, 384, 1, 14),
    Layer(384, 384, 3, 14, 1, True),
    Layer(384, 64, 1, 14),
    Layer(384, 96, 1, 14),
    Layer(96, 576, 1, 14),
    Layer(576, 576, 3, 14, 1, True),
    Layer(576, 96, 1, 14),
    Layer(576, 576, 3, 14, 2, True),
    Layer(576, 160, 1, 7),
    Layer(160, 960, 1, 7),
    Layer(960, 960, 3, 7, 1, True),
    Layer(960, 160, 1, 7),
    Layer(960, 320, 1, 7),
    Layer(320, 1280, 1, 7),
]


def arrays(layer: Layer) -> tuple[Any, Any, Any]:
    """Input, weight and the gradient of the output."""
    key = np.random.default_rng(0)
    x = key.standard_normal((1, layer.inputs, layer.size, layer.size), np.float32)
    taps = (layer.inputs // layer.groups, layer.kernel, layer.kernel)
    w = key.standard_normal((layer.outputs, *taps), np.float32)
    out = (1, layer.outputs, layer.out_size, layer.out_size)
    return x, w, key.standard_normal(out, np.float32)


def contestants() -> list[tuple[str, Any, bool]]:
    """Name, library and whether channels come last in memory."""
    result = [(who, lib, False) for who, lib in libraries()]
    return result + [(f"{who} nhwc", lib, True) for who, lib in libraries()]


def placed(lib: Any, array: Any, last: bool) -> Any:
    tensor = tensor_in(lib, array)
    return tensor.contiguous(memory_format=lib.channels_last) if last else tensor


def forward(layer: Layer, settings: Settings) -> dict[str, Work]:
    x, w, _ = arrays(layer)
    pad = layer.kernel // 2
    works: dict[str, Work] = {}
    for who, lib, last in contestants():
        conv = (fe if lib is fe else torch).nn.functional.conv2d
        a, b = placed(lib, x, last), placed(lib, w, last)
        works[who] = lambda conv=conv, a=a, b=b: conv(
            a, b, None, layer.stride, pad, 1, layer.groups
        )
    if onnx:
        options = {
            "strides": [layer.stride] * 2,
            "pads": [pad] * 4,
            "group": layer.groups,
        }
        works["onnx"] = onnx_node("Conv", {"x": x}, {"w": w}, settings, **options)
    return works


def backward(layer: Layer) -> dict[str, Work]:
    x, w, g = arrays(layer)
    pad = layer.kernel // 2
    works: dict[str, Work] = {}
    for who, lib, last in contestants():
        conv = lib.nn.functional.conv2d
        a, b = placed(lib, x, last), placed(lib, w, last)
        inputs = [a.requires_grad_(), b.requires_grad_()]
        y = conv(a, b, None, layer.stride, pad, 1, layer.groups)
        grad, seed = lib.autograd.grad, placed(lib, g, last)
        works[who] = lambda y=y, inputs=inputs, grad=grad, seed=seed: grad(
            y, inputs, seed, retain_graph=True
        )
    return works


def cases(settings: Settings) -> Iterator[Case]:
    for model, layers in (("resnet", RESNET), ("mobilenet", MOBILENET)):
        for layer in layers:
            yield Case(
                f"{model} {layer.name}",
                lambda layer=layer: forward(layer, settings),
                flops=layer.flops,
                goal=">= 1.0x",
            )
            yield Case(
                f"{model} {layer.name}, backward",
                lambda layer=layer: backward(layer),
                flops=2 * layer.flops,
                goal=">= 1.5x torch",
            )


def run(settings: Settings) -> list[Row]:
    rows = measure(cases(settings), settings)
    return sorted(rows, key=lambda row: "backward" in row.name)


def notes(rows: list[Row]) -> list[str]:
    last = [row for row in rows if "backward" in row.name]
    first = [row for row in rows if row not in last]
    result = [at_least(first, "forward")] if first else []
    ratios = [r for row in last if (r := row.best_ratio()) is not None]
    if ratios:
        mean = geometric_mean(ratios)
        result.append(f"backward: {mean:.2f}x PyTorch's better layout, geometric mean")
    return result
