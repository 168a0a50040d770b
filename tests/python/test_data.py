"""utils.data: data sets, samplers, collating."""

import collections
import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import ferrule as fe
from data_cases import Count, Squares, rows
from ferrule.utils import data


def values(batch):
    if isinstance(batch, fe.Tensor):
        return batch.tolist()
    if isinstance(batch, float):
        return batch
    return [values(b) for b in batch]


def test_docstrings():
    for module in pkgutil.iter_modules(data.__path__, "ferrule.utils.data."):
        assert doctest.testmod(importlib.import_module(module.name)).failed == 0


# --- data sets


def test_tensor_dataset():
    dataset = rows(5)
    assert len(dataset) == 5
    x, y = dataset[-1]
    assert (x.tolist(), y.item()) == ([8.0, 9.0], 4)
    x, y = dataset.get_batch([3, -5])
    assert (x.tolist(), y.tolist()) == ([[6.0, 7.0], [0.0, 1.0]], [3, 0])
    with pytest.raises(fe.IndexOutOfRange, match=r"5 is out .* valid: -5\.\.4"):
        dataset.get_batch([0, 5])
    with pytest.raises(fe.ShapeError, match=r"got shapes \(3,\), \(4,\)"):
        data.TensorDataset(fe.zeros((3,)), fe.zeros((4,)))
    with pytest.raises(fe.ShapeError, match="got shapes none"):
        data.TensorDataset()


def test_tensor_dataset_is_never_read_by_sample(monkeypatch):
    def fail(self, index):
        raise AssertionError("read one sample")

    monkeypatch.setattr(data.TensorDataset, "__getitem__", fail)
    part = data.Subset(rows(6), [5, 3, 1])
    batches = [values(b) for b in data.DataLoader(part, batch_size=2)]
    assert [b[1] for b in batches] == [[5, 3], [1]]


def test_concat_and_subset():
    both = rows(3) + data.Subset(rows(5), [4, 0])
    assert len(both) == 5
    assert [both[i][1].item() for i in range(5)] == [0, 1, 2, 4, 0]
    assert both[-1][1].item() == 0
    with pytest.raises(IndexError):
        both[5]
    with pytest.raises(ValueError, match="at least one"):
        data.ConcatDataset([])
    with pytest.raises(ValueError, match="Count is a stream; use ChainDataset"):
        data.ConcatDataset([Count(3)])
    assert data.Subset(rows(5), [4, 0])[0][1].item() == 4


def test_a_subclass_that_changes_samples_changes_batches():
    class Doubled(data.TensorDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)[1] * 2

    loader = data.DataLoader(Doubled(*rows(4).tensors), batch_size=4)
    assert values(next(iter(loader))) == [0, 2, 4, 6]
    part = data.DataLoader(data.Subset(Doubled(*rows(4).tensors), [3, 1]), batch_size=2)
    assert values(next(iter(part))) == [6, 2]


def test_getitems_reads_samples_together():
    asked = []

    class Together(Squares):
        def __getitems__(self, indices):
            asked.append(list(indices))
            return [i * i for i in indices]

    part = data.Subset(Together(10), [9, 8, 7])
    for dataset, collate in ((Together(10), None), (part, None), (part, sum)):
        loader = data.DataLoader(dataset, batch_size=3, collate_fn=collate)
        got = next(iter(loader))
        assert got == 194 if collate else len(got) == 3
    assert asked == [[0, 1, 2], [9, 8, 7], [9, 8, 7]]

    class Short(Squares):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(data.SampleError, match="returned 1 samples for 2 indices"):
        next(iter(data.DataLoader(Short(4), batch_size=2)))


def test_stack():
    pair = data.StackDataset(rows(3), Squares(3))
    assert len(pair) == 3 and pair[2][1] == 4
    (x, y), squares = next(iter(data.DataLoader(pair, batch_size=2)))
    assert (x.shape, y.tolist(), squares.tolist()) == ((2, 2), [0, 1], [0, 1])
    named = data.StackDataset(a=rows(3), b=rows(3))
    assert next(iter(data.DataLoader(named, 3)))["b"][1].tolist() == [0, 1, 2]
    by_sample = data.DataLoader(pair, 2, collate_fn=lambda samples: samples)
    assert next(iter(by_sample))[1][1] == 1
    for sets, names in (((), {}), (([1],), {"a": [1]})):
        with pytest.raises(ValueError, match="either all by position or all by name"):
            data.StackDataset(*sets, **names)
    with pytest.raises(ValueError, match=r"lengths differ: \[1, 2\]"):
        data.StackDataset([1], [1, 2])


