"""DataLoader: batches, order, workers, errors."""

import functools
import gc
import time

import numpy as np
import pytest

import ferrule as fe
from data_cases import (
    Count,
    GlobalNoise,
    Mixed,
    Noise,
    NoisyCount,
    Squares,
    loader_threads,
    nothing_left,
    open_files,
    rows,
    values,
    wait_until,
)
from ferrule.utils import data


@pytest.fixture(autouse=True)
def leaves_nothing():
    yield
    gc.collect()
    assert wait_until(nothing_left)


def test_batches_and_length():
    loader = data.DataLoader(rows(5), batch_size=2)
    assert len(loader) == len(iter(loader)) == 3
    assert [y.tolist() for _, y in loader] == [[0, 1], [2, 3], [4]]
    loader = data.DataLoader(rows(5), batch_size=2, drop_last=True)
    assert len(loader) == len(list(loader)) == 2
    singles = data.DataLoader(rows(3), batch_size=None)
    assert [y.item() for _, y in singles] == [0, 1, 2] and len(singles) == 3
    listed = data.DataLoader([5, 6, 7], batch_size=3)
    assert next(iter(listed)).tolist() == [5, 6, 7]
    sampled = data.DataLoader(rows(5), sampler=[4, 0], batch_size=2)
    assert [y.tolist() for _, y in sampled] == [[4, 0]]
    grouped = data.DataLoader(rows(5), batch_sampler=[[4], [0, 1]])
    assert [y.tolist() for _, y in grouped] == [[4], [0, 1]] and len(grouped) == 2
    own = data.DataLoader(Squares(4), batch_size=2, collate_fn=sum)
    assert list(own) == [1, 13]


def test_arguments_by_position_are_pytorchs():
    torch = pytest.importorskip("torch", reason="the same call in PyTorch")

    def load(module, dataset):
        loader = module.DataLoader(
            dataset, 4, False, None, None, 0, None, False, True, 0, None, None, None
        )
        return [[t.tolist() for t in batch] for batch in loader]

    theirs = torch.utils.data.TensorDataset(torch.arange(10), torch.arange(10) * 2)
    ours = data.TensorDataset(fe.arange(10), fe.arange(10) * 2)
    assert load(data, ours) == load(torch.utils.data, theirs)


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(data.DataLoader, rows(20), batch_size=3, shuffle=True),
        functools.partial(data.DataLoader, Squares(20), batch_size=3, shuffle=True),
        functools.partial(data.DataLoader, Noise(20), batch_size=3, shuffle=True),
        functools.partial(data.DataLoader, Noise(20), batch_size=None),
        functools.partial(data.DataLoader, Mixed(20), batch_size=3),
        functools.partial(data.DataLoader, Count(20), batch_size=3, drop_last=True),
        functools.partial(data.DataLoader, Count(20), batch_size=None),
        functools.partial(
            data.DataLoader,
            Squares(20),
            batch_size=3,
            collate_fn=lambda samples: (np.array(samples), fe.rand(1).item()),
        ),
    ],
)
@pytest.mark.parametrize("workers", ["process", "thread"])
def test_same_batches_for_every_number_of_workers(make, workers):
    def epochs(**options):
        fe.manual_seed(5)
        loader = make(workers=workers, **options)
        with loader:
            return [[values(batch) for batch in loader] for _ in range(2)]

    want = epochs()
    assert [len(epoch) for epoch in want] == [len(make())] * 2
    for count in (1, 2, 8):
        assert str(epochs(num_workers=count)) == str(want)
    assert str(epochs(num_workers=2, prefetch_factor=1)) == str(want)
    assert str(epochs(num_workers=2, persistent_workers=True)) == str(want)


@pytest.mark.parametrize("dataset", [GlobalNoise(20), NoisyCount(20)])
def test_generators_of_the_process_are_seeded_in_processes(dataset):
    def epochs(count):
        fe.manual_seed(5)
        loader = data.DataLoader(dataset, batch_size=3, num_workers=count)
        return [[values(batch) for batch in loader] for _ in range(2)]

    want = epochs(0)
    assert want[0] != want[1]
    for count in (1, 2, 8):
        assert epochs(count) == want


def test_spawned_workers_give_the_same():
    def epoch(**options):
        fe.manual_seed(5)
        return values(list(data.DataLoader(Noise(6), 2, shuffle=True, **options)))

    assert epoch(num_workers=1, multiprocessing_context="spawn") == epoch()


def test_reading_leaves_the_generators_of_the_program_alone():
    import random

    def state():
        return fe.get_rng_state().tolist(), random.getstate(), np.random.get_state()  # noqa: NPY002

    fe.manual_seed(0)
    before = state()
    for workers in (0, 2):
        list(data.DataLoader(GlobalNoise(4), num_workers=workers))
    assert str(state()) == str(before)
    numbers = fe.rand(3).tolist()
    fe.manual_seed(0)
    iterator = iter(data.DataLoader(GlobalNoise(4)))
    next(iterator)
    assert fe.rand(3).tolist() == numbers


