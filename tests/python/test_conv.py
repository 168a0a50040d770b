"""Convolutions of sizes that reach every path of the kernels.

The automatic tests take small shapes; here are several tiles of rows, blocks of
the depth and of positions, many images and few, every phase of a stride.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import ferrule as fe


class Conv(NamedTuple):
    """A convolution of `batch` images of `size`."""

    batch: int
    channels: int
    out: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def arguments(self) -> tuple[tuple[int, int], ...]:
        return self.stride, self.padding, self.dilation


CASES = {
    "pointwise in place": Conv(2, 20, 33, (9, 11), (1, 1)),
    "pointwise, few positions": Conv(3, 40, 31, (3, 5), (1, 1)),
    "pointwise, strided": Conv(2, 24, 40, (11, 10), (1, 1), (2, 3)),
    # Positions beyond whole vectors: none, few (apart, if the depth is worth it),
    # and more. An image of fewer than 48 is copied.
    "47 positions": Conv(2, 64, 20, (1, 47), (1, 1)),
    "48 positions": Conv(2, 64, 20, (6, 8), (1, 1)),
    "49 positions": Conv(2, 64, 20, (7, 7), (1, 1)),
    "49 positions, not deep": Conv(2, 63, 20, (7, 7), (1, 1)),
    "52 positions": Conv(1, 65, 37, (4, 13), (1, 1)),
    "53 positions": Conv(1, 65, 37, (1, 53), (1, 1)),
    "16 positions": Conv(2, 70, 15, (4, 4), (1, 1)),
    "17 positions": Conv(2, 70, 15, (1, 17), (1, 1)),
    "one row, 49 positions": Conv(2, 70, 1, (7, 7), (1, 1)),
    "one row, 66 positions": Conv(1, 70, 1, (6, 11), (1, 1)),
    "rests of groups and many images": Conv(9, 128, 30, (7, 7), (1, 1), groups=2),
    "rests of several blocks": Conv(1, 64, 60, (46, 46), (1, 1)),
    # Positions without gaps: worth a copy if there are many rows for it.
    "compact": Conv(2, 16, 70, (13, 13), (3, 3), (2, 2), (1, 1)),
    "compact, groups": Conv(2, 24, 96, (14, 14), (3, 3), (2, 2), (1, 1), groups=2),
    "compact, many images": Conv(17, 9, 64, (5, 7), (3, 3), padding=(1, 1)),
    "compact, wide": Conv(1, 11, 200, (4, 20), (3, 3), padding=(1, 1)),
    "strided, few rows": Conv(2, 16, 10, (13, 13), (3, 3), (2, 2), (1, 1)),
    # Rows of whole vectors.
    "by rows": Conv(1, 5, 30, (40, 32), (3, 3), (2, 2), (1, 1)),
    "by rows, several blocks": Conv(2, 3, 40, (96, 96), (5, 5), (2, 2), (2, 2)),
    # Large images of few channels, in bands of rows; the last is shorter.
    "bands": Conv(2, 6, 10, (131, 150), (3, 3), (2, 1), (1, 1), groups=2),
    "bands by rows": Conv(1, 3, 20, (180, 96), (7, 7), (2, 2), (3, 3)),
    "large, without gaps": Conv(1, 2, 5, (260, 150), (5, 1), padding=(2, 0)),
    "bands, dilated": Conv(1, 2, 5, (190, 270), (3, 5), (1, 2), (0, 2), (2, 1)),
    "by rows, one": Conv(2, 3, 16, (9, 48), (9, 3), padding=(0, 1)),
    "several blocks of depth": Conv(1, 70, 30, (7, 9), (3, 3), padding=(1, 1)),
    "several blocks of positions": Conv(1, 5, 17, (34, 41), (3, 3), padding=(1, 1)),
    "many images": Conv(18, 6, 16, (9, 8), (5, 5)),
    "even kernel": Conv(2, 7, 29, (12, 13), (2, 4), padding=(1, 2)),
    "stride 2": Conv(2, 19, 30, (15, 18), (3, 3), (2, 2), (1, 1)),
    "strides 3 and 2": Conv(2, 5, 16, (20, 19), (5, 2), (3, 2), (2, 0)),
    "stride above the kernel": Conv(2, 3, 18, (17, 16), (2, 2), (5, 4)),
    "dilation": Conv(2, 8, 15, (16, 15), (3, 3), (1, 2), (2, 3), (2, 3)),
    "dilation and stride share a factor": Conv(
        1, 4, 9, (19, 20), (3, 3), (4, 2), (1, 2), (2, 4)
    ),
    "groups": Conv(2, 12, 21, (8, 9), (3, 3), padding=(1, 1), groups=3),
    "depthwise": Conv(1, 33, 33, (13, 21), (3, 3), padding=(1, 1), groups=33),
    "depthwise, wide": Conv(1, 3, 3, (5, 300), (3, 3), padding=(1, 1), groups=3),
    "depthwise, strided": Conv(2, 9, 9, (14, 13), (5, 3), (2, 2), (2, 1), groups=9),
    "depthwise, multiplied": Conv(2, 4, 12, (9, 9), (3, 3), padding=(1, 1), groups=4),
    "depthwise 5x5": Conv(2, 5, 5, (21, 40), (5, 5), padding=(2, 1), groups=5),
    "depthwise 5x5, strided": Conv(
        1, 6, 12, (22, 37), (5, 5), (2, 2), (1, 4), groups=6
    ),
    "depthwise 3x3, strided": Conv(2, 7, 7, (15, 70), (3, 3), (2, 2), (1, 1), groups=7),
    "depthwise 3x3, strided, even": Conv(
        2, 7, 7, (16, 36), (3, 3), (2, 2), (0, 2), groups=7
    ),
    "depthwise 3x3, no padding": Conv(3, 4, 8, (6, 35), (3, 3), groups=4),
    "depthwise, narrow": Conv(1, 8, 8, (5, 1), (3, 3), padding=(1, 1), groups=8),
    "depthwise 4x4": Conv(1, 8, 8, (9, 10), (4, 4), padding=(1, 2), groups=8),
    "padding beyond the kernel": Conv(1, 2, 3, (4, 5), (2, 2), padding=(3, 4)),
    "vast dilation": Conv(
        2, 4, 6, (5, 7), (3, 3), padding=(50_000,) * 2, dilation=(50_000,) * 2, groups=2
    ),
    "vast stride": Conv(
        1, 3, 4, (6, 5), (2, 3), (90_000,) * 2, (60_000,) * 2, (70_000, 50_000)
    ),
    "columns": Conv(1, 9, 130, (8, 7), (3, 3), padding=(1, 1)),
    "columns, pointwise": Conv(2, 40, 150, (7, 7), (1, 1)),
    "columns, pointwise, strided": Conv(2, 40, 150, (27, 29), (1, 1), (2, 2)),
    "columns, strided": Conv(2, 40, 129, (14, 13), (3, 3), (2, 2), (1, 1)),
    "columns, strided, wide": Conv(1, 3, 128, (7, 77), (3, 5), (2, 2), (0, 3)),
    "columns, dilated": Conv(1, 5, 128, (15, 19), (3, 4), (1, 1), (2, 3), (2, 3)),
    "columns, dilated, strided": Conv(
        1, 5, 128, (15, 17), (3, 3), (2, 2), (2, 3), (1, 2)
    ),
    "columns, dilated, strided, odd": Conv(
        1, 5, 128, (16, 19), (3, 3), (2, 2), (3, 2), (2, 3)
    ),
    "columns, kernel below the stride": Conv(
        1, 6, 128, (9, 12), (1, 2), (2, 2), (1, 0)
    ),
    "columns, groups": Conv(2, 6, 260, (9, 9), (3, 3), (2, 2), (1, 1), groups=2),
    "columns, many images": Conv(17, 6, 128, (12, 11), (3, 2), (2, 2), (1, 0)),
    "columns, many images, blocks": Conv(16, 12, 128, (32, 32), (5, 5), padding=(2, 2)),
    "winograd": Conv(4, 17, 30, (15, 21), (3, 3), padding=(1, 1)),
    "winograd, uneven": Conv(9, 32, 18, (7, 9), (3, 3), padding=(0, 2)),
    "winograd, both gradients": Conv(3, 65, 67, (15, 21), (3, 3), padding=(1, 1)),
    "winograd, both gradients, uneven": Conv(
        2, 144, 130, (11, 12), (3, 3), padding=(0, 2), groups=2
    ),
    "winograd, images in turn": Conv(5, 64, 64, (38, 36), (3, 3), padding=(1, 1)),
    "winograd, groups": Conv(3, 32, 48, (12, 14), (3, 3), padding=(1, 1), groups=2),
}


def taps(c: Conv, out: tuple[int, int]):
    """(element of the kernel, positions of the result, what they find there)."""

    def meet(k: int, d: int) -> tuple[slice, slice]:
        stride, padding, size = c.stride[d], c.padding[d], c.size[d]
        shift = k * c.dilation[d] - padding
        found = [o for o in range(out[d]) if 0 <= o * stride + shift < size]
        if not found:
            return slice(0, 0), slice(0, 0)
        first, last = found[0], found[-1]
        at = slice(first * stride + shift, last * stride + shift + 1, stride)
        return slice(first, last + 1), at

    for i in range(c.kernel[0]):
        for j in range(c.kernel[1]):
            (r, h), (q, w) = meet(i, 0), meet(j, 1)
            yield (i, j), (..., r, q), (..., h, w)


def by_group(x: np.ndarray, c: Conv, axis: int) -> np.ndarray:
    shape = list(x.shape)
    shape[axis : axis + 1] = [c.groups, shape[axis] // c.groups]
    return x.reshape(shape)


def reference(c: Conv, x, w, bias, g):
    """The result and the gradients of input and weight."""
    xs, gs, ws = by_group(x, c, 1), by_group(g, c, 1), by_group(w, c, 0)
    # What each element of the kernel finds, as rows beside those of the result.
    found = np.zeros((*xs.shape[:3], *c.kernel, *g.shape[2:]))
    for (i, j), to, at in taps(c, g.shape[2:]):
        found[:, :, :, i, j][to] = xs[at]
    rows = found.reshape(c.batch, c.groups, -1, g[0, 0].size)
    g_rows = gs.reshape(*gs.shape[:3], -1)
    matrix = ws.reshape(*ws.shape[:2], -1)
    y = (matrix @ rows).reshape(g.shape) + bias[:, None, None]
    dw = (g_rows @ rows.swapaxes(2, 3)).sum(0).reshape(w.shape)
    spread = (matrix.swapaxes(1, 2) @ g_rows).reshape(found.shape)
    dx = np.zeros_like(xs)
    for (i, j), to, at in taps(c, g.shape[2:]):
        dx[at] += spread[:, :, :, i, j][to]
    return y, dx.reshape(x.shape), dw


def draw(c: Conv, dtype: str):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((c.batch, c.channels, *c.size))
    w = rng.standard_normal((c.out, c.channels // c.groups, *c.kernel))
    bias = rng.standard_normal(c.out)
    extent = [d * (k - 1) + 1 for d, k in zip(c.dilation, c.kernel, strict=True)]
    out = [
        (n + 2 * p - e) // s + 1
        for n, p, e, s in zip(c.size, c.padding, extent, c.stride, strict=True)
    ]
    g = rng.standard_normal((c.batch, c.out, *out))
    return [a.astype(dtype) for a in (x, w, bias, g)]


def compute(c: Conv, x, w, bias, g):
    x, w, bias, g = (fe.tensor(a) for a in (x, w, bias, g))
    more = (*c.arguments(), c.groups)
    return [
        fe.nn.functional.conv2d(x, w, bias, *more).numpy(),
        fe.ops.conv2d_dx(g, w, x.shape, *more).numpy(),
        fe.ops.conv2d_dw(g, x, w.shape, *more).numpy(),
    ]


def check(c: Conv, dtype: str) -> None:
    """Result and gradients against NumPy's in float64."""
    given = draw(c, dtype)
    exact = reference(c, *(a.astype("float64") for a in given))
    sizes = reference(c, *(np.abs(a).astype("float64") for a in given))
    results = compute(c, *given)
    # Each element is a sum of products; rounding grows with their magnitudes.
    epsilon = np.finfo(dtype).eps
    for result, want, size in zip(results, exact, sizes, strict=True):
        assert result.dtype == dtype and result.shape == want.shape
        assert np.all(np.abs(result - want) <= 16 * epsilon * size + 1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_against_numpy(name: str, dtype: str) -> None:
    check(CASES[name], dtype)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_of_every_size(kernel: int, stride: int) -> None:
    """Results that fill rows at a time and vectors, with one less and one more."""
    sizes = [(h, w) for h in (1, 2, 3, 6, 7, 8, 10, 15) for w in (7, 16)]
    sizes += [(h, w) for h in (3, 7) for w in (1, 4, 15, 17, 31, 32, 33, 48, 49)]
    for h, w in sizes:
        for pad in ((0, 0), (kernel - 1, 1), (1, kernel - 1), (kernel // 2,) * 2):
            # So many results; the image may have a column more than they need.
            image = [
                (n - 1) * stride + kernel - 2 * p + n % stride
                for n, p in zip((h, w), pad, strict=True)
            ]
            if min(image) < 1:
                continue
            c = Conv(1, 3, 3, tuple(image), (kernel,) * 2, (stride,) * 2, pad, groups=3)
            check(c, "float32")


@pytest.mark.parametrize("name", CASES)
def test_same_bits_for_any_number_of_threads(name: str) -> None:
    c = CASES[name]
    given = draw(c, "float32")
    threads = fe.get_num_threads()
    try:
        results = []
        for n in (1, 2, 3, 4, 8):
            fe.set_num_threads(n)
            results.append([r.tobytes() for r in compute(c, *given)])
    finally:
        fe.set_num_threads(threads)
    assert all(r == results[0] for r in results)


@pytest.mark.parametrize("size", [(1, 127), (8, 16), (3, 43), (16, 16), (1, 257)])
@pytest.mark.parametrize("kernel", [1, 5])
def test_columns_of_every_number_of_positions(kernel: int, size: tuple) -> None:
    """What is transposed and what is folded depends on how many there are."""
    check(Conv(1, 17, 128, size, (kernel,) * 2, padding=(kernel // 2,) * 2), "float32")


def test_infinity_touches_only_what_reads_it() -> None:
    x = np.ones((1, 16, 6, 20), "float32")
    x[0, 3, 2, 19] = np.inf
    for groups, out in ((1, 16), (1, 130), (16, 16)):
        dw = fe.ops.conv2d_dw(
            fe.ones((1, out, 6, 20)),
            fe.tensor(x),
            (out, 16 // groups, 3, 3),
            1,
            1,
            1,
            groups,
        ).numpy()
        # The last column is not under the kernel's left element of any window.
        reads = np.isinf(dw) | np.isnan(dw)
        want = np.zeros_like(reads)
        want[slice(None) if groups == 1 else 3, 3 if groups == 1 else 0] = True
        want[..., :, 0] = False
        assert np.array_equal(reads, want)


def test_infinity_that_no_window_of_a_stride_reads() -> None:
    """Columns are taken in pairs; the last belongs to no window here."""
    x = np.ones((1, 4, 9, 22), "float32")
    x[..., 21] = np.inf
    given = fe.tensor(x), fe.ones((4, 1, 3, 3))
    y = fe.nn.functional.conv2d(*given, None, 2, 0, 1, 4)
    dw = fe.ops.conv2d_dw(fe.ones(y.shape), given[0], (4, 1, 3, 3), 2, 0, 1, 4)
    assert np.all(y.numpy() == 9) and np.all(dw.numpy() == 40)


def test_patches_of_a_large_stride() -> None:
    """As a vision transformer cuts its image: no window overlaps another."""
    c = Conv(1, 3, 20, (64, 64), (16, 16), (16, 16))
    given = draw(c, "float32")
    for result, want in zip(compute(c, *given), reference(c, *given), strict=True):
        np.testing.assert_allclose(result, want, rtol=0, atol=2e-4)


def root_mean_square(x: np.ndarray) -> float:
    return np.sqrt(np.mean(x**2))


@pytest.mark.parametrize("channels", [16, 64])
def test_fewer_multiplications_do_not_err_more(channels: int) -> None:
    """Winograd's way, against the direct sum in float32, term by term."""
    c = Conv(1, channels, 16, (28, 28), (3, 3), padding=(1, 1))
    x, w, bias, g = draw(c, "float32")
    exact = reference(c, *(a.astype("float64") for a in (x, w, bias, g)))[0]
    direct = np.zeros_like(g) + bias[:, None, None]
    for (i, j), to, at in taps(c, g.shape[2:]):
        for k in range(channels):
            direct[to] += w[:, k, i, j][:, None, None] * x[:, k : k + 1][at]
    result = compute(c, x, w, bias, g)[0]
    assert root_mean_square(result - exact) <= root_mean_square(direct - exact)


@pytest.mark.parametrize("size", [14, 28, 56])
def test_fewer_multiplications_for_the_weight_do_not_err_more(size: int) -> None:
    c = Conv(1, 64, 64, (size, size), (3, 3), padding=(1, 1))
    x, w, bias, g = draw(c, "float32")
    exact = reference(c, *(a.astype("float64") for a in (x, w, bias, g)))[2]
    direct = np.zeros_like(w)
    for (i, j), to, at in taps(c, g.shape[2:]):
        terms = np.stack([x[0][at].reshape(64, -1), g[0][to].reshape(64, -1)])
        for a, b in terms.transpose(2, 0, 1):
            direct[..., i, j] += np.outer(b, a)
    result = compute(c, x, w, bias, g)[2]
    assert root_mean_square(result - exact) <= root_mean_square(direct - exact)
