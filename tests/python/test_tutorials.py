"""The tutorials' code runs as it stands there, and prints what they say.

The blocks of a tutorial run one after another, as one program. A `text` block is what
the block before it prints ("..." stands for anything). Here the programs are shortened
and see small stand-ins for data sets; with FERRULE_LONG=1 and the real data in
FERRULE_DATA they run in full and must reach the figures that they promise.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ferrule as fe

pytest.importorskip("sklearn", reason="the tutorials train on scikit-learn's digits")
pytest.importorskip("matplotlib", reason="the tutorials draw with matplotlib")

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "build" / "release" / "libferrule_runtime.a"
FOLDER = ROOT / "docs" / "tutorials"
SHARED = ROOT.parent / "shared" / "data"

# What is replaced where time is short.
SHORTER = {
    "first_hour": {},
    "mnist_cnn": {"epochs = 5": "epochs = 1"},
    "fashion_resnet": {"epochs = 20": "epochs = 1"},
    "compile": {},
    "char_gpt": {
        "steps = 6000": "steps = 8",
        "context = 128": "context = 32",
        "width = 192": "width = 32",
    },
    "lstm_tagger": {"epochs = 20": "epochs = 3"},
    "vae": {"epochs = 20": "epochs = 1"},
}


def blocks(name: str) -> list[tuple[str, str, int]]:
    """Language, content and first line of all blocks of a tutorial."""
    text = (FOLDER / f"{name}.md").read_text()
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(m[1], m[2], text.count("\n", 0, m.start(2))) for m in found]


def play(name: str, capsys: Any, shorter: dict[str, str]) -> dict[str, Any]:
    """Runs all Python blocks; returns the variables."""
    names: dict[str, Any] = {"__name__": "__main__"}
    pending, printed = dict(shorter), ""
    for language, content, line in blocks(name):
        if language == "python":
            for old in [old for old in pending if old in content]:
                content = content.replace(old, pending.pop(old))
            capsys.readouterr()
            # Lines are those of the page, where messages and fe.script look for them.
            code = compile("\n" * line + content, FOLDER / f"{name}.md", "exec")
            exec(code, names)
            printed = capsys.readouterr().out
        elif language == "text":
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            same = doctest.OutputChecker().check_output(content, printed, flags)
            assert same, f"{name}.md says\n{content}\nand it printed\n{printed}"
    assert not pending, f"{name}.md has changed: {list(pending)} is not in it"
    return names


def write_idx(path: Path, array: np.ndarray) -> None:
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


@pytest.fixture
def small_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scikit-learn's digits as if they were MNIST, and a short text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FERRULE_DATA", str(tmp_path))
    for train, prefix, count in ((True, "train", 512), (False, "t10k", 128)):
        digits = fe.datasets.Digits(train=train)
        images = np.asarray(digits.images)[:count] * 15
        images = np.kron(images, np.ones((1, 3, 3), np.uint8))
        images = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
        for folder in ("mnist", "fashion-mnist"):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_idx(tmp_path / folder / f"{prefix}-images-idx3-ubyte", images)
            labels = np.asarray(digits.labels)[:count].astype(np.uint8)
            write_idx(tmp_path / folder / f"{prefix}-labels-idx1-ubyte", labels)
    (tmp_path / "input.txt").write_text("To be, or not to be: that is the rub.\n" * 200)


def test_every_tutorial_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == SHORTER.keys()
    linked = set(
        re.findall(r"\]\((\w+\.\w+)\)", (FOLDER / "first_hour.md").read_text())
    )
    for path in linked:
        assert (FOLDER / path).exists(), path


@pytest.mark.parametrize("name", SHORTER)
def test_runs(name: str, small_data: None, capsys: Any) -> None:
    play(name, capsys, SHORTER[name])


@pytest.mark.parametrize("stop", [1, 8, 11])
def test_mnist_goes_on_where_it_was_stopped(
    stop: int, small_data: None, capsys: Any
) -> None:
    shorter = {"epochs = 5": "epochs = 2", "step % 500": "step % 2"}
    step = "            step += 1\n"
    dies = {
        step: f"{step}            if step == {stop}:\n                raise EOFError\n"
    }
    with pytest.raises(EOFError):
        play("mnist_cnn", capsys, shorter | dies)
    resumed = play("mnist_cnn", capsys, shorter)
    gone_on = Path("mnist/log.csv").read_text()
    for path in [Path("mnist/log.csv"), *Path("mnist").glob("step-*")]:
        path.unlink()
    whole = play("mnist_cnn", capsys, shorter)
    assert len(gone_on.splitlines()) == 1 + 16
    assert Path("mnist/log.csv").read_text() == gone_on
    for a, b in zip(
        resumed["model"].parameters(), whole["model"].parameters(), strict=True
    ):
        assert np.array_equal(a.detach(), b.detach())


def test_the_first_hour_reaches_its_figures(small_data: None, capsys: Any) -> None:
    names = play("first_hour", capsys, {})
    assert names["accuracy"](names["model"], names["test_set"]) >= 0.97
    (program,) = [
        text for language, text, _ in blocks("first_hour") if language == "cpp"
    ]
    Path("main.cpp").write_text(program)
    compiler = ["g++", "-std=c++20", f"-I{ROOT / 'include'}", "main.cpp"]
    subprocess.run([*compiler, str(LIBRARY), "-pthread", "-o", "main"], check=True)
    done = subprocess.run(["./main"], check=True, capture_output=True, text=True)
    numbers = [float(line) for line in done.stdout.split()]
    with fe.no_grad():
        expected = names["model"].eval()(fe.zeros(1, 1, 8, 8)).tolist()[0]
    assert numbers == [float(f"{x:g}") for x in expected]


# --- in full, on the real data


@pytest.fixture
def real_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = Path(os.environ.get("FERRULE_DATA", SHARED))
    if not data.is_dir():
        pytest.skip("no data: set FERRULE_DATA to the folder of MNIST and the others")
    monkeypatch.setenv("FERRULE_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    return data


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "figure"),
    [("mnist_cnn", 0.99), ("fashion_resnet", 0.92), ("lstm_tagger", 0.9)],
)
def test_accuracy(name: str, figure: float, real_data: Path, capsys: Any) -> None:
    names = play(name, capsys, {})
    assert names["test_accuracy"] >= figure


@pytest.mark.long
def test_char_gpt(real_data: Path, capsys: Any) -> None:
    text = real_data / "tinyshakespeare" / "input.txt"
    if not text.exists():
        pytest.skip("no tiny Shakespeare: put it into tinyshakespeare/input.txt")
    Path("input.txt").write_bytes(text.read_bytes())
    started = time.process_time()
    loss = play("char_gpt", capsys, {})["validation_loss"]
    minutes = (time.process_time() - started) / 60  # of all threads
    with capsys.disabled():
        print(f" {loss:.3f} nats a character, {minutes:.1f} minutes of one core")
    assert loss < 1.6 and minutes < 60


@pytest.mark.long
def test_vae(real_data: Path, capsys: Any) -> None:
    loss = play("vae", capsys, {})["test_loss"]
    with capsys.disabled():
        print(f" {loss:.1f} nats a picture")
    assert loss < 110
