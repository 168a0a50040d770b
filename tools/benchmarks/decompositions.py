"""Decompositions of matrices, single ones and batches of small ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .harness import Case, Work, libraries, tensor_in

SIZES = (16, 64, 256, 512)
BATCH = (1000, 8)  # matrices, and their size

# Functions of (linalg, a) for any square matrix a, or for a positive definite one.
Op = Callable[[Any, Any], Any]
GENERAL: dict[str, Op] = {
    "lu_factor": lambda linalg, a: linalg.lu_factor(a),
    "solve": lambda linalg, a: linalg.solve(a, a),
    "inv": lambda linalg, a: linalg.inv(a),
    "det": lambda linalg, a: linalg.det(a),
    "qr": lambda linalg, a: linalg.qr(a),
    "svd": lambda linalg, a: linalg.svd(a),
    "eig": lambda linalg, a: linalg.eig(a),
    "lstsq": lambda linalg, a: linalg.lstsq(a, a),
}
POSITIVE: dict[str, Op] = {
    "cholesky": lambda linalg, a: linalg.cholesky(a),
    "eigh": lambda linalg, a: linalg.eigh(a),
}


def build(count: int, n: int, dtype: str, run: Op) -> dict[str, Work]:
    a = np.random.default_rng(0).standard_normal((count, n, n))
    if run in POSITIVE.values():
        a = a @ a.swapaxes(-1, -2) + n * np.eye(n)
    array = (a if count > 1 else a[0]).astype(dtype)
    works: dict[str, Work] = {}
    for who, lib in libraries():
        x = tensor_in(lib, array)
        works[who] = lambda linalg=lib.linalg, x=x: run(linalg, x)
    return works


def cases() -> Iterator[Case]:
    shapes = [(1, n, "float32") for n in SIZES]
    shapes += [(*BATCH, "float32"), (1, 256, "float64")]
    for name, run in (POSITIVE | GENERAL).items():
        for count, n, dtype in shapes:
            many = f"{count:,} of " if count > 1 else ""
            kind = "" if dtype == "float32" else f" {dtype}"
            yield Case(
                f"linalg.{name}{kind}, {many}{n} x {n}",
                lambda count=count, n=n, dtype=dtype, run=run: build(
                    count, n, dtype, run
                ),
            )
