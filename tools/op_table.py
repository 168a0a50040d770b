"""Writes docs/ops.md: a table of all ops, found out from their definitions.

    build/venv/bin/python tools/op_table.py            # writes it
    build/venv/bin/python tools/op_table.py --check    # is it up to date?

Dtypes and gradients are those that the op's examples work with.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))

import numpy as np  # noqa: E402

import ferrule as fe  # noqa: E402
from op_cases import TABLE, Case, cases, tensors_of  # noqa: E402

PAGE = ROOT / "docs" / "ops.md"
ERRORS = (fe.FerruleError, ValueError, TypeError, IndexError)
# The dtype that stands for its kind, and how the table calls the kind.
KINDS = {
    fe.bool: "bool",
    fe.int64: "int",
    fe.float16: "f16",
    fe.bfloat16: "bf16",
    fe.float32: "f32",
    fe.float64: "f64",
    fe.complex64: "complex",
}

# Names of PyTorch's surface (tests/python/surface.txt) that are not there, and why.
ABSENT: dict[str, str] = {}

INTRODUCTION = """# Ops

Made by `tools/op_table.py` from the definitions in `runtime/ops`; a test compares it
with them.

- **dtypes**: what the op's first tensors may be: bool, int (all integers), f16, bf16,
  f32, f64, complex. Others are an error that says so. `-`: the op takes no tensor.
- **gradient**: every order, the first order only, or none, as for whole numbers,
  comparisons and optimizer steps.
- **kernel**: `cpu`, or `parts`: the op is a composition of others, which stand in
  graphs in its place; `view`: it looks into the memory of its input.
- **graphs**: `yes`: the op can be captured, saved and run without Python; `no`: the
  shape of its result depends on values.

What eager mode can do, graphs, files and the C++ runtime can do: they have the same
table of ops.
"""


def first_kind(case: Case) -> str | None:
    """The kind of the arrays that stand for the op's operands."""
    kinds = [a.dtype.kind for a in case.arrays()]
    return next((k for k in "cfib" if k in kinds), None)


def converted(case: Case, dtype: Any) -> list[fe.Tensor]:
    kind = first_kind(case)
    return [
        fe.tensor(a).to(dtype) if a.dtype.kind == kind else fe.tensor(a)
        for a in case.arrays()
    ]


def works(op: str, dtype: Any) -> bool:
    for case in cases(op):
        try:
            case.call(arrays=converted(case, dtype))
            return True
        except ERRORS:
            continue
    return False


def dtypes_of(op: str) -> str:
    if not any(case.arrays() for case in cases(op)):
        return "-"
    return " ".join(name for dtype, name in KINDS.items() if works(op, dtype)) or "-"


def order_of(case: Case) -> int:
    """0: no gradient; 1: of the first order; 2: of every order."""
    leaves = [
        fe.tensor(a, requires_grad=a.dtype.kind in "fc" and a.dtype.itemsize >= 8)
        for a in case.arrays()
    ]
    inputs = [t for t in leaves if t.requires_grad]
    written = {id(a) for a in case.written()}
    if not inputs or any(id(a) in written for a in case.arrays()):
        return 0
    try:
        made = [t for t in tensors_of(case.call(arrays=leaves)) if t.requires_grad]
        if not made:
            return 0
        loss = sum((t * t.detach()).abs().sum() for t in made)
        grads = fe.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
    except ERRORS:
        return 0
    found = [g for g in grads if g is not None and g.requires_grad]
    if not found:
        return 2  # linear: the second derivative is zero
    try:
        again = sum((g * g).abs().sum() for g in found)
        fe.autograd.grad(again, inputs, allow_unused=True)
    except ERRORS:
        return 1
    return 2


def gradient_of(op: str) -> str:
    entry = TABLE[op]
    if entry["mutates"] and not entry["outputs"]:
        return "none"
    if not (entry["has_vjp"] or entry["has_decompose"]):
        return "none"
    order = max((order_of(case) for case in cases(op)), default=0)
    return ("none", "first", "every order")[order]


def kernel_of(op: str) -> str:
    entry = TABLE[op]
    if entry["has_cpu_kernel"]:
        return "cpu"
    return "parts" if entry["has_decompose"] else "view"


def names_of(op: str) -> list[str]:
    """As users write them; none for ops that only other ops call."""
    entry = TABLE[op]
    own = [op, *entry["aliases"]]
    names = []
    if "function" in entry["where"]:
        names += own
    elif "method" in entry["where"]:
        names += [f"Tensor.{name}" for name in own]
    if "functional" in entry["where"]:
        names += [f"nn.functional.{name}" for name in own]
    names += [f"{module}.{name}" for module, name in entry["modules"]]
    if names and entry["has_inplace"] and "method" in entry["where"]:
        names.append(f"Tensor.{op}_")
    return names


def rows_of(ops: list[str], name: Any) -> list[str]:
    head = "| op | dtypes | gradient | kernel | graphs |"
    lines = [head, "|---|---|---|---|---|"]
    for op in ops:
        graphs = "no" if TABLE[op]["data_dependent"] else "yes"
        cells = [name(op), dtypes_of(op), gradient_of(op), kernel_of(op), graphs]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def page() -> str:
    public = [op for op in sorted(TABLE) if names_of(op)]
    rest = [op for op in sorted(TABLE) if not names_of(op)]

    def shown(op: str) -> str:
        return " ".join(f"`{name}`" for name in names_of(op))

    lines = [INTRODUCTION, f"## {len(public)} ops with a name in Python", ""]
    lines += rows_of(public, shown)
    lines += ["", f"## {len(rest)} ops that others are made of", ""]
    lines += ["Reachable as `fe.ops.NAME`.", ""]
    lines += rows_of(rest, lambda op: f"`{op}`")
    if ABSENT:
        lines += ["", "## What PyTorch has and Ferrule has not", ""]
        lines += ["| name | why |", "|---|---|"]
        lines += [f"| `{name}` | {why} |" for name, why in sorted(ABSENT.items())]
    return "\n".join(lines) + "\n"


def main() -> int:
    with np.errstate(all="ignore"):
        text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text)
        return 0
    if PAGE.exists() and PAGE.read_text() == text:
        return 0
    print("docs/ops.md is not up to date; run tools/op_table.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
