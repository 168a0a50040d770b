"""utils.data and datasets: loading, order, workers, errors, idx files."""

import collections
import functools
import gc
import gzip
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import ferrule as fe
from ferrule.utils import data


def rows(n):
    x = fe.from_numpy(np.arange(2 * n, dtype=np.float32).reshape(n, 2))
    return data.TensorDataset(x, fe.from_numpy(np.arange(n)))


class Squares(data.Dataset):
    def __init__(self, n=10, bad=None):
        self.n, self.bad = n, bad

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if index == self.bad:
            raise ValueError("bad image")
        return index * index


class Noise(Squares):
    def __getitem__(self, index):
        return data.sample_generator().random()


class Count(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(range(self.n))


def values(batch):
    if isinstance(batch, fe.Tensor):
        return batch.tolist()
    if isinstance(batch, float):
        return batch
    return [values(b) for b in batch]


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("ferrule-loader")]


def wait_for_threads():
    deadline = time.monotonic() + 5
    while loader_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not loader_threads()


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
    with pytest.raises(ValueError, match="cannot draw 4 of 3 samples without"):
        data.RandomSampler(range(3), num_samples=4)
    assert len(data.BatchSampler(range(5), 2, True)) == 2
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        data.BatchSampler(range(5), 0, False)


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
        ([(1, 2), (1,)], fe.ShapeError, "has length 2, but sample 1 1"),
    ],
)
def test_default_collate_errors(batch, error, text):
    with pytest.raises(error, match=text):
        data.default_collate(batch)


# --- the loader


def test_batches_and_length():
    loader = data.DataLoader(rows(5), batch_size=2)
    assert len(loader) == 3
    assert [y.tolist() for _, y in loader] == [[0, 1], [2, 3], [4]]
    loader = data.DataLoader(rows(5), batch_size=2, drop_last=True)
    assert len(loader) == len(list(loader)) == 2
    singles = data.DataLoader(rows(3), batch_size=None)
    assert [y.item() for _, y in singles] == [0, 1, 2] and len(singles) == 3
    listed = data.DataLoader([5, 6, 7], batch_size=3)
    assert values(next(iter(listed))) == [5, 6, 7]
    sampled = data.DataLoader(rows(5), sampler=[4, 0], batch_size=2)
    assert [y.tolist() for _, y in sampled] == [[4, 0]]
    grouped = data.DataLoader(rows(5), batch_sampler=[[4], [0, 1]])
    assert [y.tolist() for _, y in grouped] == [[4], [0, 1]] and len(grouped) == 2
    own = data.DataLoader(Squares(4), batch_size=2, collate_fn=sum)
    assert list(own) == [1, 13]


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(data.DataLoader, rows(20), batch_size=3, shuffle=True),
        functools.partial(data.DataLoader, Squares(20), batch_size=3, shuffle=True),
        functools.partial(data.DataLoader, Noise(20), batch_size=3, shuffle=True),
        functools.partial(data.DataLoader, Noise(20), batch_size=None),
        functools.partial(data.DataLoader, Count(20), batch_size=3, drop_last=True),
    ],
)
def test_same_batches_for_every_number_of_workers(make):
    def epochs(workers):
        fe.manual_seed(5)
        loader = make(num_workers=workers, prefetch_factor=3)
        return [[values(batch) for batch in loader] for _ in range(2)]

    want = epochs(0)
    assert [len(epoch) for epoch in want] == [len(make())] * 2
    for workers in (1, 2, 5):
        assert epochs(workers) == want
    wait_for_threads()


def test_random_samples_differ_by_sample_and_epoch():
    loader = data.DataLoader(Noise(10), batch_size=10, seed=1)
    one, two = [next(iter(loader)).tolist() for _ in range(2)]
    assert len(set(one + two)) == 20
    with pytest.raises(RuntimeError, match="no DataLoader is reading"):
        data.sample_generator()


def test_reading_in_order_does_not_change_what_training_draws():
    fe.manual_seed(0)
    before = fe._ferrule.rng_state()
    list(data.DataLoader(Noise(4), num_workers=2))
    assert fe._ferrule.rng_state() == before


