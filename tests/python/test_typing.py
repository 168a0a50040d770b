"""Strict type checkers accept a typical training script, and see its mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ferrule as fe

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "typing" / "train_script.py"
SETTINGS = ROOT / "pyproject.toml"
PACKAGE = Path(fe.__file__).parent

# What a checker must find: each line has one mistake.
MISTAKES = """
import ferrule as fe
from ferrule import nn

fe.rand(2, size="x")
fe.no_such_function(1)
nn.Linear("in", 2)
fe.optim.SGD(nn.Linear(2, 2).parameters(), lr="big")
x: str = fe.rand(2) @ fe.rand(2)
nn.ReLU()(1, 2, 3)
fe.progress(range(3)).sett(loss=1)
"""
WRONG_LINES = range(5, 12)


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", tool, *arguments],
        capture_output=True,
        text=True,
        env={
            "PYTHONPATH": str(PACKAGE.parent),
            "MYPYPATH": str(PACKAGE.parent),
            "PATH": "/usr/bin:/bin",
        },
    )


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    pytest.importorskip("mypy", reason="mypy is not installed")
    cache = tmp_path_factory.mktemp("mypy")
    return ["mypy", "--strict", "--cache-dir", str(cache)]


def test_mypy_accepts_the_package(mypy: list[str]) -> None:
    done = run(*mypy, "--config-file", str(SETTINGS), "-p", "ferrule")
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_accepts_it(mypy: list[str]) -> None:
    done = run(*mypy, str(SCRIPT))
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_sees_mistakes(mypy: list[str], tmp_path: Path) -> None:
    path = tmp_path / "mistakes.py"
    path.write_text(MISTAKES)
    lines = run(*mypy, str(path)).stdout.splitlines()
    found = {int(line.split(":")[1]) for line in lines if ": error:" in line}
    assert found == set(WRONG_LINES)


@pytest.fixture
def pyright(tmp_path: Path) -> Path:
    """A folder where pyright is strict; it needs Node.js, which it may lack."""
    pytest.importorskip("pyright", reason="pyright is not installed")
    if run("pyright", "--version").returncode:
        pytest.skip("pyright finds no Node.js")
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(PACKAGE.parent)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    return tmp_path


def errors(folder: Path, text: str) -> list[tuple[int, str]]:
    (folder / "script.py").write_text(text)
    done = run(
        *("pyright", "-p", str(folder), "--pythonpath", sys.executable, "--outputjson")
    )
    return [
        (d["range"]["start"]["line"] + 1, d["message"])
        for d in json.loads(done.stdout)["generalDiagnostics"]
        if d["severity"] == "error"
    ]


def test_pyright_accepts_it(pyright: Path) -> None:
    assert errors(pyright, SCRIPT.read_text()) == []


def test_pyright_sees_mistakes(pyright: Path) -> None:
    found = {line for line, _ in errors(pyright, MISTAKES)}
    assert found == set(WRONG_LINES)
