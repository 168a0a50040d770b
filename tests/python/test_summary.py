"""`Module.summary`: shapes, parameters, work and memory by module."""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn
from ferrule.nn import functional as F


class Block(nn.Module):
    """A residual block; `act` may be shared with others."""

    def __init__(self, channels: int, act: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.act = act

    def forward(self, x: fe.Tensor) -> fe.Tensor:
        return self.act(self.norm(self.conv(x)) + x)


def small_net() -> nn.Module:
    act = nn.ReLU()
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        Block(16, act),
        Block(16, act),
        nn.Flatten(),
        nn.Linear(16 * 64, 10),
    )


def test_figures_of_a_net() -> None:
    model = small_net()
    found = model.summary(fe.rand(2, 3, 8, 8))
    assert [layer.path for layer in found.layers] == [
        *("", "0", "1", "1.conv", "1.norm", "1.act"),
        *("2", "2.conv", "2.norm", "2.act", "3", "4"),
    ]
    conv = 2 * 64 * 16 * 16 * 9
    assert found["0"].macs == 2 * 64 * 16 * 3 * 9
    assert found["1.conv"].macs == found["1"].macs == conv
    assert found["4"].macs == 2 * 1024 * 10
    assert found.total_macs == found["0"].macs + 2 * conv + found["4"].macs
    assert found["1"].output == (2, 16, 8, 8) and found["3"].output == (2, 1024)
    assert found["1"].dtype == "float32"
    assert found.total_params == sum(p.numel() for p in model.parameters())
    assert found["1"].parameters == 16 * 16 * 9 + 16 + 32
    assert found.parameter_bytes == 4 * found.total_params
    assert found.buffer_bytes == 2 * (2 * 16 * 4 + 8)  # int64 counters
    assert found.inputs == (2, 3, 8, 8)
    assert found["1.act"].calls == 2 and found["2.act"].same_as == "1.act"
    with pytest.raises(KeyError, match="no module 'head'"):
        found["head"]


def test_memory_is_what_stays() -> None:
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Flatten())
    found = model.summary(fe.rand(1024, 256))
    once = 4 * 1024 * 256
    for path in ("0", "1"):
        assert once <= found[path].memory <= 1.3 * once
    assert found["2"].memory == 0  # a view
    # The gradient of relu needs its result only: the linear layer's is freed.
    assert found[""].memory == found["1"].memory
    assert found.peak_memory == found["0"].memory + found["1"].memory


def test_nothing_changes() -> None:
    model = small_net()
    model[1].eval()
    x = fe.rand(2, 3, 8, 8)
    state = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    drawn = fe.get_rng_state().tolist()
    with fe.no_grad():
        model.summary(x)
        assert not fe.is_grad_enabled()
    assert [m.training for m in model.modules()] == modes
    assert fe.get_rng_state().tolist() == drawn
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name])
    assert all(p.grad is None for p in model.parameters())
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    with fe.profiler.profile():
        pass  # none is left behind


def test_structures_in_and_out() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.lstm = nn.LSTM(4, 5)

        def forward(self, batch: dict, *, scale: fe.Tensor) -> dict:
            out, (h, c) = self.lstm(self.embed(batch["tokens"]))
            return {"out": out * scale, "state": (h, c)}

    tokens = fe.zeros(7, 2, dtype=fe.int64)
    found = Model().summary({"tokens": tokens}, scale=fe.ones(()))
    assert found[""].output == {"out": (7, 2, 5), "state": [(1, 2, 5), (1, 2, 5)]}
    assert found.inputs == ({"tokens": (7, 2)}, ())
    assert found["lstm"].macs == 7 * 2 * 20 * (4 + 5)
    text = str(found)
    assert "  {out: (7, 2, 5), state: [(1, 2, 5), (...  float32 " in text


def test_functions_count_for_their_module() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(fe.ones(5, 4))
            self.unused = nn.Linear(3, 3)
            self.unused.requires_grad_(False)

        def forward(self, x: fe.Tensor) -> fe.Tensor:
            return F.linear(x, self.weight) @ self.weight

    found = Model().summary(fe.ones(2, 4))
    assert found.total_macs == 2 * 2 * 4 * 5
    assert found["unused"].calls == found["unused"].macs == 0
    assert (found.total_params, found.trainable_params) == (32, 20)
    assert "12 of them frozen" in str(found)


def test_text_and_html() -> None:
    found = fe.summary(nn.Sequential(nn.Linear(1000, 10), nn.ReLU()), fe.ones(4, 1000))
    lines = str(found).splitlines()
    assert lines[0].split() == [
        *("layer", "output", "dtype", "parameters", "MACs", "memory")
    ]
    assert lines[3].split()[:7] == [
        *("0", "(Linear)", "(4,", "10)", "float32", "10,010", "40,000")
    ]
    assert repr(found) == str(found)
    assert "work: 40,000 MACs (40.0 k)" in str(found)
    html = found._repr_html_()
    assert html.count("<tr>") == 4 and "<td" in html and "10,010" in html

    class A(nn.Module):
        def forward(self, x: fe.Tensor) -> str:
            return "<b>"

    assert "&lt;b&gt;" in A().summary(fe.ones(1))._repr_html_()


def test_errors_pass_and_leave_nothing() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 3))
    with pytest.raises(fe.ShapeError, match="in module '1'"):
        model.summary(fe.ones(2, 4))
    assert model.training and not model[0]._forward_hooks
    assert nn.Linear(4, 3).summary(fe.ones(2, 4)).total_macs == 24


def test_inside_a_profile() -> None:
    with fe.profiler.profile() as prof:
        fe.ones(3).exp()
        found = nn.Linear(4, 3).summary(fe.ones(2, 4))
        fe.ones(3).log()
    assert found.total_macs == 24
    assert {"exp", "linear", "log"} <= {event.name for event in prof.events()}


def test_lazy_layers() -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    found = model.summary(fe.ones(2, 4))
    assert found.total_params == 15 and found.total_macs == 24


def test_modules_in_notebooks() -> None:
    html = small_net()._repr_html_()
    assert html.count("<details open>") == 3  # the net and its two blocks
    assert html.count("<details") == html.count("</details>")
    assert html.count("<div") == html.count("</div>")
    assert "<b>conv</b>: <code>Conv2d(16, 16, kernel_size=(3, 3)" in html
    assert "<small>2,320 parameters</small>" in html

    class Odd(nn.Module):
        def extra_repr(self) -> str:
            return "<script>"

    assert "&lt;script&gt;" in nn.Sequential(Odd())._repr_html_()
    many = nn.Sequential(*(nn.ReLU() for _ in range(40)))
    assert many._repr_html_().startswith("<details><summary>")