def test_workers_read_ahead_but_not_too_far():
    read = []

    class Recorded(Squares):
        def __getitem__(self, index):
            read.append(index)
            return index

    loader = data.DataLoader(Recorded(100), num_workers=2, prefetch_factor=3)
    iterator = iter(loader)
    next(iterator)
    time.sleep(0.1)
    assert sorted(read) == list(range(6))
    del iterator
    gc.collect()
    wait_for_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_error_names_the_sample(workers):
    loader = data.DataLoader(Squares(10, bad=7), batch_size=2, num_workers=workers)
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
    wait_for_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_error_in_a_stream(workers):
    class Broken(data.IterableDataset):
        def __iter__(self):
            yield 1
            raise OSError("connection lost")

    iterator = iter(data.DataLoader(Broken(), batch_size=1, num_workers=workers))
    assert next(iterator).tolist() == [1]
    with pytest.raises(data.SampleError, match=r"raised OSError .* connection lost"):
        next(iterator)
    wait_for_threads()


def test_unfinished_epoch_leaves_no_threads():
    iterator = iter(data.DataLoader(Squares(1000), num_workers=3))
    next(iterator)
    assert len(loader_threads()) == 3
    del iterator
    gc.collect()
    wait_for_threads()


def test_interrupt_ends_the_program_at_once():
    code = """
        import signal, time
        from ferrule.utils import data

        # Shells start background work with Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

        class Slow(data.Dataset):
            def __len__(self): return 100
            def __getitem__(self, index):
                if index > 1: time.sleep(60)
                return index

        for batch in data.DataLoader(Slow(), num_workers=2):
            print("ready", flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.stdout.readline()
    time.sleep(0.2)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": True},
        {"batch_size": None, "drop_last": True},
        {"num_workers": -1},
        {"prefetch_factor": 0},
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


# --- idx files and MNIST


def idx(a):
    head = b"\0\0\x08" + bytes([a.ndim]) + np.array(a.shape, ">u4").tobytes()
    return head + a.tobytes()


IMAGES = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)
LABELS = np.array([7, 0, 9], np.uint8)
NAMES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def write(folder, zipped=False, images=IMAGES, labels=LABELS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, a in zip(NAMES, (images, labels), strict=True):
        content = a if isinstance(a, bytes) else idx(a)
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


@pytest.fixture(autouse=True)
def no_other_places(monkeypatch, tmp_path):
    monkeypatch.delenv("FERRULE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("folder", ["", "mnist"])
def test_mnist_reads_files(tmp_path, folder, zipped):
    write(tmp_path / folder, zipped)
    dataset = fe.datasets.MNIST(tmp_path, train=False, download=False)
    assert dataset.images.dtype == fe.uint8 and dataset.images.shape == (3, 28, 28)
    assert dataset.labels.tolist() == [7, 0, 9]
    image, label = dataset[1]
    assert image.dtype == fe.float32 and image.shape == (1, 28, 28) and label == 0
    want = IMAGES[1].astype(np.float32) / np.float32(255)
    assert np.array_equal(image.numpy()[0], want)
    x, y = next(iter(data.DataLoader(dataset, batch_size=2)))
    assert x.shape == (2, 1, 28, 28) and y.tolist() == [7, 0]
    assert np.array_equal(x.numpy()[1], image.numpy())
    assert repr(dataset) == "MNIST(3 images of (28, 28))"
    flipped = fe.datasets.MNIST(tmp_path, False, transform=lambda image: 1.0 - image)
    x, _ = next(iter(data.DataLoader(flipped, batch_size=2)))
    assert np.array_equal(x.numpy()[1], 1 - image.numpy())


def test_mnist_reads_the_environment(tmp_path, monkeypatch):
    write(tmp_path / "data" / "fashion-mnist")
    monkeypatch.setenv("FERRULE_DATA", str(tmp_path / "data"))
    assert len(fe.datasets.FashionMNIST(train=False, download=False)) == 3
    with pytest.raises(FileNotFoundError, match=r"no files t10k-images-idx3-ubyte"):
        fe.datasets.MNIST(train=False, download=False)


@pytest.mark.parametrize(
    ("images", "labels", "text"),
    [
        (b"", LABELS, "does not begin as an idx file .* but with nothing"),
        (b"<html>", LABELS, "but with 3c 68 74"),
        (idx(LABELS), LABELS, "has 1 dimensions, expected 3"),
        (idx(IMAGES)[:9], LABELS, "ends within its header of 16 bytes"),
        (idx(IMAGES)[:-1], LABELS, "which is 2352 bytes, but holds 2351"),
        (idx(IMAGES) + b"x", LABELS, "which is 2352 bytes, but holds 2353"),
        (IMAGES, LABELS[:2], "has 3 images, but .* has 2 labels"),
        (IMAGES, LABELS + 1, "has a label 10; there are 10 classes"),
    ],
)
def test_damaged_idx_files(tmp_path, images, labels, text):
    write(tmp_path, False, images, labels)
    with pytest.raises(fe.FormatError, match=text):
        fe.datasets.MNIST(tmp_path, train=False, download=False)


def test_damaged_gzip(tmp_path):
    write(tmp_path, zipped=True)
    path = tmp_path / f"{NAMES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(fe.FormatError, match="is no whole gzip file"):
        fe.datasets.MNIST(tmp_path, train=False, download=False)


@pytest.fixture
def server(tmp_path):
    """A mirror on this machine: its address, folder, and the paths asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/", folder, asked
        httpd.shutdown()


