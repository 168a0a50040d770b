"""nn: registration, traversal, state, conversion, hooks, text, errors, layers."""

import copy
import pickle

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn
from ferrule.nn import functional as F


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.scale = nn.Parameter(fe.ones((1,)))
        self.register_buffer("seen", fe.zeros((1,)), persistent=False)

    def forward(self, x):
        return self.norm(self.conv(x)) * self.scale


def net():
    return nn.Sequential(Block(), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))


def names(pairs):
    return [name for name, _ in pairs]


# --- registration and traversal


def test_members_in_order_of_assignment():
    model = net()
    assert names(model.named_parameters()) == [
        "0.scale",
        "0.conv.weight",
        "0.conv.bias",
        "0.norm.weight",
        "0.norm.bias",
        "3.weight",
        "3.bias",
    ]
    assert names(model.named_buffers()) == [
        "0.seen",
        "0.norm.running_mean",
        "0.norm.running_var",
        "0.norm.num_batches_tracked",
    ]
    assert names(model.named_modules()) == ["", "0", "0.conv", "0.norm", "1", "2", "3"]
    assert names(model.named_children()) == ["0", "1", "2", "3"]
    assert names(model[0].named_parameters(recurse=False)) == ["scale"]


def test_subclass_may_forget_super_init():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return self.layer(x)

    assert len(list(Forgetful().parameters())) == 2


def test_shared_members_are_listed_once():
    model = nn.Module()
    model.a = nn.Linear(2, 2)
    model.b = model.a
    model.c = nn.Linear(2, 2)
    model.c.weight = model.a.weight
    assert names(model.named_parameters()) == ["a.weight", "a.bias", "c.bias"]
    assert names(model.named_modules()) == ["", "a", "c"]
    every = names(model.named_parameters(remove_duplicate=False))
    assert every[2:4] == ["b.weight", "b.bias"]
    assert every[-2:] == ["c.weight", "c.bias"]
    state = model.state_dict()
    assert state["a.weight"] is state["c.weight"]


def test_attributes_keep_their_kind():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"'weight' is a parameter and must be an nn\."):
        layer.weight = fe.zeros((2, 2))
    layer.bias = None
    assert names(layer.named_parameters()) == ["weight"]
    assert layer(fe.ones((1, 2))).shape == (1, 2)
    del layer.bias
    layer.bias = 3
    assert layer.bias == 3
    norm = nn.BatchNorm1d(2)
    norm.running_mean = fe.ones((2,))
    with pytest.raises(TypeError, match="is a buffer and must be a Tensor"):
        norm.running_mean = 1.0
    norm.running_mean = nn.Parameter(fe.ones((2,)))  # changes its kind
    assert "running_mean" in names(norm.named_parameters())
    assert "running_mean" not in names(norm.named_buffers())


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m: m.add_module("a.b", nn.ReLU()), KeyError, "with a dot"),
        (lambda m: m.add_module("", nn.ReLU()), KeyError, "empty"),
        (lambda m: m.add_module("train", nn.ReLU()), KeyError, "already has"),
        (lambda m: m.add_module("x", fe.ones((1,))), TypeError, "must be an nn.Module"),
        (
            lambda m: m.register_parameter("x", fe.ones((1,))),
            TypeError,
            "must be an nn.Parameter",
        ),
        (lambda m: m.register_buffer("weight", fe.ones((1,))), KeyError, "already has"),
        (lambda m: m.register_buffer("x", 3), TypeError, "must be a Tensor"),
        (lambda m: m.get_submodule("a"), AttributeError, "no submodule 'a'"),
        (lambda m: m.get_parameter("w"), AttributeError, "it has: weight, bias"),
        (lambda m: m.get_buffer("w"), AttributeError, "it has: none"),
        (lambda m: m.train("yes"), TypeError, "must be a bool"),
        (lambda m: m.to(fe.int64), TypeError, "dtype must be floating"),
        (lambda m: m.to(3), TypeError, "expected a dtype, a device or a tensor"),
    ],
)
def test_misuse(call, error, text):
    with pytest.raises(error, match=text):
        call(nn.Linear(2, 2))


def test_get_by_path():
    model = net()
    assert model.get_submodule("") is model
    assert model.get_submodule("0.conv") is model[0].conv
    assert model.get_parameter("0.conv.bias") is model[0].conv.bias
    assert model.get_buffer("0.norm.running_var") is model[0].norm.running_var


