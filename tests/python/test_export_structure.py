"""Export of nested arguments and results, of several entry points, of named sizes."""

from __future__ import annotations

import json
import subprocess
from collections import namedtuple
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule, nn

TOOL = Path(fe.__file__).parent / "bin" / "ferrule"


class State(NamedTuple):
    h: fe.Tensor
    c: fe.Tensor


@dataclass
class Output:
    logits: fe.Tensor
    state: State
    aux: dict[str, Any] | None = None


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, batch, state, scale=1.0, *, mask=None, mode="sum"):
        x = self.linear(batch["tokens"]) * scale + batch["more"][0]
        if mask is not None:
            x = x * mask
        x = x + (state.h if mode == "sum" else state.c)
        return Output(x, State(x + 1, x - 1), {"n": 3, "pair": [x, None]})


def example() -> tuple[tuple[Any, ...], dict[str, Any]]:
    fe.manual_seed(1)
    batch = {"tokens": fe.rand(2, 4), "more": (fe.rand(2, 3), None)}
    state = State(fe.rand(2, 3), fe.rand(2, 3))
    return (batch, state, 2.0), {"mask": fe.rand(2, 3), "mode": "sum"}


def same(a: fe.Tensor, b: fe.Tensor) -> bool:
    return _ferrule.same_bits(a.detach(), b.detach())


def test_names_follow_the_structure() -> None:
    args, kwargs = example()
    entry = fe.export(Model(), args, kwargs).entry()
    assert entry.inputs == [
        "batch.tokens",
        "batch.more.0",
        "state.h",
        "state.c",
        "mask",
    ]
    assert entry.outputs == ["logits", "state.h", "state.c", "aux.pair.0"]


def test_the_structure_comes_back(tmp_path) -> None:
    model, (args, kwargs) = Model(), example()
    want = model(*args, **kwargs)
    program = fe.export(model, args, kwargs, path=tmp_path / "m.fer")
    got = program(*args, **kwargs)
    assert type(got) is Output and type(got.state) is State
    assert same(got.logits, want.logits) and same(got.state.c, want.state.c)
    assert got.aux["n"] == 3 and got.aux["pair"][1] is None

    loaded = fe.load_program(tmp_path / "m.fer", types=(Output, State))
    assert type(loaded(*args, **kwargs)) is Output
    # A file holds no classes: without them there are ones of the same name.
    stranger = fe.load_program(tmp_path / "m.fer")(*args, **kwargs)
    assert type(stranger).__name__ == "Output" and type(stranger) is not Output
    assert same(stranger.state.h, want.state.h)


def test_types_of_other_fields_are_refused_when_the_file_is_loaded(tmp_path) -> None:
    args, kwargs = example()
    fe.export(Model(), args, kwargs, path=tmp_path / "m.fer")
    state = r"in the file it is the namedtuple State\(h, c\)"
    fewer = namedtuple("State", ["h"])
    turned = namedtuple("State", ["c", "h"])
    other = make_dataclass("State", ["h", "c"])
    longer = make_dataclass("Output", ["logits", "state", "aux", "more"])
    for wrong, text in [
        (fewer, rf"types has the namedtuple State\(h\); {state}"),
        (turned, rf"types has the namedtuple State\(c, h\); {state}"),
        (other, rf"types has the dataclass State\(h, c\); {state}"),
        (type("State", (), {}), rf"types has the class State\(\); {state}"),
        (longer, r"Output\(logits, state, aux, more\); in the file it is"),
    ]:
        with pytest.raises(TypeError, match=text):
            fe.load_program(tmp_path / "m.fer", types=(wrong,))


def test_constants_may_be_left_out_and_names_used() -> None:
    model, (args, kwargs) = Model(), example()
    want = model(*args, **kwargs).logits
    program = fe.export(model, args, kwargs)
    batch, state, _ = args
    turned = {"more": batch["more"], "tokens": batch["tokens"]}
    got = program(state=state, batch=turned, mask=kwargs["mask"])
    assert same(got.logits, want)
    flat = [batch["tokens"], batch["more"][0], *state, kwargs["mask"]]
    assert same(program.run("forward", *flat)[0], want)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a, k: (a[0], a[1], 3.0), r"scale is 3\.0; .* captured with 2\.0"),
        (lambda a, k: (a[0],), "input 'state' is missing; it takes batch, state"),
        (lambda a, k: (*a, 1), "unexpected"),
        (lambda a, k: ({"tokens": a[0]["tokens"]}, *a[1:]), r"batch is \{'tokens': t"),
        (lambda a, k: (a[0], (a[1].h, a[1].c), 2.0), r"must be State\(h=tensor"),
        (lambda a, k: (a[0], State(1, 2), 2.0), r"state\.h is a int, not a Tensor"),
    ],
)
def test_other_arguments_are_refused(change, text: str) -> None:
    args, kwargs = example()
    program = fe.export(Model(), args, kwargs)
    with pytest.raises(ValueError, match=text):
        program(*change(args, kwargs), **kwargs)


