"""MultiheadAttention and TransformerEncoderLayer by their formulas and, where it is
installed, against PyTorch.
"""

import numpy as np
import pytest

import ferrule as fe

try:
    import torch
except ImportError:
    torch = None

with_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def twins(make):
    """The same module of both libraries, with the same parameters."""
    theirs, mine = make(torch.nn), make(fe.nn)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict(
        {k: fe.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    )
    return mine, theirs


def close(mine, theirs, what=""):
    np.testing.assert_allclose(
        mine.detach().numpy(),
        theirs.detach().numpy(),
        rtol=2e-5,
        atol=2e-5,
        err_msg=what,
    )


HIDDEN = np.triu(np.ones((6, 6), bool), 1)
PADDING = np.arange(6)[None] >= np.array([[6], [4], [5]])
CASES = {
    "plain": ({}, {}),
    "length_first": ({"batch_first": False}, {}),
    "no_bias": ({"bias": False}, {}),
    "bool_mask": ({}, {"attn_mask": HIDDEN}),
    "float_mask": ({}, {"attn_mask": array(6, 6, seed=3)}),
    "mask_of_every_head": ({}, {"attn_mask": array(12, 6, 6, seed=3)}),
    "padding": ({}, {"key_padding_mask": PADDING}),
    "both": ({}, {"attn_mask": HIDDEN, "key_padding_mask": PADDING}),
    "causal": ({}, {"attn_mask": HIDDEN, "is_causal": True}),
    "extra_keys": ({"add_bias_kv": True, "add_zero_attn": True}, {}),
    "extra_keys_masked": (
        {"add_bias_kv": True, "add_zero_attn": True},
        {"attn_mask": HIDDEN},
    ),
    "each_head": ({}, {"average_attn_weights": False}),
}


@with_torch
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_self_attention(name: str, need_weights: bool) -> None:
    options, call = CASES[name]
    options = {"batch_first": True, **options}
    mine, theirs = twins(lambda nn: nn.MultiheadAttention(8, 4, **options))
    shape = (3, 6, 8) if options["batch_first"] else (6, 3, 8)
    outs = []
    for module, tensor in ((mine, fe.tensor), (theirs, torch.tensor)):
        x = tensor(array(*shape), requires_grad=True)
        given = {
            k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in call.items()
        }
        out, weights = module(x, x, x, need_weights=need_weights, **given)
        (out * tensor(array(*shape, seed=1))).sum().backward()
        outs.append((out, weights, x, dict(module.named_parameters())))
    close(outs[0][0], outs[1][0], "output")
    if need_weights:
        close(outs[0][1], outs[1][1], "weights")
    else:
        assert outs[0][1] is None
    close(outs[0][2].grad, outs[1][2].grad, "input")
    for key, p in outs[0][3].items():
        close(p.grad, outs[1][3][key].grad, key)


@with_torch
@pytest.mark.parametrize("batched", [False, True])
def test_three_sequences_of_different_features(batched: bool) -> None:
    mine, theirs = twins(lambda nn: nn.MultiheadAttention(8, 2, kdim=5, vdim=3))
    shapes = [(4, 8), (7, 5), (7, 3)]
    if batched:
        shapes = [(n, 2, m) for n, m in shapes]
    arrays = [array(*s, seed=i) for i, s in enumerate(shapes)]
    out, weights = mine(*map(fe.tensor, arrays))
    want, want_weights = theirs(*map(torch.tensor, arrays))
    close(out, want)
    close(weights, want_weights)


def parameters(module):
    return {k: v.numpy().astype("float64") for k, v in module.state_dict().items()}


def attend(p, x, heads, hidden):
    """Vaswani et al. (2017), section 3.2.2, of sequences (batch, length, features)."""
    batch, length, features = x.shape
    q, k, v = np.split(x @ p["in_proj_weight"].T + p["in_proj_bias"], 3, -1)
    q, k, v = (
        a.reshape(batch, length, heads, -1).transpose(0, 2, 1, 3) for a in (q, k, v)
    )
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(features / heads)
    scores = np.where(hidden, -np.inf, scores)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    weights = scores / scores.sum(-1, keepdims=True)
    out = (weights @ v).transpose(0, 2, 1, 3).reshape(x.shape)
    return out @ p["out_proj.weight"].T + p["out_proj.bias"], weights.mean(1)


@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_by_its_formula(need_weights: bool) -> None:
    fe.manual_seed(0)
    layer = fe.nn.MultiheadAttention(8, 4, batch_first=True)
    with fe.no_grad():
        layer.in_proj_bias.copy_(fe.tensor(array(24, seed=2)))
    x = array(3, 6, 8)
    want, want_weights = attend(parameters(layer), x.astype("float64"), 4, HIDDEN)
    t = fe.tensor(x)
    out, weights = layer(
        t, t, t, attn_mask=fe.tensor(HIDDEN), need_weights=need_weights
    )
    np.testing.assert_allclose(out.detach().numpy(), want, rtol=2e-5, atol=2e-5)
    if need_weights:
        np.testing.assert_allclose(
            weights.detach().numpy(), want_weights, rtol=2e-5, atol=2e-5
        )


def test_encoder_layer_by_its_formula() -> None:
    fe.manual_seed(0)
    layer = fe.nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    x = array(3, 6, 8)
    p = parameters(layer)

    def norm(a, name):
        a = (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)
        return a * p[f"{name}.weight"] + p[f"{name}.bias"]

    own = {k[len("self_attn.") :]: v for k, v in p.items() if k.startswith("self_attn")}
    a = norm(x + attend(own, x.astype("float64"), 2, HIDDEN)[0], "norm1")
    hidden = np.maximum(a @ p["linear1.weight"].T + p["linear1.bias"], 0)
    want = norm(a + hidden @ p["linear2.weight"].T + p["linear2.bias"], "norm2")
    out = layer(fe.tensor(x), fe.tensor(HIDDEN), is_causal=True)
    np.testing.assert_allclose(out.detach().numpy(), want, rtol=5e-5, atol=5e-5)


def test_errors_say_what_is_expected() -> None:
    layer = fe.nn.MultiheadAttention(8, 2)
    x = fe.zeros((4, 1, 8))
    with pytest.raises(fe.InvalidValue, match="divide"):
        fe.nn.MultiheadAttention(8, 3)
    with pytest.raises(fe.InvalidValue, match="attn_mask"):
        layer(x, x, x, is_causal=True)
    with pytest.raises(fe.ShapeError, match="key must have"):
        layer(x, fe.zeros((4, 1, 7)), x)
    with pytest.raises(fe.ShapeError, match=r"attn_mask .*\(4, 4\)"):
        layer(x, x, x, attn_mask=fe.zeros((3, 4)))
    with pytest.raises(fe.ShapeError, match="key_padding_mask"):
        layer(x, x, x, key_padding_mask=fe.zeros((4, 1)))
    with pytest.raises(fe.InvalidValue, match="activation"):
        fe.nn.TransformerEncoderLayer(8, 2, activation="tanh")


@with_torch
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer(norm_first: bool, activation: str) -> None:
    mine, theirs = twins(
        lambda nn: nn.TransformerEncoderLayer(
            8, 2, 16, 0.0, activation, norm_first=norm_first, batch_first=True
        )
    )
    outs = []
    for module, tensor in ((mine, fe.tensor), (theirs, torch.tensor)):
        x = tensor(array(3, 6, 8), requires_grad=True)
        out = module(x, tensor(HIDDEN), is_causal=True)
        (out * tensor(array(3, 6, 8, seed=1))).sum().backward()
        outs.append((out, x.grad, [p.grad for p in module.parameters()]))
    close(outs[0][0], outs[1][0])
    close(outs[0][1], outs[1][1])
    for a, b in zip(outs[0][2], outs[1][2], strict=True):
        close(a, b)


def test_encoder_layer_drops_in_training_only() -> None:
    layer = fe.nn.TransformerEncoderLayer(8, 2, 16, 0.5)
    x = fe.tensor(array(4, 2, 8))
    assert not fe.equal(layer(x), layer(x))
    layer.eval()
    assert fe.equal(layer(x), layer(x))
