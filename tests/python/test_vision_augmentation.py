"""Filters, warps, tones and augmentation, against Pillow, SciPy and arithmetic."""

import math

import numpy as np
import pytest

import ferrule as fe

T = fe.vision.transforms
F = T.functional


def picture(h=19, w=24, channels=3, seed=0):
    key = np.random.default_rng(seed)
    return key.integers(0, 256, (channels, h, w), dtype=np.uint8)


def image(*args, **kwargs):
    return fe.from_numpy(picture(*args, **kwargs))


def pillow(pixels):
    module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    return module.fromarray(pixels.transpose(1, 2, 0))


def pixels_of(there):
    return np.asarray(there).transpose(2, 0, 1)


# --- warps


@pytest.mark.parametrize("angle", [0, 17.5, 90, -120, 180, 301])
def test_rotate_is_pillows(angle):
    pixels = picture(20, 24)
    want = pixels_of(pillow(pixels).rotate(angle, fillcolor=(1, 2, 3)))
    got = F.rotate(fe.from_numpy(pixels), angle, fill=[1, 2, 3]).numpy()
    # Places between two pixels may be rounded to the other one.
    assert (got != want).any(0).mean() < 0.01


def test_rotate_around_a_point_and_expanded():
    x = fe.arange(12).reshape(1, 3, 4)
    assert np.array_equal(F.rotate(x, 90, expand=True), np.rot90(x.numpy(), 1, (1, 2)))
    assert np.array_equal(F.rotate(x, 180), np.rot90(x.numpy(), 2, (1, 2)))
    assert F.rotate(fe.rand(3, 30, 40), 45, expand=True).shape == (3, 50, 50)
    # The corner (1, 1) between four pixels stays where it is.
    got = F.rotate(x, 90, center=[1, 1])
    assert got[0, :2, :2].tolist() == np.rot90(x[0, :2, :2].numpy()).tolist()


def affine_matrix(angle, translate, scale, shear, center):
    """Homogeneous: C T R S scale C^-1, where S = [[1, -tan x], [-tan y, ...]]."""
    a, sx, sy = (math.radians(v) for v in (angle, *shear))

    def shift(x, y):
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])

    rotate = np.array(
        [[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]]
    )
    x = np.array([[1, -math.tan(sx), 0], [0, 1, 0], [0, 0, 1]])
    y = np.array([[1, 0, 0], [-math.tan(sy), 1, 0], [0, 0, 1]])
    size = np.diag([scale, scale, 1.0])
    there, back = shift(*center), shift(-center[0], -center[1])
    return shift(*translate) @ there @ rotate @ y @ x @ size @ back


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    ("angle", "translate", "scale", "shear", "center"),
    [
        (20, (3, -2), 1.2, (10, -5), None),
        (-75, (0, 4), 0.7, (0, 20), (5, 6)),
        (0, (-3, 0), 1.0, (30, 0), (0, 0)),
    ],
)
def test_affine_is_pillows(mode, angle, translate, scale, shear, center):
    module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = picture(20, 24)
    middle = (12, 10) if center is None else center
    matrix = np.linalg.inv(affine_matrix(angle, translate, scale, shear, middle))
    filters = {"nearest": 0, "bilinear": 2}
    there = pillow(pixels).transform(
        (24, 20), module.Transform.AFFINE, matrix[:2].flatten(), filters[mode]
    )
    got = F.affine(
        fe.from_numpy(pixels), angle, translate, scale, shear, mode, center=center
    )
    off = np.abs(got.numpy().astype(int) - pixels_of(there))
    if mode == "nearest":
        assert (off > 0).any(0).mean() < 0.01
    else:  # at the border Pillow takes the nearest pixel, we fade into the fill
        assert np.median(off) == 0 and (off[:, 5:-5, 5:-5] > 1).mean() < 0.15


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_perspective_is_pillows(mode):
    module = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = picture(20, 24)
    start = [(0, 0), (23, 0), (23, 19), (0, 19)]
    end = [(2, 1), (20, 3), (22, 18), (1, 16)]
    rows = []
    for (u, v), (x, y) in zip(start, end, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, v])
    system = np.array(rows, np.float64)
    coefficients = np.linalg.solve(system[:, :8], system[:, 8])
    filters = {"nearest": 0, "bilinear": 2}
    there = pillow(pixels).transform(
        (24, 20), module.Transform.PERSPECTIVE, coefficients, filters[mode]
    )
    got = F.perspective(fe.from_numpy(pixels), start, end, mode)
    by_number = F.perspective(
        fe.from_numpy(pixels), None, None, mode, coefficients=coefficients.tolist()
    )
    assert (got.numpy() != by_number.numpy()).mean() < 0.01
    off = np.abs(got.numpy().astype(int) - pixels_of(there))[:, 4:15, 4:19]
    assert (off > (mode == "bilinear")).mean() < 0.01


