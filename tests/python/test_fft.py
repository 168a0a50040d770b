"""Fourier transforms: every size, way of computing, argument and error; errors of
rounding; graphs of any size; stft and its inverse against PyTorch.
"""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

import ferrule as fe
from ferrule import array_api as xp

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")

RNG = np.random.default_rng(0)
NORMS = (None, "backward", "ortho", "forward")
# Lines alone and as lanes; neighbours few, many, and not a whole vector.
SHAPES = (
    (lambda n: (n,), 0),
    (lambda n: (3, n), 1),
    (lambda n: (40, n), -1),
    (lambda n: (n, 3), 0),
    (lambda n: (2, n, 17), 1),
    (lambda n: (n, 40), 0),
)
# Two steps with and without full vectors, large primes, primes twice, powers.
LONG = (
    *(136, 200, 243, 254, 256, 257, 331, 500, 509, 514, 1000, 1001, 1009, 1024),
    *(1155, 2048, 2187, 3001, 4096, 5040, 8191, 8192, 10007, 16384, 16129, 30030),
)
LONGEST = (65536, 65537, 100003, 131072, 510510, 1 << 20)


def real(*shape):
    return RNG.standard_normal(shape)


def complex_(*shape):
    return RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)


def error(got: fe.Tensor, expected: np.ndarray) -> float:
    """The largest, in the root of the mean square of what is expected."""
    assert got.shape == expected.shape
    size = np.sqrt((np.abs(expected) ** 2).mean())
    return float(np.abs(got.numpy() - expected).max() / max(size, 1e-300))


def check_all(n: int, shape: tuple[int, ...], dim: int) -> None:
    """All six transforms of one dimension in both precisions."""
    half = list(shape)
    half[dim] = n // 2 + 1
    z, x, h = complex_(*shape), real(*shape), complex_(*half)
    for parts, numbers, most in (
        (fe.float32, fe.complex64, 3e-6),
        (fe.float64, fe.complex128, 1e-14),
    ):
        for name, array, dtype in (
            ("fft", z, numbers),
            ("ifft", z, numbers),
            ("fft", x, parts),
            ("rfft", x, parts),
            ("ihfft", x, parts),
            ("irfft", h, numbers),
            ("hfft", h, numbers),
        ):
            t = fe.tensor(array).to(dtype)
            exact = t.numpy().astype(array.dtype)
            got = getattr(fe.fft, name)(t, n, dim)
            expected = getattr(np.fft, name)(exact, n, dim)
            assert got.dtype == (parts if name in ("irfft", "hfft") else numbers)
            assert error(got, expected) < most, f"{name} of {shape} in {dtype}"


@pytest.mark.parametrize("first", range(1, 131, 10))
def test_small_sizes(first):
    for n in range(first, min(first + 10, 131)):
        for shape, dim in SHAPES:
            check_all(n, shape(n), dim)


@pytest.mark.parametrize("n", LONG)
def test_long_sizes(n):
    for shape, dim in SHAPES:
        if np.prod(shape(n)) <= 400_000:
            check_all(n, shape(n), dim)


@pytest.mark.parametrize("n", LONGEST)
def test_longest_sizes(n):
    check_all(n, (n,), 0)


def test_strided_input():
    z = complex_(6, 40, 5)
    t = fe.tensor(z).permute((2, 0, 1))[:, ::2]
    expected = np.fft.fft(z.transpose(2, 0, 1)[:, ::2], axis=1)
    assert error(fe.fft.fft(t, dim=1), expected) < 1e-14


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_sizes_and_norms(name):
    array = real(3, 10) if name in ("rfft", "ihfft") else complex_(3, 10)
    for n, dim, norm in itertools.product((None, 1, 2, 7, 10, 16), (0, 1), NORMS):
        expected = getattr(np.fft, name)(array, n, dim, norm)
        got = getattr(fe.fft, name)(fe.tensor(array), n=n, dim=dim, norm=norm)
        assert error(got, expected) < 1e-14, (n, dim, norm)


