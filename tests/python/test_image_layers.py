"""Layers of images: what can be said without PyTorch, and error messages."""

from __future__ import annotations

import doctest
from importlib import import_module

import numpy as np
import pytest

import ferrule as fe

F = fe.nn.functional


@pytest.mark.parametrize(
    "module",
    [
        *("nn._interpolation", "nn._fractional_pooling", "nn.modules.image"),
        *("nn.modules.padding", "nn.modules.unpooling", "linalg"),
        *("signal.windows", "_more_functions"),
    ],
)
def test_examples_in_docstrings(module):
    failed, tried = doctest.testmod(import_module(f"ferrule.{module}"))
    assert failed == 0 and tried > 0


def test_fold_and_unfold_are_transposes():
    rng = np.random.default_rng(0)
    x, y = (
        fe.tensor(rng.normal(size=(2, 3, 6, 5))),
        fe.tensor(rng.normal(size=(2, 12, 30))),
    )
    left = (F.unfold(x, 2, dilation=2, padding=1) * y).sum()
    right = (x * F.fold(y, (6, 5), 2, dilation=2, padding=1)).sum()
    np.testing.assert_allclose(left.item(), right.item(), rtol=1e-12)


def test_affine_grid_and_sampling_turn_an_image():
    x = fe.arange(6.0).reshape(1, 1, 2, 3)
    half_turn = fe.tensor([[[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]])
    grid = F.affine_grid(half_turn, (1, 1, 2, 3), False)
    turned = F.grid_sample(x, grid, align_corners=False)
    np.testing.assert_allclose(
        turned.numpy()[0, 0], x.numpy()[0, 0, ::-1, ::-1], atol=1e-6
    )


def test_interpolate_in_a_program_of_any_size():
    def double(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear")

    n = fe.Dim("n", min=2)
    program = fe.export(double, (fe.zeros((1, 2, 4, 5)),), dynamic_shapes=({2: n},))
    x = fe.tensor(np.random.default_rng(0).normal(size=(1, 2, 7, 5)).astype("f"))
    assert program.run("forward", x)[0].tolist() == double(x).tolist()


MESSAGES = [
    (lambda: F.interpolate(fe.zeros((2, 3)), 4), "(N, C, H, W)"),
    (lambda: F.interpolate(fe.zeros((1, 1, 3))), "either size or scale_factor"),
    (lambda: F.interpolate(fe.zeros((1, 1, 3)), 2, 2.0), "either size or scale_factor"),
    (
        lambda: F.interpolate(fe.zeros((1, 1, 3)), 2, mode="bilinear"),
        "nearest-exact, area, linear",
    ),
    (lambda: F.interpolate(fe.zeros((1, 1, 3)), 2, mode="cubic"), "must be one of"),
    (lambda: F.interpolate(fe.zeros((1, 1, 3)), (2, 2)), "one number or 1"),
    (lambda: F.interpolate(fe.zeros((1, 1, 3)), 0), "sizes must lie in"),
    (
        lambda: F.interpolate(fe.zeros((1, 1, 3)), 2, align_corners=True),
        "align_corners is for",
    ),
    (
        lambda: F.interpolate(fe.zeros((1, 1, 3)), 2, mode="linear", antialias=True),
        "antialias is for",
    ),
    (lambda: F.pixel_shuffle(fe.zeros((1, 3, 2, 2)), 2), "the 3 channels"),
    (lambda: F.pixel_unshuffle(fe.zeros((1, 3, 3, 2)), 2), "cannot be divided by 2"),
    (lambda: F.channel_shuffle(fe.zeros((1, 3, 2)), 2), "groups=2"),
    (lambda: F.unfold(fe.zeros((1, 1, 2, 2)), 3), "does not fit"),
    (lambda: F.fold(fe.zeros((1, 4, 3)), (4, 5), 2), "has 12 such patches"),
    (lambda: F.fold(fe.zeros((1, 5, 3)), (4, 5), 2), "cannot be divided"),
    (
        lambda: F.grid_sample(fe.zeros((2, 1, 3, 3)), fe.zeros((1, 2, 2, 2))),
        "grid must have shape (2, H', W', 2)",
    ),
    (
        lambda: F.grid_sample(fe.zeros((1, 1, 3, 3)), fe.zeros((1, 2, 2, 2)), "cubic"),
        "mode must be one of",
    ),
    (lambda: F.affine_grid(fe.zeros((1, 2, 2)), (1, 1, 2, 2)), "theta must have"),
    (
        lambda: F.max_unpool1d(
            fe.zeros((1, 2)), fe.zeros((1, 2), fe.int64), 2, output_size=(9,)
        ),
        "must lie between 2 and 6",
    ),
    (lambda: fe.nn.ZeroPad2d((1, 2)), "one number or 4"),
    (lambda: fe.nn.ReflectionPad2d(1)(fe.zeros((2, 3))), "(N, C, H, W)"),
    (lambda: fe.nn.FractionalMaxPool2d(2), "output_size or output_ratio"),
]


@pytest.mark.parametrize(("call", "text"), MESSAGES)
def test_message(call, text):
    with pytest.raises(fe.FerruleError) as error:
        call()
    assert text in str(error.value)
    assert str(error.value).startswith("[")