def test_elastic():
    x = image()
    still = fe.zeros(1, 19, 24, 2)
    assert np.array_equal(F.elastic(x, still).numpy(), picture())
    to_the_right = still.clone()
    to_the_right[..., 0] = 2 * 3 / 24  # three pixels
    got = F.elastic(x, to_the_right, fill=7).numpy()
    assert np.array_equal(got[..., :-3], picture()[..., 3:])
    assert (got[..., -3:] == 7).all()
    with pytest.raises(fe.ShapeError, match=r"must have shape \(1, 19, 24, 2\)"):
        F.elastic(x, fe.zeros(1, 4, 4, 2))


# --- filters


@pytest.mark.parametrize(
    ("size", "sigma"), [(3, 1.0), ([5, 9], [0.7, 2.5]), ([1, 5], None)]
)
def test_gaussian_blur(size, sigma):
    x = picture()[None].repeat(2, 0).astype(np.float64) / 255
    sizes = [size, size] if isinstance(size, int) else size
    if sigma is None:
        sigmas = [0.15 * n + 0.35 for n in sizes]
    else:
        sigmas = [sigma, sigma] if isinstance(sigma, float) else sigma
    want = x
    for axis, n, s in ((3, sizes[0], sigmas[0]), (2, sizes[1], sigmas[1])):
        weights = np.exp(-0.5 * ((np.arange(n) - n // 2) / s) ** 2)
        weights /= weights.sum()
        pad = [(0, 0)] * 4
        pad[axis] = (n // 2, n // 2)
        around = np.pad(want, pad, mode="reflect")
        want = sum(
            w * np.take(around, np.arange(x.shape[axis]) + i, axis)
            for i, w in enumerate(weights)
        )
    got = F.gaussian_blur(fe.from_numpy(x), size, sigma)
    assert got.dtype == fe.float64
    assert np.allclose(got.numpy(), want, rtol=1e-6)
    whole = F.gaussian_blur(image(), size, sigma).numpy()
    assert np.abs(whole - want[0] * 255).max() <= 0.51


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0])
def test_sharpness_is_pillows(factor):
    enhance = pytest.importorskip("PIL.ImageEnhance", reason="Pillow is not installed")
    want = pixels_of(enhance.Sharpness(pillow(picture())).enhance(factor))
    got = F.adjust_sharpness(image(), factor).numpy()
    assert np.abs(got.astype(int) - want).max() <= 1
    for size in ((1, 1), (2, 5)):
        small = image(*size)
        assert np.array_equal(F.adjust_sharpness(small, 0.5), small)


def test_gaussian_noise():
    fe.manual_seed(0)
    x = fe.full((1, 100, 100), 0.5)
    noise = F.gaussian_noise(x, 0.1, 0.05) - x
    assert abs(noise.mean().item() - 0.1) < 0.005
    assert abs(noise.std().item() - 0.05) < 0.005
    assert F.gaussian_noise(x, 5.0).max().item() == 1.0
    assert F.gaussian_noise(x, 5.0, clip=False).max().item() > 1.0


# --- values


@pytest.mark.parametrize("contrast", [1.0, 0.3])
def test_tones_are_pillows(contrast):
    ops = pytest.importorskip("PIL.ImageOps", reason="Pillow is not installed")
    pixels = (picture(50, 60) * contrast).astype(np.uint8) + np.uint8(20)
    x, there = fe.from_numpy(pixels), pillow(pixels)
    assert np.array_equal(F.equalize(x), pixels_of(ops.equalize(there)))
    off = F.autocontrast(x).numpy().astype(int) - pixels_of(ops.autocontrast(there))
    assert np.abs(off).max() <= 1
    for bits in (1, 3, 8):
        want = pixels_of(ops.posterize(there, bits))
        assert np.array_equal(F.posterize(x, bits), want)
    for threshold in (0, 100, 255):
        want = pixels_of(ops.solarize(there, threshold))
        assert np.array_equal(F.solarize(x, threshold), want)


def test_tones_of_floats_and_of_one_value():
    x = fe.tensor([[[0.2, 0.4, 0.6]]], dtype=fe.float64)
    assert np.allclose(F.autocontrast(x).numpy(), [[[0.0, 0.5, 1.0]]])
    assert np.allclose(F.posterize(x, 1).numpy(), [[[0.0, 0.0, 0.5]]])
    assert np.allclose(F.solarize(x, 0.5).numpy(), [[[0.2, 0.4, 0.4]]])
    assert F.equalize(x).dtype == fe.float64
    flat = fe.full((3, 4, 4), 9, dtype=fe.uint8)
    assert (F.autocontrast(flat) == 9).all() and (F.equalize(flat) == 9).all()
    assert (F.posterize(image(), 0) == 0).all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: F.gaussian_blur(image(), 4), "kernel_size must be odd"),
        (lambda: F.gaussian_blur(image(), 3, 0.0), "sigma must be one or two"),
        (lambda: F.adjust_sharpness(image(), -1), "must not be negative"),
        (lambda: F.gaussian_noise(fe.rand(1, 2, 2), 0, -1), "sigma must not be"),
        (lambda: F.solarize(image(), 256), "threshold must be at most 255"),
        (lambda: F.posterize(image(), -1), "bits must not be negative"),
        (lambda: F.rotate(image(), 5, "bicubic"), "must be 'nearest' or 'bilinear'"),
        (lambda: F.affine(image(), 0, [0, 0], 0.0, 0), "scale must be above 0"),
        (lambda: F.affine(image(), 0, [0], 1.0, 0), "translate must be two"),
        (lambda: F.perspective(image(), None, None), "give points or coefficients"),
        (lambda: F.perspective(image(), [(0, 0)] * 4, [(0, 0)] * 4), "on one line"),
        (lambda: F.perspective(image(), [(0, 0)], [(0, 0)]), "four points go to"),
        (lambda: F.five_crop(image(), 20), "has no part of 20 x 20"),
        (lambda: T.RandomRotation(-1), "degrees must not be negative"),
        (lambda: T.RandomAffine(0, translate=(2, 0)), r"numbers in 0\.\.1"),
        (lambda: T.RandomAffine(0, scale=(0, 1)), "two numbers above 0"),
        (lambda: T.RandomAffine(0, shear=(3, 1)), "the least and the greatest"),
        (lambda: T.RandomPerspective(1.5), "distortion_scale must be in"),
        (lambda: T.RandAugment(magnitude=31), r"magnitude must be in 0\.\.30"),
        (lambda: T.TrivialAugmentWide(1), "num_magnitude_bins must be at least 2"),
        (lambda: T.RandomChoice([F.hflip], p=[1, 2]), "p must have 1 numbers"),
        (lambda: T.RandomChoice([]), "nothing to choose from"),
        (lambda: T.MixUp(alpha=0), "alpha must be above 0"),
        (lambda: T.MixUp(labels_getter="first"), "must be a function"),
        (lambda: T.MixUp()(fe.rand(2, 3, 4, 4)), "expected images and labels"),
        (lambda: T.CutMix()(fe.rand(2, 1, 4, 4), fe.tensor([0, 1])), "give num_cl"),
    ],
)
def test_errors(call, text):
    with pytest.raises(fe.InvalidValue, match=text):
        call()


