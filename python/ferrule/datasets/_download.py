"""Downloads a file with a known checksum into a folder."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from .._ferrule import FerruleError

_CHUNK = 1 << 16


def cache_dir() -> Path:
    """$XDG_CACHE_HOME/ferrule, by default ~/.cache/ferrule."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ferrule"


def download(name: str, sha256: str, mirrors: Sequence[str], folder: Path) -> Path:
    """Returns the path of file `name` in `folder`, downloaded and checked.

    The file appears under its name only when it is whole and right.

    Raises:
        FerruleError: no mirror gave the right file; the message lists why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in mirrors:
        url = mirror + name
        handle, part = tempfile.mkstemp(prefix=name, suffix=".part", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                found = _copy(url, file)
            if found != sha256:
                failures.append(f"{url}: SHA-256 is {found}, expected {sha256}")
                continue
            os.replace(part, folder / name)
            return folder / name
        except OSError as error:  # URLError, timeouts and a full disk are such
            failures.append(f"{url}: {error}")
        finally:
            Path(part).unlink(missing_ok=True)
    raise FerruleError(
        f"[download] cannot get {name}; put it into {folder} yourself:"
        + "".join(f"\n  {failure}" for failure in failures)
    )


def _copy(url: str, file: BinaryIO) -> str:
    """Writes what `url` gives to `file`; returns its SHA-256."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    digest = hashlib.sha256()
    request = Request(url, headers={"User-Agent": "ferrule"})
    try:
        with urlopen(request, timeout=30) as response:
            total = int(response.headers.get("Content-Length") or 0)
            progress = _Progress(url.rsplit("/", 1)[-1], total)
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
                progress.add(len(chunk))
            progress.end()
    except (HTTPException, ValueError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    return digest.hexdigest()


class _Progress:
    """One line on a terminal; in a log only the last state."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.done = name, total, 0
        self.live = sys.stderr.isatty()
        self.shown = 0.0

    def add(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if self.live and now - self.shown > 0.1:
            self.shown = now
            sys.stderr.write("\r" + self._text())
            sys.stderr.flush()

    def end(self) -> None:
        start = "\r" if self.live else ""
        sys.stderr.write(start + self._text() + "\n")

    def _text(self) -> str:
        of = f" of {self.total / 1e6:.1f}" if self.total else ""
        return f"downloading {self.name}: {self.done / 1e6:.1f}{of} MB"
