"""x[key] and x[key] = value against NumPy: every mixture of entries, values,
gradients and errors; and indices that try to reach outside of memory.
"""

# Functions made in a loop are called in the same turn of it.
# ruff: noqa: B023

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import ferrule as fe

SHAPES: list[tuple[int, ...]] = [(), (3,), (2, 3), (2, 3, 2), (2, 2, 3, 2)]
FULL = slice(None)


class Three:
    """An int by its __index__."""

    def __index__(self) -> int:
        return -1


def entries(size: int) -> list[Any]:
    """What a key may have for a dimension of this size, and between."""
    return [
        0,
        -1,
        FULL,
        slice(1, None),
        slice(None, None, -1),
        slice(None, 0, -2),
        slice(-1, -9, 3),
        None,
        True,
        False,
        [0, -1],
        np.array([[1], [0]]),
        np.array([i % 2 == 0 for i in range(size)]),
        np.array(1),
        [],
    ]


def random_key(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """One that consumes about as many dimensions as there are."""
    key: list[Any] = []
    d = 0
    has_ellipsis = False
    while len(key) < 6 and (d < len(shape) or rng.random() < 0.3):
        roll = rng.random()
        if roll < 0.08 and not has_ellipsis:
            key.append(...)
            has_ellipsis = True
            d = min(len(shape), d + int(rng.integers(0, 2)))
        elif roll < 0.14 and d + 1 < len(shape):
            key.append(rng.random(shape[d : d + 2]) < 0.5)
            d += 2
        elif roll < 0.2:
            break
        else:
            choice = entries(shape[d] if d < len(shape) else 2)
            e = choice[int(rng.integers(len(choice)))]
            key.append(e)
            d += e is not None and not isinstance(e, bool)
    return tuple(key)


def all_keys(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Every key of up to two entries of the alphabet."""
    size = shape[0] if shape else 2
    alphabet = [*entries(size), ...]
    for n in range(3):
        yield from itertools.product(alphabet, repeat=n)


def keys_for(shape: tuple[int, ...], count: int, seed: int) -> list[tuple[Any, ...]]:
    rng = np.random.default_rng(seed)
    return [*all_keys(shape), *(random_key(rng, shape) for _ in range(count))]


def outcome(function: Any) -> Any:
    """The result, or the class of error that NumPy's users would catch."""
    try:
        return function()
    except IndexError:
        return IndexError
    except ValueError:
        return ValueError


def to_ferrule(key: Any, rng: np.random.Generator) -> Any:
    """The same key with some arrays as tensors, of several integer dtypes."""

    def one(e: Any) -> Any:
        if isinstance(e, np.ndarray) and rng.random() < 0.6:
            t = fe.tensor(e)
            if e.dtype != np.bool_ and rng.random() < 0.5:
                t = t.to([fe.int32, fe.int16, fe.int8][int(rng.integers(3))])
            return t
        return e

    return tuple(one(e) for e in key)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reads_like_numpy(shape: tuple[int, ...]) -> None:
    a = np.arange(np.prod(shape, dtype=int), dtype=np.float64).reshape(shape)
    x = fe.tensor(a)
    rng = np.random.default_rng(1)
    for key in keys_for(shape, 1500, len(shape)):
        mine = to_ferrule(key, rng)
        want, got = outcome(lambda: a[key]), outcome(lambda: x[mine])
        if want is IndexError or want is ValueError:
            assert got is want, key
        elif np.ndim(want) > 8:
            assert got is ValueError or got is IndexError, key
        else:
            assert not isinstance(got, type), f"{key}: {got}"
            assert got.shape == np.shape(want), key
            assert np.array_equal(got.numpy(), want), key


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reads_of_views_like_numpy(shape: tuple[int, ...]) -> None:
    """The same, where the tensor is strided and recorded."""
    if not shape:
        return
    rng = np.random.default_rng(2)
    full = rng.standard_normal((*shape[:-1], 2 * shape[-1])).T
    a = full.T[..., ::2]
    x = fe.tensor(full, requires_grad=True).permute(tuple(reversed(range(len(shape)))))[
        ..., ::2
    ]
    assert not x.is_contiguous()
    for key in keys_for(shape, 400, 10 + len(shape)):
        want = outcome(lambda: a[key])
        if isinstance(want, type) or np.ndim(want) > 8:
            continue
        assert np.array_equal(x[key].detach().numpy(), want), key


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_writes_like_numpy(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    for key in keys_for(shape, 1200, 20 + len(shape)):
        a = np.zeros(shape)
        x = fe.tensor(a)
        chosen = outcome(lambda: a[key])
        if isinstance(chosen, type):
            assert outcome(lambda: operator.setitem(x, key, 1.0)) is chosen, key
            continue
        if np.ndim(chosen) > 8:
            continue
        value = np.arange(1.0, np.size(chosen) + 1).reshape(np.shape(chosen))
        kind = rng.integers(5)
        if kind == 0:
            value = np.array(7.0)
        elif kind == 1 and value.ndim and value.shape[0] > 0:
            value = value[:1]
        elif kind == 2 and value.ndim:
            value = value[..., :1] if value.shape[-1] else value
        elif kind == 3 and value.ndim < 8:
            value = value[None]
        mine = float(value) if value.ndim == 0 else fe.tensor(value)
        try:
            a[key] = value
        except (TypeError, ValueError):
            continue  # NumPy takes fewer shapes of values than broadcasting gives
        x[to_ferrule(key, rng)] = mine
        assert np.array_equal(x.numpy(), a), (key, value)


def scalar(x: fe.Tensor, weight: np.ndarray) -> fe.Tensor:
    return (x * fe.tensor(weight)).sum()


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_gradients_of_reads(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    for key in keys_for(shape, 300, 30 + len(shape)):
        a = rng.standard_normal(shape)
        chosen = outcome(lambda: a[key])
        if isinstance(chosen, type) or np.ndim(chosen) > 8:
            continue
        weight = rng.standard_normal(np.shape(chosen))
        x = fe.tensor(a, requires_grad=True)
        scalar(x[key], weight).backward()
        want = np.zeros(shape)
        np.add.at(want, key, weight)
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), want, atol=1e-12, err_msg=str(key))


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_gradients_of_writes(shape: tuple[int, ...]) -> None:
    """Those of x where it was kept, of the value where it was the last."""
    rng = np.random.default_rng(5)
    for key in keys_for(shape, 300, 40 + len(shape)):
        a = rng.standard_normal(shape)
        chosen = outcome(lambda: a[key])
        if isinstance(chosen, type) or np.ndim(chosen) > 8:
            continue
        value = rng.standard_normal(np.shape(chosen))
        weight = rng.standard_normal(shape)
        x = fe.tensor(a, requires_grad=True)
        v = fe.tensor(value, requires_grad=True)
        y = x * 1.0
        y[key] = v
        scalar(y, weight).backward()
        # NumPy does the same with the numbers of the value's elements.
        source = np.full(shape, -1)
        source[key] = np.arange(value.size).reshape(value.shape)
        want_x = np.where(source < 0, weight, 0.0)
        want_v = np.zeros(value.size)
        hit = source >= 0
        want_v[source[hit]] = weight[hit]
        gx = np.zeros(shape) if x.grad is None else x.grad.numpy()
        gv = np.zeros(value.shape) if v.grad is None else v.grad.numpy()
        np.testing.assert_allclose(gx, want_x, atol=1e-12, err_msg=str(key))
        np.testing.assert_allclose(gv.ravel(), want_v, atol=1e-12, err_msg=str(key))


@pytest.mark.parametrize(
    "dtype",
    [
        fe.bool, fe.uint8, fe.int8, fe.int16, fe.int32, fe.int64,
        fe.float16, fe.bfloat16, fe.float32, fe.float64,
    ],
    ids=str,
)  # fmt: skip
def test_every_dtype_is_moved_as_it_is(dtype: Any) -> None:
    rng = np.random.default_rng(6)
    a = rng.integers(0, 2, (5, 7))
    x = fe.tensor(a).to(dtype)
    mask = a > 0
    i = np.array([[4, 0], [-5, 2]])
    assert x[mask].long().tolist() == a[mask].tolist()
    assert x[i, 3].long().tolist() == a[i, 3].tolist()
    assert x[::-2, [6, 0]].long().tolist() == a[::-2, [6, 0]].tolist()
    for key in (mask, (i, 3), (slice(None, None, -2), [6, 0])):
        value = 1 - a[key]
        x[key] = fe.tensor(value).to(dtype)
        a[key] = value
        assert x.long().tolist() == a.tolist()


def test_an_int_beside_an_index_counts_as_one() -> None:
    """As NumPy; PyTorch takes the int first and gives shape (3, 2) here."""
    a = np.arange(24).reshape(2, 3, 4)
    assert fe.tensor(a)[0, :, [0, 1]].shape == a[0, :, [0, 1]].shape == (2, 3)


def test_the_last_of_several_writes_stays() -> None:
    n = 100_000
    i = np.random.default_rng(7).integers(0, 1000, n)
    a, v = np.zeros(1000), np.arange(n, dtype=np.float64)
    a[i] = v
    before = fe.get_num_threads()
    try:
        for threads in (1, 2, 4):
            fe.set_num_threads(threads)
            x = fe.zeros(1000, dtype=fe.float64)
            x[fe.tensor(i)] = fe.tensor(v)
            assert np.array_equal(x.numpy(), a)
    finally:
        fe.set_num_threads(before)


def test_a_value_that_overlaps_is_read_first() -> None:
    a = np.arange(10)
    x = fe.tensor(a)
    for key, value in [
        (slice(1, None), slice(None, -1)),
        (FULL, slice(None, None, -1)),
        ([3, 1, 2], slice(0, 3)),
        (np.arange(10), np.arange(9, -1, -1)),
    ]:
        a[key] = a[value].copy()
        x[key] = x[value]
        assert x.tolist() == a.tolist()
    x = fe.tensor([2, 0, 1])
    x[x] = fe.tensor([10, 11, 12])  # the index is what is written
    assert x.tolist() == [11, 12, 10]


def test_writes_through_views_of_views() -> None:
    a = np.zeros((4, 6))
    x = fe.zeros(4, 6, dtype=fe.float64)
    a[1:].T[::2][:, [0, 2]] = 0  # a copy: nothing happens
    v, w = a[1:].T[::2], x[1:].T[::2]
    v[[2, 0], 1:] = [[1, 2], [3, 4]]
    w[[2, 0], 1:] = [[1, 2], [3, 4]]
    v[v > 2] *= 10
    w[w > 2] *= 10
    assert x.tolist() == a.tolist()


def test_augmented_assignment() -> None:
    a = np.arange(12.0).reshape(3, 4)
    x = fe.tensor(a)
    for key in (0, (FULL, 1), [0, 0, 2], a > 5, (slice(None, None, -1), [1, 2])):
        a[key] += 1.5
        x[key] += 1.5
        assert x.tolist() == a.tolist()
    leaf = fe.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = leaf * 2
    y[1] *= leaf[0]
    y[[0, 2]] += leaf[1]
    y.sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [2 + 4, 2 + 2, 2]


def test_protocols() -> None:
    x = fe.tensor([[1, 2], [3, 4]])
    assert len(x) == 2
    assert [r.tolist() for r in x] == [[1, 2], [3, 4]]
    assert [r.tolist() for r in reversed(x)] == [[3, 4], [1, 2]]
    assert 3 in x and 5 not in x
    with pytest.raises(TypeError):
        del x[0]
    with pytest.raises(TypeError):
        iter(fe.tensor(1))
    with pytest.raises(TypeError):
        reversed(fe.tensor(1))
    with pytest.raises(TypeError):
        len(fe.tensor(1))
    assert x[Three()].tolist() == [3, 4]
    assert x[np.int8(1), np.uint8(0)].item() == 3
    assert x[range(2), range(1, -1, -1)].tolist() == [2, 3]
    assert x[fe.tensor(1), fe.tensor(True)].tolist() == [[3, 4]]


BAD_KEYS = [
    1.0, "a", [0.5], [[0, 1], [0]], [None], ["a"], object(), {}, b"x", 1j,
    np.array([0.5]), np.array("a"), np.float32(1), (0, "a"), [slice(None)],
    2, -3, 2**40, -(2**63), 2**63 - 1, 2**63, -(2**70), (0, 0, 0), (..., ...),
    [2], [-3], [2**62], [-(2**63)], ([0, 1], [0, 1, 0]), [True], [True] * 3,
    (FULL, [True, False, True]), np.ones((2, 2, 1), bool), (None,) * 40,
    (0,) * 33, (True,) * 33, np.ones((3, 2), bool),
]  # fmt: skip


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda k: type(k).__name__)
def test_bad_keys_are_refused(key: Any) -> None:
    x = fe.zeros(2, 2)
    with pytest.raises((IndexError, ValueError)) as read:
        x[key]
    assert isinstance(read.value, IndexError) or key in ([[0, 1], [0]], (None,) * 40)
    with pytest.raises((IndexError, ValueError)):
        x[key] = 1
    assert x.tolist() == [[0, 0], [0, 0]]


def test_bad_float_tensor_index() -> None:
    with pytest.raises(IndexError, match="float32"):
        fe.zeros(3)[fe.tensor([0.0])]


def test_slices_of_any_bounds() -> None:
    a = np.arange(5)
    x = fe.tensor(a)
    bounds = [None, 0, 1, -1, 4, 5, 6, -5, -6, 2**62, -(2**63), 2**63 - 1, 10**30]
    bounds += [-(10**30)]
    steps = [None, 1, 2, -1, -3, 2**63 - 1, -(2**63), 10**30, -(10**30)]
    recorded = fe.tensor(a.astype(np.float64), requires_grad=True)
    for start, stop, step in itertools.product(bounds, bounds, steps):
        key = slice(start, stop, step)
        assert x[key].tolist() == a[key].tolist(), key
        assert recorded[key].tolist() == a[key].tolist(), key
        b, y = a.copy(), fe.tensor(a)
        b[key] = -np.arange(len(a[key]))
        y[key] = -fe.arange(len(a[key]))
        assert y.tolist() == b.tolist(), key
    with pytest.raises(ValueError):
        x[::0]
    with pytest.raises(TypeError):
        x[1.0:]
    with pytest.raises(TypeError):
        x["a":]


def test_errors_say_what_and_where() -> None:
    x = fe.zeros(2, 3)
    for key, text in [
        ((0, 3), "index 3 is out of range for dimension 1 of shape (2, 3)"),
        ((FULL, [0, -4]), "index -4 is out of range for dimension 1 of size 3"),
        (([0, 1], [0, 1, 2]), "shapes (2,) and (3,)"),
        (([True, False, True],), "mask of shape (3,)"),
        ((0, 0, 0), "3 indices for a tensor of shape (2, 3)"),
    ]:
        with pytest.raises(IndexError) as error:
            x[key]
        assert text in str(error.value)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        x[x > -1] = fe.zeros(2)
    with pytest.raises(ValueError, match="broadcast"):
        x[[0, 1]] = fe.zeros(2, 2)


def test_empty_dimensions_like_numpy() -> None:
    for shape in [(0,), (0, 3), (3, 0), (2, 0, 3)]:
        a = np.zeros(shape)
        x = fe.tensor(a)
        for key in keys_for(shape, 300, 50 + len(shape)):
            want, got = outcome(lambda: a[key]), outcome(lambda: x[key])
            if isinstance(want, type):
                assert got is want, (shape, key)
            elif np.ndim(want) <= 8:
                assert not isinstance(got, type), (shape, key, got)
                assert got.shape == np.shape(want), (shape, key)


# --- indices that lead outside

EXTREMES = [0, -1, 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63)]


