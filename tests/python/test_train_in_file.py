"""Training from a file in C++: after ten steps every bit is that of eager."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule, models, nn
from ferrule.nn import functional as F
from ferrule.utils.checkpoint import checkpoint

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


# --- the learning rate as an input


# Rprop uses its learning rate before the first step alone.
RATED = OPTIMIZERS | {name: make for name, make in OTHERS.items() if name != "Rprop"}


@pytest.mark.parametrize("kind", RATED)
def test_a_learning_rate_that_is_a_tensor_is_an_input(
    kind: str, tmp_path: Path
) -> None:
    model, optimizer = prepared("MLP", RATED[kind])
    lr = fe.tensor(0.0)
    for group in optimizer.param_groups:
        first, group["lr"] = group["lr"], lr
    lr.fill_(first)
    path = tmp_path / "model.fer"
    program = export("MLP", model, optimizer, path)
    assert [name for name, _ in program._signatures["train_step"][1]][-1] == "lr"
    assert optimizer.param_groups[0]["lr"] is lr

    x, y = TASKS["MLP"].data(STEPS * BATCH)
    fe.manual_seed(9)
    for k in range(STEPS):
        part = slice(k * BATCH, (k + 1) * BATCH)
        lr.fill_(float(first) * (1 - k / STEPS))
        loss = TASKS["MLP"].loss(model(x[part]), y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        (got,) = program.run("train_step", x[part], y[part], lr=lr)
        assert got.item() == loss.item(), k
    assert_same(program, model, optimizer)

    np.save(tmp_path / "lr.npy", np.float32(0))
    trained = fe.load_program(
        train_in_cpp(path, x, y, "--input", f"lr={tmp_path / 'lr.npy'}")
    )
    before = fe.load_program(path).state_dict()
    if kind != "ASGD":  # whose first step has the size that it was made with
        for name, _ in model.named_parameters():
            name = f"model.{name}"
            assert _ferrule.same_bits(trained.state_dict()[name], before[name]), name


def test_groups_have_learning_rates_of_their_own(tmp_path: Path) -> None:
    model, _ = prepared("MLP", OPTIMIZERS["SGD"])
    shared, other = fe.tensor(0.5), fe.tensor([0.25], dtype=fe.float64)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    optimizer = fe.optim.SGD(
        [
            {"params": layers[0].parameters(), "lr": shared},
            {"params": layers[1].parameters(), "lr": other},
            {"params": layers[2].parameters(), "lr": shared},
        ],
        0.1,
    )
    program = export("MLP", model, optimizer, tmp_path / "model.fer")
    inputs = [name for name, _ in program._signatures["train_step"][1]]
    assert inputs == ["x", "target", "lr", "lr1"]
    before = program.state_dict()
    x, y = TASKS["MLP"].data(BATCH)
    program.run("train_step", x, y, fe.tensor(0.0), other)
    after = program.state_dict()
    changed = {n for n in before if not _ferrule.same_bits(before[n], after[n])}
    assert changed == {"model.layers.3.weight", "model.layers.3.bias"}


# --- what is trained, and what the file keeps


def test_frozen_parameters_are_not_written_and_get_no_gradient(tmp_path: Path) -> None:
    model, _ = prepared("LeNet", OPTIMIZERS["Adam"])
    model.features.requires_grad_(False)
    optimizer = fe.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    path = tmp_path / "model.fer"
    program = export("LeNet", model, optimizer, path)
    frozen = {f"model.{n}" for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen and not any(
        n.startswith("optimizer.features") for n in program.state_dict()
    )
    text = inspect(path)
    # Neither weight nor input of a frozen convolution has a gradient in the graph.
    assert "conv2d_dw" not in text and "conv2d_dx" not in text
    x, y = TASKS["LeNet"].data(STEPS * BATCH)
    before = program.state_dict()
    after = fe.load_program(train_in_cpp(path, x, y)).state_dict()
    changed = {n for n in before if not _ferrule.same_bits(before[n], after[n])}
    assert changed == {n for n in before if n not in frozen}
    eager_steps("LeNet", model, optimizer, x, y)
    assert_same(fe.load_program(path.with_name("trained.fer")), model, optimizer)


def inspect(path: Path) -> str:
    """The graphs of a file, as text."""
    command = [str(TOOL), "inspect", "-v", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def test_stopping_and_going_on_changes_nothing(tmp_path: Path) -> None:
    model, optimizer = prepared("GPT", OPTIMIZERS["AdamW"])
    path = tmp_path / "model.fer"
    export("GPT", model, optimizer, path)
    x, y = TASKS["GPT"].data(STEPS * BATCH)
    half = STEPS * BATCH // 2
    # The file is trained, and replaced by what it became.
    train_in_cpp(path, x[:half], y[:half]).replace(path)
    resumed = fe.load_program(train_in_cpp(path, x[half:], y[half:]))
    eager_steps("GPT", model, optimizer, x, y)
    assert_same(resumed, model, optimizer)


def test_a_file_that_is_killed_while_it_is_saved_stays_whole(tmp_path: Path) -> None:
    """kill -9 at any moment leaves the old file or the new one."""
    model = nn.Linear(1000, 1000)
    optimizer = fe.optim.SGD(model.parameters(), 0.1)
    path = tmp_path / "model.fer"
    fe.export(
        model,
        (fe.randn(2, 1000),),
        train=(F.mse_loss, optimizer),
        targets=(fe.randn(2, 1000),),
        path=path,
    )
    script = f"""
