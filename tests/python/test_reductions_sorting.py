"""Reductions, scans, sorting, sets and shape compositions against NumPy.

Plain values, gradients and dtypes are tested with every op (test_ops.py); here
are dtypes of results, NaN, empty and 0-d tensors, keywords and messages.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import ferrule as fe

RNG = np.random.default_rng(5)
NAN = float("nan")
INF = float("inf")
INTS = [fe.bool, fe.uint8, fe.int8, fe.int16, fe.int32, fe.int64]
FLOATS = [fe.float16, fe.bfloat16, fe.float32, fe.float64]


def same(got: fe.Tensor, expected: object) -> None:
    expected = np.asarray(expected)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-6, atol=1e-6)


# --- reductions


@pytest.mark.parametrize("dtype", INTS)
@pytest.mark.parametrize("name", ["sum", "prod", "cumsum", "cumprod"])
def test_integers_are_added_and_multiplied_in_int64(name: str, dtype) -> None:
    x = fe.tensor([1, 3, 2]).to(dtype)
    args = (0,) if name.startswith("cum") else ()
    got = getattr(fe, name)(x, *args)
    assert got.dtype == fe.int64
    same(got, getattr(np, name)(x.numpy().astype(np.int64)))


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "cumsum", "cumprod"])
def test_dtype_argument(name: str) -> None:
    x = fe.tensor([[1, 2, 3], [4, 5, 6]])
    args = (1,)
    for dtype in (fe.float32, fe.float64):
        got = getattr(fe, name)(x, *args, dtype=dtype)
        assert got.dtype == dtype
        same(got, getattr(np, name)(x.numpy(), 1))
    y = fe.tensor([1.7, 2.7])
    if name != "mean":
        got = getattr(y, name)(0, dtype=fe.int32)
        assert got.dtype == fe.int32  # converted first, as in PyTorch
        same(got, getattr(np, name)(np.array([1, 2]), 0))
        with pytest.raises(fe.DTypeError, match="bool"):
            getattr(y, name)(0, dtype=fe.bool)
    else:
        with pytest.raises(fe.DTypeError, match="float"):
            y.mean(dtype=fe.int32)
        with pytest.raises(fe.DTypeError, match="floating-point"):
            x.mean()


@pytest.mark.parametrize("dtype", INTS + FLOATS)
def test_any_and_all(dtype) -> None:
    for values in ([0, 0], [0, 1], [1, 1]):
        x = fe.tensor(values).to(dtype)
        assert x.any().item() is any(values) and x.all().item() is all(values)
        assert x.any().dtype == x.all(0).dtype == fe.bool
    big = fe.zeros(3, 100_000).to(dtype)
    big[1, 99_999] = 1
    assert fe.any(big, 1).tolist() == [False, True, False]
    assert fe.all(big == 0, 1).tolist() == [True, False, True]
    assert fe.any(fe.tensor([NAN])).item() is True


EMPTY = {"sum": 0, "prod": 1, "any": False, "all": True, "count_nonzero": 0}


@pytest.mark.parametrize("name", EMPTY)
def test_reductions_of_nothing(name: str) -> None:
    x = fe.zeros((2, 0, 3))
    same(getattr(fe, name)(x), EMPTY[name])
    same(getattr(fe, name)(x, 1), np.full((2, 3), EMPTY[name]))
    same(getattr(fe, name)(x, (0, 1), keepdim=True), np.full((1, 1, 3), EMPTY[name]))
    same(getattr(fe, name)(x, 0), np.zeros((0, 3)))


@pytest.mark.parametrize("name", ["amax", "amin", "argmax", "argmin", "max", "min"])
def test_no_extreme_of_nothing(name: str) -> None:
    x = fe.zeros((2, 0))
    with pytest.raises(fe.ShapeError, match=r"no element.*\(2, 0\)"):
        getattr(x, name)()
    with pytest.raises(fe.ShapeError, match="no element"):
        getattr(x, name)(1)
    result = getattr(x, name)(0)
    assert (result[0] if isinstance(result, tuple) else result).shape == (0,)


@pytest.mark.parametrize("dtype", INTS + FLOATS)
def test_extremes_of_every_dtype(dtype) -> None:
    x = fe.tensor([[1, 0, 1], [0, 0, 1]]).to(dtype)
    a = x.double().numpy()
    for name in ("amax", "amin", "argmax", "argmin"):
        for dim in (None, 0, -1):
            got = getattr(fe, name)(x, dim)
            assert got.dtype == (fe.int64 if name.startswith("arg") else dtype)
            same(got.double(), getattr(np, name)(a, dim))
    low, high = fe.aminmax(x, dim=1)
    assert low.tolist() == [0, 0] and high.tolist() == [1, 1]


def test_nan_wins() -> None:
    x = fe.tensor([[1.0, NAN, 3.0], [4.0, 5.0, 6.0]])
    for name in ("amax", "amin"):
        same(getattr(x, name)(1), getattr(np, name)(x.numpy(), 1))
    assert x.argmax(1).tolist() == [1, 2] and x.argmin(1).tolist() == [1, 0]
    assert np.isnan(x.max().item()) and np.isnan(x.median().item())
    assert x.median(1)[1].tolist() == [1, 1]
    same(x.nansum(1), [4, 15])
    same(x.nanmean(1), [2, 5])
    values, _ = x.cummax(1)
    same(values, np.maximum.accumulate(x.numpy(), 1))


def test_prod_has_gradients_where_elements_are_zero() -> None:
    for values in ([2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [2.0, 5.0, 3.0]):
        x = fe.tensor(values, requires_grad=True)
        x.prod().backward()
        others = [np.prod(np.delete(values, i)) for i in range(3)]
        same(x.grad, others)
        x = fe.tensor(values, requires_grad=True)
        x.cumprod(0).sum().backward()
        step = [
            sum(np.prod(np.delete(values[:k], i)) for k in range(i + 1, 4))
            for i in range(3)
        ]
        same(x.grad, step)


def test_variance_as_in_torch() -> None:
    a = RNG.normal(size=(4, 5))
    x = fe.tensor(a)
    same(x.var(), a.var(ddof=1))
    same(x.var(1, False), a.var(1))
    same(x.var(1, unbiased=True, keepdim=True), a.var(1, ddof=1, keepdims=True))
    same(x.std((0, 1), correction=0), a.std())
    same(fe.std(x, 0, correction=1.5), a.std(0, ddof=1.5))
    var, mean = fe.var_mean(x, 0)
    same(var, a.var(0, ddof=1))
    same(mean, a.mean(0))
    assert np.isnan(fe.tensor([1.0]).var().item())
    with pytest.raises(fe.InvalidValue, match="give one"):
        x.var(0, False, correction=0)


def test_norm_and_logsumexp_at_the_borders() -> None:
    x = fe.tensor([[-3.0, 4.0], [0.0, 0.0]])
    same(x.norm(dim=1), [5, 0])
    same(fe.norm(x, INF), 4)
    same(fe.norm(x, 0, 1), [2, 0])
    same(fe.logsumexp(fe.tensor([-INF, -INF]), 0), -INF)
    same(fe.logsumexp(fe.tensor([INF, 1.0]), 0), INF)
    same(fe.logsumexp(fe.zeros(0), 0), -INF)
    assert fe.logsumexp(fe.tensor([1, 2]), 0).dtype == fe.float32
    same(fe.logcumsumexp(fe.tensor([-INF, -INF, 0.0]), 0), [-INF, -INF, 0])
    x = fe.tensor([-INF, -INF, 0.0], requires_grad=True)
    fe.logcumsumexp(x, 0)[2].backward()
    same(x.grad, [0, 0, 1])
    with pytest.raises(fe.DTypeError, match="float"):
        fe.norm(fe.tensor([1]))


@pytest.mark.parametrize("name", ["sum", "any", "prod", "amax", "count_nonzero"])
def test_dimensions_are_checked(name: str) -> None:
    x = fe.zeros((2, 3))
    with pytest.raises(IndexError, match=r"dim 2 is out of range.*-2\.\.1"):
        getattr(fe, name)(x, 2)
    with pytest.raises(ValueError, match="twice"):
        getattr(fe, name)(x, (0, -2))
    assert getattr(fe, name)(x, axis=1, keepdims=True).shape == (2, 1)
    assert getattr(fe, name)(fe.tensor(2.0), 0).shape == ()


# --- scans


def test_scans_in_place_and_narrow() -> None:
    x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.cumsum_(1) is x
    same(x, [[1, 3], [3, 7]])
    same(x.mT.cumprod(0), np.cumprod(x.numpy().T, 0))
    narrow = fe.tensor([1, 2], dtype=fe.int32)
    assert narrow.cumsum_(0).dtype == fe.int32 and narrow.tolist() == [1, 3]
    assert fe.full((100_000,), 0.1).half().cumsum(0).dtype == fe.float16
    big = fe.full((1_000_000,), 0.1)
    assert abs(big.cumsum(0)[-1].item() - 100_000) < 1


@pytest.mark.parametrize("name", ["cummax", "cummin"])
def test_running_extremes_name_the_last_of_equals(name: str) -> None:
    values, indices = getattr(fe, name)(fe.tensor([2, 2, 2]), 0)
    assert values.tolist() == [2, 2, 2] and indices.tolist() == [0, 1, 2]


def test_diff() -> None:
    a = RNG.integers(0, 9, (3, 6))
    for n, dim in itertools.product((0, 1, 3, 9), (0, -1)):
        same(fe.diff(fe.tensor(a), n, dim), np.diff(a, n, dim))
    same(fe.diff(fe.tensor([True, True, False])), [False, True])
    with pytest.raises(fe.InvalidValue):
        fe.diff(fe.tensor([1, 2]), -1)
    with pytest.raises(fe.ShapeError):
        fe.diff(fe.tensor(1))


# --- sorting


@pytest.mark.parametrize("dtype", INTS + FLOATS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 47, 48, 300, 5000])
def test_sort_is_stable_for_every_dtype(dtype, descending: bool, n: int) -> None:
    a = RNG.integers(0, 20, (2, n)) - (0 if dtype in (fe.bool, fe.uint8) else 10)
    x = fe.tensor(a).to(dtype)
    values, indices = x.sort(descending=descending)
    key = x.double().numpy()
    expected = np.argsort(-key if descending else key, -1, kind="stable")
    np.testing.assert_array_equal(indices.numpy(), expected)
    np.testing.assert_array_equal(
        values.double().numpy(), np.take_along_axis(key, expected, -1)
    )
    assert values.dtype == dtype and indices.dtype == fe.int64


@pytest.mark.parametrize("dtype", FLOATS)
def test_special_floats_in_order(dtype) -> None:
    x = fe.tensor([NAN, INF, -0.0, 1.0, -INF, 0.0, -NAN, -1.0]).to(dtype)
    assert x.argsort().tolist() == [4, 7, 2, 5, 3, 1, 0, 6]
    assert x.argsort(descending=True).tolist() == [0, 6, 1, 3, 2, 5, 7, 4]
    values = x.sort()[0].double().numpy()
    assert np.signbit(values[2]) and not np.signbit(values[3])


def test_sort_extremes_of_integers() -> None:
    for dtype in (np.int8, np.int16, np.int32, np.int64, np.uint8):
        info = np.iinfo(dtype)
        a = RNG.integers(info.min, info.max, 200, dtype, endpoint=True)
        a[:2] = info.max, info.min
        np.testing.assert_array_equal(fe.sort(fe.tensor(a))[0].numpy(), np.sort(a))
    for dtype in (np.float32, np.float64):
        a = RNG.normal(size=3000).astype(dtype) * 10.0 ** RNG.integers(-30, 30, 3000)
        a = a.astype(dtype)
        np.testing.assert_array_equal(fe.sort(fe.tensor(a))[0].numpy(), np.sort(a))


def test_sort_of_views_and_large_tensors() -> None:
    a = RNG.normal(size=(40, 50, 6)).astype(np.float32)
    x = fe.tensor(a)
    for dim in range(3):
        same(x.transpose(0, 2).sort(dim)[0], np.sort(a.transpose(2, 1, 0), dim))
    big = RNG.normal(size=300_000).astype(np.float32)
    results = []
    for threads in (1, 3):
        before = fe.get_num_threads()
        fe.set_num_threads(threads)
        results.append(fe.tensor(big).sort()[1].numpy())
        fe.set_num_threads(before)
    np.testing.assert_array_equal(results[0], np.argsort(big, kind="stable"))
    np.testing.assert_array_equal(results[0], results[1])


def test_what_is_read_off_a_sorted_dimension() -> None:
    a = RNG.normal(size=(3, 7))
    x = fe.tensor(a)
    values, indices = x.topk(2)
    same(values, -np.sort(-a)[:, :2])
    same(indices, np.argsort(-a)[:, :2])
    same(x.topk(2, 0, largest=False)[0], np.sort(a, 0)[:2])
    same(x.kthvalue(2, 0)[0], np.sort(a, 0)[1])
    same(x.median(1)[0], np.sort(a)[:, 3])
    same(fe.tensor([1, 4, 2, 3]).median(), 2)
    assert x.median(1, keepdim=True)[0].shape == (3, 1)
    assert x.median(keepdim=True).shape == (1, 1)
    for k in (-1, 8):
        with pytest.raises(fe.InvalidValue, match=r"k = .* valid: 0\.\.7"):
            x.topk(k)
    with pytest.raises(fe.InvalidValue, match=r"valid: 1\.\.7"):
        x.kthvalue(0)
    with pytest.raises(fe.ShapeError, match="no element"):
        fe.zeros(0).median()


# --- sets


def test_unique() -> None:
    a = RNG.integers(0, 5, (4, 6))
    x = fe.tensor(a)
    same(x.unique(), np.unique(a))
    values, inverse, counts = x.unique(return_inverse=True, return_counts=True)
    e_values, e_inverse, e_counts = np.unique(
        a, return_inverse=True, return_counts=True
    )
    same(values, e_values)
    same(inverse, e_inverse.reshape(a.shape))
    same(counts, e_counts)
    assert fe.unique(fe.tensor([NAN, 1.0, NAN])).shape == (3,)
    assert fe.unique(fe.tensor([0.0, -0.0])).shape == (1,)
    rows = RNG.integers(0, 2, (12, 3))
    for dim in (0, 1, -1):
        got = fe.unique(fe.tensor(rows), True, True, True, dim)
        expected = np.unique(rows, False, True, True, dim)
        for g, e in zip(got, expected, strict=True):
            same(g, e.reshape(g.shape))
    values, counts = fe.unique(fe.zeros(0), return_counts=True)
    assert values.shape == counts.shape == (0,)
    values, inverse, counts = fe.unique_consecutive(
        fe.tensor([1, 1, 2, 2, 2, 1]), True, True
    )
    assert values.tolist() == [1, 2, 1] and counts.tolist() == [2, 3, 1]
    assert inverse.tolist() == [0, 0, 1, 1, 1, 2]


def test_searchsorted() -> None:
    s = np.sort(RNG.integers(0, 9, 20)).astype(np.float64)
    v = RNG.integers(-1, 11, (3, 4)).astype(np.float64)
    for right in (False, True):
        side = "right" if right else "left"
        expected = np.searchsorted(s, v, side)
        same(fe.searchsorted(fe.tensor(s), fe.tensor(v), right=right), expected)
        got = fe.searchsorted(fe.tensor(s), fe.tensor(v), side=side, out_int32=True)
        assert got.dtype == fe.int32
        same(got, expected)
        same(fe.bucketize(fe.tensor(v), fe.tensor(s), right=right), expected)
    rows = fe.tensor([[1, 3, 5], [2, 4, 6]])
    got = fe.searchsorted(rows, fe.tensor([[3, 9], [3, 0]]))
    assert got.tolist() == [[1, 3], [1, 0]]
    order = fe.tensor([2, 0, 1])
    got = fe.searchsorted(fe.tensor([5, 7, 1]), fe.tensor([6, 0]), sorter=order)
    assert got.tolist() == [2, 0]
    assert fe.searchsorted(fe.tensor([1.0, NAN]), NAN).item() == 1
    big = 2**53
    assert fe.searchsorted(fe.tensor([big, big + 1]), fe.tensor(big + 1)).item() == 1
    with pytest.raises(fe.IndexOutOfRange, match="sorter"):
        fe.searchsorted(fe.tensor([1, 2]), 1, sorter=fe.tensor([0, 2]))
    with pytest.raises(fe.InvalidValue, match="side"):
        fe.searchsorted(fe.tensor([1, 2]), 1, side="top")
    with pytest.raises(fe.InvalidValue, match="contradicts"):
        fe.searchsorted(fe.tensor([1, 2]), 1, right=True, side="left")
    with pytest.raises(fe.ShapeError):
        fe.searchsorted(rows, fe.tensor([1]))


def test_isin() -> None:
    a, t = RNG.integers(0, 9, (3, 4)), RNG.integers(0, 9, 4)
    for invert in (False, True):
        got = fe.isin(fe.tensor(a), fe.tensor(t), invert=invert)
        same(got, np.isin(a, t, invert=invert))
    assert fe.isin(3, fe.tensor([1, 3])).item() is True
    assert fe.isin(fe.tensor([NAN, 1.0]), fe.tensor([NAN])).tolist() == [False, False]
    assert fe.isin(fe.tensor([1.5, 2.0]), fe.tensor([2, 3])).tolist() == [False, True]
    with pytest.raises(fe.DTypeError):
        fe.isin(1, 2)


# --- shapes


def test_flip_copies_and_works_on_views() -> None:
    a = np.arange(24).reshape(2, 3, 4)
    x = fe.tensor(a)
    for dims in [(), (0,), (-1,), (0, 2), (2, 1, 0)]:
        same(x.flip(dims), np.flip(a, dims) if dims else a)
        same(x.transpose(0, 2).flip(dims), np.flip(a.transpose(2, 1, 0), dims))
    y = x.flip(0)
    y.zero_()
    assert x.sum().item() == a.sum()
    same(x.flip(0, 1), np.flip(a, (0, 1)))
    with pytest.raises(ValueError, match="twice"):
        x.flip((0, -3))
    with pytest.raises(IndexError, match=r"valid: -3\.\.2"):
        x.flip(3)
    assert fe.flip(fe.tensor(1), (0,)).item() == 1


def test_roll_and_rot90() -> None:
    a = np.arange(12).reshape(3, 4)
    x = fe.tensor(a)
    for shift in (-13, -1, 0, 2, 5):
        same(x.roll(shift), np.roll(a, shift))
        same(x.roll(shift, 1), np.roll(a, shift, 1))
        same(x.roll((shift, 1), (0, 1)), np.roll(a, (shift, 1), (0, 1)))
        same(x.rot90(shift), np.rot90(a, shift))
    with pytest.raises(ValueError, match="same length"):
        x.roll((1, 2))
    with pytest.raises(ValueError, match="two dimensions"):
        x.rot90(1, (0,))
    y = x.roll(0, 0)
    y.zero_()
    assert x.sum().item() == a.sum()


@pytest.mark.parametrize("dtype", INTS + FLOATS)
def test_triangles(dtype) -> None:
    a = RNG.integers(0, 2, (2, 4, 5))
    x = fe.tensor(a).to(dtype)
    for k in (-9, -1, 0, 2, 9, 2**62, -(2**62)):
        small = max(-9, min(9, k))
        for name in ("tril", "triu"):
            got = getattr(x, name)(k)
            assert got.dtype == dtype
            same(got.double(), getattr(np, name)(x.double().numpy(), small))
    with pytest.raises(fe.ShapeError, match="two or more"):
        fe.tril(x[0, 0])
    same(fe.tril_indices(3, 4, 1), np.tril_indices(3, 1, 4))
    same(fe.triu_indices(3, 4, -1), np.triu_indices(3, -1, 4))
    y = fe.ones((2, 2))
    assert y.tril_() is y and y.tolist() == [[1, 0], [1, 1]]


def test_diagonals() -> None:
    a = RNG.normal(size=(3, 4))
    for k in (-2, 0, 3):
        same(fe.diag(fe.tensor(a), k), np.diag(a, k))
        same(fe.diag(fe.tensor(a[0]), k), np.diag(a[0], k))
        same(fe.diagflat(fe.tensor(a), k), np.diagflat(a, k))
        embedded = fe.diag_embed(fe.tensor(a), k)
        same(embedded.diagonal(k, -2, -1), a)
        assert embedded.abs().sum().item() == pytest.approx(np.abs(a).sum())
    same(fe.trace(fe.tensor(a)), np.trace(a))
    with pytest.raises(fe.ShapeError):
        fe.diag(fe.zeros((2, 2, 2)))


def test_repetitions() -> None:
    a = np.arange(6).reshape(2, 3)
    x = fe.tensor(a)
    same(x.repeat(2, 1, 2), np.tile(a, (2, 1, 2)))
    same(fe.tile(x, (2,)), np.tile(a, 2))
    same(x.repeat((0, 1)), np.zeros((0, 3)))
    same(x.repeat_interleave(2, 1), np.repeat(a, 2, 1))
    same(x.repeat_interleave(fe.tensor([1, 0, 2]), -1), np.repeat(a, [1, 0, 2], -1))
    same(x.repeat_interleave(fe.tensor(2)), np.repeat(a, 2))
    wide = fe.ones((1,) * 8).repeat((2,) * 8)  # no room for further dimensions
    assert wide.shape == (2,) * 8
    y = x.repeat(1, 1)
    y.zero_()
    assert x.sum().item() == 15
    for bad in ((2,), (-1, 2)):
        with pytest.raises(ValueError):
            x.repeat(bad)
    with pytest.raises(fe.InvalidValue):
        x.repeat_interleave(-1)
    with pytest.raises(fe.InvalidValue):
        x.repeat_interleave(fe.tensor([1, -1, 1]), 1)
    with pytest.raises(fe.ShapeError, match="2 numbers for the 3"):
        x.repeat_interleave(fe.tensor([1, 1]), 1)
    with pytest.raises(fe.FerruleError):
        x.repeat_interleave(fe.full((3,), 2**62), 1)


def test_broadcasts_and_grids() -> None:
    assert fe.broadcast_shapes((2, 1), (3,), ()) == (2, 3)
    assert fe.broadcast_shapes((0,), (1,)) == (0,)
    with pytest.raises(fe.ShapeError, match="differ"):
        fe.broadcast_shapes((2,), (3,))
    a, b = fe.broadcast_tensors(fe.ones((2, 1)), fe.ones((3,)))
    assert a.shape == b.shape == (2, 3)
    x, y, z = np.arange(2), np.arange(3), np.arange(4)
    for indexing in ("ij", "xy"):
        got = fe.meshgrid(*(fe.tensor(t) for t in (x, y, z)), indexing=indexing)
        for g, e in zip(got, np.meshgrid(x, y, z, indexing=indexing), strict=True):
            same(g, e)
    with pytest.raises(ValueError, match="indexing"):
        fe.meshgrid(fe.tensor(x), indexing="yx")
    got = fe.cartesian_prod(fe.tensor(x), fe.tensor(y))
    same(got, list(itertools.product(x, y)))
    same(fe.broadcast_to(fe.tensor(x), (3, 2)), np.broadcast_to(x, (3, 2)))


def test_flatten_and_unflatten() -> None:
    x = fe.zeros((2, 3, 4))
    assert x.flatten().shape == (24,) and x.flatten(1).shape == (2, 12)
    assert x.unflatten(-1, (2, -1)).shape == (2, 3, 2, 2)
    assert fe.tensor(1).flatten().shape == (1,)
    with pytest.raises(ValueError, match="behind"):
        x.flatten(2, 1)
    with pytest.raises(fe.ShapeError, match="do not multiply to 4"):
        x.unflatten(2, (3, -1))


# --- products


EQUATIONS = [
    "ij,jk->ik",
    "ij,jk",
    "ij->ji",
    "ij->",
    "ii->i",
    "ii",
    "bij,bjk->bik",
    "bij,bkj->bki",
    "i,j->ij",
    "ij,ij->ij",
    "ij,ij",
    "ij,kj,lk->il",
    "...ij,...jk->...ik",
    "...i,i->...",
    "bi,ij,bj->b",
    "ij,k->kji",
    "a b c -> c a b",
    "i,i,i->i",
    "iij->j",
]


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation: str) -> None:
    inputs = equation.replace(" ", "").split("->")[0].split(",")
    arrays = [
        RNG.normal(
            size=(2, *[3] * len(s.replace("...", ""))) if "." in s else [3] * len(s)
        )
        for s in inputs
    ]
    tensors = [fe.tensor(a) for a in arrays]
    same(fe.einsum(equation, *tensors), np.einsum(equation, *arrays))
    assert fe.autograd.gradcheck(
        lambda *x: fe.einsum(equation, *x), [t.requires_grad_() for t in tensors]
    )


def test_einsum_broadcasts_and_names_what_is_wrong() -> None:
    a, b = fe.ones((1, 3)), fe.ones((2, 3))
    assert fe.einsum("ij,ij->i", a, b).tolist() == [3, 3]
    for equation, message in [
        ("ij", "1 subscripts for 2"),
        ("ijk,ij", "'ijk' names 3"),
        ("ij,jk->ik", "'j' of subscript 'jk' has size 2, but 3"),
        ("ij,ij->k", "'k' of the result"),
        ("ij,ij->ii", "'i' twice"),
        ("i1,ij->i", "'1' in subscript"),
    ]:
        with pytest.raises(ValueError, match=message):
            fe.einsum(equation, a, b)


def test_tensordot_and_other_products() -> None:
    a, b = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(4, 3, 5))
    for dims in (0, 1, ([1], [1]), ([2, 1], [0, 1]), (-1, 0)):
        got = fe.tensordot(fe.tensor(a), fe.tensor(b), dims)
        same(got, np.tensordot(a, b, dims))
    with pytest.raises(ValueError, match="dims = 4"):
        fe.tensordot(fe.tensor(a), fe.tensor(b), 4)
    with pytest.raises(fe.ShapeError, match="differ"):
        fe.tensordot(fe.tensor(a), fe.tensor(b), 2)
    x = fe.ones((2, 3))
    with pytest.raises(fe.ShapeError, match="'mat2' must have 2"):
        fe.mm(x, x[0])
    with pytest.raises(fe.ShapeError, match="size 3"):
        fe.cross(fe.ones(2), fe.ones(2))
    nothing = fe.addmm(fe.full((2, 2), NAN), x, x.mT, beta=0)
    same(nothing, np.full((2, 2), 3))


# --- against PyTorch, where it is installed

TORCH_CALLS = [
    ("sort", (1, True)),
    ("topk", (3, 1)),
    ("kthvalue", (2, 0)),
    ("median", ()),
    ("median", (1,)),
    ("cummax", (1,)),
    ("cummin", (0,)),
    ("logcumsumexp", (1,)),
    ("logsumexp", ((0, 1),)),
    ("prod", (1,)),
    ("cumprod", (1,)),
    ("cumsum", (0,)),
    ("var", (1, False)),
    ("std", (0,)),
    ("norm", (3, 1)),
    ("diff", (2,)),
    ("roll", (3,)),
    ("rot90", (3, (1, 0))),
    ("tril", (-1,)),
    ("diag", (1,)),
    ("diag_embed", (1, 0, -1)),
    ("unflatten", (1, (2, 3))),
    ("repeat_interleave", (2, 1)),
    ("argsort", ()),
    ("msort", ()),
    ("nansum", (0,)),
    ("aminmax", ()),
    ("count_nonzero", (0,)),
]


@pytest.mark.parametrize(("name", "args"), TORCH_CALLS, ids=str)
def test_as_in_torch(name: str, args: tuple) -> None:
    torch = pytest.importorskip("torch")
    a = RNG.normal(size=(5, 6))
    if name in ("prod", "cumprod"):
        a[0, 2] = a[1, 1] = a[1, 4] = 0
    x, t = fe.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    mine, theirs = getattr(fe, name)(x, *args), getattr(torch, name)(t, *args)
    mine = mine if isinstance(mine, tuple) else (mine,)
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    for m, e in zip(mine, theirs, strict=True):
        same(m, e.detach().numpy())
        assert str(m.dtype).split(".")[-1] == str(e.dtype).split(".")[-1]
    if theirs[0].requires_grad:
        sum((m * m).sum() for m in mine if m.requires_grad).backward()
        sum((e * e).sum() for e in theirs if e.requires_grad).backward()
        same(x.grad, t.grad.numpy())


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 100, 2047, 2048, 2049, 5000])
@pytest.mark.parametrize("rows", [1, 2, 31, 33])
def test_rows_of_any_width(rows: int, columns: int) -> None:
    """Sums of rows end with a vector of which only a part counts."""
    a = np.random.default_rng(columns).integers(-9, 9, (rows, columns))
    for dtype in ("float32", "float64", "int64"):
        x = fe.tensor(a.astype(dtype))
        assert np.array_equal(x.sum(0).numpy(), a.sum(0))
        assert np.array_equal(fe.amax(x, 0).numpy(), a.max(0))
        assert np.array_equal(fe.amin(x.reshape(rows, columns, 1), 2).numpy(), a)
    x = fe.tensor(a.astype("float32"))
    expected = a.var(0) if rows > 1 else np.zeros(columns)
    assert np.allclose(x.var(0, correction=0).numpy(), expected, atol=1e-4)
