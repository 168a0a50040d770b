"""Every op gives the same results under every instruction set of this machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

import op_samples
from test_export import TOOL

LEVELS = {
    "x86_64": ["v2", "v3", "v4", "v4dot"],
    "aarch64": ["neon", "neondot", "neonmm"],
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("samples") / "ops"
    counts = op_samples.write(directory)
    assert min(counts.values()) > 1000, counts
    return directory


def check(level: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOL), "check", *args],
        env=os.environ | {"FERRULE_ISA": level},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("level", LEVELS[platform.machine()])
def test_ops_agree(level: str, samples: Path) -> None:
    for folder in sorted(samples.iterdir()):
        tolerance = (folder / "tolerance").read_text().strip()
        files = sorted(map(str, folder.glob("*.fer")))
        done = check(level, "--tolerance", tolerance, *files)
        if "is not an instruction set of this machine" in done.stderr:
            pytest.skip(f"this machine has no {level}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(files)} files, 0 bad" in done.stdout
