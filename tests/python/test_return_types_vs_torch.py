"""The names of several results are PyTorch's."""

from __future__ import annotations

import re

import pytest

import ferrule as fe

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

# PyTorch has plain tuples there; names take nothing away.
PLAIN_IN_TORCH = {"std_mean", "var_mean"}


def fields(kind: type) -> tuple[str, ...]:
    return getattr(kind, "_fields", None) or kind.__match_args__


@pytest.mark.parametrize("name", sorted(fe.return_types.__all__))
def test_names(name: str) -> None:
    theirs = getattr(torch.return_types, name, None)
    assert (theirs is None) == (name in PLAIN_IN_TORCH)
    if theirs is not None:
        assert fields(getattr(fe.return_types, name)) == fields(theirs)


# What our functions of the same name lack, and why.
ABSENT = {
    "geqrf": "not in the surface: the parts of a QR decomposition as LAPACK packs them",
    "histogramdd": "not in the surface",
    "linalg_ldl_factor": "not in the surface",
    "linalg_ldl_factor_ex": "not in the surface",
    "linalg_slogdet": "one op with slogdet, whose type it returns",
}


def test_none_is_missing() -> None:
    theirs = {
        name
        for name, kind in vars(torch.return_types).items()
        if hasattr(kind, "n_fields") and not re.search("^_|_out$", name)
    }
    assert theirs - set(fe.return_types.__all__) == set(ABSENT)
    x = fe.eye(2)
    for name in ABSENT:
        home, short = (
            (fe.linalg, name[7:]) if name.startswith("linalg_") else (fe, name)
        )
        assert hasattr(home, short) == (name == "linalg_slogdet")
    assert type(fe.linalg.slogdet(x)) is type(fe.slogdet(x)) is fe.return_types.slogdet


LINALG = ["cholesky_ex", "eig", "eigh", "inv_ex", "lu"]
LINALG += ["lu_factor", "lu_factor_ex", "qr", "svd"]


@pytest.mark.filterwarnings("ignore:torch.(qr|triangular_solve) is deprecated")
def test_functions_of_both_return_them() -> None:
    """Called alike, both give tuples with these names."""
    data = [[2.0, 1.0], [1.0, 3.0]]
    calls = (
        {
            name: (lambda m, x, name=name: getattr(m, name)(x))
            for name in ("aminmax", "frexp", "mode", "qr", "slogdet", "sort", "svd")
        }
        | {
            "max": lambda m, x: m.max(x, 0),
            "min": lambda m, x: x.min(0),
            "median": lambda m, x: m.median(x, 1),
            "nanmedian": lambda m, x: x.nanmedian(1),
            "kthvalue": lambda m, x: x.kthvalue(1),
            "topk": lambda m, x: m.topk(x, 1),
            "cummax": lambda m, x: x.cummax(0),
            "cummin": lambda m, x: x.cummin(0),
            "histogram": lambda m, x: m.histogram(x, 3),
            "triangular_solve": lambda m, x: m.triangular_solve(x, x),
            "lu_unpack": lambda m, x: m.lu_unpack(*m.linalg.lu_factor(x)),
            "linalg_solve_ex": lambda m, x: m.linalg.solve_ex(x, x),
            "linalg_lstsq": lambda m, x: m.linalg.lstsq(x, x),
        }
        | {
            f"linalg_{name}": (lambda m, x, name=name: getattr(m.linalg, name)(x))
            for name in LINALG
        }
    )
    assert calls.keys() == set(fe.return_types.__all__) - PLAIN_IN_TORCH
    for name, call in calls.items():
        ours, theirs = call(fe, fe.tensor(data)), call(torch, torch.tensor(data))
        assert type(ours) is getattr(fe.return_types, name)
        assert type(theirs) is getattr(torch.return_types, name)
        for field in ours._fields:
            a, b = getattr(ours, field), getattr(theirs, field)
            if name == "linalg_lstsq" and field == "residuals":
                continue  # both empty, of other shapes
            assert tuple(a.shape) == tuple(b.shape), (name, field)
