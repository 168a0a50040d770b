"""Elementwise ops, reductions, softmax, norms, losses with their gradients, a chain
of ops, Adam, decompositions of matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import ferrule as fe

from . import decompositions
from .harness import (
    OWN,
    Case,
    Row,
    Settings,
    Work,
    at_least,
    libraries,
    measure,
    tensor_in,
    torch,
)

SIZES = (1, 100, 10_000, 1_000_000, 10_000_000)
LARGE = 100_000_000
# From here on the machine's limit is its memory.
MEMORY_BOUND = 10_000_000
COLUMNS = 1000  # of matrices, where there are as many elements

# Name, function of (library, x, y), floats read and written an element, NumPy's.
Op = Callable[[Any, Any, Any], Any]
ELEMENTWISE: list[tuple[str, Op, float, Op | None]] = [
    ("add", lambda lib, x, y: lib.add(x, y), 3, lambda np, x, y: np.add(x, y)),
    ("mul", lambda lib, x, y: lib.mul(x, y), 3, lambda np, x, y: np.multiply(x, y)),
    ("add number", lambda lib, x, y: x + 1.5, 2, lambda np, x, y: x + np.float32(1.5)),
    ("relu", lambda lib, x, y: lib.relu(x), 2, None),
    ("exp", lambda lib, x, y: lib.exp(x), 2, lambda np, x, y: np.exp(x)),
    ("gelu", lambda lib, x, y: lib.nn.functional.gelu(x), 2, None),
    ("tanh", lambda lib, x, y: lib.tanh(x), 2, lambda np, x, y: np.tanh(x)),
    ("sigmoid", lambda lib, x, y: lib.sigmoid(x), 2, None),
    ("copy", lambda lib, x, y: x.clone(), 2, lambda np, x, y: x.copy()),
    (
        "to float64",
        lambda lib, x, y: x.to(lib.float64),
        3,
        lambda np, x, y: x.astype(np.float64),
    ),
    ("to bfloat16", lambda lib, x, y: x.to(lib.bfloat16), 1.5, None),
]
REDUCTIONS: list[tuple[str, Op, Op | None]] = [
    ("sum", lambda lib, x, y: x.sum(), lambda np, x, y: x.sum()),
    ("mean", lambda lib, x, y: x.mean(), lambda np, x, y: x.mean()),
    ("max", lambda lib, x, y: lib.amax(x), lambda np, x, y: x.max()),
    ("sum, dim -1", lambda lib, x, y: x.sum(-1), lambda np, x, y: x.sum(-1)),
    ("mean, dim -1", lambda lib, x, y: x.mean(-1), lambda np, x, y: x.mean(-1)),
    ("max, dim -1", lambda lib, x, y: lib.amax(x, -1), lambda np, x, y: x.max(-1)),
    ("sum, dim 0", lambda lib, x, y: x.sum(0), lambda np, x, y: x.sum(0)),
    ("mean, dim 0", lambda lib, x, y: x.mean(0), lambda np, x, y: x.mean(0)),
    ("max, dim 0", lambda lib, x, y: lib.amax(x, 0), lambda np, x, y: x.max(0)),
]
ROWS: list[tuple[str, Op]] = [
    ("softmax", lambda lib, x, y: lib.softmax(x, -1)),
    ("log_softmax", lambda lib, x, y: lib.log_softmax(x, -1)),
    (
        "layer_norm",
        lambda lib, x, y: lib.nn.functional.layer_norm(x, x.shape[-1:], y, y),
    ),
]
# Forward and backward: name, shapes of x (which gets a gradient) and y, function.
Shape = tuple[int, ...]
BATCH = (1_000, 1_000)
IMAGES = (8, 64, 32, 32)
TRAINED: list[tuple[str, Shape, Shape, Op]] = [
    ("smooth_l1_loss", BATCH, BATCH, lambda F, x, y: F.smooth_l1_loss(x, y)),
    ("huber_loss", BATCH, BATCH, lambda F, x, y: F.huber_loss(x, y, delta=0.5)),
    ("logsigmoid", BATCH, BATCH, lambda F, x, y: F.logsigmoid(x)),
    ("hardsigmoid", BATCH, BATCH, lambda F, x, y: F.hardsigmoid(x)),
    ("group_norm", IMAGES, (64,), lambda F, x, y: F.group_norm(x, 8, y, y)),
    (
        "nearest upsample",
        IMAGES,
        (1,),
        lambda F, x, y: F.interpolate(x, scale_factor=2, mode="nearest"),
    ),
]


def sides(n: int) -> tuple[int, int]:
    """A matrix of n elements."""
    return (
        (n // COLUMNS, COLUMNS) if n >= 1_000_000 else (max(n // 100, 1), min(n, 100))
    )


def build(shape: tuple[int, ...], run: Op, numpys: Op | None = None) -> dict[str, Work]:
    """`y` is as `x`, or one row where `x` is a matrix."""
    key = np.random.default_rng(0)
    arrays = [key.standard_normal(s, np.float32) for s in (shape, shape[-1:])]
    works: dict[str, Work] = {}
    for who, lib in libraries():
        x, y = (tensor_in(lib, a) for a in arrays)
        works[who] = lambda lib=lib, x=x, y=y: run(lib, x, y)
    if numpys:
        works["numpy"] = lambda: numpys(np, *arrays)
    return works


def train(shapes: tuple[Shape, Shape], run: Op) -> dict[str, Work]:
    """A forward pass, and the gradient of `x` for a gradient of the result."""
    key = np.random.default_rng(0)
    arrays = [key.standard_normal(s, np.float32) for s in shapes]
    works: dict[str, Work] = {}
    for who, lib in libraries():
        x, y = (tensor_in(lib, a) for a in arrays)
        x.requires_grad_()
        F = lib.nn.functional
        grad = lib.ones_like(run(F, x, y).detach())

        def work(F: Any = F, x: Any = x, y: Any = y, grad: Any = grad) -> None:
            x.grad = None
            run(F, x, y).backward(grad)

        works[who] = work
    return works


def chain(lib: Any, x: Any, y: Any) -> Any:
    """Twelve ops, each with a tensor of its own for the result."""
    z = x * y
    z = z + x
    z = lib.relu(z)
    z = z - y
    z = z * 0.5
    z = z + 1.0
    z = lib.maximum(z, y)
    z = -z
    z = z * z
    z = z + y
    return lib.sqrt(lib.abs(z))


def chains(n: int) -> dict[str, Work]:
    """The chain eagerly, and compiled to one loop over tiles."""
    works = build((n,), chain)
    x, y = (fe.tensor(np.random.default_rng(0).random(n, np.float32)) for _ in "xy")
    compiled = fe.compile(lambda x, y: chain(fe, x, y))
    works[f"{OWN} compiled"] = lambda: compiled(x, y)
    return works


def loop(_: Any, x: Any, y: Any) -> Any:
    """States over time, step by step, each read from x[:, t] and written to its place:
    the gradients of both are parts of one tensor."""
    state, states = y, y.new_zeros(x.shape)
    for t in range(x.shape[1]):
        state = (state + x[:, t]).tanh()
        states[:, t] = state
    return states


def adam() -> dict[str, Work]:
    """A step on a million parameters: four tensors, as of an MLP."""
    shapes = ((784, 1000), (1000,), (1000, 214), (214,))
    key = np.random.default_rng(0)
    works: dict[str, Work] = {}
    for who, lib in libraries():
        for kind in ("", " fused") if lib is torch else ("",):
            params = [tensor_in(lib, key.random(s, np.float32)) for s in shapes]
            for p in params:
                p.requires_grad_()
                p.grad = lib.ones_like(p)
            options = {"fused": True} if kind else {}
            works[who + kind] = lib.optim.Adam(params, lr=1e-3, **options).step
    return works


def cases(settings: Settings) -> Iterator[Case]:
    sizes = (*SIZES, LARGE) if settings.large else SIZES
    for name, op, floats, numpys in ELEMENTWISE:
        for n in sizes:
            yield Case(
                f"{name}, {n:,}",
                lambda op=op, numpys=numpys, n=n: build((n,), op, numpys),
                moved=4.0 * floats * n if n >= MEMORY_BOUND else 0,
            )
    for name, op, numpys in REDUCTIONS:
        for n in sizes:
            yield Case(
                f"{name}, {n:,}",
                lambda op=op, numpys=numpys, n=n: build(sides(n), op, numpys),
                read=4.0 * n if n >= MEMORY_BOUND else 0,
            )
    for name, op in ROWS:
        for n in sizes:
            yield Case(
                f"{name}, {n:,}",
                lambda op=op, n=n: build(sides(n), op),
                moved=8.0 * n if n >= MEMORY_BOUND else 0,
            )
    for name, x, y, op in TRAINED:
        yield Case(
            f"{name}, forward + backward",
            lambda x=x, y=y, op=op: train((x, y), op),
        )
    yield Case("12 ops on 16,777,216 floats", lambda: chains(1 << 24), goal="<= 60 ms")
    yield Case(
        "200 steps of (32, 200, 256), forward + backward",
        lambda: train(((32, 200, 256), (32, 256)), loop),
    )
    yield Case("Adam, 1,000,000 parameters", adam, goal="<= 350 us")
    yield from decompositions.cases()


def run(settings: Settings) -> list[Row]:
    return measure(cases(settings), settings)


def notes(rows: list[Row]) -> list[str]:
    slow = [r.name for r in rows if "torch" in r.samples and r.ratio("torch") < 1]
    result = [
        at_least(rows, "all"),
        f"slower than PyTorch: {'; '.join(slow) or 'none'}",
    ]
    limited = [p for r in rows if (p := r.of_limit()) is not None]
    if limited:
        good = sum(p >= 0.85 for p in limited)
        result.append(f"large: {good} of {len(limited)} rows >= 85 % of the bandwidth")
    return result
