"""Benchmarks, interleaved with NumPy, PyTorch and ONNX Runtime where installed.

    tools/bench gemm          matrix products
    tools/bench conv          convolutions of ResNet-50 and MobileNetV2, and gradients
    tools/bench ops           elementwise ops, reductions, norms, optimizers, linalg
    tools/bench fft           Fourier transforms
    tools/bench train         training steps of small models
    tools/bench infer         latency of models with one example
    tools/bench busy          training steps while another process has a core
    tools/bench overhead      host cost of an op, of recording and of backward
    tools/bench indexing      slices, masks and index lists
    tools/bench data          epochs of data loaders

Machines are noisy: every round measures each contender once, in turn, and the
table shows the median over the rounds with the quartiles. In brackets beside a
peer's median: how many times longer it takes than Ferrule. "limit" is the fraction
of what the machine reached in the same run, in fused multiply-adds or in bytes
moved. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

COMMANDS = [
    *("gemm", "conv", "ops", "fft", "train", "infer", "busy", "overhead", "indexing"),
    "data",
]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose name has this text")
    parser.add_argument("--large", action="store_true", help="ops: 10^8 elements too")
    parser.add_argument(
        "--compile", action="store_true", help="train, infer: torch.compile too (slow)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    # NumPy's matrix products take the number of threads when it is imported.
    for library in ("OPENBLAS", "MKL", "OMP"):
        os.environ[f"{library}_NUM_THREADS"] = str(options.threads)
    from .harness import Settings, report

    settings = Settings(
        rounds=options.rounds,
        threads=options.threads,
        only=options.only,
        large=options.large,
        compile=options.compile,
    )
    settings.apply()
    module = importlib.import_module(f"{__package__}.{options.command}")
    rows = module.run(settings)
    if not rows:
        print(f"tools/bench: no row has {options.only!r} in its name", file=sys.stderr)
        return 1
    notes = module.notes(rows) if hasattr(module, "notes") else []
    report(options.command, settings, rows, notes, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