@needs_torch
@pytest.mark.parametrize(
    "name",
    [f"{kind}{n}" for kind in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
     for n in "2n"],
)  # fmt: skip
def test_several_dimensions_as_pytorch(name):
    is_real = name.startswith(("rfft", "ihfft"))
    array = real(3, 4, 5) if is_real else complex_(3, 4, 5)
    sizes = (None, (4, 6), (-1, 3), (2, 2))
    dims = (None, (0, 1), (-1, 0), (2, 1))
    for s, dim, norm in itertools.product(sizes, dims, NORMS):
        options = {"s": s, "norm": norm} | ({} if dim is None else {"dim": dim})
        expected = getattr(torch.fft, name)(torch.tensor(array), **options)
        got = getattr(fe.fft, name)(fe.tensor(array), **options)
        assert error(got, expected.numpy()) < 1e-14, options


@pytest.mark.parametrize("dtype", [fe.bool, fe.uint8, fe.int32, fe.int64])
def test_integers_are_float32(dtype):
    x = fe.tensor([0, 1, 1, 0, 1]).to(dtype)
    for name in ("fft", "ifft", "rfft", "ihfft", "fftn"):
        assert getattr(fe.fft, name)(x).dtype == fe.complex64
    assert fe.fft.irfft(x).dtype == fe.float32
    np.testing.assert_allclose(fe.fft.fft(x).numpy(), np.fft.fft(x.numpy()), atol=1e-6)


