"""Convolution, pooling and padding in NumPy, for any number of dimensions.

Written for clarity, in float64, with the arguments of the ops: a number or one
number for each dimension; inputs are (N, C, ...) or (C, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Ints = int | Sequence[int]


def each(value: Ints, n: int) -> tuple[int, ...]:
    given = (value,) if isinstance(value, int) else tuple(value)
    return given * n if len(given) == 1 else given


def taps(kernel, out, stride, dilation):
    """(element of the kernel, what it sees in the padded input)."""
    for tap in np.ndindex(*kernel):
        yield (
            tap,
            tuple(
                slice(i * d, i * d + (m - 1) * s + 1, s)
                for i, d, m, s in zip(tap, dilation, out, stride, strict=True)
            ),
        )


def grouped(x: np.ndarray, groups: int, axis: int) -> np.ndarray:
    shape = list(x.shape)
    shape[axis : axis + 1] = [groups, shape[axis] // groups]
    return x.reshape(shape)


def convolve(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
    n = w.ndim - 2
    if x.ndim == n + 1:
        return convolve(x[None], w, bias, stride, padding, dilation, groups)[0]
    stride, padding, dilation = (each(v, n) for v in (stride, padding, dilation))
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    out = [
        (m - d * (k - 1) - 1) // s + 1
        for m, d, k, s in zip(x.shape[2:], dilation, w.shape[2:], stride, strict=True)
    ]
    xs, ws = grouped(x, groups, 1), grouped(w, groups, 0)
    y = np.zeros((len(x), groups, w.shape[0] // groups, *out))
    for tap, at in taps(w.shape[2:], out, stride, dilation):
        y += np.einsum("ngc...,goc->ngo...", xs[(..., *at)], ws[(..., *tap)])
    y = y.reshape(len(x), w.shape[0], *out)
    return y if bias is None else y + bias.reshape(-1, *[1] * n)


def convolve_transposed(
    x, w, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    n = w.ndim - 2
    rest = (stride, padding, output_padding, groups, dilation)
    if x.ndim == n + 1:
        return convolve_transposed(x[None], w, bias, *rest)[0]
    stride, padding, more, dilation = (
        each(v, n) for v in (stride, padding, output_padding, dilation)
    )
    whole = [
        (m - 1) * s + d * (k - 1) + 1 + a
        for m, s, d, k, a in zip(
            x.shape[2:], stride, dilation, w.shape[2:], more, strict=True
        )
    ]
    xs, ws = grouped(x, groups, 1), grouped(w, groups, 0)
    y = np.zeros((len(x), groups, w.shape[1], *whole))
    for tap, at in taps(w.shape[2:], x.shape[2:], stride, dilation):
        y[(..., *at)] += np.einsum("ngc...,gco->ngo...", xs, ws[(..., *tap)])
    y = y.reshape(len(x), groups * w.shape[1], *whole)
    inner = (slice(p, m - p) for p, m in zip(padding, whole, strict=True))
    y = y[(..., *inner)]
    return y if bias is None else y + bias.reshape(-1, *[1] * n)


def pool_ranges(size, kernel, stride, padding, dilation, ceil_mode):
    """The elements of every window of one dimension, padding not included, and
    how many elements it has with the padding."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = room // stride + 1
    if ceil_mode and room % stride and count * stride < size + padding:
        count += 1
    windows = []
    for o in range(count):
        at = [o * stride - padding + i * dilation for i in range(kernel)]
        inside = [i for i in at if 0 <= i < size]
        windows.append((inside, sum(i < size + padding for i in at)))
    return windows


def _windows(x, n, kernel, stride, padding, dilation, ceil_mode):
    kernel = each(kernel, n)
    stride = kernel if stride is None else each(stride, n)
    numbers = zip(
        x.shape[-n:], kernel, stride, each(padding, n), each(dilation, n), strict=True
    )
    return [pool_ranges(*numbers_k, ceil_mode) for numbers_k in numbers]


