"""Paddings, cells and pooling layers against PyTorch: values, gradients, state keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ferrule as fe

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

SIZES = {1: (2, 3, 7), 2: (2, 3, 6, 7), 3: (2, 3, 5, 6, 7)}
PADDINGS = ["Circular", "Constant", "Reflection", "Replication", "Zero"]


def check(make: Callable[[Any], Any], *shapes: tuple[int, ...]) -> None:
    """The layer `make(nn)` with the same parameters in both, on the same inputs."""
    theirs, ours = make(torch.nn).double(), make(fe.nn).to(fe.float64)
    # Chosen windows, which are for tests, are a buffer in PyTorch.
    state = {k: v for k, v in theirs.state_dict().items() if k != "_random_samples"}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({k: fe.tensor(v.numpy()) for k, v in state.items()})
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    xs = [fe.tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    got, expected = ours(*xs), theirs(*ts)
    if isinstance(got, tuple):
        got, expected = fe.cat(list(got)), torch.cat(list(expected))
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), 1e-12)
    (got * got).sum().backward()
    (expected * expected).sum().backward()
    pairs = [*zip(xs, ts, strict=True)]
    pairs += zip(ours.parameters(), theirs.parameters(), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-10, 1e-12)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", PADDINGS)
def test_paddings(kind: str, n: int) -> None:
    extra = (0.5,) if kind == "Constant" else ()
    for width in (2, tuple(range(1, 3)) * n):
        check(lambda nn, w=width: getattr(nn, f"{kind}Pad{n}d")(w, *extra), SIZES[n])


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("bias", [True, False])
def test_cells(kind: str, bias: bool) -> None:
    check(lambda nn: getattr(nn, kind)(4, 3, bias=bias), (5, 4))


def test_power_average_of_volumes() -> None:
    check(lambda nn: nn.LPPool3d(3, 2, ceil_mode=False), SIZES[3])


@pytest.mark.parametrize("n", SIZES)
def test_unpooling(n: int) -> None:
    def pair(nn: Any) -> Any:
        class Pair(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.pool = getattr(nn, f"MaxPool{n}d")(2, return_indices=True)
                self.unpool = getattr(nn, f"MaxUnpool{n}d")(2)

            def forward(self, x: Any) -> Any:
                return self.unpool(*self.pool(x), output_size=x.shape)

        return Pair()

    check(pair, SIZES[n])


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_pooling(n: int) -> None:
    samples = np.random.default_rng(1).random((2, 3, n))

    def layer(nn: Any) -> Any:
        kind = getattr(nn, f"FractionalMaxPool{n}d")
        tensor = torch.tensor if nn is torch.nn else fe.tensor
        return kind(2, output_size=3, _random_samples=tensor(samples))

    check(layer, SIZES[n])
