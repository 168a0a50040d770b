"""ferrule.func: what PyTorch's torch.func does, and errors that teach."""

from __future__ import annotations

import doctest
import warnings
from collections import OrderedDict, namedtuple
from importlib import import_module

import numpy as np
import pytest

import ferrule as fe
from ferrule.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    value_and_grad,
    vjp,
    vmap,
)

F = fe.nn.functional


def same(a: fe.Tensor, b: fe.Tensor, tolerance: float = 1e-6) -> None:
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_allclose(
        a.detach().numpy(), b.detach().numpy(), tolerance, tolerance
    )


def rows(*shape: int) -> fe.Tensor:
    return fe.linspace(-1.0, 1.0, int(np.prod(shape)) or 1)[
        : int(np.prod(shape))
    ].reshape(shape)


# --- grad and its kin


def test_grad_of_grad() -> None:
    x = fe.tensor(2.0)
    assert grad(lambda t: t**4)(x).item() == 32.0
    assert grad(grad(lambda t: t**4))(x).item() == 48.0
    assert grad(grad(grad(lambda t: t**4)))(x).item() == 48.0


def test_results_have_no_history_unless_somebody_follows() -> None:
    x = fe.tensor(2.0)
    g, y = grad_and_value(lambda t: t**3)(x)
    assert not g.requires_grad and not y.requires_grad
    x.requires_grad_()
    g = grad(lambda t: t**3)(x)
    g.backward()
    assert x.grad.item() == 12.0
    w = fe.tensor(3.0, requires_grad=True)
    g = grad(lambda t: w * t * t)(fe.tensor(2.0))
    g.backward()
    assert w.grad.item() == 4.0
    with fe.no_grad():
        assert not grad(lambda t: w * t * t)(fe.tensor(2.0)).requires_grad


def test_grad_respects_what_the_function_says() -> None:
    def f(x: fe.Tensor) -> fe.Tensor:
        with fe.no_grad():
            c = x * 2
        return x**2 - c

    assert grad(f)(fe.tensor(3.0)).item() == 6.0
    with fe.no_grad():
        assert grad(lambda x: x**2)(fe.tensor(3.0)).item() == 6.0


def test_argnums_structures_and_aux() -> None:
    a, b = fe.tensor(2.0), fe.tensor(3.0)
    f = lambda x, y: x * y**2  # noqa: E731
    assert grad(f)(a, b).item() == 9.0
    assert grad(f, argnums=1)(a, b).item() == 12.0
    assert grad(f, argnums=-1)(a, b).item() == 12.0
    assert [g.item() for g in grad(f, argnums=(1, 0))(a, b)] == [12.0, 9.0]
    tree = {"w": a, "more": [b, (a,)]}
    g = grad(lambda t: t["w"] * t["more"][0] + t["more"][1][0])(tree)
    assert g["w"].item() == 3.0 and g["more"][0].item() == 2.0
    assert g["more"][1][0].item() == 1.0
    Pair = namedtuple("Pair", "left right")
    g = grad(lambda p: p.left * p.right)(Pair(a, b))
    assert isinstance(g, Pair) and g.left.item() == 3.0
    g, aux = grad(lambda x: (x**2, {"y": x + 1}), has_aux=True)(a)
    assert g.item() == 4.0 and aux["y"].item() == 3.0 and not aux["y"].requires_grad
    (v, aux), g = value_and_grad(lambda x: (x**2, "text"), has_aux=True)(a)
    assert (v.item(), aux, g.item()) == (4.0, "text", 4.0)
    g, (v, aux) = grad_and_value(lambda x: (x**2, 1), has_aux=True)(a)
    assert (v.item(), aux, g.item()) == (4.0, 1, 4.0)
    assert grad(lambda x, y: y)(a, b).item() == 0.0
    assert grad(lambda x, *, k: x * k)(a, k=5.0).item() == 5.0


