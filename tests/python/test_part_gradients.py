"""Gradients of parts of a tensor are added to what was gathered so far."""

import numpy as np
import pytest

import ferrule as fe


def leaf(*shape):
    key = np.random.default_rng(sum(shape))
    return fe.tensor(key.standard_normal(shape).astype(np.float32), requires_grad=True)


def parts(x):
    """Parts of all kinds, some of which overlap, and the whole."""
    first, second, third = x.split([2, 1, 3], dim=1)
    rows = x.unbind(0)
    return (
        (first * first).sum()
        + (second * 3.0).sum()
        + third.exp().sum()
        + sum((r * (i + 1.0)).sum() for i, r in enumerate(rows))
        + (x[1:3, ::2] * x[0:2, 1::2]).sum()
        + (x * x[-1]).sum()
        + x.narrow(0, -2, 2).sin().sum()
    )


def expected(x):
    """The same gradient, by matrices of zeros and ones."""
    rows, columns = (fe.eye(n) for n in x.shape)

    def part(r, c):
        return rows[r] @ x @ columns[c].T

    every = slice(None)
    total = (part(every, slice(0, 2)) ** 2).sum()
    total = total + part(every, slice(2, 3)).sum() * 3.0
    total = total + part(every, slice(3, 6)).exp().sum()
    for i in range(len(x)):
        total = total + part(slice(i, i + 1), every).sum() * (i + 1.0)
    odd, even = slice(1, None, 2), slice(None, None, 2)
    total = total + (part(slice(1, 3), even) * part(slice(0, 2), odd)).sum()
    total = total + (x * part(slice(-1, None), every)).sum()
    return total + part(slice(-2, None), every).sin().sum()


def gradient(function, x, **options):
    (g,) = fe.autograd.grad(function(x), x, **options)
    return g


def test_as_by_matrices():
    x = leaf(4, 6)
    got, want = gradient(parts, x), gradient(expected, x)
    assert fe.allclose(got, want, rtol=1e-5, atol=1e-5)


def test_second_order():
    x = leaf(4, 6)

    def squared(function):
        return (gradient(function, x, create_graph=True) ** 2).sum()

    (got,) = fe.autograd.grad(squared(parts), x)
    (want,) = fe.autograd.grad(squared(expected), x)
    assert fe.allclose(got, want, rtol=1e-4, atol=1e-4)


def test_a_second_pass_adds_the_same():
    x = leaf(4, 6)
    y = parts(x)
    y.backward(retain_graph=True)
    once = x.grad.clone()
    y.backward()
    assert fe.equal(x.grad, once * 2.0)


def test_hooks_see_the_whole_sum():
    seen = []
    x = leaf(4, 6)
    y = x * 1.5
    y.register_hook(lambda g: seen.append(g.clone()))
    y.retain_grad()
    a, b = y.chunk(2, 0)
    (a.sum() + (b * 2.0).sum()).backward()
    assert len(seen) == 1
    assert seen[0].tolist() == [[1.0] * 6] * 2 + [[2.0] * 6] * 2
    assert fe.equal(y.grad, seen[0])


def test_what_others_hold_is_not_written():
    x = leaf(4, 6)
    held = []
    y = x + 0.0
    z = y * 1.0
    z.register_hook(held.append)  # the gradient that y gets first
    (z.sum() + y[0].sum() + y[1].sum()).backward()
    assert held[0].tolist() == [[1.0] * 6] * 4
    assert x.grad.tolist() == [[2.0] * 6] * 2 + [[1.0] * 6] * 2


def test_complex_and_half():
    for dtype in (fe.complex64, fe.bfloat16, fe.float64):
        x = fe.ones(3, 4).to(dtype).requires_grad_()
        a, b, _ = x.unbind(0)
        (a + b * 2.0 + x[0]).abs().sum().backward()
        assert x.grad.dtype is dtype
        assert x.grad.to(fe.float64).tolist() == [[2.0] * 4, [2.0] * 4, [0.0] * 4]


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_a_loop_over_time_makes_one_tensor(dim):
    """Not one tensor of the whole size for each step."""
    x = leaf(5, 6, 7)
    with fe.profiler.profile() as p:
        sum((part * part).sum() for part in x.unbind(dim)).backward()
    names = [e.name for e in p.events()]
    steps = x.shape[dim]
    assert names.count("select_dx") == 1
    assert names.count("select_add_") == steps - 1
    assert fe.allclose(x.grad, x.detach() * 2.0)


def test_a_loop_that_writes_its_results():
    x = leaf(4, 6)

    def written(x):
        out = fe.zeros(4, 6)
        for t in range(6):
            out[:, t] = (x[:, t] * (t + 1.0)).exp()
        return (out * out).sum()

    def stacked(x):
        columns = [(x[:, t] * (t + 1.0)).exp() for t in range(6)]
        return (fe.stack(columns, 1) ** 2).sum()

    want = gradient(stacked, x)
    assert fe.allclose(gradient(written, x), want)
    with fe.profiler.profile() as p:
        written(x).backward()
    names = [e.name for e in p.events()]
    # A write costs its part and not the whole; the first one has no history before.
    assert names.count("strided_write") == 0
    assert names.count("strided_write_") == 5


def test_a_gradient_that_others_hold_is_not_written_over():
    x = leaf(4, 6)
    out = x * 1.0
    held = []
    out[1] = x[0] * 3.0
    out.register_hook(held.append)
    out.sum().backward()
    assert held[0].tolist() == [[1.0] * 6] * 4
    assert x.grad.tolist() == [[4.0] * 6, [0.0] * 6, [1.0] * 6, [1.0] * 6]


def test_in_graphs():
    def step(x):
        return gradient(lambda w: parts(w), x.detach().requires_grad_())

    x = leaf(4, 6).detach()
    want = step(x)
    compiled = fe.compile(step)
    assert fe.equal(compiled(x), want)
    steps = compiled.graphs()[0].steps()
    # x[1:3, ::2] and x[0:2, 1::2] are parts of parts, which have tensors of theirs.
    assert steps.count("slice_dx") == 2
    assert steps.count("select_dx") == 0
    assert steps.count("select_add") == 5
