"""DLPack, the exchange of memory with other array libraries, both ways."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest

import ferrule as fe

DTYPES = {
    "bool": [[False, True], [True, False]],
    "uint8": [[0, 255], [1, 2]],
    "int8": [[0, -128], [1, 127]],
    "int16": [[0, -300], [1, 2]],
    "int32": [[0, -70000], [1, 2]],
    "int64": [[0, -(2**40)], [1, 2]],
    "float16": [[0, 1.5], [-2, np.inf]],
    "float32": [[0, 1.5], [-2, np.inf]],
    "float64": [[0, 1.5], [-2, np.inf]],
    "complex64": [[0, 1 + 2j], [-2, 3j]],
    "complex128": [[0, 1 + 2j], [-2, 3j]],
}


class Producer:
    """An array of NumPy's, with its own idea of the protocol."""

    def __init__(self, array, device=(1, 0), **request):
        self.array, self.device, self.request = array, device, request

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **kwargs):
        self.kwargs = kwargs
        return self.array.__dlpack__(**{**kwargs, **self.request})


class OldProducer(Producer):
    """From the time before DLPack 1.0: no arguments, a capsule of old."""

    def __dlpack__(self):
        return self.array.__dlpack__()


class Broken(Producer):
    def __dlpack__(self, **kwargs):
        raise ZeroDivisionError


def name_of(capsule):
    return repr(capsule).split('"')[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 2), (4,), (1, 4, 1)])
def test_with_numpy_without_copy(dtype, shape):
    a = np.array(DTYPES[dtype], dtype).reshape(shape)
    x = fe.from_dlpack(a)
    assert x.dtype.name == dtype
    assert x.data_ptr() == a.ctypes.data
    assert x.shape == shape
    assert x.tolist() == a.tolist()
    b = np.from_dlpack(x)
    assert b.dtype == a.dtype
    assert b.ctypes.data == a.ctypes.data
    assert b.flags.writeable
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[:, ::2],
        lambda a: a[1:, 1:],
        lambda a: a[0, 1],
        lambda a: np.broadcast_to(a[0], (2, 4)).copy()[:, :1],
    ],
)
def test_views_without_copy(view):
    a = view(np.arange(12.0).reshape(3, 4))
    x = fe.from_dlpack(np.asarray(a))
    assert x.tolist() == a.tolist()
    back = np.from_dlpack(x)
    assert back.tolist() == a.tolist()
    assert back.ctypes.data == x.data_ptr()


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)])
def test_odd_shapes(shape):
    a = np.ones(shape, np.float32)
    assert fe.from_dlpack(a).tolist() == a.tolist()
    assert fe.from_dlpack(a).shape == shape
    assert np.from_dlpack(fe.ones(shape)).shape == shape


def test_copy():
    a = np.arange(3.0)
    assert fe.from_dlpack(a, copy=False).data_ptr() == a.ctypes.data
    x = fe.from_dlpack(a, copy=True)
    assert x.data_ptr() != a.ctypes.data
    x.zero_()
    assert a.tolist() == [0, 1, 2]
    # A producer that knows no copy=True is copied here.
    x = fe.from_dlpack(OldProducer(a), copy=True)
    assert x.data_ptr() != a.ctypes.data
    y = fe.ones(3)
    assert np.from_dlpack(y, copy=True).ctypes.data != y.data_ptr()
    assert np.from_dlpack(y, copy=False).ctypes.data == y.data_ptr()
    assert fe.from_dlpack(y).data_ptr() == y.data_ptr()


def test_negative_strides_need_a_copy():
    a = np.arange(12.0).reshape(3, 4)[::-1, ::-2]
    assert fe.from_dlpack(a).tolist() == a.tolist()
    with pytest.raises(BufferError, match="negative strides"):
        fe.from_dlpack(a, copy=False)


def test_unaligned_elements_need_a_copy():
    data = np.frombuffer(b"x" + np.arange(4.0).tobytes(), np.float64, offset=1)
    assert fe.from_dlpack(data).tolist() == [0, 1, 2, 3]
    with pytest.raises(BufferError, match="aligned"):
        fe.from_dlpack(data, copy=False)


def test_read_only_memory_stays_read_only():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = fe.from_dlpack(a)
    assert x.data_ptr() == a.ctypes.data
    with pytest.raises(ValueError, match="read-only"):
        x.add_(1)
    assert not np.from_dlpack(x).flags.writeable
    with pytest.raises(BufferError, match="read-only"):
        x.__dlpack__()  # the capsule of old cannot tell
    x.clone().add_(1)


