"""Memory shared with NumPy and others: buffers, arrays, DLPack."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import ferrule as fe
from ferrule._ferrule import from_dlpack

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_and_back_without_copy(dtype):
    a = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    x = fe.from_numpy(a)
    assert x.dtype.name == dtype
    assert x.data_ptr() == a.ctypes.data
    assert x.tolist() == a.tolist()
    b = x.numpy()
    assert b.dtype == a.dtype
    assert b.ctypes.data == a.ctypes.data
    assert np.asarray(x).ctypes.data == a.ctypes.data


def test_writes_show_on_both_sides():
    a = np.zeros(3, np.float32)
    x = fe.from_numpy(a)
    a[0] = 5
    x[1] = 7
    assert x.tolist() == a.tolist() == [5, 7, 0]
    b = x.numpy()
    b[2] = 9
    assert x.tolist() == [5, 7, 9]


@pytest.mark.parametrize(
    "view", [lambda a: a.T, lambda a: a[:, ::2], lambda a: a[1:], lambda a: a[0]]
)
def test_strided_arrays(view):
    a = view(np.arange(12, dtype=np.float64).reshape(3, 4))
    x = fe.from_numpy(a)
    assert x.tolist() == a.tolist()
    assert x.numpy().strides == a.strides
    assert (x + 0).tolist() == a.tolist()


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1)])
def test_odd_shapes(shape):
    a = np.ones(shape, np.float32)
    assert fe.from_numpy(a).shape == shape
    assert fe.tensor(a).numpy().shape == shape
    assert fe.zeros(shape).numpy().shape == shape


def test_from_numpy_refuses():
    a = np.arange(4.0)
    with pytest.raises(ValueError, match="copy"):
        fe.from_numpy(a[::-1])
    a.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        fe.from_numpy(a)
    with pytest.raises(fe.DTypeError, match="astype"):
        fe.from_numpy(np.zeros(2, ">f4"))
    with pytest.raises(fe.DTypeError):
        fe.from_numpy(np.zeros(2, np.uint32))
    with pytest.raises((TypeError, ValueError)):
        fe.from_numpy(np.array(["a"]))
    with pytest.raises(TypeError, match="NumPy array"):
        fe.from_numpy([1, 2])
    with pytest.raises(fe.ShapeError):
        fe.from_numpy(np.zeros((1,) * 9))


def test_tensor_copies_every_array():
    a = np.arange(6.0)
    for b in (a[::-1], a[::2], a.reshape(2, 3).T):
        x = fe.tensor(b)
        assert x.dtype is fe.float64
        assert x.is_contiguous()
        assert x.tolist() == b.tolist()
    a.flags.writeable = False
    assert fe.tensor(a).tolist() == a.tolist()
    assert fe.as_tensor(a).tolist() == a.tolist()
    b = np.zeros(2)
    assert fe.as_tensor(b).data_ptr() == b.ctypes.data


def test_memory_lives_as_long_as_its_users():
    class Array(np.ndarray):
        pass

    a = np.arange(4.0).view(Array)
    gone = weakref.ref(a)
    x = fe.from_numpy(a)
    y = x[1:]
    del a, x
    gc.collect()
    assert y.tolist() == [1, 2, 3]
    assert gone() is not None
    del y
    gc.collect()
    assert gone() is None

    b = fe.tensor([1.0, 2.0]).numpy()
    gc.collect()
    assert b.tolist() == [1, 2]


def test_arrays_survive_a_replaced_tensor():
    x = fe.tensor([1.0, 2.0])
    b, view = x.numpy(), memoryview(x)
    x._replace(fe.zeros(5))
    assert b.tolist() == [1, 2]
    assert view.tolist() == [1, 2]


def test_memoryview():
    view = memoryview(fe.arange(6).reshape(2, 3))
    assert (view.format, view.shape, view.strides) == ("l", (2, 3), (24, 8))
    assert view.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(BufferError):
        bytes(memoryview(fe.zeros(2, requires_grad=True)))


def test_array_protocol():
    x = fe.tensor([1.5, 2.5])
    assert np.asarray(x, dtype=np.int64).tolist() == [1, 2]
    assert np.array(x).tolist() == [1.5, 2.5]
    assert np.sin(x).dtype == np.float32
    assert np.array(x).ctypes.data != x.data_ptr()


def test_what_cannot_become_an_array():
    x = fe.tensor([1.0], requires_grad=True)
    with pytest.raises(fe.AutogradError, match="detach"):
        x.numpy()
    with pytest.raises(fe.AutogradError, match="detach"):
        np.asarray(x)
    assert x.detach().numpy().tolist() == [1]
    with pytest.raises(RuntimeError, match="bfloat16"):
        fe.tensor([1.0]).bfloat16().numpy()


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_with_numpy(dtype):
    x = fe.tensor([[0, 1], [1, 0]], dtype=getattr(fe, dtype))
    a = np.from_dlpack(x)
    assert a.dtype == dtype
    assert a.tolist() == x.tolist()
    assert a.ctypes.data == x.data_ptr()
    y = from_dlpack(np.array([[0, 1], [1, 0]], dtype))
    assert y.dtype.name == dtype
    assert y.tolist() == [[0, 1], [1, 0]]


def test_dlpack_keeps_memory_alive():
    a = np.from_dlpack(fe.tensor([1.0, 2.0]))
    gc.collect()
    assert a.tolist() == [1, 2]
    y = from_dlpack(np.arange(3.0))
    gc.collect()
    assert y.tolist() == [0, 1, 2]
    fe.zeros(3).__dlpack__()  # a capsule that nobody takes


def test_dlpack_errors():
    with pytest.raises(AttributeError):
        from_dlpack(5)
    with pytest.raises(BufferError):
        fe.zeros(2, requires_grad=True).__dlpack__()
    capsule = fe.zeros(3).__dlpack__()
    from_dlpack(capsule)
    with pytest.raises(ValueError):
        from_dlpack(capsule)


def test_dlpack_with_torch():
    torch = pytest.importorskip("torch")
    x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    t = torch.from_dlpack(x)
    t[0, 0] = 9
    assert x.tolist() == [[9, 2], [3, 4]]
    y = from_dlpack(torch.arange(6).reshape(2, 3).T)
    assert y.tolist() == [[0, 3], [1, 4], [2, 5]]
    b = from_dlpack(torch.ones(2, dtype=torch.bfloat16))
    assert b.dtype is fe.bfloat16
    assert b.tolist() == [1, 1]