class Mirrored(fe.datasets.MNIST):
    pass


def mirror(monkeypatch, url, folder):
    write(folder, zipped=True)
    sums = {n: hashlib.sha256((folder / f"{n}.gz").read_bytes()) for n in NAMES}
    monkeypatch.setattr(Mirrored, "mirrors", (url + "missing/", url))
    monkeypatch.setattr(Mirrored, "sha256", {n: s.hexdigest() for n, s in sums.items()})
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_download(tmp_path, monkeypatch, server, capsys):
    url, folder, asked = server
    mirror(monkeypatch, url, folder)
    assert len(Mirrored(train=False)) == 3
    cache = tmp_path / "cache" / "ferrule" / "mnist"
    assert sorted(os.listdir(cache)) == [f"{name}.gz" for name in NAMES]
    assert asked == [f"/{d}{n}.gz" for n in NAMES for d in ("missing/", "")]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"downloading {name}.gz" for name in NAMES
    ]
    assert len(Mirrored(train=False)) == 3  # from the cache
    assert len(asked) == 4
    assert len(Mirrored(tmp_path / "root", train=False)) == 3
    assert len(asked) == 4  # the cache is looked at, too


def test_download_checks_the_sum(tmp_path, monkeypatch, server):
    url, folder, _ = server
    mirror(monkeypatch, url, folder)
    path = folder / f"{NAMES[1]}.gz"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(fe.FerruleError) as info:
        Mirrored(tmp_path / "root", train=False)
    message = str(info.value)
    assert f"cannot get {NAMES[1]}.gz; put it into" in message
    assert "404" in message and "SHA-256 is" in message
    assert os.listdir(tmp_path / "root" / "mnist") == [f"{NAMES[0]}.gz"]


def test_download_without_network(tmp_path, monkeypatch):
    monkeypatch.setattr(Mirrored, "mirrors", ("http://127.0.0.1:9/",))
    with pytest.raises(fe.FerruleError, match="Connection refused"):
        Mirrored(tmp_path, train=False)
    assert os.listdir(tmp_path / "mnist") == []


def test_digits():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    train, test = fe.datasets.Digits(), fe.datasets.Digits(train=False)
    assert (len(train), len(test)) == (1438, 359)
    assert train.images.shape == (1438, 8, 8) and train.images.dtype == fe.uint8
    x, y = train.get_batch(range(1438))
    assert (x.amin().item(), x.amax().item()) == (0.0, 1.0)
    assert sorted(set(y.tolist())) == list(range(10))


def test_digits_without_sklearn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        fe.datasets.Digits()
