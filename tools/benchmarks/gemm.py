"""Matrix products: squares, one and eight rows, many small ones; and of bfloat16,
float16 and int8, for which the limit is not known.

ONNX Runtime has the right side as a constant, which it packs beforehand, as it
would a layer's weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import ferrule as fe

from .harness import (
    Case,
    Row,
    Settings,
    Work,
    at_least,
    libraries,
    measure,
    onnx,
    onnx_node,
    tensor_in,
)

SQUARES = (64, 128, 256, 384, 512, 768, 1024, 2048)
SKINNY = ((1, 1024, 1024), (1, 4096, 4096), (8, 1024, 1024), (32, 1024, 1024))
# Layers of small models: batch, inputs, outputs.
LAYERS = ((64, 784, 256), (64, 256, 128), (64, 128, 10), (2048, 128, 512))
# How many, rows, inner, columns.
BATCHES = ((64, 32, 32, 32), (256, 16, 64, 16), (64, 128, 32, 128))
NARROW = ((512, 512, 512), (1024, 1024, 1024), (32, 1024, 1024))


def build(settings: Settings, a: tuple[int, ...], b: tuple[int, ...]) -> dict:
    key = np.random.default_rng(0)
    left = key.standard_normal(a, np.float32)
    right = key.standard_normal(b, np.float32)
    works: dict[str, Work] = {}
    for who, lib in libraries():
        x, y, product = tensor_in(lib, left), tensor_in(lib, right), lib.matmul
        works[who] = lambda product=product, x=x, y=y: product(x, y)
    works["numpy"] = lambda: np.matmul(left, right)
    if onnx:
        works["onnx"] = onnx_node("MatMul", {"a": left}, {"b": right}, settings)
    return works


def build_narrow(dtype: str, m: int, k: int, n: int) -> dict:
    key = np.random.default_rng(0)
    works: dict[str, Work] = {}
    for who, lib in libraries():
        x, y = (
            tensor_in(lib, key.integers(-128, 128, shape, np.int8))
            if dtype == "int8"
            else tensor_in(lib, key.standard_normal(shape, np.float32))
            for shape in ((m, k), (k, n))
        )
        if dtype == "int8":
            product = lib.ops.int_mm if lib is fe else lib._int_mm
        else:
            x, y = x.to(getattr(lib, dtype)), y.to(getattr(lib, dtype))
            product = lib.matmul
        works[who] = lambda product=product, x=x, y=y: product(x, y)
    return works


def cases(settings: Settings) -> Iterator[Case]:
    for m, k, n in [(n, n, n) for n in SQUARES] + [*SKINNY, *LAYERS]:
        goal = ">= 90 % of the limit, >= 2x torch" if m == k >= 256 else ""
        yield Case(
            f"{m}x{k}x{n}",
            lambda m=m, k=k, n=n: build(settings, (m, k), (k, n)),
            flops=2.0 * m * k * n,
            goal=goal,
        )
    for count, m, k, n in BATCHES:
        yield Case(
            f"{count} of {m}x{k}x{n}",
            lambda c=count, m=m, k=k, n=n: build(settings, (c, m, k), (c, k, n)),
            flops=2.0 * count * m * k * n,
        )
    for dtype in ("bfloat16", "float16", "int8"):
        for m, k, n in NARROW:
            if dtype == "float16" and m > 512:
                continue  # PyTorch takes seconds
            yield Case(
                f"{dtype} {m}x{k}x{n}",
                lambda d=dtype, m=m, k=k, n=n: build_narrow(d, m, k, n),
            )


def run(settings: Settings) -> list[Row]:
    return measure(cases(settings), settings)


def notes(rows: list[Row]) -> list[str]:
    return [at_least(rows, "products")]
