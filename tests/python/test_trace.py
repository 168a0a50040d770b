"""fe.trace, and graphs as text and as pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule, nn
from ferrule._layout import Box, place


def same(a: fe.Tensor, b: fe.Tensor) -> bool:
    return _ferrule.same_bits(a.detach(), b.detach())


def test_a_traced_function_is_called_as_before() -> None:
    def f(batch, scale=1.0, *, bias=None):
        y = batch["x"] * scale
        return {"y": y if bias is None else y + bias, "n": None}

    batch, bias = {"x": fe.rand(3)}, fe.rand(3)
    program = fe.trace(f, batch, 2.0, bias=bias)
    assert same(program(batch, 2.0, bias=bias)["y"], f(batch, 2.0, bias=bias)["y"])
    shapes = {"batch": {"x": {0: "n"}}}
    free = fe.trace(f, batch, dynamic_shapes=shapes)
    assert same(free({"x": fe.ones(7)})["y"], fe.ones(7))


@pytest.mark.filterwarnings("ignore::ferrule.FerruleWarning")  # no gradients
def test_a_traced_module_stays_in_its_mode(tmp_path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    x = fe.rand(4, 3)
    program = fe.trace(model, x)
    before = model[1].running_mean.clone()
    assert same(program(x), model(x))
    assert not same(model[1].running_mean, before)
    assert same(program.state_dict()["model.1.running_mean"], model[1].running_mean)
    program.save(tmp_path / "m.fer")
    model.eval()
    program = fe.trace(model, x)
    assert same(program(x), model(x))


def test_trace_of_a_matrix() -> None:
    a = np.arange(6.0).reshape(2, 3)
    assert fe.trace(fe.tensor(a)).item() == np.trace(a)
    with pytest.raises(fe.ShapeError, match="two dimensions"):
        fe.trace(fe.rand(3))
    with pytest.raises(TypeError):
        fe.trace(3)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: fe.Tensor) -> tuple[fe.Tensor, fe.Tensor]:
        y = fe.relu(self.linear(x)) + x
        n = y.shape[0] // 2 + 1
        return fe.cond(y.sum() > 0, lambda t: t * 2, fe.neg, (y,)), y[:n]


def program() -> fe.Program:
    return fe.export(Net(), (fe.rand(2, 4),), dynamic_shapes=({0: "batch"},))


def test_a_graph_prints_a_line_a_node() -> None:
    lines = str(program().graph).splitlines()
    here = Net.forward.__code__.co_firstlineno
    assert lines[0].startswith("forward(x: float32[batch, 4]) -> output0: ")
    (linear,) = [line for line in lines if "linear(" in line]
    assert "linear(x, model.linear.weight, model.linear.bias)" in linear
    assert f"# linear (Linear) test_trace.py:{here + 1}" in linear
    (cut,) = [line for line in lines if "slice(" in line]
    assert "// 2) + 1" in cut and f"model (Net) test_trace.py:{here + 2 + 1}" in cut
    at = next(i for i, line in enumerate(lines) if " cond(" in line)
    assert lines[at + 1].startswith("    cond, if true (%0: float32[")
    assert lines[at + 2].startswith("      %1: ") and "mul(%0" in lines[at + 2]
    assert len(program().graph) == 7


def test_gradients_have_no_line_of_the_library() -> None:
    linear = nn.Linear(2, 2)
    optimizer = fe.optim.SGD(linear.parameters(), lr=0.1)
    p = fe.export(
        linear,
        (fe.rand(3, 2),),
        train=(nn.functional.mse_loss, optimizer),
        targets=(fe.rand(3, 2),),
    )
    assert ".py:" not in str(p.entry("train_step").graph)


def test_a_graph_is_drawn() -> None:
    picture = program().graph.svg()
    root = ET.fromstring(picture)
    tag = "{http://www.w3.org/2000/svg}"
    boxes = root.findall(f"{tag}g")
    assert len(boxes) == 1 + 7 + 2
    titles = [box.find(f"{tag}title").text for box in boxes]
    assert titles[0].startswith("x: float32[batch, 4]")
    assert any("linear(x, model.linear.weight" in t for t in titles)
    assert program().graph._repr_svg_().startswith("<svg")
    width, height = (float(root.get(k)) for k in ("width", "height"))
    for box in boxes:
        r = box.find(f"{tag}rect")
        x, y, w, h = (float(r.get(k)) for k in ("x", "y", "width", "height"))
        assert x >= 0 and x + w <= width and y >= 0 and y + h <= height


def test_boxes_do_not_overlap_and_arrows_go_down() -> None:
    rng = np.random.default_rng(0)
    boxes = [
        Box(
            ["op" * int(rng.integers(1, 6))], "", "op", sorted({*rng.integers(0, i, 2)})
        )
        for i in range(1, 60)
    ]
    boxes.insert(0, Box(["x"], "", "input", []))
    picture = place(boxes)
    for i, (x, y) in enumerate(picture.centers):
        for j in range(i):
            other_x, other_y = picture.centers[j]
            if y == other_y:
                apart = (boxes[i].width + boxes[j].width) / 2
                assert abs(x - other_x) >= apart
        for a in boxes[i].above:
            assert picture.centers[a][1] < y
    assert len(picture.edges) == sum(len(b.above) for b in boxes)
    for points in picture.edges:
        assert all(a[1] < b[1] for a, b in pairwise(points))


def test_a_graph_without_nodes() -> None:
    p = fe.trace(lambda x: x, fe.rand(2))
    assert str(p.graph) == "forward(x: float32[2]) -> output: float32[2]"
    assert ET.fromstring(p.graph.svg()) is not None
