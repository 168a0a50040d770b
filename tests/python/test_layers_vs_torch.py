"""Activations, norms, dropout, losses, embeddings and transformers as modules agree
with PyTorch: keys of the state, text, results, gradients, running statistics.
"""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def f(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def u(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape)


SIGNS = np.where(f(4, seed=9) > 0, 1, -1)
MASK = np.triu(np.ones((5, 5), bool), 1)
PADDING = np.arange(7)[None] >= np.array([[7], [4]])
# How both libraries make the module, and the arguments of a call.
LAYERS = {
    **{
        name: (lambda nn, name=name: getattr(nn, name)(), [f(2, 6)])
        for name in (
            *("ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "CELU", "SELU", "SiLU"),
            *("Hardtanh", "Hardsigmoid", "Hardswish", "Mish", "Softplus"),
            *("LogSigmoid", "Softsign", "Tanhshrink", "Hardshrink", "Softshrink"),
            *("GLU", "Dropout", "AlphaDropout"),
        )
    },
    "leaky_relu": (lambda nn: nn.LeakyReLU(0.2, True), [f(2, 6)]),
    "relu_in_place": (lambda nn: nn.ReLU(inplace=True), [f(2, 6)]),
    "prelu": (lambda nn: nn.PReLU(3, 0.1), [f(2, 3, 2)]),
    "hardtanh": (lambda nn: nn.Hardtanh(-0.5, 2.0), [f(2, 6)]),
    "threshold": (lambda nn: nn.Threshold(0.1, 20.0), [f(2, 6)]),
    "softplus": (lambda nn: nn.Softplus(2.0, 1.0), [f(2, 6)]),
    "softmin": (lambda nn: nn.Softmin(dim=1), [f(2, 6)]),
    "softmax2d": (lambda nn: nn.Softmax2d(), [f(2, 3, 2, 2)]),
    "dropout1d": (lambda nn: nn.Dropout1d(0.2), [f(2, 3, 2)]),
    "dropout2d": (lambda nn: nn.Dropout2d(), [f(2, 3, 2, 2)]),
    "dropout3d": (lambda nn: nn.Dropout3d(), [f(2, 3, 2, 2, 2)]),
    "feature_alpha": (lambda nn: nn.FeatureAlphaDropout(), [f(2, 3, 2)]),
    "bn3d": (lambda nn: nn.BatchNorm3d(3), [f(2, 3, 2, 2, 2)]),
    "group_norm": (lambda nn: nn.GroupNorm(2, 4), [f(3, 4, 2, 2)]),
    "group_norm_plain": (lambda nn: nn.GroupNorm(2, 4, affine=False), [f(3, 4)]),
    "in1d": (lambda nn: nn.InstanceNorm1d(3), [f(2, 3, 5)]),
    "in2d_no_bias": (
        lambda nn: nn.InstanceNorm2d(3, affine=True, bias=False),
        [f(2, 3, 4, 2)],
    ),
    "bn2d_no_bias": (lambda nn: nn.BatchNorm2d(3, bias=False), [f(2, 3, 4, 2)]),
    "group_norm_no_bias": (lambda nn: nn.GroupNorm(2, 4, bias=False), [f(3, 4, 2)]),
    "in1d_one": (lambda nn: nn.InstanceNorm1d(3), [f(3, 5)]),
    "in2d": (
        lambda nn: nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
        [f(2, 3, 4, 2)],
    ),
    "in3d": (lambda nn: nn.InstanceNorm3d(3, affine=True), [f(2, 3, 4, 2, 2)]),
    "rms_norm": (lambda nn: nn.RMSNorm((2, 3)), [f(4, 2, 3)]),
    "lrn": (lambda nn: nn.LocalResponseNorm(3, 0.5), [f(2, 5, 3)]),
    "bilinear": (lambda nn: nn.Bilinear(3, 2, 5), [f(4, 3), f(4, 2)]),
    "bilinear_no_bias": (lambda nn: nn.Bilinear(3, 2, 5, bias=False), [f(3), f(2)]),
    "embedding_bag": (lambda nn: nn.EmbeddingBag(7, 3), [np.array([[0, 2], [6, 6]])]),
    "embedding_bag_max": (
        lambda nn: nn.EmbeddingBag(7, 3, mode="max", padding_idx=2),
        [np.array([0, 2, 6, 6, 1]), np.array([0, 2])],
    ),
    "cosine": (lambda nn: nn.CosineSimilarity(), [f(4, 3), f(4, 3, seed=1)]),
    "distance": (lambda nn: nn.PairwiseDistance(1.0), [f(4, 3), f(4, 3, seed=1)]),
    "smooth_l1": (lambda nn: nn.SmoothL1Loss(beta=0.5), [f(4, 3), f(4, 3, seed=1)]),
    "huber": (lambda nn: nn.HuberLoss("sum", 0.5), [f(4, 3), f(4, 3, seed=1)]),
    "bce": (lambda nn: nn.BCELoss(), [u(4, 3), u(4, 3, seed=1)]),
    "kl_div": (
        lambda nn: nn.KLDivLoss(reduction="batchmean"),
        [f(4, 3), u(4, 3)],
    ),
    "gaussian": (
        lambda nn: nn.GaussianNLLLoss(full=True),
        [f(4, 3), f(4, 3, seed=1), u(4, 3)],
    ),
    "poisson": (lambda nn: nn.PoissonNLLLoss(full=True), [f(4, 3), 5 * u(4, 3)]),
    "ranking": (lambda nn: nn.MarginRankingLoss(0.2), [f(4), f(4, seed=1), SIGNS]),
    "hinge": (lambda nn: nn.HingeEmbeddingLoss(0.7), [u(4), SIGNS]),
    "cosine_embedding": (
        lambda nn: nn.CosineEmbeddingLoss(0.1),
        [f(4, 3), f(4, 3, seed=1), SIGNS],
    ),
    "triplet": (
        lambda nn: nn.TripletMarginLoss(2.0, swap=True),
        [f(4, 3), f(4, 3, seed=1), f(4, 3, seed=2)],
    ),
    "triplet_with_distance": (
        lambda nn: nn.TripletMarginWithDistanceLoss(
            distance_function=lambda x, y: (x - y).abs().sum(-1), margin=2.0
        ),
        [f(4, 3), f(4, 3, seed=1), f(4, 3, seed=2)],
    ),
    "multi_margin": (lambda nn: nn.MultiMarginLoss(2), [f(2, 3), np.array([2, 0])]),
    "multilabel_margin": (
        lambda nn: nn.MultiLabelMarginLoss(),
        [f(2, 3), np.array([[2, -1, 0], [0, 1, -1]])],
    ),
    "multilabel_soft_margin": (
        lambda nn: nn.MultiLabelSoftMarginLoss(),
        [f(4, 3), u(4, 3)],
    ),
    "soft_margin": (lambda nn: nn.SoftMarginLoss(), [f(4), SIGNS]),
    "nll2d": (
        lambda nn: nn.NLLLoss2d(),
        [f(2, 3, 2, 2), np.array([[[0, 2], [1, 1]], [[2, 2], [0, 1]]])],
    ),
    "ctc": (
        lambda nn: nn.CTCLoss(zero_infinity=True),
        [
            f(7, 2, 4),
            np.array([[1, 2, 2], [3, 1, 0]]),
            np.array([7, 6]),
            np.array([3, 2]),
        ],
    ),
    "decoder_layer": (
        lambda nn: nn.TransformerDecoderLayer(6, 2, 8, 0.0),
        [f(5, 2, 6), f(7, 2, 6, seed=1), MASK, None, None, PADDING],
    ),
    "decoder_layer_norm_first": (
        lambda nn: nn.TransformerDecoderLayer(
            6, 2, 8, 0.0, "gelu", batch_first=True, norm_first=True, bias=False
        ),
        [f(2, 5, 6), f(2, 7, 6, seed=1)],
    ),
    "encoder": (
        lambda nn: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, 8, 0.0, batch_first=True),
            2,
            nn.LayerNorm(6),
            enable_nested_tensor=False,
        ),
        [f(2, 5, 6), MASK],
    ),
    "decoder": (
        lambda nn: nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 8, 0.0), 2),
        [f(5, 2, 6), f(7, 2, 6, seed=1), MASK],
    ),
    "transformer": (
        lambda nn: nn.Transformer(6, 2, 2, 1, 8, 0.0, batch_first=True),
        [f(2, 7, 6), f(2, 5, 6, seed=1), None, MASK],
    ),
}
# Their text differs by design.
OTHER_TEXT = {
    *("decoder_layer", "decoder_layer_norm_first", "encoder", "decoder"),
    *("transformer", "triplet_with_distance", "cosine", "distance"),
}
# Called with log-probabilities, PyTorch's gradient is that of the logits.
OF_LOGITS = {"ctc"}
RANDOM = {"RReLU", "Dropout", "AlphaDropout"} | {
    name for name in LAYERS if name.startswith(("dropout", "feature"))
}