ERRORS = [
    (lambda: fe.fft.fft(fe.ones(3).half()), fe.DTypeError, r"\.float\(\)"),
    (lambda: fe.fft.irfft(fe.ones(3).bfloat16()), fe.DTypeError, r"\.float\(\)"),
    (lambda: fe.fft.rfft(fe.ones(3) + 1j), fe.DTypeError, "call fft.fft"),
    (lambda: fe.fft.ihfft(fe.ones(3) + 1j), fe.DTypeError, "call fft.ifft"),
    (lambda: fe.fft.rfftn(fe.ones(3) + 1j), fe.DTypeError, "call fft.fftn"),
    (lambda: fe.fft.fft(fe.tensor(1.0)), fe.IndexOutOfRange, "0-d"),
    (lambda: fe.fft.fft(fe.ones(3), dim=1), fe.IndexOutOfRange, "dim 1"),
    (lambda: fe.fft.fft(fe.ones(3), 0), fe.InvalidValue, "got 0"),
    (lambda: fe.fft.fft(fe.ones(3), -2), fe.InvalidValue, "got -2"),
    (lambda: fe.fft.fft(fe.ones((2, 0))), fe.InvalidValue, "1 number or more"),
    (lambda: fe.fft.irfft(fe.ones((2, 1))), fe.InvalidValue, "n = 0"),
    (lambda: fe.fft.fft(fe.ones(3), norm="x"), fe.InvalidValue, "'ortho'"),
    (lambda: fe.fft.fft2(fe.ones(3)), fe.ShapeError, "2 dimensions"),
    (lambda: fe.fft.rfftn(fe.tensor(1.0)), fe.ShapeError, "a dimension"),
    (lambda: fe.fft.fftn(fe.ones((2, 2)), dim=(0, -2)), fe.InvalidValue, "twice"),
    (lambda: fe.fft.fftn(fe.ones((2, 2)), (2,), (0, 1)), fe.InvalidValue, "s has 1"),
    (lambda: fe.fft.fftn(fe.ones(2), (2, 2)), fe.ShapeError, "2 dimensions"),
    (lambda: fe.fft.fftn(fe.ones((2, 2)), (0, 1)), fe.InvalidValue, "got 0"),
    (lambda: fe.fft.irfftn(fe.ones((2, 1))), fe.InvalidValue, "got 0"),
    (lambda: fe.fft.fftfreq(-1), fe.InvalidValue, "got -1"),
    (lambda: fe.fft.fftfreq(3, dtype=fe.int64), fe.DTypeError, "floating-point"),
    (lambda: fe.fft.fftshift(fe.ones(3), 1), fe.IndexOutOfRange, "dim 1"),
    (lambda: fe.stft(fe.ones(99), 8), fe.InvalidValue, "return_complex"),
    (lambda: fe.stft(fe.ones((1, 1, 9)), 4), fe.ShapeError, r"\(B, L\)"),
    (lambda: fe.stft(fe.arange(9), 4), fe.DTypeError, r"\.float\(\)"),
    (lambda: fe.stft(fe.ones(9), 3, return_complex=True), fe.InvalidValue, "hop"),
    (lambda: fe.stft(fe.ones(9), 4, 1, 5, return_complex=True), fe.InvalidValue, "win"),
    (lambda: fe.stft(fe.ones(9) + 1j, 4, onesided=True), fe.InvalidValue, "onesided"),
    (
        lambda: fe.stft(fe.ones(9), 4, window=fe.ones(3), return_complex=True),
        fe.ShapeError,
        "win_length",
    ),
    (
        lambda: fe.stft(fe.ones(9), 40, center=False, return_complex=True),
        fe.ShapeError,
        "n_fft = 40",
    ),
    (
        lambda: fe.stft(fe.ones(9), 4, return_complex=True, align_to_window=True),
        fe.InvalidValue,
        "center = False",
    ),
    (lambda: fe.istft(fe.ones((3, 4)), 4), fe.DTypeError, "complex"),
    (lambda: fe.istft(fe.ones((4, 4)) + 0j, 6, onesided=False), fe.ShapeError, "6 fre"),
    (lambda: fe.istft(fe.ones((3, 0)) + 0j, 4), fe.ShapeError, "none of them 0"),
    (lambda: fe.istft(fe.ones((3, 4)) + 0j, 4, 5), fe.InvalidValue, "hop_length"),
    (lambda: fe.istft(fe.ones((3, 4)) + 0j, 4, length=0), fe.InvalidValue, "length"),
    (
        lambda: fe.istft(fe.ones((3, 4)) + 0j, 4, window=fe.zeros(4)),
        fe.InvalidValue,
        "leave a gap",
    ),
    (
        lambda: fe.istft(
            fe.ones((5, 4)) + 0j, 8, 4, window=fe.hann_window(8), center=False
        ),
        fe.InvalidValue,
        "leave a gap",
    ),
    (
        lambda: fe.istft(fe.ones((3, 4)) + 0j, 4, return_complex=True),
        fe.InvalidValue,
        "onesided",
    ),
    (lambda: fe.ops.fft_c2c(fe.ones(3), 0, True, "2"), fe.InvalidValue, "scale"),
    (lambda: fe.ops.fft_c2r(fe.ones(3) + 0j, 0, 7, True), fe.ShapeError, "n = 7"),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors(case):
    call, kind, text = ERRORS[case]
    with pytest.raises(kind, match=text):
        call()


def test_nothing_to_transform():
    assert fe.fft.fft(fe.ones((0, 3))).shape == (0, 3)
    assert fe.fft.rfft(fe.ones((0, 3))).shape == (0, 2)
    assert fe.fft.irfft(fe.ones((0, 3)) + 0j).shape == (0, 4)
    z = fe.tensor([1 + 2j])
    same = fe.fft.fftn(z, dim=())
    assert same.tolist() == z.tolist() and same.data_ptr() != z.data_ptr()


# --- errors of rounding


def rms(a: np.ndarray, exact: np.ndarray) -> float:
    difference = a.astype(exact.dtype) - exact
    return float(
        np.sqrt((np.abs(difference) ** 2).mean() / (np.abs(exact) ** 2).mean())
    )


SIZES = (16, 60, 127, 128, 251, 1000, 1009, 1024, 4096, 10007, 65536, 1 << 18)


@pytest.mark.parametrize("n", SIZES)
def test_errors_of_rounding(n):
    """Against float64, in float32: few of the last bits, no more than PyTorch has
    (but for a few numbers, where instruction sets without fused products differ).
    """
    rng = np.random.default_rng(n)
    lines = max(1, 20_000 // n)
    x = rng.standard_normal((lines, n)).astype(np.float32)
    z = (x + 1j * rng.standard_normal((lines, n))).astype(np.complex64)
    for name, array, wide in (("fft", z, complex), ("rfft", x, float)):
        exact = getattr(np.fft, name)(array.astype(wide))
        ours = rms(getattr(fe.fft, name)(fe.tensor(array)).numpy(), exact)
        assert ours < 2.0**-24 * (1 + 0.5 * np.log2(n)), name
        if torch is None:
            continue
        theirs = rms(getattr(torch.fft, name)(torch.tensor(array)).numpy(), exact)
        assert ours < (1.25 if n < 100 else 1.1) * theirs, name


# --- gradients, graphs


def test_gradients_of_all_transforms():
    z = fe.tensor(complex_(2, 5), requires_grad=True)
    x = fe.tensor(real(2, 6), requires_grad=True)
    for call, leaf in (
        (lambda z: fe.fft.fft(z, 7, norm="ortho"), z),
        (lambda z: fe.fft.ifft(z, 4, 0), z),
        (lambda z: fe.fft.irfft(z, 9), z),
        (lambda z: fe.fft.hfft2(z), z),
        (lambda x: fe.fft.rfft(x, 5), x),
        (lambda x: fe.fft.ihfftn(x), x),
        (lambda x: fe.fft.rfftn(x, (3, 8), norm="forward"), x),
    ):
        assert fe.autograd.gradcheck(call, (leaf,))
        assert fe.autograd.gradgradcheck(call, (leaf,))


@needs_torch
def test_gradient_as_pytorch():
    x = real(3, 12)
    ours = fe.tensor(x, requires_grad=True)
    theirs = torch.tensor(x, requires_grad=True)
    (fe.fft.rfft(ours).abs() ** 2).mean().backward()
    (torch.fft.rfft(theirs).abs() ** 2).mean().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: fe.fft.fft(x, norm="ortho"),
        lambda x: fe.fft.irfft(fe.fft.rfft(x), x.shape[1]),
        lambda x: fe.fft.rfft(x, 32),
        lambda x: fe.fft.fft2(x),
        lambda x: fe.fft.irfftn(x),
        lambda x: fe.fft.fftshift(x),
        lambda x: fe.fft.fftfreq(x.shape[1]) + x,
        lambda x: fe.stft(x, 16, window=fe.hann_window(16), return_complex=True),
        lambda x: fe.istft(
            fe.stft(x, 16, window=fe.hann_window(16), return_complex=True),
            16,
            window=fe.hann_window(16),
            length=x.shape[1],
        ),
    ],
)
def test_graphs_of_any_size(call, tmp_path):
    rows, size = fe.Dim("rows"), fe.Dim("size", min=12)
    x = fe.tensor(real(3, 40)).float()
    fe.export(call, (x,), dynamic_shapes=[{0: rows, 1: size}]).save(tmp_path / "m.fer")
    program = fe.load_program(tmp_path / "m.fer")
    for shape in ((3, 40), (1, 16), (20, 37), (4, 1000), (2, 1009)):
        x = fe.tensor(real(*shape)).float()
        (got,) = program.run("forward", x)
        expected = call(x)
        assert got.shape == expected.shape
        assert fe._ferrule.same_bits(got, expected)


