"""`progress`: one line that tells how far a loop is and when it will end."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from time import monotonic
from types import TracebackType
from typing import Any, Generic, TextIO, TypeVar

__all__ = ["Progress", "progress"]

_T = TypeVar("_T")

_TERMINAL_INTERVAL = 0.1  # seconds between two drawings of the line
_NOTEBOOK_INTERVAL = 0.5
_SMOOTHING = 0.98  # weight of the past in mean values: about 50 steps
_RATE_SMOOTHING = 0.9  # of the past in the rate, per drawing


def progress(
    iterable: Iterable[_T],
    desc: str = "",
    *,
    total: int | None = None,
    unit: str = "it",
    log_every: float = 10.0,
    leave: bool = True,
    disable: bool = False,
    file: TextIO | None = None,
) -> Progress[_T]:
    """Iterates and shows how far it is, how fast, and the time that is left.

    On a terminal and in a notebook it is one line, drawn anew in place; a notebook
    that is saved keeps the last state of it. Elsewhere (a file, a pipe) it is a line
    now and then, for a log. Loops may be nested: the line of the inner one begins
    with the place of the outer one.

    Args:
        iterable: what to iterate over; a `DataLoader`, for example.
        desc: stands first in the line.
        total: number of items; None: ``len(iterable)``, if it has one.
        unit: what an item is called in the rate.
        log_every: seconds from one line to the next where there is no terminal.
        leave: False wipes the line out at the end (and logs no last line).
        disable: True shows nothing.
        file: where to write; None: stderr, or the output of a notebook's cell.

    Returns:
        An iterable `Progress`; its `set` puts values such as the loss in the line.

    Example:
        >>> import sys
        >>> import ferrule as fe
        >>> bar = fe.progress(range(100), "train", file=sys.stdout)
        >>> for step in bar:
        ...     bar.set(loss=1 / (step + 1))  # doctest: +ELLIPSIS
        train  100/100  loss 0.0...  in 0:00
    """
    return Progress(
        iterable,
        desc,
        total=total,
        unit=unit,
        log_every=log_every,
        leave=leave,
        disable=disable,
        file=file,
    )


class Progress(Generic[_T]):
    """What `progress` returns."""

    def __init__(
        self,
        iterable: Iterable[_T],
        desc: str = "",
        *,
        total: int | None = None,
        unit: str = "it",
        log_every: float = 10.0,
        leave: bool = True,
        disable: bool = False,
        file: TextIO | None = None,
    ) -> None:
        if total is not None and total < 0:
            raise ValueError(f"[progress] total must be at least 0, got {total}")
        self.iterable = iterable
        self.desc = desc
        self.unit = unit
        self.leave = leave
        self.n = 0
        """Items that are done."""
        self._given_total = total
        self._disabled = disable
        self._output = _Output() if file is None and _in_notebook() else None
        self._file = file or (sys.stderr if self._output is None else sys.stdout)
        self._live = self._output is None and self._file.isatty()
        """One line, drawn in place on a terminal."""
        self._interval = log_every
        if self._live:
            self._interval = _TERMINAL_INTERVAL
        elif self._output is not None:
            self._interval = _NOTEBOOK_INTERVAL
        self._width = 0  # of what stands on the line
        self._reset()

    def _reset(self) -> None:
        self.n = 0
        self.total = self._given_total
        if self.total is None:
            try:
                self.total = len(self.iterable)  # type: ignore[arg-type]
            except TypeError:  # a stream
                self.total = None
        self._means: dict[str, _Mean] = {}
        self._shown: dict[str, str] = {}
        if self._output is not None:  # another loop over the same bar: a new text
            self._output = _Output()
        self._started = self._drawn = monotonic()
        self._drawn_n = 0
        self._rate: float | None = None

    def __len__(self) -> int:
        if self.total is None:
            raise TypeError("[progress] what is iterated over has no length")
        return self.total

    def __iter__(self) -> Iterator[_T]:
        if self._disabled:
            yield from self.iterable
            return
        self._reset()
        _open(self)
        whole = False
        try:
            if self._live or self._output is not None:
                self._draw()
            for item in self.iterable:
                yield item
                self.n += 1
                if monotonic() - self._drawn >= self._interval:
                    self._draw()
            whole = True
        finally:
            _close(self, whole)

    # A `with` block ends the line at once when an error leaves the loop.
    def __enter__(self) -> Progress[_T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _close(self, False)

    def set(self, **values: Any) -> None:
        """Puts values in the line; numbers as a mean of about the last 50.

        Args:
            values: by name: floats or tensors of one element, which are averaged
                (recent ones weigh more); anything else is shown as it is.

        Raises:
            TypeError: a tensor has more than one element.
        """
        for name, value in values.items():
            if isinstance(value, (str, int)):
                self.show(**{name: value})
                continue
            try:
                number = float(value)
            except (TypeError, ValueError, RuntimeError) as error:
                raise TypeError(
                    f"[progress.set] '{name}' must be one number or a text: {error}"
                ) from error
            self._means.setdefault(name, _Mean()).add(number)

    def show(self, **values: Any) -> None:
        """Puts values in the line, the latest as it is; a learning rate, say."""
        for name, value in values.items():
            is_text = isinstance(value, (str, int))
            self._shown[name] = str(value) if is_text else f"{float(value):.4g}"

    def write(self, text: str) -> None:
        """Prints a line above the progress line; in a notebook, below it."""
        if self._live and not self._disabled:
            self._replace_line("")
        print(text, file=self._file, flush=True)
        if self._live and not self._disabled and self in _bars():
            self._draw()

    # --- the line ----------------------------------------------------------

    def _place(self) -> str:
        """What an inner loop's line begins with."""
        item = self.n + 1
        where = f"{item}/{self.total}" if self.total is not None else f"{item}"
        return f"{self.desc} {where}" if self.desc else where

    def _text(self, now: float, done: bool) -> str:
        parts = [bar._place() for bar in _bars() if bar is not self]
        if self.desc:
            parts.append(self.desc)
        if self.total is None:
            parts.append(f"{self.n} {self.unit}")
        elif done or not self.total:
            parts.append(f"{self.n}/{self.total}")
        else:
            parts.append(f"{self.n}/{self.total} {100 * self.n // self.total}%")
        parts += [f"{name} {mean.value:.4f}" for name, mean in self._means.items()]
        parts += [f"{name} {text}" for name, text in self._shown.items()]
        elapsed = now - self._started
        rate = self._rate
        if done or rate is None:
            rate = self.n / elapsed if elapsed > 0 else 0.0
        if rate:
            fast = f"{_three(rate)} {self.unit}/s"
            parts.append(fast if rate >= 1 else f"{_three(1 / rate)} s/{self.unit}")
        if done:
            parts.append(f"in {_clock(elapsed)}")
        elif rate and self.total is not None:
            parts.append(f"{_clock(max(self.total - self.n, 0) / rate)} left")
        return "  ".join(parts)

    def _draw(self) -> None:
        now = monotonic()
        if self.n > self._drawn_n and now > self._drawn:
            latest = (self.n - self._drawn_n) / (now - self._drawn)
            weight = 0.0 if self._rate is None else _RATE_SMOOTHING
            self._rate = weight * (self._rate or 0.0) + (1 - weight) * latest
        self._drawn, self._drawn_n = now, self.n
        text = self._text(now, done=False)
        if self._output is not None:
            self._output.show(text)
        elif self._live:
            self._replace_line(text[: self._columns()])
        else:
            self._print(text)

    def _replace_line(self, text: str) -> None:
        """Blanks cover what is longer."""
        width = max([self._width, *(bar._width for bar in _bars())])
        back = "" if text else "\r"
        self._file.write(f"\r{text:<{width}}{back}")
        self._file.flush()
        for bar in _bars():
            bar._width = 0
        self._width = len(text)

    def _columns(self) -> int:
        try:
            columns = os.get_terminal_size(self._file.fileno()).columns
        except (OSError, ValueError):  # no descriptor
            columns = 0
        return (columns or 120) - 1

    def _finish(self, whole: bool) -> None:
        """The last line: how far it came and how long it took."""
        if not self.leave:
            if self._output is not None:
                self._output.show("")
            elif self._live:
                self._replace_line("")
            return
        text = self._text(monotonic(), done=True)
        if not whole:
            text += "  (stopped)"
        if self._output is not None:
            self._output.show(text)
            return
        if self._live:
            self._replace_line(text[: self._columns()])
            text = ""
            self._width = 0
        self._print(text)

    def _print(self, text: str) -> None:
        print(text, file=self._file, flush=True)


