"""Functions of `ferrule`, `linalg`, `special` and `signal` agree with PyTorch:
values, dtypes and first derivatives. A case is data: an expression in `m` (the
package) and the arrays a, b, c.
"""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

RNG = np.random.default_rng(0)


def f(*shape):
    return RNG.normal(size=shape)


def p(*shape):
    return RNG.uniform(0.5, 2.5, shape)


def i(high, *shape):
    return RNG.integers(0, high, shape)


def z(*shape):
    return f(*shape) + 1j * f(*shape)


NAN = np.array([[1.0, np.nan, 3.0, 2.0], [np.nan] * 4, [4.0, 2.0, 7.0, 7.0]])

CASES = [
    ("m.linalg.norm(a)", f(2, 3, 4)),
    ("m.linalg.norm(a, 1)", f(3, 4)),
    ("m.linalg.norm(a, -1)", f(3, 4)),
    ("m.linalg.norm(a, float('inf'), (0, 2))", f(2, 3, 4)),
    ("m.linalg.norm(a, -float('inf'), keepdim=True)", f(3, 4)),
    ("m.linalg.norm(a, 'fro', (2, 0), True)", f(2, 3, 4)),
    ("m.linalg.norm(a, 3, 1)", f(2, 3, 4)),
    ("m.linalg.norm(a, 0.5, 0)", f(4)),
    ("m.linalg.norm(a)", z(3, 4)),
    ("m.linalg.norm(a, dtype=m.float64)", f(3).astype(np.float32)),
    ("m.linalg.vector_norm(a, 2.5, (0, 1))", f(2, 3, 4)),
    ("m.linalg.vector_norm(a, 0)", np.array([0.0, 2.0, 3.0])),
    ("m.linalg.vector_norm(a)", np.zeros(3)),
    ("m.linalg.matrix_norm(a)", f(2, 3, 4)),
    ("m.linalg.matrix_norm(a, 1, (0, 1))", f(2, 3, 4)),
    ("m.linalg.cross(a, b)", f(2, 3), f(1, 3)),
    ("m.linalg.diagonal(a, offset=1)", f(2, 3, 4)),
    ("m.linalg.vecdot(a, b)", f(2, 3), f(3)),
    ("m.linalg.vecdot(a, b, dim=0)", z(3, 2), z(3, 2)),
    ("m.linalg.multi_dot([a, b, c])", f(2, 5), f(5, 3), f(3, 4)),
    ("m.linalg.multi_dot([a, b, c])", f(5), f(5, 3), f(3)),
    ("m.linalg.matrix_power(a, 5)", f(2, 3, 3)),
    ("m.matrix_power(a, 0)", f(3, 3)),
    ("m.linalg.vander(a, N=4)", f(2, 3)),
    ("m.linalg.vander(a)", i(4, 3)),
    ("m.addbmm(a, b, c, beta=0.5, alpha=2)", f(2, 4), f(3, 2, 5), f(3, 5, 4)),
    ("m.addr(a, b, c, beta=0.5, alpha=2)", f(2, 3), f(2), f(3)),
    ("m.cdist(a, b)", f(2, 5, 3), f(2, 4, 3)),
    ("m.cdist(a, b)", f(30, 3), f(4, 3)),
    ("m.cdist(a, b, 1.0)", f(5, 3), f(4, 3)),
    ("m.cdist(a, b, 3.0)", f(5, 3), f(4, 3)),
    ("m.cdist(a, b, float('inf'))", f(5, 3), f(4, 3)),
    ("m.cdist(a, a)", f(3, 2)),
    ("m.dist(a, b, 3)", f(2, 3), f(2, 3)),
    ("m.renorm(a, 2, 1, 1.0)", f(3, 4)),
    ("m.cov(a)", f(3, 5)),
    ("m.cov(a, correction=0, fweights=b, aweights=c)", f(3, 5), i(4, 5) + 1, p(5)),
    ("m.cov(a)", z(2, 4)),
    ("m.corrcoef(a)", f(3, 5)),
    ("m.corrcoef(a)", f(5)),
    ("m.trapezoid(a)", f(2, 5)),
    ("m.trapz(a, b)", f(2, 5), f(5)),
    ("m.trapezoid(a, dx=0.3, dim=0)", f(4, 2)),
    ("m.cumulative_trapezoid(a, b, dim=1)", f(2, 5), f(2, 5)),
    ("m.gradient(a)[1]", f(4, 5)),
    ("m.gradient(a, spacing=0.5, dim=0, edge_order=2)[0]", f(4, 5)),
    ("m.gradient(a, spacing=[b])[0]", f(5), np.cumsum(p(5))),
    ("m.gradient(a, spacing=[b], edge_order=2)[0]", f(5), np.cumsum(p(5))),
    ("m.lgamma(a)", f(9)),
    ("m.digamma(a)", f(9)),
    ("m.polygamma(1, a)", f(9)),
    ("a.polygamma(2)", p(9)),
    ("m.mvlgamma(a, 3)", p(4) + 2),
    ("m.erfinv(a)", RNG.uniform(-1, 1, 9)),
    ("m.i0(a)", 5 * f(9)),
    ("m.special.i0e(a)", 5 * f(9)),
    ("m.special.i1(a)", 5 * f(9)),
    ("m.special.i1e(a)", 5 * f(9)),
    ("m.special.entr(a)", p(9)),
    ("m.special.xlog1py(a, b)", f(9), p(9)),
    ("m.special.ndtr(a)", f(9)),
    ("m.special.log_ndtr(a)", 4 * f(9)),
    ("m.special.zeta(2.5, a)", p(9)),
    ("m.special.gammaln(a)", p(9)),
    ("m.special.expit(a)", f(9)),
    ("m.special.multigammaln(a, 2)", p(4) + 2),
    ("m.frexp(a)[0]", f(9)),
    ("m.frexp(a)[1]", f(9)),
    ("m.isreal(a)", z(3)),
    ("m.fill(a, 2.5)", f(2, 3)),
    ("m.nanmedian(a)", NAN),
    ("m.nanmedian(a, 1, True)[0]", NAN[::2]),
    ("m.mode(a, 1)[0]", i(4, 3, 9)),
    ("m.mode(a)[1]", np.array([3, 1, 2, 1, 2])),
    ("m.mode(a, 0, True)[0]", f(4, 3)),
    ("m.quantile(a, 0.3, dim=1)", f(3, 5)),
    ("m.quantile(a, b, dim=0, keepdim=True)", f(3, 5), np.array([0.1, 0.5, 0.9])),
    ("m.quantile(a, b)", f(3, 5), np.array([0.0, 1.0])),
    ("m.quantile(a, 0.4, interpolation='midpoint')", f(6)),
    ("m.quantile(a, 0.4, interpolation='nearest')", f(6)),
    ("m.quantile(a, 0.5, dim=1)", NAN),
    ("m.nanquantile(a, 0.5, dim=1, keepdim=True)", NAN),
    ("m.nanquantile(a, 0.4)", NAN),
    ("m.bincount(a)", i(5, 9)),
    ("m.bincount(a, b.detach(), 8)", i(5, 9), f(9)),
    ("m.histc(a, 6, -1, 1)", f(30)),
    ("m.histc(a, 5)", f(30)),
    ("m.histogram(a.detach(), 6)[0]", f(30)),
    ("m.histogram(a.detach(), 6)[1]", f(30)),
    ("m.histogram(a.detach(), 6, range=(-1., 1.), density=True)[0]", f(30)),
    (
        "m.histogram(a.detach(), b.detach(), weight=c.detach())[0]",
        f(9),
        np.array([-1.0, 0.0, 0.5]),
        p(9),
    ),
    ("m.diagonal_scatter(a, b, 1)", f(3, 3), f(2)),
    ("m.select_scatter(a, b, 1, -1)", f(2, 3), f(2)),
    ("m.slice_scatter(a, b, 1, 1, None, 2)", f(2, 5), f(2, 2)),
    # PyTorch gives the input the gradient of what was replaced.
    ("m.as_strided_scatter(a.detach(), b, (2, 2), (4, 1), 1)", f(3, 4), f(2, 2)),
    ("m.index_reduce(a, 0, b, c, 'amax')", f(3, 2), i(3, 4), f(4, 2)),
    ("m.index_reduce(a, 1, b, c, 'mean')", f(2, 3), i(3, 4), f(2, 4)),
    ("m.index_reduce(a, 0, b, c, 'prod')", p(3, 2), i(3, 4), p(4, 2)),
    (
        "m.index_reduce(a, 0, b, c, 'amin', include_self=False)",
        *(f(3, 2), i(3, 4), f(4, 2)),
    ),
    ("a.sum_to_size(3, 1)", f(2, 3, 4)),
    ("m.combinations(a, 3)", f(5)),
    ("m.combinations(a, with_replacement=True)", i(9, 4)),
    ("m.block_diag(a, b, c)", f(2, 3), f(2), f(1, 1)),
    ("m.unravel_index(a, (2, 3, 4))[1]", i(24, 5)),
    ("a.H", z(2, 3)),
    ("a.mH", z(2, 3, 4)),
    ("a.new_zeros(2, 3)", f(2)),
    ("a.new_ones((2,), dtype=m.int32)", f(2)),
    ("a.new_full((2, 3), 7)", i(3, 2)),
    ("a.detach().clone().resize_(2, 2)", f(3, 2)),
    ("a.detach().clone().resize_as_(b)", f(3, 2), f(2, 2)),
    *(
        (f"m.signal.windows.{name}(9, sym={sym}, dtype=m.float64)",)
        for name in (
            *("hann", "hamming", "blackman", "bartlett", "cosine", "gaussian"),
            *("exponential", "kaiser", "nuttall", "general_hamming"),
        )
        for sym in (True, False)
    ),
    ("m.signal.windows.gaussian(8, std=2.5)",),
    ("m.signal.windows.general_cosine(8, a=[0.4, 0.4, 0.2])",),
    ("m.hann_window(9)",),
    ("m.hamming_window(9, False)",),
    ("m.blackman_window(8)",),
    ("m.bartlett_window(8)",),
    ("m.kaiser_window(8, True, 7.0)",),
]


