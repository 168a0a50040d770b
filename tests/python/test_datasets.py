"""The data sets that come along: files, downloads, checks."""

import gzip
import hashlib
import http.server
import io
import os
import sys
import tarfile
import threading

import numpy as np
import pytest

import ferrule as fe
from ferrule.utils import data

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


# --- CIFAR


class Cifar(fe.datasets.CIFAR10):
    """Two files of training images, so that an archive is quickly made."""

    files = (("test_batch.bin",), ("data_batch_1.bin", "data_batch_2.bin"))


def cifar_records(n, label_bytes, seed):
    key = np.random.default_rng(seed)
    records = key.integers(0, 256, (n, label_bytes + 3072), dtype=np.uint8)
    records[:, :label_bytes] %= 10
    return records


def cifar_files(cls, n=4):
    """Records by file name."""
    names = [name for part in cls.files for name in part]
    return {
        name: cifar_records(n, cls.label_bytes, seed) for seed, name in enumerate(names)
    }


def write_archive(path, cls, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, records in files.items():
            info = tarfile.TarInfo(f"{cls.inside}/{name}")
            info.size = records.nbytes
            archive.addfile(info, io.BytesIO(records.tobytes()))


@pytest.mark.parametrize("cls", [Cifar, fe.datasets.CIFAR100])
@pytest.mark.parametrize("folder", ["", "in its own folder"])
@pytest.mark.parametrize("unpacked", [False, True])
def test_cifar_reads_files(tmp_path, cls, folder, unpacked):
    place = tmp_path / (cls.folder if folder else "")
    files = cifar_files(cls)
    if unpacked:
        (place / cls.inside).mkdir(parents=True)
        for name, records in files.items():
            (place / cls.inside / name).write_bytes(records.tobytes())
    else:
        write_archive(place / cls.archive, cls, files)
    for train in (False, True):
        dataset = cls(tmp_path, train=train, download=False)
        want = np.concatenate([files[name] for name in cls.files[train]])
        assert dataset.labels.tolist() == want[:, cls.label_bytes - 1].tolist()
        pixels = want[:, cls.label_bytes :].reshape(-1, 3, 32, 32)
        assert np.array_equal(dataset.images.numpy(), pixels)
        x, y = next(iter(data.DataLoader(dataset, batch_size=3)))
        assert x.shape == (3, 3, 32, 32) and y.dtype == fe.int64
        assert np.array_equal(
            x.numpy(), pixels[:3].astype(np.float32) / np.float32(255)
        )
        assert dataset[1][0].shape == (3, 32, 32)


def test_cifar_damaged_files(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"cifar-10-binary\.tar\.gz or cifar-10-b"
    ):
        Cifar(tmp_path, download=False)
    path = tmp_path / Cifar.archive
    files = cifar_files(Cifar)
    write_archive(path, Cifar, files)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(fe.FormatError, match=r"tar\.gz is damaged"):
        Cifar(tmp_path)
    write_archive(path, Cifar, {"test_batch.bin": files["test_batch.bin"]})
    with pytest.raises(fe.FormatError, match="is damaged: .*data_batch_1"):
        Cifar(tmp_path)
    short = {name: records.reshape(-1)[:-1] for name, records in files.items()}
    write_archive(path, Cifar, short)
    with pytest.raises(fe.FormatError, match="has 12291 bytes, .* of the 3073"):
        Cifar(tmp_path)
    for records in files.values():
        records[0, 0] = 10
    write_archive(path, Cifar, files)
    with pytest.raises(fe.FormatError, match="a label 10; there are 10 classes"):
        Cifar(tmp_path)


def test_cifar_download(tmp_path, monkeypatch, server):
    url, folder, asked = server
    write_archive(folder / Cifar.archive, Cifar, cifar_files(Cifar))
    digest = hashlib.sha256((folder / Cifar.archive).read_bytes()).hexdigest()
    monkeypatch.setattr(Cifar, "mirrors", (url,))
    monkeypatch.setattr(Cifar, "sha256", digest)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert len(Cifar()) == 8
    assert len(Cifar(train=False)) == 4
    assert asked == [f"/{Cifar.archive}"]
    monkeypatch.setattr(Cifar, "sha256", "0" * 64)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with pytest.raises(fe.FerruleError, match="SHA-256 is"):
        Cifar()


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