import ferrule as fe
program = fe.load_program({str(path)!r})
x, y = fe.ones(2, 1000), fe.zeros(2, 1000)
while True:
    program.run("train_step", x, y)
    print("saving", flush=True)
    program.save({str(path)!r})
"""
    seen = set()
    for k in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(1 + k % 3):
            assert process.stdout.readline() == "saving\n"
        time.sleep(0.002 * k)
        process.kill()
        process.wait()
        process.stdout.close()
        program = fe.load_program(path, verify=True)
        program.check()
        seen.add(program.state_dict()["model.bias"].sum().item())
    assert len(seen) > 1, "some were saved"


def test_sessions_that_train_leave_the_file_and_each_other_alone(
    tmp_path: Path,
) -> None:
    model, optimizer = prepared("LeNet", OPTIMIZERS["SGD"])
    path = tmp_path / "model.fer"
    export("LeNet", model, optimizer, path)
    before = path.read_bytes()
    x, y = TASKS["LeNet"].data(BATCH)
    first, second = fe.load_program(path), fe.load_program(path)
    untrained = second(x)
    first.run("train_step", x, y)
    assert not _ferrule.same_bits(first(x), untrained)
    assert _ferrule.same_bits(second(x), untrained)
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc")
def test_what_is_not_trained_stays_shared_with_the_file(tmp_path: Path) -> None:
    """A session copies what its training step writes, and nothing else."""
    body, head = nn.Linear(1500, 1500), nn.Linear(1500, 10)
    body.requires_grad_(False)
    optimizer = fe.optim.SGD(head.parameters(), 0.1)
    path = tmp_path / "model.fer"
    fe.export(
        nn.Sequential(body, head),
        (fe.randn(2, 1500),),
        train=(F.mse_loss, optimizer),
        targets=(fe.randn(2, 10),),
        path=path,
    )
    program = fe.load_program(path, passes="none")
    program.run("train_step", fe.randn(2, 1500), fe.randn(2, 10))
    private = mapped = 0
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if " " in line and "-" in line.split()[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            mapped += int(line.split()[1])
        elif inside and line.startswith("Private_Dirty:"):
            private += int(line.split()[1])
    assert mapped >= 1500 * 1500 * 4 // 1024, "the frozen weight is read in the file"
    assert private == 0


# --- adapters


def test_adapters_are_all_that_a_file_trains(tmp_path: Path) -> None:
    fe.manual_seed(5)
    model = TASKS["GPT"].model()
    trained = nn.utils.lora.add_lora(model, 2, dropout=0.1, where=r"qkv|mlp\.0")
    optimizer = fe.optim.AdamW(trained, 1e-2)
    path = tmp_path / "model.fer"
    before = export("GPT", model, optimizer, path).state_dict()
    x, y = TASKS["GPT"].data(STEPS * BATCH)
    program = fe.load_program(train_in_cpp(path, x, y))
    after = program.state_dict()
    changed = {n for n in before if not _ferrule.same_bits(before[n], after[n])}
    of_model = {n for n in changed if n.startswith("model.")}
    assert of_model == {f"model.{n}" for n in nn.utils.lora.lora_state_dict(model)}
    assert len(of_model) == 4
    assert {n.rpartition(".")[2] for n in changed - of_model} == {
        "exp_avg",
        "exp_avg_sq",
        "step",
    }
    eager_steps("GPT", model, optimizer, x, y)
    assert_same(program, model, optimizer)

    # What was trained on the device goes into the model that was shipped.
    other = TASKS["GPT"].model()
    other.load_state_dict(
        {n: v for n, v in model.state_dict().items() if "lora" not in n}
    )
    nn.utils.lora.add_lora(other, 2, where=r"qkv|mlp\.0")
    adapters = {n.removeprefix("model."): after[n] for n in of_model}
    other.load_state_dict(adapters, strict=False)
    model.eval(), other.eval()
    with fe.no_grad():
        adapted = model(x)
        assert _ferrule.same_bits(other(x), adapted)
        nn.utils.lora.merge_lora(other)
        assert not any("lora" in name for name in other.state_dict())
        assert (other(x) - adapted).abs().max().item() < 1e-5


def test_adapters_of_shared_layers_and_of_attention() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, shared)
    assert len(nn.utils.lora.add_lora(model, 1)) == 2
    assert model[0] is model[1]
    nn.utils.lora.merge_lora(model)
    assert model[0] is model[1] and type(model[0]) is nn.Linear
    with pytest.raises(ValueError, match="no linear layer"):
        nn.utils.lora.add_lora(nn.MultiheadAttention(4, 2))
    with pytest.raises(ValueError, match="no linear layer whose path has 'head'"):
        nn.utils.lora.add_lora(model, where="head")
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        nn.utils.lora.add_lora(model, 0)


# --- gradient checkpointing


def arena(program: fe.Program, *inputs: fe.Tensor) -> int:
    """Bytes of the intermediate values of a training step."""
    return program._session.arena_bytes("train_step", list(inputs))


def deep(dropout: float) -> nn.Module:
    fe.manual_seed(5)
    layers = [
        nn.Sequential(
            nn.Linear(32, 32),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(32, 32),
            nn.Tanh(),
        )
        for _ in range(6)
    ]
    return nn.Sequential(*layers)


def export_deep(model: nn.Module, path: Path, **options: object) -> fe.Program:
    fe.manual_seed(9)
    return fe.export(
        model,
        (fe.randn(64, 32),),
        dynamic_shapes=({0: fe.Dim("batch", min=1)},),
        train=(F.mse_loss, fe.optim.Adam(model.parameters(), 1e-2)),
        targets=(fe.randn(64, 32),),
        path=path,
        **options,
    )


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpointing_chosen_at_export(dropout: float, tmp_path: Path) -> None:
    """The same bits in less memory."""
    model = deep(dropout)
    plain = export_deep(model, tmp_path / "plain.fer")
    path = tmp_path / "model.fer"
    program = export_deep(model, path, checkpoint=list(model))
    assert all("forward" not in m.__dict__ for m in model.modules())
    program.rng_state = plain.rng_state = (3, 0)
    fe.manual_seed(9)
    data = [fe.randn(64, 32) for _ in range(6)]
    for x, y in zip(data[::2], data[1::2], strict=True):
        (want,), (got,) = (p.run("train_step", x, y) for p in (plain, program))
        assert got.item() == want.item()
    for name, value in plain.state_dict().items():
        assert _ferrule.same_bits(program.state_dict()[name], value), name
    assert program.rng_state == plain.rng_state
    # What was drawn is kept.
    share = 0.8 if dropout else 0.6
    assert arena(program, *data[:2]) < share * arena(plain, *data[:2])


def test_checkpoint_calls_of_a_model_are_in_the_file(tmp_path: Path) -> None:
    """With batch norm, which counts a batch twice then, and dropout."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(
                nn.Linear(36, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5)
            )
            self.outer = nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Dropout(0.2))
            self.head = nn.Linear(16, 10)

        def forward(self, x: fe.Tensor) -> fe.Tensor:
            def both(x: fe.Tensor) -> fe.Tensor:
                return self.outer(checkpoint(self.inner, x))

            return self.head(checkpoint(both, x.flatten(1)))

    TASKS["checkpoint"] = TASKS["MLP"]._replace(model=Model)
    try:
        check("checkpoint", OPTIMIZERS["Adam"], tmp_path / "model.fer")
    finally:
        del TASKS["checkpoint"]


