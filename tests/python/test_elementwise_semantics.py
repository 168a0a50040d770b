"""Elementwise ops on every dtype and every special value, held to NumPy.

The automatic tests (test_ops.py) take the examples of the definitions; here are the
ends of the ranges: NaN, infinities, signed zeros, integers that overflow, shapes
without elements, and what is refused.
"""

from __future__ import annotations

import math
import operator
import warnings
from typing import Any

import numpy as np
import pytest

import ferrule as fe

INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
FLOATS = ["float16", "float32", "float64"]
NUMBERS = INTEGERS + FLOATS
ALL = ["bool", *NUMBERS]


def special(dtype: str) -> np.ndarray:
    """The values of a dtype that ops stumble over."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype in INTEGERS:
        info = np.iinfo(dtype)
        values = {info.min, info.min + 1, -3, -1, 0, 1, 2, 7, info.max - 1, info.max}
        return np.array(sorted(v for v in values if v >= info.min), dtype)
    info = np.finfo(dtype)
    plain = [0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 7.25, info.max, info.tiny, np.inf]
    return np.array([s * v for v in plain for s in (1, -1)] + [np.nan], dtype)


def pairs(a: str, b: str) -> tuple[np.ndarray, np.ndarray]:
    """Every special value of one dtype with every one of the other."""
    x, y = np.meshgrid(special(a), special(b))
    return x.ravel(), y.ravel()


def same(got: fe.Tensor, expected: np.ndarray, ulps: int, what: str) -> None:
    """Equal, NaN and the signs of zeros included; floats within some ULPs."""
    g = got.numpy()
    assert g.dtype == expected.dtype, what
    assert g.shape == expected.shape, what
    if g.dtype.kind != "f":
        np.testing.assert_array_equal(g, expected, err_msg=what)
        return
    np.testing.assert_array_equal(np.isnan(g), np.isnan(expected), err_msg=what)
    zero = (expected == 0) & (g == 0)
    np.testing.assert_array_equal(
        np.signbit(g[zero]), np.signbit(expected[zero]), err_msg=what
    )
    with np.errstate(all="ignore"):
        near = np.abs(g - expected) <= ulps * np.spacing(np.abs(expected))
    wrong = ~((g == expected) | np.isnan(expected) | near)
    assert not wrong.any(), f"{what}: {g[wrong]} for {expected[wrong]}"


def quiet(function: Any, *args: Any) -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


# --- one operand: name, NumPy's function, dtypes, ULPs

EXACT = [
    ("floor", np.floor, NUMBERS),
    ("ceil", np.ceil, NUMBERS),
    ("trunc", np.trunc, NUMBERS),
    ("round", np.round, NUMBERS),
    ("abs", np.abs, NUMBERS),
    ("neg", np.negative, NUMBERS),
    ("sign", np.sign, NUMBERS),
    ("square", np.square, NUMBERS),
    ("bitwise_not", np.bitwise_not, ["bool", *INTEGERS]),
    ("logical_not", np.logical_not, ALL),
    ("isnan", np.isnan, ALL),
    ("isinf", np.isinf, ALL),
    ("isfinite", np.isfinite, ALL),
    ("isposinf", np.isposinf, ALL),
    ("isneginf", np.isneginf, ALL),
    ("signbit", np.signbit, NUMBERS),
    ("reciprocal", lambda x: x.dtype.type(1) / x, FLOATS),
]


@pytest.mark.parametrize(
    ("name", "reference", "dtypes"), EXACT, ids=[e[0] for e in EXACT]
)
def test_unary_is_exact(name: str, reference: Any, dtypes: list[str]) -> None:
    for dtype in dtypes:
        x = special(dtype)
        same(getattr(fe, name)(fe.tensor(x)), quiet(reference, x), 0, f"{name} {dtype}")


# Where NumPy has float16 for a bool or a small integer, Ferrule has float32.
FUNCTIONS = {
    "exp2": np.exp2, "expm1": np.expm1, "log1p": np.log1p, "log2": np.log2,
    "log10": np.log10, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "sqrt": np.sqrt, "exp": np.exp,
    "log": np.log, "tanh": np.tanh, "deg2rad": np.deg2rad, "rad2deg": np.rad2deg,
    "sin": np.sin, "cos": np.cos, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": np.vectorize(math.erf, otypes=[float]),
    "erfc": np.vectorize(math.erfc, otypes=[float]),
    "rsqrt": lambda x: 1 / np.sqrt(x),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_of_floats(name: str) -> None:
    for dtype in FLOATS:
        x = special(dtype)
        if name in ("tan", "sin", "cos"):
            x = x[~(np.abs(x) > 100)]
        expected = quiet(FUNCTIONS[name], x.astype(np.float64)).astype(dtype)
        same(getattr(fe, name)(fe.tensor(x)), expected, 4, f"{name} {dtype}")
    for dtype in ["bool", *INTEGERS]:
        x = special(dtype)
        if name in ("tan", "sin", "cos"):
            x = x[np.abs(x.astype(np.float64)) < 100]
        got = getattr(fe, name)(fe.tensor(x))
        expected = quiet(FUNCTIONS[name], x.astype(np.float32).astype(np.float64))
        same(got, quiet(expected.astype, np.float32), 4, f"{name} {dtype}")


# --- two operands

ARITHMETIC = {"add": np.add, "mul": np.multiply, "maximum": np.maximum,
              "minimum": np.minimum}  # fmt: skip
BITS = {
    "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
}  # fmt: skip
SHIFTS = {"bitwise_left_shift": np.left_shift, "bitwise_right_shift": np.right_shift}
DIVISIONS = {
    "floor_divide": np.floor_divide, "remainder": np.remainder, "fmod": np.fmod
}  # fmt: skip
COMPARISONS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor,
}  # fmt: skip
OF_INTEGERS = {"gcd": np.gcd, "lcm": np.lcm}
OF_FLOATS = {
    "atan2": np.arctan2, "hypot": np.hypot, "copysign": np.copysign,
    "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2, "fmax": np.fmax,
    "fmin": np.fmin, "heaviside": np.heaviside, "nextafter": np.nextafter,
    "div": np.divide,
}  # fmt: skip

SAME_DTYPE = (
    [(n, f, d) for n, f in ARITHMETIC.items() for d in ALL]
    + [("sub", np.subtract, d) for d in NUMBERS]
    + [(n, f, d) for n, f in BITS.items() for d in ["bool", *INTEGERS]]
    + [(n, f, d) for n, f in SHIFTS.items() for d in INTEGERS]
    + [(n, f, d) for n, f in OF_INTEGERS.items() for d in INTEGERS]
    + [(n, f, d) for n, f in OF_FLOATS.items() for d in FLOATS]
    + [(n, f, d) for n, f in COMPARISONS.items() for d in ALL]
    + [(n, f, d) for n, f in DIVISIONS.items() for d in FLOATS]
)
UNSIGNED_ZERO = {"maximum", "minimum", "fmax", "fmin"}  # of 0.0 and -0.0 either


@pytest.mark.parametrize(
    ("name", "reference", "dtype"),
    SAME_DTYPE,
    ids=[f"{n}-{d}" for n, _, d in SAME_DTYPE],
)
def test_binary_on_special_values(name: str, reference: Any, dtype: str) -> None:
    x, y = pairs(dtype, dtype)
    got = getattr(fe, name)(fe.tensor(x), fe.tensor(y))
    expected = quiet(reference, x, y)
    if name in UNSIGNED_ZERO and dtype in FLOATS:
        got, expected = got + 0.0, expected + 0.0
    if name == "nextafter" and dtype == "float16":
        differ = x != y  # of 0 and -0 NumPy's half, alone, gives the first
        got, expected = got[fe.tensor(differ)], expected[differ]
    if name in DIVISIONS and dtype == "float16":
        expected = quiet(reference, x.astype("f4"), y.astype("f4")).astype("f2")
    ulps = 4 if name in ("atan2", "hypot", "logaddexp", "logaddexp2") else 0
    same(got, expected, ulps, f"{name} {dtype}")


@pytest.mark.parametrize("name", sorted(DIVISIONS))
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division(name: str, dtype: str) -> None:
    x, y = pairs(dtype, dtype)
    x, y = x[y != 0], y[y != 0]
    expected = quiet(DIVISIONS[name], x, y)  # the least one by -1 wraps
    same(getattr(fe, name)(fe.tensor(x), fe.tensor(y)), expected, 0, f"{name} {dtype}")
    if name == "floor_divide":
        got = fe.div(fe.tensor(x), fe.tensor(y), rounding_mode="floor")
        same(got, expected, 0, f"div floor {dtype}")
    if name == "fmod":  # x = trunc(x / y) * y + fmod(x, y)
        whole = fe.div(fe.tensor(x), fe.tensor(y), rounding_mode="trunc")
        same(whole * fe.tensor(y) + fe.tensor(expected), x, 0, f"div trunc {dtype}")


@pytest.mark.parametrize("a", ALL)
@pytest.mark.parametrize("b", ALL)
def test_mixed_dtypes(a: str, b: str) -> None:
    """Operands are converted to the promoted dtype, which is that of the result."""
    x, y = pairs(a, b)
    if (a in FLOATS) == (b in FLOATS):
        common = np.result_type(x, y)
    else:  # an integer with a float gives that float
        common = np.dtype(a if a in FLOATS else b)
        exact = (np.abs(x.astype("f8")) < 2000) & (np.abs(y.astype("f8")) < 2000)
        x, y = x[exact], y[exact]
    p, q = x.astype(common), y.astype(common)
    same(fe.tensor(x) + fe.tensor(y), quiet(np.add, p, q), 0, f"{a} + {b}")
    same(fe.tensor(x) < fe.tensor(y), p < q, 0, f"{a} < {b}")
    same(
        fe.maximum(fe.tensor(x), fe.tensor(y)) + 0, np.maximum(p, q) + 0, 0, f"{a} {b}"
    )


# --- Python's operators

OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv,
    operator.mod, operator.pow, operator.and_, operator.or_, operator.xor,
    operator.lshift, operator.rshift, operator.lt, operator.le, operator.eq,
    operator.ne, operator.gt, operator.ge, divmod,
]  # fmt: skip


@pytest.mark.parametrize("function", OPERATORS, ids=[f.__name__ for f in OPERATORS])
def test_operators_with_numbers_on_either_side(function: Any) -> None:
    x = np.array([1, 2, 5], np.int32)
    for number in (3, 1):
        for a, b in ((x, number), (number, x), (x, x)):
            args = [fe.tensor(v) if isinstance(v, np.ndarray) else v for v in (a, b)]
            got, expected = function(*args), function(a, b)
            if not isinstance(got, tuple):
                got, expected = (got,), (expected,)
            for g, e in zip(got, expected, strict=True):
                np.testing.assert_array_equal(g.numpy(), np.asarray(e, g.numpy().dtype))
                assert function is operator.truediv or g.numpy().dtype == e.dtype
    if function in (operator.and_, operator.or_, operator.xor):
        mask = fe.tensor([True, False])
        for flag in (True, False):
            expected = [function(v, flag) for v in (True, False)]
            assert function(mask, flag).tolist() == expected
            assert function(flag, mask).tolist() == expected
            assert function(mask, flag).dtype == fe.bool


IN_PLACE = [
    (operator.iadd, 3), (operator.isub, 3), (operator.imul, 3), (operator.ipow, 2),
    (operator.ifloordiv, 3), (operator.imod, 3), (operator.iand, 3),
    (operator.ior, 3), (operator.ixor, 3), (operator.ilshift, 2),
    (operator.irshift, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "value"), IN_PLACE, ids=[f.__name__ for f, _ in IN_PLACE]
)
def test_operators_in_place(function: Any, value: int) -> None:
    x = np.arange(10, dtype=np.int16).reshape(2, 5)
    t = fe.tensor(x)
    held = t
    t = function(t, value)
    assert t is held
    np.testing.assert_array_equal(t.numpy(), function(x.copy(), value))
    t = fe.tensor(x)
    view = t[:, 1::2]
    function(view, fe.tensor([[1], [2]], dtype=fe.int64))  # int64 wraps into int16
    expected = x.copy()
    part = expected[:, 1::2]
    part[...] = function(part.astype(np.int64), np.array([[1], [2]]))
    np.testing.assert_array_equal(t.numpy(), expected)


def test_python_protocols() -> None:
    x = fe.tensor(-2.5)
    assert math.floor(x) == -3 and type(math.floor(x)) is int
    assert math.ceil(x) == -2 and math.trunc(x) == -2
    assert round(fe.tensor([0.5, 1.5, 2.5])).tolist() == [0.0, 2.0, 2.0]
    assert round(fe.tensor([1.25], dtype=fe.float64), 1).tolist() == [1.2]
    assert abs(fe.tensor([-1, 2])).tolist() == [1, 2]
    with pytest.raises(ValueError, match="has 2 elements"):
        math.floor(fe.tensor([1.0, 2.0]))
    with pytest.raises(OverflowError):
        math.floor(fe.tensor(math.inf))


def test_comparison_with_what_is_no_number() -> None:
    x = fe.tensor([1, 2])
    assert (x == "a") is False and (x != "a") is True
    assert (x == None) is False  # noqa: E711
    assert (x == [1, 2]) is False
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(TypeError, match="not supported"):
            compare(x, "a")
    for function in (operator.add, operator.floordiv, operator.and_, operator.lshift):
        with pytest.raises(TypeError, match="unsupported operand"):
            function(x, "a")


def test_python_numbers_are_weak() -> None:
    small = fe.tensor([1, 2], dtype=fe.int8)
    assert (small + 1).dtype == fe.int8
    assert (small * 1.5).dtype == fe.float32
    assert (small.half() * 2.5).dtype == fe.float16
    assert (fe.tensor([True]) + True).dtype == fe.bool
    assert (fe.tensor([True]) + 1).dtype == fe.int64
    assert (small + True).dtype == fe.int8
    assert (small & 3).dtype == fe.int8
    # A number that the dtype does not hold is compared as it is.
    assert (fe.tensor([255], dtype=fe.uint8) == 511).tolist() == [False]
    assert (fe.tensor([255], dtype=fe.uint8) > -1).tolist() == [True]


# --- results in place


def test_in_place_casts_within_a_kind_only() -> None:
    half = fe.tensor([1.5, 2.5], dtype=fe.float16)
    half += fe.tensor([1.0, 1e-3], dtype=fe.float64)
    np.testing.assert_array_equal(
        half.numpy(), np.add([1.5, 2.5], [1.0, 1e-3]).astype(np.float16)
    )
    floats = fe.tensor([1.0, 2.0])
    assert floats.eq_(1.0).tolist() == [1.0, 0.0]
    assert floats.logical_or_(fe.tensor([True, True])).tolist() == [1.0, 1.0]
    for target, value in (
        (fe.tensor([1, 2]), 1.5),
        (fe.tensor([1, 2]), fe.tensor([1.0, 2.0])),
        (fe.tensor([True]), 1),
    ):
        before = target.tolist()
        with pytest.raises(fe.DTypeError, match=r"\[add_\].*in place"):
            target += value
        assert target.tolist() == before
    with pytest.raises(fe.DTypeError, match="in place"):
        fe.tensor([4]).div_(2)
    assert fe.tensor([7]).div_(2, rounding_mode="floor").tolist() == [3]
    with pytest.raises(fe.ShapeError, match="in place"):
        fe.zeros(3).add_(fe.zeros((2, 3)))


def test_in_place_gradient_through_a_cast() -> None:
    x = fe.tensor([1.0, 2.0], requires_grad=True)
    w = fe.tensor([3.0, 4.0], dtype=fe.float64, requires_grad=True)
    y = x * 2
    y *= w
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 8.0] and x.grad.dtype == fe.float32
    assert w.grad.tolist() == [2.0, 4.0] and w.grad.dtype == fe.float64
    program = fe.export(
        lambda a, b: (a * 2).mul_(b).clamp_(0, 7), (x.detach(), w.detach())
    )
    assert program.run("forward", x.detach(), w.detach())[0].tolist() == [6.0, 7.0]


def test_in_place_with_overlapping_operands() -> None:
    for name in ("floor_divide_", "remainder_", "bitwise_or_", "add_", "clamp_min_"):
        a = np.arange(1, 9)
        t = fe.tensor(a)
        getattr(t[1:], name)(t[:-1])
        reference = {
            "floor_divide_": np.floor_divide, "remainder_": np.remainder,
            "bitwise_or_": np.bitwise_or, "add_": np.add, "clamp_min_": np.maximum,
        }[name]  # fmt: skip
        a[1:] = reference(a[1:], a[:-1])
        assert t.tolist() == a.tolist(), name


# --- clamp


def test_clamp() -> None:
    nan = math.nan
    x = fe.tensor([-2.0, 0.5, nan, 3.0])
    for call in (
        lambda: fe.clamp(x, 0, 1),
        lambda: fe.clip(x, min=0, max=1),
        lambda: x.clamp(fe.tensor(0.0), fe.tensor([1.0])),
        lambda: x.clone().clamp_(0, 1),
        lambda: x.clamp_min(0).clamp_max(1),
    ):
        np.testing.assert_array_equal(call().numpy(), [0.0, 0.5, nan, 1.0])
    assert fe.clamp(fe.tensor([1.0]), nan, 2.0).isnan().item()
    assert fe.clamp(fe.tensor([1.0]), 3.0, 2.0).tolist() == [2.0]
    assert fe.clamp(fe.tensor([1, 5]), 2.5).tolist() == [2.5, 5.0]
    extremes = fe.tensor([np.iinfo(np.int64).min, np.iinfo(np.int64).max])
    assert fe.clamp(extremes, min=-(2**63)).tolist() == extremes.tolist()
    assert fe.clamp(fe.tensor([200], dtype=fe.uint8), -5, 300).tolist() == [200]
    with pytest.raises(ValueError, match="min, max or both"):
        fe.clamp(x)


# --- functions that NumPy has otherwise, or not at all


def test_nan_to_num() -> None:
    x = [math.nan, math.inf, -math.inf, 1.5]
    for dtype, most in ((fe.float16, 65504.0), (fe.float32, 3.4028234663852886e38),
                        (fe.bfloat16, 3.3895313892515355e38)):  # fmt: skip
        t = fe.tensor(x, dtype=dtype)
        assert fe.nan_to_num(t).tolist() == [0.0, most, -most, 1.5]
        assert fe.nan_to_num(t, 1.0, 2.0, -3.0).tolist() == [1.0, 2.0, -3.0, 1.5]
    assert fe.nan_to_num(fe.tensor([2**62 + 1])).tolist() == [2**62 + 1]


def test_close_and_equal() -> None:
    a = fe.tensor([1.0, math.nan, math.inf, -math.inf, 0.0])
    b = fe.tensor([1.0 + 1e-6, math.nan, math.inf, math.inf, -0.0])
    for equal_nan in (False, True):
        expected = np.isclose(a.numpy(), b.numpy(), equal_nan=equal_nan)
        assert fe.isclose(a, b, equal_nan=equal_nan).tolist() == expected.tolist()
    assert not fe.allclose(a, b)
    assert fe.allclose(a[1:3], b[1:3], equal_nan=True)
    assert a[:1].allclose(fe.tensor([1.1]), rtol=0, atol=0.2)
    assert fe.allclose(fe.zeros(0), fe.zeros(0))
    assert fe.equal(fe.tensor([1, 2]), fe.tensor([1.0, 2.0]))
    assert not fe.equal(fe.tensor([1, 1]), fe.tensor([1]))
    assert not fe.equal(fe.tensor([math.nan]), fe.tensor([math.nan]))
    assert fe.zeros((0, 2)).equal(fe.zeros((0, 2)))
    with pytest.raises(TypeError, match="must be a Tensor"):
        fe.equal(fe.tensor([1]), 1)
    with pytest.raises(ValueError, match="must not be negative"):
        fe.isclose(a, b, rtol=-1.0)


def test_ends_of_functions() -> None:
    inf, nan = math.inf, math.nan
    x = fe.tensor([1e-30, 1.0, -1.0, 0.0, inf])
    np.testing.assert_array_equal(
        fe.ldexp(x, fe.tensor([200, 1000, -1000, 5000, -5000])).numpy(),
        np.array([np.ldexp(np.float32(1e-30), 200), inf, -0.0, 0.0, inf], np.float32),
    )
    np.testing.assert_array_equal(
        fe.xlogy(fe.tensor([0.0, 0.0, 1.0]), fe.tensor([0.0, nan, 0.0])).numpy(),
        [0.0, nan, -inf],
    )
    assert fe.sinc(fe.tensor([0.0])).tolist() == [1.0]
    assert fe.logaddexp(fe.tensor([-inf]), fe.tensor([-inf])).tolist() == [-inf]
    assert fe.logaddexp(fe.tensor([inf]), fe.tensor([inf])).tolist() == [inf]
    assert fe.hypot(fe.tensor([3e38]), fe.tensor([0.0])).item() == np.float32(3e38)
    one = fe.tensor([1.0, 0.0, -0.0, inf, nan], dtype=fe.bfloat16)
    after = fe.nextafter(one, fe.tensor(-inf, dtype=fe.bfloat16)).tolist()
    assert after[0] == 1 - 2**-8 and after[1] == after[2] == -(2.0**-133)
    assert after[3] == 3.3895313892515355e38 and math.isnan(after[4])
    assert fe.expm1(fe.tensor([1e-20])).item() == np.float32(1e-20)
    assert fe.log1p(fe.tensor([1e-20])).item() == np.float32(1e-20)
    assert fe.erfc(fe.tensor([5.0], dtype=fe.float64)).item() == math.erfc(5.0)
    assert fe.logit(fe.tensor([0.0, 1.0, 2.0]), eps=0.5).tolist() == [0.0, 0.0, 0.0]
    assert fe.float_power(fe.tensor([2], dtype=fe.int8), 100).item() == 2.0**100


def test_blends() -> None:
    a, b, c = (fe.tensor(v, dtype=fe.int64) for v in (2**62, 2**62, 3))
    with np.errstate(all="ignore"):
        wrapped = np.int64(2**62) + np.int64(2**62) * np.int64(3)
    assert fe.addcmul(a, b, c).item() == wrapped
    assert fe.addcmul(
        fe.tensor([1]), fe.tensor([2]), fe.tensor([3]), value=0.5
    ).tolist() == [4.0]
    assert fe.lerp(fe.tensor([0.1]), fe.tensor([0.7]), 1.0).item() == np.float32(0.7)
    assert fe.rsub(fe.tensor([1, 2]), 10, alpha=2).tolist() == [8, 6]
    with pytest.raises(fe.DTypeError, match="divides"):
        fe.addcdiv(fe.tensor([1]), fe.tensor([2]), fe.tensor([3]))
    with pytest.raises(fe.DTypeError, match="floating-point"):
        fe.lerp(fe.tensor([1]), fe.tensor([2]), 0.5)
    with pytest.raises(fe.DTypeError, match="integer tensors"):
        fe.gcd(fe.tensor([True]), fe.tensor([True]))
    x = fe.tensor([1.0])
    assert (+x).equal(x) and (+x).data_ptr() == x.data_ptr()
    with pytest.raises(fe.DTypeError, match="have no sign"):
        +fe.tensor([True])


def gradient(function: Any, *values: list[float]) -> list[Any]:
    leaves = [fe.tensor(v, dtype=fe.float64, requires_grad=True) for v in values]
    function(*leaves).sum().backward()
    return [t.grad.tolist() for t in leaves]


@pytest.mark.parametrize("count", [1, 5, 40, 100])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_special_values_in_rows(count: int, value: float) -> None:
    """A NaN anywhere in a row is in all of its softmax."""
    key = np.random.default_rng(count)
    rows = key.standard_normal((count + 1, count)).astype(np.float32)
    for k in range(count):
        rows[k, k] = value
    rows[count] = value
    with np.errstate(invalid="ignore"):
        top = rows.max(1, keepdims=True)
        e = np.exp((rows - top).astype(np.float64))
        p = e / e.sum(1, keepdims=True)
        log_p = rows - top - np.log(e.sum(1, keepdims=True))
    x = fe.tensor(rows)
    np.testing.assert_allclose(fe.softmax(x, -1).numpy(), p, rtol=1e-5)
    np.testing.assert_allclose(
        fe.log_softmax(x, -1).numpy(), log_p, rtol=1e-4, atol=1e-6
    )


def test_gradients_at_corners() -> None:
    """Where functions have corners or limits the rules are PyTorch's."""
    nan = math.nan
    assert gradient(lambda x: x.clamp(0, 1), [-1.0, 0.0, 0.5, 1.0, 2.0]) == [
        [0.0, 1.0, 1.0, 1.0, 0.0]
    ]
    assert gradient(fe.clamp, [0.0, 5.0, 1.0], [1.0, 1.0, 3.0], [4.0, 4.0, 2.0]) == [
        [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0]
    ]  # fmt: skip
    assert gradient(fe.fmax, [1.0, nan, 2.0], [1.0, 3.0, nan]) == [
        [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]
    ]  # fmt: skip
    assert gradient(fe.sinc, [0.0]) == [[0.0]]
    assert gradient(fe.frac, [0.5]) == [[1.0]] and gradient(fe.round, [0.4]) == [[0.0]]
    assert gradient(fe.copysign, [2.0, 0.0], [-1.0, 1.0]) == [[-1.0, 0.0], [0.0, 0.0]]
    assert gradient(lambda x: x.nan_to_num(), [nan, 1.0, math.inf]) == [[0.0, 1.0, 0.0]]
    assert gradient(fe.xlogy, [0.0, 2.0], [3.0, 1.0]) == [[0.0, 0.0], [0.0, 2.0]]


