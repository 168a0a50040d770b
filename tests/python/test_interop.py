"""Memory shared with NumPy and others: buffers, arrays, DLPack."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import ferrule as fe

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


def test_read_only_arrays_are_shared_as_such():
    a = np.arange(4.0)
    a.flags.writeable = False
    x = fe.from_numpy(a)
    assert x.data_ptr() == a.ctypes.data
    view = x[1:]
    for write in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: view.mul_(2),
        lambda: x.__setitem__(0, 5.0),
        lambda: x.detach().fill_(3.0),
    ):
        with pytest.raises(ValueError, match=r"read-only.*clone"):
            write()
    assert a.tolist() == x.tolist() == [0, 1, 2, 3]
    assert (x + 1).add_(1).tolist() == [2, 3, 4, 5]
    assert x.clone().zero_().tolist() == [0] * 4
    assert not x.numpy().flags.writeable
    assert memoryview(x).readonly
    assert memoryview(x.clone()).readonly is False


def test_as_tensor_copies_what_cannot_be_shared():
    a = np.arange(4.0)
    assert fe.as_tensor(a[::-1]).tolist() == [3, 2, 1, 0]
    unaligned = np.frombuffer(b"x" + a.tobytes(), np.float64, offset=1)
    assert fe.as_tensor(unaligned).tolist() == a.tolist()
    with pytest.raises(ValueError, match="aligned"):
        fe.from_numpy(unaligned)


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


def test_numpy_force():
    x = fe.tensor([1.0, 2.0], requires_grad=True)
    assert x.numpy(force=True).ctypes.data == x.data_ptr()
    assert (x * 2).numpy(force=True).tolist() == [2, 4]


def test_operators_with_numpy_give_tensors():
    x = fe.tensor([1.0, 2.0])
    a = np.array([3.0, 4.0], np.float32)
    for result, want in (
        (a + x, [4, 6]),
        (x + a, [4, 6]),
        (a / x, [3, 2]),
        (a**x, [3, 16]),
        (a @ x, 11),
        (x @ a, 11),
        (a < x, [False, False]),
        (a == x, [False, False]),
        (np.float64(2) * x, [2, 4]),
        (np.float32(2) - x, [1, 0]),
        (np.int64(2) / x, [2, 1]),
        (np.array(2.0) * x, [2, 4]),
        (x * np.float64(2), [2, 4]),
    ):
        assert type(result) is fe.Tensor
        assert result.dtype in (fe.float32, fe.bool)
        assert result.tolist() == want
    g = x.clone().requires_grad_()
    (a * g).sum().backward()
    assert g.grad.tolist() == [3, 4]


def test_functions_of_numpy_give_arrays():
    x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    a = x.numpy()
    for f in (
        np.sin,
        np.sum,
        np.mean,
        lambda x: np.max(x, axis=1),
        lambda x: np.add(x, x),
        lambda x: np.add(a, x),
        lambda x: np.concatenate([x, a]),
        lambda x: np.stack((x, x)),
        lambda x: np.where(a > 2, x, a),
        lambda x: np.einsum("ij,jk", x, x),
        lambda x: np.linalg.norm(x),
        lambda x: np.clip(x, a_min=x, a_max=3),
    ):
        got, want = f(x), f(a)
        assert type(got) is type(want)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    out = np.empty((2, 2), np.float32)
    assert np.add(a, x, out=out) is out
    assert out.tolist() == [[2, 4], [6, 8]]
    with pytest.raises(TypeError):
        np.add(a, x, out=x)
    with pytest.raises(fe.AutogradError, match="detach"):
        np.sum(x.clone().requires_grad_())
    assert np.array([x, x]).dtype == np.float32


def test_buffer_flags():
    x = fe.arange(6, dtype=fe.int32).reshape(2, 3)
    assert bytes(x) == x.numpy().tobytes()
    assert bytes(x.mT) == x.numpy().T.tobytes()
    assert bytes(fe.tensor([3], dtype=fe.uint8)) == b"\x03"
    assert not memoryview(x.mT).c_contiguous
    assert memoryview(fe.zeros((2, 0))).nbytes == 0
    view = memoryview(x)
    view[0, 1] = 7
    assert x[0, 1].item() == 7


def test_no_cuda_interface_on_the_cpu():
    with pytest.raises(AttributeError):
        fe.zeros(1).__cuda_array_interface__  # noqa: B018


def test_to_device():
    x = fe.zeros(2)
    assert x.to_device("cpu") is x
    assert x.to_device(x.device, stream=None) is x
    with pytest.raises(fe.DeviceError):
        x.to_device("abacus")
    with pytest.raises(ValueError, match="stream"):
        x.to_device("cpu", stream=1)


def test_size_is_a_number_and_a_function():
    x = fe.zeros((2, 3))
    assert x.size == 6 == len(range(x.size))
    assert (x.size + 1, x.size // 4, repr(x.size)) == (7, 1, "6")
    assert type(x.size * 2) is int
    assert x.size() == (2, 3)
    assert x.size(1) == x.size(dim=-1) == 3
    assert fe.zeros(()).size == 1
    assert isinstance(x.size, int)
    with pytest.raises(fe.IndexOutOfRange):
        x.size(2)
