"""`ferrule check`, and what export holds a program to before it writes it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import ferrule as fe
from ferrule import _ferrule, nn
from test_export import TOOL

F = nn.functional


def check(*args: object) -> subprocess.CompletedProcess[str]:
    command = [str(TOOL), "check", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def samples(path: Path) -> int:
    command = [str(TOOL), "inspect", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True)
    return json.loads(done.stdout)["samples"]


def export(model: Any, path: Path, **more: Any) -> fe.Program:
    shapes = ({0: fe.Dim("batch", 1, 64)},)
    return fe.export(model, (fe.rand(4, 6),), dynamic_shapes=shapes, path=path, **more)


def training(model: Any, loss: Any = F.cross_entropy) -> dict[str, Any]:
    optimizer = fe.optim.Adam(model.parameters(), lr=0.01)
    return {"train": (loss, optimizer), "targets": (fe.tensor([0, 1, 2, 0]),)}


def test_samples_and_replays(tmp_path: Path) -> None:
    path = tmp_path / "m.fer"
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    program = export(model, path, **training(model))
    for name, value in model.state_dict().items():
        assert _ferrule.same_bits(before[name], value), name
    # The example and others of both entry points; dropout draws the same here.
    count = samples(path)
    assert count >= 6
    program.check()
    done = check(path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"intact; {count} samples give bitwise the same results here" in done.stdout
    assert "4 replays at other sizes agree" in done.stdout
    (report,) = json.loads(check(path, "--json", "--threads", 1).stdout)
    assert report == {
        "file": str(path), "ok": True, "code": 0, "samples": count, "replays": 4,
        "error": "", "differs": "", "first": "",
    }  # fmt: skip
    # Trained on, the samples are those of the new weights.
    program.run("train_step", fe.rand(4, 6), fe.tensor([0, 1, 2, 0]))
    program.save(path)
    assert check(path).returncode == 0


def test_real_samples_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.fer"
    model = nn.Linear(6, 3)
    export(model, path)
    count = samples(path)
    export(model, path, samples=[(fe.ones(9, 6),), (fe.zeros(2, 6),)])
    assert samples(path) == count + 2
    assert check(path).returncode == 0
    with pytest.raises(ValueError, match="a sample has 2 inputs, the model takes 1"):
        export(model, path, samples=[(fe.ones(9, 6), fe.ones(1))])
    with pytest.raises(fe.ShapeError, match="batch in 1..64"):
        export(model, path, samples=[(fe.ones(65, 6),)])


def test_large_samples_at_other_sizes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "m.fer"
    fe.export(
        nn.ReLU(), (fe.rand(2, 1 << 17),), dynamic_shapes=({0: "batch"},), path=path
    )
    assert samples(path) == 1  # the example
    assert check(path).returncode == 0


class Counter(nn.Module):
    """Adds how often it was called: not a function of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.layer = nn.Linear(6, 3)

    def forward(self, x: fe.Tensor) -> fe.Tensor:
        self.calls += 1
        return self.layer(x) + self.calls


def test_forward_that_changes_is_found(tmp_path: Path) -> None:
    with pytest.raises(fe.FerruleError) as error:
        export(Counter(), tmp_path / "m.fer")
    text = str(error.value)
    assert "'forward' of the written program differs from eager at batch=4" in text
    assert "node 1 (add, model (Counter)" in text
    assert "other is 1, in the other" in text
    export(Counter(), tmp_path / "m.fer", check=False)


def test_a_training_step_that_changes_is_found(tmp_path: Path) -> None:
    model = nn.Linear(6, 3)
    calls = []

    def loss(y: fe.Tensor, target: fe.Tensor) -> fe.Tensor:
        calls.append(1)
        return F.cross_entropy(y, target) * len(calls)

    with pytest.raises(fe.FerruleError) as error:
        export(model, tmp_path / "m.fer", **training(model, loss))
    text = str(error.value)
    assert "'train_step' of the written program differs from eager" in text
    assert "output 0 has other values" in text
    assert "(mul" in text and "other is 1, in the other" in text


def test_state_that_a_step_leaves_is_compared(tmp_path: Path) -> None:
    """The loss is the same, the update is not."""
    model = nn.Linear(6, 3)

    class Slower(fe.optim.SGD):
        steps = 0

        def step(self, closure: Any = None) -> None:
            self.steps += 1
            self.param_groups[0]["lr"] = 0.1 / self.steps
            super().step()

    optimizer = Slower(model.parameters(), lr=0.1)
    with pytest.raises(fe.FerruleError, match=r"'model\.(weight|bias)' has other"):
        export(
            model,
            tmp_path / "m.fer",
            train=(F.cross_entropy, optimizer),
            targets=(fe.tensor([0, 1, 2, 0]),),
        )


def test_gradients_and_optimizer_are_as_before(tmp_path: Path) -> None:
    model = nn.Linear(6, 3)
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    F.cross_entropy(model(fe.rand(4, 6)), fe.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    buffers = {k: v["momentum_buffer"].clone() for k, v in optimizer.state.items()}
    export(
        model,
        tmp_path / "m.fer",
        train=(F.cross_entropy, optimizer),
        targets=(fe.tensor([0, 1, 2, 0]),),
    )
    for p, buffer in buffers.items():
        assert _ferrule.same_bits(optimizer.state[p]["momentum_buffer"], buffer)
        assert p.grad is None or p.grad.device.type == "cpu"


def wrong_sample(path: Path) -> None:
    builder = _ferrule.ProgramBuilder()
    capture = _ferrule.Capture(builder, "forward")
    x = fe.ones(2, 3)
    y = capture.input("x", x, ["", ""]) * 2.0
    capture.finish("forward", ["y"], [y])
    builder.add_golden("forward", [x], [x * 2 + fe.tensor([0.0, 0.0, 1e-3])])
    builder.write(str(path))


def test_a_sample_that_differs(tmp_path: Path) -> None:
    path = tmp_path / "m.fer"
    wrong_sample(path)
    done = check(path)
    assert done.returncode == 1
    assert "differs: sample 0 of 'forward', result 'y': element 2 is 2" in done.stdout
    assert "no setting of this machine changes a value" in done.stdout
    (report,) = json.loads(check("--json", path).stdout)
    assert report["code"] == 1 and "element 2" in report["differs"]
    close = check("--tolerance", "1e-2", path)
    assert close.returncode == 0
    assert "as far as asked" in close.stdout


def test_a_size_that_cannot_run(tmp_path: Path) -> None:
    path = tmp_path / "m.fer"
    fe.export(
        lambda x: x.reshape(4, -1),
        (fe.rand(8),),
        dynamic_shapes=({0: "length"},),
        path=path,
        check=False,
    )
    done = check(path)
    assert done.returncode == 1
    assert "'forward' at length = 5 cannot run: [forward] node 0" in done.stdout


def test_passes(tmp_path: Path) -> None:
    path = tmp_path / "m.fer"
    export(nn.Linear(6, 3), path)
    assert check("--passes", "none", path).returncode == 0
    done = check("--passes", "fast", path)
    assert done.returncode == 3 and "there is no pass 'fast'" in done.stderr
