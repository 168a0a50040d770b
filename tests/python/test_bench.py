"""tools/bench runs, and says what it measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ferrule as fe

ROOT = Path(__file__).resolve().parents[2]


def bench(*args):
    env = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT / "python")}
    return subprocess.run(
        [ROOT / "tools/bench", *args], env=env, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("command", "row"), [("overhead", "add of 4 floats"), ("gemm", "64x128x10")]
)
def test_table_and_json(command, row, tmp_path):
    file = tmp_path / "figures.json"
    result = bench(command, "--only", row, "--rounds", "2", "--json", str(file))
    assert result.returncode == 0, result.stderr
    assert f"| {row} |" in result.stdout
    (figures,) = json.loads(file.read_text())["rows"]
    own = figures["ferrule"]
    assert 0 < own["q1"] <= own["median"] <= own["q3"]


def test_a_text_that_no_row_has():
    result = bench("ops", "--only", "nothing has this name")
    assert result.returncode == 1
    assert "nothing has this name" in result.stderr


def test_limits_of_the_machine():
    limits = fe._ferrule._machine_limits()
    assert set(limits) == {"flops", "read", "stream"}
    assert all(value > 1e6 for value in limits.values())
