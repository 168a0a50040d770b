"""nn.utils: clipping, vectors, parametrizations, packing, fusion, pruning."""

import copy
import inspect
import math
import pickle

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn
from ferrule.nn import utils
from ferrule.nn.utils import parametrizations, parametrize, prune, rnn


def array(*shape, seed=0):
    return np.asarray(np.random.default_rng(seed).normal(size=shape), np.float32)


def close(mine, theirs, tol=1e-5):
    for x in (mine, theirs):
        assert x is not None
    np.testing.assert_allclose(
        mine.detach().numpy(), theirs.detach().numpy(), rtol=tol, atol=tol
    )


def torch_or_skip():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("torch.nn.utils.prune")
    return torch


# --- gradients --------------------------------------------------------------


def with_gradients(package, dtype=np.float32):
    params = []
    for i, shape in enumerate([(3, 4), (5,), ()]):
        value = package.tensor(array(*shape, seed=i).astype(dtype))
        p = package.nn.Parameter(value)
        grad = np.multiply(3, array(*shape, seed=10 + i))
        p.grad = package.tensor(np.asarray(grad, dtype))
        params.append(p)
    unused = package.nn.Parameter(package.tensor(np.ones(2, dtype)))
    return [*params, unused]


NORMS = [0.5, 1.0, 2.0, 3, math.inf]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("limit", [0.5, 2, 1000.0])
def test_clip_grad_norm(norm, limit):
    torch = torch_or_skip()
    mine, theirs = with_gradients(fe), with_gradients(torch)
    total = utils.clip_grad_norm_(mine, limit, norm)
    other = torch.nn.utils.clip_grad_norm_(theirs, limit, norm)
    close(total, other)
    for p, q in zip(mine[:3], theirs[:3], strict=True):
        close(p.grad, q.grad)
    assert mine[3].grad is None


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_clipped_norm_is_the_limit(norm):
    params = with_gradients(fe, np.float64)
    before = np.concatenate([p.grad.numpy().ravel() for p in params[:3]])
    total = utils.clip_grad_norm_((p for p in params), 0.5, norm)
    after = np.concatenate([p.grad.numpy().ravel() for p in params[:3]])
    assert total.item() == pytest.approx(np.linalg.norm(before, norm))
    assert np.linalg.norm(after, norm) == pytest.approx(0.5, rel=1e-5)
    np.testing.assert_allclose(after / before, after[0] / before[0])


def test_a_norm_that_is_not_finite():
    p = nn.Parameter(fe.ones((2,)))
    p.grad = fe.tensor([1.0, math.inf])
    with pytest.raises(RuntimeError, match="the norm of order 2.0 is inf"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [1.0, math.inf]
    assert utils.clip_grad_norm_(p, 1.0).item() == math.inf
    assert utils.get_total_norm([]).item() == 0.0
    assert utils.clip_grad_norm_([], 1.0).item() == 0.0


def test_clip_grad_value():
    params = with_gradients(fe)
    before = [p.grad.numpy().copy() for p in params[:3]]
    utils.clip_grad_value_(params, 1.5)
    for p, g in zip(params, before, strict=False):
        np.testing.assert_array_equal(p.grad.numpy(), np.clip(g, -1.5, 1.5))


def test_clipping_is_captured(tmp_path):
    fe.manual_seed(0)
    model = nn.Linear(3, 2)

    class Clipped(fe.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                utils.clip_grad_norm_(group["params"], 0.25)
            return super().step(closure)

    optimizer = Clipped(model.parameters(), lr=0.5)
    x, y = fe.tensor(array(4, 3)), fe.tensor(array(4, 2, seed=1))
    loss_function = nn.functional.mse_loss
    program = fe.export(model, (x,), train=(loss_function, optimizer), targets=(y,))
    for _ in range(3):
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        assert program.run("train_step", x, y)[0].item() == loss.item()
    state = program.state_dict()
    assert state["model.weight"].tolist() == model.weight.tolist()


# --- vectors ----------------------------------------------------------------


def test_vectors():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    vector = utils.parameters_to_vector(model.parameters())
    assert vector.shape == (6 + 2 + 2 + 1,)
    assert vector.requires_grad
    np.testing.assert_array_equal(
        vector.detach().numpy(),
        np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]),
    )
    utils.vector_to_parameters(fe.arange(11.0), model.parameters())
    again = utils.parameters_to_vector(model.parameters())
    assert again.tolist() == list(range(11))
    assert all(p.is_leaf and p.requires_grad for p in model.parameters())
    with pytest.raises(fe.ShapeError, match=r"must have shape \(11,\)"):
        utils.vector_to_parameters(fe.ones((12,)), model.parameters())
    with pytest.raises(TypeError, match="vec is a list"):
        utils.vector_to_parameters([1.0], model.parameters())