def tensors(make, arrays):
    made = []
    for a in arrays:
        t = a if a is None else make(a.copy())
        made.append(t.requires_grad_() if a is not None and a.dtype.kind == "f" else t)
    return made


def close(mine, theirs, what):
    np.testing.assert_allclose(
        mine.detach().numpy(), theirs.detach().numpy(), 1e-6, 1e-8, err_msg=what
    )


def twins(make):
    mine, theirs = make(fe.nn).double(), make(torch.nn).double()
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return mine, theirs


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    make, arrays = LAYERS[name]
    mine, theirs = twins(make)
    if name not in OTHER_TEXT:
        assert repr(mine) == repr(theirs)
    for training in (True, False):
        if training and name in RANDOM:
            continue
        mine.train(training)
        theirs.train(training)
        for p in (*mine.parameters(), *theirs.parameters()):
            p.grad = None
        xs, ys = tensors(fe.from_numpy, arrays), tensors(torch.from_numpy, arrays)
        if name in OF_LOGITS:
            out = mine(fe.log_softmax(xs[0], 2), *xs[1:])
            want = theirs(torch.log_softmax(ys[0], 2), *ys[1:])
        elif "in_place" in name or name == "leaky_relu":
            out, want = mine(xs[0] * 1.0), theirs(ys[0] * 1.0)
        else:
            out, want = mine(*xs), theirs(*ys)
        assert out.shape == tuple(want.shape)
        close(out, want, "output")
        weight = f(*want.shape, seed=8)
        (out * fe.from_numpy(np.asarray(weight))).sum().backward()
        (want * torch.from_numpy(np.asarray(weight))).sum().backward()
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            if y is not None and y.grad is not None:
                close(x.grad, y.grad, f"gradient of argument {i}")
        for (key, p), q in zip(
            mine.named_parameters(), theirs.parameters(), strict=True
        ):
            close(p.grad, q.grad, f"gradient of {key}")
        for (key, p), q in zip(mine.named_buffers(), theirs.buffers(), strict=True):
            close(p, q, key)


