"""The main job reaches its accuracy, and C++ gives the bits of eager."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MNIST = [os.environ.get("FERRULE_DATA", ""), str(ROOT.parent / "shared" / "data")]


def quickstart(out: Path, *options: str, **env: str) -> float:
    """Runs tools/quickstart.py, which fails when C++ gives other bits."""
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tools/quickstart.py"),
            "--out",
            str(out),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **env},
    )
    assert done.returncode == 0, done.stdout
    assert "bitwise as expected" in done.stdout
    return float(re.search(r"test accuracy ([\d.]+) %", done.stdout)[1])


def test_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the images come with scikit-learn")
    assert quickstart(tmp_path, "--dataset", "digits") >= 97.0


def test_mnist(tmp_path: Path) -> None:
    data = next((d for d in MNIST if d and (Path(d) / "mnist").is_dir()), None)
    if data is None:
        pytest.skip("no MNIST files: set FERRULE_DATA to their folder")
    assert quickstart(tmp_path, "--dataset", "mnist", "--data", data) >= 99.0
