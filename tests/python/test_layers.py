"""Layers and losses by their formulas, without another library: mistakes and their
messages, what dropout keeps, second derivatives, examples of the documentation.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import ferrule as fe

F = fe.nn.functional
ONES = fe.ones((3,))
# What is called, and what the message says.
MISTAKES = {
    "column_mse": (lambda: F.mse_loss(fe.ones((3, 1)), ONES), r"squeeze\(-1\)"),
    "column_huber": (lambda: F.huber_loss(ONES, fe.ones((3, 1))), r"squeeze\(-1\)"),
    "column_smooth_l1": (
        lambda: F.smooth_l1_loss(fe.ones((3, 1)), ONES),
        r"write input.squeeze\(-1\) or target.unsqueeze\(-1\)",
    ),
    "broadcast_l1": (lambda: F.l1_loss(fe.ones((2, 3)), ONES), r"target.expand"),
    "logits_for_probabilities": (
        lambda: F.binary_cross_entropy(3.0 * ONES, ONES),
        "binary_cross_entropy_with_logits",
    ),
    "integer_target": (
        lambda: F.binary_cross_entropy(0.5 * ONES, ONES.long()),
        r"target.to\(input.dtype\)",
    ),
    "column_bce": (
        lambda: F.binary_cross_entropy_with_logits(fe.ones((3, 1)), ONES),
        r"squeeze\(-1\)",
    ),
    "float_classes": (lambda: F.nll_loss(fe.ones((3, 4)), ONES), r"\.long\(\)"),
    "class_range": (
        lambda: F.nll_loss(fe.ones((2, 3)), fe.tensor([0, 3])),
        "index 3 is out of range",
    ),
    "class_count": (
        lambda: F.nll_loss(fe.ones((3, 4)), fe.tensor([0, 1])),
        r"needs a target of shape \(3,\)",
    ),
    "margin_class": (
        lambda: F.multi_margin_loss(fe.ones((1, 3)), fe.tensor([3])),
        "index 3 is out of range",
    ),
    "reduction": (lambda: F.kl_div(ONES, ONES, "avg"), "batchmean"),
    "module_reduction": (lambda: fe.nn.HuberLoss("batchmean"), "reduction must be"),
    "negative_variance": (
        lambda: F.gaussian_nll_loss(ONES, ONES, -ONES),
        "negative element",
    ),
    "variance_shape": (
        lambda: F.gaussian_nll_loss(fe.ones((2, 3)), fe.ones((2, 3)), fe.ones((4,))),
        "var has shape",
    ),
    "beta": (lambda: F.smooth_l1_loss(ONES, ONES, beta=-1.0), "beta must be"),
    "delta": (lambda: F.huber_loss(ONES, ONES, delta=0.0), "delta must be"),
    "triplet_ranks": (
        lambda: F.triplet_margin_loss(ONES, ONES, fe.ones((1, 3))),
        "same number of dimensions",
    ),
    "groups": (lambda: F.group_norm(fe.ones((1, 3, 2)), 2), "must divide the channels"),
    "one_value": (lambda: F.group_norm(fe.ones((1, 2)), 2), "more than one value"),
    "group_channels": (lambda: fe.nn.GroupNorm(2, 3), "must divide num_channels"),
    "instance_value": (lambda: F.instance_norm(fe.ones((2, 3, 1))), "more than one"),
    "rms_shape": (lambda: F.rms_norm(fe.ones((2, 3)), (2,)), "does not end with"),
    "prelu_channels": (lambda: F.prelu(fe.ones((2, 3)), fe.ones((2,))), "3 channels"),
    "glu_odd": (lambda: F.glu(ONES), "even size"),
    "limits": (lambda: F.hardtanh(ONES, 1.0, 0.0), "is above max_val"),
    "integers": (lambda: F.silu(fe.tensor([1, 2])), r"\.float\(\)"),
    "probability": (lambda: F.alpha_dropout(ONES, 1.5), "probability"),
    "dropout2d_rank": (lambda: F.dropout2d(ONES), "behind the channels"),
    "bag_offsets": (
        lambda: F.embedding_bag(fe.tensor([1]), fe.ones((2, 2))),
        "offsets",
    ),
    "bag_weights": (
        lambda: F.embedding_bag(
            fe.tensor([[1]]), fe.ones((2, 2)), per_sample_weights=fe.ones((1, 1))
        ),
        "mode='sum'",
    ),
    "one_hot_range": (lambda: F.one_hot(fe.tensor([3]), 3), "out of range"),
    "bilinear_shapes": (
        lambda: F.bilinear(ONES, ONES, fe.ones((1, 3, 2))),
        "do not fit",
    ),
    "ctc_label": (
        lambda: F.ctc_loss(fe.zeros((2, 1, 3)), fe.tensor([[3]]), [2], [1]),
        "label 3 is out of range; valid: 0..2",
    ),
    "ctc_frames": (
        lambda: F.ctc_loss(fe.zeros((2, 1, 3)), fe.tensor([[1]]), [3], [1]),
        "log_probs has 2 frames",
    ),
    "ctc_labels": (
        lambda: F.ctc_loss(fe.zeros((2, 1, 3)), fe.tensor([[1]]), [2], [2]),
        "room for 1 labels",
    ),
    "cutoffs": (
        lambda: fe.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [5, 5]),
        "increasing",
    ),
    "adaptive_class": (
        lambda: fe.nn.AdaptiveLogSoftmaxWithLoss(3, 10, [5])(
            fe.ones((1, 3)), fe.tensor([10])
        ),
        "class 10 is out of range",
    ),
    "transformer_features": (
        lambda: fe.nn.Transformer(8, 2, 1, 1, 8)(
            fe.ones((5, 1, 4)), fe.ones((5, 1, 8))
        ),
        "must have 8 features",
    ),
    "inplace": (lambda: F.relu(ONES, inplace=1), "'inplace' must be a bool"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_message(mistake):
    call, text = MISTAKES[mistake]
    with pytest.raises((fe.FerruleError, TypeError), match=text):
        call()


def test_examples_of_the_documentation():
    failed = 0
    for module in pkgutil.walk_packages(fe.nn.__path__, "ferrule.nn."):
        failed += doctest.testmod(importlib.import_module(module.name)).failed
    assert not failed


@pytest.mark.parametrize(
    "function",
    [F.dropout1d, F.dropout2d, F.dropout3d, F.feature_alpha_dropout, F.alpha_dropout],
)
def test_dropout_of_channels(function):
    n = {F.dropout1d: 1, F.dropout2d: 2, F.dropout3d: 3}.get(function, 1)
    fe.manual_seed(0)
    x = fe.randn((40, 50, *[6] * n))
    y = function(x, 0.3, True)
    dropped = (y == (y.min() if "alpha" in function.__name__ else 0)).numpy()
    if function is not F.alpha_dropout:
        whole = dropped.reshape(40, 50, -1)
        assert (whole.all(2) == whole.any(2)).all() or "alpha" in function.__name__
    if "alpha" not in function.__name__:
        assert abs(dropped.mean() - 0.3) < 0.05
        np.testing.assert_allclose(y.numpy()[~dropped], x.numpy()[~dropped] / 0.7, 1e-6)
    else:
        assert abs(y.mean().item()) < 0.05 and abs(y.var().item() - 1) < 0.1
    assert fe.equal(function(x, 0.3, False), x)
    assert not function(x, 1.0, True).any()
    leaf = x.requires_grad_()
    function(leaf, 0.3, True).sum().backward()
    assert np.isfinite(leaf.grad.numpy()).all()


@pytest.mark.parametrize("name", ["Dropout", "ReLU", "Hardswish", "SELU"])
def test_inplace_modules(name):
    fe.manual_seed(0)
    x = fe.randn((50,))
    y = x.clone()
    assert getattr(fe.nn, name)(inplace=True)(y) is y
    assert not fe.equal(x, y)


def test_rrelu_draws_slopes():
    fe.manual_seed(0)
    x = -fe.ones((1000,))
    slopes = -F.rrelu(x, 0.2, 0.6, True)
    assert 0.2 <= slopes.min().item() < 0.22 and 0.58 < slopes.max().item() <= 0.6


def test_norm_of_zeros_has_gradient_zero():
    for p in (1, 2, 3):
        x = fe.zeros((3,), requires_grad=True)
        fe.norm(x, p).backward()
        assert x.grad.tolist() == [0.0, 0.0, 0.0]
    x = fe.zeros((2, 3), requires_grad=True)
    F.normalize(x).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


# Against float64, in units of the last place of the larger of result and 1e-30.
UNITS = {
    "silu": 4, "mish": 6, "softplus": 3, "elu": 3, "hardswish": 2, "logsigmoid": 3,
}  # fmt: skip


@pytest.mark.parametrize("name", UNITS)
def test_float32_is_as_good_as_it_can_be(name):
    x = np.concatenate([np.linspace(-30, 30, 100_001), np.logspace(-8, 1, 1001)])
    x = np.concatenate([x, -x]).astype(np.float32)
    got = getattr(F, name)(fe.from_numpy(x)).numpy().astype(np.float64)
    args = (1.0, np.inf) if name == "softplus" else ()
    want = getattr(F, name)(fe.from_numpy(x.astype(np.float64)), *args).numpy()
    unit = np.spacing(np.maximum(np.abs(want), 1e-30).astype(np.float32))
    assert np.max(np.abs(got - want) / unit) <= UNITS[name]


def test_parameter_dict():
    params = fe.nn.ParameterDict({"a": fe.ones((1,)), "b": fe.ones((2,))})
    assert [n for n, _ in params.named_parameters()] == ["a", "b"]
    params["c"] = fe.zeros((3,))
    assert list(params) == ["a", "b", "c"] and "c" in params and len(params) == 3
    assert params.pop("a").shape == (1,) and params.get("a") is None
    assert list((params | {"d": fe.ones((1,))}).keys()) == ["b", "c", "d"]
    assert params.setdefault("e", fe.ones((1,))) is params["e"]
    assert params.popitem()[0] == "e"
    assert list(params.state_dict()) == ["b", "c"]
    params.clear()
    assert not params.keys()


def test_ctc_by_all_paths():
    """The loss is what the sum over all paths that spell the target says."""
    rng = np.random.default_rng(0)
    frames, classes = 4, 3
    logp = np.log(rng.dirichlet(np.ones(classes), frames))
    for target in ([1], [1, 1], [1, 2], [2, 1, 2], []):
        total = 0.0
        for path in np.ndindex(*[classes] * frames):
            merged = [c for k, c in enumerate(path) if k == 0 or c != path[k - 1]]
            if [c for c in merged if c] == target:
                total += np.exp(sum(logp[t, c] for t, c in enumerate(path)))
        got = F.ctc_loss(
            fe.from_numpy(logp[:, None]), fe.tensor([[*target, 0]]), [frames],
            [len(target)], reduction="none",
        )  # fmt: skip
        np.testing.assert_allclose(got.numpy(), [-np.log(total)], 1e-12)


def test_ctc_without_an_alignment():
    """Kernel and composition agree: infinity, or 0 for no frames and no labels."""
    logp = fe.log_softmax(fe.zeros((3, 4, 3)), 2)
    labels = fe.tensor([[1, 1], [1, 2], [1, 2], [1, 2]])
    frames, lengths = fe.tensor([2, 1, 0, 0]), fe.tensor([2, 2, 1, 0])
    results = []
    for composed in (False, True):
        fe._ferrule.set_decompose(composed)
        try:
            got = fe.ops.ctc_terms(logp, labels, frames, lengths)
        finally:
            fe._ferrule.set_decompose(False)
        results.append(got.tolist())
    assert results[0] == results[1] == [np.inf, np.inf, np.inf, 0.0]


# Functions of (batch, 4, 6).
ANY_BATCH = {
    "group_norm": lambda x: F.group_norm(x, 2, fe.ones((4,)), fe.ones((4,))),
    "instance_norm": lambda x: F.instance_norm(x),
    "rms_norm": lambda x: F.rms_norm(x, (6,)),
    "local_response_norm": lambda x: F.local_response_norm(x, 3),
    "normalize": lambda x: F.normalize(x),
    "cosine_similarity": lambda x: F.cosine_similarity(x, x.roll(1, 0)),
    "pdist": lambda x: F.pdist(x.flatten(1)),
    "pairwise_distance": lambda x: F.pairwise_distance(x, x.roll(1, 0)),
    "bilinear": lambda x: F.bilinear(x, x, fe.ones((2, 6, 6))),
    "glu": lambda x: F.glu(x),
    "prelu": lambda x: F.prelu(x, fe.full((4,), 0.3)),
    "mish": lambda x: F.mish(x),
    "softplus": lambda x: F.softplus(x, 2.0),
    "dropout1d": lambda x: F.dropout1d(x, 0.5, False),
    "embedding_bag": lambda x: F.embedding_bag(
        (x.flatten(1).abs() * 2).long().clamp(0, 4), fe.arange(10.0).reshape((5, 2))
    ),
    "gaussian_nll_loss": lambda x: F.gaussian_nll_loss(x, x * 0.5, x.abs()),
    "kl_div": lambda x: F.kl_div(x, x.abs(), "batchmean"),
    "huber_loss": lambda x: F.huber_loss(x, x * 0.5),
    "nll_loss": lambda x: F.nll_loss(x, x.argmax(1)),
    "multi_margin_loss": lambda x: F.multi_margin_loss(
        x.flatten(1), x.flatten(1).argmax(1)
    ),
    "multilabel_margin_loss": lambda x: F.multilabel_margin_loss(
        x.select(2, 0), x.select(2, 1).argsort(1)
    ),
    "triplet_margin_loss": lambda x: F.triplet_margin_loss(x, x * 2.0, x.roll(1, 0)),
    "ctc_loss": lambda x: F.ctc_loss(
        fe.log_softmax(x.permute((2, 0, 1)), 2),
        x.argmax(2).clamp(1, 3)[:, :2],
        fe.ones_like(x.select(2, 0).select(1, 0), dtype=fe.int64) * 6,
        fe.ones_like(x.select(2, 0).select(1, 0), dtype=fe.int64) * 2,
    ),
    "cosine_embedding_loss": lambda x: F.cosine_embedding_loss(
        x.flatten(1), x.flatten(1) * 2.0, fe.sign(x.select(2, 0).select(1, 0))
    ),
}


@pytest.mark.parametrize("name", ANY_BATCH)
def test_any_batch(name):
    """What was captured with one batch runs with another."""
    call = ANY_BATCH[name]
    fe.manual_seed(0)
    program = fe.export(call, (fe.randn((3, 4, 6)),), dynamic_shapes=({0: "n"},))
    for n in (2, 7):
        x = fe.randn((n, 4, 6))
        got = program.run("forward", x)
        got = got[0] if isinstance(got, (list, tuple)) else got
        np.testing.assert_allclose(got.numpy(), call(x).numpy(), 1e-6, 1e-7)


def test_training_step_is_captured():
    fe.manual_seed(0)
    model = fe.nn.Sequential(
        fe.nn.Conv1d(2, 4, 3), fe.nn.GroupNorm(2, 4), fe.nn.SiLU(),
        fe.nn.InstanceNorm1d(4, affine=True), fe.nn.Mish(), fe.nn.Flatten(),
        fe.nn.Linear(24, 3), fe.nn.RMSNorm(3), fe.nn.PReLU(),
    )  # fmt: skip
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
    x, y = fe.randn((5, 2, 8)), fe.randn((5, 3))
    program = fe.export(model, (x,), train=(fe.nn.HuberLoss(), optimizer), targets=(y,))
    losses = []
    for _ in range(3):
        loss = program.run("train_step", x, y)
        losses.append((loss[0] if isinstance(loss, (list, tuple)) else loss).item())
        optimizer.zero_grad()
        eager = F.huber_loss(model(x), y)
        eager.backward()
        optimizer.step()
        np.testing.assert_allclose(losses[-1], eager.item(), 1e-5)
    assert losses[2] < losses[0]