def test_errors_of_shapes():
    with pytest.raises(fe.ShapeError, match="expected a batch"):
        T.MixUp(num_classes=2)(fe.rand(3, 4, 4), fe.tensor([0]))
    with pytest.raises(fe.ShapeError, match="labels must have shape"):
        T.MixUp()(fe.rand(2, 1, 4, 4), fe.rand(2, 1, 1))
    with pytest.raises(fe.ShapeError, match="fill has 2 values for 3 channels"):
        F.rotate(image(), 5, fill=[1, 2])
    with pytest.raises(fe.DTypeError, match="expected a floating-point image"):
        T.GaussianNoise()(image())


# --- random ones

RANDOM = [
    T.RandomRotation(40),
    T.RandomRotation((10, 90), "bilinear", fill=0.5),
    T.RandomAffine(30, (0.2, 0.1), (0.5, 1.5), (-5, 5, 0, 10)),
    T.RandomAffine(0, shear=20),
    T.RandomPerspective(p=0.8),
    T.ElasticTransform(30.0, 2.0),
    T.GaussianBlur(5),
    T.GaussianNoise(),
    T.RandomInvert(),
    T.RandomPosterize(2),
    T.RandomSolarize(0.5),
    T.RandomAdjustSharpness(2),
    T.RandomAutocontrast(),
    T.RandomEqualize(),
    T.RandomChoice([F.hflip, F.vflip]),
    T.RandomOrder([F.invert, T.RandomSolarize(0.3, p=1.0)]),
    T.RandAugment(),
    T.TrivialAugmentWide(),
]


