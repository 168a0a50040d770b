"""Decompositions of matrices in NumPy, for the references of ops."""

from __future__ import annotations

import numpy as np


def over_batch(function, *arrays: np.ndarray, core: tuple[int, ...]):
    """Calls the function for every element of a batch; `core`: how many of the
    last dimensions of each array belong to an element.
    """
    batch = np.broadcast_shapes(
        *(a.shape[: a.ndim - n] for a, n in zip(arrays, core, strict=True))
    )
    wide = [
        np.broadcast_to(a, batch + a.shape[a.ndim - n :])
        for a, n in zip(arrays, core, strict=True)
    ]
    results = [function(*(a[at] for a in wide)) for at in np.ndindex(*batch)]
    return tuple(
        np.array(parts).reshape(batch + np.shape(parts[0]))
        for parts in zip(*results, strict=True)
    )


def lu_factor(A: np.ndarray, pivot: bool = True):
    """Gaussian elimination, column by column."""

    def one(a):
        a = a.copy()
        m, n = a.shape
        pivots = []
        for j in range(min(m, n)):
            size = abs(a[j:, j].real) + abs(a[j:, j].imag)
            p = j + int(np.argmax(size)) if pivot else j
            pivots.append(p + 1)
            a[[j, p]] = a[[p, j]]
            a[j + 1 :, j] /= a[j, j]
            a[j + 1 :, j + 1 :] -= np.outer(a[j + 1 :, j], a[j, j + 1 :])
        return a, np.array(pivots, "int32"), np.int32(0)

    return over_batch(one, A, core=(2,))


def lu_unpack(LU: np.ndarray, pivots: np.ndarray, permute: bool = True):
    def one(lu, exchanged):
        m, n = lu.shape
        k = min(m, n)
        order = np.arange(m)
        for i, p in enumerate(exchanged):
            order[[i, p - 1]] = order[[p - 1, i]]
        permutation = np.eye(m)[:, order]
        lower = np.tril(lu[:, :k], -1) + np.eye(m, k)
        return permutation if permute else np.zeros(0), lower, np.triu(lu[:k])

    P, L, U = over_batch(one, LU, pivots, core=(2, 1))
    return P if permute else np.zeros(0), L, U


def lu_solve(LU, pivots, B, left: bool, adjoint: bool = False) -> np.ndarray:
    P, L, U = lu_unpack(LU, pivots)
    A = P @ L @ U
    A = np.conj(np.swapaxes(A, -1, -2)) if adjoint else A
    if left:
        return np.linalg.solve(A, B)
    turned = np.linalg.solve(np.swapaxes(A, -1, -2), np.swapaxes(B, -1, -2))
    return np.swapaxes(turned, -1, -2)


def adjoint(a: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(a, -1, -2))


def qr(A: np.ndarray, mode: str):
    if mode == "r":
        return np.zeros(0), np.linalg.qr(A, mode)
    return tuple(np.linalg.qr(A, mode))


def least_squares(A: np.ndarray, B: np.ndarray, driver: str = "gelsy"):
    values = np.linalg.svd(A, compute_uv=False)
    shown = values if driver in ("gelsd", "gelss") else values[..., :0]
    return np.linalg.pinv(A) @ B, np.linalg.matrix_rank(A), shown


def phases(wanted: np.ndarray, got: np.ndarray) -> np.ndarray:
    """What the columns of one matrix must be multiplied with to be another's."""
    inner = (np.conj(wanted) * got).sum(-2, keepdims=True)
    return inner / np.abs(inner)


def eigh(got: list[np.ndarray], A: np.ndarray):
    """Eigenvectors with the signs of those that are given."""
    values, vectors = np.linalg.eigh(A)
    return values, vectors * phases(vectors, got[1])


def svd(got: list[np.ndarray], A: np.ndarray):
    """Singular vectors with the phases of those that are given; additional ones
    are taken as they are.
    """
    u, s, vh = np.linalg.svd(A, full_matrices=False)
    by = phases(u, got[0][..., : s.shape[-1]])
    u, vh = u * by, vh * np.swapaxes(np.conj(by), -1, -2)
    left, right = got[0].copy(), got[2].copy()
    left[..., : s.shape[-1]] = u
    right[..., : s.shape[-1], :] = vh
    for q in (left, adjoint(right)):
        np.testing.assert_allclose(adjoint(q) @ q - np.eye(q.shape[-1]), 0, atol=2e-5)
    return left, s, right


def nearest(got: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The order of eigenvalues that are given, one matrix."""
    left = list(range(len(values)))
    return np.array(
        [left.pop(int(np.argmin(abs(values[left] - g)))) for g in got], dtype=int
    )


def eigvals(got: list[np.ndarray], A: np.ndarray) -> np.ndarray:
    def one(g, a):
        values = np.linalg.eigvals(a)
        return (values[nearest(g, values)],)

    return over_batch(one, got[0], A, core=(1, 2))[0]


def eig(got: list[np.ndarray], A: np.ndarray):
    def one(g, v, a):
        values, vectors = np.linalg.eig(a)
        order = nearest(g, values)
        vectors = vectors[:, order]
        return values[order].astype(complex), vectors * phases(vectors, v)

    return over_batch(one, got[0], got[1], A, core=(1, 2, 2))


def matrix_exp(A: np.ndarray) -> np.ndarray:
    """The series of A / 2^6, squared 6 times."""
    small = A / 2**6
    power = total = np.broadcast_to(np.eye(A.shape[-1]), A.shape)
    for k in range(1, 20):
        power = power @ small / k
        total = total + power
    for _ in range(6):
        total = total @ total
    return total


def householder_product(A: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Reflections applied one after the other, last to first."""
    m, n = A.shape[-2:]
    Q = np.broadcast_to(np.eye(m, n, dtype=A.dtype), A.shape)
    for i in reversed(range(tau.shape[-1])):
        v = A[..., i] * (np.arange(m) > i) + (np.arange(m) == i)
        projected = np.conj(v)[..., None, :] @ Q
        Q = Q - (tau[..., i, None] * v)[..., None] * projected
    return Q
