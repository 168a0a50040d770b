"""Autocast gives the dtypes of PyTorch's, for every op that both have."""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe
from op_cases import TABLE, Case, cases, map_arrays, tensors_of

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

# Where results differ on purpose: op and dtype of the operands, dtypes of results.
DIFFERENT = {
    # Copies, which need no precision that the input has not.
    ("pad", "bfloat16"): "bfloat16",
    # Pooling and covariances by other ops than PyTorch's, which it casts.
    ("local_response_norm", "bfloat16"): "bfloat16",
    ("cov", "float32"): "float32",
    ("corrcoef", "float32"): "float32",
    # A product of vectors is a matrix product here.
    ("inner", "float32"): "bfloat16",
    # Losses with weights, which PyTorch writes in Python.
    ("mse_loss", "bfloat16"): "float32",
    ("l1_loss", "bfloat16"): "float32",
    # What belongs to decompositions is of 32 bits or more.
    ("matrix_exp", "bfloat16"): "float32",
    ("linalg_pinv", "float32"): "float32",
    ("linalg_lu_factor_ex", "bfloat16"): "float32 int32 int32",
    ("lu_unpack", "bfloat16"): "float32 float32 float32",
}
# The dtype of a fill value counts here.
EXCLUDED = {"full"}


def names_of(op: str) -> list[str]:
    entry = TABLE[op]
    own = [op, *entry["aliases"]]
    names = [f"{module}.{name}" for module, name in entry["modules"]]
    if "functional" in entry["where"]:
        names += [f"nn.functional.{name}" for name in own]
    if "function" in entry["where"]:
        names += own
    if "method" in entry["where"]:
        names += [f"Tensor.{name}" for name in own]
    return names


def find(root, name: str):
    for part in name.split("."):
        root = getattr(root, part, None)
    return root


def dtypes(m, function, case: Case, dtype: str) -> list[str]:
    """The dtypes of the results within autocast of the package `m`."""

    def convert(a: np.ndarray):
        t = m.tensor(a)
        if a.dtype.kind == "c":
            return t.to(m.complex64)
        return t.to(getattr(m, dtype)) if a.dtype.kind == "f" else t

    given = map_arrays([case.args, list(case.kwargs.values())], lambda a: a)
    args, values = map_arrays(given, convert)
    kwargs = dict(zip(case.kwargs, values, strict=True))
    with m.autocast("cpu"):
        result = tensors_of(function(*args, **kwargs))
    return [str(t.dtype).rsplit(".", 1)[-1] for t in result if hasattr(t, "dtype")]


def compare(op: str) -> int:
    """Compares all names and examples; gives how many PyTorch could compute."""
    count = 0
    for name in names_of(op):
        ours, theirs = find(fe, name), find(torch, name)
        if ours is None or theirs is None:
            continue
        for case in cases(op):
            for dtype in ("float32", "bfloat16"):
                try:
                    expected = dtypes(torch, theirs, case, dtype)
                except (RuntimeError, TypeError, ValueError, NotImplementedError):
                    continue  # other arguments than PyTorch's
                got = dtypes(fe, ours, case, dtype)
                allowed = [expected, DIFFERENT.get((op, dtype), "").split()]
                assert got in allowed, f"{name}({case.text}) of {dtype}"
                count += 1
    return count


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("policy", ["lower", "f32", "widest", "keep"])
def test_ops_with_a_policy(policy: str) -> None:
    ops = [op for op in TABLE if TABLE[op]["autocast"] == policy]
    counts = {op: compare(op) for op in sorted(ops)}
    # These have another signature in PyTorch, or no name there.
    unnamed = {
        "attention",
        "fractional_max_pool2d",
        "fractional_max_pool3d",
        "adaptive_max_pool3d",
        "max_pool3d",
        "max_pool3d_with_indices",
        "recurrence",
        "ctc_loss",
        "solve_matrices",
        "least_squares",
        "fft_c2c",
        "fft_r2c",
        "fft_c2r",
    }
    assert {op for op, count in counts.items() if not count} <= unnamed


