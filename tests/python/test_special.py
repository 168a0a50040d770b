"""Special functions where a rounded argument would change much: in float64."""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe
from special_references import bessel_i, digamma, erfinv, log_ndtr, zeta


def close(mine: fe.Tensor, want: np.ndarray, tol: float = 1e-12) -> None:
    np.testing.assert_allclose(mine.numpy(), want, rtol=tol, atol=tol)


def test_gamma_below_zero() -> None:
    x = -np.linspace(0.01, 60.37, 211)
    close(fe.digamma(fe.tensor(x)), digamma(x), 1e-11)
    for s in (2.0, 3.0, 6.0):
        close(fe.special.zeta(s, fe.tensor(x)), zeta(s, x), 1e-9)
    far = fe.special.zeta(2.0, fe.tensor([-1e9 - 0.5], dtype=fe.float64))
    assert abs(far.item() - np.pi**2) < 1e-6
    poles = fe.digamma(fe.tensor([0.0, -0.0, -1.0, -7.0]))
    assert poles.tolist()[:2] == [-np.inf, np.inf]
    assert poles.isnan().tolist() == [False, False, True, True]


def test_inverse_of_erf_near_one() -> None:
    x = 1 - 10.0 ** -np.arange(1, 16)
    close(fe.erfinv(fe.tensor(x)), erfinv(x), 1e-12)
    close(fe.erfinv(fe.tensor(-x)), erfinv(-x), 1e-12)
    ends = fe.erfinv(fe.tensor([1.0, -1.0, 2.0, 0.0])).tolist()
    assert ends[:2] == [np.inf, -np.inf] and np.isnan(ends[2]) and ends[3] == 0


def test_far_tails() -> None:
    x = np.array([-1e4, -100.0, -15.0, -14.0, -5.5, -1.0, 0.0, 3.0])
    close(fe.special.log_ndtr(fe.tensor(x)), log_ndtr(x), 1e-13)
    y = np.array([24.9, 25.1, 60.0, -300.0])
    close(fe.i0(fe.tensor(y)) / bessel_i(0, y), np.ones(4), 1e-12)
    close(fe.special.i1(fe.tensor(y)) / bessel_i(1, y), np.ones(4), 1e-12)
    assert fe.i0(fe.tensor(1000.0)).item() == np.inf
    assert fe.special.i0e(fe.tensor(np.inf)).item() == 0


def test_nan_among_ranks() -> None:
    x = fe.tensor([[1.0, np.nan, 4.0], [np.nan] * 3])
    assert fe.quantile(x, 0.5, 1).isnan().all().item()
    assert fe.nanquantile(x, 0.5, 1).tolist()[0] == 2.5
    values, indices = fe.nanmedian(x, 1)
    assert values[0].item() == 1 and indices[0].item() == 0
    assert values[1].isnan().item()


MESSAGES = [
    (lambda: fe.quantile(fe.ones((3,)), 1.5), "q must lie in 0..1"),
    (lambda: fe.quantile(fe.arange(3), 0.5), "floating-point"),
    (lambda: fe.quantile(fe.zeros((0,)), 0.5), "no element"),
    (lambda: fe.bincount(fe.tensor([1, -1])), "not negative"),
    (lambda: fe.bincount(fe.ones((2, 2), fe.int64)), "vector of integers"),
    (lambda: fe.histc(fe.ones((2,)), 0), "bins must be positive"),
    (lambda: fe.cdist(fe.ones((2, 3)), fe.ones((2, 4))), "(..., P, M)"),
    (lambda: fe.cdist(fe.ones((2, 3)), fe.ones((2, 3)), -1.0), "p must be 0 or more"),
    (lambda: fe.trapezoid(fe.ones((3,)), fe.ones((2,))), "3 places"),
    (lambda: fe.linalg.cross(fe.ones((2,)), fe.ones((2,))), "three numbers"),
    (lambda: fe.linalg.matrix_power(fe.ones((2, 3)), 2), "square"),
    (lambda: fe.linalg.multi_dot([fe.ones((2, 3)), fe.ones((2, 3))]), "tensors[0]"),
    (lambda: fe.linalg.norm(fe.ones((2, 2, 2)), 1), "name the dimensions"),
    (lambda: fe.linalg.matrix_norm(fe.ones((2,))), "must be a matrix"),
    (lambda: fe.select_scatter(fe.ones((2, 2)), fe.ones((3,)), 0, 0), "(2), got (3)"),
    (lambda: fe.ones((2, 3)).sum_to_size(2), "does not broadcast"),
    (lambda: fe.gradient(fe.ones((1,))), "too few places"),
    (lambda: fe.histogram(fe.ones((2,)), 0), "bins must be positive"),
    (lambda: fe.combinations(fe.ones((2, 2))), "must be a vector"),
    (lambda: fe.block_diag(fe.ones((1, 1, 1))), "at most 2 dimensions"),
    (lambda: fe.signal.windows.hann(-1), "must be 0 or more"),
    (lambda: fe.ones((2,)).H, "matrices"),
]


@pytest.mark.parametrize(("call", "text"), MESSAGES)
def test_message(call, text: str) -> None:
    with pytest.raises(fe.FerruleError) as error:
        call()
    assert text in str(error.value) or text.replace("(2)", "(2,)").replace(
        "(3)", "(3,)"
    ) in str(error.value)