@pytest.mark.parametrize("transform", RANDOM, ids=lambda t: type(t).__name__)
def test_random_transforms_obey_the_seed(transform):
    x = fe.from_numpy(picture().astype(np.float32) / 300)

    def draws():
        fe.manual_seed(3)
        return [transform(x) for _ in range(12)]

    one, two = draws(), draws()
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a, b)
        assert a.shape == x.shape and a.dtype == x.dtype
        assert not a.isnan().any()
    assert any(not np.array_equal(a, one[0]) for a in one)
    assert type(transform).__name__ in repr(transform)


@pytest.mark.parametrize("cls", [T.RandAugment, T.TrivialAugmentWide])
def test_every_choice_of_augmentation(cls):
    transform = cls(fill=[1, 2, 3])
    assert len(cls.choices) == 14
    x = image()
    for name, choice in cls.choices.items():
        weak = choice.apply(transform, x, choice.weakest)
        strong = choice.apply(transform, x, choice.strongest)
        assert strong.dtype == fe.uint8 and strong.shape == x.shape
        if choice.weakest != choice.strongest and name != "Solarize":
            assert np.array_equal(weak, x), name
        assert np.array_equal(strong, x) == (name == "Identity"), name


def test_choices_have_their_shares():
    fe.manual_seed(0)
    choose = T.RandomChoice([lambda x: 0, lambda x: 1, lambda x: 2], p=[1, 0, 3])
    drawn = [choose(None) for _ in range(400)]
    assert drawn.count(1) == 0 and 60 < drawn.count(0) < 140


def test_five_and_ten_crop():
    pixels = picture()
    parts = T.FiveCrop((5, 6))(image())
    assert np.array_equal(parts[0], pixels[:, :5, :6])
    assert np.array_equal(parts[1], pixels[:, :5, -6:])
    assert np.array_equal(parts[2], pixels[:, -5:, :6])
    assert np.array_equal(parts[3], pixels[:, -5:, -6:])
    assert np.array_equal(parts[4], pixels[:, 7:12, 9:15])
    ten = T.TenCrop((5, 6))(image())
    assert len(ten) == 10 and np.array_equal(ten[5], pixels[:, :5, :-7:-1])
    turned = T.TenCrop((5, 6), vertical_flip=True)(image())
    assert np.array_equal(turned[5], pixels[:, :-6:-1, :6])


# --- batches


def test_mixup():
    fe.manual_seed(0)
    images = fe.arange(4.0).reshape(4, 1, 1, 1).expand(4, 2, 3, 5)
    labels = fe.tensor([0, 1, 2, 1])
    mixed, shares, rest = T.MixUp(num_classes=3)(images, labels, "rest")
    assert rest == "rest" and shares.dtype == fe.float32
    own = shares[0, 0].item()
    assert 0 < own < 1
    want = own * np.arange(4) + (1 - own) * np.array([3, 0, 1, 2])
    assert np.allclose(mixed[:, 1, 2, 3].numpy(), want)
    assert np.allclose(shares[2].numpy(), [0, 1 - own, own])
    alone = T.MixUp(labels_getter=None)(images)
    assert alone.shape == images.shape
    one_hot = fe.nn.functional.one_hot(labels, 3)
    again = T.MixUp()((images.to(fe.uint8), one_hot))
    assert again[0].dtype == fe.uint8 and again[1].shape == (4, 3)
    batch = {"labels": labels}
    found = T.MixUp(num_classes=3, labels_getter=lambda sample: batch["labels"])
    assert found(images, labels)[1].shape == (4, 3)
    loss = fe.nn.functional.cross_entropy(fe.rand(4, 3), shares)
    assert loss.item() > 0


def test_cutmix():
    fe.manual_seed(0)
    images = fe.arange(4).reshape(4, 1, 1, 1).expand(4, 3, 10, 12)
    cut = T.CutMix(num_classes=4)
    for _ in range(20):
        mixed, shares = cut(images, fe.arange(4))
        for i in range(4):
            assert set(mixed[i].unique().tolist()) <= {i, (i - 1) % 4}
            own = (mixed[i] == i).to(fe.float64).mean().item()
            assert shares[i, i].item() == pytest.approx(own, abs=1e-6)
            assert shares[i].sum().item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.01, 0.3, 1.0, 4.0])
def test_shares_are_distributed_as_beta(alpha):
    from ferrule.vision.transforms._draw import beta

    fe.manual_seed(1)
    drawn = np.array([beta(alpha) for _ in range(2000)])
    assert ((drawn >= 0) & (drawn <= 1)).all()
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(drawn.mean() - 0.5) < 5 * math.sqrt(variance / 2000)
    assert abs(drawn.var() - variance) < 0.1 * variance