def test_random_samples_differ_by_sample_and_epoch():
    loader = data.DataLoader(Noise(10), batch_size=5, seed=1)
    drawn = [batch[1].tolist() for _ in range(2) for batch in loader]
    assert len({x for batch in drawn for x in batch}) == 20
    again = data.DataLoader(Noise(10), batch_size=5, seed=1)
    assert [batch[1].tolist() for batch in again] == drawn[:2]
    with pytest.raises(RuntimeError, match="no DataLoader is reading"):
        data.sample_generator()


def test_order_is_drawn_when_the_epoch_begins():
    def order(workers):
        fe.manual_seed(1)
        iterator = iter(data.DataLoader(Squares(8), shuffle=True, num_workers=workers))
        fe.rand(1)
        return [x.item() for x in iterator], fe.rand(1).item()

    assert order(0) == order(2)


def test_worker_info():
    class Who(Squares):
        def __getitem__(self, index):
            info = data.get_worker_info()
            return info.id, info.num_workers, info.seed, info.dataset is self

    for workers in ("process", "thread"):
        loader = data.DataLoader(Who(8), num_workers=2, workers=workers, seed=1)
        got = {tuple(x.item() for x in sample) for sample in loader}
        assert {who[:2] for who in got} <= {(0, 2), (1, 2)}
        assert all(who[3] for who in got)
        assert len({who[2] - who[0] for who in got}) == 1
    assert data.get_worker_info() is None


def test_worker_init_fn():
    class Own(Squares):
        def __getitem__(self, index):
            return self.base + index

    def init(worker):
        data.get_worker_info().dataset.base = 100

    for workers in ("process", "thread"):
        loader = data.DataLoader(
            Own(4), 4, num_workers=1, worker_init_fn=init, workers=workers
        )
        assert next(iter(loader)).tolist() == [100, 101, 102, 103]

    def broken(worker):
        raise KeyError("no such camera")

    for workers in ("process", "thread"):
        loader = data.DataLoader(
            Squares(4), num_workers=2, worker_init_fn=broken, workers=workers
        )
        with pytest.raises(KeyError, match="no such camera"):
            list(loader)


@pytest.mark.parametrize("workers", ["process", "thread"])
def test_workers_read_ahead_but_not_too_far(workers, tmp_path):
    class Recorded(Squares):
        def __getitem__(self, index):
            (tmp_path / f"{workers}{index}").touch()
            return index

    def read():
        return len(list(tmp_path.iterdir()))

    loader = data.DataLoader(
        Recorded(100), num_workers=2, prefetch_factor=3, workers=workers
    )
    iterator = iter(loader)
    assert wait_until(lambda: read() == 6)  # before the first is asked for
    next(iterator)
    assert wait_until(lambda: read() == 7)
    time.sleep(0.1)
    assert read() == 7


def test_in_any_order(tmp_path):
    class Late(Squares):
        def __getitem__(self, index):
            if index == 0:
                assert wait_until((tmp_path / "another").exists, 60)
            else:
                (tmp_path / "another").touch()
            return index

    for workers in ("process", "thread"):
        loader = data.DataLoader(
            Late(6), num_workers=2, in_order=False, workers=workers
        )
        got = [x.item() for x in loader]
        assert sorted(got) == list(range(6)) and got[0] != 0
        (tmp_path / "another").unlink()


@pytest.mark.parametrize("options", [{}, {"num_workers": 2, "workers": "thread"}])
def test_error_names_the_sample(options):
    loader = data.DataLoader(Squares(10, bad=7), batch_size=2, **options)
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    with pytest.raises(data.SampleError) as info:
        next(iterator)
    assert str(info.value) == (
        "[DataLoader] sample 7 of Squares raised ValueError: bad image"
    )
    assert info.value.index == 7
    cause = info.value.__cause__
    assert isinstance(cause, ValueError)
    frames = []
    trace = cause.__traceback__
    while trace:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert "__getitem__" in frames
    assert list(iterator) == []


class Unsendable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_error_of_a_process_names_the_sample_and_carries_its_traceback():
    iterator = iter(data.DataLoader(Squares(10, bad=7), batch_size=2, num_workers=2))
    for _ in range(3):
        next(iterator)
    with pytest.raises(data.SampleError) as info:
        next(iterator)
    assert str(info.value) == (
        "[DataLoader] sample 7 of Squares raised ValueError: bad image"
    )
    assert info.value.index == 7
    cause = info.value.__cause__
    assert isinstance(cause, ValueError)
    text = str(cause.__cause__)
    assert "Traceback of worker ferrule-loader-1 (" in text
    assert "in __getitem__" in text and 'raise ValueError("bad image")' in text
    assert list(iterator) == []

    def refuse(samples):
        raise Unsendable(1, 2)

    with pytest.raises(data.WorkerError, match="raised .*Unsendable: 1 and 2") as info:
        list(data.DataLoader(Squares(3), num_workers=1, collate_fn=refuse))
    assert "in refuse" in str(info.value.__cause__)
    odd = data.DataLoader(Squares(3), num_workers=1, collate_fn=lambda s: lambda: s)
    with pytest.raises(TypeError, match=r'cannot send batch 0 .*workers="thread"'):
        list(odd)


