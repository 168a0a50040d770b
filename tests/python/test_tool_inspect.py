"""`ferrule inspect`: graphs for Graphviz; and entry points, for all commands."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import ferrule as fe
from ferrule import nn
from test_export import TOOL


def inspect(*arguments: object) -> str:
    command = [str(TOOL), "inspect", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def boxes(dot: str) -> dict[str, str]:
    """The first line of the label of each box, by its name."""
    return dict(re.findall(r'^ *(n\d+) \[label="(\w+)', dot, re.M))


def arrows(dot: str) -> list[tuple[str, str]]:
    """By the labels; without those into frames."""
    label = boxes(dot)
    found = re.findall(r"^ *(n\d+) -> (n\d+);$", dot, re.M)
    return [(label[a], label[b]) for a, b in found]


@pytest.fixture
def coder(tmp_path: Path) -> Path:
    """Two entry points."""
    model, path = nn.Linear(4, 4), tmp_path / "coder.fer"
    fe.export(
        {"encode": lambda x: model(x).relu() + x, "decode": lambda h: h.sum()},
        {"encode": (fe.rand(2, 4),), "decode": (fe.rand(2, 4),)},
        dynamic_shapes={"encode": ({0: "batch"},)},
        path=path,
    )
    return path


def test_one_entry_point(coder: Path) -> None:
    assert "\nencode\n" in inspect(coder) and "\ndecode\n" in inspect(coder)
    text = inspect(coder, "--entry", "decode", "--passes", "default")
    assert "\ndecode\n" in text and "decode: 1 steps" in text and "encode" not in text
    listed = json.loads(inspect(coder, "--json", "--entry", "decode"))
    assert [s["name"] for s in listed["signatures"]] == ["decode"]
    command = [str(TOOL), "inspect", str(coder), "--entry", "x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3 and "it has 'encode', 'decode'" in done.stderr


def test_every_command_takes_an_entry_point(coder: Path, tmp_path: Path) -> None:
    def tool(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(TOOL), *map(str, arguments), "--json"]
        return subprocess.run(command, capture_output=True, text=True)

    runs = ("bench", coder, "--runs", 2)
    assert json.loads(tool(*runs, "--entry", "decode").stdout)["signature"] == "decode"
    same = ("diff", coder, "--threads", 1, "--threads", 2)
    for name in ("--entry", "--signature"):
        assert tool(*same, name, "decode").returncode == 0
    for command in (runs, same):  # none is called forward, and which is it?
        done = tool(*command)
        assert done.returncode == 3 and "it has 'encode', 'decode'" in done.stderr
    only = tmp_path / "only.fer"
    fe.export({"norm": lambda x: x.norm()}, {"norm": (fe.rand(3),)}, path=only)
    assert json.loads(tool("bench", only, "--runs", 2).stdout)["signature"] == "norm"
    assert tool("diff", only, "--threads", 1, "--threads", 2).returncode == 0


def test_a_picture(coder: Path) -> None:
    dot = inspect(coder, "--dot", "--entry", "encode")
    assert arrows(dot) == [
        ("x", "linear"), ("linear", "relu"), ("relu", "add"), ("x", "add"),
        ("add", "output"),
    ]  # fmt: skip
    assert 'label="x\\nfloat32 (batch, 4), batch in' in dot  # weights are not drawn
    assert re.search(r'tooltip="%\d+ = linear\(input=x, weight=', dot)
    both = inspect(coder, "--dot")
    frames = re.findall(r'subgraph (cluster_\d) \{\n *label="(\w+)";', both)
    assert frames == [("cluster_0", "encode"), ("cluster_1", "decode")]


def test_graphs_that_nodes_run(tmp_path: Path) -> None:
    def f(x: fe.Tensor) -> fe.Tensor:
        return fe.cond(x.sum() > 0, lambda v: v.exp(), lambda v: v, (x,))

    fe.export(f, (fe.rand(3),), path=tmp_path / "cond.fer")
    dot = inspect(tmp_path / "cond.fer", "--dot")
    assert 'label="cond, if true"' in dot and 'label="cond, if not"' in dot
    into = re.findall(r"(n\d+) -> n\d+ \[style=dashed, lhead=cluster_(\d)\]", dot)
    (node,) = [name for name, label in boxes(dot).items() if label == "cond"]
    assert into == [(node, "1"), (node, "2")]
    assert dot.count("{") == dot.count("}")


def test_names_are_quoted(tmp_path: Path) -> None:
    fe.export(
        lambda d: {'a "b" \\': d['q"'] + 1},
        ({'q"': fe.rand(2)},),
        path=tmp_path / "m.fer",
    )
    dot = inspect(tmp_path / "m.fer", "--dot")
    assert r'label="d.q\"' in dot and r'label="a \"b\" \\' in dot
