"""Where the files of data sets are looked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ._download import cache_dir


def places(root: str | os.PathLike[str] | None, folder: str) -> Iterator[Path]:
    """`root`, $FERRULE_DATA and the cache, each time `folder` in it first."""
    for base in (root, os.environ.get("FERRULE_DATA"), cache_dir()):
        if base:
            yield Path(base) / folder
            yield Path(base)


def not_found(
    who: str, what: str, root: str | os.PathLike[str] | None, folder: str
) -> FileNotFoundError:
    """The error that says where was looked."""
    looked = "".join(f"\n  {place}" for place in places(root, folder))
    return FileNotFoundError(
        f"[{who}] no files {what} in:{looked}\nset root or $FERRULE_DATA, or "
        "download=True"
    )
