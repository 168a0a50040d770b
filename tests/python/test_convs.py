"""Convolutions and pooling of one and three dimensions, transposed ones, padding,
and their layers: against NumPy in float64 and, where it is installed, PyTorch.
"""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe
import image_references as reference
from ferrule import nn
from ferrule.nn import functional as F


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# name: (sizes of input, weight, stride, padding, dilation, groups)
CONVOLUTIONS = {
    "line": ((3, 5, 40), (7, 5, 3), 1, 1, 1, 1),
    "line, strided": ((2, 6, 41), (9, 2, 5), 3, 2, 2, 3),
    "line, depthwise": ((2, 8, 33), (8, 1, 4), 1, 3, 1, 8),
    "volume": ((2, 5, 6, 9, 8), (7, 5, 3, 3, 3), 1, 1, 1, 1),
    "volume, uneven": ((1, 4, 7, 9, 8), (6, 2, 2, 3, 4), (2, 1, 3), (0, 1, 2), 1, 2),
    "volume, dilated": ((2, 2, 8, 9, 7), (3, 2, 3, 2, 3), 1, 2, (2, 3, 1), 1),
    "volume, depth only": (
        (2, 6, 9, 4, 5),
        (4, 3, 3, 1, 1),
        (2, 1, 1),
        (1, 0, 0),
        1,
        2,
    ),
    "volume, plane only": ((2, 6, 5, 7, 6), (4, 6, 1, 3, 3), 1, (0, 1, 1), 1, 1),
    "volume, pointwise": ((2, 6, 3, 4, 5), (7, 6, 1, 1, 1), 1, 0, 1, 1),
    "volume, pointwise, strided": ((1, 6, 5, 4, 5), (7, 6, 1, 1, 1), 2, 0, 1, 1),
    "volume, padding on padding": ((1, 1, 1, 2, 2), (1, 1, 2, 2, 2), 1, 3, 1, 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str, dtype: str) -> None:
    size, kernel, *more = CONVOLUTIONS[name]
    x, w, bias = array(*size), array(*kernel, seed=1), array(kernel[0], seed=2)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[len(kernel) - 3]
    y = convolve(*(fe.tensor(a.astype(dtype)) for a in (x, w, bias)), *more)
    want = reference.convolve(x, w, bias, *more)
    assert y.dtype == getattr(fe, dtype) and y.is_contiguous()
    scale = np.sqrt(np.prod(kernel[1:])) * np.finfo(dtype).eps * 20
    np.testing.assert_allclose(y.numpy(), want, rtol=0, atol=scale)
    one = convolve(*(fe.tensor(a.astype(dtype)) for a in (x[0], w, bias)), *more)
    np.testing.assert_allclose(one.numpy(), want[0], rtol=0, atol=scale)


# name: (sizes of input, weight, stride, padding, output_padding, groups, dilation)
TRANSPOSED = {
    "line": ((3, 5, 20), (5, 7, 4), 2, 1, 1, 1, 1),
    "line, dilated": ((2, 6, 11), (6, 3, 3), 1, 2, 2, 2, 3),
    "plane": ((2, 5, 7, 8), (5, 6, 3, 3), 2, 1, 1, 1, 1),
    "plane, stride 1": ((2, 5, 7, 8), (5, 6, 3, 3), 1, 1, 0, 1, 1),
    "plane, groups": ((2, 6, 5, 4), (6, 2, 2, 3), (3, 1), (1, 0), (2, 0), 3, (1, 2)),
    "plane, padding above stride": ((1, 2, 4, 4), (2, 2, 3, 3), 1, 0, 3, 1, 4),
    "volume": ((2, 5, 4, 5, 6), (5, 4, 3, 3, 3), 2, 1, 1, 1, 1),
    "volume, twice the size": ((2, 4, 3, 5, 4), (4, 3, 2, 2, 2), 2, 0, 0, 1, 1),
    "volume, stride 1": ((1, 4, 3, 5, 4), (4, 3, 3, 2, 3), 1, 1, 0, 1, 1),
    "volume, gaps": ((1, 4, 3, 3, 2), (4, 1, 2, 2, 2), (4, 3, 3), 0, (3, 1, 0), 2, 1),
    "volume, cropped": (
        (1, 2, 4, 4, 4),
        (2, 3, 3, 2, 2),
        (2, 1, 1),
        (4, 1, 0),
        0,
        1,
        1,
    ),
    "volume, dilated": (
        (1, 2, 3, 4, 3),
        (2, 2, 3, 2, 2),
        2,
        1,
        (2, 1, 0),
        1,
        (3, 2, 1),
    ),
    "volume, depth only": (
        *((2, 6, 4, 4, 5), (6, 3, 3, 1, 1), (2, 1, 1), (1, 0, 0), (1, 0, 0), 2, 1),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution(name: str, dtype: str) -> None:
    size, kernel, *more = TRANSPOSED[name]
    groups = more[3]
    x, w = array(*size), array(*kernel, seed=1)
    bias = array(kernel[1] * groups, seed=2)
    convolve = getattr(F, f"conv_transpose{len(kernel) - 2}d")
    given = [fe.tensor(a.astype(dtype)) for a in (x, w, bias)]
    y = convolve(*given, *more)
    want = reference.convolve_transposed(x, w, bias, *more)
    assert y.dtype == getattr(fe, dtype) and y.is_contiguous()
    scale = np.sqrt(np.prod(kernel)) * np.finfo(dtype).eps * 20
    np.testing.assert_allclose(y.numpy(), want, rtol=0, atol=scale)
    one = convolve(given[0][0], *given[1:], *more)
    np.testing.assert_allclose(one.numpy(), want[0], rtol=0, atol=scale)
    for a, t in zip((x, w, bias), given, strict=True):  # nothing is written
        np.testing.assert_array_equal(t.numpy(), a.astype(dtype))


def test_transposed_is_the_gradient() -> None:
    for n, size in ((1, (9,)), (2, (7, 6)), (3, (5, 6, 4))):
        w = fe.tensor(array(4, 2, *[3] * n))
        x = fe.tensor(array(2, 4, *size, seed=1), requires_grad=True)
        y = getattr(F, f"conv{n}d")(x, w, None, 2, 1, 1, 2)
        g = fe.tensor(array(*y.shape, seed=2))
        (want,) = fe.autograd.grad([y], [x], [g])
        # The sizes that the stride passed over come back by output_padding.
        more = tuple((m - 1) % 2 for m in size)
        got = getattr(F, f"conv_transpose{n}d")(g, w, None, 2, 1, more, 2)
        np.testing.assert_allclose(got.numpy(), want.numpy(), atol=1e-12)


def test_free_batch_size() -> None:
    """Captured once, run with other numbers of images."""
    fe.manual_seed(0)
    model = nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1, padding_mode="replicate"),
        nn.MaxPool3d(2),
        nn.ConvTranspose3d(4, 3, 3, stride=2, output_padding=1),
        nn.AdaptiveAvgPool3d(2),
        nn.AdaptiveMaxPool3d(1),
        nn.Flatten(2),
        nn.Conv1d(3, 2, 1),
        nn.ConvTranspose1d(2, 2, 3),
        nn.MaxPool1d(2),
    )
    program = fe.export(
        model, (fe.zeros((2, 2, 4, 6, 6)),), dynamic_shapes=({0: "batch"},)
    )
    for n in (1, 2, 5):
        x = fe.tensor(array(n, 2, 4, 6, 6, seed=n).astype("float32"))
        with fe.no_grad():
            want = model(x)
        assert fe._ferrule.same_bits(program(x), want)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_same_bits_for_any_number_of_threads(n: int) -> None:
    size = (30, 21, 13)[:n]
    x, w = (
        fe.tensor(a.astype("float32"))
        for a in (array(5, 12, *size), array(12, 12, *[3] * n, seed=1))
    )
    threads = fe.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3, 4, 8):
            fe.set_num_threads(count)
            y = getattr(F, f"conv{n}d")(x, w, padding=1)
            z = getattr(F, f"conv_transpose{n}d")(x, w, stride=2)
            results.append(y.numpy().tobytes() + z.numpy().tobytes())
    finally:
        fe.set_num_threads(threads)
    assert all(r == results[0] for r in results)


