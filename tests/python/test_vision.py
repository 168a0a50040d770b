"""vision: image files, transforms against references, and in exported files."""

import doctest
import importlib
import pkgutil
import sys

import numpy as np
import pytest

import ferrule as fe
from ferrule.utils import data

T = fe.vision.transforms
F = T.functional


def picture(h=9, w=13, channels=3, seed=0):
    key = np.random.default_rng(seed)
    return key.integers(0, 256, (channels, h, w), dtype=np.uint8)


def image(*args, **kwargs):
    return fe.from_numpy(picture(*args, **kwargs))


def test_docstrings():
    pytest.importorskip("PIL", reason="Pillow is not installed")
    failed = doctest.testmod(fe.vision.io).failed
    for module in pkgutil.iter_modules(T.__path__, "ferrule.vision.transforms."):
        failed += doctest.testmod(importlib.import_module(module.name)).failed
    for name in ("cifar", "folder"):
        module = importlib.import_module(f"ferrule.datasets.{name}")
        failed += doctest.testmod(module).failed
    assert failed == 0


# --- files


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_round_trip(tmp_path, channels):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    path = tmp_path / "x.png"
    fe.vision.io.write_png(image(channels=channels), path)
    got = fe.vision.io.read_image(path)
    assert got.dtype == fe.uint8 and np.array_equal(
        got.numpy(), picture(channels=channels)
    )
    whole = fe.tensor(np.fromfile(path, np.uint8))
    assert np.array_equal(fe.vision.io.decode_image(whole).numpy(), got.numpy())
    assert fe.vision.io.read_image(path, "RGB").shape == (3, 9, 13)
    gray = fe.vision.io.ImageReadMode.GRAY
    assert fe.vision.io.decode_image(path.read_bytes(), gray).shape == (1, 9, 13)


def test_jpeg_and_damaged_files(tmp_path):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    path = tmp_path / "x.jpg"
    flat = fe.full((3, 16, 16), 100, dtype=fe.uint8)
    fe.vision.io.write_jpeg(flat, path, quality=95)
    assert (fe.vision.io.read_image(path).to(fe.float32) - 100).abs().max().item() <= 2
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(fe.FormatError, match=r"x\.jpg: "):
        fe.vision.io.read_image(path)
    with pytest.raises(fe.FormatError, match="5 bytes: cannot identify"):
        fe.vision.io.decode_image(b"hello")
    with pytest.raises(FileNotFoundError):
        fe.vision.io.read_image(tmp_path / "none.png")
    with pytest.raises(fe.ShapeError, match="expected uint8 of shape"):
        fe.vision.io.write_png(fe.zeros(3, 4, 4), path)