def test_stop_iteration_in_a_data_set_does_not_end_the_epoch():
    class Empty(Squares):
        def __getitem__(self, index):
            return next(iter([]))

    def collate(samples):
        raise StopIteration

    for options in ({}, {"num_workers": 1}, {"num_workers": 1, "workers": "thread"}):
        with pytest.raises(data.SampleError, match="sample 0 of Empty raised StopIt"):
            list(data.DataLoader(Empty(3), **options))
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            list(data.DataLoader(Squares(3), collate_fn=collate, **options))


@pytest.mark.parametrize("workers", [0, 2])
def test_error_in_a_stream(workers):
    class Broken(data.IterableDataset):
        def __iter__(self):
            yield 1
            raise OSError("connection lost")

    iterator = iter(data.DataLoader(Broken(), batch_size=1, num_workers=workers))
    assert next(iterator).tolist() == [1]
    with pytest.raises(data.SampleError, match="Broken raised OSError: connection"):
        next(iterator)


def test_unfinished_epoch_leaves_nothing():
    iterator = iter(data.DataLoader(Squares(1000), num_workers=3, workers="thread"))
    next(iterator)
    assert len(loader_threads()) == 3
    del iterator
    files = open_files()
    for _ in data.DataLoader(Mixed(1000), num_workers=2):
        break
    del _
    iter(data.DataLoader(Mixed(1000), num_workers=2))
    gc.collect()
    assert open_files() == files


def test_batches_outlive_their_loader():
    loader = data.DataLoader(Mixed(300), batch_size=2, num_workers=2)
    files = open_files()
    batches = list(loader)
    del loader
    gc.collect()
    # Every block is an open file, and programs may have 1024: most are copied.
    assert open_files() - files < 150
    for i, batch in enumerate(batches):
        assert batch["image"].shape == (2, 3, 40, 40)
        assert batch["image"][1, 2, 39, 39].item() == 2 * i + 1
        batch["image"].add_(1.0)  # it is the program's
    del batch, batches
    gc.collect()
    assert open_files() == files


def test_persistent_workers_stay():
    class Pid(Squares):
        def __getitem__(self, index):
            import os

            return os.getpid()

    loader = data.DataLoader(Pid(20), num_workers=2, persistent_workers=True)
    one, two = ({x.item() for x in loader} for _ in range(2))
    assert len(one | two) <= 2
    first = iter(loader)
    next(first)
    second = iter(loader)
    assert len(list(second)) == 20
    with pytest.raises(RuntimeError, match="another iterator has begun since"):
        next(first)
    assert len(list(loader)) == 20  # started anew after the error


def test_two_epochs_at_once():
    for options in ({}, {"num_workers": 2}, {"num_workers": 2, "workers": "thread"}):
        stream = data.DataLoader(Count(5), batch_size=2, **options)
        assert [a.tolist() == b.tolist() for a, b in zip(stream, stream)] == [True] * 3


def test_a_stream_is_read_by_one_worker():
    class Sharded(data.IterableDataset):
        def __iter__(self):
            info = data.get_worker_info()
            return iter(range(info.id, 12, info.num_workers))

    loader = data.DataLoader(Sharded(), batch_size=5, num_workers=3)
    assert [x for batch in loader for x in batch.tolist()] == list(range(12))


@pytest.mark.parametrize("workers", ["process", "thread"])
def test_timeout(workers):
    class Late(Squares):
        def __getitem__(self, index):
            time.sleep(index)
            return index

    loader = data.DataLoader(Late(9), num_workers=1, timeout=0.5, workers=workers)
    iterator = iter(loader)
    assert next(iterator).item() == 0
    with pytest.raises(TimeoutError, match="no batch within 0.5 s"):
        next(iterator)
    del iterator


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": True},
        {"batch_size": None, "drop_last": True},
        {"num_workers": -1},
        {"timeout": -1},
        {"num_workers": 1, "prefetch_factor": 0},
        {"prefetch_factor": 2},
        {"persistent_workers": True},
        {"multiprocessing_context": "fork"},
        {"num_workers": 1, "multiprocessing_context": "teleport"},
        {"workers": "fibre"},
        {"shuffle": True, "sampler": [0]},
        {"batch_sampler": [[0]], "batch_size": 2},
    ],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=r"^\[DataLoader\]"):
        data.DataLoader(rows(3), **options)


def test_streams_cannot_be_shuffled():
    with pytest.raises(ValueError, match="Count is a stream"):
        data.DataLoader(Count(3), shuffle=True)