@pytest.mark.parametrize("rows", [64, 0])
def test_adaptive_log_softmax(rows):
    mine, theirs = twins(
        lambda nn: nn.AdaptiveLogSoftmaxWithLoss(8, 30, [5, 20], 2.0, True)
    )
    x = f(rows, 8)
    target = np.random.default_rng(0).integers(0, 30, rows)
    a, b = fe.from_numpy(x).requires_grad_(), torch.from_numpy(x).requires_grad_()
    if not rows:
        assert mine(a, fe.from_numpy(target)).output.shape == (0,)
        return
    out, want = mine(a, fe.from_numpy(target)), theirs(b, torch.from_numpy(target))
    close(out.output, want.output, "output")
    close(out.loss, want.loss, "loss")
    out.loss.backward()
    want.loss.backward()
    close(a.grad, b.grad, "gradient")
    close(mine.log_prob(a), theirs.log_prob(b), "log_prob")
    assert mine.predict(a).tolist() == theirs.predict(b).tolist()
    one = mine(fe.from_numpy(x[0]), fe.tensor(int(target[0])))
    close(one.output, want.output[0], "one row")


def test_adaptive_log_softmax_is_captured():
    layer = fe.nn.AdaptiveLogSoftmaxWithLoss(8, 30, [5, 20])
    x, target = fe.randn((16, 8)), fe.arange(16)
    program = fe.export(lambda x, t: layer(x, t).output, (x, target))
    got = program.run("forward", x, target)
    got = got[0] if isinstance(got, (list, tuple)) else got
    np.testing.assert_allclose(
        got.numpy(), layer(x, target).output.detach().numpy(), 1e-5, 1e-6
    )


def test_cross_map_lrn():
    # PyTorch's has the first channel in every window, so this is by the formula.
    x = f(2, 6, 3, 2)
    for size, reach in ((3, 1), (4, 1), (5, 2)):
        out = fe.nn.CrossMapLRN2d(size, 0.5, 0.6, 2.0)(fe.from_numpy(x))
        total = np.stack(
            [(x[:, max(0, c - reach) : c + reach + 1] ** 2).sum(1) for c in range(6)], 1
        )
        want = x / (2.0 + 0.5 / size * total) ** 0.6
        np.testing.assert_allclose(out.numpy(), want, 1e-12)


