"""Capture, file and runtime: the same numbers as eager, in training too."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule, nn
from ferrule.nn import functional as F

TOOL = Path(fe.__file__).parent / "bin" / "ferrule"


class ConvNet(nn.Module):
    """Batch norm (running state), dropout (random state), pooling, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(4 * 4 * 4, 5)

    def forward(self, x: fe.Tensor) -> fe.Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return self.head(self.drop(x.reshape(x.shape[0], -1)))


def batches(count: int, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count * size, 1, 8, 8)).astype(np.float32)
    return x, rng.integers(0, 5, count * size)


def train(model, optimizer, x, y, first: int, last: int, size: int = 6) -> list[float]:
    losses = []
    for k in range(first, last):
        part = slice(k * size, (k + 1) * size)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(fe.tensor(x[part])), fe.tensor(y[part]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def make(optimizer: str):
    fe.manual_seed(11)
    model = ConvNet()
    kinds = {
        "sgd": lambda p: fe.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
        "adam": lambda p: fe.optim.Adam(p, lr=1e-3),
        "adamw": lambda p: fe.optim.AdamW(p, lr=1e-3, amsgrad=True),
    }
    return model, kinds[optimizer](model.parameters())


def export(model, optimizer, x, y, **options) -> fe.Program:
    return fe.export(
        model,
        (fe.tensor(x[:6]),),
        dynamic_shapes={"x": {0: fe.Dim("batch", min=1, max=512)}},
        train=(F.cross_entropy, optimizer),
        targets=(fe.tensor(y[:6]),),
        **options,
    )


def assert_same_state(program, model) -> None:
    state = program.state_dict()
    for name, value in model.state_dict().items():
        assert _ferrule.same_bits(state[f"model.{name}"], value.detach()), name


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_fifty_steps_in_python_and_fifty_from_the_file(kind: str, tmp_path) -> None:
    """100 in Python == 50 in Python + 50 by the C++ tool, bit for bit."""
    x, y = batches(100)
    model, optimizer = make(kind)
    losses = train(model, optimizer, x, y, 0, 100)

    half, half_optimizer = make(kind)
    first = train(half, half_optimizer, x, y, 0, 50)
    assert first == losses[:50]
    path = tmp_path / "half.fer"
    export(half, half_optimizer, x, y, path=path)

    program = fe.load_program(path)
    for k in range(50, 100):
        part = slice(k * 6, (k + 1) * 6)
        (loss,) = program.run("train_step", fe.tensor(x[part]), fe.tensor(y[part]))
        assert loss.item() == losses[k], k
    assert_same_state(program, model)

    np.save(tmp_path / "x.npy", x[300:])
    np.save(tmp_path / "y.npy", y[300:])
    command = [
        str(TOOL), "train", str(path), "--batch", "6", "--steps", "50",
        "--input", f"x={tmp_path / 'x.npy'}",
        "--input", f"target={tmp_path / 'y.npy'}",
        "--output", str(tmp_path / "trained.fer"),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True)
    trained = fe.load_program(tmp_path / "trained.fer")
    assert_same_state(trained, model)

    # And Python goes on where C++ stopped.
    model.eval()
    assert _ferrule.same_bits(
        trained(fe.tensor(x[:9])), model(fe.tensor(x[:9])).detach()
    )


def test_the_tool_gives_the_bits_of_eager(tmp_path) -> None:
    x, y = batches(4)
    model, optimizer = make("adam")
    train(model, optimizer, x, y, 0, 4)
    export(model, optimizer, x, y, path=tmp_path / "m.fer")
    model.eval()
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "logits.npy", model(fe.tensor(x)).detach().numpy())
    for threads in ("1", "2", "4"):
        command = [
            str(TOOL), "run", str(tmp_path / "m.fer"), "--threads", threads,
            "--input", f"x={tmp_path / 'x.npy'}",
            "--expect", f"output={tmp_path / 'logits.npy'}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("batch", [1, 2, 7, 33])
def test_free_sizes(batch: int) -> None:
    model, _ = make("sgd")
    model.eval()
    program = fe.export(
        model, (fe.rand(3, 1, 8, 8),), dynamic_shapes={"x": {0: "batch"}}
    )
    x = fe.rand(batch, 1, 8, 8)
    assert _ferrule.same_bits(program(x), model(x).detach())


def test_sizes_out_of_range_are_refused() -> None:
    program = fe.export(
        nn.Linear(4, 2),
        (fe.rand(2, 4),),
        dynamic_shapes=({0: fe.Dim("batch", min=1, max=8)},),
    )
    with pytest.raises(fe.ShapeError, match=r"batch in 1\.\.8"):
        program(fe.rand(9, 4))
    with pytest.raises(fe.ShapeError, match=r"\(2, 5\)"):
        program(fe.rand(2, 5))


def test_arithmetic_on_sizes_is_captured() -> None:
    def halves(x):
        n = x.shape[0] // 2
        return x[:n].reshape(n, -1).sum(0) / x.shape[0]

    program = fe.export(
        halves, (fe.rand(4, 3),), dynamic_shapes=({0: fe.Dim("n", min=2)},)
    )
    for n in (2, 6, 10):
        x = fe.rand(n, 3)
        assert _ferrule.same_bits(program(x), halves(x))


def test_numbers_taken_out_of_tensors_are_refused() -> None:
    with pytest.raises(fe.FerruleError, match="symbolic"):
        fe.export(lambda x: x * x.sum().item(), (fe.rand(3),))
    with pytest.raises(fe.FerruleError, match="symbolic"):
        fe.export(lambda x: x if x.sum() > 0 else -x, (fe.rand(3),))


def test_a_branch_on_a_size_is_found() -> None:
    def odd(x):
        return x + 1 if int(x.shape[0]) % 2 else x

    with pytest.raises(fe.FerruleError, match="differs from eager at"):
        fe.export(odd, (fe.rand(4),), dynamic_shapes=({0: "n"},))


def test_export_leaves_the_model_as_it_was() -> None:
    x, y = batches(2)
    model, optimizer = make("adam")
    train(model, optimizer, x, y, 0, 1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    rng = fe._ferrule.rng_state()
    modes = [m.training for m in model.modules()]
    export(model, optimizer, x, y)
    assert fe._ferrule.rng_state() == rng
    assert [m.training for m in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert value.device.type == "cpu"
        assert _ferrule.same_bits(before[name], value.detach())
    train(model, optimizer, x, y, 1, 2)


def test_a_failed_export_restores_the_model() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 2))
    with pytest.raises(fe.FerruleError, match="'1'"):
        fe.export(model, (fe.rand(2, 4),))
    assert model[0].weight.device.type == "cpu"
    fe.export(model[0], (fe.rand(2, 4),))


def test_in_place_code_becomes_dataflow() -> None:
    def scale(x):
        y = x * 1.0
        y[:, 0] = 7.0
        y[1].add_(x[0])
        return y

    program = fe.export(scale, (fe.rand(3, 4),))
    x = fe.rand(3, 4)
    assert _ferrule.same_bits(program(x), scale(x))


def test_in_place_code_with_free_sizes() -> None:
    def shift(x):
        y = x * 1.0
        rows = y[1:]
        column = y[:, -1]
        column.copy_(x[:, 0])  # rows is stale now
        rows.mul_(2.0)
        y.T[0] = 7.0
        z = fe.zeros_like(x)
        z[:, ::2] = column.unsqueeze(1)
        return y + z, rows.sum(), y.reshape(-1)[:5]

    x = fe.rand(3, 4)
    batch, time = fe.Dim("batch"), fe.Dim("time")
    program = fe.export(shift, (x,), dynamic_shapes=({0: batch, 1: time},))
    for shape in ((3, 4), (5, 4), (2, 7)):
        x = fe.rand(*shape)
        for got, want in zip(program(x), shift(x), strict=True):
            assert _ferrule.same_bits(got, want)


def test_random_ops_draw_eager_numbers() -> None:
    fe.manual_seed(5)
    program = fe.export(lambda x: F.dropout(x, 0.5, training=True), (fe.ones(64),))
    fe.manual_seed(9)
    eager = F.dropout(fe.ones(64), 0.5, training=True)
    program.rng_state = (9, 0)
    assert _ferrule.same_bits(program(fe.ones(64)), eager)


def test_golden_samples_check_themselves(tmp_path) -> None:
    path = tmp_path / "m.fer"
    fe.export(nn.Linear(4, 2), (fe.rand(3, 4),), path=path, metadata={"by": "test"})
    program = fe.load_program(path, verify=True)
    program.check()
    assert program.metadata["by"] == "test"
    done = subprocess.run([str(TOOL), "check", str(path)], capture_output=True)
    assert done.returncode == 0


def check(*args: object) -> subprocess.CompletedProcess[str]:
    command = [str(TOOL), "check", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def test_check_takes_several_files(tmp_path) -> None:
    good, bad = tmp_path / "good.fer", tmp_path / "bad.fer"
    fe.export(nn.Linear(4, 2), (fe.rand(3, 4),), path=good)
    bad.write_bytes(good.read_bytes()[:-1])
    done = check(good, good)
    assert done.returncode == 0
    assert "2 files, 0 bad; 2 samples give bitwise the same" in done.stdout
    done = check("--tolerance", "1e-5", good, bad, good)
    assert done.returncode == 3
    assert "3 files, 1 bad" in done.stdout
    assert f"{bad}: " in done.stderr
    assert check().returncode == 2
    done = check("--tolerance", "-1", good)
    assert done.returncode == 2 and "not negative" in done.stderr


def test_a_damaged_file_is_refused(tmp_path) -> None:
    path = tmp_path / "m.fer"
    fe.export(nn.Linear(4, 2), (fe.rand(3, 4),), path=path)
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(fe.FormatError):
        fe.load_program(path, verify=True)
    with pytest.raises((fe.FormatError, OSError), match="nowhere"):
        fe.load_program(tmp_path / "nowhere.fer")


def test_frozen_parameters_stay(tmp_path) -> None:
    x, y = batches(1)
    model, _ = make("sgd")
    model.conv.requires_grad_(False)
    optimizer = fe.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    program = export(model, optimizer, x, y)
    before = program.state_dict()
    program.run("train_step", fe.tensor(x), fe.tensor(y))
    after = program.state_dict()
    assert _ferrule.same_bits(before["model.conv.weight"], after["model.conv.weight"])
    assert not _ferrule.same_bits(
        before["model.head.weight"], after["model.head.weight"]
    )


def test_several_inputs_and_outputs() -> None:
    program = fe.export(
        lambda a, b: (a + b, a * b), (fe.rand(2), fe.rand(2)), dynamic_shapes=None
    )
    a, b = fe.rand(2), fe.rand(2)
    s, p = program(a, b)
    assert _ferrule.same_bits(s, a + b) and _ferrule.same_bits(p, a * b)
    named = program.run("forward", b=b, a=a)
    assert _ferrule.same_bits(named[0], s)
    with pytest.raises(ValueError, match="'b' is missing"):
        program.run("forward", a)
    with pytest.raises(ValueError, match="no signature 'train_step'"):
        program.run("train_step", a)
    assert "forward(a: float32[2], b: float32[2])" in repr(program)


def test_tool_is_built() -> None:
    assert os.access(TOOL, os.X_OK), "the ferrule tool stands beside the package"
