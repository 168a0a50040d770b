"""CSV and JSON-lines loggers: what they write, resuming, crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
from ferrule.utils.logging import CSVLogger, JSONLLogger, read_log

LOGGERS = {"log.csv": CSVLogger, "log.jsonl": JSONLLogger}
both = pytest.mark.parametrize("name", LOGGERS)


@both
def test_values(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / name
    with LOGGERS[name](path) as log:
        log.log({"step": 0, "note": 'a "b", c'}, loss=fe.tensor([0.5]))
        log.log(step=1, loss=np.float64(1e-20), note=None)
        log.log(step=2, loss=float("inf"), note="é")
        log.log(step=3, loss=0.1 + 0.2, note="x")
    assert read_log(path) == [
        {"step": 0, "note": 'a "b", c', "loss": 0.5},
        {"step": 1, "note": None, "loss": 1e-20},
        {"step": 2, "note": "é", "loss": float("inf")},
        {"step": 3, "note": "x", "loss": 0.1 + 0.2},
    ]


@both
def test_lines_are_there_at_once(tmp_path: Path, name: str) -> None:
    log = LOGGERS[name](tmp_path / name)
    for step in range(3):
        log.log(step=step)
        assert len(read_log(tmp_path / name)) == step + 1
    log.close()
    log.close()
    with pytest.raises(ValueError, match="the logger is closed"):
        log.log(step=4)


@both
def test_appends_and_purges(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with LOGGERS[name](path) as log:
        for step in range(5):
            log.log(step=step, run=0)
    with LOGGERS[name](path) as log:
        log.log(step=5, run=1)
    with LOGGERS[name](path, purge_step=3) as log:
        log.log(step=3, run=2)
    rows = read_log(path)
    assert [(r["step"], r["run"]) for r in rows] == [(0, 0), (1, 0), (2, 0), (3, 2)]
    with LOGGERS[name](path) as log:
        log.log({"run": 3})
    with pytest.raises(ValueError, match="needs a number as 'step'"):
        LOGGERS[name](path, purge_step=3)
    with LOGGERS[name](tmp_path / f"2{name}", purge_step=3) as log:  # a new file
        log.log(step=3)


@both
def test_an_unfinished_line_is_dropped(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with LOGGERS[name](path) as log:
        log.log(step=0, loss=0.5)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[-4:-1])
    with LOGGERS[name](path) as log:
        log.log(step=1, loss=0.25)
    assert [r["step"] for r in read_log(path)] == [0, 1]


def test_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with CSVLogger(path) as log:
        log.log(step=0, loss=1.5)
        log.log(step=1, loss=0.5, accuracy=0.75)
        log.log(step=2)
        log.log(accuracy=1.0, step=3)
    assert path.read_text() == ("step,loss,accuracy\n0,1.5,\n1,0.5,0.75\n2,,\n3,,1.0\n")
    assert list(tmp_path.iterdir()) == [path]


def test_jsonl_lines_are_json(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with JSONLLogger(path) as log:
        log.log(step=0, ok=True, text="a\nb")
        log.log(other=1)
    lines = path.read_text().splitlines()
    assert json.loads(lines[0]) == {"step": 0, "ok": True, "text": "a\nb"}
    path.write_text("{}\nnonsense\n")
    with pytest.raises(ValueError, match="line 2 is no JSON"):
        read_log(path)


@both
def test_errors(tmp_path: Path, name: str) -> None:
    with LOGGERS[name](tmp_path / name) as log:
        with pytest.raises(TypeError, match=r"'w' is a tensor of shape \(2,\)"):
            log.log(w=fe.ones(2))
        with pytest.raises(TypeError, match="'w' is of type list"):
            log.log(w=[1])
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path / f"no{name}")


SCRIPT = """
import os, signal, sys
from ferrule.utils import logging
log = getattr(logging, sys.argv[2])(sys.argv[1])
for step in range(1000):
    log.log(step=step, loss=1 / (step + 1))
    if step == 321:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@both
def test_killed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    arguments = [str(path), LOGGERS[name].__name__]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments])
    assert done.returncode == -signal.SIGKILL
    rows = read_log(path)
    assert [r["step"] for r in rows] == list(range(322))
    assert rows[-1]["loss"] == 1 / 322
    assert os.listdir(tmp_path) == [name]