def tensors(package, arrays):
    return [
        package.tensor(a, requires_grad=a.dtype.kind in "fc")
        if package is fe
        else torch.tensor(a, requires_grad=a.dtype.kind in "fc")
        for a in arrays
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_function(case):
    text, *arrays = case
    results, given = [], []
    for package in (fe, torch):
        leaves = tensors(package, arrays)
        names = dict(zip("abc", leaves, strict=False))
        given.append(leaves)
        results.append(eval(text, {"m": package, **names}))
    out, want = results
    assert out.shape == tuple(want.shape)
    assert str(out.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]
    # PyTorch sums six terms of the series of the second derivative.
    loose = "polygamma" in text
    tol = 1e-6 if want.dtype == torch.float32 else 1e-8 if loose else 1e-10
    np.testing.assert_allclose(
        out.detach().numpy(),
        want.detach().resolve_conj().numpy(),
        rtol=tol,
        atol=tol,
    )
    if not want.requires_grad or not out.requires_grad:
        return
    weight = np.random.default_rng(1).normal(size=want.shape)
    scaled = (out * fe.tensor(weight)).sum(), (want * torch.tensor(weight)).sum()
    mine = [t for t in given[0] if t.requires_grad]
    theirs = [t for t in given[1] if t.requires_grad]
    parts = [s if not s.is_complex() else s.real + s.imag for s in scaled]
    got = fe.autograd.grad(parts[0], mine, allow_unused=True)
    wanted = torch.autograd.grad(parts[1], theirs, allow_unused=True)
    for g, w in zip(got, wanted, strict=True):
        if w is None or g is None:
            assert w is None or not w.abs().max() > 0
            continue
        np.testing.assert_allclose(
            g.numpy(), w.resolve_conj().numpy(), rtol=1e-8, atol=1e-8
        )


def test_results_that_grow_keep_their_elements():
    x = fe.arange(4)
    assert x.resize_(6)[:4].tolist() == [0, 1, 2, 3]
    with pytest.raises(fe.AutogradError, match="resize_"):
        fe.ones((2,), requires_grad=True).resize_(1)


def test_special_functions_in_float32():
    """No worse than PyTorch's, against float64."""
    x = np.linspace(-0.999, 0.999, 4001)
    wide = {"erfinv": x, "lgamma": 20 * x, "digamma": 20 * x, "i0": 20 * x}
    for name, values in wide.items():
        single = values.astype(np.float32)
        exact = getattr(torch, name)(torch.tensor(single.astype(np.float64))).numpy()
        mine = getattr(fe, name)(fe.tensor(single)).numpy()
        theirs = getattr(torch, name)(torch.tensor(single)).numpy()
        known = np.isfinite(exact)
        error = [
            (np.abs(y - exact) / np.maximum(np.abs(exact), 1e-3))[known].max()
            for y in (mine, theirs)
        ]
        assert error[0] <= error[1], name