@pytest.mark.parametrize(
    ("function", "args", "text"),
    [
        (lambda x: x["a"], ({"a": fe.ones(2), 1.5: 2},), r"the key 1\.5"),
        (lambda x: x, ([fe.ones(2), object()],), r"argument 0\.1 is a object"),
        (lambda x: {"a.b": x, "a": {"b": x}}, (fe.ones(2),), "be called 'a.b'"),
        (lambda x: None, (fe.ones(2),), "returned a NoneType without a tensor"),
        (lambda x: (x, {1, 2}), (fe.ones(2),), "returned.1 is a set"),
    ],
)
def test_what_cannot_be_exported(function, args, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        fe.export(function, args)


@pytest.mark.parametrize(
    "shapes",
    [
        {
            "batch": {"tokens": {0: "B"}, "more": ({0: "B"},)},
            "state": State({0: "B"}, {0: "B"}),
            "mask": ["B", None],
        },
        {
            "batch.tokens": {0: "B"},
            "batch.more.0": {0: "B"},
            "state": ({0: "B"}, {0: "B"}),
            "mask": {0: fe.Dim("B", max=9)},
        },
    ],
)
def test_sizes_of_nested_inputs(shapes) -> None:
    model, (args, kwargs) = Model(), example()
    program = fe.export(model, args, kwargs, dynamic_shapes=shapes)
    batch = {"tokens": fe.rand(7, 4), "more": (fe.rand(7, 3), None)}
    state = State(fe.rand(7, 3), fe.rand(7, 3))
    mask = fe.rand(7, 3)
    got = program(batch, state, mask=mask).logits
    assert same(got, model(batch, state, 2.0, mask=mask).logits)


def test_names_of_sizes_that_are_not_there() -> None:
    x = (fe.rand(2),)
    with pytest.raises(ValueError, match="dynamic_shapes names 'y'; the inputs are x"):
        fe.export(lambda x: x, x, dynamic_shapes={"y": {0: "n"}})
    with pytest.raises(ValueError, match="of 'x' names 'b'; it has 'a'"):
        fe.export(
            lambda x: x["a"], ({"a": x[0]},), dynamic_shapes={"x": {"b": {0: "n"}}}
        )
    with pytest.raises(ValueError, match="2 entries for the inputs x"):
        fe.export(lambda x: x, x, dynamic_shapes=({0: "n"}, {0: "n"}))


def test_training_with_nested_inputs() -> None:
    model, (args, kwargs) = Model(), example()
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)

    def loss(output, target):
        return ((output.logits - target["y"]) ** 2).sum() * target["weight"]

    target = {"y": fe.rand(2, 3), "weight": 0.5}
    program = fe.export(model, args, kwargs, train=(loss, optimizer), targets=(target,))
    step = program.entry("train_step")
    assert step.inputs[-1] == "target.y" and step.outputs == ["loss"]
    got = step(*args, target, **kwargs)
    want = loss(model(*args, **kwargs), target)
    assert same(got, want)
    want.backward()
    optimizer.step()
    assert same(program.state_dict()["model.linear.weight"], model.linear.weight)


# --- several entry points ---------------------------------------------------


