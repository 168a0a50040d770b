"""docs/adding-an-op.md works: its files alone add an op to a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(
    "build",
    ".git",
    "__pycache__",
    ".pytest_cache",
    "_ferrule*.so",
    "*.pyi",
    "_ops",
    "bin",
)


def run(command: list[str], **options) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}"
    return done.stdout


def test_the_worked_example(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-an-op.md").read_text()
    files = re.findall(r"```cpp (\S+)\n(.*?)```", page, re.DOTALL)
    assert len(files) == 3
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
    for name, text in files:
        assert not (ROOT / name).exists(), "the example must be new"
        (tree / name).write_text(text)

    # What has not changed comes out of the compiler cache, if there is one.
    env = {**os.environ, "CCACHE_BASEDIR": str(tree), "CCACHE_NOHASHDIR": "1"}
    configure = [
        "cmake", "--preset", "release", "-DFERRULE_TESTS=OFF",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]  # fmt: skip
    run(configure, cwd=tree, env=env)
    run(
        ["cmake", "--build", "build/release", "--target", "_ferrule"], cwd=tree, env=env
    )

    env["PYTHONPATH"] = str(tree / "python")
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    out = run(
        [*test, "tests/python/test_ops.py", "-k", "squareplus"], cwd=tree, env=env
    )
    assert " passed" in out and "skipped" not in out, out
    code = "import ferrule as fe; print(fe.tensor([1.5]).squareplus(), fe.squareplus)"
    assert "2." in run([sys.executable, "-c", code], cwd=tmp_path, env=env)
