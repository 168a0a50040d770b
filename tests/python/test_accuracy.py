"""Errors against float64: no larger than those of a careful sum, nor PyTorch's.

An error is the root of the mean square, in units of 2^-24 of the result's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import ferrule as fe
from ferrule.nn import functional as F

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]


class Work(NamedTuple):
    """A function of (library, functional, *tensors), and its arguments' shapes.

    `most`: what the error may be; `against_torch`: how many times PyTorch's.
    """

    name: str
    call: Callable[..., Any]
    shapes: list[tuple[int, ...]]
    most: float
    against_torch: float = 1.1


WORKS = [
    Work("matmul", lambda m, f, a, b: a @ b, [(256, 1000), (1000, 256)], 4.5),
    Work("few rows", lambda m, f, a, b: a @ b, [(8, 2000), (2000, 512)], 4.5),
    Work("linear", lambda m, f, a, b: f.linear(a, b), [(64, 2000), (512, 2000)], 4.5),
    Work("one row", lambda m, f, a, b: f.linear(a, b), [(1, 2000), (512, 2000)], 4.5),
    # The transforms of Winograd's algorithm add to the error.
    Work(
        "conv 3x3",
        lambda m, f, a, b: f.conv2d(a, b, padding=1),
        [(2, 256, 14, 14), (64, 256, 3, 3)],
        5.5,
        against_torch=1.35,
    ),
    Work(
        "conv 3x3, stride 2",
        lambda m, f, a, b: f.conv2d(a, b, padding=1, stride=2),
        [(2, 64, 28, 28), (64, 64, 3, 3)],
        4.0,
    ),
    Work(
        "conv 1x1",
        lambda m, f, a, b: f.conv2d(a, b),
        [(2, 256, 7, 7), (64, 256, 1, 1)],
        4.0,
    ),
    Work(
        "depthwise",
        lambda m, f, a, b: f.conv2d(a, b, padding=1, groups=64),
        [(2, 64, 28, 28), (64, 1, 3, 3)],
        1.5,
    ),
    Work(
        "attention",
        lambda m, f, q, k, v: f.scaled_dot_product_attention(q, k, v, is_causal=True),
        [(2, 4, 128, 32)] * 3,
        4.0,
    ),
    Work("softmax", lambda m, f, x: f.softmax(3 * x, -1), [(1000, 1000)], 4.0),
    Work("log_softmax", lambda m, f, x: f.log_softmax(3 * x, -1), [(1000, 1000)], 1.0),
    Work(
        "layer norm",
        lambda m, f, x, w, b: f.layer_norm(x, (1000,), w, b),
        [(1000, 1000), (1000,), (1000,)],
        1.2,
    ),
    # 32 sums of 31 numbers, which is the same for every instruction set.
    Work("sum", lambda m, f, x: x.sum(-1), [(1000, 1000)], 2.5, against_torch=1.2),
    Work("norm", lambda m, f, x: (x * x).sum(-1).sqrt(), [(1000, 1000)], 1.5),
    Work("logsumexp", lambda m, f, x: m.logsumexp(x, -1), [(1000, 1000)], 1.0),
]


def arrays(work: Work) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(np.float32) for shape in work.shapes]


def results(library: Any, functional: Any, work: Work, tensors: list[Any]) -> list:
    """The result, and the gradients of all arguments for a gradient of its."""
    for t in tensors:
        t.requires_grad_(True)
    y = work.call(library, functional, *tensors)
    grad = np.random.default_rng(1).standard_normal(tuple(y.shape))
    grad = tensor_of(library, grad.astype(np.float32)).to(y.dtype)
    y.backward(grad)
    found = [y.detach(), *(t.grad for t in tensors)]
    return [np.asarray(t.numpy(), np.float64) for t in found]


def tensor_of(library: Any, array: np.ndarray) -> Any:
    return fe.tensor(array) if library is fe else torch.from_numpy(np.array(array))


def errors(got: list[np.ndarray], expected: list[np.ndarray]) -> list[float]:
    def size(x: np.ndarray) -> float:
        return float(np.sqrt(np.mean(x * x)))

    return [
        size(g - e) / (size(e) * 2**-24) for g, e in zip(got, expected, strict=True)
    ]


@pytest.mark.parametrize("work", WORKS, ids=[work.name for work in WORKS])
def test_error(work: Work) -> None:
    exact = results(fe, F, work, [fe.tensor(a).double() for a in arrays(work)])
    own = errors(
        results(fe, F, work, [fe.tensor(a) for a in arrays(work)]),
        exact,
    )
    assert own[0] <= work.most
    if torch is not None:
        tensors = [torch.from_numpy(a) for a in arrays(work)]
        theirs = errors(
            results(torch, torch.nn.functional, work, tensors),
            exact,
        )
        for mine, other in zip(own, theirs, strict=True):
            assert mine <= work.against_torch * max(other, 0.5)
