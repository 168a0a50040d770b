"""Numbers of a training run in a file, one line a step: CSV or JSON lines.

A line is given to the system as soon as it is logged, in one piece: a process that
is killed loses none. A line that a crash of the machine left unfinished is removed
when the file is opened again.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from .._ferrule import Tensor

__all__ = ["CSVLogger", "JSONLLogger", "read_log"]

_Self = TypeVar("_Self", bound="_Logger")


class _Logger:
    """What both formats have in common."""

    def __init__(
        self, path: str | os.PathLike[str], *, purge_step: int | None = None
    ) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows: list[dict[str, Any]] = []
        if self.path.exists():
            _drop_unfinished_line(self.path)
            rows = self._parse(self.path)
        if purge_step is not None:
            kept = [row for row in rows if _before(row, purge_step, self.path)]
            if len(kept) < len(rows):
                self._rewrite(kept)
                rows = kept
        self._resumed(rows)
        # Appending: every write goes to the end, whoever else writes.
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self._closed = False

    def log(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Appends a line.

        Args:
            values, more: numbers, tensors of one element, texts, booleans or None by
                name; "step" is the name that `purge_step` looks at.

        Raises:
            TypeError: a value is something else.
            ValueError: the logger is closed.
        """
        if self._closed:
            raise ValueError(f"[{type(self).__name__}] the logger is closed")
        row = {
            name: _plain(type(self).__name__, name, value)
            for name, value in {**(values or {}), **more}.items()
        }
        self._append(row)

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._file, data) :]

    def _rewrite(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replaces the file by one with these rows, as a whole."""
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(self._text(list(rows)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.path)

    def close(self) -> None:
        """Closes the file; again does nothing."""
        if not self._closed:
            self._closed = True
            os.close(self._file)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- what the formats differ in

    @staticmethod
    def _parse(path: Path) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _resumed(self, rows: list[dict[str, Any]]) -> None:
        raise NotImplementedError

    def _text(self, rows: list[Mapping[str, Any]]) -> str:
        raise NotImplementedError

    def _append(self, row: dict[str, Any]) -> None:
        raise NotImplementedError


class CSVLogger(_Logger):
    """A table with a header, for spreadsheets and `read_log`.

    The first line gives the columns. A name that comes later becomes a further
    column, for which the file is written anew, as a whole.

    Args:
        path: the file; lines are appended to one that exists.
        purge_step: lines of this step and later ones are removed first, for a run
            that was resumed.

    Raises:
        ValueError: `purge_step` is given and a line has no number as "step".

    Example:
        >>> import os, tempfile
        >>> import ferrule as fe
        >>> path = os.path.join(tempfile.mkdtemp(), "log.csv")
        >>> with fe.utils.logging.CSVLogger(path) as log:
        ...     log.log(step=0, loss=fe.tensor(0.5))
        ...     log.log(step=1, loss=0.25)
        >>> print(open(path).read().strip())
        step,loss
        0,0.5
        1,0.25
    """

    _columns: list[str]

    @staticmethod
    def _parse(path: Path) -> list[dict[str, Any]]:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                {name: _number(text) for name, text in row.items() if name is not None}
                for row in csv.DictReader(file)
            ]

    def _resumed(self, rows: list[dict[str, Any]]) -> None:
        self._columns = []
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as file:
                self._columns = next(csv.reader(file), [])

    def _line(self, cells: Iterable[Any]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(
            ["" if cell is None else cell for cell in cells]
        )
        return text.getvalue()

    def _text(self, rows: list[Mapping[str, Any]]) -> str:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines = [self._line(row.get(name) for name in columns) for row in rows]
        return "".join([self._line(columns), *lines]) if columns else ""

    def _append(self, row: dict[str, Any]) -> None:
        new = [name for name in row if name not in self._columns]
        if new and self._columns:
            rows = self._parse(self.path)
            os.close(self._file)
            self._rewrite([*rows, row])
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
            self._columns += new
            return
        text = ""
        if new:
            self._columns = new
            text = self._line(new)
        self._write(text + self._line(row.get(name) for name in self._columns))


class JSONLLogger(_Logger):
    """A JSON object a line; each may have other names. Arguments as of `CSVLogger`.

    Infinite numbers and NaN are written as Infinity and NaN, which Python, pandas
    and JavaScript's JSON5 read.

    Example:
        >>> import os, tempfile
        >>> import ferrule as fe
        >>> path = os.path.join(tempfile.mkdtemp(), "log.jsonl")
        >>> with fe.utils.logging.JSONLLogger(path) as log:
        ...     log.log(step=0, loss=0.5)
        >>> fe.utils.logging.read_log(path)
        [{'step': 0, 'loss': 0.5}]
    """

    @staticmethod
    def _parse(path: Path) -> list[dict[str, Any]]:
        rows = []
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(
                    f"[JSONLLogger] {path}, line {number} is no JSON: {error}"
                ) from error
            rows.append(row)
        return rows

    def _resumed(self, rows: list[dict[str, Any]]) -> None:
        """Lines do not depend on those before."""

    def _text(self, rows: list[Mapping[str, Any]]) -> str:
        return "".join(json.dumps(row) + "\n" for row in rows)

    def _append(self, row: dict[str, Any]) -> None:
        self._write(self._text([row]))


def read_log(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a file that a logger wrote, a dict each.

    Args:
        path: a ".csv" file, or one of JSON lines.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a line is no JSON.
    """
    path = Path(path)
    parse = CSVLogger._parse if path.suffix == ".csv" else JSONLLogger._parse
    return parse(path)


def _drop_unfinished_line(path: Path) -> None:
    with path.open("r+b") as file:
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            file.truncate(whole)


def _before(row: Mapping[str, Any], step: int, path: Path) -> bool:
    own = row.get("step")
    if isinstance(own, bool) or not isinstance(own, (int, float)):
        raise ValueError(
            f"[logging] {path}: purge_step needs a number as 'step' in every line, "
            f"and one has {own!r}"
        )
    return own < step


def _plain(who: str, name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:  # NumPy's
        return value.item()
    raise TypeError(
        f"[{who}] '{name}' is "
        + (
            f"a tensor of shape {tuple(value.shape)}"
            if isinstance(value, Tensor)
            else f"of type {type(value).__name__}"
        )
        + "; values are numbers, texts, booleans or None"
    )


def _number(text: str | None) -> Any:
    """A cell of a table: an integer or a float, if it reads as one."""
    if not text:
        return None
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        # "nan" and "inf" are numbers that were logged, "infinity" is a text.
        return value if isfinite(value) or text in ("nan", "inf", "-inf") else text
    return {"True": True, "False": False}.get(text, text)
