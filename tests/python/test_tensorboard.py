"""Event files: read by a small reader written here, and by TensorBoard's own."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn
from ferrule.utils.tensorboard import SummaryWriter
from ferrule.utils.tensorboard import _protobuf as pb
from ferrule.utils.tensorboard._images import pixels, png

# --- a reader of its own -----------------------------------------------------


def crc32c(data: bytes) -> int:
    """Bit by bit, from the polynomial (RFC 3720)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def fields(message: bytes) -> dict[int, list[Any]]:
    """The fields of a message by number, undecoded."""
    found: dict[int, list[Any]] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            value: Any = varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            value = message[at : at + size]
            at += size
            assert len(value) == size
            if kind == 1:
                (value,) = struct.unpack("<d", value)
            elif kind == 5:
                (value,) = struct.unpack("<f", value)
        found.setdefault(key >> 3, []).append(value)
    return found


def events(folder: Path) -> Iterator[dict[int, list[Any]]]:
    (path,) = folder.glob("events.out.tfevents.*")
    data = path.read_bytes()
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        check, message = data[8:12], data[12 : 12 + size]
        assert struct.unpack("<I", check)[0] == masked(data[:8])
        assert struct.unpack("<I", data[12 + size : 16 + size])[0] == masked(message)
        data = data[16 + size :]
        yield fields(message)


def values(folder: Path) -> list[tuple[str, int, dict[int, list[Any]]]]:
    """Tag, step and fields of all summaries."""
    found = []
    for event in events(folder):
        for summary in event.get(5, []):
            for value in fields(summary)[1]:
                parts = fields(value)
                found.append((parts[1][0].decode(), event.get(2, [0])[0], parts))
    return found


def test_records_and_scalars(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", fe.tensor([0.5]), 3, walltime=12.5)
        writer.add_scalar("loss", np.float32(0.25), 2**40)
        writer.add_scalar("loss", 1e300, -1)
    first, *rest = events(tmp_path)
    assert first[3] == [b"brain.Event:2"]
    assert rest[0][1] == [12.5]
    assert [event[2][0] for event in rest] == [3, 2**40, 2**64 - 1]
    assert [v[2][2][0] for v in values(tmp_path)] == [0.5, 0.25, np.inf]
    assert {v[0] for v in values(tmp_path)} == {"loss"}


def test_flush_and_close(tmp_path: Path) -> None:
    writer = SummaryWriter(tmp_path, flush_secs=1000)
    writer.add_scalar("a", 1, 0)
    assert values(tmp_path) == []
    writer.flush()
    assert len(values(tmp_path)) == 1
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="the writer is closed"):
        writer.add_scalar("a", 1, 0)
    with SummaryWriter(tmp_path / "now", flush_secs=0) as writer:
        writer.add_scalar("a", 1, 0)
        assert len(values(tmp_path / "now")) == 1


def test_errors() -> None:
    writer = SummaryWriter.__new__(SummaryWriter)
    for bad in (fe.ones(2), "x", 1j):
        with pytest.raises(ValueError, match="'loss' must be one real number"):
            writer.add_scalar("loss", bad, 0)
    for shape, layout in (((3, 4), "CHW"), ((5, 4, 4), "CHW"), ((4, 4), "XY")):
        with pytest.raises(ValueError, match="add_image"):
            writer.add_image("x", fe.ones(*shape), 0, dataformats=layout)
    with pytest.raises(TypeError, match="hyperparameters are numbers"):
        writer.add_hparams({"layers": [1, 2]}, {})


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="-test") as writer:
        pass
    assert Path(writer.get_logdir()).parent == Path("runs")
    assert writer.log_dir.endswith("-test") and len(list(events(Path(writer.log_dir))))