def test_chain():
    both = Count(2) + Count(3)
    assert isinstance(both, data.ChainDataset)
    assert list(both) == [0, 1, 0, 1, 2] and len(both) == 5
    assert values(data.DataLoader(both, batch_size=4)) == [[0, 1, 0, 1], [2]]
    with pytest.raises(TypeError, match="Squares is no IterableDataset"):
        list(data.ChainDataset([Squares()]))


def test_random_split():
    parts = data.random_split(rows(10), [0.5, 0.25, 0.25], seed=1)
    assert [len(p) for p in parts] == [6, 2, 2]
    assert sorted(i for p in parts for i in p.indices) == list(range(10))
    again = data.random_split(rows(10), [6, 2, 2], seed=1)
    assert [p.indices for p in parts] == [p.indices for p in again]
    fe.manual_seed(0)
    one = data.random_split(rows(100), [50, 50])[0].indices
    two = data.random_split(rows(100), [50, 50])[0].indices
    fe.manual_seed(0)
    assert one != two
    assert data.random_split(rows(100), [50, 50])[0].indices == one
    for lengths in ([5, 4], [0.5, 0.4], [1.5, -0.5]):
        with pytest.raises(ValueError, match=r"^\[random_split\]"):
            data.random_split(rows(10), lengths)
    with pytest.warns(fe.FerruleWarning, match="part 1 of 2 samples is empty"):
        assert len(data.random_split(rows(2), [1.0, 0.0])[0]) == 2


def test_permutation_is_pinned():
    """The order for a seed is part of the interface: it must never change."""
    order = list(data.RandomSampler(range(8), seed=0))
    assert sorted(order) == list(range(8))
    assert order == [0, 3, 7, 5, 1, 2, 6, 4]


def test_samplers():
    sampler = data.RandomSampler(range(50), seed=3)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    again = data.RandomSampler(range(50), seed=3)
    assert [list(again), list(again)] == [first, second]
    drawn = list(data.RandomSampler(range(3), True, 1000, seed=0))
    counts = np.bincount(drawn)
    assert len(counts) == 3 and counts.min() > 250
    assert len(data.RandomSampler(range(9), num_samples=4)) == 4
    several = list(data.RandomSampler(range(3), num_samples=7, seed=0))
    assert sorted(several[:3]) == sorted(several[3:6]) == [0, 1, 2]
    assert len(several) == 7 and several[:3] != several[3:6]
    for count in (-1, 1.5, True):
        with pytest.raises(ValueError, match="must be a whole number of at least 0"):
            data.RandomSampler(range(3), num_samples=count)
    with pytest.raises(ValueError, match="cannot draw 2 of 0"):
        list(data.RandomSampler([], num_samples=2))
    assert list(data.RandomSampler([])) == []
    assert len(data.BatchSampler(range(5), 2, True)) == 2
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        data.BatchSampler(range(5), 0, False)


def test_subset_and_weighted_samplers():
    fe.manual_seed(0)
    subset = data.SubsetRandomSampler([5, 1, 8, 3])
    one, two = list(subset), list(subset)
    assert sorted(one) == sorted(two) == [1, 3, 5, 8] and len(subset) == 4
    assert [list(subset) for _ in range(5)] != [one] * 5
    weights = [1.0, 0.0, 3.0]
    drawn = list(data.WeightedRandomSampler(weights, 4000))
    counts = np.bincount(drawn, minlength=3)
    # Of 4000 draws with probability 3/4 the deviation is 27.
    assert counts[1] == 0 and abs(counts[2] - 3000) < 150
    once = data.WeightedRandomSampler(weights, 2, replacement=False)
    assert sorted(once) == [0, 2]
    g = fe.Generator().manual_seed(1)
    again = data.WeightedRandomSampler(weights, 9, generator=g)
    first = list(again)
    g.manual_seed(1)
    assert list(again) == first
    with pytest.raises(ValueError, match="num_samples must be"):
        data.WeightedRandomSampler(weights, 0)
    with pytest.raises(ValueError, match=r"got shape \(1, 2\)"):
        data.WeightedRandomSampler([[1.0, 2.0]], 1)
    loader = data.DataLoader(rows(9), batch_size=2, sampler=subset)
    assert sorted(i for _, y in loader for i in y.tolist()) == [1, 3, 5, 8]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("n", "drop_last", "each"), [(10, False, 4), (10, True, 3)])