class _Output:
    """A text in a notebook's output that can be replaced.

    Carriage returns would do on the screen, but a notebook keeps all that was printed,
    and shows it where it is looked at without a kernel.
    """

    def __init__(self) -> None:
        self._handle: Any = None  # what IPython's `display` returns

    def show(self, text: str) -> None:
        data = {"text/plain": text}
        if self._handle is None:
            display = importlib.import_module("IPython.display").display
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


class _Mean:
    """Exponentially weighted mean, without the pull towards 0 at the beginning."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, value: float) -> None:
        self._sum = _SMOOTHING * self._sum + (1 - _SMOOTHING) * value
        self._weight = _SMOOTHING * self._weight + (1 - _SMOOTHING)

    @property
    def value(self) -> float:
        return self._sum / self._weight


# --- all lines that are being shown -----------------------------------------

_here = threading.local()  # the loops of this thread, from the outermost one
_shown: list[Progress[Any]] = []  # of all threads
_excepthook: Any = None  # the one before ours


def _bars() -> list[Progress[Any]]:
    bars: list[Progress[Any]] = _here.__dict__.setdefault("bars", [])
    return bars


def _open(bar: Progress[Any]) -> None:
    global _excepthook
    if not _shown:
        _excepthook, sys.excepthook = sys.excepthook, _end_lines_first
    _shown.append(bar)
    _bars().append(bar)


def _close(bar: Progress[Any], whole: bool) -> None:
    if bar not in _shown:
        return
    bar._finish(whole)
    _shown.remove(bar)
    if bar in _bars():
        _bars().remove(bar)
    if not _shown and sys.excepthook is _end_lines_first:
        sys.excepthook = _excepthook


def _end_lines_first(*error: Any) -> None:
    """A traceback begins on a line of its own.

    When an error leaves a ``for`` loop, its iterator lives on in the traceback, so
    that the generator's `finally` comes too late.
    """
    for bar in reversed(_shown.copy()):
        _close(bar, False)
    _excepthook(*error)


def _in_notebook() -> bool:
    """Is this the kernel of a Jupyter notebook?"""
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return False
    shell = ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _three(value: float) -> str:
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}"
