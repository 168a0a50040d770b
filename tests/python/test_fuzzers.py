"""tools/fuzz, for ten minutes each; hours are for hands."""

import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools/fuzz"


@pytest.mark.long
@pytest.mark.parametrize("target", ["file", "tool"])
def test_ten_minutes(target: str) -> None:
    done = subprocess.run([TOOL, target], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_wrong_command_lines() -> None:
    for arguments in (["bytes"], ["--minutes"], ["--minutes", "soon"], ["--runs", "0"]):
        done = subprocess.run([TOOL, *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: ")
