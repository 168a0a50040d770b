"""No gap between what trains and what ships.

The ops of eager mode, those that a file can name and those of the deployed runtime are
the same; and what has no gradient is listed here with the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools"))

import op_table
from op_cases import TABLE, cases, tensors_of

TOOL = Path(fe.__file__).parent / "bin" / "ferrule"


@pytest.fixture(scope="module")
def deployed() -> dict[str, dict]:
    """The table of the runtime that the `ferrule` command is made of."""
    done = subprocess.run([TOOL, "ops", "--json"], capture_output=True, check=True)
    ops = {op["name"]: op for op in json.loads(done.stdout)}
    # Control flow is in graphs only: Python has functions for it, not ops.
    for name in ("cond", "scan", "while_loop"):
        assert ops.pop(name)["way"] == "graphs" and hasattr(fe, name)
    return ops


def test_the_runtime_has_the_ops_of_python(deployed) -> None:
    assert deployed.keys() == TABLE.keys()
    for name, op in deployed.items():
        here = TABLE[name]
        assert (op["version"], op["sig"]) == (here["version"], here["sig"]), name
        assert op["way"] == op_table.kernel_of(name), name


def test_every_gradient_can_be_shipped(deployed) -> None:
    """An op with a gradient, or its parts, stands in files: by a kernel or a view."""
    differentiable = {op for op in TABLE if op_table.gradient_of(op) != "none"}
    shipped = {
        name
        for name, op in deployed.items()
        if op["way"] in ("cpu", "view") or TABLE[name]["has_decompose"]
    }
    assert len(differentiable) > 300
    assert differentiable <= shipped
    # But for those whose results have a size that depends on values.
    assert {op for op in differentiable if TABLE[op]["data_dependent"]} == {
        "bincount",
        "masked_select",
        "repeat_interleave",
    }


def test_the_table_in_words(deployed) -> None:
    done = subprocess.run([TOOL, "ops"], capture_output=True, check=True, text=True)
    lines = done.stdout.splitlines()
    names = {line.split()[0] for line in lines}
    assert names == deployed.keys() | {"cond", "scan", "while_loop"}
    assert any(line.split()[:3] == ["relu", "v1", "cpu"] for line in lines)
    done = subprocess.run([TOOL, "ops", "m.fer"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "ops takes no file, got 'm.fer'" in done.stderr


# Ops that make floating point numbers of floating point numbers and have no gradient.
NO_GRADIENT = {
    "the numbers are drawn; those that are given say what and how many": """
        bernoulli normal rand_like randn_like""",
    "only shape and dtype of the argument count": """
        empty_like ones_like zeros_like""",
    "counts, which do not change with small changes": "histc",
    "constant but for jumps, as in PyTorch": "heaviside nextafter",
}


def makes_floats_of_floats(op: str) -> bool:
    for case in cases(op):
        if case.written() or not any(a.dtype.kind == "f" for a in case.arrays()):
            continue
        with np.errstate(all="ignore"):
            if any(t.dtype.is_floating_point for t in tensors_of(case.call())):
                return True
    return False


def test_what_has_no_gradient_is_known() -> None:
    """All others have gradients of every order, as docs/ops.md says."""
    orders = {op: op_table.gradient_of(op) for op in TABLE}
    assert "first" not in orders.values()
    without = {
        op
        for op, order in orders.items()
        if order == "none" and makes_floats_of_floats(op)
    }
    assert without == {op for ops in NO_GRADIENT.values() for op in ops.split()}


def test_ops_that_write_pass_gradients_on() -> None:
    """Their examples write into leaves; here they write into results of others."""
    x = fe.tensor([1.0, 2.0], requires_grad=True)
    for op in sorted(TABLE):
        if not (TABLE[op]["mutates"] and TABLE[op]["outputs"]):
            continue
        if TABLE[op]["random"] or not op.endswith("_"):
            continue
        target = x * 2
        given = [fe.ones(2)] if op == "copy_" else [1.0] if op == "fill_" else []
        getattr(_ferrule.ops, op)(target, *given)
        (target * 3 + x).sum().backward()
        assert x.grad.tolist() == [1.0, 1.0], op  # what was there is overwritten
        x.grad = None