# --- shapes without dimensions and without elements


OF_ANY_SHAPE = ["floor_divide", "remainder", "bitwise_and", "lt", "logical_or",
                "bitwise_left_shift", "maximum"]  # fmt: skip


@pytest.mark.parametrize("name", OF_ANY_SHAPE)
def test_zero_dimensions_and_no_elements(name: str) -> None:
    function = getattr(fe, name)
    a, b = fe.tensor(7), fe.tensor(2)
    assert function(a, b).shape == ()
    assert function(a, 2).item() == function(a, b).item() == function(7, b).item()
    empty = fe.zeros((0, 3), dtype=fe.int64)
    assert function(empty, b).shape == (0, 3)
    assert function(empty, fe.zeros((1, 3), dtype=fe.int64)).shape == (0, 3)


# --- what is refused


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_integer_division_by_zero(name: str) -> None:
    function = getattr(fe, name)
    x = fe.tensor([5, 6])
    for divisor in (0, fe.tensor([1, 0]), fe.tensor(0)):
        with pytest.raises(ValueError, match=rf"\[{name}\] integer division by zero"):
            function(x, divisor)
    with pytest.raises(ValueError, match="division by zero"):
        getattr(x, f"{name}_")(0)
    assert x.tolist() == [5, 6]
    with pytest.raises(ValueError, match="division by zero"):
        fe.div(x, 0, rounding_mode="trunc")
    large = fe.zeros(100_000, dtype=fe.int32)
    with pytest.raises(ValueError, match="division by zero"):
        function(large, large)


