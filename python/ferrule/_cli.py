"""The `ferrule` console script: `doctor`, and the native tool of this package."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Runs `ferrule doctor`, or replaces this process by the `ferrule` tool."""
    if sys.argv[1:2] == ["doctor"]:
        from .doctor import main as doctor

        sys.exit(doctor(sys.argv[2:]))
    tool = Path(__file__).parent / "bin" / "ferrule"
    try:
        os.execv(tool, ["ferrule", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"ferrule: cannot run {tool}: {error.strerror}")


if __name__ == "__main__":
    main()