def test_without_pillow(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(ImportError, match="pip install pillow"):
        fe.vision.io.read_image(tmp_path / "x.png")


def test_image_folder(tmp_path):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    for i, name in enumerate(["b/2.png", "b/1.PNG", "a/x/3.png"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fe.vision.io.write_png(image(seed=i), path)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    folder = fe.datasets.ImageFolder(tmp_path, T.Resize((4, 4)), lambda c: 10 * c)
    assert fe.vision.datasets.ImageFolder is fe.datasets.ImageFolder
    assert folder.classes == ["a", "b"] and folder.class_to_idx == {"a": 0, "b": 1}
    root = str(tmp_path)
    want = [(f"{root}/a/x/3.png", 0), (f"{root}/b/1.PNG", 1), (f"{root}/b/2.png", 1)]
    assert list(folder.samples) == folder.samples[:] == want
    assert folder.samples[-1] == want[-1] and folder.targets == [0, 1, 1]
    with pytest.raises(IndexError):
        folder.samples[3]
    (x, y), *_ = data.DataLoader(folder, batch_size=3, num_workers=2)
    assert x.shape == (3, 3, 4, 4) and x.dtype == fe.uint8 and y.tolist() == [0, 10, 10]
    plain = fe.datasets.ImageFolder(tmp_path, loader=lambda path: path[-5:])
    assert plain[0] == ("3.png", 0) and len(plain) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no image in .*empty"):
        fe.datasets.ImageFolder(tmp_path)
    assert len(fe.datasets.ImageFolder(tmp_path, allow_empty=True).classes) == 3
    with pytest.raises(FileNotFoundError, match="there is no folder in"):
        fe.datasets.ImageFolder(tmp_path / "empty")


# --- transforms, against NumPy and Pillow


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(5, 6), (20, 31), (4, 30)])
def test_resize_is_pillows(mode, size):
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = 64 + picture(24, 17) // 2  # Pillow clips between its two passes
    filters = {"bilinear": 2, "bicubic": 3}
    there = image_module.fromarray(pixels.transpose(1, 2, 0))
    want = np.asarray(there.resize(size[::-1], filters[mode])).transpose(2, 0, 1)
    got = F.resize(fe.from_numpy(pixels), size, mode)
    assert got.dtype == fe.uint8
    # And rounds.
    assert np.abs(got.numpy().astype(int) - want).max() <= 1


def test_sizes():
    x = image(40, 60)
    assert F.resize(x, 20).shape == F.resize(x, [20]).shape == (3, 20, 30)
    assert F.resize(x, 20, max_size=25).shape == (3, 16, 25)
    assert F.resize(x, None, max_size=30).shape == (3, 20, 30)
    assert F.resize(image(60, 40), 20).shape == (3, 30, 20)
    assert F.resize(x.expand(2, 5, 3, 40, 60), (4, 6)).shape == (2, 5, 3, 4, 6)
    nearest = F.resize(x, (20, 30), T.InterpolationMode.NEAREST)
    assert np.array_equal(nearest.numpy(), x.numpy()[:, ::2, ::2])
    with pytest.raises(fe.InvalidValue, match="max_size 20 must be greater"):
        F.resize(x, 20, max_size=20)
    with pytest.raises(fe.InvalidValue, match="give size or max_size"):
        F.resize(x, None)
    with pytest.raises(fe.ShapeError, match=r"expected an image of shape"):
        F.resize(fe.zeros(3, 4), 2)
    with pytest.raises(TypeError, match="expected a tensor, got ndarray; use ToImage"):
        F.resize(picture(), 2)


@pytest.mark.parametrize(
    ("top", "left", "height", "width"),
    [(1, 2, 3, 4), (-2, 3, 5, 4), (0, 0, 9, 13), (7, 10, 6, 8), (-3, -4, 20, 25)],
)
def test_crop(top, left, height, width):
    pixels = picture()
    around = np.pad(pixels, ((0, 0), (30, 30), (30, 30)))
    want = around[:, 30 + top : 30 + top + height, 30 + left : 30 + left + width]
    got = F.crop(fe.from_numpy(pixels), top, left, height, width)
    assert np.array_equal(got.numpy(), want)


def test_center_crop():
    pixels = picture()
    got = F.center_crop(fe.from_numpy(pixels), [4, 5])
    assert np.array_equal(got.numpy(), pixels[:, 2:6, 4:9])
    got = F.center_crop(fe.from_numpy(pixels), [12, 5])
    want = np.pad(pixels[:, :, 4:9], ((0, 0), (1, 2), (0, 0)))
    assert np.array_equal(got.numpy(), want)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad(mode):
    pixels = picture()
    got = F.pad(fe.from_numpy(pixels), [1, 2, 3, 4], padding_mode=mode)
    want = np.pad(pixels, ((0, 0), (2, 4), (1, 3)), mode=mode)
    assert np.array_equal(got.numpy(), want)
    pair = F.pad(fe.from_numpy(pixels), [1, 2], padding_mode=mode)
    assert pair.shape == (3, 13, 15)
    with pytest.raises(fe.InvalidValue, match="padding must be 1, 2 or 4"):
        F.pad(image(), [1, 2, 3])


def test_pad_with_a_colour():
    got = F.pad(image(), 1, fill=[1, 2, 3]).numpy()
    assert got[:, 0, 0].tolist() == [1, 2, 3]
    assert np.array_equal(got[:, 1:-1, 1:-1], picture())
    with pytest.raises(fe.ShapeError, match="fill has 2 values for 3 channels"):
        F.pad(image(), 1, fill=[1, 2])
    with pytest.raises(fe.InvalidValue, match="padding_mode must be"):
        F.pad(image(), 1, padding_mode="circular")


def test_dtypes():
    x = fe.tensor([0, 1, 127, 255], dtype=fe.uint8)
    floats = F.to_dtype(x, fe.float32, scale=True)
    assert floats.tolist() == (x.numpy() / np.float32(255)).tolist()
    for dtype in (fe.uint8, fe.int16):
        back = F.convert_image_dtype(F.convert_image_dtype(x, dtype), fe.uint8)
        assert back.tolist() == x.tolist()
    assert F.to_dtype(floats, fe.uint8, scale=True).tolist() == x.tolist()
    assert F.to_dtype(x, fe.float32).tolist() == [0.0, 1.0, 127.0, 255.0]
    with pytest.raises(fe.InvalidValue, match="cannot be scaled"):
        F.to_dtype(floats, fe.int64, scale=True)


def test_to_tensor():
    pixels = picture()
    got = F.to_tensor(pixels.transpose(1, 2, 0))
    assert np.array_equal(got.numpy(), pixels.astype(np.float32) / np.float32(255))
    assert F.to_image(pixels[0]).shape == (1, 9, 13)
    image_module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    there = image_module.fromarray(pixels.transpose(1, 2, 0))
    assert np.array_equal(T.PILToTensor()(there).numpy(), pixels)
    assert np.array_equal(T.ToTensor()(there).numpy(), got.numpy())


def test_normalize():
    x = fe.rand(2, 3, 4, 5)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    want = (x.numpy() - np.float32(mean)[:, None, None]) / np.float32(std)[
        :, None, None
    ]
    assert np.allclose(T.Normalize(mean, std)(x).numpy(), want, rtol=1e-6)
    assert T.Normalize(mean, std, inplace=True)(x) is x
    assert np.allclose(x.numpy(), want, rtol=1e-6)
    with pytest.raises(fe.DTypeError, match="expected a floating-point image"):
        F.normalize(image(), mean, std)
    with pytest.raises(fe.InvalidValue, match="std must not be 0"):
        F.normalize(x, mean, [0, 1, 1])


def test_colours():
    import colorsys

    pixels = picture().astype(np.float64) / 255
    x = fe.from_numpy(pixels)
    grey = 0.2989 * pixels[0] + 0.587 * pixels[1] + 0.114 * pixels[2]
    assert np.allclose(F.rgb_to_grayscale(x).numpy()[0], grey)
    assert F.rgb_to_grayscale(x, 3).shape == (3, 9, 13)
    assert np.allclose(F.adjust_brightness(x, 1.5), np.minimum(1.5 * pixels, 1))
    want = np.clip(0.5 * pixels + 0.5 * grey.mean(), 0, 1)
    assert np.allclose(F.adjust_contrast(x, 0.5), want)
    want = np.clip(2.0 * pixels - grey, 0, 1)
    assert np.allclose(F.adjust_saturation(x, 2.0), want)
    assert np.allclose(F.adjust_gamma(x, 2.2), pixels**2.2)
    assert np.allclose(F.invert(x), 1 - pixels)
    turned = F.adjust_hue(x, 0.3).numpy()
    for i, j in ((0, 0), (3, 4), (8, 12)):
        h, s, v = colorsys.rgb_to_hsv(*pixels[:, i, j])
        assert np.allclose(turned[:, i, j], colorsys.hsv_to_rgb((h + 0.3) % 1, s, v))
    assert np.allclose(F.adjust_hue(x, 0.0), pixels)
    whole = image()
    for adjust, neutral in (
        (F.adjust_brightness, 1.0),
        (F.adjust_contrast, 1.0),
        (F.adjust_saturation, 1.0),
        (F.adjust_hue, 0.0),
    ):
        assert np.array_equal(adjust(whole, neutral).numpy(), whole.numpy())
    assert F.invert(whole).tolist() == (255 - picture()).tolist()
    with pytest.raises(fe.InvalidValue, match="must not be negative"):
        F.adjust_contrast(x, -1)
    with pytest.raises(fe.InvalidValue, match=r"hue_factor must be in"):
        F.adjust_hue(x, 0.6)


def test_flips():
    assert np.array_equal(F.hflip(image()).numpy(), picture()[..., ::-1])
    assert np.array_equal(F.vflip(image()).numpy(), picture()[:, ::-1])
    for flip, want in (
        (T.RandomHorizontalFlip, F.hflip),
        (T.RandomVerticalFlip, F.vflip),
    ):
        assert np.array_equal(flip(1.0)(image()).numpy(), want(image()).numpy())
        assert np.array_equal(flip(0.0)(image()).numpy(), picture())
        with pytest.raises(fe.InvalidValue, match=r"p must be in 0\.\.1"):
            flip(1.5)


# --- random transforms


RANDOM = [
    T.RandomCrop(6, padding=2),
    T.RandomCrop((12, 20), pad_if_needed=True, padding_mode="reflect"),
    T.RandomResizedCrop((5, 7)),
    T.RandomHorizontalFlip(),
    T.ColorJitter(0.4, 0.4, 0.4, 0.2),
    T.RandomGrayscale(0.5),
    T.RandomErasing(0.9, value="random"),
    T.RandomApply([T.Grayscale(3)], 0.5),
]


@pytest.mark.parametrize("transform", RANDOM, ids=lambda t: type(t).__name__)
def test_random_transforms_obey_the_seed(transform):
    def draws():
        fe.manual_seed(3)
        x = fe.from_numpy(picture().astype(np.float32) / 255)
        return [transform(x).tolist() for _ in range(20)]

    one = draws()
    assert one == draws()
    assert any(x != one[0] for x in one)


def test_random_crops_reach_every_place():
    x = fe.arange(16).reshape(1, 4, 4)
    fe.manual_seed(0)
    seen = {T.RandomCrop(3)(x)[0, 0, 0].item() for _ in range(100)}
    assert seen == {0, 1, 4, 5}
    with pytest.raises(fe.InvalidValue, match="4 x 4 is smaller than 5 x 5"):
        T.RandomCrop(5)(x)
    # What no draw fits gets the middle.
    wide = T.RandomResizedCrop((2, 2), scale=(1.0, 1.0))(fe.rand(1, 2, 50))
    assert wide.shape == (1, 2, 2)


def test_erasing():
    fe.manual_seed(0)
    x = fe.ones(3, 20, 20)
    got = T.RandomErasing(1.0, value=[0.1, 0.2, 0.3])(x).numpy()
    share = (got[0] != 1).mean()
    assert 0.01 < share < 0.4 and x.amin().item() == 1.0
    assert {round(float(v), 4) for v in np.unique(got[2])} == {0.3, 1.0}
    with pytest.raises(fe.InvalidValue, match="value must be numbers or 'random'"):
        T.RandomErasing(value="noise")
    for bad in ({"brightness": -1}, {"hue": 0.7}, {"contrast": (2, 1)}):
        with pytest.raises(fe.InvalidValue, match=r"^\[ColorJitter\]"):
            T.ColorJitter(**bad)


class Augmented(data.Dataset):
    transform = T.Compose([T.RandomCrop(6, padding=2), T.RandomHorizontalFlip()])

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return self.transform(image(seed=index))


def test_augmented_batches_do_not_depend_on_workers():
    def epoch(**options):
        loader = data.DataLoader(Augmented(), 4, shuffle=True, seed=1, **options)
        return [batch.tolist() for batch in loader]

    want = epoch()
    for n in (1, 2, 8):
        assert epoch(num_workers=n) == want
        assert epoch(num_workers=n, workers="thread") == want


# --- in a file


def test_transforms_are_in_the_exported_file(tmp_path):
    prepare = T.Compose(
        [
            T.Resize(12),
            T.CenterCrop((10, 11)),
            T.Pad([1, 0], padding_mode="edge"),
            T.ToDtype(fe.float32, scale=True),
            T.Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]),
            T.Grayscale(3),
        ]
    )
    head = fe.nn.Sequential(fe.nn.Flatten(), fe.nn.Linear(3 * 10 * 13, 4))
    model = fe.nn.Sequential(prepare, head).eval()
    x = fe.from_numpy(np.stack([picture(20, 24, seed=i) for i in range(3)]))
    program = fe.export(model, (x,), dynamic_shapes=({0: "batch"},))
    program.save(tmp_path / "model.fer")
    loaded = fe.load_program(tmp_path / "model.fer")
    for batch in (x, x[:1]):
        assert np.array_equal(loaded(batch).numpy(), model(batch).detach().numpy())


def test_repr_names_the_transforms():
    text = repr(T.Compose([T.Resize(4), T.Normalize([0.5], [0.5])]))
    assert "Resize(size=4, interpolation=bilinear)" in text
    assert "Normalize(mean=[0.5], std=[0.5])" in text