def test_vjp_and_jvp() -> None:
    x = rows(3)
    y, pull = vjp(lambda t: {"s": t.sin(), "c": [t.cos()]}, x)
    v = fe.tensor([1.0, 2.0, 3.0])
    (got,) = pull({"s": v, "c": [v]})
    same(got, v * x.cos() - v * x.sin())
    same(y["s"], x.sin())
    same(pull({"s": v, "c": [fe.zeros(3)]})[0], v * x.cos())  # again
    y, dy = jvp(lambda a, b: (a * b, a), (x, v), (v, x))
    same(dy[0], v * v + x * x)
    same(dy[1], v)
    y, push = linearize(fe.sin, x)
    same(push(v), v * x.cos())
    same(push(2 * v), 2 * v * x.cos())
    y, pull, aux = vjp(lambda t: (t * t, 7), x, has_aux=True)
    assert aux == 7
    y, dy, aux = jvp(lambda t: (t * t, 7), (x,), (v,), has_aux=True)
    assert aux == 7
    same(dy, 2 * x * v)


def test_jacobians_and_hessians() -> None:
    a = rows(2, 3)
    x = rows(3)
    for jacobian in (jacrev, jacfwd):
        same(jacobian(lambda t: a @ t)(x), a)
        both = jacobian(lambda t, u: t * u, argnums=(0, 1))(x, x + 1)
        same(both[0], fe.diag(x + 1))
        same(both[1], fe.diag(x))
        out = jacobian(lambda t: {"a": t.sum(), "b": (t * t,)})(x)
        same(out["a"], fe.ones(3))
        same(out["b"][0], fe.diag(2 * x))
        value, aux = jacobian(lambda t: (t * 2, t.sum()), has_aux=True)(x)
        same(value, 2 * fe.eye(3))
        same(aux, x.sum())
    same(jacrev(lambda t: a @ t, chunk_size=1)(x), a)
    same(hessian(lambda t: (t**3).sum())(x), fe.diag(6 * x))
    same(jacrev(jacrev(lambda t: (t**3).sum()))(x), fe.diag(6 * x))
    h = hessian(lambda t, u: (t * u * u).sum(), argnums=(0, 1))(x, x + 2)
    same(h[0][0], fe.zeros(3, 3))
    same(h[0][1], fe.diag(2 * (x + 2)))
    same(h[1][1], fe.diag(2 * x))


def test_hessian_vector_products_agree() -> None:
    w = rows(4, 3)

    def f(x: fe.Tensor) -> fe.Tensor:
        return (w @ x).tanh().sum()

    x, v = rows(3) + 0.3, fe.tensor([1.0, -2.0, 0.5])
    h = hessian(f)(x)
    same(jvp(grad(f), (x,), (v,))[1], h @ v, 1e-5)
    same(vjp(grad(f), x)[1](v)[0], h @ v, 1e-5)
    same(grad(lambda t: grad(f)(t) @ v)(x), h @ v, 1e-5)


# --- vmap


def test_in_dims_and_out_dims() -> None:
    x = rows(2, 3, 4)
    for d in range(-3, 3):
        same(vmap(fe.sum, in_dims=d)(x), x.movedim(d, 0).sum((1, 2)))
    same(vmap(lambda t: t * 2, in_dims=1, out_dims=2)(x), x.movedim(1, 2) * 2)
    same(vmap(lambda t: t * 2, out_dims=-1)(x), x.movedim(0, -1) * 2)
    tree = {"a": x, "b": [x[0], x.sum()]}
    got = vmap(
        lambda t, k: (t["a"] + t["b"][0] + t["b"][1] * k, {"c": t["a"]}),
        in_dims=({"a": 0, "b": None}, None),
        out_dims=(0, 1),
    )(tree, 3)
    same(got[0], x + x[0] + x.sum() * 3)
    same(got[1]["c"], x.movedim(0, 1))
    # Results that do not differ from sample to sample.
    same(vmap(lambda t: fe.ones(2))(x), fe.ones(2, 2))
    same(vmap(lambda t: fe.ones(2), out_dims=None)(x), fe.ones(2))
    ordered = vmap(lambda t: OrderedDict(y=t))(x)
    assert isinstance(ordered, OrderedDict)
    same(vmap(lambda t, *, by: t * by)(x, by=2), x * 2)


def test_nesting() -> None:
    a, b = rows(4), rows(5)
    same(vmap(vmap(fe.mul, (None, 0)), (0, None))(a, b), fe.outer(a, b))
    same(vmap(vmap(fe.mul, (0, None)), (None, 0))(a, b), fe.outer(b, a))
    x = rows(2, 3, 4)
    same(vmap(vmap(vmap(fe.sin)))(x), x.sin())
    same(
        vmap(lambda t: t - vmap(lambda u: u + t.mean())(t))(x[0]),
        -fe.ones(3, 4) * x[0].mean(1, True),
    )
    # A tensor of the outer call is a constant of the inner one, also when computed.
    got = vmap(lambda t: vmap(lambda u: u * (t * 2).sum())(t))(x[0])
    same(got, x[0] * (x[0] * 2).sum(1, True))