def test_no_forward():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


# --- state


def test_state_dict_round_trip():
    source, target = net(), net()
    state = source.state_dict()
    assert "0.seen" not in state
    assert not state["3.weight"].requires_grad
    result = target.load_state_dict(state)
    assert result == ([], [])
    x = fe.ones((2, 1, 4, 4))
    source.eval()
    target.eval()
    assert source(x).tolist() == target(x).tolist()
    assert next(iter(source.state_dict(prefix="m."))) == "m.0.scale"
    assert source.state_dict(keep_vars=True)["3.bias"] is source[3].bias


def test_load_state_dict_lists_all_and_changes_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = {
        "0.weight": fe.full((3, 2), 7.0),
        "0.bias": fe.zeros((4,)),
        "1.weight": fe.zeros((3, 1)),
        "extra": fe.zeros((1,)),
    }
    before = model[0].weight.tolist()
    with pytest.raises(fe.FerruleError) as info:
        model.load_state_dict(state)
    assert str(info.value) == (
        "[load_state_dict] the state does not fit Sequential:\n"
        "  missing: 1.bias\n"
        "  unexpected: extra\n"
        "  0.bias: the module has shape (3,), the state (4,)\n"
        "  1.weight: the module has shape (1, 3), the state (3, 1)"
    )
    assert model[0].weight.tolist() == before
    result = model.load_state_dict({"0.bias": fe.ones((3,)), "x": 1}, strict=False)
    assert result.missing_keys == ["0.weight", "1.weight", "1.bias"]
    assert result.unexpected_keys == ["x"]
    assert model[0].bias.tolist() == [1.0, 1.0, 1.0]


def test_load_state_dict_casts_and_takes_arrays():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.ones((1, 2)), "bias": np.zeros(1)})
    assert layer.weight.dtype == fe.float32
    assert layer.weight.tolist() == [[1.0, 1.0]]
    assert layer.weight.is_leaf and layer.weight.requires_grad


def test_copy_and_pickle():
    fe.manual_seed(0)  # some other models are dead behind their ReLU
    model = net().eval()
    x = fe.ones((1, 1, 4, 4))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin(x).tolist() == model(x).tolist()
        assert isinstance(twin[3].weight, nn.Parameter)
        with fe.no_grad():
            twin[3].weight.zero_()
        assert twin(x).tolist() != model(x).tolist()


def test_conversion_keeps_parameter_objects():
    model = net()
    weight = model[3].weight
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
    model(fe.ones((2, 1, 4, 4))).sum().backward()
    assert model.double() is model
    assert model[3].weight is weight
    assert weight.dtype == fe.float64
    assert weight.grad.dtype == fe.float64
    assert weight.requires_grad and weight.is_leaf
    assert model[0].norm.running_mean.dtype == fe.float64
    assert model[0].norm.num_batches_tracked.dtype == fe.int64
    before = weight.tolist()
    optimizer.step()
    assert weight.tolist() != before
    model.to("cpu", fe.float32)
    assert weight.dtype == fe.float32
    model.to(dtype=fe.float64)
    assert weight.dtype == fe.float64
    model.to(fe.zeros((1,)))
    assert weight.dtype == fe.float32


def test_conversion_leaves_the_callers_buffer_alone():
    mine = fe.ones((2,))
    module = nn.Module()
    module.register_buffer("a", mine)
    module.register_buffer("b", mine)
    module.double()
    assert mine.dtype == fe.float32
    assert module.a.dtype == fe.float64
    assert module.a is module.b


def test_modes_gradients_apply():
    model = net()
    assert model.training
    assert not model.eval()[0].norm.training
    assert model.train()[0].norm.training
    model(fe.ones((2, 1, 4, 4))).sum().backward()
    weight = model[3].weight
    assert weight.grad is not None
    model.zero_grad(set_to_none=False)
    assert weight.grad.abs().sum().item() == 0
    model.zero_grad()
    assert weight.grad is None
    model.requires_grad_(False)
    assert not weight.requires_grad
    seen = []
    model.apply(lambda m: seen.append(type(m).__name__))
    expected = ["Conv2d", "BatchNorm2d", "Block", "ReLU", "Flatten", "Linear"]
    assert seen == [*expected, "Sequential"]


