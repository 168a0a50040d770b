"""Resizing, sampling and taking images to pieces in NumPy, for the references of
ops. Written for clarity, in float64.
"""

from __future__ import annotations

import numpy as np

from image_references import each


def cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' kernel."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def resized(x, dim, size, mode, align_corners, scale, antialias):
    """A matrix of weights, (size, n), times the dimension."""
    n = x.shape[dim]
    at = np.arange(size)
    step = 1 / scale if scale else n / size
    if align_corners:
        step = (n - 1) / (size - 1) if size > 1 else 0.0
    here = at * step if align_corners else (at + 0.5) * step - 0.5
    places = np.arange(n)
    if mode == "nearest":
        weights = np.floor(at * step).clip(0, n - 1)[:, None] == places
    elif mode == "nearest-exact":
        weights = np.floor((at + 0.5) * step).clip(0, n - 1)[:, None] == places
    elif antialias:
        wide = max(step, 1.0)
        distance = (places + 0.5 - ((at + 0.5) * step)[:, None]) / wide
        if mode == "linear":
            weights = (1 - np.abs(distance)).clip(0)
        else:
            weights = cubic(distance, -0.5)
        weights = weights / weights.sum(1, keepdims=True)
    else:
        reach = 2 if mode == "linear" else 4
        first = np.floor(here if mode == "cubic" else here.clip(0))
        weights = np.zeros((size, n))
        for k in range(reach):
            tap = first + k - (reach // 2 - 1)
            distance = tap - (here if mode == "cubic" else here.clip(0, n - 1))
            share = cubic(distance, -0.75) if reach == 4 else 1 - np.abs(distance)
            share = share.clip(0) if reach == 2 else share
            np.add.at(weights, (at, tap.clip(0, n - 1).astype(int)), share)
    moved = np.moveaxis(x, dim, -1) @ np.asarray(weights, float).T
    return np.moveaxis(moved, -1, dim)


def patch_numbers(size, kernel, dilation, padding, stride):
    """(kh * kw, L): the number of the pixel of the padded image."""
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    numbers = np.arange(padded[0] * padded[1]).reshape(padded)
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    seen = np.lib.stride_tricks.sliding_window_view(numbers, extent)
    seen = seen[:: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return seen.reshape(-1, kernel[0] * kernel[1]).T


def columns(x, kernel, dilation, padding, stride):
    sides = [(0, 0)] * (x.ndim - 2) + [(p, p) for p in padding]
    padded = np.pad(x, sides)
    flat = padded.reshape(*x.shape[:-2], padded.shape[-2] * padded.shape[-1])
    seen = flat[..., patch_numbers(x.shape[-2:], kernel, dilation, padding, stride)]
    rows = x.shape[-3] * kernel[0] * kernel[1]
    return seen.reshape(*x.shape[:-3], rows, seen.shape[-1])


def folded(x, output_size, kernel, dilation, padding, stride):
    size = each(output_size, 2)
    numbers = patch_numbers(size, kernel, dilation, padding, stride)
    terms = x.reshape(*x.shape[:-2], -1, *numbers.shape)
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    result = np.zeros((*terms.shape[:-2], padded[0] * padded[1]))
    for k, line in enumerate(numbers):
        np.add.at(result, (..., line), terms[..., k, :])
    result = result.reshape(*terms.shape[:-2], *padded)
    (top, left), (h, w) = padding, size
    return result[..., top : top + h, left : left + w]


def unpooled(x, indices, n, kernel, stride, padding, output_size):
    kernel = each(kernel, n)
    stride = kernel if stride is None else each(stride, n)
    padding = each(padding, n)
    size = [
        (m - 1) * s + k - 2 * p
        for m, s, k, p in zip(x.shape[-n:], stride, kernel, padding, strict=True)
    ]
    if output_size is not None:
        size = list(each(output_size, n))[-n:]
    front = x.shape[:-n]
    result = np.zeros((*front, int(np.prod(size))))
    np.put_along_axis(
        result, np.asarray(indices).reshape(*front, -1), x.reshape(*front, -1), -1
    )
    return result.reshape(*front, *size)


def reflected(x, low, high):
    if low == high:
        return np.zeros_like(x)
    span = high - low
    turns, rest = np.divmod(np.abs(x - low), span)
    return np.where(turns % 2 == 0, rest, span - rest) + low


def sampled(x, grid, mode, padding_mode, align_corners):
    n = grid.shape[-1]
    sizes = x.shape[2:]
    batch = np.arange(len(x)).reshape(-1, *[1] * n)

    def placed(at, m):
        if padding_mode == "reflection":
            edges = (0, m - 1) if align_corners else (-0.5, m - 0.5)
            at = reflected(at, *edges)
        return at if padding_mode == "zeros" else at.clip(0, m - 1)

    taps = []  # for each dimension, pairs of places and weights
    for k, m in enumerate(sizes):
        u = grid[..., n - 1 - k]
        at = (u + 1) / 2 * (m - 1) if align_corners else ((u + 1) * m - 1) / 2
        if mode == "bicubic":
            low = np.floor(at)
            taps.append(
                [
                    (placed(low + i, m), cubic(at - low - i, -0.75))
                    for i in (-1, 0, 1, 2)
                ]
            )
            continue
        at = placed(at, m)
        if mode == "nearest":
            taps.append([(np.round(at), np.ones_like(at))])
        else:
            low = np.floor(at)
            taps.append([(low, 1 - (at - low)), (low + 1, at - low)])
    result = 0.0
    for choice in np.ndindex(*[len(t) for t in taps]):
        weight, index = 1.0, []
        for k, i in enumerate(choice):
            at, share = taps[k][i]
            weight = weight * share * ((at >= 0) & (at <= sizes[k] - 1))
            index.append(at.clip(0, sizes[k] - 1).astype(int))
        values = x[(batch, slice(None), *index)]  # (N, *places, C)
        result = result + np.moveaxis(values * weight[..., None], -1, 1)
    return result


def affine_places(theta, size, align_corners):
    lines = []
    for m in size[2:]:
        if align_corners:
            lines.append(np.linspace(-1, 1, m) if m > 1 else np.zeros(1))
        else:
            lines.append((2 * np.arange(m) + 1) / m - 1)
    grid = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1]], -1)
    ones = np.ones((*grid.shape[:-1], 1))
    places = np.concatenate([grid, ones], -1)
    return np.einsum("...j,nij->n...i", places, theta)
