"""`ferrule diff`: files, instruction sets, threads and passes side by side."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ferrule as fe
from test_export import TOOL


def diff(*args: object) -> subprocess.CompletedProcess[str]:
    command = [str(TOOL), "diff", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def network() -> fe.nn.Sequential:
    fe.manual_seed(0)
    return fe.nn.Sequential(
        fe.nn.Conv2d(3, 8, 3, padding=1),
        fe.nn.ReLU(),
        fe.nn.Flatten(),
        fe.nn.Linear(8 * 64, 10),
    )


def export(net: Any, path: Path, **more: Any) -> Path:
    x = fe.tensor(np.random.default_rng(1).random((2, 3, 8, 8), np.float32))
    fe.export(net, (x,), dynamic_shapes=({0: "batch"},), path=path, **more)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(network(), tmp_path_factory.mktemp("diff") / "a.fer")


def test_a_changed_weight(model: Path, tmp_path: Path) -> None:
    net = network()
    with fe.no_grad():
        net[3].weight[4, 7] += 0.25
    # Exported with a training step, which numbers values in another way.
    optimizer = fe.optim.Adam(net.parameters())
    loss = fe.nn.functional.cross_entropy
    other = export(
        net, tmp_path / "b.fer", train=(loss, optimizer), targets=(fe.tensor([0, 1]),)
    )
    done = diff(model, other)
    assert done.returncode == 1, done.stderr
    assert (
        "1 of 4 weights and states differ; the first: 'model.3.weight'" in done.stdout
    )
    assert "first difference: node linear" in done.stdout
    done = diff(model, other, "--json", "--shape", "5,3,8,8")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert (found["same"], found["graphs"]) == (False, "")
    assert found["what"].startswith("node linear")
    assert found["where"] == "3 (Linear)"
    assert found["at"] == [0, 4]
    assert found["elements"] == 50 and 0 < found["count"] <= 5
    assert 0 < abs(found["a"] - found["b"]) <= found["apart"]
    assert diff(model, other, "--tolerance", "10").returncode == 0


def test_settings_of_one_file(model: Path) -> None:
    same = diff(model, "--threads", 1, "--threads", 2, "--passes", "none",
                "--passes", "default")  # fmt: skip
    assert (same.returncode, same.stdout) == (0, "no value differs\n")
    done = diff(model, "--isa", "?", "--isa", "v2")
    assert done.returncode == 3
    names = done.stderr.split("not an instruction set of this machine: ")[1].split()
    if len(names) < 2:
        pytest.skip("this machine has one instruction set")
    least, best = names[0], names[-1]
    done = diff(model, "--isa", least, "--isa", best, "--json")
    found = json.loads(done.stdout)
    if not found["same"]:
        assert done.returncode == 1
        assert 0 < found["apart"] < 1e-5
    close = diff(model, "--isa", least, "--isa", best, "--tolerance", "1e-5")
    assert close.returncode == 0, close.stdout


def test_other_graphs(model: Path, tmp_path: Path) -> None:
    net = network()
    net[1] = fe.nn.SELU()
    other = export(net, tmp_path / "selu.fer")
    done = diff(model, other)
    assert done.returncode == 1
    assert "the graphs differ: node 1 (relu, 1 (ReLU)): the other has" in done.stdout
    assert "first difference: result 'output' at (0, 0)" in done.stdout


def test_inputs_from_a_file(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 3, 8, 8), np.float32))
    done = diff(model, model, "--input", tmp_path / "x.npy")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "two files, or one and two values of"),
        (["--threads", "1"], 2, "two files, or one and two values of"),
        (["--threads", "1", "--threads", "0"], 2, "takes a positive number, got '0'"),
        (["--isa", "a", "--isa", "b", "--isa", "c"], 2, "given more than twice"),
        (["--passes", "none", "--passes", "fast"], 3, "there is no pass 'fast'"),
    ],
)
def test_refuses(model: Path, args: list[str], code: int, message: str) -> None:
    done = diff(model, *args)
    assert done.returncode == code
    assert message in done.stderr