def test_training_in_a_file(tmp_path):
    """A filter is learnt in the frequency domain, by a step that is a graph."""
    weight = fe.nn.Parameter(fe.ones(33))

    class Filter(fe.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = weight

        def forward(self, x):
            return fe.fft.irfft(fe.fft.rfft(x) * self.weight)

    model = Filter()
    x = fe.tensor(real(8, 64)).float()
    target = fe.fft.irfft(fe.fft.rfft(x) * fe.linspace(0, 1, 33))
    optimizer = fe.optim.SGD(model.parameters(), lr=10.0)
    program = fe.export(
        model, (x,), train=(fe.nn.functional.mse_loss, optimizer), targets=(target,)
    )
    losses = [program.run("train_step", x, target)[0].item() for _ in range(20)]
    assert losses[-1] < 0.1 * losses[0]


def test_tables_are_dropped_and_made_again():
    """More lengths than there is memory for tables, and the first ones again."""
    x = fe.tensor(complex_(70_000))
    before = fe.fft.fft(x[:512])
    for n in range(66_000, 66_020):
        fe.fft.fft(x[:n])
    assert fe._ferrule.same_bits(fe.fft.fft(x[:512]), before)


def test_tables_are_shared_by_threads():
    """Threads that look for tables, make some and drop all at the same time."""
    signals = [fe.tensor(complex_(n)) for n in (500, 4096, 10007, 65536, 65537, 70_000)]
    expected = [fe.fft.fft(x) for x in signals]
    wrong = []

    def work(first):
        for k in range(30):
            at = (first + k) % len(signals)
            if not fe._ferrule.same_bits(fe.fft.fft(signals[at]), expected[at]):
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


# --- short-time transforms

FRAMES = [
    dict(zip(("n_fft", "hop_length", "win_length", "center", "normalized"), values))
    for values in itertools.product(
        (16, 15), (None, 3, 5), (None, 9), (True, False), (False, True)
    )
]


def call_both(name, array, window, **options):
    """Results of Ferrule and PyTorch, null where there is an error."""
    results = []
    for lib in (fe, torch):
        w = None if window is None else lib.tensor(window)
        try:
            results.append(getattr(lib, name)(lib.tensor(array), window=w, **options))
        except (RuntimeError, ValueError):
            results.append(None)
    return results


@needs_torch
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", range(len(FRAMES)))
def test_stft_as_pytorch(case):
    options = FRAMES[case]
    size = options["win_length"] or options["n_fft"]
    for array, window, mode, onesided, align in itertools.product(
        (real(2, 50), complex_(50)),
        (None, np.hanning(size), RNG.random(size) + 0.1),
        ("reflect", "constant", "circular"),
        (None, False, True),
        (None, True),
    ):
        extra = {"pad_mode": mode, "onesided": onesided, "align_to_window": align}
        a, b = call_both("stft", array, window, return_complex=True, **options, **extra)
        assert (a is None) == (b is None), extra
        if a is None or mode != "reflect":
            continue
        assert error(a, b.numpy()) < 1e-13, extra
        frames = b.numpy()
        for length, as_complex, sides in (
            (None, False, onesided),
            (30, False, onesided),
            (80, False, onesided),
            (None, True, False),
        ):
            back = {"length": length, "return_complex": as_complex, "onesided": sides}
            a, b = call_both("istft", frames, window, **options, **back)
            assert (a is None) == (b is None), back
            if a is not None:
                np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-9)