def test_integer_powers() -> None:
    base = fe.tensor([2, -1, 3])
    assert (base ** fe.tensor([3, 3, 0])).tolist() == [8, -1, 1]
    with pytest.raises(ValueError, match=r"\[pow\].*negative integer power \(-1\)"):
        base ** fe.tensor([1, -1, 2])
    with pytest.raises(ValueError, match="negative integer power"):
        base**-1
    x = np.arange(-5, 6, dtype=np.int8)
    for exponent in range(8):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(
                (fe.tensor(x) ** exponent).numpy(), x ** np.int8(exponent)
            )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fe.tensor([1.5]) & 1, "bool and integer"),
        (lambda: ~fe.tensor([1.5]), "bool and integer"),
        (lambda: fe.tensor([True]) << True, "bool tensors are not shifted"),
        (lambda: fe.tensor([1.5]) << 1, "bool and integer"),
        (lambda: fe.tensor([True]) // True, "bool tensors are not divided"),
        (lambda: fe.tensor([True]) % True, "bool tensors are not divided"),
        (lambda: fe.floor(fe.tensor([True])), "bool tensors are not rounded"),
        (lambda: fe.frac(fe.tensor([1])), "floating-point"),
        (lambda: fe.clamp(fe.tensor([True]), True), "bool tensors have no limits"),
    ],
)
def test_refused_dtypes(call: Any, message: str) -> None:
    with pytest.raises(fe.DTypeError, match=message):
        call()


