"""Layers of images agree with PyTorch: values, gradients, representations.

A case is data: a function of the package (`fe` or `torch`) and its input.
"""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def check(call, *arrays: np.ndarray, second: bool = True, tol: float = 1e-9) -> None:
    """The values and the derivatives of both orders, in float64."""
    mine = [fe.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, want = call(fe, *mine), call(torch, *theirs)
    assert out.shape == tuple(want.shape)
    np.testing.assert_allclose(
        out.detach().numpy(), want.detach().numpy(), rtol=tol, atol=tol
    )
    weight = array(*want.shape, seed=1)
    grads = fe.autograd.grad(
        (out * fe.tensor(weight)).sum(), mine, create_graph=True, allow_unused=True
    )
    wanted = torch.autograd.grad(
        (want * torch.tensor(weight)).sum(), theirs, create_graph=True
    )
    same(grads, wanted, tol)
    if not second or not any(g is not None and g.requires_grad for g in grads):
        return
    squares = [
        sum((g * g).sum() for g in both if g is not None) for both in (grads, wanted)
    ]
    again = fe.autograd.grad(squares[0], mine, allow_unused=True)
    asked = torch.autograd.grad(squares[1], theirs, allow_unused=True)
    same(again, asked, 100 * tol)


def same(mine, theirs, tol: float) -> None:
    """No gradient is a gradient of zeros."""
    for g, w in zip(mine, theirs, strict=True):
        if g is None or w is None:
            assert all(t is None or not t.abs().max() > 0 for t in (g, w))
            continue
        np.testing.assert_allclose(
            g.detach().numpy(), w.detach().numpy(), rtol=tol, atol=tol
        )


LINE, PLANE, SPACE = array(2, 3, 7), array(2, 3, 6, 5), array(1, 2, 4, 3, 5)
RESIZES = [
    (LINE, {"size": 11}),
    (LINE, {"size": 3, "mode": "nearest-exact"}),
    (LINE, {"size": 14, "mode": "linear"}),
    (LINE, {"scale_factor": 1.7, "mode": "linear"}),
    (LINE, {"scale_factor": 0.5, "mode": "linear", "align_corners": True}),
    (LINE, {"size": 3, "mode": "area"}),
    (LINE, {"size": 1, "mode": "linear", "align_corners": True}),
    (PLANE, {"size": (9, 4)}),
    (PLANE, {"scale_factor": 2}),
    (PLANE, {"scale_factor": (1.3, 0.6), "mode": "nearest-exact"}),
    (PLANE, {"size": 8, "mode": "bilinear"}),
    (PLANE, {"size": (3, 11), "mode": "bilinear", "align_corners": True}),
    (PLANE, {"scale_factor": 1.6, "mode": "bilinear"}),
    (
        PLANE,
        {"scale_factor": 1.6, "mode": "bilinear", "recompute_scale_factor": True},
    ),
    (PLANE, {"size": (9, 4), "mode": "bicubic"}),
    (PLANE, {"size": (9, 4), "mode": "bicubic", "align_corners": True}),
    (PLANE, {"scale_factor": (0.7, 2.3), "mode": "bicubic"}),
    (PLANE, {"size": (3, 2), "mode": "bilinear", "antialias": True}),
    (PLANE, {"size": (9, 2), "mode": "bicubic", "antialias": True}),
    (PLANE, {"scale_factor": (0.5, 0.7), "mode": "bicubic", "antialias": True}),
    (
        PLANE,
        {"size": (3, 2), "mode": "bilinear", "antialias": True, "align_corners": True},
    ),
    (PLANE, {"scale_factor": 0.5, "mode": "area"}),
    (PLANE, {"size": (6, 5), "mode": "bicubic"}),
    (SPACE, {"size": (2, 5, 7)}),
    (SPACE, {"scale_factor": 2, "mode": "nearest-exact"}),
    (SPACE, {"size": (2, 5, 7), "mode": "trilinear"}),
    (SPACE, {"size": (6, 3, 2), "mode": "trilinear", "align_corners": True}),
    (SPACE, {"size": 2, "mode": "area"}),
]


@pytest.mark.parametrize(("x", "options"), RESIZES, ids=lambda o: str(o)[:60])
def test_interpolate(x, options):
    check(lambda m, t: m.nn.functional.interpolate(t, **options), x)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_takes_the_same_elements(mode):
    """Where rounding decides, in float32, for many pairs of sizes."""
    for n in (*range(1, 40), 97, 224, 1000):
        x = np.arange(n, dtype=np.float32).reshape(1, 1, n)
        for m in (*range(1, 40), 113, 256, 999):
            out = fe.nn.functional.interpolate(fe.tensor(x), m, mode=mode)
            want = torch.nn.functional.interpolate(torch.tensor(x), m, mode=mode)
            np.testing.assert_array_equal(out.numpy(), want.numpy(), f"{n} to {m}")


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
def test_float32_is_as_exact_as_pytorch(mode, antialias):
    x = np.random.default_rng(0).random((1, 3, 61, 97))
    call = {"size": (40, 131), "mode": mode, "antialias": antialias}
    exact = torch.nn.functional.interpolate(torch.tensor(x), **call).numpy()
    single = x.astype(np.float32)
    mine = fe.nn.functional.interpolate(fe.tensor(single), **call).numpy()
    theirs = torch.nn.functional.interpolate(torch.tensor(single), **call).numpy()
    assert np.abs(mine - exact).max() <= np.abs(theirs - exact).max()


def test_uint8_is_rounded():
    x = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 9)).astype(np.uint8)
    for options in ({"size": (5, 12)}, {"size": (5, 12), "mode": "bilinear"}):
        out = fe.nn.functional.interpolate(fe.tensor(x), **options)
        want = torch.nn.functional.interpolate(torch.tensor(x), **options)
        assert out.dtype == fe.uint8
        assert np.abs(out.numpy().astype(int) - want.numpy().astype(int)).max() <= 1


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("border", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode, border, align):
    def call(m, x, grid):
        return m.nn.functional.grid_sample(x, grid, mode, border, align)

    check(call, array(2, 3, 4, 5), array(2, 3, 4, 2, seed=3), second=False)
    if mode != "bicubic":
        check(call, SPACE, array(1, 2, 3, 2, 3, seed=3), second=False)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 1, 1, 3), (2, 1, 2, 3, 4)])