def refused_or_fine(call: Any) -> None:
    refusals = (fe.FerruleError, IndexError, ValueError, TypeError, OverflowError)
    try:
        call()
    except refusals as error:
        assert str(error) != ""  # noqa: PT017


def random_index(rng: np.random.Generator, rank: int) -> fe.Tensor:
    shape = tuple(int(n) for n in rng.integers(0, 4, rank))
    values = rng.integers(-3, 4, shape)
    if rng.random() < 0.4 and values.size:
        at = int(rng.integers(values.size))
        values.reshape(-1)[at] = EXTREMES[int(rng.integers(len(EXTREMES)))]
    t = fe.tensor(values)
    return t.int() if rng.random() < 0.2 else t


def test_no_index_reaches_outside() -> None:
    """Nothing crashes; what is refused leaves the tensor as it was."""
    rng = np.random.default_rng(8)
    ops = fe.ops
    for _ in range(3000):
        shape = tuple(int(n) for n in rng.integers(0, 4, rng.integers(0, 4)))
        x = fe.tensor(rng.standard_normal(shape).astype(np.float32))
        if rng.random() < 0.3 and x.ndim > 1:
            x = x.transpose(0, -1)
        rank = int(rng.integers(0, 4))
        index = random_index(rng, rank)
        like = fe.ones(index.shape)
        d = int(rng.integers(-3, 4))
        list_ = [
            None if rng.random() < 0.3 else random_index(rng, int(rng.integers(0, 3)))
            for _ in range(int(rng.integers(0, 4)))
        ]
        mask = fe.tensor(rng.random(index.shape) < 0.5)
        source = fe.ones(tuple(int(n) for n in rng.integers(0, 4, rng.integers(0, 3))))
        calls = [
            lambda: ops.gather(x, d, index),
            lambda: ops.scatter(x, d, index, like),
            lambda: ops.scatter(x, d, index, 1.0),
            lambda: ops.scatter_add(x, d, index, like),
            lambda: ops.scatter_reduce(x, d, index, like, "mean"),
            lambda: ops.scatter_reduce(x, d, index, like, "amax", False),
            lambda: ops.index(x, list_),
            lambda: ops.index_put(x, list_, source),
            lambda: ops.index_put(x, list_, source, True),
            lambda: x.index_put_(list_, source),
            lambda: ops.last_writes(list_, shape),
            lambda: ops.take(x, index),
            lambda: ops.put(x, index, like),
            lambda: x.put_(index, like, True),
            lambda: ops.take_along_dim(x, index, d),
            lambda: ops.index_select(x, d, index),
            lambda: ops.index_add(x, d, index, source),
            lambda: ops.index_copy(x, d, index, source),
            lambda: x.index_fill_(d, index, 2.0),
            lambda: ops.masked_select(x, mask),
            lambda: x.masked_scatter_(mask, source),
            lambda: ops.masked_scatter(x, mask, source),
            lambda: ops.masked_pack(x, mask, (3,)),
            lambda: x.masked_fill_(mask, source),
            lambda: x[tuple(FULL if i is None else i for i in list_)],
            lambda: operator.setitem(x, mask, source),
            lambda: operator.setitem(x, (index, mask), 1.0),
        ]
        refused_or_fine(calls[int(rng.integers(len(calls)))])


