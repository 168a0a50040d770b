"""cond, while_loop, scan and map: eager, gradients, and in files."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule, nn
from ferrule.nn import functional as F

TOOL = Path(fe.__file__).parent / "bin" / "ferrule"


def same(a, b) -> bool:
    return _ferrule.same_bits(a.detach(), b.detach())


def check_at(fn, shapes, **dynamic) -> fe.Program:
    """Exports `fn` of one tensor and compares it with eager at other sizes."""
    fe.manual_seed(0)
    program = fe.export(fn, (fe.randn(*shapes[0]),), **dynamic)
    for shape in shapes:
        x = fe.randn(*shape)
        assert same(fn(x), program(x)), shape
    return program


# --- eager ------------------------------------------------------------------


def test_cond_runs_one_branch() -> None:
    ran = []
    x = fe.ones(2, requires_grad=True)
    y = fe.cond(x.sum() > 0, lambda x: x * 3, lambda x: ran.append(1), (x,))
    y.sum().backward()
    assert not ran and x.grad.tolist() == [3, 3]
    assert fe.cond(False, lambda: 1, lambda: 2) == 2


def test_scan_is_the_loop() -> None:
    x = fe.randn(5, 3, requires_grad=True)

    def step(carry, row):
        return carry * 0.5 + row, {"sum": carry.sum(), "row": row * carry}

    last, ys = fe.scan(step, fe.ones(3), x)
    carry, rows = np.ones(3), []
    for row in x.numpy(force=True).astype(np.float64):
        rows.append(row * carry)
        carry = carry * 0.5 + row
    np.testing.assert_allclose(last.numpy(force=True), carry, rtol=1e-6)
    np.testing.assert_allclose(ys["row"].numpy(force=True), rows, rtol=1e-5, atol=1e-6)
    assert ys["sum"].shape == (5,)
    (ys["row"].sum() + last.sum()).backward()
    assert x.grad.abs().min() > 0


def test_scan_backwards_and_along_another_dimension() -> None:
    x = fe.arange(6.0).reshape(2, 3)
    last, ys = fe.scan(lambda c, v: (c + v, c), fe.zeros(2), x, dim=1, reverse=True)
    assert last.tolist() == [3, 12]
    assert ys.tolist() == [[3, 2, 0], [9, 5, 0]]


def test_scan_by_length() -> None:
    last, none = fe.scan(lambda n, _: (n + 2, None), 0, None, length=4)
    assert last.item() == 8 and none is None


def test_map_stacks() -> None:
    x = fe.randn(4, 3)
    assert fe.equal(fe.map(lambda r, k: r * k, x, 2), x * 2)


def test_while_loop_with_numbers() -> None:
    n, x = fe.while_loop(lambda n, x: n < 3, lambda n, x: (n + 1, x * 2), (0, 1.5))
    assert n.item() == 3 and x.item() == 12


# --- in files ---------------------------------------------------------------


def test_cond_in_a_file() -> None:
    def f(x):
        return fe.cond(x.sum() > 0, lambda v: v * 2, lambda v: v - 1, (x,))

    program = check_at(f, [(3,), (1,), (7,)], dynamic_shapes=({0: "n"},))
    assert program(fe.tensor([-1.0, 0.5])).tolist() == [-2, -0.5]
    assert program(fe.tensor([1.0])).tolist() == [2]


def test_functions_use_tensors_and_sizes_around_them() -> None:
    scale = fe.randn(4)

    def f(x):
        mean = x.mean(0)
        n = x.shape[0] + 1

        def step(carry, row):
            inner = fe.cond(
                row.sum() > carry.sum(),
                lambda: row * mean + n * x.shape[0],
                lambda: (row - scale).reshape(x.shape[1]) / (n * 2),
            )
            return carry + inner, inner.expand(n, 4).sum(0)

        last, ys = fe.scan(step, fe.zeros(4), x)
        return fe.cat([last[None], ys])

    check_at(f, [(3, 4), (1, 4), (7, 4)], dynamic_shapes=({0: "n"},))


def test_strided_operands() -> None:
    def f(x):
        return fe.scan(lambda c, r: (c + r, c), x.T[:, 0], x.T[:, 1:].T)[1]

    check_at(f, [(4, 3), (8, 3)], dynamic_shapes=({0: "n"},))


def test_no_steps_in_a_file() -> None:
    def f(x):
        last, ys = fe.scan(lambda c, r: (c + r, r * 2), fe.ones(2), x)
        return last, ys

    program = fe.export(f, (fe.ones(3, 2),), dynamic_shapes=({0: "n"},), check=False)
    last, ys = program(fe.ones(0, 2))
    assert last.tolist() == [1, 1] and ys.shape == (0, 2)


def test_random_numbers_in_a_loop() -> None:
    def f(x):
        return fe.scan(lambda c, r: (F.dropout(c + r, 0.5), None), fe.zeros(64), x)[0]

    program = fe.export(f, (fe.ones(3, 64),))
    program.rng_state = (5, 0)
    got = [program(fe.ones(3, 64)) for _ in range(2)]
    fe.manual_seed(5)
    assert all(same(f(fe.ones(3, 64)), g) for g in got)


@dataclass
class State:
    token: fe.Tensor
    text: fe.Tensor


def test_greedy_decoding(tmp_path) -> None:
    """A loop that ends when the data says so, over a state in a dataclass."""
    fe.manual_seed(3)
    table = nn.Embedding(9, 9)
    longest = 12

    def decode(start):
        def going(n, s):
            return (n < longest) & (s.token != 0).all()

        def step(n, s):
            token = table(s.token).argmax(-1)
            where = fe.arange(longest) == n
            return n + 1, State(token, fe.where(where, token, s.text))

        first = State(start, fe.full((longest,), -1))
        n, last = fe.while_loop(going, step, (0, first))
        return n, last.text

    with fe.no_grad():
        path = tmp_path / "decode.fer"
        program = fe.export(decode, (fe.tensor([4]),), path=path)
        lengths = set()
        for token in range(9):
            n, text = decode(fe.tensor([token]))
            got = program(fe.tensor([token]))
            assert same(n, got[0]) and same(text, got[1])
            lengths.add(n.item())
    assert len(lengths) > 1
    subprocess.run([TOOL, "check", path], check=True)
    shown = subprocess.run(
        [TOOL, "inspect", "-v", path], check=True, capture_output=True, text=True
    ).stdout
    assert "while_loop, step" in shown and "argmax" in shown
    nodes = json.loads(
        subprocess.run(
            [TOOL, "inspect", "-v", "--json", path], check=True, capture_output=True
        ).stdout
    )["signatures"][0]["nodes"]
    assert [len(n["regions"]) for n in nodes if n["op"] == "while_loop"] == [2]


# --- gradients in files -----------------------------------------------------


class Recurrent(nn.Module):
    """A scan over a cell, an input-dependent branch, dropout, two directions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.cell = nn.GRUCell(4, 4)
        self.head = nn.Linear(4, 2)
        self.gain = nn.Parameter(fe.full((4,), 1.5))

    def forward(self, x):
        h = self.first(x)
        context = h.mean(0)

        def step(state, v):
            state = self.cell(v + context, state)
            state = fe.cond(
                state.sum() > 0,
                lambda s: s * self.gain,
                lambda s: s - context,
                (state,),
            )
            return state, state * self.gain

        start = fe.zeros(x.shape[1], 4)
        last, forward = fe.scan(step, start, h)
        _, backward = fe.scan(step, last, h, reverse=True)
        return self.head((forward + backward).sum(0))


