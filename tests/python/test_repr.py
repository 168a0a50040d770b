"""Tensors as text, and as Python's numbers."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

import ferrule as fe

INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]


@pytest.fixture(autouse=True)
def default_options():
    yield
    fe.set_printoptions(profile="default")


def values(x):
    """What is printed of the elements."""
    text = repr(x)
    return text[len("tensor(") : text.index("shape=")].rstrip(", \n")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (3, "3"),
        (1.5, "1.5000"),
        (True, "True"),
        ([], "[]"),
        ([1.0, 2.0], "[1., 2.]"),
        ([True, False], "[ True, False]"),
        ([1, -20, 300], "[  1, -20, 300]"),
        ([0.1, 22.5], "[ 0.1000, 22.5000]"),
        ([-0.0, 1.0], "[-0.,  1.]"),
        ([math.nan, 1.0], "[nan,  1.]"),
        ([math.inf, -math.inf, 0.5], "[   inf,   -inf, 0.5000]"),
        ([math.nan, math.inf], "[nan, inf]"),
        ([1e10, 1.0], "[1.0000e+10, 1.0000e+00]"),
        ([1e-7, 1.0], "[1.0000e-07, 1.0000e+00]"),
        ([[1, 2], [3, 4]], "[[1, 2],\n        [3, 4]]"),
        ([[[1]], [[2]]], "[[[1]],\n\n        [[2]]]"),
    ],
)
def test_values(data, text):
    assert values(fe.tensor(data)) == text


def test_complex_values():
    z = fe.from_numpy(np.array([1 + 2j, -0.5 - 1.25j]))
    assert values(z) == "[ 1.0000+2.0000j, -0.5000-1.2500j]"
    z = fe.from_numpy(np.array(3 - 4j, np.complex64))
    assert repr(z) == "tensor(3.-4.j, shape=(), dtype=complex64, device=cpu)"
    z = fe.from_numpy(np.array([complex(math.nan, math.inf)]))
    assert values(z) == "[nan+infj]"
    assert complex(z[0]).imag == math.inf


def test_big_tensors_are_summarised():
    x = fe.arange(2000)
    assert values(x) == "[   0,    1,    2, ..., 1997, 1998, 1999]"
    text = repr(fe.zeros((2000, 2000)))
    assert text.count("...") == 7
    assert len(text.splitlines()) == 8
    assert max(map(len, repr(fe.arange(900)).splitlines())) <= 80
    assert "..." not in repr(fe.arange(1000))


def test_print_options():
    x = fe.tensor([1 / 3, 2 / 3])
    fe.set_printoptions(precision=2)
    assert values(x) == "[0.33, 0.67]"
    fe.set_printoptions(sci_mode=True)
    assert values(x) == "[3.33e-01, 6.67e-01]"
    fe.set_printoptions(sci_mode=False)
    assert values(fe.tensor(1e300, dtype=fe.float64)) == f"{1e300:.0f}."
    fe.set_printoptions(profile="default", threshold=3, edgeitems=1)
    assert values(fe.arange(5)) == "[0, ..., 4]"
    assert values(x) == "[0.3333, 0.6667]"
    fe.set_printoptions(profile="full")
    assert "..." not in repr(fe.arange(5000))
    fe.set_printoptions(threshold=math.inf, linewidth=20)
    assert max(map(len, values(fe.arange(20)).splitlines())) <= 20
    fe.set_printoptions(profile="short")
    assert values(x) == "[0.33, 0.67]"
    for bad in (
        {"precision": -1},
        {"precision": 100},
        {"edgeitems": 0},
        {"profile": "long"},
        {"linewidth": 0},
    ):
        with pytest.raises(ValueError, match="set_printoptions"):
            fe.set_printoptions(**bad)
    with pytest.raises(TypeError):
        fe.set_printoptions(precision="4")


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS, *FLOATS])
def test_numbers(dtype):
    x = fe.tensor([[1]], dtype=getattr(fe, dtype))
    kind = bool if dtype == "bool" else int if dtype in INTEGERS else float
    assert type(x.item()) is kind
    assert type(x.tolist()[0][0]) is kind
    assert type(x[0, 0].tolist()) is kind
    assert (int(x), float(x), complex(x), bool(x)) == (1, 1.0, 1 + 0j, True)
    if kind is float:
        with pytest.raises(TypeError, match="index"):
            operator.index(x)
    else:
        assert operator.index(x) == 1
        assert [5, 6][x] == 6


def test_complex_numbers():
    z = fe.from_numpy(np.array([1 + 2j]))
    assert z.item() == complex(z) == 1 + 2j
    assert z.tolist() == [1 + 2j]
    assert bool(z)
    for convert in (int, float):
        with pytest.raises(TypeError):
            convert(z)


def test_number_errors():
    x = fe.zeros(2)
    for convert in (int, float, complex, fe.Tensor.item):
        with pytest.raises(ValueError, match="one"):
            convert(x)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(x)
    with pytest.raises(ValueError):
        bool(fe.zeros(0))
    with pytest.raises(TypeError):
        operator.index(fe.tensor([1, 2]))
    with pytest.raises(OverflowError):
        int(fe.tensor(math.inf))
    with pytest.raises(ValueError):
        int(fe.tensor(math.nan))
    with pytest.raises(TypeError, match="0-d"):
        len(fe.tensor(1))
    with pytest.raises(TypeError, match="0-d"):
        iter(fe.tensor(1))


def test_format():
    assert f"{fe.tensor(2 / 3):.3f}" == "0.667"
    assert f"{fe.tensor(5):>4d}" == "   5"
    assert f"{fe.tensor(5)}" == "5"
    assert f"{fe.tensor([1])}" == str(fe.tensor([1]))
    with pytest.raises(TypeError, match="0-d"):
        format(fe.tensor([1.0]), ".3f")


def test_in_and_hash():
    x = fe.tensor([1.0, 2.0, math.nan])
    assert 2 in x
    assert 5 not in x
    assert math.nan not in x
    assert fe.tensor(1.0) in x
    with pytest.raises(TypeError):
        "a" in x  # noqa: B015
    y = x.clone()
    assert len({x, y, x}) == 2
    assert hash(x) == hash(x)