def test_a_refused_write_changes_nothing() -> None:
    x = fe.zeros(4)
    bad = fe.tensor([0, 1, 9])
    for call in [
        lambda: operator.setitem(x, bad, 1.0),
        lambda: x.index_put_([bad], fe.ones(3), True),
        lambda: x.index_fill_(0, bad, 1.0),
        lambda: x.index_copy_(0, bad, fe.ones(3)),
        lambda: x.index_add_(0, bad, fe.ones(3)),
        lambda: x.put_(bad, fe.ones(3)),
        lambda: x.scatter_(0, bad, 1.0),
        lambda: x.scatter_add_(0, bad, fe.ones(3)),
        lambda: x.scatter_reduce_(0, bad, fe.ones(3), "prod", False),
        lambda: x.masked_scatter_(fe.tensor([True] * 4), fe.ones(3)),
    ]:
        with pytest.raises((IndexError, ValueError)):
            call()
        assert x.tolist() == [0, 0, 0, 0]


# --- the ops


def test_in_place_forms_on_strided_tensors() -> None:
    rng = np.random.default_rng(9)
    i = fe.tensor(rng.integers(0, 4, (3, 5)))
    one = fe.tensor([3, 1])
    src = fe.tensor(rng.standard_normal((3, 5)))
    part = fe.tensor(rng.standard_normal((2, 6)))
    mask = fe.tensor(rng.random((4, 6)) < 0.5)
    for name, args in [
        ("scatter", (0, i, src)),
        ("scatter", (0, i, 2.5)),
        ("scatter_add", (0, i, src)),
        ("scatter_reduce", (0, i, src, "prod")),
        ("scatter_reduce", (0, i, src, "mean", False)),
        ("scatter_reduce", (0, i, src, "amin", False)),
        ("index_put", ([one, None], part)),
        ("index_put", ([one, one], fe.tensor(1.5).double(), True)),
        ("index_add", (0, one, part)),
        ("index_copy", (0, one, part)),
        ("index_fill", (0, one, 3.0)),
        ("put", (i, src)),
        ("put", (i, src, True)),
        ("masked_scatter", (mask, fe.tensor(rng.standard_normal(24)))),
        ("masked_fill", (mask, 2.0)),
        ("masked_fill", (mask, fe.tensor(2.0))),
    ]:
        for dtype in (fe.float64, fe.float16):
            base = fe.tensor(rng.standard_normal((4, 12))).to(dtype)
            cast = [
                a.to(dtype) if isinstance(a, fe.Tensor) and a.is_floating_point() else a
                for a in args
            ]
            x = base[:, ::2]
            untouched = base[:, 1::2].clone()
            want = getattr(fe.ops, name)(x, *cast)
            assert getattr(x, f"{name}_")(*cast) is x
            assert x.tolist() == want.tolist(), name
            assert base[:, ::2].tolist() == want.tolist(), name
            assert base[:, 1::2].tolist() == untouched.tolist(), name


