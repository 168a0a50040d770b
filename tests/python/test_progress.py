"""`progress` on a terminal, in a file, in a notebook; nested; with errors."""

from __future__ import annotations

import gc
import io
import os
import pty
import re
import subprocess
import sys
import time
import types

import pytest

import ferrule as fe
from ferrule import _progress


class Terminal(io.StringIO):
    """Remembers what was written, and can tell what one would see."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        return screen(self.getvalue())


def screen(text: str) -> list[str]:
    """The lines of a terminal after `text`: a carriage return writes over."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every item draws."""
    monkeypatch.setattr(_progress, "_TERMINAL_INTERVAL", 0.0)


def test_yields_everything() -> None:
    bar = fe.progress(iter("abc"), file=io.StringIO())
    assert list(bar) == ["a", "b", "c"]
    assert bar.n == 3
    loader = fe.utils.data.DataLoader([1, 2, 3], batch_size=2)
    assert len(fe.progress(loader)) == 2
    with pytest.raises(TypeError, match="has no length"):
        len(fe.progress(iter([])))
    with pytest.raises(ValueError, match="at least 0"):
        fe.progress([], total=-1)


def test_a_line_on_a_terminal() -> None:
    file = Terminal()
    bar = fe.progress(range(4), "train", file=file)
    for i in bar:
        bar.set(loss=fe.tensor(0.5), step=i)
        bar.show(lr=1e-3)
        time.sleep(0.002)
        if i == 2:
            (line,) = file.screen()
            assert line.startswith("train  2/4 50%  loss 0.5000  step 1  lr 0.001  ")
            assert re.search(r"\d it/s  0:0\d left$", line)
    line, rest = file.screen()
    assert re.fullmatch(
        r"train  4/4  loss 0\.5000  step 3  lr 0\.001  \d+ it/s  in 0:00", line
    )
    assert rest == ""


def test_slow_and_endless_loops() -> None:
    file = Terminal()
    bar = fe.progress((i for i in range(2)), unit="epoch", file=file)
    bar._reset()
    bar._started -= 60
    bar.n = 2
    assert bar._text(time.monotonic(), done=True) == "2 epoch  30.0 s/epoch  in 1:00"
    for _ in bar:
        pass
    assert file.screen()[0].startswith("2 epoch  ")
    assert _progress._clock(3725) == "1:02:05"


def test_mean_of_recent_values() -> None:
    bar = fe.progress([], file=io.StringIO())
    bar.set(loss=4.0)
    assert bar._means["loss"].value == pytest.approx(4.0)
    for _ in range(400):
        bar.set(loss=1.0)
    assert bar._means["loss"].value == pytest.approx(1.0, abs=0.01)
    with pytest.raises(TypeError, match="'loss' must be one number"):
        bar.set(loss=fe.ones(3))


def test_log_lines_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    bar = fe.progress(range(5), log_every=0.0, file=file)
    for _ in bar:
        bar.set(loss=2.0)
        time.sleep(0.001)
    lines = file.getvalue().splitlines()
    assert len(lines) == 6 and "\r" not in file.getvalue()
    assert lines[0].startswith("1/5 20%  loss 2.0000  ")
    assert re.fullmatch(r"5/5  loss 2\.0000  .* it/s  in 0:00", lines[-1])

    file = io.StringIO()
    for _ in fe.progress(range(5), file=file):  # quick: the last line only
        pass
    assert len(file.getvalue().splitlines()) == 1


def test_nested() -> None:
    file = Terminal()
    for epoch in fe.progress(range(2), "epoch", file=file):
        for i in fe.progress(range(3), file=file):
            if i == 2:
                expected = f"epoch {epoch + 1}/2  2/3 66%"
                assert file.screen()[-1].startswith(expected)
    lines = file.screen()
    assert [line.split("  ")[:2] for line in lines[:2]] == [
        ["epoch 1/2", "3/3"],
        ["epoch 2/2", "3/3"],
    ]
    assert lines[2].startswith("epoch  2/2  ") and lines[3:] == [""]


def test_leave_and_disable() -> None:
    file = Terminal()
    for _ in fe.progress(range(3), leave=False, file=file):
        pass
    assert file.screen() == [""] and file.getvalue().endswith("\r")
    for _ in fe.progress(range(3), disable=True, file=file):
        pass
    log = io.StringIO()
    bar = fe.progress(range(3), leave=False, file=log)
    assert list(bar) == [0, 1, 2] and log.getvalue() == ""


