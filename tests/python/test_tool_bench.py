"""`ferrule bench`: what it measures, and what it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ferrule as fe
from test_export import TOOL


def bench(*args: object) -> subprocess.CompletedProcess[str]:
    command = [str(TOOL), "bench", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def measured(*args: object) -> dict[str, Any]:
    done = bench(*args, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "conv.fer"
    net = fe.nn.Sequential(
        fe.nn.Conv2d(3, 8, 3, padding=1),
        fe.nn.ReLU(),
        fe.nn.Flatten(),
        fe.nn.Linear(8 * 64, 10),
    )
    optimizer = fe.optim.SGD(net.parameters(), lr=0.1)
    fe.export(
        net,
        (fe.rand(2, 3, 8, 8),),
        dynamic_shapes=({0: fe.Dim("batch", 1, 64)},),
        train=(fe.nn.functional.cross_entropy, optimizer),
        targets=(fe.tensor([1, 2]),),
        path=path,
    )
    return path


def test_measures_time_and_memory(model: Path) -> None:
    m = measured(model, "--runs", 20, "--threads", 1)
    assert (m["signature"], m["threads"], m["runs"]) == ("forward", 1, 20)
    assert 0 < m["best"] <= m["p50"] <= m["p90"] <= m["p99"]
    assert m["best"] <= m["mean"]
    assert m["load"] > 0 and m["cold_load"] > 0 and m["first_run"] > 0
    weights = 4 * (8 * 3 * 9 + 8 + 10 * 8 * 64 + 10)
    assert m["weight_bytes"] == weights
    assert m["arena_bytes"] >= 4 * 2 * 8 * 64  # the sample has two images
    assert m["resident_peak"] > m["resident_before"] > 0
    ops = {op["name"]: op for op in m["ops"]}
    assert ops["conv2d + relu"]["calls"] == 1
    assert all(op["seconds"] > 0 for op in m["ops"])


def test_shape_and_signature(model: Path) -> None:
    small = measured(model, "--shape", "1,3,8,8", "--runs", 1)
    large = measured(model, "--shape", "x=16x3x8x8", "--runs", 1)
    assert large["arena_bytes"] > 8 * small["arena_bytes"]
    step = measured(
        model, "--signature", "train_step", "--shape", "x=4,3,8,8", "--runs", 2
    )
    assert any(op["name"] == "conv2d_dw" for op in step["ops"])


def test_inputs_from_files(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5, 3, 8, 8), np.float32))
    m = measured(model, "--input", tmp_path / "x.npy", "--runs", 1)
    assert m["arena_bytes"] >= 4 * 5 * 8 * 64


def test_sessions_share_the_processors(model: Path) -> None:
    m = measured(model, "--sessions", 3, "--seconds", 0.1)
    assert (m["sessions"], m["threads"]) == (3, 1)
    assert m["runs_per_second"] > 0 and m["ideal_runs_per_second"] > 0
    assert m["processor_time"] > 0


def test_trace_and_passes(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    measured(model, "--passes", "none", "--trace", path, "--runs", 1)
    events = json.loads(path.read_text())["traceEvents"]
    assert [e["name"] for e in events] == ["conv2d", "relu", "linear"]
    assert all(e["ph"] == "X" and e["dur"] >= 0 for e in events)
    assert "Conv2d" in events[0]["args"]["where"]


def test_text(model: Path) -> None:
    done = bench(model, "--seconds", 0.1, "--sessions", 2)
    assert done.returncode == 0
    for part in (
        "cold load",
        "first run",
        "p50",
        "p99",
        "peak",
        "2 sessions",
        "conv2d",
    ):
        assert part in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--shape", "x=1,3,9,8"], 2, "the input is (batch, 3, 8, 8)"),
        (["--shape", "y=1"], 2, "'forward' has no such input"),
        (["--shape", "x=1,a"], 2, "takes up to 8 sizes, such as x=2,3,224,224"),
        (["--shape", "x=65,3,8,8"], 3, "batch in 1..64"),
        (["--runs", "1", "--seconds", "1"], 2, "--runs or --seconds, not both"),
        (["--signature", "backward"], 3, "it has 'forward', 'train_step'"),
        (["--passes", "fast"], 3, "there is no pass 'fast'"),
        (["--sessions", "9999"], 2, "--sessions takes up to 1024"),
    ],
)
def test_refuses(model: Path, args: list[str], code: int, message: str) -> None:
    done = bench(model, *args)
    assert done.returncode == code
    assert message in done.stderr