# --- parametrize ------------------------------------------------------------


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).T

    def right_inverse(self, x):
        return x.triu()


class Scaled(nn.Module):
    """Without an inverse."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(fe.tensor(2.0))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.scale


def test_a_parametrized_weight():
    layer = nn.Linear(3, 3)
    original = layer.weight
    assert parametrize.register_parametrization(layer, "weight", Symmetric()) is layer
    assert isinstance(layer, nn.Linear)
    assert type(layer).__name__ == "ParametrizedLinear"
    assert layer.parametrizations.weight.original is original
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    weight = layer.weight
    assert (weight == weight.T).all().item()
    x = fe.tensor(array(2, 3))
    close(layer(x), x @ weight.T + layer.bias)
    layer(x).sum().backward()
    assert original.grad is not None
    assert (original.grad.tril(-1) == 0).all().item()
    # Assignment goes through the inverse.
    layer.weight = fe.eye(3) * 2
    assert layer.weight.tolist() == (fe.eye(3) * 2).tolist()
    assert layer.parametrizations.weight.original is original
    assert "Symmetric" in repr(layer)


def test_parametrizations_in_a_chain():
    layer = nn.Linear(3, 3, bias=False)
    scaled = Scaled()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "weight", scaled)
    before = layer.parametrizations.weight.original.detach()
    close(layer.weight, 2 * (before.triu() + before.triu(1).T))
    assert len(layer.parametrizations.weight) == 2
    assert {n for n, _ in layer.named_parameters()} == {
        "parametrizations.weight.original",
        "parametrizations.weight.1.scale",
    }
    with pytest.raises(NotImplementedError, match="Scaled has no right_inverse"):
        layer.weight = fe.eye(3)
    with parametrize.cached():
        calls = scaled.calls
        assert layer.weight is layer.weight
        layer(fe.ones((1, 3)))
        assert scaled.calls == calls + 1
    layer(fe.ones((1, 3)))
    assert scaled.calls == calls + 2


@pytest.mark.parametrize("leave", [True, False])
def test_parametrizations_can_be_removed(leave):
    layer = nn.Linear(3, 3)
    original = layer.weight
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "bias", Scaled())
    expected = (layer.weight if leave else original).detach().clone()
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=leave)
    assert layer.weight is original
    close(layer.weight, expected)
    assert parametrize.is_parametrized(layer)
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    parametrize.remove_parametrizations(layer, "bias")
    assert type(layer) is nn.Linear
    assert not hasattr(layer, "parametrizations")
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_parametrized_buffers_and_copies():
    layer = nn.BatchNorm1d(2)
    parametrize.register_parametrization(layer, "running_mean", Scaled())
    names = dict(layer.named_buffers())
    assert "parametrizations.running_mean.original" in names
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(other) is type(layer)
        other.parametrizations.running_mean.original.fill_(3.0)
        assert other.running_mean.tolist() == [6.0, 6.0]
        assert layer.running_mean.tolist() == [0.0, 0.0]
        parametrize.remove_parametrizations(other, "running_mean")
        assert type(other) is nn.BatchNorm1d
        assert parametrize.is_parametrized(layer, "running_mean")


def test_parametrizations_are_transferred():
    one = parametrizations.weight_norm(nn.Linear(3, 2))
    two = nn.Linear(3, 2)
    parametrize.transfer_parametrizations_and_params(one, two)
    assert two.weight.tolist() == one.weight.tolist()
    assert (
        two.parametrizations.weight.original0 is one.parametrizations.weight.original0
    )


class Wrong(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.rule = forward

    def forward(self, x):
        return self.rule(x)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda layer: parametrize.register_parametrization(layer, "w", Symmetric()),
            "Linear has no parameter or buffer 'w'; it has:",
        ),
        (
            lambda layer: parametrize.register_parametrization(
                layer, "weight", Wrong(lambda x: x[:1])
            ),
            r"changes the shape of 'weight' from \(3, 3\) to \(1, 3\)",
        ),
        (
            lambda layer: parametrize.register_parametrization(
                layer, "weight", Wrong(lambda x: x.double())
            ),
            "changes the dtype of 'weight' from float32 to float64",
        ),
        (
            lambda layer: parametrize.register_parametrization(
                layer, "weight", Wrong(lambda x: 3)
            ),
            "must give a tensor for 'weight', got a int",
        ),
        (
            lambda layer: parametrize.remove_parametrizations(layer, "weight"),
            "'weight' of Linear is not parametrized",
        ),
        (
            lambda layer: parametrize.remove_parametrizations(
                parametrizations.weight_norm(layer), "weight", False
            ),
            "it can only keep its value",
        ),
        (
            lambda layer: parametrizations.spectral_norm(layer, "w"),
            "Linear has no parameter 'w'",
        ),
        (
            lambda layer: parametrizations.spectral_norm(layer, n_power_iterations=0),
            "n_power_iterations must be above 0",
        ),
    ],
)
def test_parametrizations_that_do_not_fit(make, text):
    layer = nn.Linear(3, 3)
    with pytest.raises(fe.InvalidValue, match=text):
        make(layer)
    if "keep" not in text:
        assert type(layer) is nn.Linear
        assert set(layer.state_dict()) == {"weight", "bias"}


LAYERS = {
    "linear": (lambda n: n.Linear(4, 3), (2, 4)),
    "conv": (lambda n: n.Conv2d(2, 3, 3), (1, 2, 5, 5)),
    "transposed": (lambda n: n.ConvTranspose2d(2, 3, 3), (1, 2, 4, 4)),
}


def pair(make, norm):
    """The same layer of both, normed, with equal values."""
    torch = torch_or_skip()
    theirs, mine = make(torch.nn), make(nn)
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    theirs = norm(torch.nn.utils.parametrizations, theirs)
    mine = norm(parametrizations, mine)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return torch, mine, theirs


def passes_agree(torch, mine, theirs, x):
    a, b = mine(fe.tensor(x)), theirs(torch.tensor(x))
    close(a, b)
    a.square().sum().backward()
    b.square().sum().backward()
    for (name, p), q in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(
            p.grad.numpy(), q.grad.numpy(), rtol=2e-4, atol=2e-4, err_msg=name
        )


@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_is_pytorchs(case, dim):
    make, shape = LAYERS[case]
    torch, mine, theirs = pair(make, lambda u, m: u.weight_norm(m, dim=dim))
    close(mine.weight, theirs.weight)
    passes_agree(torch, mine, theirs, array(*shape))
    value = array(*mine.weight.shape, seed=3)
    mine.weight = fe.tensor(value)
    close(mine.weight, fe.tensor(value))
    close(mine.parametrizations.weight.original1, fe.tensor(value))


@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("steps", [1, 3])
def test_spectral_norm_is_pytorchs(case, steps):
    make, shape = LAYERS[case]
    torch, mine, theirs = pair(
        make, lambda u, m: u.spectral_norm(m, n_power_iterations=steps)
    )
    for _ in range(3):
        mine.zero_grad()
        theirs.zero_grad()
        passes_agree(torch, mine, theirs, array(*shape))
    for key, value in theirs.state_dict().items():
        close(mine.state_dict()[key], value, 1e-4)
    mine.eval()
    theirs.eval()
    passes_agree(torch, mine, theirs, array(*shape, seed=5))


def test_spectral_norm_makes_the_largest_singular_value_1():
    layer = parametrizations.spectral_norm(nn.Linear(5, 4), n_power_iterations=50)
    values = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)
    assert values[0] == pytest.approx(1.0, rel=1e-4)
    assert type(utils.spectral_norm(nn.BatchNorm1d(3))).__name__.startswith("Param")


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_parametrized_models_are_exported(norm):
    fe.manual_seed(0)
    model = nn.Sequential(getattr(parametrizations, norm)(nn.Linear(3, 4)), nn.Tanh())
    optimizer = fe.optim.Adam(model.parameters(), lr=0.1)
    x, y = fe.tensor(array(5, 3)), fe.tensor(array(5, 4, seed=1))
    loss_function = nn.functional.mse_loss
    program = fe.export(model, (x,), train=(loss_function, optimizer), targets=(y,))
    for _ in range(3):
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        assert program.run("train_step", x, y)[0].item() == loss.item()
    state = program.state_dict()
    for name, value in model.state_dict().items():
        assert state[f"model.{name}"].tolist() == value.tolist(), name


MAPS = ["matrix_exp", "cayley", "householder"]
SHAPES = [(4, 4), (6, 3), (3, 6)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("orthogonal_map", MAPS)
@pytest.mark.parametrize("trivialize", [True, False])
def test_orthogonal_stays_so(shape, orthogonal_map, trivialize):
    fe.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0], dtype=fe.float64)
    nn.init.orthogonal_(layer.weight)
    before = layer.weight.detach().clone()
    parametrizations.orthogonal(
        layer, orthogonal_map=orthogonal_map, use_trivialization=trivialize
    )
    if trivialize or orthogonal_map == "householder":
        close(layer.weight, before)
    optimizer = fe.optim.SGD(layer.parameters(), lr=0.1)
    start = layer.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        layer(
            fe.tensor(array(5, shape[1]).astype(np.float64))
        ).square().sum().backward()
        optimizer.step()
    w = layer.weight.detach().numpy()
    assert np.abs(w - start.numpy()).max() > 1e-3
    product = w.T @ w if shape[0] >= shape[1] else w @ w.T
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-12)
    if trivialize or orthogonal_map == "householder":
        layer.weight = before
        close(layer.weight, before)
    else:
        with pytest.raises(NotImplementedError, match="has no inverse"):
            layer.weight = before


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("orthogonal_map", MAPS)
@pytest.mark.parametrize("trivialize", [True, False])
def test_orthogonal_vs_torch(shape, orthogonal_map, trivialize):
    torch = torch_or_skip()
    torch.manual_seed(0)
    theirs = torch.nn.Linear(shape[1], shape[0])
    mine = nn.Linear(shape[1], shape[0])

    def copy_state():
        state = {k: fe.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
        mine.load_state_dict(state)

    copy_state()
    for m, layer in ((utils, mine), (torch.nn.utils, theirs)):
        m.parametrizations.orthogonal(
            layer, "weight", orthogonal_map, use_trivialization=trivialize
        )
    if not trivialize:  # else there is a random part
        close(mine.weight, theirs.weight)
    change = np.tril(array(*shape), -1) + np.triu(array(*shape), 1)
    with torch.no_grad():
        theirs.parametrizations.weight.original += torch.tensor(change)
    copy_state()
    close(mine.weight, theirs.weight)
    for m, layer in ((fe, mine), (torch, theirs)):
        (layer.weight * m.tensor(array(*shape, seed=1))).sum().backward()
    close(
        mine.parametrizations.weight.original.grad,
        theirs.parametrizations.weight.original.grad,
        1e-4,
    )


def test_orthogonal_complex_and_refused():
    layer = nn.Module()
    layer.weight = nn.Parameter(fe.tensor(array(3, 3) + 1j * array(3, 3, seed=1)))
    parametrizations.orthogonal(layer)
    w = layer.weight.detach().numpy()
    np.testing.assert_allclose(w.conj().T @ w, np.eye(3), atol=1e-5)
    for name, given, text in [
        ("other", None, "no parameter 'other'"),
        ("bias", None, "must be a matrix"),
        ("weight", "exp", "orthogonal_map must be"),
    ]:
        with pytest.raises(ValueError, match=text):
            parametrizations.orthogonal(nn.Linear(2, 2), name, given)
    layer = nn.Module()
    layer.weight = nn.Parameter(fe.tensor(1j * array(3, 2)))
    with pytest.raises(ValueError, match="real weights only"):
        parametrizations.orthogonal(layer, orthogonal_map="householder")


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 2, 4)])
def test_orthogonal_init(shape):
    fe.manual_seed(0)
    w = nn.init.orthogonal_(fe.empty(shape), 2.0).numpy().reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)
    with pytest.raises(fe.ShapeError, match="at least 2 dimensions"):
        nn.init.orthogonal_(fe.empty(3))


# --- sequences --------------------------------------------------------------


LENGTHS = [[4, 3, 3, 1], [2, 5, 1, 5], [3], [1, 1]]


def sequences(lengths, features=3):
    return [array(n, features, seed=i) for i, n in enumerate(lengths)]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_is_pytorchs(lengths, batch_first):
    torch = torch_or_skip()
    xs = sequences(lengths)
    padded = rnn.pad_sequence([fe.tensor(x) for x in xs], batch_first, -1.0)
    other = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(x) for x in xs], batch_first, -1.0
    )
    close(padded, other, 0)
    packed = rnn.pack_padded_sequence(padded, lengths, batch_first, False)
    theirs = torch.nn.utils.rnn.pack_padded_sequence(
        other, torch.tensor(lengths), batch_first, False
    )
    close(packed.data, theirs.data, 0)
    assert packed.batch_sizes.tolist() == theirs.batch_sizes.tolist()
    for total in (None, 7):
        back, n = rnn.pad_packed_sequence(packed, batch_first, 2.5, total)
        expected, m = torch.nn.utils.rnn.pad_packed_sequence(
            theirs, batch_first, 2.5, total
        )
        close(back, expected, 0)
        assert n.tolist() == m.tolist() == lengths
        assert n.dtype == fe.int64
    for a, b in zip(rnn.unpack_sequence(packed), xs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    again = rnn.pack_sequence([fe.tensor(x) for x in xs], enforce_sorted=False)
    close(again.data, theirs.data, 0)


def test_padding_to_the_left():
    xs = [fe.tensor([1, 2]), fe.tensor([3])]
    left = rnn.pad_sequence(xs, True, 9, "left")
    assert left.tolist() == [[1, 2], [9, 3]]
    assert left.dtype == fe.int64


def test_packing_has_gradients():
    x = fe.tensor(array(4, 2, 3)).requires_grad_()
    packed = rnn.pack_padded_sequence(x, [4, 2])
    padded, _ = rnn.pad_packed_sequence(packed)
    (padded * padded / 2).sum().backward()
    expected = x.detach().numpy().copy()
    expected[2:, 1] = 0
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    assert packed.double().dtype == fe.float64
    assert packed.to(fe.float16).data.dtype == fe.float16


CELLS = {
    "LSTM": lambda n: n.LSTM(3, 4),
    "LSTM_deep": lambda n: n.LSTM(3, 4, num_layers=2, bidirectional=True),
    "LSTM_projected": lambda n: n.LSTM(3, 4, proj_size=2, bidirectional=True),
    "GRU": lambda n: n.GRU(3, 4, num_layers=2, bidirectional=True),
    "RNN": lambda n: n.RNN(3, 4, nonlinearity="relu", bidirectional=True),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("case", CELLS)
@pytest.mark.parametrize("lengths", LENGTHS[:2], ids=str)
@pytest.mark.parametrize("given", [False, True])
def test_recurrent_layers_take_packed_sequences(case, lengths, given):
    torch = torch_or_skip()
    theirs, mine = CELLS[case](torch.nn), CELLS[case](nn)
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    xs = sequences(lengths)
    one = rnn.pack_sequence([fe.tensor(x).requires_grad_() for x in xs], False)
    two = torch.nn.utils.rnn.pack_sequence([torch.tensor(x) for x in xs], False)
    start = []
    if given:
        layers = mine.num_layers * (1 + mine.bidirectional)
        h = array(layers, len(lengths), mine.proj_size or 4, seed=8)
        c = array(layers, len(lengths), 4, seed=9)
        start = [(h, c) if "LSTM" in case else h]
    a = mine(one, *[states(fe, s) for s in start])
    b = theirs(two, *[states(torch, s) for s in start])
    assert isinstance(a[0], rnn.PackedSequence)
    assert a[0].batch_sizes.tolist() == b[0].batch_sizes.tolist()
    close(a[0].data, b[0].data)
    ends, others = (a[1], b[1]) if "LSTM" in case else ([a[1]], [b[1]])
    for p, q in zip(ends, others, strict=True):
        close(p, q)
    (a[0].data.square().sum() + ends[0].sum()).backward()
    (b[0].data.square().sum() + others[0].sum()).backward()
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-3, atol=1e-4)


def states(package, values):
    if isinstance(values, tuple):
        return tuple(package.tensor(v) for v in values)
    return package.tensor(values)


def test_a_packed_sequence_is_like_its_sequences():
    fe.manual_seed(0)
    layer = nn.LSTM(3, 4, bidirectional=True)
    xs = [fe.tensor(x) for x in sequences([2, 5, 1])]
    packed, (h, c) = layer(rnn.pack_sequence(xs, enforce_sorted=False))
    for i, (x, out) in enumerate(zip(xs, rnn.unpack_sequence(packed), strict=True)):
        alone, (h1, c1) = layer(x)
        close(out, alone)
        close(h[:, i], h1)
        close(c[:, i], c1)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: rnn.pack_padded_sequence(fe.ones((3, 2, 1)), [1, 3]),
            r"lengths must not increase, got \[1, 3\]; pass enforce_sorted=False",
        ),
        (
            lambda: rnn.pack_padded_sequence(fe.ones((3, 2, 1)), [3, 0]),
            "every length must be 1 or more",
        ),
        (
            lambda: rnn.pack_padded_sequence(fe.ones((3, 2, 1)), [4, 1]),
            "a length is 4, the input has 3 steps",
        ),
        (
            lambda: rnn.pack_padded_sequence(fe.ones((3, 2, 1)), [3]),
            "one number for each of the 2 sequences",
        ),
        (lambda: rnn.pack_padded_sequence(fe.ones((3,)), [3]), "steps and batch, got"),
        (lambda: rnn.pad_sequence([]), "needs at least one sequence"),
        (
            lambda: rnn.pad_sequence([fe.ones((1,))], padding_side="x"),
            "padding_side must be 'left' or 'right'",
        ),
        (
            lambda: rnn.pad_sequence([fe.ones((1, 2)), fe.ones((1, 3))]),
            r"sequence 1 has shape \(1, 3\), the first \(1, 2\)",
        ),
        (
            lambda: rnn.pad_packed_sequence(
                rnn.pack_sequence([fe.ones((3, 1))]), total_length=2
            ),
            "total_length is 2, the longest sequence has 3 steps",
        ),
        (
            lambda: nn.LSTM(3, 4)(rnn.pack_sequence([fe.ones((3, 2))])),
            r"a packed input must hold \(sum of lengths, 3\), got \(3, 2\)",
        ),
    ],
)
def test_sequences_that_do_not_fit(make, text):
    with pytest.raises(fe.FerruleError, match=text):
        make()


# --- fusion -----------------------------------------------------------------


def trained(bn):
    for i, name in enumerate(("running_mean", "running_var", "weight", "bias")):
        value = getattr(bn, name)
        if value is not None:
            with fe.no_grad():
                value.copy_(fe.tensor(np.abs(array(*value.shape, seed=i)) + 0.1))
    return bn.eval()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["conv", "transposed", "linear"])
def test_fusion(kind, bias, affine):
    if kind == "linear":
        layer, x = nn.Linear(4, 3, bias=bias).eval(), fe.tensor(array(5, 4))
        bn = trained(nn.BatchNorm1d(3, affine=affine))
        fused = utils.fuse_linear_bn_eval(layer, bn)
    else:
        make = nn.Conv2d if kind == "conv" else nn.ConvTranspose2d
        layer, x = make(2, 3, 3, bias=bias).eval(), fe.tensor(array(1, 2, 5, 5))
        bn = trained(nn.BatchNorm2d(3, affine=affine))
        fused = utils.fuse_conv_bn_eval(layer, bn, transpose=kind == "transposed")
    close(fused(x), bn(layer(x)), 2e-5)
    assert isinstance(fused.bias, nn.Parameter)
    assert fused.weight is not layer.weight
    fuse = utils.fuse_linear_bn_eval if kind == "linear" else utils.fuse_conv_bn_eval
    bn.train()
    with pytest.raises(fe.FerruleError, match=r"in training mode.*call \.eval"):
        fuse(layer, bn)


def test_fusion_needs_statistics_and_features_that_fit():
    conv = nn.Conv2d(1, 2, 1).eval()
    bn = nn.BatchNorm2d(2, track_running_stats=False).eval()
    with pytest.raises(fe.FerruleError, match="has no running statistics"):
        utils.fuse_conv_bn_eval(conv, bn)
    linear, bn = nn.Linear(1, 2).eval(), nn.BatchNorm1d(3).eval()
    with pytest.raises(fe.FerruleError, match="the norm has 3 features, the layer 2"):
        utils.fuse_linear_bn_eval(linear, bn)


# --- pruning ----------------------------------------------------------------


PRUNED = {
    "l1": lambda u, p, m: p.l1_unstructured(m, "weight", 0.3),
    "l1_number": lambda u, p, m: p.l1_unstructured(m, "weight", 7),
    "l1_twice": lambda u, p, m: p.l1_unstructured(
        p.l1_unstructured(m, "weight", 0.3), "weight", 0.5
    ),
    "l1_scores": lambda u, p, m: p.l1_unstructured(
        m, "weight", 0.3, importance_scores=u(array(4, 6, seed=7))
    ),
    "rows": lambda u, p, m: p.ln_structured(m, "weight", 2, n=2, dim=0),
    "columns": lambda u, p, m: p.ln_structured(m, "weight", 0.5, n=float("inf"), dim=1),
    "rows_then_elements": lambda u, p, m: p.l1_unstructured(
        p.ln_structured(m, "weight", 2, n=1, dim=-2), "weight", 3
    ),
    "elements_then_rows": lambda u, p, m: p.ln_structured(
        p.l1_unstructured(m, "weight", 10), "weight", 1, n=2, dim=0
    ),
    "mask": lambda u, p, m: p.custom_from_mask(m, "weight", u(array(4, 6) > 0)),
    "identity": lambda u, p, m: p.identity(m, "weight"),
}


@pytest.mark.parametrize("case", PRUNED)
def test_pruning_is_pytorchs(case):
    torch = torch_or_skip()
    theirs, mine = torch.nn.Linear(6, 4), nn.Linear(6, 4)
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    PRUNED[case](fe.tensor, prune, mine)
    PRUNED[case](torch.tensor, torch.nn.utils.prune, theirs)
    assert set(mine.state_dict()) == set(theirs.state_dict())
    close(mine.weight_mask, theirs.weight_mask, 0)
    close(mine.weight, theirs.weight, 0)
    x = array(3, 6)
    mine(fe.tensor(x)).sum().backward()
    theirs(torch.tensor(x)).sum().backward()
    close(mine.weight_orig.grad, theirs.weight_orig.grad)
    assert prune.is_pruned(nn.Sequential(mine))
    pruned = mine.weight.tolist()
    original = mine.weight_orig
    prune.remove(mine, "weight")
    assert not prune.is_pruned(mine)
    assert mine.weight is original
    assert mine.weight.tolist() == pruned
    assert set(mine.state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("dim", [0, 1])
def test_random_pruning(dim):
    fe.manual_seed(0)
    layer = prune.random_unstructured(nn.Linear(6, 4), "weight", 0.25)
    assert (layer.weight_mask == 0).sum().item() == 6
    layer = prune.random_structured(nn.Linear(6, 4), "weight", 2, dim)
    zero = (layer.weight_mask.sum(1 - dim) == 0).sum().item()
    assert zero == 2
    assert (layer.weight_mask == 0).sum().item() == 2 * (6 if dim == 0 else 4)


def test_global_pruning():
    torch = torch_or_skip()

    def make(n):
        return n.Sequential(n.Linear(4, 3), n.Linear(3, 5))

    theirs, mine = make(torch.nn), make(nn)
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    for package, model in ((torch.nn.utils.prune, theirs), (prune, mine)):
        parts = [(model[0], "weight"), (model[1], "weight"), (model[1], "bias")]
        package.global_unstructured(parts, package.L1Unstructured, amount=0.4)
        package.global_unstructured(parts, package.L1Unstructured, amount=3)
    for key, value in theirs.state_dict().items():
        close(mine.state_dict()[key], value, 0)
    with pytest.raises(TypeError, match="LnStructured does not prune single"):
        prune.global_unstructured(
            [(mine[0], "bias")], prune.LnStructured, amount=1, n=2
        )


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda m: prune.l1_unstructured(m, "w", 0.5),
            ValueError,
            "Linear has no parameter 'w'; it has: weight, bias",
        ),
        (lambda m: prune.l1_unstructured(m, "weight", 1.5), ValueError, "a share in 0"),
        (lambda m: prune.l1_unstructured(m, "weight", -1), ValueError, "a share in 0"),
        (lambda m: prune.l1_unstructured(m, "weight", "x"), TypeError, "got a str"),
        (
            lambda m: prune.l1_unstructured(m, "weight", 7),
            ValueError,
            "amount is 7, but there are only 6 to prune",
        ),
        (
            lambda m: prune.ln_structured(m, "bias", 1, 2, 0),
            ValueError,
            "two or more dimensions, got shape",
        ),
        (
            lambda m: prune.ln_structured(m, "weight", 1, 2, 2),
            IndexError,
            "dim 2 is out of range",
        ),
        (
            lambda m: prune.custom_from_mask(m, "weight", fe.ones((2, 2))),
            ValueError,
            r"the mask has shape \(2, 2\)",
        ),
        (
            lambda m: prune.l1_unstructured(m, "weight", 1, fe.ones((2,))),
            ValueError,
            "importance_scores have shape",
        ),
        (lambda m: prune.remove(m, "weight"), ValueError, "is not pruned"),
    ],
)
def test_pruning_that_does_not_fit(make, error, text):
    layer = nn.Linear(3, 2)
    with pytest.raises(error, match=text):
        make(layer)
    assert set(layer.state_dict()) == {"weight", "bias"}
    layer(fe.ones((1, 3)))


# --- skip_init --------------------------------------------------------------


def test_skip_init_draws_nothing():
    fe.manual_seed(3)
    expected = fe.rand((2,)).tolist()
    fe.manual_seed(3)
    layer = utils.skip_init(nn.Linear, 4, 3, bias=False)
    assert fe.rand((2,)).tolist() == expected
    assert layer.weight.shape == (3, 4)
    assert layer.bias is None
    assert utils.skip_init(nn.LSTM, 4, 3).weight_ih_l0.shape == (12, 4)
    with pytest.raises(TypeError, match="ReLU has no argument 'device'"):
        utils.skip_init(nn.ReLU)
    with pytest.raises(TypeError, match="expected a class of modules"):
        utils.skip_init(len)
    # Afterwards modules are initialised again.
    assert nn.Linear(2, 2).weight.abs().sum().item() > 0


# --- signatures -------------------------------------------------------------


FUNCTIONS = [
    *("clip_grad_norm_", "clip_grad_value_", "get_total_norm", "clip_grads_with_norm_"),
    *("fuse_conv_bn_eval", "fuse_conv_bn_weights"),
    *("fuse_linear_bn_eval", "fuse_linear_bn_weights"),
    *("parametrize.register_parametrization", "parametrize.remove_parametrizations"),
    *("parametrize.is_parametrized", "parametrizations.weight_norm"),
    "parametrizations.spectral_norm",
    *("rnn.pack_padded_sequence", "rnn.pad_packed_sequence", "rnn.pad_sequence"),
    *("rnn.pack_sequence", "rnn.unpack_sequence", "rnn.unpad_sequence"),
    *("prune.l1_unstructured", "prune.random_unstructured", "prune.ln_structured"),
    *("prune.random_structured", "prune.custom_from_mask", "prune.remove"),
    *("prune.identity", "prune.global_unstructured", "prune.is_pruned"),
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature_is_pytorchs(name):
    torch = torch_or_skip()

    def described(owner):
        for part in name.split("."):
            owner = getattr(owner, part)
        return [
            (p.name, p.kind, p.default)
            for p in inspect.signature(owner).parameters.values()
        ]

    assert described(utils) == described(torch.nn.utils)