def test_rounding_mode_is_checked() -> None:
    with pytest.raises(ValueError, match='"floor" or "trunc", got "up"'):
        fe.div(fe.tensor([1]), 2, rounding_mode="up")


# --- names


@pytest.mark.parametrize(
    ("alias", "name"),
    [(alias, op["name"]) for op in fe._ferrule.op_table() for alias in op["aliases"]],
)
def test_aliases(alias: str, name: str) -> None:
    op = next(o for o in fe._ferrule.op_table() if o["name"] == name)
    assert f"`{name}`" in getattr(fe.ops, alias).__doc__
    if "function" in op["where"]:
        assert alias in fe._ferrule.op_functions()
    if "method" in op["where"]:
        assert hasattr(fe.Tensor, alias)
    assert hasattr(fe.Tensor, f"{alias}_") == op["has_inplace"]


def test_torch_has_the_same_aliases_and_in_place_forms() -> None:
    torch = pytest.importorskip("torch")
    for op in fe._ferrule.op_table():
        for name in (op["name"], *op["aliases"]):
            if "method" not in op["where"]:
                continue
            if name in ELEMENTWISE and hasattr(torch.Tensor, f"{name}_"):
                assert hasattr(fe.Tensor, f"{name}_"), name


ELEMENTWISE = {
    *(name for name, *_ in EXACT), *FUNCTIONS, *ARITHMETIC, *BITS, *SHIFTS,
    *DIVISIONS, *COMPARISONS, *OF_INTEGERS, *OF_FLOATS, "clamp", "pow", "sub",
}  # fmt: skip