def test_gradients_through_vmap() -> None:
    w = rows(3, 4).requires_grad_()
    x = rows(5, 3).requires_grad_()
    f = lambda t: (t @ w).tanh()  # noqa: E731
    vmap(f)(x).sum().backward()
    got = (w.grad, x.grad)
    w.grad = x.grad = None
    fe.stack([f(t) for t in x]).sum().backward()
    same(got[0], w.grad)
    same(got[1], x.grad)

    # What the function detaches has no gradient, and neither what is not recorded.
    def g(t: fe.Tensor) -> fe.Tensor:
        with fe.no_grad():
            factor = t * 3
        return (t * t.detach() * factor).sum()

    y = fe.tensor([1.0, 2.0], requires_grad=True)
    vmap(g)(y).sum().backward()
    assert y.grad.tolist() == [3.0, 12.0]
    with fe.no_grad():
        assert not vmap(f)(x).requires_grad

    def h(t: fe.Tensor) -> fe.Tensor:
        with fe.no_grad():
            return t @ w

    assert not vmap(h)(x.detach()).requires_grad
    # Gradients of gradients of samples.
    y.grad = None
    vmap(grad(lambda t: t**3))(y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0]


class Straight(fe.autograd.Function):
    """Rounds, and passes gradients on as if it did not."""

    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


def test_custom_functions_keep_their_backward() -> None:
    x = fe.tensor([1.2, 2.7])
    f = lambda t: Straight.apply(t) * t  # noqa: E731
    same(vmap(f)(x), x.round() * x)
    same(vmap(grad(f))(x), x + x.round())
    same(
        grad(lambda t: vmap(grad(f))(t.detach()).sum() * t.sum())(x),
        fe.full((2,), 8.1 - 0.2),
    )
    x.requires_grad_()
    with pytest.raises(fe.AutogradError, match=r"'Straight.*vmap\(grad\(f\)\)"):
        vmap(f)(x)
    with fe.no_grad():
        same(vmap(f)(x), x.round() * x)


def test_no_samples_and_one() -> None:
    for n in (0, 1):
        x = fe.zeros(n, 3)
        assert vmap(lambda t: F.softmax(t @ fe.ones(3, 2), -1))(x).shape == (n, 2)
        assert vmap(grad(lambda t: (t**2).sum()))(x).shape == (n, 3)
        assert vmap(lambda t: fe.cat([t, t]))(x).shape == (n, 6)
        assert vmap(fe.argmax)(x).shape == (n,)
        images, weights = fe.zeros(n, 1, 2, 5, 5), fe.zeros(n, 4, 2, 3, 3)
        assert vmap(F.conv2d)(images, weights).shape == (n, 1, 4, 3, 3)
        w = fe.ones(3, 2, requires_grad=True)
        vmap(lambda t, w=w: t @ w)(x).sum().backward()
        assert w.grad.shape == (3, 2) and w.grad.abs().sum().item() == 0


def test_chunks() -> None:
    x = rows(7, 3)
    f = lambda t: (t.sin(), t.sum())  # noqa: E731
    for size in (1, 2, 3, 7, 100):
        got = vmap(f, chunk_size=size, out_dims=(1, 0))(x)
        same(got[0], x.sin().T)
        same(got[1], x.sum(1))


def test_writes_in_place() -> None:
    x = rows(3, 4)

    def f(t: fe.Tensor) -> fe.Tensor:
        y = t.clone()
        y[1:3] = t[0] * 2
        y.mul_(3)
        y[0] += 1
        return y

    same(vmap(f)(x), fe.stack([f(t) for t in x]))
    same(
        vmap(grad(lambda t: (f(t) ** 2).sum()))(x),
        fe.stack([grad(lambda t: (f(t) ** 2).sum())(t) for t in x]),
    )
    # Into an argument: the batch changes.
    y = x.clone()
    vmap(lambda t: t.add_(t.sum()))(y)
    same(y, x + x.sum(1, True))
    y = x.clone()
    vmap(lambda t: t.zero_(), in_dims=1)(y)
    same(y, x * 0)
    shared = fe.zeros(4)
    with pytest.raises(fe.FerruleError, match=r"all samples share.*batch dimension"):
        vmap(lambda t: shared.add_(t))(x)
    assert shared.tolist() == [0.0] * 4

    def late(t: fe.Tensor) -> fe.Tensor:
        y = t + shared
        shared.add_(1.0)
        return y

    with pytest.raises(fe.FerruleError, match="after it had used it"):
        vmap(late)(x)


