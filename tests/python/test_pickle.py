"""Pickling, copy and deepcopy of tensors and what belongs to them."""

from __future__ import annotations

import copy
import pickle

import pytest

import ferrule as fe

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
]


class Tagged(fe.Tensor):
    """A subclass with an attribute."""


def round_trip(x, protocol):
    return pickle.loads(pickle.dumps(x, protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_pickle_dtypes(protocol, dtype):
    x = fe.tensor([[0, 1, 2], [3, 4, 5]], dtype=getattr(fe, dtype))
    y = round_trip(x, protocol)
    assert type(y) is fe.Tensor
    assert y.dtype is x.dtype
    assert y.tolist() == x.tolist()
    assert y.data_ptr() != x.data_ptr()
    y.zero_()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickle_shapes_views_and_grad(protocol):
    for shape in ((), (0,), (2, 0, 3), (1, 1)):
        assert round_trip(fe.ones(shape), protocol).shape == shape
    big = fe.arange(100_000.0)
    for view in (big[5:8], big[::50_000], big[:6].reshape(2, 3).mT):
        data = pickle.dumps(view, protocol)
        assert len(data) < 500
        assert pickle.loads(data).tolist() == view.tolist()
    x = fe.ones(2, requires_grad=True)
    assert round_trip(x, protocol).requires_grad
    with pytest.raises(fe.AutogradError, match="detach"):
        pickle.dumps(x * 2, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickle_classes(protocol):
    p = round_trip(fe.nn.Parameter(fe.ones(2), requires_grad=False), protocol)
    assert type(p) is fe.nn.Parameter
    assert not p.requires_grad
    p = round_trip(fe.nn.Parameter(fe.ones(2)), protocol)
    assert p.requires_grad
    assert p.is_leaf
    x = Tagged([1.0, 2.0])
    x.tag = ["a"]
    for y in (round_trip(x, protocol), copy.copy(x), copy.deepcopy(x)):
        assert type(y) is Tagged
        assert y.tag == ["a"]
        assert y.tolist() == [1, 2]
    assert copy.copy(x).tag is x.tag
    assert copy.deepcopy(x).tag is not x.tag
    for o in (fe.float32, fe.bool, fe.device("cpu")):
        assert round_trip(o, protocol) == o
    assert round_trip(fe.int8, protocol) is fe.int8
    assert type(round_trip(fe.ones(3).size, protocol)) is int


def test_out_of_band_buffers_are_not_copied():
    x = fe.arange(1000.0)
    buffers = []
    data = pickle.dumps(x, 5, buffer_callback=buffers.append)
    assert len(data) < 300
    assert len(buffers) == 1
    assert buffers[0].raw().nbytes == x.nbytes
    x[0] = 7  # seen: the buffer is the memory of x
    assert pickle.loads(data, buffers=buffers).tolist() == x.tolist()


def test_damaged_pickles():
    rebuild, (data, dtype, shape, grad, cls), _ = fe.ones(2).__reduce_ex__(2)
    for bad in (
        (data[:-1], dtype, shape, grad, cls),
        (data, "float33", shape, grad, cls),
        (data, dtype, (3,), grad, cls),
        (data, dtype, (-2,), grad, cls),
        (data, dtype, (2**62, 4), grad, cls),
        (data, dtype, ("2",), grad, cls),
        (data, dtype, (1,) * 9, grad, cls),
        (data, dtype, shape, grad, int),
    ):
        with pytest.raises((fe.FormatError, fe.ShapeError)):
            rebuild(*bad)


def test_copy_is_the_same_tensor():
    x = fe.ones(2, requires_grad=True)
    y = copy.copy(x)
    assert y is not x
    assert y.data_ptr() == x.data_ptr()
    (y * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]
    p = fe.nn.Parameter(fe.ones(2))
    assert type(copy.copy(p)) is fe.nn.Parameter


def test_deepcopy_keeps_gradients():
    x = fe.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad
    assert y.is_leaf
    assert y.grad.tolist() == [3, 3]
    y.grad.zero_()
    y.data.zero_()
    assert x.tolist() == [1, 1]
    assert x.grad.tolist() == [3, 3]
    a, b = copy.deepcopy([x, x])
    assert a is b
    with pytest.raises(fe.AutogradError, match="detach"):
        copy.deepcopy(x * 2)
    # Parameters leave theirs behind, as in PyTorch.
    p = fe.nn.Parameter(fe.ones(2))
    p.sum().backward()
    assert copy.deepcopy(p).grad is None
