"""Writes in place, through detach() and .data too: a program loses none of them."""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule, nn


class Model(nn.Module):
    """Runs a function of (model, x); has a parameter and a buffer to write into."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(fe.tensor([1.0, 2.0, 3.0]))
        self.register_buffer("count", fe.zeros(3))

    def forward(self, x):
        return self.function(self, x)


def through_detach(m, x):
    y = x * 2
    y.detach().mul_(0)
    return y + 1


def through_a_view_of_detach(m, x):
    y = x * 2
    y.detach()[1:].mul_(0)
    return y + 1


def through_detach_of_a_view(m, x):
    y = x * 2
    y[1:].detach().mul_(0)
    return y + 1


def through_views_on_both_sides(m, x):
    y = x * 2
    y[1:].detach()[1:].mul_(0)
    return y + 1


def through_detach_of_detach(m, x):
    y = x * 2
    first = y.detach()
    first[1:].detach().mul_(0)
    return y + first


def through_data(m, x):
    y = x * 2
    y.data[0] = 5
    return y + 1


def set_data(m, x):
    y = x * 2
    y.data = x * 3
    return y + 1


def seen_by_the_detached(m, x):
    y = x * 2
    detached, part = y.detach(), y.detach()[1:]
    y.mul_(0)
    return detached + part.sum()


def both_in_turn(m, x):
    y = x * 2
    detached = y.detach()
    detached += 1
    y *= 2
    detached.copy_(detached + x)
    return detached + y


def kernels_that_write_themselves(m, x):
    y = x * 2
    y[1:].detach().copy_(x[1:] + 5)
    y.detach()[:1].fill_(7)
    return y


def transposed(m, x):
    y = fe.outer(x, x)
    y.t().detach()[0].mul_(0)
    return y + 1


def an_input(m, x):
    x.detach().mul_(0)
    return x + 1


def after_detach_in_place(m, x):
    y = m.weight * x
    part = y.detach()[1:]
    y.detach_()
    y.mul_(3)
    return part + y.sum()


def a_stale_view_is_detached(m, x):
    y = x * 2
    view = y[1:]
    y.mul_(3)
    return view.detach() + 1


def a_stale_view_is_returned(m, x):
    y = x * 2
    view, detached = y[1:], y.detach()
    y.mul_(3)
    return view, detached


def a_buffer_in_place(m, x):
    m.count.add_(x.sum())
    return m.count


def a_parameter_without_history(m, x):
    with fe.no_grad():
        m.weight.copy_(m.weight + x.sum())
    return m.weight + 1


def a_parameter(m, x):
    m.weight.data.mul_(0)
    return m.weight + x.sum()


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        through_detach,
        through_a_view_of_detach,
        through_detach_of_a_view,
        through_views_on_both_sides,
        through_detach_of_detach,
        through_data,
        set_data,
        seen_by_the_detached,
        both_in_turn,
        kernels_that_write_themselves,
        transposed,
        an_input,
        a_stale_view_is_detached,
        a_stale_view_is_returned,
        a_buffer_in_place,
        a_parameter,
        a_parameter_without_history,
    ],
    ids=lambda f: f.__name__,
)
def test_program_does_what_eager_does(function, dynamic):
    x = fe.tensor([1.0, 2.0, 4.0])
    shapes = ({0: fe.Dim("n", min=2)},) if dynamic else None
    program = fe.export(Model(function), (x.clone(),), dynamic_shapes=shapes)
    eager, captured = Model(function)(x.clone()), program(x.clone())
    if not isinstance(eager, tuple):
        eager, captured = (eager,), (captured,)
    for a, b in zip(eager, captured, strict=True):
        assert a.tolist() == b.tolist()


def test_detach_in_place_with_fixed_sizes():
    x = fe.tensor([1.0, 2.0, 4.0])
    program = fe.export(Model(after_detach_in_place), (x,))
    assert program(x).tolist() == Model(after_detach_in_place)(x).tolist()


def test_a_buffer_written_through_detach_is_state():
    def count(m, x):
        m.count.detach().add_(x)
        return x

    model = Model(count)
    program = fe.export(model, (fe.ones(3),))
    assert model.count.tolist() == [0.0, 0.0, 0.0]  # exporting changes nothing
    program(fe.ones(3))
    program(fe.ones(3))
    assert program.state_dict()["model.count"].tolist() == [2.0, 2.0, 2.0]


class Masked(fe.optim.SGD):
    """Changes gradients before the step as `change(p.grad)` says."""

    def __init__(self, params, change, **options):
        self.change = change
        super().__init__(params, **options)

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                self.change(p.grad)
        return super().step(closure)


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g.detach().mul_(0),
        lambda g: g.data.mul_(0.5),
        lambda g: g.detach()[:, 1:].mul_(0),
        lambda g: g[0].detach().copy_(g[0] * 2),
    ],
    ids=["detach", "data", "view", "row"],
)
def test_train_step_sees_writes_into_gradients(change):
    x, y = fe.rand(5, 4), fe.rand(5, 3)
    model, other = nn.Linear(4, 3, bias=False), nn.Linear(4, 3, bias=False)
    other.load_state_dict(model.state_dict())
    optimizer = Masked(model.parameters(), change, lr=0.1)
    program = fe.export(
        model, (x,), train=(nn.functional.mse_loss, optimizer), targets=(y,)
    )
    program.run("train_step", x, y)
    optimizer = Masked(other.parameters(), change, lr=0.1)
    nn.functional.mse_loss(other(x), y).backward()
    optimizer.step()
    assert program.state_dict()["model.weight"].tolist() == other.weight.tolist()


def test_gradients_of_equal_value_have_memory_of_their_own():
    """The sum gives both the same gradient; writing into one leaves the other."""

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(fe.ones(2))
            self.b = nn.Parameter(fe.ones(2))

        def forward(self, x):
            return self.a + self.b + x

    class First(fe.optim.SGD):
        def step(self, closure=None):
            self.param_groups[0]["params"][0].grad.mul_(0)
            return super().step(closure)

    x, y = fe.rand(2), fe.rand(2)
    model = Two()
    optimizer = First(model.parameters(), lr=1.0)
    program = fe.export(
        model, (x,), train=(nn.functional.mse_loss, optimizer), targets=(y,)
    )
    program.run("train_step", x, y)
    state = program.state_dict()
    assert state["model.a"].tolist() == [1.0, 1.0]
    assert state["model.b"].tolist() != [1.0, 1.0]


def loop(x):
    out = fe.zeros(4, 6)
    for t in range(6):
        out[:, t] = (x[:, t] * (t + 1.0)).exp()
    return out


def whole(x):
    out = fe.empty(4, 6)
    out.copy_(x)
    out += x
    return out.mul_(2.0)


def parts_of_parts(x):
    out = fe.ones(4, 6)
    out[0] = 5.0  # still numbers alone
    out[1] = x[1]
    out[2, 3:] = out[1, :3]
    return out, out.sum(0)


def read_before(x):
    out = fe.ones(4, 6)
    y = x + out
    out[0] = x[0]
    return out + y


def masked(x):
    out = fe.zeros_like(fe.ones(4, 6))
    out[x > 0] = 1.0
    return out.clamp_(max=0.5)


def in_a_branch(x):
    def made(x):
        out = fe.ones(4, 6)
        out[0] = x[0] + out[1]
        out[1] += x[1]
        return out

    return fe.cond(x.sum() > 0, made, lambda x: x * 2.0, (x,))


@fe.script
def in_a_script(x):
    out = fe.zeros(4, 6)
    i = 0
    while out.sum() < 10.0 and i < 20:
        out[1] = out[1] + x[0].abs() + 1.0
        i = i + 1
    return out


@pytest.mark.parametrize(
    "function",
    [loop, whole, parts_of_parts, read_before, masked, in_a_branch, in_a_script],
)
def test_a_tensor_made_on_the_way_is_written(function):
    x = fe.tensor(np.random.default_rng(0).standard_normal((4, 6)).astype("f"))
    want = function(x)
    for run in (fe.compile(function), fe.export(function, (x,))):
        got = run(x)
        if not isinstance(want, tuple):
            got = [got]
        for a, b in zip(got, want if isinstance(want, tuple) else [want], strict=True):
            assert _ferrule.same_bits(a, b)


def test_the_gradient_of_what_was_written():
    def step(x):
        x = x.detach().requires_grad_()
        (g,) = fe.autograd.grad((loop(x) ** 2).sum(), x)
        return g

    x = fe.ones(4, 6)
    assert _ferrule.same_bits(fe.compile(step)(x), step(x))


def test_a_tensor_that_others_look_into_is_not_written():
    outside = fe.zeros(3)

    def seen_twice(x):
        out = fe.zeros(3)
        other = out[1:]
        out[0] = x[0]
        return out, other

    def from_outside(x):
        outside[0] = x[0]
        return outside * 1.0

    for function in (seen_twice, from_outside):
        with pytest.raises(fe.FerruleError, match="not made in this code for itself"):
            fe.export(function, (fe.ones(3),))
    assert outside.tolist() == [0.0] * 3
