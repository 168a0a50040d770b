"""The `ferrule` console script: runs the native tool of this package."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Replace this process by the `ferrule` tool, with the same arguments."""
    tool = Path(__file__).parent / "bin" / "ferrule"
    try:
        os.execv(tool, ["ferrule", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"ferrule: cannot run {tool}: {error.strerror}")


if __name__ == "__main__":
    main()