def test_capsules():
    x = fe.tensor([1.0, 2.0])
    assert name_of(x.__dlpack__()) == "dltensor"
    assert name_of(x.__dlpack__(max_version=(0, 8))) == "dltensor"
    assert name_of(x.__dlpack__(max_version=(1, 0))) == "dltensor_versioned"
    assert name_of(x.__dlpack__(max_version=(2, 0))) == "dltensor_versioned"
    for version in (None, (1, 0)):
        capsule = x.__dlpack__(max_version=version, dl_device=(1, 0), copy=False)
        y = fe.from_dlpack(capsule)
        assert y.data_ptr() == x.data_ptr()
        assert name_of(capsule).startswith("used_dltensor")
        with pytest.raises(ValueError, match="PyCapsule"):
            fe.from_dlpack(capsule)
    assert x.__dlpack_device__() == (1, 0)
    assert fe.from_dlpack(OldProducer(np.arange(3))).tolist() == [0, 1, 2]


def test_requests():
    p = Producer(np.arange(3.0))
    fe.from_dlpack(p)
    assert p.kwargs == {"max_version": (1, 1), "copy": None}
    # Memory elsewhere is asked for on the CPU, if the user says so.
    p = Producer(np.arange(3.0), device=(2, 0))
    with pytest.raises(fe.DeviceError, match='device="cpu"'):
        fe.from_dlpack(p)
    assert fe.from_dlpack(p, device="cpu").tolist() == [0, 1, 2]
    assert p.kwargs["dl_device"] == (1, 0)


def test_errors():
    x = fe.zeros(2)
    with pytest.raises(AttributeError):
        fe.from_dlpack(5)
    with pytest.raises(BufferError, match="detach"):
        fe.zeros(2, requires_grad=True).__dlpack__()
    with pytest.raises(ValueError, match="stream"):
        x.__dlpack__(stream=3)
    with pytest.raises(BufferError, match="CPU"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError, match="two ints"):
        x.__dlpack__(max_version=1)
    with pytest.raises(TypeError, match="copy"):
        fe.from_dlpack(x, copy=1)
    with pytest.raises(TypeError, match="device"):
        fe.from_dlpack(x, device=1)
    with pytest.raises(fe.DTypeError):
        fe.from_dlpack(np.zeros(2, np.uint32))
    with pytest.raises(fe.ShapeError, match="9 dimensions"):
        fe.from_dlpack(np.zeros((1,) * 9))
    with pytest.raises(TypeError, match="two ints"):
        fe.from_dlpack(Producer(np.zeros(2), device=None))
    with pytest.raises(ZeroDivisionError):
        fe.from_dlpack(Broken(np.zeros(2)))


def test_memory_lives_as_long_as_its_users():
    a = np.from_dlpack(fe.tensor([1.0, 2.0]))
    gc.collect()
    assert a.tolist() == [1, 2]

    class Array(np.ndarray):
        pass

    owner = np.arange(4.0).view(Array)
    gone = weakref.ref(owner)
    x = fe.from_dlpack(owner)[1:]
    del owner
    gc.collect()
    assert x.tolist() == [1, 2, 3]
    assert gone() is not None
    del x
    gc.collect()
    assert gone() is None


def test_capsules_that_nobody_takes_do_not_leak():
    script = """
import resource, ferrule as fe
x = fe.zeros(250_000)
def grow():
    for _ in range(300):
        x.__dlpack__(copy=True)
        x.__dlpack__(copy=True, max_version=(1, 0))
        try:
            fe.from_dlpack(x.__dlpack__(copy=True), device=1)
        except TypeError:
            pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = grow()
assert grow() < before + 50_000, "a megabyte for each would be 900 of them"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_with_torch(dtype):
    torch = pytest.importorskip("torch")
    t = torch.tensor(DTYPES.get(dtype, [[1.0, 2], [3, 4]])).to(getattr(torch, dtype))
    x = fe.from_dlpack(t)
    assert x.data_ptr() == t.data_ptr()
    assert x.dtype.name == dtype
    assert x.tolist() == t.tolist()
    back = torch.from_dlpack(x)
    assert back.dtype is t.dtype
    assert back.data_ptr() == t.data_ptr()
    assert fe.from_dlpack(t.mT).tolist() == t.mT.tolist()
    assert torch.from_dlpack(x.mT).tolist() == t.mT.tolist()


def test_writes_show_in_torch():
    torch = pytest.importorskip("torch")
    x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    t = torch.from_dlpack(x)
    t[0, 0] = 9
    x[1, 1] = 7
    assert x.tolist() == t.tolist() == [[9, 2], [3, 7]]


def test_with_jax():
    jax = pytest.importorskip("jax")
    a = jax.numpy.arange(4.0)
    x = fe.from_dlpack(a)
    assert x.tolist() == [0, 1, 2, 3]
    assert jax.dlpack.from_dlpack(fe.ones(3)).tolist() == [1, 1, 1]
