"""Training from a file in C++: after ten steps every bit is that of eager."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule, models, nn
from ferrule.nn import functional as F

TOOL = Path(fe.__file__).parent / "bin" / "ferrule"
STEPS, BATCH = 10, 4


class Task(NamedTuple):
    model: Callable[[], nn.Module]
    loss: Callable[[fe.Tensor, fe.Tensor], fe.Tensor]
    data: Callable[[int], tuple[fe.Tensor, fe.Tensor]]  # of so many examples


def images(*shape: int) -> Callable[[int], tuple[fe.Tensor, fe.Tensor]]:
    return lambda n: (fe.randn(n, *shape), fe.randint(0, 10, (n,)))


def per_word(logits: fe.Tensor, target: fe.Tensor) -> fe.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


def text(n: int) -> tuple[fe.Tensor, fe.Tensor]:
    return fe.randint(0, 20, (n, 6)), fe.randint(0, 20, (n, 6))


TASKS = {
    "MLP": Task(
        lambda: models.MLP(36, (16, 12)), F.cross_entropy, images(1, 6, 6)
    ),
    "LeNet": Task(models.LeNet, F.cross_entropy, images(1, 28, 28)),
    "ResNet-18": Task(
        lambda: models.resnet18(10, width=4, small_images=True),
        F.cross_entropy,
        images(3, 16, 16),
    ),
    "LSTM tagger": Task(lambda: models.LSTMTagger(20, 20, 8), per_word, text),
    "GPT": Task(
        lambda: models.GPT(20, 8, layers=1, width=16, heads=2, dropout=0.1),
        per_word,
        text,
    ),
    "U-Net": Task(
        lambda: models.UNet(1, 3, width=4, depth=2),
        F.cross_entropy,
        lambda n: (fe.randn(n, 1, 8, 8), fe.randint(0, 3, (n, 8, 8))),
    ),
}  # fmt: skip

Make = Callable[[list[fe.Tensor]], fe.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda p: fe.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    "Adam": lambda p: fe.optim.Adam(p, 1e-2),
    "AdamW": lambda p: fe.optim.AdamW(p, 1e-2, amsgrad=True),
}
# Once each.
OTHERS: dict[str, Make] = {
    "plain SGD": lambda p: fe.optim.SGD(p, 0.05),
    "ASGD": lambda p: fe.optim.ASGD(p, 1e-2),
    "Adadelta": lambda p: fe.optim.Adadelta(p),
    "Adafactor": lambda p: fe.optim.Adafactor(p),
    "Adagrad": lambda p: fe.optim.Adagrad(p),
    "Adamax": lambda p: fe.optim.Adamax(p),
    "Muon": lambda p: fe.optim.Muon([q for q in p if q.ndim == 2], 1e-2),
    "NAdam": lambda p: fe.optim.NAdam(p),
    "RAdam": lambda p: fe.optim.RAdam(p),
    "RMSprop": lambda p: fe.optim.RMSprop(p, momentum=0.5, centered=True),
    "Rprop": lambda p: fe.optim.Rprop(p),
    "SparseAdam": lambda p: fe.optim.SparseAdam(p),
}


def prepared(task: str, make: Make) -> tuple[nn.Module, fe.optim.Optimizer]:
    """The same model each time."""
    fe.manual_seed(5)
    model = TASKS[task].model()
    return model, make(list(model.parameters()))


def export(
    task: str, model: nn.Module, optimizer: fe.optim.Optimizer, path: Path
) -> fe.Program:
    """With its random numbers at a known state."""
    x, y = TASKS[task].data(BATCH)
    fe.manual_seed(9)
    return fe.export(
        model,
        (x,),
        dynamic_shapes=({0: fe.Dim("batch", min=1)},),
        train=(TASKS[task].loss, optimizer),
        targets=(y,),
        path=path,
    )


def eager_steps(
    task: str,
    model: nn.Module,
    optimizer: fe.optim.Optimizer,
    x: fe.Tensor,
    y: fe.Tensor,
    steps: int = STEPS,
) -> list[float]:
    fe.manual_seed(9)
    losses = []
    for k in range(steps):
        part = slice(k * BATCH, (k + 1) * BATCH)
        loss = TASKS[task].loss(model(x[part]), y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_in_cpp(path: Path, x: fe.Tensor, y: fe.Tensor, *options: str) -> Path:
    """Trains with the tool; returns the file that it wrote."""
    np.save(path.with_name("x.npy"), x.numpy())
    np.save(path.with_name("y.npy"), y.numpy())
    name = fe.load_program(path)._signatures["train_step"][1][0][0]
    trained = path.with_name("trained.fer")
    command = [
        str(TOOL), "train", str(path), "--batch", str(BATCH),
        "--input", f"{name}={path.with_name('x.npy')}",
        "--input", f"target={path.with_name('y.npy')}",
        "--output", str(trained), *options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return trained


def assert_same(
    program: fe.Program, model: nn.Module, optimizer: fe.optim.Optimizer
) -> None:
    """Weights, buffers and the optimizer's state are those of eager."""
    state = program.state_dict()
    names = {id(p): name for name, p in model.named_parameters()}
    expected = {f"model.{name}": v for name, v in model.state_dict().items()}
    for param, entries in optimizer.state.items():
        for key, value in entries.items():
            if isinstance(value, fe.Tensor):
                expected[f"optimizer.{names[id(param)]}.{key}"] = value
    # What parameters share, such as a counter, is in the file once.
    assert {n for n in state if n.startswith("model.")} <= expected.keys()
    for name, value in state.items():
        if name.startswith("constant."):
            continue  # a number that the model made for itself
        assert _ferrule.same_bits(value, expected[name].detach()), name


def check(task: str, make: Make, path: Path) -> None:
    model, optimizer = prepared(task, make)
    export(task, model, optimizer, path)
    before = path.read_bytes()
    x, y = TASKS[task].data(STEPS * BATCH)

    trained = fe.load_program(train_in_cpp(path, x, y))
    losses = eager_steps(task, model, optimizer, x, y)
    assert_same(trained, model, optimizer)
    assert losses[-1] != losses[0]
    assert trained.rng_state == _ferrule.rng_state()
    assert path.read_bytes() == before, "the file that was trained is as it was"

    # And with passes off, loss by loss.
    program = fe.load_program(path, passes="none")
    for k in range(STEPS):
        part = slice(k * BATCH, (k + 1) * BATCH)
        (loss,) = program.run("train_step", x[part], y[part])
        assert loss.item() == losses[k], k


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_ten_steps(task: str, kind: str, tmp_path: Path) -> None:
    check(task, OPTIMIZERS[kind], tmp_path / "model.fer")


@pytest.mark.parametrize("kind", OTHERS)
def test_every_optimizer(kind: str, tmp_path: Path) -> None:
    check("MLP", OTHERS[kind], tmp_path / "model.fer")
