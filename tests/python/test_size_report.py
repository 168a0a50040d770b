"""tools/size-report gives every byte of the runtime to a part of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ferrule as fe

TOOL = Path(__file__).resolve().parents[2] / "tools" / "size-report"
# build/<preset>/python/ferrule/_ferrule.*.so, to which the package has a link
BUILD = Path(fe._ferrule.__file__).resolve().parents[2]


def size_report(*args):
    return subprocess.run([sys.executable, TOOL, *args], capture_output=True, text=True)


@pytest.mark.skipif(
    not (BUILD / "shared/libferrule_runtime.so").exists(),
    reason=f"{BUILD} has no shared runtime (builds with sanitizers do not)",
)
def test_parts_sum_up_to_the_file():
    result = size_report("--json", BUILD)
    assert result.returncode == 0, result.stderr
    parts = json.loads(result.stdout)
    whole = parts.pop("whole")["file"]
    sizes = {name: sum(forms.values()) for name, forms in parts.items()}
    assert sum(sizes.values()) == whole
    assert all(size >= 0 for size in sizes.values())
    for name in ("core", "ops", "graph", "format", "capi", "cpu, compiled once"):
        assert sizes[name] > 5000, name
    # Next to nothing is without an owner.
    assert sizes["others (C++ library, start-up)"] < 0.01 * whole

    text = size_report(BUILD)
    assert text.returncode == 0
    assert f"{whole:,}" in text.stdout.splitlines()[-1]


def test_folder_without_a_library(tmp_path):
    result = size_report(tmp_path)
    assert result.returncode == 1
    assert "no libferrule_runtime.so" in result.stderr