def test_methods():
    x = fe.tensor(real(100)).float()
    window = fe.hann_window(16)
    frames = x.stft(16, 4, window=window, return_complex=True)
    assert frames.shape == (9, 26)
    parts = x.stft(16, 4, window=window, return_complex=False)
    assert parts.tolist() == fe.view_as_real(frames).tolist()
    back = frames.istft(16, 4, window=window, length=100)
    np.testing.assert_allclose(back.numpy(), x.numpy(), atol=1e-5)


# --- the Array API


def test_array_api_extension():
    z, x = complex_(4, 6), real(4, 6)
    for name, array in (
        ("fft", z), ("ifft", z), ("rfft", x), ("irfft", z), ("hfft", z), ("ihfft", x),
    ):  # fmt: skip
        got = getattr(xp.fft, name)(fe.tensor(array), n=5, axis=0, norm="ortho")
        assert error(got, getattr(np.fft, name)(array, 5, 0, "ortho")) < 1e-14
    for name, array in (("fftn", z), ("ifftn", z), ("rfftn", x), ("irfftn", z)):
        got = getattr(xp.fft, name)(fe.tensor(array), s=(3, 4), axes=(1, 0))
        assert error(got, getattr(np.fft, name)(array, (3, 4), (1, 0))) < 1e-14
    assert error(xp.fft.fftshift(fe.tensor(x), axes=1), np.fft.fftshift(x, 1)) == 0
    assert error(xp.fft.ifftshift(fe.tensor(x)), np.fft.ifftshift(x)) == 0
    exact = xp.fft.fftfreq(7, d=0.5, dtype=xp.float64)
    np.testing.assert_allclose(exact.numpy(), np.fft.fftfreq(7, 0.5), rtol=1e-15)
    assert xp.fft.rfftfreq(8).dtype == xp.float32
