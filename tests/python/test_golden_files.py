"""Files that were written by earlier versions give the results they gave then.

Those of tests/golden/VERSION were made by golden_files.py. Instruction sets differ in
how they order sums, so results may differ by a little.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
import golden_files

FOLDERS = sorted((Path(__file__).parents[1] / "golden").iterdir())
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.fer"))]
ROOT = Path(__file__).parents[2]
TOLERANCE = 2e-5


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_the_version_of_today_has_files() -> None:
    source = (ROOT / "runtime/format/container.h").read_text()
    version = re.search(r"kMajor = (\d+), kMinor = (\d+)", source)
    assert version is not None
    assert ".".join(version.groups()) in {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_samples(path: Path) -> None:
    fe.load_program(path).check(tolerance=TOLERANCE)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_samples_without_python(path: Path) -> None:
    tool = Path(sys.executable).parent / "ferrule"
    command = [tool, "check", "--tolerance", str(TOLERANCE), path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
@pytest.mark.parametrize("name", golden_files.other_sizes())
def test_other_sizes(folder: Path, name: str) -> None:
    program = fe.load_program(folder / f"{name}.fer")
    got = golden_files.at_other_sizes(program, golden_files.other_sizes()[name])
    want = np.load(folder / "sizes.npz")[name]
    np.testing.assert_allclose(got, want, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_training(folder: Path) -> None:
    got = golden_files.trained(fe.load_program(folder / "training.fer"))
    want = np.load(folder / "training.npz")
    assert set(got) == set(want.files)
    for name in want.files:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-5)
