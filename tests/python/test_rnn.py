"""LSTM, GRU, RNN and their cells: against PyTorch, by their formulas, in files."""

import numpy as np
import pytest

import ferrule as fe

KINDS = ["LSTM", "GRU", "RNN"]


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def states_of(result):
    """Output and states of a layer or a cell, as one list."""
    if not isinstance(result, tuple):
        return [result]
    first, rest = result
    return [first, *(rest if isinstance(rest, tuple) else [rest])]


OPTIONS = [
    {},
    {"num_layers": 2, "bias": False},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
    {"bidirectional": True},
]
CASES = [(kind, options) for kind in KINDS for options in OPTIONS] + [
    ("RNN", {"nonlinearity": "relu", "num_layers": 3}),
    ("LSTM", {"proj_size": 3, "num_layers": 2, "bidirectional": True}),
    ("LSTM", {"proj_size": 5, "bias": False}),
]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_layer_agrees_with_torch(kind: str, options: dict, given: bool) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = getattr(torch.nn, kind)(5, 9, **options)
    mine = getattr(fe.nn, kind)(5, 9, **options)
    assert repr(mine).replace("0.0", "0") == repr(theirs).replace("0.0", "0")
    state = {k: fe.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert list(mine.state_dict()) == list(state)
    mine.load_state_dict(state)
    x = array(6, 3, 5)
    batch = 6 if options.get("batch_first") else 3
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    first = [array(count, batch, options.get("proj_size") or 9, seed=1)]
    if kind == "LSTM":
        first.append(array(count, batch, 9, seed=2))
    runs = []
    for lib, make, layer in ((fe, fe.tensor, mine), (torch, torch.tensor, theirs)):
        leaf = make(x, requires_grad=True)
        h = [make(a, requires_grad=True) for a in first]
        hx = (tuple(h) if kind == "LSTM" else h[0],) if given else ()
        out = states_of(layer(leaf, *hx))
        weights = [make(array(*t.shape, seed=9 + i)) for i, t in enumerate(out)]
        sum((t * w).sum() for t, w in zip(out, weights, strict=True)).backward()
        grads = [leaf, *(h if given else []), *layer.parameters()]
        assert lib is not None
        runs.append([t.detach().numpy() for t in out] + [t.grad.numpy() for t in grads])
    for a, b in zip(*runs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_cell_agrees_with_torch_and_with_its_layer(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = getattr(torch.nn, kind + "Cell")(5, 9)
    mine = getattr(fe.nn, kind + "Cell")(5, 9)
    assert repr(mine) == repr(theirs)
    mine.load_state_dict(
        {k: fe.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    )
    for shape in ((4, 5), (5,)):
        a = states_of(mine(fe.tensor(array(*shape))))
        b = states_of(theirs(torch.tensor(array(*shape))))
        for s, t in zip(a, b, strict=True):
            np.testing.assert_allclose(
                s.detach().numpy(), t.detach().numpy(), atol=1e-6
            )
    layer = getattr(fe.nn, kind)(5, 9)
    layer.load_state_dict({k + "_l0": v for k, v in mine.state_dict().items()})
    x = fe.tensor(array(7, 4, 5))
    hx = None
    for t in range(7):
        hx = mine(x[t], hx)
    for s, t in zip(states_of(hx), states_of(layer(x)[1]), strict=False):
        np.testing.assert_allclose(s.detach().numpy(), t[0].detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_batch(kind: str) -> None:
    layer = getattr(fe.nn, kind)(5, 9, batch_first=True)
    x = fe.tensor(array(6, 5))
    for a, b in zip(states_of(layer(x)), states_of(layer(x[None])), strict=True):
        assert a.ndim == 2
        assert fe.equal(a.reshape(b.shape), b)


def test_lstm_by_its_formulas() -> None:
    layer = fe.nn.LSTM(3, 2, dtype=fe.float64)
    w = {k: v.numpy() for k, v in layer.state_dict().items()}
    x = array(4, 5, 3).astype(np.float64)
    h = c = np.zeros((5, 2))
    for t in range(4):
        a = x[t] @ w["weight_ih_l0"].T + h @ w["weight_hh_l0"].T
        a += w["bias_ih_l0"] + w["bias_hh_l0"]
        i, f, g, o = np.split(a, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    out, (h_n, c_n) = layer(fe.tensor(x))
    for got, want in ((out[-1], h), (h_n[0], h), (c_n[0], c)):
        np.testing.assert_allclose(got.detach().numpy(), want, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_long_sequences_and_large_gates_stay_finite(kind: str) -> None:
    layer = getattr(fe.nn, kind)(4, 40)
    x = fe.tensor(1000 * array(50, 3, 4), requires_grad=True)
    out = layer(x)[0]
    out.sum().backward()
    assert out.abs().max().item() <= 1
    assert bool(fe.isfinite(x.grad).all())


def test_nan_reaches_the_result() -> None:
    for kind in KINDS:
        x = fe.tensor(array(3, 1, 2))
        x[1] = fe.nan
        out = getattr(fe.nn, kind)(2, 3)(x)[0]
        assert not bool(out[0].isnan().any())
        assert bool(out[1:].isnan().all())


def test_dropout_lies_between_the_layers_in_training() -> None:
    layer = fe.nn.LSTM(4, 8, num_layers=2, dropout=0.5)
    x = fe.tensor(array(5, 2, 4))
    assert not fe.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert fe.equal(layer(x)[0], layer(x)[0])
    with pytest.raises(fe.InvalidValue, match="dropout"):
        fe.nn.LSTM(4, 8, dropout=2.0)


class Reader(fe.nn.Module):
    """Reads a sequence and decides by its last output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layer = getattr(fe.nn, kind)(3, 5, num_layers=2, batch_first=True)
        self.head = fe.nn.Linear(5, 2)

    def forward(self, x: fe.Tensor) -> fe.Tensor:
        return self.head(self.layer(x)[0][:, -1])


@pytest.mark.parametrize("kind", KINDS)
def test_trains_in_a_file_as_eagerly(kind: str) -> None:
    model = Reader(kind)
    optimizer = fe.optim.SGD(model.parameters(), 0.5)
    loss = fe.nn.functional.cross_entropy
    x, y = fe.tensor(array(4, 6, 3)), fe.tensor([0, 1, 1, 0])
    program = fe.export(
        model,
        (x,),
        dynamic_shapes={"x": {0: fe.Dim("batch", min=1, max=64)}},
        train=(loss, optimizer),
        targets=(y,),
    )
    assert fe.equal(program(x[:3]), model(x[:3]).detach())
    eager, in_file = [], []
    for _ in range(5):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        eager.append(value.item())
        in_file.append(program.run("train_step", x, y)[0].item())
    assert in_file == eager
    assert eager[-1] < eager[0]


def test_errors_say_what_is_expected() -> None:
    layer = fe.nn.LSTM(4, 8)
    with pytest.raises(fe.ShapeError, match=r"\(steps, batch, 4\)"):
        layer(fe.zeros((5, 2, 3)))
    with pytest.raises(fe.ShapeError, match=r"h_0 .*\(1, 2, 8\)"):
        layer(fe.zeros((5, 2, 4)), (fe.zeros((1, 2, 7)), fe.zeros((1, 2, 8))))
    with pytest.raises(fe.ShapeError, match="a step"):
        layer(fe.zeros((0, 2, 4)))
    with pytest.raises(fe.InvalidValue, match="proj_size"):
        fe.nn.LSTM(4, 8, proj_size=8)
    with pytest.raises(fe.InvalidValue, match="LSTM alone"):
        fe.nn.GRU(4, 8, proj_size=2)
    with pytest.raises(fe.InvalidValue, match="nonlinearity"):
        fe.nn.RNN(4, 8, nonlinearity="gelu")
    with pytest.raises(fe.InvalidValue, match="hidden_size"):
        fe.nn.GRUCell(4, 0)
    with pytest.raises(fe.DTypeError, match="float32"):
        fe.nn.GRU(4, 8).half()(fe.zeros((2, 2, 4)).half())
