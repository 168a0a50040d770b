"""Plots, looked at through matplotlib's objects; the learning-rate finder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn
from ferrule.utils import lr_find, plot
from ferrule.utils.data import DataLoader, TensorDataset
from ferrule.utils.logging import CSVLogger


def problem() -> tuple[nn.Module, DataLoader]:
    fe.manual_seed(0)
    x = fe.randn(256, 4)
    y = (x * fe.tensor([1.0, -2.0, 3.0, 0.5])).sum(1, keepdim=True)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Linear(16, 1))
    return model, DataLoader(TensorDataset(x, y), 32, shuffle=True)


def test_finds_a_rate_that_trains() -> None:
    model, loader = problem()
    optimizer = fe.optim.SGD(model.parameters(), lr=0.123)
    found = lr_find(model, optimizer, nn.functional.mse_loss, loader)
    assert found.lrs[0] == pytest.approx(1e-6)
    assert found.lrs == sorted(found.lrs) and len(found.lrs) == len(found.losses)
    assert 1e-3 < found.suggestion < 3
    assert len(found.lrs) < 100  # it stopped when the loss had grown

    optimizer.param_groups[0]["lr"] = found.suggestion
    losses = []
    for _ in range(5):
        for x, y in loader:
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert np.mean(losses[-5:]) < losses[0] / 10


def test_lr_find_restores_everything() -> None:
    model, loader = problem()
    optimizer = fe.optim.Adam(model.parameters(), lr=0.123)
    model[1].eval()
    x, y = next(iter(loader))
    nn.functional.mse_loss(model(x), y).backward()
    optimizer.step()
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    moments = optimizer.state[model[0].weight]["exp_avg"].numpy().copy()
    grad = model[0].weight.grad.data_ptr(), model[0].weight.grad.numpy().copy()
    drawn = fe.get_rng_state().tolist()
    found = lr_find(model, optimizer, nn.functional.mse_loss, loader, steps=7)
    assert len(found.lrs) <= 7
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    np.testing.assert_array_equal(
        optimizer.state[model[0].weight]["exp_avg"].numpy(), moments
    )
    assert optimizer.param_groups[0]["lr"] == 0.123
    assert model[0].weight.grad.data_ptr() == grad[0]
    np.testing.assert_array_equal(model[0].weight.grad.numpy(), grad[1])
    assert not model[1].training and model[0].training
    assert fe.get_rng_state().tolist() == drawn


def test_lr_find_errors() -> None:
    model, loader = problem()
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
    mse = nn.functional.mse_loss
    with pytest.raises(ValueError, match="expected 0 < start < end"):
        lr_find(model, optimizer, mse, loader, start=1, end=0.1)
    with pytest.raises(ValueError, match="the loader yields no batch"):
        lr_find(model, optimizer, mse, [])
    with pytest.raises(ValueError, match="not finite after 0 steps"):
        lr_find(model, optimizer, lambda x, y: mse(x, y) * float("nan"), loader)


WITHOUT = """
import sys
import ferrule as fe
assert fe.utils.plot  # does not import it
assert "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None
try:
    fe.utils.plot.curves({"loss": [1]})
except ImportError as error:
    print(error)
"""


def test_without_matplotlib() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True
    )
    assert done.stdout == (
        "[plot] pictures are drawn by matplotlib: pip install matplotlib\n"
    ), done.stderr


@pytest.fixture
def axes():
    plt = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is missing")
    plt.switch_backend("agg")
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_curves(axes, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with CSVLogger(path) as log:
        for step in range(0, 30, 10):
            log.log(step=step, loss=1 / (step + 1))
        log.log(step=30, accuracy=0.5)
    assert plot.curves(path, ax=axes) is axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xdata(), [0, 10, 20])
    np.testing.assert_allclose(line.get_ydata(), [1, 1 / 11, 1 / 21])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")
    with pytest.raises(ValueError, match="no row has a 'acc'; there are: step, loss"):
        plot.curves(path, "acc", ax=axes)


def test_curves_of_several_values(axes) -> None:
    columns = {"loss": fe.tensor([1.0, 3.0]), "acc": [0.5, 0.7, 0.9]}
    plot.curves(columns, ["loss", "acc"], smooth=0.5, log_scale=True, ax=axes)
    assert len(axes.lines) == 4 and axes.get_yscale() == "log"
    # The mean after two values is (0.25 * 1 + 0.5 * 3) / 0.75.
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [1.0, 1.75 / 0.75])
    np.testing.assert_allclose(axes.lines[2].get_xdata(), [0, 1, 2])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["loss", "acc"]
    with pytest.raises(ValueError, match="smooth must be"):
        plot.curves(columns, smooth=1.0)


def test_confusion_matrix(axes) -> None:
    scores = fe.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    plot.confusion_matrix(fe.tensor([0, 1, 1]), scores, ["cat", "dog"], ax=axes)
    assert [t.get_text() for t in axes.texts] == ["1", "0", "1", "1"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["cat", "dog"]
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), [[1, 0], [0.5, 0.5]])
    for bad in (([0, 1], [0]), ([0, 2], [0, 1]), ([-1], [0])):
        with pytest.raises(ValueError, match="confusion_matrix"):
            plot.confusion_matrix(*bad, classes=["a", "b"], ax=axes)


def test_shares_in_a_confusion_matrix(axes) -> None:
    plot.confusion_matrix([0, 2, 2], [0, 2, 0], normalize=True, ax=axes)
    assert [t.get_text() for t in axes.texts] == [
        *("1.00", "0.00", "0.00"),
        *("0.00", "0.00", "0.00"),
        *("0.50", "0.00", "0.50"),
    ]


def test_lr_find_plot(axes) -> None:
    model, loader = problem()
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
    found = lr_find(model, optimizer, nn.functional.mse_loss, loader, steps=20)
    assert found.plot(axes) is axes
    np.testing.assert_allclose(axes.lines[0].get_xdata(), found.lrs)
    assert axes.get_xscale() == "log"
    assert axes.lines[1].get_xdata()[0] == found.suggestion


def test_images(axes) -> None:
    pictures = fe.rand(5, 1, 4, 6)
    plot.images(pictures, titles=range(5), columns=3, ax=axes)
    (image,) = axes.images
    array = np.asarray(image.get_array())
    assert array.shape == (8, 18)
    np.testing.assert_array_equal(array[4:, 6:12], pictures[4, 0].numpy())
    assert [t.get_text() for t in axes.texts] == list("01234")
    with pytest.raises(ValueError, match="pictures of shape"):
        plot.images(fe.rand(4, 6), ax=axes)


def test_a_new_figure(tmp_path: Path) -> None:
    plt = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is missing")
    plt.switch_backend("agg")
    ax = plot.curves([{"loss": 1.0}, {"loss": 0.5}])
    ax.figure.savefig(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    plt.close(ax.figure)