def test_scalars_of_several_runs(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalars("loss", {"train": 1.0, "test": 2.0}, 5)
    assert values(tmp_path / "loss_train")[0][2][2] == [1.0]
    ((tag, step, value),) = values(tmp_path / "loss_test")
    assert (tag, step, value[2]) == ("loss", 5, [2.0])


@pytest.mark.parametrize("bins", ["tensorflow", 7, "auto"])
def test_histograms(tmp_path: Path, bins: str | int) -> None:
    fe.manual_seed(0)
    x = fe.randn(1000)
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("x", x, 0, bins)
    ((_, _, value),) = values(tmp_path)
    h = fields(value[5][0])
    numbers = x.numpy().astype(np.float64)
    expected = [
        *(numbers.min(), numbers.max(), 1000.0),
        *(numbers.sum(), np.square(numbers).sum()),
    ]
    np.testing.assert_allclose([h[i][0] for i in range(1, 6)], expected)
    limits, counts = (np.frombuffer(h[i][0], "<f8") for i in (6, 7))
    assert len(limits) == len(counts) and counts.sum() == 1000 and counts[0] == 0
    assert (np.diff(limits) > 0).all()
    for left, right, count in zip(limits[:-1], limits[1:], counts[1:]):
        inside = (numbers >= left) & (numbers < right)
        if right == limits[-1]:
            inside |= numbers == right
        assert inside.sum() == count


@pytest.mark.parametrize(
    "x", [[], [np.nan, np.inf], [3.0], [0.0, np.nan], [1e30, -1e30]]
)
def test_histograms_of_odd_values(tmp_path: Path, x: list[float]) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("x", np.array(x), 0)
    ((_, _, value),) = values(tmp_path)
    h = fields(value[5][0])
    assert np.frombuffer(h[7][0]).sum() == np.isfinite(x).sum()


def decode(data: bytes) -> np.ndarray:
    """Pixels of a PNG as it is written here."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind = data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + size]
        (check,) = struct.unpack(">I", data[at + 8 + size : at + 12 + size])
        assert check == zlib.crc32(kind + content)
        chunks[kind] = content
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, kind, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert depth == 8 and rest == [0, 0, 0]
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[kind]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8)
    rows = rows.reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png(channels: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 7, channels), np.uint8)
    np.testing.assert_array_equal(decode(png(image)), image)


def test_png_is_read_by_pillow() -> None:
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    with Image.open(io.BytesIO(png(image))) as read:
        np.testing.assert_array_equal(np.asarray(read), image)


def test_layouts_of_images() -> None:
    rng = np.random.default_rng(0)
    chw = rng.random((3, 4, 5), np.float32)
    hwc = pixels(chw.transpose(1, 2, 0), "HWC")
    np.testing.assert_array_equal(pixels(chw, "CHW"), hwc)
    np.testing.assert_array_equal(hwc[..., 0], np.rint(chw[0] * 255))
    assert pixels(chw[0], "HW").shape == (4, 5, 1)
    assert pixels(np.array([[-1.0, np.nan, 2.0]]), "hw").ravel().tolist() == [0, 0, 255]
    many = rng.integers(0, 256, (5, 1, 4, 6), np.uint8)
    grid = pixels(many, "NCHW")
    assert grid.shape == (8, 18, 1)
    np.testing.assert_array_equal(grid[:4, 6:12, 0], many[1, 0])
    np.testing.assert_array_equal(grid[4:, :6, 0], many[3, 0])
    assert not grid[4:, 12:].any()


def test_images(tmp_path: Path) -> None:
    x = fe.rand(3, 4, 6)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("one", x, 1)
        writer.add_images("many", fe.rand(4, 1, 5, 5), 2)
    (_, _, one), (_, step, many) = values(tmp_path)
    image = fields(one[4][0])
    assert (image[1], image[2], image[3]) == ([4], [6], [3])
    np.testing.assert_array_equal(decode(image[4][0]), pixels(x.numpy(), "CHW"))
    assert step == 2 and fields(many[4][0])[1] == [10]


def test_figures(tmp_path: Path) -> None:
    plt = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is missing")
    figure = plt.figure(figsize=(2, 1), dpi=50)
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("f", figure, 1)
    ((_, _, value),) = values(tmp_path)
    image = fields(value[4][0])
    assert (image[1], image[2], image[3]) == ([50], [100], [4])
    assert not plt.fignum_exists(figure.number)


def test_texts(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_text("note", "grüße", 1)
    ((tag, _, value),) = values(tmp_path)
    assert tag == "note/text_summary"
    tensor = fields(value[8][0])
    assert (tensor[1], tensor[8]) == ([7], ["grüße".encode()])
    assert fields(fields(value[9][0])[1][0])[1] == [b"text"]


def model() -> nn.Module:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
            self.head = nn.Linear(2 * 36, 3)

        def forward(self, x: fe.Tensor) -> fe.Tensor:
            return self.head(self.features(x).flatten(1)) * 2

    return Model()


def test_graph(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model(), fe.rand(2, 1, 8, 8))
    (graph,) = [fields(event[4][0]) for event in events(tmp_path) if 4 in event]
    nodes = {}
    for node in map(fields, graph[1]):
        attributes = {fields(a)[1][0].decode(): fields(a)[2][0] for a in node[5]}
        inputs = [name.decode() for name in node.get(3, [])]
        nodes[node[1][0].decode()] = (node[2][0].decode(), inputs, attributes)
    assert nodes["model/features/0/conv2d"][:2] == (
        "conv2d",
        ["x", "model/features/0/weight", "model/features/0/bias"],
    )
    assert nodes["x"][0] == "Placeholder"
    assert nodes["model/mul"][1] == ["model/head/linear"]
    assert {i for _, inputs, _ in nodes.values() for i in inputs} <= nodes.keys()
    shapes = fields(fields(nodes["model/head/linear"][2]["_output_shapes"])[1][0])
    sizes = [fields(d).get(1, [0])[0] for d in fields(shapes[7][0])[2]]
    assert sizes == [2, 3]


def test_hyperparameters(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_hparams(
            {"lr": 0.1, "net": "small", "aug": True}, {"accuracy": 0.9}, "run1"
        )
    tags = {tag: parts for tag, _, parts in values(tmp_path / "run1")}
    assert list(tags) == [
        "_hparams_/experiment",
        "_hparams_/session_start_info",
        "accuracy",
        "_hparams_/session_end_info",
    ]
    data = fields(fields(tags["_hparams_/session_start_info"][9][0])[1][0])
    assert data[1] == [b"hparams"]
    entries = fields(fields(data[2][0])[3][0])[1]
    found = {fields(e)[1][0]: fields(fields(e)[2][0]) for e in entries}
    assert found == {b"lr": {2: [0.1]}, b"net": {3: [b"small"]}, b"aug": {4: [1]}}


def test_integers_of_the_encoding() -> None:
    for value in (0, 1, 127, 128, 300, 2**63 - 1):
        assert fields(pb.integer(9, value)) == {9: [value]}
    assert pb.integer(1, 300) == b"\x08\xac\x02"
    assert fields(pb.floating(1, -1e300))[1] == [-np.inf]


# --- TensorBoard's reader ----------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    with SummaryWriter(folder) as writer:
        for step in range(5):
            writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_histogram("weights", np.arange(100.0), 1)
        writer.add_image("image", np.full((3, 2, 4), 0.5), 1)
        writer.add_text("note", "hello", 1)
        writer.add_graph(model(), fe.rand(2, 1, 8, 8))
        writer.add_hparams({"lr": 0.1, "net": "s"}, {"accuracy": 0.9}, "trial")
    return folder


def accumulated(folder: Path) -> Any:
    name = "tensorboard.backend.event_processing.event_accumulator"
    module = pytest.importorskip(name, reason="TensorBoard is not installed")
    found = module.EventAccumulator(str(folder), {"histograms": 0, "images": 0})
    return found.Reload()


def test_tensorboard_reads_it(run: Path) -> None:
    found = accumulated(run)
    tags = found.Tags()
    assert tags["scalars"] == ["loss"] and tags["graph"] is True
    scalars = found.Scalars("loss")
    assert [s.step for s in scalars] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose([s.value for s in scalars], 1 / np.arange(1.0, 6))
    histogram = found.Histograms("weights")[0].histogram_value
    assert (histogram.min, histogram.max, histogram.num) == (0, 99, 100)
    assert sum(histogram.bucket) == 100
    image = found.Images("image")[0]
    assert (image.width, image.height) == (4, 2)
    assert decode(image.encoded_image_string).ravel().tolist() == [128] * 24
    assert found.Tensors("note/text_summary")[0].tensor_proto.string_val == [b"hello"]
    names = {node.name: node for node in found.Graph().node}
    assert names["model/features/0/conv2d"].op == "conv2d"
    shape = names["model/head/linear"].attr["_output_shapes"].list.shape[0]
    assert [d.size for d in shape.dim] == [2, 3]


def test_tensorboard_reads_hyperparameters(run: Path) -> None:
    found = accumulated(run / "trial")
    metadata = pytest.importorskip("tensorboard.plugins.hparams.metadata")
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    info = metadata.parse_session_start_info_plugin_data(content)
    assert info.hparams["lr"].number_value == 0.1
    assert info.hparams["net"].string_value == "s"
    content = found.SummaryMetadata("_hparams_/experiment").plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    assert [h.name for h in experiment.hparam_infos] == ["lr", "net"]
    assert [m.name.tag for m in experiment.metric_infos] == ["accuracy"]


def test_purge_after_a_resume(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(5):
            writer.add_scalar("loss", 1, step)
    (path,) = tmp_path.iterdir()  # files are read in the order of their names
    path.rename(tmp_path / "events.out.tfevents.0000000001.host.1.0")
    with SummaryWriter(tmp_path, purge_step=3) as writer:
        writer.add_scalar("loss", 2, 3)
    found = accumulated(tmp_path)
    assert [(s.step, s.value) for s in found.Scalars("loss")] == [
        *((0, 1), (1, 1), (2, 1)),
        (3, 2),
    ]