LAZY = {
    "LazyLinear": (lambda nn: nn.LazyLinear(3), f(4, 5)),
    "LazyConv1d": (lambda nn: nn.LazyConv1d(4, 3, groups=2), f(2, 2, 5)),
    "LazyConv2d": (lambda nn: nn.LazyConv2d(4, 3), f(2, 5, 5)),
    "LazyConv3d": (lambda nn: nn.LazyConv3d(4, 2, bias=False), f(2, 3, 3, 3, 3)),
    "LazyConvTranspose1d": (lambda nn: nn.LazyConvTranspose1d(4, 3), f(2, 2, 5)),
    "LazyConvTranspose2d": (lambda nn: nn.LazyConvTranspose2d(4, 3), f(1, 2, 3, 3)),
    "LazyConvTranspose3d": (lambda nn: nn.LazyConvTranspose3d(4, 2), f(1, 2, 3, 2, 2)),
    "LazyBatchNorm1d": (lambda nn: nn.LazyBatchNorm1d(), f(4, 5)),
    "LazyBatchNorm2d": (lambda nn: nn.LazyBatchNorm2d(affine=False), f(4, 5, 2, 2)),
    "LazyBatchNorm3d": (lambda nn: nn.LazyBatchNorm3d(), f(4, 5, 2, 2, 1)),
    "LazyInstanceNorm1d": (lambda nn: nn.LazyInstanceNorm1d(), f(4, 5, 3)),
    "LazyInstanceNorm2d": (
        lambda nn: nn.LazyInstanceNorm2d(affine=False),
        f(2, 5, 3, 3),
    ),
    "LazyInstanceNorm3d": (lambda nn: nn.LazyInstanceNorm3d(), f(2, 5, 2, 2, 3)),
}


@pytest.mark.parametrize("name", LAZY)
def test_lazy_layer(name):
    make, x = LAZY[name]
    mine, theirs = make(fe.nn).double(), make(torch.nn).double()
    assert type(mine).__name__ == name
    assert mine.has_uninitialized_params()
    params = list(mine.parameters())
    want = theirs(torch.from_numpy(x))
    mine(fe.from_numpy(x))
    assert type(mine).__name__ == type(theirs).__name__
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert all(p is q for p, q in zip(params, mine.parameters(), strict=True))
    assert all(type(p) is fe.nn.Parameter for p in params)
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    mine.load_state_dict(state)
    mine.eval()
    theirs.eval()
    want = theirs(torch.from_numpy(x))
    close(mine(fe.from_numpy(x)), want, "output")
    if not state:
        return
    loaded = make(fe.nn).double()  # before its first call
    loaded.load_state_dict(state)
    close(loaded.eval()(fe.from_numpy(x)), want, "output of what was loaded")


def test_multi_head_attention_forward():
    arguments = {
        "in_proj_weight": f(18, 6), "in_proj_bias": f(18), "bias_k": f(1, 1, 6),
        "bias_v": f(1, 1, 6, seed=1), "out_proj_weight": f(6, 6), "out_proj_bias": f(6),
        "attn_mask": MASK,
    }  # fmt: skip
    x = f(5, 2, 6)
    results = []
    for library, make in ((fe, fe.from_numpy), (torch, torch.from_numpy)):
        t = make(x)
        results.append(
            library.nn.functional.multi_head_attention_forward(
                t, t, t, 6, 2, add_zero_attn=True, dropout_p=0.0,
                **{k: make(v) for k, v in arguments.items()},
            )
        )  # fmt: skip
    for a, b in zip(*results, strict=True):
        close(a, b, "attention")
    separate = {
        "q_proj_weight": f(6, 6), "k_proj_weight": f(6, 6, seed=1),
        "v_proj_weight": f(6, 6, seed=2), "use_separate_proj_weight": True,
        "static_k": None, "training": False,
    }  # fmt: skip
    static = {"static_k": f(4, 7, 3), "static_v": f(4, 7, 3, seed=1)}
    for more in ({}, static):
        results = []
        for library, make in ((fe, fe.from_numpy), (torch, torch.from_numpy)):
            given = {
                k: make(v) if isinstance(v, np.ndarray) else v
                for k, v in {**separate, **more}.items()
            }
            t = make(x)
            results.append(
                library.nn.functional.multi_head_attention_forward(
                    t, t, t, 6, 2, None, make(f(18)), None, None, False, 0.5,
                    make(f(6, 6)), None, **given,
                )
            )  # fmt: skip
        for a, b in zip(*results, strict=True):
            close(a, b, "attention")
