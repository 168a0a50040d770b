"""The API that training scripts use is there, and docs/ops.md lists all ops."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ferrule as fe

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import op_table  # noqa: E402


def families() -> dict[str, list[str]]:
    """The names of surface.txt by family."""
    found: dict[str, list[str]] = {}
    for line in Path(__file__).with_name("surface.txt").read_text().splitlines():
        if line.startswith("["):
            names = found[line.strip("[]")] = []
        elif line and not line.startswith("#"):
            names += line.split()
    return found


def exists(name: str) -> bool:
    """Is it fe.NAME or fe.Tensor.NAME?"""
    for start in (fe, fe.Tensor):
        place = start
        for part in name.split("."):
            place = getattr(place, part, None)
        if place is not None:
            return True
    return False


@pytest.mark.parametrize("family", families())
def test_names_exist(family: str) -> None:
    names = families()[family]
    missing = {name for name in names if not exists(name)}
    assert missing == {name for name in names if name in op_table.ABSENT}


def test_op_table_is_up_to_date() -> None:
    tool = ROOT / "tools" / "op_table.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