def test_what_cannot_be_under_checkpoint(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(32, 32), nn.BatchNorm1d(32)))
    path = tmp_path / "model.fer"
    with pytest.raises(ValueError, match="BatchNorm1d cannot be under checkpoint"):
        export_deep(model, path, checkpoint=[model[0]])
    with pytest.raises(ValueError, match="checkpoint is about the training step"):
        fe.export(model, (fe.randn(2, 32),), checkpoint=[model[0]])
    with pytest.raises(ValueError, match="a Linear that is not part of the model"):
        export_deep(deep(0.0), path, checkpoint=[nn.Linear(2, 2)])

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(32, 32)

        def forward(self, x: fe.Tensor) -> fe.Tensor:
            def step(carry: fe.Tensor, _: fe.Tensor) -> tuple[fe.Tensor, None]:
                return F.dropout(self.linear(carry), 0.5, self.training), None

            return fe.scan(step, x, None, length=3)[0].tanh()

    loop = nn.Sequential(Loop())
    with pytest.raises(fe.FerruleError, match="leave it out of the checkpoint"):
        export_deep(loop, path, checkpoint=[loop[0]])


def test_inputs_of_a_step_have_names_of_their_own() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(fe.ones(2))

        def forward(self, target: fe.Tensor, lr: fe.Tensor) -> fe.Tensor:
            return self.weight * target * lr

    model, x = Model(), fe.rand(3, 2)
    for rate in (0.1, fe.tensor(0.1)):
        optimizer = fe.optim.SGD(model.parameters(), lr=rate)

        def export(optimizer: fe.optim.Optimizer = optimizer) -> fe.Program:
            train = (lambda y, a, b: F.mse_loss(y, a + b), optimizer)
            return fe.export(model, (x, x), train=train, targets=(x, x))

        if isinstance(rate, float):
            step = export()._signatures["train_step"]
            names = [name for name, _ in step[1]]
            assert names == ["target", "lr", "target1", "target2"]
        else:
            with pytest.raises(ValueError, match="two inputs .* be called 'lr'"):
                export()
