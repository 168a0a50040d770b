"""Results so large that they are written past the caches (runtime/cpu/stream.h)."""

import numpy as np
import pytest

import ferrule as fe
from ferrule.nn import functional as F

# A little more than 16 MiB of float32, and no multiple of any vector or tile.
COUNT = (1 << 22) + 4099


@pytest.fixture(scope="module")
def arrays():
    key = np.random.default_rng(0)
    return [key.standard_normal(COUNT, np.float32) for _ in range(2)]


@pytest.fixture(params=[1, 2])
def threads(request):
    before = fe.get_num_threads()
    fe.set_num_threads(request.param)
    yield
    fe.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_elementwise(arrays):
    a, b = arrays
    x, y = fe.tensor(a), fe.tensor(b)
    assert np.array_equal((x + y).numpy(), a + b)
    assert np.array_equal((x * 1.5).numpy(), a * np.float32(1.5))
    assert np.array_equal(fe.relu(x).numpy(), np.maximum(a, 0))
    assert np.array_equal(x.clone().numpy(), a)
    assert np.allclose(fe.exp(x).numpy(), np.exp(a), rtol=1e-6)


@pytest.mark.usefixtures("threads")
def test_in_place_and_into_views(arrays):
    a, b = arrays
    x = fe.tensor(a)
    x += fe.tensor(b)
    assert np.array_equal(x.numpy(), a + b)
    # Starts three elements into the memory: no multiple of a line.
    whole = fe.zeros(COUNT + 7)
    whole[3:-4] = fe.tensor(a)
    assert np.array_equal(whole.numpy()[3:-4], a)
    assert whole[:3].tolist() == [0.0] * 3
    assert whole[-4:].tolist() == [0.0] * 4


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("start", [0, 3, 16])
def test_same_bits_as_small_results(arrays, start):
    """Functions write past the caches themselves, from wherever a line starts."""
    a, b = (array[start:] for array in arrays)
    whole = fe.tensor(arrays[0])
    view = whole[start:]
    view *= fe.tensor(b)
    view.tanh_()
    product = a * b
    small = [
        fe.tanh(fe.tensor(product[k : k + 1000])).numpy()
        for k in range(0, product.size, 1000)
    ]
    assert np.array_equal(view.numpy(), np.concatenate(small))
    assert np.array_equal(whole.numpy()[:start], arrays[0][:start])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", ["float64", "int64", "bfloat16", "float16"])
def test_dtypes(arrays, dtype):
    a = np.concatenate(arrays)
    x = fe.tensor(a)
    y = x.to(getattr(fe, dtype))
    if dtype == "bfloat16":  # the upper half of a float32, to nearest even
        u = a.view(np.uint32)
        upper = (u + 0x7FFF + ((u >> 16) & 1)) & 0xFFFF0000
        assert np.array_equal(y.float().numpy(), upper.view(np.float32))
    else:
        assert np.array_equal(y.numpy(), a.astype(dtype))
    # A computed result that is converted, and operands that are.
    assert np.array_equal((y + y).float().numpy(), y.float().numpy() * 2)


@pytest.mark.usefixtures("threads")
def test_broadcast_and_strides(arrays):
    a = arrays[0][: 2050 * 2047].reshape(2050, 2047)
    x = fe.tensor(a)
    assert np.array_equal((x + x[:1]).numpy(), a + a[:1])
    assert np.array_equal((x + x[:, :1]).numpy(), a + a[:, :1])
    assert np.array_equal((x.T + x.T).numpy(), a.T + a.T)
    whole = fe.arange(x.numel()).reshape(x.shape)
    assert np.array_equal((x + whole).numpy(), a + whole.numpy().astype(np.float32))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("columns", [7, 1000, 2048, 5000])
def test_rows(arrays, columns):
    a = np.concatenate(arrays)
    a = a[: a.size // columns * columns].reshape(-1, columns)
    x = fe.tensor(a)
    e = np.exp(a.astype(np.float64) - a.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    assert np.allclose(fe.softmax(x, -1).numpy(), p, rtol=2e-6)
    assert np.allclose(fe.log_softmax(x, -1).numpy(), np.log(p), rtol=1e-6, atol=1e-6)
    assert np.allclose(x.sum(0).numpy(), a.sum(0, dtype=np.float64), atol=2e-3)
    assert np.array_equal(fe.amax(x, 0).numpy(), a.max(0))


@pytest.mark.long
def test_max_pooling_of_a_window_larger_than_int32() -> None:
    x = fe.zeros((1, 2, (1 << 30) + 1))
    x[0, 1, -2] = 1.0
    out, index = F.max_pool2d(x, (2, 1 << 30), 1, return_indices=True)
    assert out.reshape(-1).tolist() == [1.0, 1.0]
    assert index.reshape(-1).tolist() == [(1 << 31)] * 2


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("columns", [7, 1000, 2048])
def test_rows_same_bits_as_small_results(arrays, columns):
    a, b = (x[: x.size // columns * columns].reshape(-1, columns) for x in arrays)
    functions = [
        lambda x: fe.softmax(x, -1),
        lambda x: fe.log_softmax(x, -1),
        lambda x: fe.nn.functional.layer_norm(x, x.shape[-1:]),
    ]
    for function in functions:
        small = [
            run_with_gradient(function, *pair)
            for pair in zip(np.array_split(a, 8), np.array_split(b, 8))
        ]
        whole = run_with_gradient(function, a, b)
        for k in range(2):
            assert np.array_equal(whole[k], np.concatenate([s[k] for s in small]))


def run_with_gradient(function, x, gradient):
    """Result, and gradient of the input."""
    x = fe.tensor(x).requires_grad_()
    y = function(x)
    y.backward(fe.tensor(gradient))
    return y.detach().numpy(), x.grad.numpy()
