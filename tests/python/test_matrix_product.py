"""Products of narrow numbers: 16-bit floats are summed in float32 and rounded once,
int8 in int32. The shapes reach every way that runtime/cpu/gemm_plan.h knows.
"""

import numpy as np
import pytest

import ferrule as fe

SHAPES = [
    (1, 1, 1),
    (1, 300, 200),
    (3, 200, 130),
    (7, 33, 500),
    (14, 70, 400),
    (16, 16, 16),
    (40, 300, 65),
    (65, 67, 69),
    (100, 530, 390),
    (64, 64, 2600),
]
# Half of the distance of neighbours, relative.
HALF = {fe.bfloat16: 2.0**-8, fe.float16: 2.0**-11}


def matrices(m, n, k, dtype):
    rng = np.random.default_rng(m + n + k)
    return [
        fe.tensor(rng.standard_normal(s).astype("float32")).to(dtype)
        for s in ((m, k), (k, n))
    ]


def exact(t):
    return t.to(fe.float64).numpy()


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_16_bit_products_are_rounded_once(shape, dtype):
    m, n, k = shape
    a, b = matrices(m, n, k, dtype)
    unit = HALF[dtype]
    want = exact(a) @ exact(b)
    sums = np.abs(exact(a)) @ np.abs(exact(b))
    # One rounding to 16 bits, and those of 2 k sums and products in float32.
    bound = unit * np.abs(want) + (2 * k + 4) * 2.0**-24 * sums * 1.01 + 1e-7
    ways = {
        "NN": fe.matmul(a, b),
        "NT": fe.matmul(a, b.T.contiguous(), transpose_other=True),
        "TN": fe.matmul(a.T.contiguous(), b, transpose_input=True),
        "view": fe.matmul(a.T.contiguous().T, b),
        "linear": fe.nn.functional.linear(a, b.T.contiguous()),
    }
    for name, got in ways.items():
        assert got.dtype == dtype
        assert (np.abs(exact(got) - want) <= bound).all(), name


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_16_bit_bias_is_added_before_rounding(dtype):
    x = fe.tensor([[1.0, 1.0]]).to(dtype)
    weight = fe.tensor([[256.0, 1.0], [2048.0, 1.0]]).to(dtype)
    bias = fe.tensor([-256.0, -2048.0]).to(dtype)
    # 257 has no bfloat16, 2049 no float16.
    assert fe.nn.functional.linear(x, weight, bias).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_16_bit_batches(dtype):
    rng = np.random.default_rng(0)
    a = fe.tensor(rng.standard_normal((3, 5, 20, 40)).astype("float32")).to(dtype)
    b = fe.tensor(rng.standard_normal((5, 40, 30)).astype("float32")).to(dtype)
    got = exact(fe.matmul(a, b))
    want = exact(a) @ exact(b)
    assert np.abs(got - want).max() <= 16 * HALF[dtype]


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_16_bit_error_is_no_larger_than_torchs(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    a, b = matrices(64, 96, 700, dtype)
    peer = torch.bfloat16 if dtype == fe.bfloat16 else torch.float16
    x, y = (torch.from_numpy(exact(t)).to(peer) for t in (a, b))
    want = exact(a) @ exact(b)
    ours = np.abs(exact(fe.matmul(a, b)) - want).mean()
    theirs = np.abs(torch.matmul(x, y).double().numpy() - want).mean()
    # Both round once to 16 bits: up to one rounding in a thousand differs.
    assert ours <= theirs * 1.001


@pytest.mark.parametrize("shape", [*SHAPES, (5, 0, 3), (0, 4, 3), (5, 4, 0)], ids=str)
def test_int_mm_is_exact(shape):
    m, n, k = shape
    rng = np.random.default_rng(m + n + k)
    a = rng.integers(-128, 128, (m, k), dtype="int8")
    b = rng.integers(-128, 128, (k, n), dtype="int8")
    want = a.astype("int32") @ b.astype("int32")
    ta, tb = fe.tensor(a), fe.tensor(b)
    columns = fe.tensor(np.ascontiguousarray(b.T)).T
    rows = fe.tensor(np.ascontiguousarray(a.T)).T
    for x in (ta, rows):
        for y in (tb, columns):
            got = fe.ops.int_mm(x, y)
            assert got.dtype == fe.int32
            assert np.array_equal(got.numpy(), want)


def test_int_mm_of_extremes():
    a = np.full((20, 3000), -128, dtype="int8")
    got = fe.ops.int_mm(fe.tensor(a), fe.tensor(np.ascontiguousarray(a.T)))
    assert (got.numpy() == 3000 * 128 * 128).all()


def test_int_mm_errors():
    a = fe.zeros(2, 3, dtype=fe.int8)
    with pytest.raises(fe.DTypeError, match="'other' must be int8"):
        fe.ops.int_mm(a, fe.zeros(3, 2))
    with pytest.raises(fe.ShapeError, match="must be a matrix"):
        fe.ops.int_mm(a, fe.zeros(3, dtype=fe.int8))
    with pytest.raises(fe.ShapeError, match="inner sizes 3 and 2 differ"):
        fe.ops.int_mm(a, a)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [fe.float32, fe.float64], ids=str)
def test_one_matrix_for_a_batch_is_packed_once(dtype, transposed):
    # Columns of `a` are dense: its matrices do not make one tall matrix.
    rng = np.random.default_rng(1)
    a = rng.standard_normal((3, 2, 400, 40))
    b = rng.standard_normal((400, 530))
    x = fe.tensor(a).to(dtype)
    y = fe.tensor(np.ascontiguousarray(b.T) if transposed else b).to(dtype)
    want = np.swapaxes(a, -1, -2) @ b
    bits, before = [], fe.get_num_threads()
    for threads in (1, 2, 4):
        fe.set_num_threads(threads)
        bits.append(fe.matmul(x, y, True, transposed).numpy())
    fe.set_num_threads(before)
    assert all(np.array_equal(bits[0], other) for other in bits)
    unit = 2.0**-24 if dtype == fe.float32 else 2.0**-53
    bound = 406 * unit * (np.abs(np.swapaxes(a, -1, -2)) @ np.abs(b)) * 2
    assert (np.abs(bits[0] - want) <= bound).all()