@pytest.mark.filterwarnings("ignore")
def test_ops_without_a_policy() -> None:
    ops = [
        op
        for op in TABLE
        if TABLE[op]["autocast"] == "pass"
        and not TABLE[op]["random"]
        and op not in EXCLUDED
    ]
    assert sum(compare(op) for op in sorted(ops)) > 2000


X = np.linspace(-1, 1, 2 * 3 * 8).reshape(2, 3, 8)
VOLUME = np.linspace(-1, 1, 2 * 64).reshape(1, 2, 4, 4, 4)
# Functions and layers that choose among ops: an expression in the package `m`, its
# functional module `F`, a tensor `x` of shape (2, 3, 8) and `v` of (1, 2, 4, 4, 4).
EXPRESSIONS = """
    m.einsum("abc,dbc->ad", x, x)
    m.tensordot(x, x, [[2], [2]])
    m.linalg.multi_dot([x[0], x[0].T, x[0]])
    m.linalg.matrix_power(x[0] @ x[0].T, 3)
    x @ x.mT
    m.nn.MultiheadAttention(8, 2)(x.to(m.float32), x.to(m.float32), x.to(m.float32))[0]
    m.nn.TransformerEncoderLayer(8, 2, 16)(x)
    m.nn.Linear(8, 4)(x)
    m.nn.Conv1d(3, 4, 3)(x)
    m.nn.Conv1d(3, 4, 3, padding="same")(x)
    m.nn.BatchNorm1d(3)(x)
    m.nn.LayerNorm(8)(x)
    m.nn.GroupNorm(3, 3)(x)
    m.nn.InstanceNorm1d(3)(x)
    m.nn.PReLU()(x)
    m.nn.Bilinear(8, 8, 2)(x.to(m.float32), x.to(m.float32))
    F.max_pool3d(v, 2)
    F.adaptive_max_pool3d(v, 2)
    F.fractional_max_pool3d(v, 2, output_size=2)
    F.fractional_max_pool2d(v[0], 2, output_size=2)
    F.avg_pool3d(v, 2)
    F.max_unpool3d(*F.max_pool3d(v, 2, return_indices=True), 2)
    F.cross_entropy(x[0], m.tensor([1, 2, 3]))
    F.gaussian_nll_loss(x, x, x.abs())
    F.ctc_loss(x.log_softmax(-1), m.tensor([[1, 2]] * 3), m.tensor([2] * 3), \
m.tensor([1] * 3))
    F.interpolate(x, scale_factor=2)
    F.cosine_similarity(x, x)
    F.embedding_bag(m.tensor([[0, 1]]), x[0])
    m.nn.utils.parametrizations.weight_norm(m.nn.Linear(8, 4))(x)
    m.cat([x, x.to(m.float32)])
    m.stack([x, x.to(m.float32)])
    m.index_copy(x[0], 0, m.tensor([1]), x[0, :1].to(m.bfloat16))
    m.where(x > 0, x, x.to(m.float32))
    m.outer(x[0, 0], x[0, 0])
    m.kron(x[0], x[0])
    m.cdist(x, x.to(m.float32))
"""


def evaluate(m, expression: str, dtype: str) -> str:
    m.manual_seed(0)
    names = {"m": m, "F": m.nn.functional}
    for name, value in (("x", X), ("v", VOLUME)):
        names[name] = m.tensor(value).to(getattr(m, dtype))
    with m.autocast("cpu"):
        return str(eval(expression, names).dtype).rsplit(".", 1)[-1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("expression", EXPRESSIONS.strip().splitlines())
def test_expressions(expression: str, dtype: str) -> None:
    assert evaluate(fe, expression.strip(), dtype) == evaluate(
        torch, expression.strip(), dtype
    )