def test_randomness() -> None:
    x = fe.zeros(50, 20)
    with pytest.raises(fe.FerruleError, match=r'randomness="same"'):
        vmap(lambda t: t + fe.rand(20))(x)
    for draw in (
        lambda t: t + fe.rand(20),
        lambda t: t + fe.rand_like(t),
        lambda t: F.dropout(t + 1),
        lambda t: t + fe.randperm(20),
        lambda t: t + fe.bernoulli(t + 0.5),
        lambda t: t.clone().uniform_(),
    ):
        same_draws = vmap(draw, randomness="same")(x)
        assert all(fe.equal(r, same_draws[0]) for r in same_draws)
        assert same_draws[0].unique().numel() > 1
        different = vmap(draw, randomness="different")(x)
        assert not fe.equal(different[0], different[1])
        fe.manual_seed(3)
        first = vmap(draw, randomness="different")(x)
        fe.manual_seed(3)
        assert fe.equal(first, vmap(draw, randomness="different")(x))
    g = fe.Generator()
    for draw in (
        lambda t: t + fe.rand(20, generator=g),
        lambda t: t.clone().normal_(generator=g),
        lambda t: t + fe.randint(0, 3, (20,), generator=g),
        lambda t: vmap(lambda s: s + fe.randn((), generator=g))(t),
    ):
        for randomness in ("error", "same", "different"):
            with pytest.raises(fe.FerruleError, match=r"\[vmap\] generator= cannot"):
                vmap(draw, randomness=randomness)(x)
    own = vmap(lambda t: t + fe.rand(20, generator=fe.default_generator), 0, 0, "same")
    assert own(x).shape == (50, 20)
    mask = vmap(lambda t: F.dropout(t + 1, 0.25), randomness="different")(x)
    assert 0.15 < (mask == 0).float().mean().item() < 0.35
    w = x.sum().clone()  # nothing that is drawn differs by itself
    same(
        vmap(lambda t: t.sum() + fe.rand(2) * 0, randomness="same")(x),
        fe.zeros(50, 2) + w,
    )


