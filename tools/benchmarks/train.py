"""Training steps of small models: forward, loss, backward, Adam.

PyTorch has its default Adam, its fused one, and with --compile the compiled model
with the fused one. "ferrule graph" is the exported training step, "ferrule compiled"
the step as a function given to `fe.compile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import ferrule as fe

from . import models
from .harness import (
    OWN,
    Case,
    Row,
    Settings,
    Work,
    libraries,
    measure,
    tensor_in,
    torch,
)


class Task(NamedTuple):
    """A model, the shape of its input and the number of targets and classes."""

    name: str
    model: Callable[[Any], Any]
    shape: tuple[int, ...]
    targets: int
    classes: int
    goal: str
    characters: bool = False
    needs: str = ""  # a name that `nn` or `nn.functional` must have


TASKS = [
    Task("MLP, batch 64", models.mlp, (64, 784), 64, 10, ">= 2.5x"),
    Task("LeNet, batch 64", models.lenet, (64, 1, 28, 28), 64, 10, ">= 2x"),
    Task(
        "ResNet-18 32x32, batch 32",
        models.resnet18,
        (32, 3, 32, 32),
        32,
        10,
        ">= 1.1x",
    ),
    Task(
        "char GPT, batch 16",
        models.char_gpt,
        (16, 128),
        16 * 128,
        65,
        ">= 2x",
        True,
        "scaled_dot_product_attention",
    ),
    Task(
        "LSTM 2x256, 64 steps, batch 32",
        models.lstm,
        (32, 64),
        32 * 64,
        65,
        ">= 1.4x",
        True,
        "LSTM",
    ),
]


def batch(task: Task) -> tuple[Any, Any]:
    key = np.random.default_rng(0)
    target = key.integers(0, task.classes, task.targets)
    if task.characters:
        return key.integers(0, task.classes, task.shape), target
    return key.standard_normal(task.shape, np.float32), target


def loss_function(lib: Any) -> Callable[[Any, Any], Any]:
    """Cross entropy, of each place of a sequence."""
    cross_entropy = lib.nn.functional.cross_entropy
    return lambda y, target: cross_entropy(y.reshape(-1, y.shape[-1]), target)


def step(lib: Any, task: Task, *, fused: bool = False, compiled: bool = False) -> Work:
    """Eager, or compiled by PyTorch."""
    x, target = (tensor_in(lib, a) for a in batch(task))
    lib.manual_seed(0)
    model = task.model(lib)
    options = {"fused": True} if fused else {}
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-4, **options)
    run = lib.compile(model) if compiled else model
    loss_of = loss_function(lib)

    def work() -> None:
        loss = loss_of(run(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return work


def compiled_step(task: Task) -> Work:
    """The same as one compiled function."""
    x, target = (tensor_in(fe, a) for a in batch(task))
    fe.manual_seed(0)
    model = task.model(fe)
    optimizer = fe.optim.Adam(model.parameters(), lr=1e-4)
    loss_of = loss_function(fe)

    @fe.compile
    def work(x: Any, target: Any) -> Any:
        loss = loss_of(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return lambda: work(x, target)


def graph_step(task: Task) -> Work:
    """Of the exported program."""
    x, target = (tensor_in(fe, a) for a in batch(task))
    model = task.model(fe)
    optimizer = fe.optim.Adam(model.parameters(), lr=1e-4)
    program = fe.export(
        model,
        (x,),
        train=(loss_function(fe), optimizer),
        targets=(target,),
        check=False,
    )
    return lambda: program.run("train_step", x, target)


def build(task: Task, settings: Settings) -> dict[str, Work]:
    works = {who: step(lib, task) for who, lib in libraries()}
    works[f"{OWN} graph"] = graph_step(task)
    works[f"{OWN} compiled"] = compiled_step(task)
    if torch is not None:
        works["torch fused"] = step(torch, task, fused=True)
        if settings.compile:
            works["torch compiled"] = step(torch, task, fused=True, compiled=True)
    return works


def possible(task: Task) -> bool:
    nn = fe.nn
    return (
        not task.needs or hasattr(nn, task.needs) or hasattr(nn.functional, task.needs)
    )


def cases(settings: Settings) -> Iterator[Case]:
    for task in TASKS:
        if possible(task):
            yield Case(
                task.name, lambda task=task: build(task, settings), goal=task.goal
            )


def run(settings: Settings) -> list[Row]:
    return measure(cases(settings), settings)


def notes(rows: list[Row]) -> list[str]:
    speeds = [f"{row.name}: {1e9 / row.median(OWN):.3g} steps/s" for row in rows]
    return ["; ".join(speeds)]