def max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, n=None):
    """Values and indices."""
    n = n or spatial(x)
    axes = _windows(x, n, kernel_size, stride, padding, dilation, ceil_mode)
    return _largest(x, n, [[inside for inside, _ in axis] for axis in axes])


def avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, n=None):
    n = n or spatial(x)
    axes = _windows(x, n, kernel_size, stride, padding, 1, ceil_mode)
    out = np.zeros((*x.shape[:-n], *map(len, axes)))
    for o in np.ndindex(*out.shape[-n:]):
        windows = [axis[i] for axis, i in zip(axes, o, strict=True)]
        inside = x[(..., *np.ix_(*(w[0] for w in windows)))]
        count = np.prod([w[1] if count_include_pad else len(w[0]) for w in windows])
        out[(..., *o)] = inside.sum(tuple(range(-n, 0))) / count
    return out


def adaptive_pool(x, output_size, function: Callable, n=None):
    """`function` is np.mean, or np.max: values and indices."""
    n = n or spatial(x)
    axes = [
        [list(range(o * m // k, -(-(o + 1) * m // k))) for o in range(k)]
        for m, k in zip(x.shape[-n:], each(output_size, n), strict=True)
    ]
    if function is np.max:
        return _largest(x, n, axes)
    out = np.zeros((*x.shape[:-n], *map(len, axes)))
    for o in np.ndindex(*out.shape[-n:]):
        at = np.ix_(*(axis[i] for axis, i in zip(axes, o, strict=True)))
        out[(..., *o)] = x[(..., *at)].mean(tuple(range(-n, 0)))
    return out


def _largest(x, n, axes):
    """The first of the largest values of every window, and its index; -infinity
    and -1 of a window that is empty."""
    out = np.full((*x.shape[:-n], *map(len, axes)), -np.inf)
    index = np.full(out.shape, -1)
    numbers = np.arange(int(np.prod(x.shape[-n:]))).reshape(x.shape[-n:])
    for o in np.ndindex(*out.shape[-n:]):
        at = np.ix_(*(axis[i] for axis, i in zip(axes, o, strict=True)))
        seen = x[(..., *at)]
        seen = seen.reshape(*x.shape[:-n], int(np.prod(seen.shape[-n:])))
        if seen.shape[-1]:
            best = seen.argmax(-1)
            out[(..., *o)] = seen.max(-1)
            index[(..., *o)] = numbers[at].reshape(-1)[best]
    return out, index


def spatial(x: np.ndarray) -> int:
    """Dimensions that pooling goes over, of the examples of definitions: those
    of one dimension have two or three, of three have four or five."""
    return {2: 1, 3: 1, 4: 3, 5: 3}[x.ndim]


def padded(x, pad, mode="constant", value=0):
    """Every element by its place in the input."""
    for k, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        axis = x.ndim - 1 - k
        if mode == "circular":  # what is left out takes no part
            kept = range(x.shape[axis])[max(-before, 0) : x.shape[axis] + min(after, 0)]
            x, before, after = x.take(kept, axis), max(before, 0), max(after, 0)
        n = x.shape[axis]
        at = np.arange(-before, n + after)
        inside = (at >= 0) & (at < n)
        if mode == "reflect":
            at = np.where(at < 0, -at, np.where(at >= n, 2 * (n - 1) - at, at))
        elif mode == "replicate":
            at = np.clip(at, 0, n - 1)
        elif mode == "circular":
            at = at % n
        if mode == "constant":
            shape = [1] * x.ndim
            shape[axis] = -1
            if n == 0:
                x = np.full([*x.shape[:axis], len(at), *x.shape[axis + 1 :]], value)
                continue
            kept = x.take(np.clip(at, 0, n - 1), axis)
            x = np.where(inside.reshape(shape), kept, value)
        else:
            x = x.take(at, axis)
    return x
