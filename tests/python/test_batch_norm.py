"""Batch normalisation of shapes that reach every way of its kernels: runs shorter
and longer than vectors and blocks, few and many channels, dense and strided.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import ferrule as fe
from ferrule.nn import functional as F

SHAPES = [
    (7, 5),  # no runs
    (3, 4, 1),
    (3, 4, 15),  # too short for runs
    (3, 4, 16),
    (2, 3, 17),
    (1, 2, 31),
    (5, 70, 7, 7),  # several channels at a time
    (2, 65, 33),
    (3, 2, 32, 32),
    (2, 3, 2047),
    (2, 1, 2048),
    (2, 3, 2049),
    (1, 2, 5, 1009),
    (200, 3, 16),
    (0, 3, 16),
    (2, 0, 16),
]
TOLERANCE = {"float32": 2e-6, "float64": 1e-14, "bfloat16": 1e-2}


def arrays(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Input, gradient, running mean and variance, weight and bias."""
    key = np.random.default_rng(0)
    x = key.normal(3, 2, shape)
    rest = [key.normal(size=shape[1]) for _ in range(4)]
    rest[1] = abs(rest[1]) + 0.5
    return [x, key.normal(size=shape), *rest]


def reference(x, grad, mean, var, weight, bias, *, training: bool):
    """The result, the gradients of input, weight and bias, the statistics."""
    axes = (0, *range(2, x.ndim))
    if training:
        mean, var = x.mean(axes), x.var(axes)

    def spread(a):
        return a.reshape(-1, *[1] * (x.ndim - 2))

    rstd = 1 / np.sqrt(var + 1e-5)
    normal = (x - spread(mean)) * spread(rstd)
    bias_grad, weight_grad = grad.sum(axes), (grad * normal).sum(axes)
    dx = grad
    if training:
        n = x.size // x.shape[1]
        dx = grad - spread(bias_grad) / n - normal * spread(weight_grad) / n
    dx = dx * spread(rstd * weight)
    y = normal * spread(weight) + spread(bias)
    return [y, dx, weight_grad, bias_grad, mean, var]


def results(data: list[np.ndarray], dtype: str, *, training: bool, strided=False):
    """The same of Ferrule, and the running statistics of momentum 1."""
    x, grad, mean, var, weight, bias = (
        fe.tensor(a).to(getattr(fe, dtype)) for a in data
    )
    if strided:  # batch and channels exchanged in memory
        x, grad = (t.transpose(0, 1).contiguous().transpose(0, 1) for t in (x, grad))
    for t in (x, weight, bias):
        t.requires_grad_(True)
    y = F.batch_norm(x, mean, var, weight, bias, training, 1.0)
    y.backward(grad)
    tensors = [y.detach(), x.grad, weight.grad, bias.grad, mean, var]
    return [t.double().numpy() for t in tensors]


# Without elements there are no statistics to take.
CASES = [(shape, False) for shape in SHAPES] + [
    (shape, True) for shape in SHAPES if 0 not in shape
]


@pytest.mark.parametrize("strided", [False, True], ids=["dense", "strided"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("shape", "training"), CASES, ids=str)
def test_against_numpy(
    shape: tuple[int, ...], training: bool, dtype: str, strided: bool
) -> None:
    data = arrays(shape)
    got = results(data, dtype, training=training, strided=strided)
    data = [fe.tensor(a).to(getattr(fe, dtype)).double().numpy() for a in data]
    want = reference(*data, training=training)
    if training:
        count = data[0].size // shape[1]
        want[5] = want[5] * (count / (count - 1))
    for a, b in zip(got, want, strict=True):
        scale = max(1.0, float(abs(b).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=scale * TOLERANCE[dtype])


def test_same_bits_for_any_number_of_threads() -> None:
    threads = fe.get_num_threads()
    try:
        for shape in (5, 70, 7, 7), (40, 3, 2049), (3, 40, 1024):
            for training, dtype in product((True, False), ("float32", "bfloat16")):
                data = arrays(shape)
                bits = set()
                for count in (1, 2, 3, 4, 8):
                    fe.set_num_threads(count)
                    got = results(data, dtype, training=training)
                    bits.add(b"".join(a.tobytes() for a in got))
                assert len(bits) == 1
    finally:
        fe.set_num_threads(threads)


def test_error_is_that_of_rounding_where_the_mean_is_large() -> None:
    """The variance is that of centred values: no digits are cancelled."""
    x = np.random.default_rng(0).normal(1e4, 1, (8, 3, 40, 40)).astype(np.float32)
    var = fe.zeros(3)
    F.batch_norm(fe.tensor(x), fe.zeros(3), var, training=True, momentum=1.0)
    want = x.astype(np.float64).var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(var.numpy(), want, rtol=1e-6)