def test_affine_grid(size, align):
    n = len(size) - 2
    check(lambda m, t: m.nn.functional.affine_grid(t, size, align), array(2, n, n + 1))


FUNCTIONS = {
    "pixel_shuffle": (lambda F, x: F.pixel_shuffle(x, 2), array(2, 8, 3, 4)),
    "pixel_unshuffle": (lambda F, x: F.pixel_unshuffle(x, 2), array(2, 3, 6, 4)),
    "channel_shuffle": (lambda F, x: F.channel_shuffle(x, 3), array(2, 6, 3, 4)),
    "unfold": (lambda F, x: F.unfold(x, (2, 3), 1, 1, (2, 1)), PLANE),
    "unfold_dilated": (lambda F, x: F.unfold(x, 2, dilation=2, padding=1), PLANE),
    "unfold_one": (lambda F, x: F.unfold(x, 2), array(3, 4, 5)),
    "fold": (lambda F, x: F.fold(x, (4, 5), (2, 3), 1, 1, 2), array(2, 12, 9)),
    "fold_dilated": (lambda F, x: F.fold(x, (5, 6), 2, dilation=2), array(1, 8, 12)),
    "lp_pool1d": (lambda F, x: F.lp_pool1d(x * x, 3.0, 2), LINE),
    "lp_pool2d": (lambda F, x: F.lp_pool2d(x * x, 2.0, 3, 2, True), PLANE),
    "lp_pool3d": (lambda F, x: F.lp_pool3d(x * x, 1.5, 2), SPACE),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    call, x = FUNCTIONS[name]
    check(lambda m, t: call(m.nn.functional, t), x)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_max_unpool(n):
    x = (array(2, 3, 9), array(2, 3, 6, 7), array(1, 2, 4, 5, 6))[n - 1]

    def call(m, t):
        pool = getattr(m.nn, f"MaxPool{n}d")(2, return_indices=True)
        unpool = getattr(m.nn, f"MaxUnpool{n}d")(2)
        values, indices = pool(t)
        return unpool(values * values, indices, output_size=list(t.shape))

    check(call, x)


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_max_pool(n):
    x = (PLANE, array(1, 2, 4, 4, 5))[n - 2]
    samples = np.random.default_rng(4).random((*x.shape[:2], n))
    for options in ({"output_size": 2}, {"output_ratio": (0.6,) * n}):

        def call(m, t, options=options):
            function = getattr(m.nn.functional, f"fractional_max_pool{n}d")
            return function(t, 2, _random_samples=m.tensor(samples), **options)

        check(call, x)
    indexed = getattr(fe.nn.functional, f"fractional_max_pool{n}d")
    wanted = getattr(torch.nn.functional, f"fractional_max_pool{n}d")
    _, i = indexed(fe.tensor(x), 2, 2, None, True, fe.tensor(samples))
    _, j = wanted(torch.tensor(x), 2, 2, None, True, torch.tensor(samples))
    np.testing.assert_array_equal(i.numpy(), j.numpy())


MODULES = [
    *((f"{kind}Pad{n}d", (1,), n) for n in (1, 2, 3)
      for kind in ("Zero", "Reflection", "Replication", "Circular")),
    *((f"ConstantPad{n}d", (tuple(range(2 * n)), 1.5), n) for n in (1, 2, 3)),
    ("ReflectionPad1d", ((1, 2),), 1),
    ("ReplicationPad2d", ((1, 0, 2, 1),), 2),
    ("CircularPad2d", ((1, 0, 2, 1),), 2),
    ("Upsample", (None, 2), 1),
    ("Upsample", (8, None, "bilinear"), 2),
    ("UpsamplingNearest2d", (None, 2), 2),
    ("UpsamplingBilinear2d", ((8, 9),), 2),
    ("PixelShuffle", (1,), 2),
    ("PixelUnshuffle", (1,), 2),
    ("ChannelShuffle", (3,), 2),
    ("Unfold", (2,), 2),
    ("LPPool1d", (2, 3), 1),
    ("LPPool2d", (2, (2, 1), 1), 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "n"), MODULES)
def test_module(name, args, n):
    x = (
        np.abs((LINE, PLANE, SPACE)[n - 1])
        if "LP" in name
        else (LINE, PLANE, SPACE)[n - 1]
    )
    mine, theirs = getattr(fe.nn, name)(*args), getattr(torch.nn, name)(*args)
    assert repr(mine) == repr(theirs)
    check(lambda m, t: (mine if m is fe else theirs)(t), x)


def test_fold_module():
    mine, theirs = fe.nn.Fold((4, 5), 2), torch.nn.Fold((4, 5), 2)
    assert repr(mine) == repr(theirs)
    check(lambda m, t: (mine if m is fe else theirs)(t), array(2, 12, 12))