def test_distributed_sampler(shuffle, n, drop_last, each):
    def shares(epoch):
        samplers = [
            data.DistributedSampler(range(n), 3, r, shuffle, 5, drop_last)
            for r in range(3)
        ]
        for sampler in samplers:
            sampler.set_epoch(epoch)
        assert [len(s) for s in samplers] == [each] * 3
        return [list(s) for s in samplers]

    one = shares(0)
    seen = collections.Counter(i for share in one for i in share)
    assert sum(seen.values()) == 3 * each
    assert max(seen.values()) == (1 if drop_last else 2)
    assert len(seen) == min(n, 3 * each)
    assert shares(0) == one
    assert (shares(1) != one) == shuffle


def test_distributed_sampler_asks_the_environment(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RuntimeError, match=r"give rank, or set \$RANK"):
        data.DistributedSampler(range(4))
    monkeypatch.setenv("RANK", "1")
    assert list(data.DistributedSampler(range(4), shuffle=False)) == [1, 3]
    with pytest.raises(ValueError, match=r"rank 2 is not in 0\.\.1"):
        data.DistributedSampler(range(4), 2, 2)
    # More processes than samples: repeated as often as need be.
    many = [data.DistributedSampler(range(2), 5, r, False) for r in range(5)]
    assert [list(s) for s in many] == [[0], [1], [0], [1], [0]]


def test_a_sampler_that_changes_the_order_is_asked():
    class Backwards(data.SequentialSampler):
        def __iter__(self):
            return iter(range(len(self) - 1, -1, -1))

    loader = data.DataLoader(rows(3), batch_size=2, sampler=Backwards(rows(3)))
    assert [y.tolist() for _, y in loader] == [[2, 1], [0]]

    class Pairs(data.BatchSampler):
        def __iter__(self):
            return iter([[0, 2]])

    pairs = Pairs(data.SequentialSampler(rows(3)), 2, False)
    loader = data.DataLoader(rows(3), batch_sampler=pairs)
    assert [y.tolist() for _, y in loader] == [[0, 2]]


# --- collating


def test_default_collate():
    Point = collections.namedtuple("Point", "x y")
    samples = [
        {
            "t": fe.full((2,), float(i)),
            "a": np.full(3, i, np.int16),
            "s": np.float32(i),
            "n": i,
            "f": i / 2,
            "b": i == 1,
            "text": f"sample {i}",
            "p": Point(i, [i, i]),
        }
        for i in range(2)
    ]
    batch = data.default_collate(samples)
    assert batch["t"].tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert batch["a"].dtype == fe.int16 and batch["a"].shape == (2, 3)
    assert batch["s"].dtype == fe.float32
    assert batch["n"].dtype == fe.int64
    assert batch["f"].dtype == fe.float64
    assert batch["b"].dtype == fe.bool
    assert batch["text"] == ["sample 0", "sample 1"]
    assert type(data.default_collate([(1, 2)])) is list
    assert type(batch["p"]) is Point and values(batch["p"].y) == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("batch", "error", "text"),
    [
        ([], ValueError, "the batch has no sample"),
        ([object()], fe.DTypeError, "samples of type object cannot be made a batch"),
        (
            [fe.zeros((2,)), fe.zeros((3,))],
            fe.ShapeError,
            r"sample 0 of the batch has shape \(2,\), but sample 1 \(3,\)",
        ),
        ([np.array(["a"])], fe.DTypeError, "samples of type ndarray of <U1 cannot"),
        ([(1, 2), (1,)], fe.ShapeError, "has length 2, but sample 1 1"),
    ],
)
def test_default_collate_errors(batch, error, text):
    with pytest.raises(error, match=text):
        data.default_collate(batch)


def test_default_convert():
    Point = collections.namedtuple("Point", "x y")
    names = np.array(["a"])
    sample = {"a": np.arange(3), "p": Point(np.float32(1), "x"), "l": (1, names)}
    got = data.default_convert(sample)
    assert got["a"].tolist() == [0, 1, 2] and got["a"].dtype == fe.int64
    assert type(got["p"]) is Point and got["p"].x.dtype == fe.float32
    assert got["l"][0] == 1 and got["l"][1] is names and type(got["l"]) is list
    arrays = data.DataLoader([np.zeros(2), np.ones(2)], batch_size=None)
    assert [x.tolist() for x in arrays] == [[0.0, 0.0], [1.0, 1.0]]
