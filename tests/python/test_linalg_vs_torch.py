"""Decompositions agree with PyTorch's: values, first derivatives and refusals.

A case is an expression in `m` (the package) and the arrays a, b. Expressions do not
depend on signs and phases of vectors, which a decomposition leaves open.
"""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

RNG = np.random.default_rng(0)


def f(*shape):
    return RNG.normal(size=shape)


def z(*shape):
    return f(*shape) + 1j * f(*shape)


def positive(a):
    return a @ np.conj(np.swapaxes(a, -1, -2)) + np.eye(a.shape[-1])


# Functions of square matrices, computed for real and complex ones and a batch.
SQUARE = """
    m.linalg.cholesky(a @ a.mH + m.eye(3))
    m.linalg.cholesky(a @ a.mH + m.eye(3), upper=True)
    m.cholesky_inverse(m.linalg.cholesky(a @ a.mH + m.eye(3)))
    m.linalg.lu_factor(a)[0]
    m.linalg.lu(a)[1]
    m.linalg.lu(a)[2]
    m.linalg.inv(a)
    m.linalg.det(a)
    m.linalg.slogdet(a)[1]
    m.linalg.solve(a, a.mH)
    m.linalg.solve(a, a.mH, left=False)
    m.linalg.solve_triangular(a, a.mH, upper=True)
    m.linalg.solve_triangular(a, a.mH, upper=False, left=False, unitriangular=True)
    m.linalg.eigvalsh(a + a.mH)
    m.linalg.eigh(a + a.mH)[1].abs()
    m.linalg.eigvals(a).abs().sort(-1)[0]
    m.linalg.eig(a)[1].abs().sum((-1, -2))
    (lambda w, v: v[..., :2] @ v[..., :2].mH)(*m.linalg.eigh(a + a.mH))
    (lambda w, v: v @ (w.exp().unsqueeze(-1) * v.mH))(*m.linalg.eigh(a + a.mH))
    (lambda w, v: v @ (w.exp().unsqueeze(-1) * m.linalg.inv(v)))(*m.linalg.eig(a))
    m.linalg.matrix_exp(a)
    m.linalg.cond(a.detach(), 1)
"""
# Functions of matrices that are tall, and of their adjoints, which are wide.
ANY = """
    m.linalg.svdvals(a)
    m.linalg.svd(a, full_matrices=False)[0].abs()
    m.linalg.svd(a, full_matrices=False)[2].abs()
    m.linalg.svd(a, full_matrices=False)[1]
    (lambda u, s, v: u @ v)(*m.linalg.svd(a, full_matrices=False))
    (lambda u, s, v: u @ (s.log1p().unsqueeze(-1) * v))(*m.linalg.svd(a, False))
    m.linalg.qr(a)[0].abs()
    m.linalg.qr(a)[1].abs()
    m.linalg.pinv(a)
    m.linalg.lu_factor(a)[0]
    m.linalg.cond(a)
    m.linalg.matrix_norm(a, 2)
    m.linalg.matrix_norm(a, -2, keepdim=True)
    m.linalg.matrix_norm(a, 'nuc')
    m.linalg.matrix_rank(a)
"""
# And some with arguments of their own.
OTHER = [
    ("m.linalg.lstsq(a, b)[0]", f(5, 3), f(5, 2)),
    *[
        (f"m.linalg.lstsq(a, b, driver={driver!r})[{i}]", a, b)
        for driver, results in [("gels", (0, 1)), ("gelsy", (0, 2)), ("gelsd", (0, 1))]
        for i in results
        for a, b in [
            (f(5, 3), f(5, 2)),
            (f(2, 3, 3), f(2, 3)),
            (z(2, 4, 3), z(2, 4, 1)),
            (z(3, 5), z(3, 2)),
        ]
    ],
    ("m.linalg.lstsq(a, b, driver='gelss')[3].detach()", f(5, 3), f(5, 2)),
    ("m.linalg.householder_product(a, b)", f(2, 4, 3), f(2, 3)),
    ("m.linalg.householder_product(a, b)", z(4, 3), z(2)),
    ("m.cholesky_solve(b, m.linalg.cholesky(a))", positive(f(3, 3)), f(3, 2)),
    ("m.linalg.solve(a, b)", f(2, 3, 3), f(2, 3)),
    ("m.linalg.solve(a, b)", f(2, 3, 3), f(3, 2)),
    ("m.linalg.lu_solve(*m.linalg.lu_factor(a), b)", z(3, 3), z(3, 2)),
    # PyTorch's derivative of this one is 0, which is wrong: see test_linalg.py.
    ("m.linalg.det(a.detach())", np.array([[1.0, 2.0], [2.0, 4.0]])),
    ("m.linalg.pinv(a, rtol=0.5)", np.diag([4.0, 3.0, 1.0])),
    ("m.linalg.matrix_rank(a)", np.array([[1.0, 2.0], [2.0, 4.0]])),
    ("m.linalg.matrix_rank(a, hermitian=True)", np.diag([1.0, 0.0])),
    ("m.linalg.cond(a.detach(), 1)", np.zeros((2, 2))),
    ("m.linalg.inv_ex(a)[1]", np.zeros((2, 2))),
    ("m.linalg.cholesky_ex(a)[1]", np.diag([1.0, -1.0])),
    ("m.linalg.svdvals(a)", np.zeros((0, 3))),
    ("m.linalg.inv(a)", np.zeros((2, 0, 0))),
    ("m.linalg.det(a)", np.zeros((0, 0))),
]
CASES = [
    *[
        (line.strip(), a)
        for line in SQUARE.strip().splitlines()
        for a in (f(3, 3), z(3, 3), f(2, 3, 3))
    ],
    *[
        (line.strip(), a)
        for line in ANY.strip().splitlines()
        for a in (f(5, 3), z(3, 5), f(2, 3, 4))
    ],
    *OTHER,
]