@pytest.mark.parametrize("kind", [fe.optim.SGD, fe.optim.Adam])
def test_training_in_the_file_is_training_here(kind) -> None:
    fe.manual_seed(1)
    model = Recurrent()
    optimizer = kind(model.parameters(), lr=0.05)
    x, y = fe.randn(6, 4, 3), fe.tensor([0, 1, 1, 0])
    program = fe.export(
        model,
        (x,),
        dynamic_shapes={"x": {0: "time", 1: "batch"}, "target": {0: "batch"}},
        train=(F.cross_entropy, optimizer),
        targets=(y,),
    )
    for steps in (6, 3, 1, 7):
        x = fe.randn(steps, 4, 3)
        loss = program.run("train_step", x, y)[0]
        optimizer.zero_grad()
        expected = F.cross_entropy(model(x), y)
        expected.backward()
        optimizer.step()
        # Sums over steps are made in another order than eager's.
        np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-5)
    state = program.state_dict()
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(
            state[f"model.{name}"].numpy(),
            value.numpy(force=True),
            rtol=1e-3,
            atol=1e-5,
        )


def test_autocast_around_a_branch_is_that_of_its_gradient() -> None:
    fe.manual_seed(2)
    model = nn.Linear(4, 4)
    x, y = fe.randn(3, 4), fe.randn(3, 4)

    class Choice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = model

        def forward(self, x):
            with fe.autocast("cpu"):
                narrow = fe.Tensor.bfloat16
                return fe.cond(x.sum() > 9, narrow, self.layer, (x,)).float()

    def half(x):
        with fe.autocast("cpu"):
            return model(x).float()

    optimizer = fe.optim.SGD(model.parameters(), lr=0.5)
    program = fe.export(Choice(), (x,), train=(F.mse_loss, optimizer), targets=(y,))
    loss = program.run("train_step", x, y)[0]
    expected = F.mse_loss(half(x), y)
    expected.backward()
    optimizer.step()
    assert same(loss, expected)
    assert same(program.state_dict()["model.layer.weight"], model.weight)


