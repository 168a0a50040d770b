"""Dtypes: their limits, promotion, and what a conversion does."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest

import ferrule as fe
from ferrule import _dtypes, _ferrule

INTEGERS = [fe.uint8, fe.int8, fe.int16, fe.int32, fe.int64]
FLOATS = [fe.float16, fe.bfloat16, fe.float32, fe.float64]
COMPLEX = [fe.complex64, fe.complex128]
ALL = [fe.bool, *INTEGERS, *FLOATS, *COMPLEX]
IN_NUMPY = [t for t in ALL if t != fe.bfloat16]


def numpy_of(t: fe.dtype) -> np.dtype:
    return np.dtype(t.name)


def test_examples_run() -> None:
    functions = [_ferrule.result_type, _ferrule.promote_types, _ferrule.can_cast]
    for function in functions:
        example = doctest.DocTestParser().get_doctest(
            function.__doc__, {}, function.__name__, None, 0
        )
        assert doctest.DocTestRunner().run(example).failed == 0
    assert doctest.testmod(_dtypes).failed == 0


@pytest.mark.parametrize("t", [fe.float16, fe.float32, fe.float64, *COMPLEX], ids=str)
def test_finfo_is_numpys(t: fe.dtype) -> None:
    ours, theirs = fe.finfo(t), np.finfo(numpy_of(t))
    for name in ("bits", "eps", "max", "min", "smallest_normal", "tiny", "resolution"):
        expected = float(getattr(theirs, name))
        rounded = float(np.dtype(ours.dtype.name).type(getattr(ours, name)))
        assert rounded == expected, name
    assert ours.dtype == t.to_real()
    assert fe.finfo(fe.zeros(2, dtype=fe.float64)).bits == 64


@pytest.mark.parametrize("t", INTEGERS, ids=str)
def test_iinfo_is_numpys(t: fe.dtype) -> None:
    ours, theirs = fe.iinfo(t), np.iinfo(numpy_of(t))
    for name in ("bits", "max", "min"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.dtype == t


def test_limits_of_the_wrong_kind() -> None:
    with pytest.raises(TypeError, match="iinfo"):
        fe.finfo(fe.int32)
    for t in (fe.bool, fe.float32, fe.complex64):
        with pytest.raises(TypeError, match="finfo"):
            fe.iinfo(t)


def test_properties_of_dtypes() -> None:
    for t in IN_NUMPY:
        like = numpy_of(t)
        assert t.itemsize == like.itemsize
        assert t.is_signed == (like.kind in "ifc")
        assert t.is_complex == (like.kind == "c")
        assert t.is_floating_point == (like.kind == "f")
    assert [t.to_real() for t in COMPLEX] == [fe.float32, fe.float64]
    assert fe.float32.to_complex() == fe.complex64
    assert fe.float64.to_complex() == fe.complex128
    x = fe.tensor([1j])
    assert fe.is_complex(x) and not fe.is_floating_point(x) and fe.is_tensor(x)
    assert (fe.half, fe.double, fe.short, fe.long, fe.cfloat, fe.cdouble) == (
        fe.float16, fe.float64, fe.int16, fe.int64, fe.complex64, fe.complex128,
    )  # fmt: skip
    assert (fe.float, fe.int) == (fe.float32, fe.int32)


def test_promotion_is_a_lattice() -> None:
    for a, b in itertools.product(ALL, ALL):
        assert fe.promote_types(a, b) == fe.promote_types(b, a)
        for c in ALL:
            left = fe.promote_types(fe.promote_types(a, b), c)
            right = fe.promote_types(a, fe.promote_types(b, c))
            assert left == right or {fe.float16, fe.bfloat16} <= {a, b, c}


# An integer with a float gives the float here and in PyTorch; NumPy widens the
# float until it holds the integer, which the Array API leaves open.
def test_promotion_of_one_kind_is_numpys() -> None:
    kinds = [[fe.bool, *INTEGERS], [fe.float16, fe.float32, fe.float64, *COMPLEX]]
    for kind in kinds:
        for a, b in itertools.product(kind, kind):
            expected = np.promote_types(numpy_of(a), numpy_of(b))
            assert numpy_of(fe.promote_types(a, b)) == expected, (a, b)


@pytest.mark.parametrize("scalar", [True, 3, 2.5, 1j], ids=repr)
def test_weak_scalars(scalar: object) -> None:
    for t in ALL:
        got = fe.result_type(t, scalar)
        if t.is_complex or isinstance(scalar, bool):
            assert got == t
        elif isinstance(scalar, complex):
            assert got == t.to_complex()
        elif t.is_floating_point:
            assert got == t
        elif isinstance(scalar, float):
            assert got == fe.float32
        else:
            assert got == (fe.int64 if t == fe.bool else t)
        # Beside 16-bit floats and bfloat16, NumPy has what is near to it.
        if t in INTEGERS and not isinstance(scalar, (float, complex)):
            assert numpy_of(got) == np.result_type(numpy_of(t).type(1), scalar)
        assert fe.result_type(scalar, fe.zeros(2, dtype=fe.float64)) == (
            fe.complex128 if isinstance(scalar, complex) else fe.float64
        )


def test_scalars_alone() -> None:
    assert fe.result_type(1, 2) == fe.int64
    assert fe.result_type(True) == fe.bool
    assert fe.result_type(1, 2.0) == fe.float32
    assert fe.result_type(1, 2j) == fe.complex64
    assert fe.result_type(np.zeros(3, np.int16), fe.uint8) == fe.int16
    assert fe.result_type(fe.int8, np.float32(1)) == fe.float32
    for wrong in ("float32", None, [1]):
        with pytest.raises(TypeError, match="result_type"):
            fe.result_type(wrong)
    with pytest.raises(TypeError, match="result_type"):
        fe.result_type()


def test_against_torch() -> None:
    torch = pytest.importorskip("torch")
    for a, b in itertools.product(ALL, ALL):
        ta, tb = getattr(torch, a.name), getattr(torch, b.name)
        assert fe.can_cast(a, b) == torch.can_cast(ta, tb), (a, b)
        expected = torch.promote_types(ta, tb)
        assert f"torch.{fe.promote_types(a, b)}" == str(expected), (a, b)
    for t, scalar in itertools.product(ALL, [True, 3, 2.5, 1j]):
        expected = torch.result_type(
            torch.zeros(2, dtype=getattr(torch, t.name)), scalar
        )
        if expected == torch.complex32:  # float16 with a complex number
            expected = torch.complex64
        assert f"torch.{fe.result_type(t, scalar)}" == str(expected), (t, scalar)
    for t in ALL:
        like = getattr(torch, t.name)
        assert t.is_signed == like.is_signed
        if t.is_floating_point or t.is_complex:
            ours, theirs = fe.finfo(t), torch.finfo(like)
        elif t != fe.bool:
            ours, theirs = fe.iinfo(t), torch.iinfo(like)
        else:
            continue
        for name in ("bits", "max", "min"):
            assert getattr(ours, name) == getattr(theirs, name)
        if t.is_floating_point:
            for name in ("eps", "tiny", "smallest_normal", "resolution"):
                assert getattr(ours, name) == getattr(theirs, name), (t, name)


MASK = fe.tensor([True, False])
WITH_AN_INT = [
    lambda x, n: x + n, lambda x, n: n - x, lambda x, n: x * n,
    lambda x, n: fe.maximum(x, n), lambda x, n: fe.where(MASK, x, n),
    lambda x, n: x.clone().fill_(n), lambda x, n: fe.full((2,), n, dtype=x.dtype),
    lambda x, n: fe.full_like(x, n), lambda x, n: fe.masked_fill(x, MASK, n),
    lambda x, n: x.clone().__setitem__(0, n), lambda x, n: x.clone().add_(n),
    lambda x, n: fe.tensor([n], dtype=x.dtype),
]  # fmt: skip


@pytest.mark.parametrize("t", [x for x in INTEGERS if x != fe.int64], ids=str)
def test_ints_that_do_not_fit(t: fe.dtype) -> None:
    info = fe.iinfo(t)
    x = fe.tensor([1, 2], dtype=t)
    for n in (info.max + 1, info.min - 1):
        for call in WITH_AN_INT:
            with pytest.raises(ValueError, match="cannot hold"):
                call(x, n)
        assert (x < n).tolist() == [n > 1] * 2
        assert (x == n).tolist() == [False] * 2
        assert (x / n).dtype == fe.float32
    for n in (info.max, info.min):
        for call in WITH_AN_INT:
            call(x, n)
    assert (x * 0 + info.max).tolist() == [info.max] * 2
    assert (x * 0 + info.max + 1).tolist() == [info.min] * 2  # tensors wrap
    assert fe.tensor([info.min, info.max], dtype=t).tolist() == [info.min, info.max]


def test_bool_arithmetic() -> None:
    a, b = fe.tensor([True, True, False]), fe.tensor([True, False, False])
    assert (a + b).tolist() == [True, True, False]
    assert (a * b).tolist() == [True, False, False]
    assert (a + 1).dtype == fe.int64 and (a * 300).tolist() == [300, 300, 0]
    assert (a / b).dtype == fe.float32
    assert (a + True).dtype == fe.bool
    for call in (lambda: a - b, lambda: -a, lambda: a**b):
        with pytest.raises(fe.DTypeError, match="bool"):
            call()


def test_conversions_of_floats_to_integers() -> None:
    x = fe.tensor([1.9, -1.9, 1e10, -1e10, float("inf"), float("nan")])
    for t in INTEGERS:
        low, high = fe.iinfo(t).min, fe.iinfo(t).max
        wide = [min(max(int(v), low), high) for v in (1.9, -1.9, 1e10, -1e10)]
        assert x.to(t).tolist() == [*wide, high, 0]


@pytest.mark.parametrize("op", ["add", "mul", "div", "sub", "maximum", "eq", "where"])
def test_result_dtypes_of_ops(op: str) -> None:
    """The whole table, dtype x dtype and dtype x number."""
    function = getattr(fe, op)
    condition = fe.tensor([True, False])
    for a, b in itertools.product(ALL, [*ALL, True, 3, 2.5, 1j]):
        x = fe.ones((2,), dtype=a)
        y = b if not isinstance(b, fe.dtype) else fe.ones((2,), dtype=b)
        expected = fe.result_type(x, y)
        if op == "div" and expected in (fe.bool, *INTEGERS):
            expected = fe.float32
        if op == "eq":
            expected = fe.bool
        refused = (op == "maximum" and expected.is_complex) or (
            op == "sub" and expected == fe.bool
        )
        args = [condition] if op == "where" else []
        if refused:
            with pytest.raises(fe.DTypeError):
                function(*args, x, y)
            continue
        got = function(*args, x, y)
        assert got.dtype == expected, (a, b)
        assert function(*args, y, x).dtype == expected, (b, a)