def test_a_slow_op_warns_by_name() -> None:
    x = rows(3, 4)
    mask = x > 0
    with pytest.warns(fe.FerruleWarning, match=r"masked_scatter: sample by sample"):
        got = vmap(lambda t, m: t.masked_scatter(m, t * 2))(x, mask)
    same(
        got,
        fe.stack([t.masked_scatter(m, t * 2) for t, m in zip(x, mask, strict=True)]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vmap(lambda t: F.softmax(t, 0))(x)


def test_export_of_a_batch() -> None:
    net = fe.nn.Sequential(fe.nn.Linear(3, 4), fe.nn.Tanh(), fe.nn.Linear(4, 1))
    f = lambda xs: vmap(lambda t: net(t)[0] * t.sum())(xs)  # noqa: E731
    program = fe.export(f, (rows(5, 3),), dynamic_shapes=({0: "batch"},))
    same(program(rows(7, 3)), f(rows(7, 3)))


# --- modules


class Net(fe.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = fe.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = fe.nn.GroupNorm(2, 4)
        self.out = fe.nn.Linear(4 * 4 * 4, 3)

    def forward(self, x: fe.Tensor) -> fe.Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return self.out(x.flatten(1))


def test_gradients_of_every_sample_of_a_network() -> None:
    net = Net()
    x, y = fe.randn(6, 1, 8, 8), fe.randint(0, 3, (6,))
    params = {k: v.detach() for k, v in net.named_parameters()}

    def loss(params: dict[str, fe.Tensor], x: fe.Tensor, y: fe.Tensor) -> fe.Tensor:
        logits = functional_call(net, params, x.unsqueeze(0))
        return F.cross_entropy(logits, y.unsqueeze(0))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)
    for i in range(len(x)):
        net.zero_grad()
        F.cross_entropy(net(x[i : i + 1]), y[i : i + 1]).backward()
        for name, p in net.named_parameters():
            same(got[name][i], p.grad, 1e-5)


def test_an_ensemble() -> None:
    nets = [Net() for _ in range(3)]
    params, buffers = stack_module_state(nets)
    assert all(p.requires_grad and p.is_leaf for p in params.values())
    x = fe.randn(5, 1, 8, 8)

    def call(params, buffers, x):
        return functional_call(nets[0], (params, buffers), (x,))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = vmap(call, in_dims=(0, 0, None))(params, buffers, x)
        each = vmap(call)(params, buffers, fe.stack([x, x + 1, x * 2]))
    for i, net in enumerate(nets):
        same(got[i], net(x), 1e-5)
        same(each[i], net([x, x + 1, x * 2][i]), 1e-5)
    got.sum().backward()
    nets[1](x).sum().backward()
    same(params["conv.weight"].grad[1], nets[1].conv.weight.grad, 1e-4)


LAYERS = {
    "Linear": (lambda: fe.nn.Linear(6, 4), (3, 6)),
    "Conv1d": (lambda: fe.nn.Conv1d(4, 6, 3, padding=1, groups=2), (2, 4, 7)),
    "Conv2d": (lambda: fe.nn.Conv2d(2, 4, 3, stride=2), (2, 2, 7, 7)),
    "Conv3d": (lambda: fe.nn.Conv3d(2, 3, 2), (2, 2, 4, 4, 4)),
    "ConvTranspose2d": (lambda: fe.nn.ConvTranspose2d(2, 3, 3, stride=2), (2, 2, 4, 4)),
    "BatchNorm2d": (lambda: fe.nn.BatchNorm2d(3).eval(), (2, 3, 4, 4)),
    "LayerNorm": (lambda: fe.nn.LayerNorm((2, 5)), (3, 2, 5)),
    "GroupNorm": (lambda: fe.nn.GroupNorm(2, 4), (2, 4, 5)),
    "RMSNorm": (lambda: fe.nn.RMSNorm(5), (3, 5)),
    "PReLU": (lambda: fe.nn.PReLU(3), (2, 3, 4)),
    "Bilinear": (lambda: fe.nn.Bilinear(6, 6, 2), (3, 6)),
    "MultiheadAttention": (lambda: fe.nn.MultiheadAttention(4, 2), (5, 3, 4)),
    "LSTM": (lambda: fe.nn.LSTM(3, 4, bidirectional=True), (5, 2, 3)),
    "GRU": (lambda: fe.nn.GRU(3, 4, num_layers=2), (5, 2, 3)),
    "TransformerEncoderLayer": (
        lambda: fe.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0),
        (5, 3, 4),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_with_weights_of_their_own(name: str) -> None:
    """An ensemble, and gradients of its members, without running one by one."""
    make, shape = LAYERS[name]
    layers = [make() for _ in range(2)]
    params, buffers = stack_module_state(layers)
    params = {k: v.detach() for k, v in params.items()}
    x = fe.randn(2, *shape)

    def call(params, buffers, x):
        args = {"MultiheadAttention": (x, x, x), "Bilinear": (x, x)}.get(name, (x,))
        out = functional_call(layers[0], (params, buffers), args)
        return out[0] if isinstance(out, tuple) else out

    def loss(params, buffers, x):
        return (call(params, buffers, x) ** 2).mean()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = vmap(call)(params, buffers, x)
        grads = vmap(grad(loss, (0, 2)))(params, buffers, x)
        one_weight = vmap(grad(loss), (None, None, 0))(
            {k: v[0] for k, v in params.items()},
            {k: v[0] for k, v in buffers.items()},
            x,
        )
    for i in range(2):
        own = [{k: v[i] for k, v in s.items()} for s in (params, buffers)]
        same(got[i], call(*own, x[i]), 1e-5)
        weights, inputs = grad(loss, (0, 2))(*own, x[i])
        same(grads[1][i], inputs, 1e-4)
        first = grad(loss)(
            *[{k: v[0] for k, v in s.items()} for s in (params, buffers)], x[i]
        )
        for k, w in weights.items():
            same(grads[0][k][i], w, 1e-4)
            same(one_weight[k][i], first[k], 1e-4)


def test_tables_with_weights_of_their_own() -> None:
    tables = fe.randn(3, 5, 4)
    index = fe.tensor([[0, 4, 4], [1, 1, 2], [3, 0, 1]])
    f = lambda w, i: (F.embedding(i, w, padding_idx=1) ** 3).sum()  # noqa: E731
    for dims in ((0, 0), (None, 0), (0, None)):
        w = tables if dims[0] == 0 else tables[0]
        i = index if dims[1] == 0 else index[0]
        got = vmap(grad(f), dims)(w, i)
        outer = grad(lambda t, i=i, dims=dims: vmap(f, dims)(t, i).sum())(w)
        each = [
            grad(f)(w[k] if dims[0] == 0 else w, i[k] if dims[1] == 0 else i)
            for k in range(3)
        ]
        same(got, fe.stack(each))
        same(outer, fe.stack(each) if dims[0] == 0 else fe.stack(each).sum(0), 1e-5)
    for wrong in (-1, 5):
        with pytest.raises(IndexError):
            vmap(F.embedding, (None, 0))(fe.full((2,), wrong), tables)


def test_running_statistics_of_an_ensemble() -> None:
    nets = [fe.nn.BatchNorm1d(3) for _ in range(2)]
    params, buffers = stack_module_state(nets)
    x = fe.randn(2, 5, 3)
    got = vmap(lambda p, b, t: functional_call(nets[0], (p, b), t))(params, buffers, x)
    for i, net in enumerate(nets):
        same(got[i], net(x[i]), 1e-5)
        same(buffers["running_mean"][i], net.running_mean)
        assert buffers["num_batches_tracked"][i].item() == 1


def test_learning_to_learn() -> None:
    """An inner step of gradient descent for each task, and the gradient through it."""
    w = fe.tensor([0.5, -0.3])
    tasks = fe.randn(4, 6, 2)

    def loss(w: fe.Tensor, x: fe.Tensor) -> fe.Tensor:
        return ((x @ w).tanh() ** 2).mean()

    def adapted(w: fe.Tensor, x: fe.Tensor) -> fe.Tensor:
        return loss(w - 0.1 * grad(loss)(w, x), x)

    def outer(w: fe.Tensor) -> fe.Tensor:
        return vmap(adapted, in_dims=(None, 0))(w, tasks).mean()

    got = grad(outer)(w)
    expected = fe.stack([grad(adapted)(w, x) for x in tasks]).mean(0)
    same(got, expected, 1e-5)


def test_functional_call() -> None:
    net = fe.nn.Sequential(fe.nn.Linear(2, 2), fe.nn.Linear(2, 2))
    before = list(net.parameters())
    x = rows(3, 2)
    zeros = {k: fe.zeros_like(v) for k, v in net.named_parameters()}
    assert functional_call(net, zeros, x).abs().sum().item() == 0
    got = functional_call(net, {"0.bias": fe.ones(2)}, (x,))
    expected = net[1](x @ net[0].weight.T + 1)
    same(got, expected)
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    with pytest.raises(ValueError, match="names do not match: missing 0.weight"):
        functional_call(net, {"0.bias": fe.ones(2)}, x, strict=True)
    with pytest.raises(ValueError, match="'0.bias' is in more than one dict"):
        functional_call(net, ({"0.bias": x}, {"0.bias": x}), x)
    with pytest.raises(TypeError, match="'0.bias' is a float"):
        functional_call(net, {"0.bias": 1.0}, x)
    with pytest.raises(fe.ShapeError):
        functional_call(net, {"0.bias": fe.ones(3)}, x)
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    tied = fe.nn.Sequential(
        fe.nn.Linear(2, 2, bias=False), fe.nn.Linear(2, 2, bias=False)
    )
    tied[1].weight = tied[0].weight
    two = {"0.weight": 2 * fe.eye(2)}
    same(functional_call(tied, two, x), 4 * x)
    same(functional_call(tied, two, x, tie_weights=False), (2 * x) @ tied[0].weight.T)
    with pytest.raises(ValueError, match="one tensor of the module"):
        functional_call(tied, {"0.weight": fe.eye(2), "1.weight": fe.eye(2)}, x)


@pytest.mark.parametrize("module", ["", "._grad", "._jacobian", "._modules", "._vmap"])
def test_examples(module: str) -> None:
    failed, tried = doctest.testmod(import_module(f"ferrule.func{module}"))
    assert tried and not failed


# --- errors


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda x: grad(lambda t: t * 2)(x),
            r"must return one number.*shape \(\).*sum",
        ),
        (lambda x: grad(lambda t: 3.0)(x), "must return tensors"),
        (lambda x: grad(lambda t: t.sum())(x.long()), r"int64.*\.float\(\)"),
        (lambda x: grad(lambda t: t.sum(), argnums=1)(x), "argument 1.*there are 1"),
        (lambda x: grad(lambda t: t, argnums=())(x), "argnums is empty"),
        (lambda x: grad(lambda t: t)(3.0), "cannot differentiate by a float"),
        (lambda x: grad(lambda t: t.sum(), has_aux=True)(x), "pair"),
        (lambda x: vjp(fe.sin, x)[1](fe.zeros(2)), r"shape \(2,\).*\(3, 4\)"),
        (lambda x: vjp(fe.sin, x)[1]((x, x)), "nested differently"),
        (lambda x: jvp(fe.sin, x, x), "primals must be a tuple"),
        (lambda x: jvp(fe.sin, (x,), (x[0],)), r"shape \(4,\).*\(3, 4\)"),
        (lambda x: vmap(fe.sin)(), "no argument"),
        (lambda x: vmap(fe.sin, in_dims=2)(x), r"in_dims is 2.*valid: -2\.\.1"),
        (lambda x: vmap(fe.sin)(fe.tensor(1.0)), "it has no dimension"),
        (lambda x: vmap(fe.add)(x, x.T), "argument 0 has 3, argument 1 has 4"),
        (lambda x: vmap(fe.add, in_dims=(0, 0))(x, 3.0), "no tensor but of type float"),
        (lambda x: vmap(fe.sin, in_dims=None)(x), "in_dims must be"),
        (lambda x: vmap(fe.sin, in_dims=(None,))(x), "None for all"),
        (lambda x: vmap(fe.sin, in_dims=(0, 0))(x), "not nested like the 1 argument"),
        (lambda x: vmap(fe.sin, in_dims="0")(x), "in_dims must be"),
        (
            lambda x: vmap(fe.sin, out_dims=(0, 0))(x),
            "not nested like what the function",
        ),
        (lambda x: vmap(fe.sin, out_dims=5)(x), r"out_dims is 5.*valid: -2\.\.1"),
        (lambda x: vmap(fe.sin, out_dims=None)(x), "differs from sample to sample"),
        (lambda x: vmap(lambda t: 3)(x), "must return tensors.*int"),
        (lambda x: vmap(fe.sin, randomness="maybe"), "randomness must be"),
        (lambda x: vmap(fe.sin, chunk_size=0), "chunk_size must be 1"),
        (
            lambda x: vmap(lambda t: t.sum().item())(x),
            r"\[item\].*every sample's.*where",
        ),
        (lambda x: vmap(lambda t: t if t.sum() > 0 else -t)(x), "every sample's"),
        (
            lambda x: vmap(lambda t: t.nonzero())(x),
            "differ from sample to sample.*where",
        ),
        (lambda x: vmap(lambda t: t[t > 0])(x), "differ from sample to sample"),
        (lambda x: vmap(lambda t: t.numpy())(x), "symbolic|every sample's"),
        (lambda x: stack_module_state([]), "no model"),
        (
            lambda x: stack_module_state([fe.nn.Linear(2, 2), fe.nn.Tanh()]),
            "one class",
        ),
        (
            lambda x: stack_module_state([fe.nn.Tanh(), fe.nn.Tanh().eval()]),
            "one mode",
        ),
    ],
)
def test_errors_teach(call, words: str) -> None:
    with pytest.raises(fe.FerruleError, match=words):
        call(rows(3, 4))
    # Nothing is left of the attempt.
    same(vmap(fe.sin)(rows(3, 4)), rows(3, 4).sin())


def test_symbolic_tensors_do_not_outlive_the_call() -> None:
    kept = []
    vmap(lambda t: kept.append(t) or t)(rows(3, 4))
    with pytest.raises(fe.FerruleError, match="outside of the capture"):
        kept[0] + 1
    with pytest.raises(fe.FerruleError):
        vmap(lambda t: t + kept[0])(rows(3, 4))