def test_nonzero_and_where() -> None:
    a = np.array([[0, 3, 0], [5, 0, 7]])
    x = fe.tensor(a)
    assert fe.nonzero(x).tolist() == np.argwhere(a).tolist()
    assert fe.argwhere(x).tolist() == np.argwhere(a).tolist()
    for got in (x.nonzero(as_tuple=True), fe.where(x != 0)):
        assert [t.tolist() for t in got] == [t.tolist() for t in np.nonzero(a)]
    assert x[fe.where(x > 3)].tolist() == [5, 7]
    assert fe.where(x > 3, x, 0).tolist() == np.where(a > 3, a, 0).tolist()
    assert x.where(x > 3, -1).tolist() == np.where(a > 3, a, -1).tolist()
    assert fe.nonzero(fe.tensor(1)).shape == (1, 0)


def test_masked_fill_by_a_tensor_has_a_gradient() -> None:
    x = fe.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = fe.tensor(5.0, requires_grad=True)
    y = x * 1.0
    y[y > 1.5] = v
    (y * fe.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad is not None and v.grad is not None
    assert x.grad.tolist() == [1, 0, 0]
    assert v.grad.item() == 110


def test_16_bit_sums_are_rounded_once() -> None:
    i = fe.zeros(4096, dtype=fe.int64)
    for dtype in (fe.float16, fe.bfloat16):
        one = fe.full((4096,), 1.0, dtype=dtype)
        for got in (
            fe.index_put(fe.zeros(2, dtype=dtype), [i], one, True),
            fe.scatter_add(fe.zeros(2, dtype=dtype), 0, i, one),
            fe.index_add(fe.zeros(2, dtype=dtype), 0, i, one),
            fe.put(fe.zeros(2, dtype=dtype), i, one, True),
        ):
            assert got.tolist() == [4096, 0]


def test_writes_are_captured() -> None:
    def step(x: fe.Tensor, i: fe.Tensor, v: fe.Tensor) -> fe.Tensor:
        y = x * 1.0
        y[i] = v
        y[:, i[:2]] += 1.0
        y[y > 2.0] = 0.5
        return y[::-1, [0, -1]] + y[i, 1].sum()

    x, i = fe.randn(4, 5), fe.tensor([2, 0, 2])
    v = fe.randn(3, 5)
    program = fe.export(step, (x, i, v))
    assert program.run("forward", x, i, v)[0].tolist() == step(x, i, v).tolist()


def test_against_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(11)
    a = rng.standard_normal((4, 5))
    a[1, 2] = a[3, 2] = 0.0
    src = rng.standard_normal((3, 6))
    src[0, 0] = src[2, 3] = 0.0
    index = rng.integers(0, 5, (3, 6))
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        for include_self in (True, False):
            results = []
            for lib in (fe, torch):
                x = lib.tensor(a, requires_grad=True)
                s = lib.tensor(src, requires_grad=True)
                y = x.scatter_reduce(
                    1, lib.tensor(index), s, reduce, include_self=include_self
                )
                (y * y).sum().backward()
                results.append([t.detach().numpy() for t in (y, x.grad, s.grad)])
            for mine, theirs in zip(*results, strict=True):
                np.testing.assert_allclose(mine, theirs, atol=1e-9, err_msg=reduce)


def test_a_mask_of_size_0_fits_every_dimension():
    """As in NumPy and the array API; PyTorch has an error."""
    x = fe.arange(6.0).reshape(2, 3)
    a = x.numpy()
    for shape in ((0,), (0, 3), (2, 0), (0, 0)):
        got = x[fe.zeros(shape, dtype=fe.bool)]
        assert got.shape == a[np.zeros(shape, bool)].shape
    y = x.clone()
    y[fe.zeros(0, dtype=fe.bool)] = 5
    assert y.tolist() == x.tolist()
    with pytest.raises(IndexError, match="mask"):
        x[fe.zeros(1, dtype=fe.bool)]
