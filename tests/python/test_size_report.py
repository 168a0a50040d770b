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


def test_growth_fails(tmp_path):
    """Against committed sizes: a part that has grown by more than 5 % is named."""
    if not (BUILD / "shared/libferrule_runtime.so").exists():
        pytest.skip(f"{BUILD} has no shared runtime (builds with sanitizers do not)")
    file = tmp_path / "sizes.json"
    assert size_report("--write", file, BUILD).returncode == 0
    same = size_report("--against", file, BUILD)
    assert same.returncode == 0, same.stdout
    assert "(+0.0%)" in same.stdout

    sizes = json.loads(file.read_text())
    graph = sizes["bytes"]["graph"]
    sizes["bytes"]["graph"] = int(graph / 1.04)
    file.write_text(json.dumps(sizes))
    assert size_report("--against", file, BUILD).returncode == 0
    sizes["bytes"]["graph"] = int(graph / 1.06)
    file.write_text(json.dumps(sizes))
    grown = size_report("--against", file, BUILD)
    assert grown.returncode == 1
    assert f"FAILED: graph has grown from {int(graph / 1.06):,} to {graph:,}" in (
        grown.stdout
    )

    sizes["compiler"] = "GCC: 1.0"
    file.write_text(json.dumps(sizes))
    other = size_report("--against", file, BUILD)
    assert other.returncode == 0
    assert "not compared: compiler is GCC" in other.stdout