def computed(m, expression, *arrays):
    """The value, and the derivatives of a sum of it with fixed weights."""
    tensors = [m.tensor(a) for a in arrays]
    for t in tensors:
        t.requires_grad_(True)
    names = {"m": m, **dict(zip("ab", tensors, strict=False))}
    value = eval(expression, names)
    results = [value]
    if value.requires_grad and value.numel():
        weights = np.linspace(0.5, 1.5, value.numel()).reshape(tuple(value.shape))
        # Of a complex value both parts count.
        total = (value * m.tensor(weights)).sum()
        if value.is_complex():
            total = total.real + 2 * total.imag
        total.backward()
        results += [t.grad for t in tensors]
    # The product is none of PyTorch's lazy conjugates, which NumPy cannot take.
    return [None if r is None else (1 * r.detach()).numpy() for r in results]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=[f"{n}" for n in range(len(CASES))])
def test_decompositions(case) -> None:
    expression, *arrays = case
    mine = computed(fe, expression, *arrays)
    theirs = computed(torch, expression, *arrays)
    assert len(mine) == len(theirs), expression
    for a, b in zip(mine, theirs, strict=True):
        if a is None or b is None:
            assert a is b, expression
            continue
        assert a.dtype == b.dtype and a.shape == b.shape, expression
        np.testing.assert_allclose(a, b, 1e-8, 1e-9, err_msg=expression)


SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize(
    ("expression", "a"),
    [
        ("m.linalg.inv(a)", SINGULAR),
        ("m.linalg.solve(a, a)", SINGULAR),
        ("m.linalg.cholesky(a)", -SINGULAR),
        ("m.linalg.cholesky_ex(a, check_errors=True)", -SINGULAR),
        ("m.linalg.inv(a)", f(2, 3)),
        ("m.linalg.det(a)", f(2, 3)),
        ("m.linalg.cholesky(a)", f(3)),
        ("m.linalg.solve(a, a[:2])", f(3, 3)),
        ("m.linalg.eigh(a)", f(2, 3)),
        ("m.linalg.eigh(a, 'X')", f(2, 2)),
        ("m.linalg.svd(a)", f(3)),
        ("m.linalg.svdvals(a)", np.array([[1.0, np.nan], [0.0, 1.0]])),
        ("m.linalg.qr(a, 'other')", f(2, 2)),
        ("m.linalg.matrix_exp(a)", f(2, 3)),
        ("m.linalg.householder_product(a, a[0])", f(2, 3)),
        ("m.linalg.matrix_norm(a, 3)", f(2, 2)),
        ("m.linalg.lstsq(a, a, driver='x')", f(2, 2)),
        ("m.linalg.inv(a)", np.ones((2, 2), np.int64)),
    ],
)
def test_refusals(expression: str, a: np.ndarray) -> None:
    for m in (fe, torch):
        with pytest.raises((RuntimeError, ValueError, TypeError, IndexError)):
            eval(expression, {"m": m, "a": m.tensor(a)})