# --- hooks


def test_hooks():
    layer = nn.ReLU()
    log = []
    pre = layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    one = layer.register_forward_pre_hook(lambda m, args: args[0] + 1)
    post = layer.register_forward_hook(lambda m, args, out: out * 10)
    with layer.register_forward_hook(
        lambda m, args, kwargs, out: log.append(kwargs), with_kwargs=True
    ):
        assert layer(fe.ones((1,))).item() == 30.0
    assert log == [{}]
    pre.remove()
    pre.remove()
    assert layer(fe.ones((1,))).item() == 20.0
    one.remove()
    post.remove()
    assert layer(fe.ones((1,))).item() == 1.0
    assert log == [{}]
    layer.register_forward_pre_hook(
        lambda m, args, kwargs: ((fe.ones((1,)) * 5,), {}), with_kwargs=True
    )
    assert layer(input=fe.ones((1,))).item() == 5.0


# --- text


def test_repr():
    assert repr(nn.Sequential(Block(), nn.Dropout(0.1))) == (
        "Sequential(\n"
        "  (0): Block(\n"
        "    (conv): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        "    (norm): BatchNorm2d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, "
        "track_running_stats=True)\n"
        "  )\n"
        "  (1): Dropout(p=0.1, inplace=False)\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.ParameterList([fe.ones((2,))])).startswith("ParameterList(\n  (0): ")


def test_error_names_the_module_once():
    model = nn.ModuleDict({"body": nn.Sequential(nn.ReLU(), nn.Linear(3, 2))})
    model.forward = lambda x: model["body"](x)
    with pytest.raises(fe.ShapeError) as info:
        model(fe.ones((1, 4)))
    line = "\n  in module 'body.1' (Linear(in_features=3, out_features=2, bias=True))"
    assert str(info.value).endswith(line)
    assert str(info.value).count("in module") == 1
    with pytest.raises(fe.ShapeError, match=r"in module Linear\(in_features=3"):
        model["body"][1](fe.ones((1, 4)))


def test_error_path_skips_modules_that_are_not_registered():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Sequential(nn.Linear(3, 2))]

        def forward(self, x):
            return self.layers[0](x)

    model = nn.Sequential(Hidden())
    with pytest.raises(fe.ShapeError, match=r"in module '0' \(Linear\("):
        model(fe.ones((1, 4)))


# --- containers


def test_sequential_like_a_list():
    model = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    assert isinstance(model[-1], nn.Sigmoid)
    assert [type(m).__name__ for m in model[1:]] == ["Tanh", "Sigmoid"]
    assert names(model[1:].named_children()) == ["0", "1"]
    model[1] = nn.GELU()
    del model[0]
    model.append(nn.Identity()).insert(0, nn.Flatten())
    assert [type(m).__name__ for m in model] == [
        "Flatten",
        "GELU",
        "Sigmoid",
        "Identity",
    ]
    assert names(model.named_children()) == ["0", "1", "2", "3"]
    with pytest.raises(IndexError, match="index 4 is out of range for 4 modules"):
        model[4]
    named = nn.Sequential({"a": nn.ReLU(), "b": nn.Tanh()})
    assert names(named.named_children()) == ["a", "b"]
    assert names(named[1:].named_children()) == ["b"]


def test_module_dict_and_lists():
    heads = nn.ModuleDict({"a": nn.Linear(1, 1)})
    heads["b"] = nn.Linear(1, 2)
    assert heads.keys() == ["a", "b"] and len(heads) == 2 and "a" in heads
    assert heads.pop("a").out_features == 1
    assert [name for name, _ in heads.items()] == list(heads) == ["b"]
    assert heads.values()[0] is heads["b"]
    with pytest.raises(KeyError):
        heads["a"]
    with pytest.raises(KeyError):
        del heads["a"]
    layers = nn.ModuleList([nn.Linear(1, 1)]).extend([nn.ReLU()])
    assert len(layers) == 2 and names(layers.named_parameters()) == [
        "0.weight",
        "0.bias",
    ]
    params = nn.ParameterList([fe.ones((1,))]).append(fe.zeros((2,)))
    params[0] = fe.full((3,), 2.0)
    assert [p.shape for p in params] == [(3,), (2,)]
    assert params[-1] is params[1]
    with pytest.raises(IndexError):
        params[2]


# --- layers


def test_flatten_and_unflatten():
    x = fe.zeros((2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Flatten()(fe.zeros((0, 3, 4))).shape == (0, 12)
    assert nn.Unflatten(-1, (1, 5))(x).shape == (2, 3, 4, 1, 5)
    assert nn.Unflatten(2, (2, -1))(x).shape == (2, 3, 2, 2, 5)
    with pytest.raises(
        fe.IndexOutOfRange, match=r"dim 4 is out of range .* valid: -4\.\.3"
    ):
        nn.Flatten(4)(x)
    with pytest.raises(fe.InvalidValue, match="start_dim 2 is behind end_dim 1"):
        nn.Flatten(2, 1)(x)
    with pytest.raises(fe.ShapeError, match=r"cannot be split into \(3, -1\)"):
        nn.Unflatten(2, (3, -1))(x)
    with pytest.raises(fe.IndexOutOfRange, match=r"dim 4 .* valid: -4\.\.3"):
        nn.Unflatten(4, (1, -1))(x)


def test_dropout_mode_and_rate():
    fe.manual_seed(0)
    layer = nn.Dropout(0.25)
    y = layer(fe.ones((10000,)))
    values = np.unique(y.numpy())
    np.testing.assert_allclose(values, [0.0, 1 / 0.75])
    assert abs((y.numpy() == 0).mean() - 0.25) < 0.02
    assert layer.eval()(fe.ones((5,))).tolist() == [1.0] * 5
    with pytest.raises(ValueError, match="p must be between 0 and 1, got 2"):
        nn.Dropout(2)


def test_embedding():
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4
    assert layer.weight[4].tolist() == [0.0, 0.0, 0.0]
    layer(fe.tensor([[0, 4], [0, 1]])).sum().backward()
    assert layer.weight.grad[:, 0].tolist() == [2.0, 1.0, 0.0, 0.0, 0.0]
    table = fe.ones((4, 2))
    frozen = nn.Embedding.from_pretrained(table)
    assert not frozen.weight.requires_grad
    assert repr(frozen) == "Embedding(4, 2)"
    with pytest.raises(ValueError, match="padding_idx 5 is out of range for 5 rows"):
        nn.Embedding(5, 3, padding_idx=5)


def test_batch_norm_averages_all_batches_without_momentum():
    layer = nn.BatchNorm1d(1, momentum=None)
    data = np.random.default_rng(0).normal(3, 2, (4, 8, 1)).astype(np.float32)
    for batch in data:
        layer(fe.from_numpy(batch))
    np.testing.assert_allclose(layer.running_mean.item(), data.mean(), rtol=1e-5)
    var = data.var(axis=1, ddof=1).mean()
    np.testing.assert_allclose(layer.running_var.item(), var, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 4
    layer.eval()
    y = layer(fe.from_numpy(data[0])).detach().numpy()
    want = (data[0] - data.mean()) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-6)


def test_batch_norm_rejects_other_ranks():
    with pytest.raises(fe.ShapeError, match=r"expected \(N, C, H, W\), got shape"):
        nn.BatchNorm2d(2)(fe.ones((2, 2)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(3, 4, 3, groups=2),
        lambda: nn.Conv2d(3, 4, 3, padding="full"),
        lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"),
        lambda: nn.GELU("erf"),
        lambda: nn.MSELoss("average"),
        lambda: F.conv2d(fe.ones((1, 1, 4, 4)), fe.ones((1, 1, 2, 2)), padding="x"),
        lambda: F.conv2d(
            fe.ones((1, 1, 4, 4)), fe.ones((1, 1, 2, 2)), stride=2, padding="same"
        ),
        lambda: F.mse_loss(fe.ones((1,)), fe.ones((1,)), reduction="x"),
    ],
)
def test_bad_options(make):
    with pytest.raises(ValueError, match=r"^\["):
        make()


# --- losses


@pytest.mark.parametrize(
    "loss", [F.mse_loss, F.l1_loss, F.binary_cross_entropy_with_logits]
)
def test_losses_do_not_broadcast(loss):
    with pytest.raises(fe.ShapeError) as info:
        loss(fe.zeros((8, 1)), fe.zeros((8,)))
    assert str(info.value) == (
        f"[{loss.__name__}] input has shape (8, 1) but target (8,); a loss does not "
        "broadcast: write input.squeeze(-1) or target.unsqueeze(-1)"
    )
    with pytest.raises(fe.ShapeError, match=r"write target\.squeeze"):
        loss(fe.zeros((8,)), fe.zeros((8, 1)))
    with pytest.raises(fe.ShapeError, match=r"target\.expand\(input\.shape\)"):
        loss(fe.zeros((8, 2)), fe.zeros((1, 2)))


def test_bce_wants_a_floating_target():
    with pytest.raises(fe.DTypeError, match=r"write target\.to\(input\.dtype\)"):
        F.binary_cross_entropy_with_logits(fe.zeros((2,)), fe.tensor([0, 1]))


def test_bce_is_stable_and_smooth():
    x = fe.tensor([0.0, 100.0, -100.0, 100.0], requires_grad=True)
    y = fe.tensor([1.0, 1.0, 0.0, 0.0])
    loss = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    np.testing.assert_allclose(
        loss.detach().numpy(), [np.log(2), 0, 0, 100], rtol=1e-6, atol=1e-7
    )
    (first,) = fe.autograd.grad([loss.sum()], [x], create_graph=True)
    np.testing.assert_allclose(
        first.detach().numpy(), [-0.5, 0, 0, 1], rtol=1e-6, atol=1e-7
    )
    (second,) = fe.autograd.grad([first.sum()], [x])
    np.testing.assert_allclose(second.numpy(), [0.25, 0, 0, 0], rtol=1e-6, atol=1e-7)


def test_nll_loss_ignores_even_minus_infinity():
    logs = fe.tensor([[0.0, float("-inf")], [-1.0, -2.0]], requires_grad=True)
    target = fe.tensor([1, 0])
    loss = F.nll_loss(logs, target, ignore_index=1)
    assert loss.item() == 1.0
    loss.backward()
    assert logs.grad.tolist() == [[0.0, 0.0], [-1.0, 0.0]]
    with pytest.raises(fe.ShapeError, match=r"needs a target of shape \(2,\), got"):
        F.nll_loss(logs, fe.tensor([[1], [0]]))


# --- init


def test_init_statistics():
    fe.manual_seed(0)
    w = fe.empty((200, 50, 2, 2))  # fan_in 200, fan_out 800
    cases = {
        nn.init.xavier_uniform_: (2 / 1000) ** 0.5,
        nn.init.xavier_normal_: (2 / 1000) ** 0.5,
        nn.init.kaiming_uniform_: (2 / 200) ** 0.5,
        nn.init.kaiming_normal_: (2 / 200) ** 0.5,
    }
    for init, std in cases.items():
        values = init(w).numpy()
        assert abs(values.mean()) < 0.02 * std
        assert abs(values.std() / std - 1) < 0.02
    out = nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="linear").numpy()
    assert abs(out.std() * 800**0.5 - 1) < 0.02
    assert np.abs(nn.init.uniform_(w, -2, 2).numpy()).max() <= 2
    assert abs(nn.init.normal_(w, 1.0, 0.5).numpy().mean() - 1) < 0.02


def test_init_of_parameters_is_not_recorded():
    p = nn.Parameter(fe.zeros((2, 3)))
    assert nn.init.ones_(p) is p
    assert p.is_leaf and p.requires_grad and p.grad is None
    assert nn.init.eye_(p).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert nn.init.constant_(p, 2.0).tolist() == [[2.0] * 3] * 2
    assert nn.init.zeros_(p).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: nn.init.eye_(fe.zeros((2,))), fe.ShapeError),
        (lambda: nn.init.xavier_normal_(fe.zeros((2,))), fe.ShapeError),
        (lambda: nn.init.kaiming_normal_(fe.zeros((2, 2)), mode="in"), ValueError),
        (lambda: nn.init.calculate_gain("swish"), ValueError),
    ],
)
def test_init_errors(call, error):
    with pytest.raises(error, match=r"^\["):
        call()


def test_same_seed_same_parameters():
    fe.manual_seed(3)
    first = nn.Linear(4, 4).weight.tolist()
    fe.manual_seed(3)
    assert nn.Linear(4, 4).weight.tolist() == first