def test_a_loop_of_unknown_length_has_no_gradient_in_a_file() -> None:
    model = nn.Linear(2, 2)

    def loop(x):
        return fe.while_loop(lambda x: x.sum() < 9, lambda x: (x + 1,), (model(x),))[0]

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x):
            return loop(x)

    loop(fe.ones(2)).sum().backward()  # eager, it has one
    assert model.weight.grad is not None
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(fe.AutogradError, match=r"\[while_loop\].*use fe.scan"):
        fe.export(
            Loop(),
            (fe.ones(2),),
            train=(F.mse_loss, optimizer),
            targets=(fe.ones(2),),
        )


# --- errors -----------------------------------------------------------------


def exported(fn, x=None):
    return lambda: fe.export(fn, (fe.ones(3) if x is None else x,))


@pytest.mark.parametrize(
    ("run", "error", "text"),
    [
        (
            lambda: fe.cond(fe.ones(2), fe.neg, fe.abs, (fe.ones(2),)),
            TypeError,
            "condition is float32; it must be a bool",
        ),
        (
            lambda: fe.cond(fe.ones(2) > 0, fe.neg, fe.abs, (fe.ones(2),)),
            fe.ShapeError,
            r"has shape \(2,\); it must be one bool: reduce it with .all\(\)",
        ),
        (
            exported(lambda x: fe.cond(x.sum() > 0, lambda: x, lambda: (x, x))),
            TypeError,
            "different structures",
        ),
        (
            exported(lambda x: fe.cond(x.sum() > 0, lambda: x, lambda: x[:2])),
            fe.ShapeError,
            r"the result has shape \(3,\) if true and \(2,\) if not",
        ),
        (
            exported(lambda x: fe.cond(x.sum() > 0, lambda: x, lambda: x.double())),
            fe.DTypeError,
            "float32 if true and .*float64 if not",
        ),
        (
            exported(lambda x: fe.cond(x.sum() > 0, lambda: x.add_(1), lambda: x)),
            RuntimeError,
            "writes in place into a tensor that is not its own",
        ),
        (
            exported(
                lambda x: fe.cond(x.sum() > 0, lambda v: v[:1].add_(1), fe.neg, (x,))
            ),
            RuntimeError,
            "writes in place into a tensor that is not its own",
        ),
        (
            lambda: fe.while_loop(lambda x: x < 3, lambda x: (x, x), (1,)),
            TypeError,
            r"structure it was given: carry.0, got carry.0, carry.1",
        ),
        (
            lambda: fe.while_loop(lambda x: x < 3, lambda x: x * 1.5, (1,)),
            fe.DTypeError,
            r"carry.0 is .*int64 before a step and .*float32 after it",
        ),
        (
            lambda: fe.scan(lambda c, x: (c[None], x), fe.ones(2), fe.ones(3, 2)),
            fe.ShapeError,
            r"carry has shape \(2,\) before a step and \(1, 2\) after",
        ),
        (
            lambda: fe.scan(lambda c, x: c, 0, fe.ones(3)),
            TypeError,
            "return \\(carry, y",
        ),
        (lambda: fe.scan(lambda c, x: (c, x), 0, None), ValueError, "length must say"),
        (lambda: fe.map(fe.neg, fe.ones(0, 2)), ValueError, "no steps"),
        (
            lambda: fe.scan(lambda c, x: (c, x), 0, (fe.ones(3), fe.ones(2))),
            fe.ShapeError,
            "sizes 3 and 2 along dimension 0",
        ),
        (
            lambda: fe.while_loop(lambda s: True, lambda s: s, ({"name": "x"},)),
            TypeError,
            "0.name is a str",
        ),
    ],
)
def test_errors_say_what_to_do(run, error, text) -> None:
    with pytest.raises(error, match=text):
        run()
    assert not _ferrule.is_capturing()


def test_a_loop_of_numbers_that_a_captured_tensor_ends() -> None:
    def f(x):
        (n,) = fe.while_loop(lambda n: n < x.sum(), lambda n: (n + 1,), (0,))
        return x * n

    program = fe.trace(f, fe.tensor([1.0, 2.0]))
    for values in ([1.0, 2.0], [0.0, 0.0], [3.0, 4.0]):
        x = fe.tensor(values)
        assert program(x).tolist() == f(x).tolist()