def test_window_of_padding_only() -> None:
    """A dilated window that sees no element is -infinity, of index -1, and gives
    nothing a gradient."""
    x = fe.tensor(array(1, 1, 2, 3, 2), requires_grad=True)
    arguments = ((2, 2, 2), 1, (2, 1, 1), (3, 1, 1), False)
    out, indices = F.max_pool3d(x, *arguments, return_indices=True)
    want, at = reference.max_pool(x.detach().numpy(), *arguments)
    np.testing.assert_array_equal(out.detach().numpy(), want)
    np.testing.assert_array_equal(indices.numpy(), at)
    assert (at == -1).any() and (at >= 0).any()
    out.sum().backward()
    counts = np.bincount(at[at >= 0], minlength=12).reshape(x.shape)
    np.testing.assert_array_equal(x.grad.numpy(), counts)


def test_first_of_equal_values_counts() -> None:
    x = fe.zeros((1, 4, 4, 4))
    indices = F.max_pool3d(x, 2, return_indices=True)[1]
    assert indices.reshape(-1).tolist() == [0, 2, 8, 10, 32, 34, 40, 42]
    indices = F.adaptive_max_pool3d(x, (3, 1, 4), return_indices=True)[1]
    assert indices[0, :, 0].tolist() == [
        [0, 1, 2, 3],
        [16, 17, 18, 19],
        [32, 33, 34, 35],
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_max_pooling_of_every_width(stride: int, dtype: str) -> None:
    """Rows shorter and longer than vectors; windows over edges; ties, -inf, and in
    one of the images NaN."""
    key = np.random.default_rng(stride)
    for width in (*range(1, 20), 31, 32, 33, 63, 64, 65, 67):
        x = key.integers(-4, 5, (2, 3, 7, width)).astype(np.float64)
        x[key.random(x.shape) < 0.1] = -np.inf
        x[0][key.random(x.shape[1:]) < 0.05] = np.nan
        for kernel, padding, dilation in (2, 0, 1), (3, 1, 1), (3, 1, 2), (5, 2, 1):
            arguments = (kernel, stride, padding, dilation, stride == 2)
            if dilation * (kernel - 1) >= width + 2 * padding:
                continue
            out, indices = F.max_pool2d(
                fe.tensor(x).to(getattr(fe, dtype)), *arguments, return_indices=True
            )
            want, at = reference.max_pool(x, *arguments, n=2)
            np.testing.assert_array_equal(out.double().numpy(), want)
            np.testing.assert_array_equal(indices.numpy(), at)


ERRORS = {
    "input of another rank": (
        lambda: F.conv1d(fe.ones(3, 4, 5, 6), fe.ones(2, 4, 3)),
        r"\[conv1d\] input must have shape \(N, C, L\) or \(C, L\), got \(3, 4, 5, 6\)",
    ),
    "input of too few dimensions": (
        lambda: F.conv3d(fe.ones(4, 5, 6), fe.ones(2, 4, 3, 3, 3)),
        r"\[conv3d\] input must .* got \(4, 5, 6\); add dimensions with unsqueeze",
    ),
    "weight of another rank": (
        lambda: F.conv3d(fe.ones(1, 4, 5, 6, 7), fe.ones(2, 4, 3, 3)),
        r"\[conv3d\] weight must have shape \(out_channels, in_channels / groups, "
        r"kd, kh, kw\), got \(2, 4, 3, 3\)",
    ),
    "channels": (
        lambda: F.conv1d(fe.ones(1, 5, 8), fe.ones(2, 4, 3)),
        r"\[conv1d\] input \(1, 5, 8\) has 5 channels, but weight \(2, 4, 3\) with "
        r"groups=1 expects 4; images are \(N, C, L\), channels before length",
    ),
    "channels of a transposed one": (
        lambda: F.conv_transpose2d(fe.ones(1, 5, 8, 8), fe.ones(4, 5, 3, 3)),
        r"\[conv_transpose2d\] input \(1, 5, 8, 8\) has 5 channels, but weight "
        r"\(4, 5, 3, 3\) expects 4; .* \(in_channels, out_channels / groups, kh, kw\)",
    ),
    "bias": (
        lambda: F.conv_transpose1d(
            fe.ones(1, 4, 8), fe.ones(4, 2, 3), fe.ones(2), groups=2
        ),
        r"\[conv_transpose1d\] bias must have shape \(4,\) for weight \(4, 2, 3\), "
        r"got \(2,\)",
    ),
    "kernel too large": (
        lambda: F.conv3d(fe.ones(1, 1, 2, 8, 8), fe.ones(1, 1, 3, 3, 3)),
        r"\[conv3d\] a kernel of depth 3 .* does not fit into an input of depth 2",
    ),
    "numbers": (
        lambda: F.conv3d(fe.ones(1, 1, 4, 4, 4), fe.ones(1, 1, 2, 2, 2), stride=(1, 2)),
        r"\[conv3d\] stride must be one int or one for each dimension \(3\), got",
    ),
    "stride 0": (
        lambda: F.conv1d(fe.ones(1, 1, 4), fe.ones(1, 1, 2), stride=0),
        r"\[conv1d\] stride must lie in 1\.\.2147483647, got 0",
    ),
    "output_padding": (
        lambda: F.conv_transpose2d(
            fe.ones(1, 1, 4, 4), fe.ones(1, 1, 2, 2), output_padding=(0, 1)
        ),
        r"\[conv_transpose2d\] output_padding 1 for width must be smaller than "
        r"stride 1 or dilation 1",
    ),
    "nothing left": (
        lambda: F.conv_transpose3d(
            fe.ones(1, 1, 2, 4, 4), fe.ones(1, 1, 2, 2, 2), padding=2
        ),
        r"\[conv_transpose3d\] the result would have depth -1: padding 2 .* smaller",
    ),
    "empty input": (
        lambda: F.conv_transpose1d(fe.ones(1, 1, 0), fe.ones(1, 1, 2)),
        r"\[conv_transpose1d\] the input has length 0",
    ),
    "size that overflows": (
        lambda: F.conv_transpose3d(
            fe.ones(1, 1, 2, 2, 2), fe.ones(1, 1, 2, 2, 2), stride=2147483647
        ),
        r"shape|memory|elements",
    ),
    "dtypes": (
        lambda: F.conv1d(fe.ones(1, 1, 4), fe.ones(1, 1, 2, dtype=fe.float64)),
        r"\[conv1d\] 'input' is float32 and 'weight' is float64; convert",
    ),
    "word of padding": (
        lambda: F.conv1d(fe.ones(1, 1, 4), fe.ones(1, 1, 2), padding="full"),
        r"\[conv1d\] padding must be a number, 'same' or 'valid', got 'full'",
    ),
    "same with a stride": (
        lambda: F.conv3d(
            fe.ones(1, 1, 4, 4, 4), fe.ones(1, 1, 2, 2, 2), stride=2, padding="same"
        ),
        r"\[conv3d\] padding 'same' needs stride 1, got 2",
    ),
    "pool": (
        lambda: F.max_pool1d(fe.ones(4), 2),
        r"\[max_pool1d\] input must have shape \(N, C, L\) or \(C, L\), got \(4,\)",
    ),
    "pool, padding": (
        lambda: F.avg_pool3d(fe.ones(1, 4, 4, 4), 2, padding=(0, 2, 0)),
        r"\[avg_pool3d\] padding 2 is more than half of the kernel's height 2",
    ),
    "adaptive": (
        lambda: F.adaptive_max_pool2d(fe.ones(1, 0, 4), 2),
        r"\[adaptive_max_pool2d\] an input of shape \(1, 0, 4\) has no elements along",
    ),
    "reflect": (
        lambda: F.pad(fe.ones(2, 3), (3, 0), "reflect"),
        r"\[pad\] mode 'reflect' can pad dimension 1 of shape \(2, 3\) by at most 2, "
        r"got 3",
    ),
    "circular": (
        lambda: F.pad(fe.ones(2, 3), (0, 4), "circular"),
        r"\[pad\] mode 'circular' can pad .* at most 3, got 4",
    ),
    "replicate": (
        lambda: F.pad(fe.ones(2, 0), (0, 4), "replicate"),
        r"\[pad\] mode 'replicate' has nothing to repeat in dimension 1",
    ),
    "pad of too many": (
        lambda: F.pad(fe.ones(2), (0, 4, 1, 1)),
        r"\[pad\] pad must have two numbers .* at most 2 for shape \(2,\)",
    ),
    "pad of one number": (
        lambda: F.pad(fe.ones(2), (1,)),
        r"\[pad\] pad must have two numbers",
    ),
    "pad that takes too much": (
        lambda: F.pad(fe.ones(2, 3), (-2, -2)),
        r"\[pad\] pad \(-2, -2\) leaves out more than there is in dimension 1",
    ),
    "mode": (
        lambda: F.pad(fe.ones(2, 3), (1, 1), "mirror"),
        r"\[pad\] mode must be 'constant', 'reflect', .*, got 'mirror'",
    ),
    "layer, channels": (
        lambda: nn.ConvTranspose1d(3, 4, 2, groups=2),
        r"\[ConvTranspose1d\] in_channels 3 and out_channels 4 must be multiples",
    ),
    "layer, kernel": (
        lambda: nn.Conv3d(3, 4, (2, 2)),
        r"\[Conv3d\] kernel_size must be one int or one for each dimension \(3\)",
    ),
    "layer, mode": (
        lambda: nn.Conv1d(3, 4, 2, padding_mode="mirror"),
        r"\[Conv1d\] padding_mode must be one of .* got 'mirror'",
    ),
    "layer, transposed, mode": (
        lambda: nn.ConvTranspose2d(3, 4, 2, padding_mode="reflect"),
        r"\[ConvTranspose2d\] padding_mode must be 'zeros', got 'reflect'",
    ),
    "output_size": (
        lambda: nn.ConvTranspose2d(1, 1, 3, 2)(fe.ones(1, 1, 4, 4), (9, 11)),
        r"\[ConvTranspose2d\] output_size \(9, 11\) cannot come of an input of shape "
        r"\(1, 1, 4, 4\); possible: \(9, 9\) to \(10, 10\)",
    ),
    "output_size of another length": (
        lambda: nn.ConvTranspose2d(1, 1, 3, 2)(fe.ones(1, 1, 4, 4), (9,)),
        r"\[ConvTranspose2d\] output_size must have 2 numbers",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_says_what_to_do(name: str) -> None:
    call, message = ERRORS[name]
    with pytest.raises((fe.FerruleError, ValueError, MemoryError), match=message):
        call()


# --- PyTorch


def both_of(layer, *arguments, **options):
    """The layer here and in PyTorch, with the same parameters."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    mine = getattr(nn, layer)(*arguments, **options)
    theirs = getattr(torch.nn, layer)(*arguments, **options)
    if layer != "AvgPool1d":  # PyTorch shows its numbers as tuples
        assert repr(mine) == repr(theirs)
    state = theirs.state_dict()
    assert list(mine.state_dict()) == list(state)
    mine.load_state_dict({k: fe.from_numpy(v.numpy().copy()) for k, v in state.items()})
    return mine, theirs


LAYERS = {
    "conv1d": ("Conv1d", (4, 6, 3), {"padding": 1}, (2, 4, 9)),
    "conv1d, one": ("Conv1d", (4, 6, 3), {"stride": 2, "groups": 2}, (4, 9)),
    "conv1d, same": (
        "Conv1d",
        (4, 6, 4),
        {"padding": "same", "dilation": 3},
        (2, 4, 12),
    ),
    "conv3d": ("Conv3d", (4, 6, 3), {"padding": 1, "bias": False}, (2, 4, 5, 6, 7)),
    "conv3d, one": ("Conv3d", (4, 6, (1, 2, 3)), {"stride": (1, 2, 1)}, (4, 5, 6, 7)),
    "conv3d, same": ("Conv3d", (2, 3, (2, 3, 4)), {"padding": "same"}, (2, 2, 5, 6, 7)),
    "transposed 1d": ("ConvTranspose1d", (4, 6, 3), {"stride": 2}, (2, 4, 9)),
    "transposed 2d": (
        "ConvTranspose2d",
        (4, 6, 3, 2, 1, 1),
        {"groups": 2, "dilation": 2},
        (2, 4, 5, 6),
    ),
    "transposed 2d, one": ("ConvTranspose2d", (4, 6, 3, 2), {}, (4, 5, 6)),
    "transposed 2d, dilation above stride": (
        "ConvTranspose2d",
        (4, 6, 3),
        {"dilation": 3, "output_padding": 2},
        (2, 4, 5, 6),
    ),
    "transposed 3d": (
        "ConvTranspose3d",
        (4, 6, 3, 2, 1, 1),
        {"bias": False},
        (2, 4, 3, 4, 5),
    ),
    "transposed 3d, one": ("ConvTranspose3d", (4, 6, 2, 2), {}, (4, 3, 4, 5)),
    "max_pool1d": ("MaxPool1d", (3, 2, 1), {}, (2, 3, 8)),
    "max_pool1d, dilated": ("MaxPool1d", (2,), {"dilation": 3}, (3, 8)),
    "max_pool3d": ("MaxPool3d", (3, 2, 1), {}, (2, 3, 8, 7, 6)),
    "max_pool3d, ceil": ("MaxPool3d", (2,), {"ceil_mode": True}, (2, 3, 5, 7, 6)),
    "avg_pool1d": ("AvgPool1d", (3, 2, 1), {}, (2, 3, 8)),
    "avg_pool3d": ("AvgPool3d", (3, 2, 1), {}, (2, 3, 8, 7, 6)),
    "avg_pool3d, ceil": (
        "AvgPool3d",
        (3, 2, 1, True),
        {"count_include_pad": False},
        (2, 3, 8, 7, 6),
    ),
    "avg_pool3d, ceil, padding": ("AvgPool3d", (3, 2, 1, True), {}, (3, 8, 7, 6)),
    "adaptive_avg1d": ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 8)),
    "adaptive_avg3d": ("AdaptiveAvgPool3d", ((3, 2, 5),), {}, (2, 3, 8, 7, 6)),
    "adaptive_max1d": ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 8)),
    "adaptive_max2d": ("AdaptiveMaxPool2d", ((3, 2),), {}, (2, 3, 8, 7)),
    "adaptive_max2d, even": ("AdaptiveMaxPool2d", ((4, 1),), {}, (2, 3, 8, 7)),
    "adaptive_max3d": ("AdaptiveMaxPool3d", ((3, 2, 5),), {}, (2, 3, 8, 7, 6)),
} | {
    f"conv{n}d, {mode}{', same' * same}": (
        f"Conv{n}d",
        (3, 4, (3, 4, 3)[:n]),
        {"padding": "same" if same else (2, 1, 1)[:n], "padding_mode": mode},
        (2, 3, 6, 5, 4)[: n + 2],
    )
    for n in (1, 2, 3)
    for mode in ("zeros", "reflect", "replicate", "circular")
    for same in (False, True)
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", LAYERS)
def test_layer_as_in_pytorch(name: str) -> None:
    layer, arguments, options, size = LAYERS[name]
    mine, theirs = both_of(layer, *arguments, **options)
    torch = pytest.importorskip("torch")
    a = array(*size).astype("float32")
    x, y = fe.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    out, want = mine(x), theirs(y)
    assert out.shape == tuple(want.shape)
    g = array(*out.shape, seed=3).astype("float32")
    out.backward(fe.tensor(g))
    want.backward(torch.tensor(g))
    pairs = [(out, want), (x.grad, y.grad)]
    for (mine_at, p), (theirs_at, q) in zip(
        mine.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert mine_at == theirs_at
        pairs.append((p.grad, q.grad))
    for got, expected in pairs:
        np.testing.assert_allclose(
            got.detach().numpy(), expected.detach().numpy(), rtol=2e-5, atol=3e-5
        )


@pytest.mark.parametrize("name", ["max_pool1d", "max_pool3d", "adaptive_max3d"])
def test_indices_as_in_pytorch(name: str) -> None:
    layer, arguments, options, size = LAYERS[name]
    mine, theirs = both_of(layer, *arguments, return_indices=True, **options)
    torch = pytest.importorskip("torch")
    a = array(*size)
    got, want = mine(fe.tensor(a)), theirs(torch.tensor(a))
    for x, y in zip(got, want, strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())


@pytest.mark.parametrize("n", [1, 2, 3])
def test_output_size(n: int) -> None:
    mine, theirs = both_of(f"ConvTranspose{n}d", 3, 4, 3, stride=3, padding=1)
    torch = pytest.importorskip("torch")
    a = array(2, 3, *[4] * n).astype("float32")
    for size in (10, 11, 12):
        for sizes in ([size] * n, [2, 4, *[size] * n]):
            got = mine(fe.tensor(a), output_size=sizes)
            want = theirs(torch.tensor(a), output_size=sizes)
            assert got.shape == tuple(want.shape)
            np.testing.assert_allclose(
                got.detach().numpy(), want.detach().numpy(), atol=2e-5
            )


@pytest.mark.parametrize("layer", ["Conv1d", "Conv3d", "ConvTranspose2d"])
def test_initialisation(layer: str) -> None:
    """Uniform up to 1 / sqrt(fan_in), as PyTorch counts it."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    fe.manual_seed(0)
    mine = getattr(nn, layer)(24, 16, 3, groups=2)
    theirs = getattr(torch.nn, layer)(24, 16, 3, groups=2)
    for name in ("weight", "bias"):
        p = getattr(mine, name).detach().numpy()
        q = getattr(theirs, name).detach().numpy()
        assert p.shape == q.shape
        bound = 1 / np.sqrt(np.prod(theirs.weight.shape[1:]))
        assert np.abs(p).max() <= bound and np.abs(q).max() <= bound * (1 + 1e-6)
        if p.size > 100:
            assert np.abs(p).max() > 0.9 * bound
            np.testing.assert_allclose(p.std(), q.std(), rtol=0.15)


PADS = [
    ((2, 3, 7), (2, 3)),
    ((2, 3, 7), (-1, 3)),
    ((3, 7), (6, 0)),
    ((2, 3, 5, 7), (2, 3, 1, 4)),
    ((2, 3, 5, 7), (2, -3, -1, 0)),
    ((3, 4, 5, 6), (1, 2, 3, 0, 2, 1)),
    ((2, 3, 4, 5, 6), (1, 2, 3, 0, 2, 1)),
]


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("size", "pad"), PADS)
def test_pad_as_in_pytorch(mode: str, size, pad) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    a = array(*size)
    x, y = fe.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    options = {"value": 1.5} if mode == "constant" else {}
    out = F.pad(x, pad, mode=mode, **options)
    want = torch.nn.functional.pad(y, pad, mode=mode, **options)
    np.testing.assert_array_equal(out.detach().numpy(), want.detach().numpy())
    g = array(*out.shape, seed=3)
    out.backward(fe.tensor(g))
    want.backward(torch.tensor(g))
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "complex64"])
def test_pad_of_every_dtype(dtype: str) -> None:
    x = fe.tensor([[1, 0, 1]]).to(getattr(fe, dtype))
    for mode in ("constant", "reflect", "replicate", "circular"):
        y = F.pad(x, (2, 1), mode)
        assert y.dtype == x.dtype
        want = reference.padded(x.numpy(), (2, 1), mode)
        np.testing.assert_array_equal(y.numpy(), want)


def test_pad_makes_a_new_tensor() -> None:
    x = fe.tensor([1.0, 2.0, 3.0])
    for pad in ((0, 0), (), (-1, 0)):
        F.pad(x, pad).fill_(7.0)
    assert x.tolist() == [1.0, 2.0, 3.0]
