"""ferrule.array_api: the names and signatures of the standard, some behaviours.

The standard's own suite checks the rest: FERRULE_ARRAY_API_TESTS names a checkout
of it (see tools/array-api-tests) for the last test here.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
import ferrule.array_api as xp

# The standard's functions and their signatures, without types.
FUNCTIONS = [
    "",
    "__array_namespace_info__()",
    "abs(x, /)",
    "acos(x, /)",
    "acosh(x, /)",
    "add(x1, x2, /)",
    "all(x, /, *, axis=None, keepdims=False)",
    "any(x, /, *, axis=None, keepdims=False)",
    "arange(start, /, stop=None, step=1, *, dtype=None, device=None)",
    "argmax(x, /, *, axis=None, keepdims=False)",
    "argmin(x, /, *, axis=None, keepdims=False)",
    "argsort(x, /, *, axis=-1, descending=False, stable=True)",
    "asarray(obj, /, *, dtype=None, device=None, copy=None)",
    "asin(x, /)",
    "asinh(x, /)",
    "astype(x, dtype, /, *, copy=True, device=None)",
    "atan(x, /)",
    "atan2(x1, x2, /)",
    "atanh(x, /)",
    "bitwise_and(x1, x2, /)",
    "bitwise_invert(x, /)",
    "bitwise_left_shift(x1, x2, /)",
    "bitwise_or(x1, x2, /)",
    "bitwise_right_shift(x1, x2, /)",
    "bitwise_xor(x1, x2, /)",
    "broadcast_arrays(*arrays)",
    "broadcast_shapes(*shapes)",
    "broadcast_to(x, /, shape)",
    "can_cast(from_, to, /)",
    "ceil(x, /)",
    "clip(x, /, min=None, max=None)",
    "concat(arrays, /, *, axis=0)",
    "conj(x, /)",
    "copysign(x1, x2, /)",
    "cos(x, /)",
    "cosh(x, /)",
    "count_nonzero(x, /, *, axis=None, keepdims=False)",
    "cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)",
    "cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)",
    "diff(x, /, *, axis=-1, n=1, prepend=None, append=None)",
    "divide(x1, x2, /)",
    "empty(shape, *, dtype=None, device=None)",
    "empty_like(x, /, *, dtype=None, device=None)",
    "equal(x1, x2, /)",
    "exp(x, /)",
    "expand_dims(x, /, axis)",
    "expm1(x, /)",
    "eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)",
    "flip(x, /, *, axis=None)",
    "floor(x, /)",
    "floor_divide(x1, x2, /)",
    "from_dlpack(x, /, *, device=None, copy=None)",
    "full(shape, fill_value, *, dtype=None, device=None)",
    "full_like(x, /, fill_value, *, dtype=None, device=None)",
    "greater(x1, x2, /)",
    "greater_equal(x1, x2, /)",
    "hypot(x1, x2, /)",
    "imag(x, /)",
    "isdtype(dtype, kind)",
    "isfinite(x, /)",
    "isin(x1, x2, /, *, invert=False)",
    "isinf(x, /)",
    "isnan(x, /)",
    "less(x1, x2, /)",
    "less_equal(x1, x2, /)",
    "linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)",
    "log(x, /)",
    "log10(x, /)",
    "log1p(x, /)",
    "log2(x, /)",
    "logaddexp(x1, x2, /)",
    "logical_and(x1, x2, /)",
    "logical_not(x, /)",
    "logical_or(x1, x2, /)",
    "logical_xor(x1, x2, /)",
    "matmul(x1, x2, /)",
    "matrix_transpose(x, /)",
    "max(x, /, *, axis=None, keepdims=False)",
    "maximum(x1, x2, /)",
    "mean(x, /, *, axis=None, keepdims=False)",
    "meshgrid(*arrays, indexing='xy')",
    "min(x, /, *, axis=None, keepdims=False)",
    "minimum(x1, x2, /)",
    "moveaxis(x, source, destination, /)",
    "multiply(x1, x2, /)",
    "negative(x, /)",
    "nextafter(x1, x2, /)",
    "nonzero(x, /)",
    "not_equal(x1, x2, /)",
    "ones(shape, *, dtype=None, device=None)",
    "ones_like(x, /, *, dtype=None, device=None)",
    "permute_dims(x, /, axes)",
    "positive(x, /)",
    "pow(x1, x2, /)",
    "prod(x, /, *, axis=None, dtype=None, keepdims=False)",
    "real(x, /)",
    "reciprocal(x, /)",
    "remainder(x1, x2, /)",
    "repeat(x, repeats, /, *, axis=None)",
    "reshape(x, /, shape, *, copy=None)",
    "result_type(*arrays_and_dtypes)",
    "roll(x, /, shift, *, axis=None)",
    "round(x, /)",
    "searchsorted(x1, x2, /, *, side='left', sorter=None)",
    "sign(x, /)",
    "signbit(x, /)",
    "sin(x, /)",
    "sinh(x, /)",
    "sort(x, /, *, axis=-1, descending=False, stable=True)",
    "sqrt(x, /)",
    "square(x, /)",
    "squeeze(x, /, axis)",
    "stack(arrays, /, *, axis=0)",
    "std(x, /, *, axis=None, correction=0.0, keepdims=False)",
    "subtract(x1, x2, /)",
    "sum(x, /, *, axis=None, dtype=None, keepdims=False)",
    "take(x, indices, /, *, axis=None)",
    "take_along_axis(x, indices, /, *, axis=-1)",
    "tan(x, /)",
    "tanh(x, /)",
    "tensordot(x1, x2, /, *, axes=2)",
    "tile(x, repetitions, /)",
    "tril(x, /, *, k=0)",
    "triu(x, /, *, k=0)",
    "trunc(x, /)",
    "unique_all(x, /)",
    "unique_counts(x, /)",
    "unique_inverse(x, /)",
    "unique_values(x, /)",
    "unstack(x, /, *, axis=0)",
    "var(x, /, *, axis=None, correction=0.0, keepdims=False)",
    "vecdot(x1, x2, /, *, axis=-1)",
    "where(condition, x1, x2, /)",
    "zeros(shape, *, dtype=None, device=None)",
    "zeros_like(x, /, *, dtype=None, device=None)",
    "",
][1:-1]
OTHERS = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "e",
    "fft",
    "inf",
    "nan",
    "newaxis",
    "pi",
    "finfo",
    "iinfo",
    "__array_api_version__",
]
# The extension fft.
TRANSFORMS = [
    "fft(x, /, *, n=None, axis=-1, norm='backward')",
    "ifft(x, /, *, n=None, axis=-1, norm='backward')",
    "rfft(x, /, *, n=None, axis=-1, norm='backward')",
    "irfft(x, /, *, n=None, axis=-1, norm='backward')",
    "hfft(x, /, *, n=None, axis=-1, norm='backward')",
    "ihfft(x, /, *, n=None, axis=-1, norm='backward')",
    "fftn(x, /, *, s=None, axes=None, norm='backward')",
    "ifftn(x, /, *, s=None, axes=None, norm='backward')",
    "rfftn(x, /, *, s=None, axes=None, norm='backward')",
    "irfftn(x, /, *, s=None, axes=None, norm='backward')",
    "fftfreq(n, /, *, d=1.0, dtype=None, device=None)",
    "rfftfreq(n, /, *, d=1.0, dtype=None, device=None)",
    "fftshift(x, /, *, axes=None)",
    "ifftshift(x, /, *, axes=None)",
]
TENSOR = [
    "dtype",
    "device",
    "mT",
    "ndim",
    "shape",
    "size",
    "T",
    "__abs__",
    "__add__",
    "__and__",
    "__array_namespace__",
    "__bool__",
    "__complex__",
    "__dlpack__",
    "__dlpack_device__",
    "__eq__",
    "__float__",
    "__floordiv__",
    "__ge__",
    "__getitem__",
    "__gt__",
    "__index__",
    "__int__",
    "__invert__",
    "__le__",
    "__lshift__",
    "__lt__",
    "__matmul__",
    "__mod__",
    "__mul__",
    "__ne__",
    "__neg__",
    "__or__",
    "__pos__",
    "__pow__",
    "__rshift__",
    "__setitem__",
    "__sub__",
    "__truediv__",
    "__xor__",
    "to_device",
    "__iadd__",
    "__isub__",
    "__imul__",
    "__itruediv__",
    "__ifloordiv__",
    "__ipow__",
    "__imod__",
    "__iand__",
    "__ior__",
    "__ixor__",
    "__ilshift__",
    "__irshift__",
    "__radd__",
    "__rsub__",
    "__rmul__",
    "__rtruediv__",
    "__rfloordiv__",
    "__rpow__",
    "__rmod__",
    "__rand__",
    "__ror__",
    "__rxor__",
    "__rlshift__",
    "__rrshift__",
    "__rmatmul__",
]


@pytest.mark.parametrize(
    ("space", "line"),
    [(xp, line) for line in FUNCTIONS] + [(xp.fft, line) for line in TRANSFORMS],
)
def test_signature(space, line):
    function = getattr(space, line[: line.index("(")])
    signature = inspect.signature(function)
    bare = signature.replace(
        parameters=[
            p.replace(annotation=inspect.Parameter.empty)
            for p in signature.parameters.values()
        ],
        return_annotation=inspect.Signature.empty,
    )
    assert function.__name__ + str(bare) == line
    assert function.__doc__


def test_names():
    standard = {line[: line.index("(")] for line in FUNCTIONS}.union(OTHERS)
    assert set(xp.__all__) == standard
    assert len(xp.__all__) == len(standard)
    for name in xp.__all__:
        assert hasattr(xp, name)
    for name in TENSOR:
        assert hasattr(fe.Tensor, name), name
    assert not hasattr(xp, "linalg")
    assert set(xp.fft.__all__) == {line[: line.index("(")] for line in TRANSFORMS}


def test_namespace_of_tensors():
    x = fe.zeros(2)
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(ValueError, match=r"2031\.12"):
        x.__array_namespace__(api_version="2031.12")


def test_info():
    info = xp.__array_namespace_info__()
    assert info.capabilities()["max dimensions"] == 8
    assert info.default_device() in info.devices()
    assert info.default_dtypes()["real floating"] is fe.float32
    assert set(info.dtypes(kind="signed integer")) == {
        "int8",
        "int16",
        "int32",
        "int64",
    }
    assert info.dtypes()["bool"] is xp.bool
    with pytest.raises(ValueError, match="uint"):
        info.dtypes(kind="uint")


def test_asarray():
    a = np.arange(3.0)
    x = xp.asarray(a)
    assert x.data_ptr() == a.ctypes.data
    assert xp.asarray(x) is x
    assert xp.asarray(x, copy=True).data_ptr() != x.data_ptr()
    assert xp.asarray(a, copy=True).data_ptr() != a.ctypes.data
    assert xp.asarray(a, copy=False).data_ptr() == a.ctypes.data
    assert xp.asarray(bytearray(b"ab")).tolist() == [97, 98]
    assert xp.asarray(memoryview(a)[1:]).tolist() == [1, 2]
    assert xp.asarray([[1, 2]], dtype=xp.float64).dtype is fe.float64
    for bad in ({"obj": [1], "dtype": None}, {"obj": x, "dtype": xp.float32}):
        with pytest.raises(ValueError, match="cop"):
            xp.asarray(bad["obj"], dtype=bad["dtype"], copy=False)


def test_numbers_are_weak_operands():
    x = fe.tensor([1, 2], dtype=fe.int8)
    assert xp.add(x, 1).dtype is fe.int8
    assert xp.subtract(1, x).tolist() == [0, -1]
    assert xp.multiply(2.5, x).dtype is fe.float32


def test_no_axes_reduce_nothing():
    x = fe.tensor([[1.0, 2.0]])
    for keepdims in (False, True):
        assert xp.sum(x, axis=(), keepdims=keepdims).tolist() == x.tolist()
        assert xp.max(x, axis=(), keepdims=keepdims).tolist() == x.tolist()
        assert xp.var(x, axis=(), keepdims=keepdims).tolist() == [[0, 0]]
    assert xp.sum(fe.tensor(3.0)).tolist() == 3


def test_var_takes_fractions_for_correction():
    x = fe.tensor([1.0, 2.0, 4.0, 9.0], dtype=fe.float64)
    deviations = np.sum((x.numpy() - 4) ** 2)
    for c in (0, 1, 0.5, 2.25):
        want = deviations / (4 - c)
        assert abs(xp.var(x, correction=c).item() - want) < 1e-12
    assert xp.var(x, correction=4.5).item() == float("inf")


def test_unique_complex_numbers():
    z = np.array([[1 + 2j, 1 - 2j], [1 + 2j, complex(1, np.nan)], [0, 1 - 2j]])
    u = xp.unique_all(fe.tensor(z))
    assert u.values.tolist()[:3] == [0, 1 - 2j, 1 + 2j]
    assert u.indices.tolist() == [4, 1, 0, 3]
    assert u.counts.tolist() == [1, 2, 2, 1]
    assert u.inverse_indices.tolist() == [[2, 1], [2, 3], [0, 1]]
    assert xp.unique_values(fe.zeros(0, dtype=xp.complex64)).shape == (0,)


def test_eye():
    for k in (-(10**30), -9, -2, 0, 1, 9, 10**30):
        want = np.eye(3, 4, k=max(-4, min(k, 5)))
        assert xp.eye(3, 4, k=k).tolist() == want.tolist()


def test_gradients_flow():
    x = fe.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = xp.permute_dims(x, (1, 0))
    xp.sum(xp.multiply(y, y), axis=(0, 1)).backward()
    assert x.grad.tolist() == [[2, 4], [6, 8]]


def test_errors():
    x = fe.zeros((2, 1, 3))
    with pytest.raises(ValueError, match="axis 0"):
        xp.squeeze(x, 0)
    with pytest.raises(IndexError):
        xp.sum(x, axis=3)
    with pytest.raises(IndexError):
        xp.expand_dims(x, 4)
    with pytest.raises(ValueError, match="broadcast"):
        xp.broadcast_shapes((2, 3), (3, 2))
    with pytest.raises(ValueError, match="axis"):
        xp.cumulative_sum(x)
    with pytest.raises(ValueError, match="kind"):
        xp.isdtype(fe.int8, "integer")
    with pytest.raises(ValueError):
        xp.reshape(fe.ones((2, 3)).mT, (6,), copy=False)
    assert xp.broadcast_shapes((None, 3), (1, 1)) == (None, 3)
    assert xp.broadcast_shapes() == ()


SUITE = os.environ.get("FERRULE_ARRAY_API_TESTS")


def test_two_numbers_are_no_operands():
    with pytest.raises(TypeError, match="one of two operands must be an array, got 1"):
        xp.add(1, 2.0)


if SUITE:

    def test_conformance_suite():
        root = Path(__file__).parents[2]
        lists = root / "tests" / "array_api"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("--rootdir", SUITE, "-c", "pytest.ini"),
                *("-o", "xfail_strict=true", "--hypothesis-disable-deadline"),
                *("--max-examples", "20", "array_api_tests"),
                *("--xfails-file", lists / "xfails.txt"),
                *("--skips-file", lists / "skips.txt"),
            ],
            cwd=SUITE,
            env=os.environ | {"ARRAY_API_TESTS_MODULE": "ferrule.array_api"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-5000:]