class Coder(nn.Module):
    """An encoder that remembers what it was last given, and its decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(fe.rand(4, 3))
        self.register_buffer("last", fe.zeros(3))

    def encode(self, x: fe.Tensor) -> fe.Tensor:
        h = x @ self.weight
        self.last.copy_(h.sum(0))
        return h

    def decode(self, h: fe.Tensor) -> dict[str, fe.Tensor]:
        return {"x": h @ self.weight.T, "last": self.last + 0.0}


def export_coder(coder: Coder, **options: Any) -> fe.Program:
    return fe.export(
        {"encode": coder.encode, "decode": coder.decode},
        {"encode": (fe.rand(2, 4),), "decode": (fe.rand(2, 3),)},
        dynamic_shapes={"encode": {"x": {0: "B"}}, "decode": ({0: "B"},)},
        **options,
    )


def test_entry_points_share_weights_and_state(tmp_path) -> None:
    coder = Coder()
    program = export_coder(coder, path=tmp_path / "m.fer")
    assert program.signatures == ["encode", "decode"]
    assert list(program.state_dict()) == ["model.weight", "model.last"]
    x = fe.rand(5, 4)
    for p in (program, fe.load_program(tmp_path / "m.fer")):
        h = p.entry("encode")(x)
        out = p.entry("decode")(h)
        assert same(h, x @ coder.weight) and same(out["x"], h @ coder.weight.T)
        assert same(out["last"], h.sum(0))
    assert same(coder.last, fe.zeros(3))
    with pytest.raises(ValueError, match="no signature 'forward'.* encode, decode"):
        program(x)


def test_the_tool_runs_entry_points(tmp_path) -> None:
    coder = Coder()
    export_coder(coder, path=tmp_path / "m.fer")
    x = fe.rand(5, 4)
    np.save(tmp_path / "x.npy", x.numpy())
    np.save(tmp_path / "h.npy", (x @ coder.weight).detach().numpy())

    def tool(*args: object) -> subprocess.CompletedProcess[str]:
        command = [str(TOOL), *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True)

    done = tool(
        "run", tmp_path / "m.fer", "--entry", "encode",
        "--input", f"x={tmp_path / 'x.npy'}", "--expect", f"={tmp_path / 'h.npy'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    done = tool("run", tmp_path / "m.fer", "--input", f"x={tmp_path / 'x.npy'}")
    assert done.returncode == 3 and "it has 'encode', 'decode'" in done.stderr
    listed = json.loads(tool("inspect", "--json", tmp_path / "m.fer").stdout)
    assert [s["name"] for s in listed["signatures"]] == ["encode", "decode"]


def test_modules_of_their_own() -> None:
    a, b = nn.Linear(2, 3), nn.Linear(3, 2)
    program = fe.export(
        {"a": a, "b": b}, {"a": (fe.rand(1, 2),), "b": (fe.rand(1, 3),)}
    )
    assert list(program.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    x = fe.rand(1, 2)
    assert same(program.entry("b")(program.entry("a")(x)), b(a(x)))


def test_mistakes_with_entry_points() -> None:
    linear, x = nn.Linear(2, 2), fe.rand(1, 2)
    with pytest.raises(ValueError, match="args must be a dict by their names: a"):
        fe.export({"a": linear}, (x,))
    with pytest.raises(ValueError, match="'train_step' is what train= writes"):
        fe.export({"train_step": linear}, {"train_step": (x,)})
    optimizer = fe.optim.SGD(linear.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="called 'forward'; there are a"):
        fe.export(
            {"a": linear}, {"a": (x,)}, train=(lambda y, t: y, optimizer), targets=(x,)
        )


def test_an_entry_point_beside_training() -> None:
    model = nn.Linear(2, 2)
    optimizer = fe.optim.SGD(model.parameters(), lr=0.5)
    x, y = fe.rand(3, 2), fe.rand(3, 2)
    program = fe.export(
        {"forward": model, "norm": lambda x: model(x).norm()},
        {"forward": (x,), "norm": (x,)},
        train=(nn.functional.mse_loss, optimizer),
        targets=(y,),
    )
    before = program.entry("norm")(x)
    program.run("train_step", x, y)
    after = program.entry("norm")(x)
    assert same(after, program(x).norm()) and not same(after, before)


def test_all_modules_are_in_eval_mode() -> None:
    drop = nn.Dropout(0.5)
    entries = {"forward": drop, "twice": lambda x: drop(x) * 2}
    x = fe.ones(8)
    program = fe.export(entries, {"forward": (x,), "twice": (x,)})
    assert same(program.entry("twice")(x), x * 2)
    assert drop.training


# --- sizes by name and range ------------------------------------------------


def test_a_size_that_is_given_by_another(tmp_path) -> None:
    T = fe.Dim("T", min=1, max=8)

    def f(x, y, z):
        return (x.repeat(2) + y).sum() + z.sum()

    program = fe.export(
        f,
        (fe.rand(3), fe.rand(6), fe.rand(2)),
        dynamic_shapes={"x": {0: T}, "y": {0: 2 * T}, "z": {0: T - 1}},
        path=tmp_path / "m.fer",
    )
    for p in (program, fe.load_program(tmp_path / "m.fer")):
        x, y, z = fe.rand(5), fe.rand(10), fe.rand(4)
        assert same(p(x, y, z), f(x, y, z))
        with pytest.raises(fe.ShapeError, match=r"T = 5 and 2\*T = 9.* must be 10"):
            p(x, fe.rand(9), z)
        with pytest.raises(fe.ShapeError, match=r"T in 1\.\.8"):
            p(fe.rand(9), fe.rand(18), fe.rand(8))


def test_dims_say_what_is_wrong() -> None:
    T = fe.Dim("T", min=2, max=9)
    assert (T * 3 + 1).name == "3*T+1" and (T * 3 + 1).max == 28
    assert (T + 1) - 1 == T
    with pytest.raises(ValueError, match="positive multiple"):
        T * 0
    with pytest.raises(ValueError, match=r"range 5\.\.3"):
        fe.Dim("n", min=5, max=3)
    with pytest.raises(ValueError, match="no multiple of 8"):
        fe.Dim("n", min=9, max=15, multiple=8)
    with pytest.raises(ValueError, match="needs a name"):
        fe.Dim("")
    with pytest.raises(ValueError, match="two ranges of one size"):
        fe.export(
            lambda x, y: x + y,
            (fe.rand(3), fe.rand(3)),
            dynamic_shapes=({0: T}, {0: fe.Dim("T", max=5)}),
        )


def test_a_branch_on_a_size_is_reported_at_its_line() -> None:
    def f(x):
        if x.shape[0] > 4:  # the line
            return x * 2
        return x

    with pytest.raises(fe.FerruleError) as error:
        fe.export(f, (fe.rand(3),), dynamic_shapes=({0: fe.Dim("n", min=1)},))
    text = str(error.value)
    line = f.__code__.co_firstlineno + 1
    assert f"{__file__}:{line}: if x.shape[0] > 4:  # the line" in text
    assert "decided for n = 3" in text and "another decision for n = 5" in text
    assert "fe.Dim('n', max=4)" in text
    n = fe.Dim("n", min=1, max=4)
    program = fe.export(f, (fe.rand(3),), dynamic_shapes=({0: n},))
    with pytest.raises(fe.ShapeError, match=r"n in 1\.\.4"):
        program(fe.rand(5))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x if x[::2].shape[0] < 3 else -x,
        lambda x: x * max(x.shape[0], 6),
        lambda x: x + 1 if x.shape[0] % 2 else x,
        lambda x: x[:10] if x.shape[0] == 1024 else x,
    ],
)
def test_decisions_by_sizes_are_found(f) -> None:
    with pytest.raises(fe.FerruleError, match="another decision for n"):
        fe.export(f, (fe.rand(4),), dynamic_shapes=({0: "n"},))


def test_decisions_that_always_hold() -> None:
    def f(x, y):
        if x.shape != y.shape or x.shape[0] < 0:
            return x
        return x + y

    sizes = ({0: "n"}, {0: "n"})
    program = fe.export(f, (fe.rand(4), fe.rand(4)), dynamic_shapes=sizes)
    assert program(fe.rand(9), fe.rand(9)).shape == (9,)


def test_a_decision_about_nothing_leaves_size_0_out() -> None:
    def f(x):
        return x.sum() if x.shape[0] == 0 else x.mean()

    program = fe.export(f, (fe.rand(4),), dynamic_shapes=({0: "n"},))
    with pytest.raises(fe.ShapeError, match=r"n in 1\.\."):
        program(fe.rand(0))


def test_a_branch_on_a_value_is_reported_at_its_line() -> None:
    def f(x):
        if x.sum() > 0:
            return x
        return -x

    line = f.__code__.co_firstlineno + 1
    with pytest.raises(
        fe.FerruleError, match=rf"py:{line}: if x.sum\(\) > 0:.*fe.cond"
    ):
        fe.export(f, (fe.rand(3),))


def test_samples_of_several_entry_points_go_by_name() -> None:
    functions = {"twice": lambda x: x * 2, "half": lambda x: x / 2}
    args = {"twice": (fe.ones(2),), "half": (fe.ones(2),)}
    program = fe.export(functions, args, samples={"half": [(fe.tensor([3.0, 5.0]),)]})
    program.check()
    for wrong in ([(fe.ones(2),)], {"third": [(fe.ones(2),)]}):
        with pytest.raises(ValueError, match="samples must be a dict.*: twice, half"):
            fe.export(functions, args, samples=wrong)
