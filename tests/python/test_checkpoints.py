"""Checkpoints: a killed run continues with the same losses, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn
from ferrule.utils import Checkpoints
from ferrule.utils.logging import read_log

# Draws from all three generators, with dropout, a scheduler and Adam's moments.
SCRIPT = """
import os, random, signal, sys
import numpy as np
import ferrule as fe
from ferrule import nn
from ferrule.utils import Checkpoints
from ferrule.utils.logging import JSONLLogger

folder, kill_at = sys.argv[1], int(sys.argv[2])
fe.manual_seed(1); random.seed(2); np.random.seed(3)
model = nn.Sequential(
    nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1)
)
optimizer = fe.optim.AdamW(model.parameters(), lr=1e-2)
scheduler = fe.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
checkpoints = Checkpoints(
    folder, model=model, optimizer=optimizer, scheduler=scheduler
)
start = checkpoints.resume()
log = JSONLLogger(f"{folder}/log.jsonl", purge_step=start)
for step in range(start, 40):
    x = fe.randn(16, 8) + random.random() + float(np.random.standard_normal())
    loss = nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    log.log(step=step, loss=loss)
    if step == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    if step % 5 == 4:
        checkpoints.save(step + 1, best=loss.item())
"""


def run(folder: Path, kill_at: int) -> int:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(kill_at)]
    return subprocess.run(command).returncode


def test_killed_and_resumed(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(whole, -1) == 0
    for kill_at in random.Random(0).sample(range(40), 3):
        assert run(killed, kill_at) in (-signal.SIGKILL, 0)
    assert run(killed, -1) == 0
    expected = read_log(whole / "log.jsonl")
    assert len(expected) == 40 and read_log(killed / "log.jsonl") == expected
    names = [f"step-{step:08}.safetensors" for step in (30, 35, 40)]
    assert sorted(p for p in os.listdir(killed) if p != "log.jsonl") == names
    for name in names:
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


# Kills itself when the new file is written but has not got its name yet.
INTERRUPTED = """
import os, signal, sys
import ferrule as fe
model = fe.nn.Linear(200, 200)
checkpoints = fe.utils.Checkpoints(sys.argv[1], model=model)
checkpoints.save(1)
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
checkpoints.save(2)
"""


def test_killed_while_saving(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, str(tmp_path)])
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2  # one is a part that was left behind
    checkpoints = Checkpoints(tmp_path, model=nn.Linear(200, 200))
    assert [path.name for path in checkpoints.paths()] == ["step-00000001.safetensors"]
    assert checkpoints.resume() == 1
    assert os.listdir(tmp_path) == ["step-00000001.safetensors"]


def test_steps_and_extra(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    checkpoints = Checkpoints(tmp_path / "new", keep=2, model=model)
    assert checkpoints.resume() == 0 and checkpoints.latest() is None
    for step in (1, 10, 9, 100):
        with fe.no_grad():
            model.weight.fill_(step)
        checkpoints.save(step, best={"loss": 0.5, "step": step}, curve=fe.ones(2))
    assert [p.name[5:13] for p in checkpoints.paths()] == ["00000010", "00000100"]
    other = nn.Linear(2, 1)
    again = Checkpoints(tmp_path / "new", model=other)
    assert again.resume() == 100
    assert again.extra["best"] == {"loss": 0.5, "step": 100}
    assert again.extra["curve"].tolist() == [1, 1]
    assert other.weight.tolist() == [[100, 100]]
    assert again.resume(checkpoints.paths()[0]) == 10
    assert other.weight.tolist() == [[10, 10]]


def test_keep_everything(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=0)
    for step in range(5):
        checkpoints.save(step)
    (tmp_path / "notes.txt").write_text("not ours")
    assert len(checkpoints.paths()) == 5


def test_going_back(tmp_path: Path) -> None:
    """After a resume from an earlier file, new ones are not removed as the oldest."""
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(50)
    path = checkpoints.save(20)
    assert path.exists()


def test_random_numbers(tmp_path: Path) -> None:
    def draw() -> list[float]:
        return [
            fe.rand(1).item(),
            *(random.random(), random.gauss(0, 1)),
            np.random.standard_normal(),  # noqa: NPY002
        ]

    draw()  # one number of a pair of Gaussian ones is left
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1)
    expected = draw()
    draw()
    checkpoints.resume()
    assert draw() == expected


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'lr' is a float, which has no state_dict"):
        Checkpoints(tmp_path, lr=0.1)
    with pytest.raises(ValueError, match="keep must be at least 0"):
        Checkpoints(tmp_path, keep=-1)
    path = Checkpoints(tmp_path, model=nn.Linear(2, 1)).save(1)
    with pytest.raises(fe.FerruleError, match="holds model; there are net to restore"):
        Checkpoints(tmp_path, net=nn.Linear(2, 1)).resume()
    with pytest.raises(fe.FerruleError, match="'model' does not fit (?s:.*)weight"):
        Checkpoints(tmp_path, model=nn.Linear(3, 1)).resume()
    fe.save({"a": 1}, tmp_path / "other.safetensors")
    with pytest.raises(fe.FerruleError, match="is no checkpoint of a run"):
        Checkpoints(tmp_path).resume(tmp_path / "other.safetensors")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(fe.FormatError, match="is no whole safetensors file"):
        Checkpoints(tmp_path, model=nn.Linear(2, 1)).resume()
