"""Functions of `nn.functional` agree with PyTorch: values, dtypes, gradients of
both orders. A case is its arguments; arrays become tensors of either library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import ferrule as fe

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def f(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def u(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape)


def signs(*shape):
    return np.where(f(*shape, seed=5) > 0, 1, -1)


X = f(4, 5)
Y = f(4, 5, seed=1)
Z = f(4, 5, seed=2)
# Both sides of every bend, the bends themselves, and where functions saturate.
BENDS = np.array([-50.0, -6, -3, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 3, 6, 21, 90])
CLASSES = np.array([1, 0, 4, 4])


@dataclass
class Constant:
    """A floating argument that wants no gradient."""

    array: np.ndarray


ACTIVATIONS = {
    name: (name, [BENDS], options)
    for name, options in {
        "relu6": {}, "leaky_relu": {}, "elu": {}, "selu": {}, "celu": {}, "silu": {},
        "mish": {}, "hardswish": {}, "hardsigmoid": {}, "hardtanh": {},
        "softplus": {}, "logsigmoid": {}, "softsign": {}, "hardshrink": {},
        "softshrink": {}, "tanhshrink": {}, "rrelu": {},
    }.items()
}  # fmt: skip
CASES = {
    **ACTIVATIONS,
    "leaky_relu_slope": ("leaky_relu", [BENDS, 0.3], {}),
    "elu_alpha": ("elu", [BENDS, 0.3], {}),
    "celu_alpha": ("celu", [BENDS], {"alpha": 0.3}),
    "celu_negative": ("celu", [BENDS], {"alpha": -2.0}),
    "hardtanh_limits": ("hardtanh", [BENDS, -0.5, 6.0], {}),
    "softplus_beta": ("softplus", [BENDS], {"beta": 2.0, "threshold": 5.0}),
    "threshold": ("threshold", [BENDS, 0.5, 20.0], {}),
    "hardshrink_lambd": ("hardshrink", [BENDS, 1.0], {}),
    "softshrink_lambd": ("softshrink", [BENDS, 1.0], {}),
    "rrelu_limits": ("rrelu", [BENDS, 0.2, 0.6], {}),
    "glu": ("glu", [f(3, 6)], {}),
    "glu_dim": ("glu", [f(4, 3)], {"dim": 0}),
    "softmin": ("softmin", [X], {"dim": 1}),
    "prelu": ("prelu", [f(2, 3, 4), f(3, seed=1)], {}),
    "prelu_one": ("prelu", [f(6), f(1, seed=1)], {}),
    "mse_loss": ("mse_loss", [X, Y], {}),
    "mse_loss_weight": ("mse_loss", [X, Y], {"weight": Constant(u(4, 5))}),
    "l1_loss_weight": ("l1_loss", [X, Y], {"weight": Constant(u(4, 5))}),
    "l1_loss": ("l1_loss", [X, Y], {}),
    "smooth_l1_loss": ("smooth_l1_loss", [X, Y], {"beta": 0.7}),
    "smooth_l1_loss_0": ("smooth_l1_loss", [X, Y], {"beta": 0.0}),
    "huber_loss": ("huber_loss", [X, Y], {"delta": 0.7}),
    "huber_loss_weight": ("huber_loss", [X, Y], {"weight": Constant(u(4, 5))}),
    "gaussian_nll_loss": ("gaussian_nll_loss", [X, Y, u(4, 5)], {"full": True}),
    "gaussian_nll_loss_row": ("gaussian_nll_loss", [X, Y, u(4)], {}),
    "gaussian_nll_loss_one": ("gaussian_nll_loss", [X, Y, u(4, 1)], {}),
    "gaussian_nll_loss_eps": ("gaussian_nll_loss", [X, Y, u(4, 5)], {"eps": 0.5}),
    "poisson_nll_loss": ("poisson_nll_loss", [X, 4 * u(4, 5)], {"full": True}),
    "poisson_nll_loss_rate": ("poisson_nll_loss", [u(4, 5), Y], {"log_input": False}),
    "kl_div": ("kl_div", [X, u(4, 5)], {}),
    "kl_div_batch": ("kl_div", [X, u(4, 5)], {"reduction": "batchmean"}),
    "kl_div_log": ("kl_div", [X, Y], {"log_target": True}),
    "binary_cross_entropy": ("binary_cross_entropy", [u(4, 5), u(4, 5, seed=1)], {}),
    "binary_cross_entropy_certain": (
        "binary_cross_entropy",
        [np.array([0.0, 0, 1, 1]), Constant(np.array([0.0, 1, 0, 1]))],
        {},
    ),
    "binary_cross_entropy_weight": (
        "binary_cross_entropy",
        [u(4, 5), u(4, 5, seed=1)],
        {"weight": Constant(u(5))},
    ),
    "with_logits": ("binary_cross_entropy_with_logits", [30 * X, u(4, 5)], {}),
    "with_logits_weights": (
        "binary_cross_entropy_with_logits",
        [X, u(4, 5)],
        {"weight": Constant(u(5)), "pos_weight": Constant(3 * u(5, seed=3))},
    ),
    "soft_margin_loss": ("soft_margin_loss", [X, signs(4, 5)], {}),
    "multilabel_soft_margin_loss": (
        "multilabel_soft_margin_loss",
        [X, u(4, 5)],
        {"weight": Constant(u(5))},
    ),
    "hinge_embedding_loss": (
        "hinge_embedding_loss",
        [u(4, 5), signs(4, 5)],
        {"margin": 0.6},
    ),
    "nll_loss": ("nll_loss", [X, CLASSES], {}),
    "nll_loss_weight": (
        "nll_loss",
        [X, CLASSES],
        {"weight": Constant(u(5)), "ignore_index": 4},
    ),
    "multi_margin_loss": ("multi_margin_loss", [X, CLASSES], {}),
    "multi_margin_loss_2": (
        "multi_margin_loss",
        [X, CLASSES],
        {"p": 2, "margin": 0.6, "weight": Constant(u(5))},
    ),
    "multi_margin_loss_one": ("multi_margin_loss", [f(5), np.array(2)], {}),
    "multilabel_margin_loss": (
        "multilabel_margin_loss",
        [X, np.array([[3, 0, -1, 1, 1], [4, 3, 2, 1, 0], [-1] * 5, [2, -1, 2, -1, 2]])],
        {},
    ),
    "multilabel_margin_loss_one": (
        "multilabel_margin_loss",
        [f(4), np.array([3, 0, -1, 1])],
        {},
    ),
    "margin_ranking_loss": (
        "margin_ranking_loss",
        [X, Y, signs(4, 5)],
        {"margin": 0.3},
    ),
    "cosine_embedding_loss": (
        "cosine_embedding_loss",
        [X, Y, signs(4)],
        {"margin": -0.3},
    ),
    "triplet_margin_loss": ("triplet_margin_loss", [X, Y, Z], {}),
    "triplet_margin_loss_swap": (
        "triplet_margin_loss",
        [X, Y, Z],
        {"swap": True, "p": 1.0, "margin": 2.0},
    ),
    "triplet_margin_with_distance_loss": (
        "triplet_margin_with_distance_loss",
        [X, Y, Z],
        {"swap": True, "margin": 2.0},
    ),
    "pairwise_distance": ("pairwise_distance", [X, Y], {}),
    "pairwise_distance_1": (
        "pairwise_distance",
        [X, f(5)],
        {"p": 1.0, "keepdim": True},
    ),
    "cosine_similarity": ("cosine_similarity", [X, Y], {}),
    "cosine_similarity_broadcast": (
        "cosine_similarity",
        [f(2, 3, 4), f(3, 1)],
        {"dim": -1},
    ),
    "cosine_similarity_zero": ("cosine_similarity", [X * 0, Y], {}),
    "pdist": ("pdist", [X], {}),
    "pdist_1": ("pdist", [X], {"p": 1.0}),
    "normalize": ("normalize", [X], {}),
    "normalize_1": ("normalize", [f(2, 3, 4)], {"p": 1.0, "dim": -1}),
    "normalize_zero": ("normalize", [X * np.array([[1], [0], [1], [0]])], {}),
}
BAG = np.array([1, 0, 3, 3, 2, 1])
STARTS = np.array([0, 2, 2, 5])
CASES |= {
    "group_norm": ("group_norm", [f(2, 6, 3), 3, 1 + f(6), f(6, seed=1)], {}),
    "group_norm_flat": ("group_norm", [f(3, 4), 2], {"eps": 0.1}),
    "instance_norm": (
        "instance_norm",
        [f(2, 3, 5)],
        {"weight": 1 + f(3), "bias": f(3)},
    ),
    "rms_norm": ("rms_norm", [f(3, 4, 5), (4, 5), 1 + f(4, 5)], {}),
    "rms_norm_eps": ("rms_norm", [f(3, 4), (4,)], {"eps": 0.1}),
    "layer_norm": ("layer_norm", [f(3, 4), (4,), f(4), f(4)], {}),
    "local_response_norm": ("local_response_norm", [f(2, 5, 3), 3], {"alpha": 0.5}),
    "local_response_norm_even": (
        "local_response_norm",
        [f(2, 5, 2, 2), 4, 0.5, 0.6, 2.0],
        {},
    ),
    "bilinear": ("bilinear", [f(4, 3), f(4, 2), f(5, 3, 2), f(5)], {}),
    "bilinear_lead": ("bilinear", [f(2, 2, 3), f(2, 2, 2), f(5, 3, 2)], {}),
    "one_hot": ("one_hot", [CLASSES], {}),
    "one_hot_classes": ("one_hot", [CLASSES], {"num_classes": 7}),
    "embedding_bag": ("embedding_bag", [BAG.reshape(3, 2), f(4, 3)], {}),
    **{
        f"embedding_bag_{mode}{padding}": (
            "embedding_bag",
            [BAG, f(4, 3), STARTS],
            {"mode": mode, "padding_idx": padding},
        )
        for mode in ("sum", "mean", "max")
        for padding in (None, 3, -4)
    },
    "embedding_bag_weights": (
        "embedding_bag",
        [BAG, f(4, 3), STARTS],
        {"mode": "sum", "per_sample_weights": f(6, seed=3)},
    ),
    "embedding_bag_last": (
        "embedding_bag",
        [BAG, f(4, 3), np.array([0, 2, 6])],
        {"include_last_offset": True},
    ),
}
# Where one of these has no second derivative, or its is not the derivative of
# what it computes.
NO_SECOND_ORDER = {
    "cosine_similarity_zero": "that of a vector of zeros is not defined",
    "normalize_zero": "that of a vector of zeros is not defined",
    "binary_cross_entropy_certain": "the quotients are without bounds",
}


class Leaves:
    """The arguments as tensors of one library; the floats want gradients."""

    def __init__(self, make, dtype):
        self.make, self.dtype, self.floats = make, dtype, []

    def __call__(self, value):
        if isinstance(value, Constant):
            return self.make(value.array.copy()).to(self.dtype)
        if not isinstance(value, np.ndarray):
            return value
        t = self.make(value.copy())
        if value.dtype.kind == "f":
            t = t.to(self.dtype).detach().requires_grad_()
            self.floats.append(t)
        return t


def test_ctc_loss():
    rng = np.random.default_rng(0)
    frames, batch, classes = 9, 4, 5
    padded = np.array([[1, 2, 2, 4], [3, 3, 0, 0], [4, 0, 0, 0], [0, 0, 0, 0]])
    lengths = [4, 2, 1, 0]
    joined = np.concatenate([row[:n] for row, n in zip(padded, lengths, strict=True)])
    # The first is too long for 4 frames: it has a pair.
    for used in ([9, 7, 5, 2], [4, 9, 9, 9]):
        for targets in (padded, joined):
            for reduction in ("mean", "sum", "none"):
                for zero in (True, False):
                    x = rng.normal(size=(frames, batch, classes))
                    mine = fe.from_numpy(x).requires_grad_()
                    theirs = torch.from_numpy(x).requires_grad_()
                    out = fe.nn.functional.ctc_loss(
                        fe.log_softmax(mine, 2), fe.from_numpy(targets), used, lengths,
                        reduction=reduction, zero_infinity=zero,
                    )  # fmt: skip
                    want = torch.nn.functional.ctc_loss(
                        torch.log_softmax(theirs, 2), torch.from_numpy(targets),
                        torch.tensor(used), torch.tensor(lengths),
                        reduction=reduction, zero_infinity=zero,
                    )  # fmt: skip
                    close(out, want, "loss", 1e-12)
                    if used[0] == 4 and not zero:
                        continue
                    out.sum().backward()
                    want.sum().backward()
                    close(mine.grad, theirs.grad, "gradient", 1e-12)


def test_ctc_loss_of_one_sequence_and_another_blank():
    x = f(6, 4)
    mine, theirs = fe.from_numpy(x), torch.from_numpy(x)
    out = fe.nn.functional.ctc_loss(
        fe.log_softmax(mine, 1), fe.tensor([0, 1]), fe.tensor(6), fe.tensor(2), blank=3
    )
    want = torch.nn.functional.ctc_loss(
        torch.log_softmax(theirs, 1), torch.tensor([0, 1]), torch.tensor(6),
        torch.tensor(2), blank=3,
    )  # fmt: skip
    close(out, want, "loss", 1e-12)


def test_embedding_bag_scales_gradients():
    # By the definition; what PyTorch 2.13 gives for this input is something else.
    grads = []
    for scaled in (False, True):
        table = fe.from_numpy(f(4, 3)).requires_grad_()
        out = fe.nn.functional.embedding_bag(
            fe.from_numpy(BAG), table, fe.from_numpy(STARTS),
            scale_grad_by_freq=scaled, mode="sum",
        )  # fmt: skip
        (out * out).sum().backward()
        grads.append(table.grad.numpy())
    np.testing.assert_allclose(grads[1], grads[0] / np.bincount(BAG)[:, None], 1e-12)


def test_embedding_bag_shortens_rows():
    table = 3 * f(4, 3)
    mine, theirs = fe.from_numpy(table.copy()), torch.from_numpy(table.copy())
    out = fe.nn.functional.embedding_bag(
        fe.from_numpy(BAG), mine, fe.from_numpy(STARTS), max_norm=2.0
    )
    want = torch.nn.functional.embedding_bag(
        torch.from_numpy(BAG), theirs, torch.from_numpy(STARTS), max_norm=2.0
    )
    close(out, want, "value", 1e-6)
    close(mine, theirs, "table", 1e-6)


def run(library, make, dtype, name, args, options):
    leaves = Leaves(make, dtype)
    args = [leaves(a) for a in args]
    options = {k: leaves(v) for k, v in options.items()}
    out = getattr(library.nn.functional, name)(*args, **options)
    return out, leaves.floats


def both(dtype, name, args, options):
    mine = run(fe, fe.from_numpy, getattr(fe, dtype), name, args, options)
    theirs = run(torch, torch.from_numpy, getattr(torch, dtype), name, args, options)
    return mine, theirs


def close(mine, theirs, what, tol):
    np.testing.assert_allclose(
        mine.detach().double().numpy(),
        (theirs.detach() + 0).double().numpy(),
        rtol=tol,
        atol=tol,
        err_msg=what,
    )


def reductions(name):
    return ("mean", "sum", "none") if "loss" in name or "cross" in name else (None,)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case):
    name, args, options = CASES[case]
    for reduction in reductions(name):
        if reduction:
            options = {**options, "reduction": reduction}
        (out, mine), (want, theirs) = both("float64", name, args, options)
        assert out.shape == tuple(want.shape)
        close(out, want, "value", 1e-9)
        if not mine:
            continue
        weight = f(*want.shape, seed=7)
        first = fe.autograd.grad(
            (out * fe.from_numpy(weight)).sum(), mine, create_graph=True,
            allow_unused=True,
        )  # fmt: skip
        loss = (want * torch.from_numpy(weight)).sum()
        wanted = torch.autograd.grad(loss, theirs, create_graph=True, allow_unused=True)
        for i, (a, b) in enumerate(zip(first, wanted, strict=True)):
            if b is not None:
                close(a, b, f"gradient {i}", 1e-8)
        if case in NO_SECOND_ORDER:
            continue
        pairs = [
            (a, b)
            for a, b in zip(first, wanted, strict=True)
            if b is not None and b.requires_grad
        ]
        if not pairs:
            continue
        try:
            expected = torch.autograd.grad(
                sum((b * b).sum() for _, b in pairs), theirs, allow_unused=True
            )
        except RuntimeError as error:
            if "derivative for" not in str(error):
                raise
            continue
        total = fe.zeros((), dtype=fe.float64)
        for a, _ in pairs:
            total = total + (a * a).sum()
        second = [None] * len(mine)
        if total.requires_grad:
            second = fe.autograd.grad(total, mine, allow_unused=True)
        for i, (a, b) in enumerate(zip(second, expected, strict=True)):
            if a is None or b is None:
                assert a is None or not a.any()
                assert b is None or not b.any()
            else:
                close(a, b, f"second derivative {i}", 1e-6)


# An exact result is rounded; a rounded one may differ by two of its units.
UNITS = {"float32": 4e-6, "bfloat16": 3e-2, "float16": 4e-3}
# PyTorch's eps is 0 in float16, and these are 0 / 0.
ONLY_WIDE = {"cosine_similarity_zero", "normalize_zero"}


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("case", CASES)
def test_dtypes(case, dtype):
    name, args, options = CASES[case]
    if dtype == "float16" and case in ONLY_WIDE:
        return
    args = [a.clip(-8, 8) if isinstance(a, np.ndarray) and a.ndim else a for a in args]
    try:
        want, _ = run(
            torch, torch.from_numpy, getattr(torch, dtype), name, args, options
        )
    except RuntimeError as error:
        if "not implemented for" not in str(error):
            raise
        return
    out, _ = run(fe, fe.from_numpy, getattr(fe, dtype), name, args, options)
    assert str(out.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]
    close(out, want, "value", UNITS[dtype])


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "softplus"])
def test_in_place(name):
    function = getattr(torch.nn.functional, name + "_", None)
    if function is None and "inplace" not in str(getattr(torch.nn.functional, name)):
        return
    for call in (
        lambda nn, x: getattr(nn.functional, name + "_")(x),
        lambda nn, x: getattr(nn.functional, name)(x, inplace=True),
    ):
        x, y = fe.from_numpy(BENDS.copy()), torch.from_numpy(BENDS.copy())
        try:
            call(torch.nn, y)
        except (AttributeError, TypeError):
            continue
        assert call(fe.nn, x) is x
        close(x, y, name, 1e-12)
        leaf = fe.from_numpy(BENDS.copy()).requires_grad_()
        written = call(fe.nn, leaf * 1.0)
        plain = getattr(fe.nn.functional, name)(leaf * 1.0)
        a, b = (fe.autograd.grad(t.sum(), leaf)[0] for t in (written, plain))
        close(a, b, "gradient", 0)
