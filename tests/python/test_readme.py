"""The README's examples run as they stand there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the example trains on scikit-learn's digits")

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "build" / "release" / "libferrule_runtime.a"


def block(language: str) -> str:
    text = (ROOT / "README.md").read_text()
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


def test_train_in_python_and_run_in_cpp(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block("python"), "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert float(lines[-1].split()[-1]) < 0.5  # it has learnt

    (tmp_path / "main.cpp").write_text(block("cpp"))
    compiler = ["g++", "-std=c++20", f"-I{ROOT / 'include'}", "main.cpp"]
    subprocess.run([*compiler, str(LIBRARY), "-pthread", "-o", "main"], check=True)
    done = subprocess.run(["./main"], check=True, capture_output=True, text=True)
    assert len(done.stdout.split()) == 10