def test_write_goes_above_the_line() -> None:
    file = Terminal()
    bar = fe.progress(range(2), "a long description", file=file)
    for i in bar:
        if i == 1:
            bar.write("note")
    lines = file.screen()
    assert lines[0] == "note"
    assert lines[1].startswith("a long description  2/2")


def test_a_longer_line_is_covered() -> None:
    file = Terminal()
    bar = fe.progress(range(3), file=file)
    for i in bar:
        bar.show(text="long" * 5 if i < 1 else "x")
    assert "long" not in file.screen()[0]


def test_stopping_early() -> None:
    file = Terminal()
    hook = sys.excepthook
    bar = fe.progress(range(9), file=file)
    with bar:
        for i in bar:
            assert sys.excepthook is not hook
            if i == 4:
                break
    assert re.fullmatch(r"4/9  .* in 0:00  \(stopped\)", file.screen()[0])
    assert file.screen()[1] == ""
    assert sys.excepthook is hook and _progress._shown == []


def test_an_error_that_is_caught() -> None:
    file = Terminal()

    def fails() -> None:
        for _ in fe.progress(range(9), file=file):
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    gc.collect()  # the traceback that holds the iterator
    assert _progress._shown == []
    list(fe.progress(range(2), file=file))
    assert file.screen()[-2].startswith("2/2")


SCRIPT = """
import ferrule as fe
for i in fe.progress(range(100), "train"):
    if i == 3:
        raise ValueError("the end")
"""


def test_a_traceback_begins_on_its_own_line() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    assert process.wait() == 1
    lines = screen(text.decode())
    assert re.fullmatch(r"train  3/100 .*\(stopped\)", lines[0])
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-2] == "ValueError: the end"


def test_in_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True
    )
    lines = done.stderr.splitlines()
    assert lines[0].startswith("train  3/100")
    assert lines[1].startswith("Traceback")


class Notebook:
    """IPython in a kernel: the cell's output is a list of texts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[str] = []
        shell = types.SimpleNamespace(kernel=object())
        ipython = types.SimpleNamespace(get_ipython=lambda: shell)
        display = types.SimpleNamespace(display=self.display)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", display)
        monkeypatch.setattr(_progress, "_NOTEBOOK_INTERVAL", 0.0)

    def display(self, data: dict[str, str], raw: bool, display_id: bool) -> object:
        assert raw and display_id
        place = len(self.shown)
        self.shown.append(data["text/plain"])

        def update(data: dict[str, str], raw: bool) -> None:
            assert raw
            self.shown[place] = data["text/plain"]

        return types.SimpleNamespace(update=update)


def test_in_a_notebook(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    notebook = Notebook(monkeypatch)
    bar = fe.progress(range(3), "train")
    for i in bar:
        assert notebook.shown[0].startswith(f"train  {i}/3 ")
        bar.set(loss=0.5)
        bar.write(f"note {i}")
    (line,) = notebook.shown
    assert line.startswith("train  3/3  loss 0.5000  ") and "\r" not in line
    assert capsys.readouterr() == ("note 0\nnote 1\nnote 2\n", "")
    list(bar)  # once more
    assert notebook.shown[0] == line and notebook.shown[1].startswith("train  3/3  ")


def test_nested_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)

    def fails() -> None:
        for epoch in fe.progress(range(2), "epoch"):
            with fe.progress(range(3), leave=epoch > 0) as steps:
                for step in steps:
                    if (epoch, step) == (1, 2):
                        raise KeyError

    with pytest.raises(KeyError):
        fails()
    gc.collect()  # the traceback that holds the iterator
    outer, first, second = notebook.shown
    assert first == "" and re.match(r"epoch 2/2  2/3 .*\(stopped\)$", second)
    assert re.match(r"epoch  1/2 .*\(stopped\)$", outer)


def test_a_file_in_a_notebook_gets_log_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)
    file = io.StringIO()
    list(fe.progress(range(3), file=file))
    assert notebook.shown == [] and "\r" not in file.getvalue()
    assert file.getvalue().startswith("3/3  ")


def test_costs_little() -> None:
    started = time.perf_counter()
    bar = fe.progress(range(20_000), file=io.StringIO())
    for _ in bar:
        bar.set(loss=0.5)
    assert time.perf_counter() - started < 1.0
