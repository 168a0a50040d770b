"""The functions of `ferrule.linalg` that are written in Python, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe
from ferrule import linalg

RNG = np.random.default_rng(0)


def f(*shape):
    return RNG.normal(size=shape)


SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


def same(got: fe.Tensor, expected) -> None:
    np.testing.assert_allclose(got.detach().numpy(), expected, 1e-9, 1e-12)


@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
@pytest.mark.parametrize("keepdim", [False, True])
def test_matrix_norm(order, keepdim) -> None:
    a = f(2, 3, 4)
    for dim in [(-2, -1), (0, 2), (2, 1)]:
        expected = np.linalg.norm(a, order, dim, keepdim)
        same(linalg.matrix_norm(fe.tensor(a), order, dim, keepdim), expected)
    same(linalg.norm(fe.tensor(a[0]), order), np.linalg.norm(a[0], order))


@pytest.mark.parametrize("p", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_cond(p) -> None:
    a = f(2, 3, 3)
    same(linalg.cond(fe.tensor(a), p), np.linalg.cond(a, p))


def test_cond_of_a_singular_matrix() -> None:
    assert linalg.cond(fe.tensor(SINGULAR), 1).item() == np.inf
    assert linalg.cond(fe.zeros(2, 2), "fro").item() == np.inf


def test_matrix_rank() -> None:
    a = f(2, 4, 2) @ f(2, 2, 3)
    assert linalg.matrix_rank(fe.tensor(a)).tolist() == [2, 2]
    d = fe.tensor(np.diag([4.0, 2.0, 1.0]))
    assert linalg.matrix_rank(d, atol=1.5).item() == 2
    assert linalg.matrix_rank(d, rtol=0.6).item() == 1
    assert linalg.matrix_rank(d, 3.0).item() == 1
    assert linalg.matrix_rank(-d, hermitian=True).item() == 3


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3)])
@pytest.mark.parametrize("driver", [None, "gels", "gelsy", "gelsd", "gelss"])
def test_lstsq(shape, driver) -> None:
    a, b = f(*shape), f(shape[0], 2)
    X, residuals, rank, values = linalg.lstsq(fe.tensor(a), fe.tensor(b), driver=driver)
    expected = np.linalg.lstsq(a, b, None)
    same(X, expected[0])
    same(linalg.lstsq(fe.tensor(a), fe.tensor(b[:, 0]))[0], expected[0][:, 0])
    if driver in ("gels", "gelsd", "gelss"):
        same(residuals, expected[1])
    if driver != "gels":
        assert rank.item() == expected[2]
    if driver in ("gelsd", "gelss"):
        same(values, expected[3])


def test_lstsq_of_a_singular_matrix_is_the_shortest() -> None:
    b = f(2, 1)
    X, _, rank, _ = linalg.lstsq(fe.tensor(SINGULAR), fe.tensor(b))
    same(X, np.linalg.lstsq(SINGULAR, b, None)[0])
    assert rank.item() == 1


def test_lstsq_gives_what_the_driver_does() -> None:
    a, b = fe.tensor(f(4, 2) + 0j), fe.tensor(f(4, 3) + 0j)
    shapes = {
        "gels": ((3,), (0,), (0,)),
        "gelsy": ((0,), (), (0,)),
        "gelsd": ((3,), (), (2,)),
    }
    for driver, wanted in shapes.items():
        solution, *rest = linalg.lstsq(a, b, driver=driver)
        assert solution.dtype == fe.complex128
        assert tuple(r.shape for r in rest) == wanted
        assert [r.dtype for r in rest] == [fe.float64, fe.int64, fe.float64]
    for shape in [(0, 2), (2, 0)]:
        rows = fe.ones(shape[0], 3)
        for driver in shapes:
            X, _, rank, _ = linalg.lstsq(fe.ones(shape), rows, driver=driver)
            assert X.shape == (shape[1], 3) and not X.any()
            assert driver == "gels" or rank.item() == 0


def test_lstsq_broadcasts_batches() -> None:
    a, b = f(2, 1, 5, 3), f(4, 5, 2)
    X, _, rank, _ = linalg.lstsq(fe.tensor(a), fe.tensor(b))
    same(X, np.linalg.pinv(a) @ b)
    assert rank.tolist() == [[3] * 4] * 2
    same(linalg.lstsq(fe.tensor(a), fe.tensor(b[0, :, 0]))[0][1, 0], X[1, 0, :, 0])


# Reductions work on blocks of 32 columns, and QR steps on 32 reflectors at once.
SIZES = (31, 33, 66, 131)


def complex_or_real(kind, *shape):
    return f(*shape) + 1j * f(*shape) if kind == "complex" else f(*shape)


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd"])
def test_lstsq_of_blocks(kind, driver) -> None:
    for m in SIZES:
        for n in SIZES:
            a, b = complex_or_real(kind, m, n), complex_or_real(kind, m, 3)
            X = linalg.lstsq(fe.tensor(a), fe.tensor(b), driver=driver)[0]
            wanted = np.linalg.lstsq(a, b, None)[0]
            np.testing.assert_allclose(X.numpy(), wanted, 0, 1e-10 * abs(wanted).max())


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("driver", ["gelsy", "gelsd"])
@pytest.mark.parametrize("rank", [0, 1, 31, 32, 33, 50])
def test_lstsq_finds_the_rank(kind, driver, rank) -> None:
    for m, n in [(60, 70), (70, 60), (64, 64)]:
        a = complex_or_real(kind, m, rank) @ complex_or_real(kind, rank, n)
        b = complex_or_real(kind, m, 2)
        X, _, found, _ = linalg.lstsq(fe.tensor(a), fe.tensor(b), driver=driver)
        assert found.item() == rank
        wanted = np.linalg.lstsq(a, b, None)[0]
        np.testing.assert_allclose(X.numpy(), wanted, 0, 1e-10 * (abs(wanted).max()))


def test_lstsq_sees_a_rank_that_no_diagonal_of_r_shows() -> None:
    # Kahan's matrix: no column of it is exchanged, and its last diagonal element is
    # far above the smallest singular value, by which the rank is told.
    n, angle = 60, 1.2
    a = np.triu(np.full((n, n), -np.cos(angle)), 1) + np.eye(n)
    a = np.sin(angle) ** np.arange(n)[:, None] * a
    values = np.linalg.svd(a, compute_uv=False)
    assert abs(a[-1, -1]) > 1000 * values[-1]
    least = values[-1] / values[0]
    for rcond, rank in [(30 * least, n - 1), (least / 3, n)]:
        found = linalg.lstsq(fe.tensor(a), fe.ones(n, 1, dtype=fe.float64), rcond)
        assert found.rank.item() == rank


def test_lstsq_of_columns_of_all_sizes_and_near_to_each_other() -> None:
    # What is left of a column's norm is rounding, if it is a difference of squares.
    a = f(80, 40)
    a[:, 20:] = a[:, :20] + 1e-9 * a[:, 20:]
    for scale in (1.0, 1e150, 1e-150):
        b = f(80, 2)
        X, _, rank, _ = linalg.lstsq(fe.tensor(a * scale), fe.tensor(b))
        assert rank.item() == 40
        wanted = np.linalg.lstsq(a, b, None)[0] / scale
        np.testing.assert_allclose(X.numpy(), wanted, 0, 1e-5 * abs(wanted).max())


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3)])
def test_gradients_of_lstsq_are_those_of_the_pseudoinverse(shape) -> None:
    b = fe.tensor(f(shape[0], 2))
    full, deficient = f(*shape), f(shape[0], 2) @ f(2, shape[1])
    for array, driver in [(full, "gels"), (full, "gelsd"), (deficient, "gelsy")]:
        gradients = []
        for solve in (
            lambda a, b, driver=driver: linalg.lstsq(a, b, driver=driver).solution,
            lambda a, b: linalg.pinv(a) @ b,
        ):
            leaves = [fe.tensor(array), b.clone()]
            for leaf in leaves:
                leaf.requires_grad_(True)
            solve(*leaves).square().sum().backward()
            gradients.append([leaf.grad for leaf in leaves])
        for mine, wanted in zip(*gradients, strict=True):
            np.testing.assert_allclose(mine.numpy(), wanted.numpy(), 1e-8, 1e-8)


def test_gradient_of_the_singular_values_of_lstsq() -> None:
    a, w = fe.tensor(f(4, 3)), fe.tensor([1.0, 2.0, 3.0], dtype=fe.float64)
    gradients = []
    for values in (
        lambda a: linalg.lstsq(a, a, driver="gelss").singular_values,
        linalg.svdvals,
    ):
        leaf = a.clone().requires_grad_(True)
        (values(leaf) * w).sum().backward()
        gradients.append(leaf.grad.numpy())
    np.testing.assert_allclose(*gradients, 0, 1e-12)


def unitary(q, atol=1e-13) -> None:
    np.testing.assert_allclose(q.conj().T @ q, np.eye(q.shape[1]), 0, atol)


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("n", SIZES)
def test_eigh_of_blocks(kind, n) -> None:
    a = complex_or_real(kind, n, n)
    a = a + a.conj().T
    values, vectors = (t.numpy() for t in linalg.eigh(fe.tensor(a)))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a), 0, 1e-12)
    np.testing.assert_allclose(a @ vectors, vectors * values, 0, 1e-12)
    unitary(vectors)
    same(linalg.eigvalsh(fe.tensor(a)), values)


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("n", SIZES)
def test_eig_of_blocks(kind, n) -> None:
    a = complex_or_real(kind, n, n)
    values, vectors = (t.numpy() for t in linalg.eig(fe.tensor(a)))
    np.testing.assert_allclose(a @ vectors, vectors * values, 0, 1e-11)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0), 1, 1e-12)
    alone = linalg.eigvals(fe.tensor(a)).numpy()
    # Each of either is one of the other: their order may differ by roundings.
    distance = abs(alone[:, None] - values)
    assert distance.min(0).max() < 1e-10 and distance.min(1).max() < 1e-10


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("extra", [0, 5])
@pytest.mark.parametrize("n", SIZES)
def test_svd_of_blocks(kind, extra, n) -> None:
    a = complex_or_real(kind, n + extra, n)
    u, values, vh = (t.numpy() for t in linalg.svd(fe.tensor(a), full_matrices=False))
    np.testing.assert_allclose(values, np.linalg.svd(a, compute_uv=False), 0, 1e-12)
    np.testing.assert_allclose(u * values @ vh, a, 0, 1e-12)
    unitary(u)
    unitary(vh.conj().T)
    same(linalg.svdvals(fe.tensor(a)), values)


@pytest.mark.parametrize("name", ["eigh", "eig", "svd"])
def test_threads_change_no_bit_of_blocks(name) -> None:
    a = fe.tensor(f(150, 150))
    before = fe.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 4, 8):
            fe.set_num_threads(threads)
            results.append([t.numpy() for t in getattr(linalg, name)(a)])
    finally:
        fe.set_num_threads(before)
    for other in results[1:]:
        for x, y in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(x, y)


def test_gradient_of_det_of_a_singular_matrix() -> None:
    a = fe.tensor(SINGULAR, requires_grad=True)
    linalg.det(a).backward()
    same(a.grad, [[4.0, -2.0], [-2.0, 1.0]])  # the cofactors


def test_refusals() -> None:
    a = fe.tensor(f(2, 3))
    for call, text in [
        (lambda: linalg.matrix_norm(a, 3), "ord must be"),
        (lambda: linalg.matrix_norm(a, "fro", (0,)), "two dimensions"),
        (lambda: linalg.matrix_norm(a[0]), "must be a matrix"),
        (lambda: linalg.cond(a, 1), "must be square"),
        (lambda: linalg.lstsq(a, a, driver="x"), "driver must be"),
        (
            lambda: linalg.lstsq(
                fe.tensor(np.diag([1.0, 0.0])),
                fe.eye(2, dtype=fe.float64),
                driver="gels",
            ),
            "full rank, .* matrix 0 row or column 1 ",
        ),
        (lambda: linalg.inv(fe.tensor(SINGULAR)), "singular"),
    ]:
        with pytest.raises(fe.FerruleError, match=text):
            call()
