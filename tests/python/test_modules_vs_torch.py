"""Layers, losses and optimizers agree with PyTorch, forward and backward."""

import numpy as np
import pytest

import ferrule as fe

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def array(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def both(a):
    """The same array as a leaf of Ferrule and of PyTorch."""
    mine = fe.from_numpy(a.copy())
    theirs = torch.from_numpy(a.copy())
    if a.dtype.kind == "f":
        mine.requires_grad_()
        theirs.requires_grad_()
    return mine, theirs


def close(mine, theirs, what, tol=2e-5):
    np.testing.assert_allclose(
        mine.detach().numpy(),
        theirs.detach().numpy(),
        rtol=tol,
        atol=tol,
        err_msg=what,
    )


LAYERS = {
    "linear": (lambda nn: nn.Linear(5, 3), array(2, 4, 5)),
    "linear_no_bias": (lambda nn: nn.Linear(5, 3, bias=False), array(2, 5)),
    "conv": (lambda nn: nn.Conv2d(4, 6, 3, stride=2, padding=1), array(2, 4, 9, 8)),
    "conv_groups": (
        lambda nn: nn.Conv2d(4, 6, (3, 2), dilation=(1, 2), groups=2, bias=False),
        array(2, 4, 7, 8),
    ),
    "conv_same": (lambda nn: nn.Conv2d(2, 3, 3, padding="same"), array(1, 2, 6, 5)),
    "conv_same_even": (
        lambda nn: nn.Conv2d(2, 3, (4, 2), padding="same", dilation=(1, 3)),
        array(1, 2, 9, 8),
    ),
    "conv_valid": (lambda nn: nn.Conv2d(2, 3, 3, padding="valid"), array(1, 2, 6, 5)),
    "max_pool": (lambda nn: nn.MaxPool2d(3, 2, padding=1), array(2, 3, 8, 7)),
    "max_pool_ceil": (lambda nn: nn.MaxPool2d(2, ceil_mode=True), array(2, 3, 7, 7)),
    "max_pool_dilated": (lambda nn: nn.MaxPool2d(2, 1, 0, 2), array(2, 3, 7, 7)),
    "avg_pool": (lambda nn: nn.AvgPool2d(3, 2, 1), array(2, 3, 8, 7)),
    "avg_pool_inner": (
        lambda nn: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        array(2, 3, 8, 7),
    ),
    "adaptive": (lambda nn: nn.AdaptiveAvgPool2d((3, 2)), array(2, 3, 8, 7)),
    "bn1d": (lambda nn: nn.BatchNorm1d(4), array(6, 4)),
    "bn1d_length": (lambda nn: nn.BatchNorm1d(4), array(6, 4, 3)),
    "bn2d": (lambda nn: nn.BatchNorm2d(3, momentum=0.3), array(4, 3, 5, 5)),
    "bn2d_plain": (
        lambda nn: nn.BatchNorm2d(3, affine=False, track_running_stats=False),
        array(4, 3, 5, 5),
    ),
    "bn2d_cumulative": (lambda nn: nn.BatchNorm2d(3, momentum=None), array(4, 3, 5, 5)),
    "layer_norm": (lambda nn: nn.LayerNorm((3, 4)), array(5, 3, 4)),
    "layer_norm_no_bias": (lambda nn: nn.LayerNorm(4, bias=False), array(5, 3, 4)),
    "embedding": (
        lambda nn: nn.Embedding(7, 3, padding_idx=2),
        np.array([[0, 2, 6], [6, 6, 1]]),
    ),
    "relu": (lambda nn: nn.ReLU(), array(3, 4)),
    "gelu": (lambda nn: nn.GELU(), array(3, 4)),
    "gelu_tanh": (lambda nn: nn.GELU(approximate="tanh"), array(3, 4)),
    "sigmoid": (lambda nn: nn.Sigmoid(), array(3, 4)),
    "tanh": (lambda nn: nn.Tanh(), array(3, 4)),
    "softmax": (lambda nn: nn.Softmax(dim=0), array(3, 4)),
    "log_softmax": (lambda nn: nn.LogSoftmax(dim=1), array(3, 4)),
    "flatten": (lambda nn: nn.Flatten(), array(3, 4, 2)),
    "unflatten": (lambda nn: nn.Unflatten(1, (2, -1)), array(3, 4, 2)),
    "identity": (lambda nn: nn.Identity(), array(3)),
    "dropout_eval": (lambda nn: nn.Dropout(0.3).eval(), array(3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    make, a = LAYERS[name]
    mine, theirs = make(fe.nn), make(torch.nn)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    theirs_state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    mine.load_state_dict(theirs_state)
    for step in range(2):  # running statistics move
        x, y = both(a + step if a.dtype.kind == "f" else a)
        out, want = mine(x), theirs(y)
        assert out.shape == tuple(want.shape)
        close(out, want, "output")
        weight = array(*want.shape, seed=1)
        (out * fe.from_numpy(weight)).sum().backward()
        (want * torch.from_numpy(weight)).sum().backward()
        if y.requires_grad:
            close(x.grad, y.grad, "gradient of the input", 1e-4)
        for (key, p), q in zip(
            mine.named_parameters(), theirs.parameters(), strict=True
        ):
            close(p.grad, q.grad, f"gradient of {key}", 1e-4)
    for (key, p), q in zip(mine.named_buffers(), theirs.buffers(), strict=True):
        close(p, q, key)
    mine.eval()
    theirs.eval()
    x, y = both(a)
    close(mine(x), theirs(y), "output in evaluation mode")


CLASSES = np.array([1, 0, 3, 3])
LOSSES = {
    "cross_entropy": ("CrossEntropyLoss", {}, CLASSES),
    "cross_entropy_weight": ("CrossEntropyLoss", {"weight": True}, CLASSES),
    "cross_entropy_smooth": ("CrossEntropyLoss", {"label_smoothing": 0.1}, CLASSES),
    "cross_entropy_ignore": ("CrossEntropyLoss", {"ignore_index": 3}, CLASSES),
    "nll": ("NLLLoss", {}, CLASSES),
    "nll_weight": ("NLLLoss", {"weight": True, "ignore_index": 0}, CLASSES),
    "mse": ("MSELoss", {}, array(4, 5, seed=2)),
    "l1": ("L1Loss", {}, array(4, 5, seed=2)),
    "bce": ("BCEWithLogitsLoss", {}, (array(4, 5, seed=2) > 0).astype(np.float32)),
    "bce_weight": (
        "BCEWithLogitsLoss",
        {"weight": True, "pos_weight": True},
        (array(4, 5, seed=2) > 0).astype(np.float32),
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name, reduction):
    kind, options, target = LOSSES[name]
    weight = np.array([1.0, 0.5, 2.0, 3.0, 0.1], np.float32)
    mine, theirs = (
        getattr(nn, kind)(
            reduction=reduction,
            **{k: convert(weight) if v is True else v for k, v in options.items()},
        )
        for nn, convert in ((fe.nn, fe.from_numpy), (torch.nn, torch.from_numpy))
    )
    x, y = both(array(4, 5))
    out = mine(x, fe.from_numpy(target))
    want = theirs(y, torch.from_numpy(target))
    assert out.shape == tuple(want.shape)
    close(out, want, "loss")
    out.sum().backward()
    want.sum().backward()
    close(x.grad, y.grad, "gradient")


def test_nll_loss_of_planes():
    x, y = both(array(2, 3, 4, 5))
    target = np.random.default_rng(0).integers(0, 3, (2, 4, 5))
    out = fe.nn.functional.nll_loss(x, fe.from_numpy(target))
    want = torch.nn.functional.nll_loss(y, torch.from_numpy(target))
    close(out, want, "loss")
    one, other = both(array(3))
    out = fe.nn.functional.nll_loss(one, fe.tensor(1))
    close(out, torch.nn.functional.nll_loss(other, torch.tensor(1)), "one sample")


OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "sgd_dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "sgd_maximize": ("SGD", {"lr": 0.01, "maximize": True}),
    "adam": ("Adam", {"lr": 0.1}),
    "adam_decay": ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1}),
    "adam_amsgrad": ("Adam", {"lr": 0.1, "amsgrad": True, "eps": 1e-4}),
    "adam_maximize": ("Adam", {"lr": 0.01, "maximize": True}),
    "adamw": ("AdamW", {"lr": 0.1}),
    "adamw_amsgrad": ("AdamW", {"lr": 0.1, "weight_decay": 0.2, "amsgrad": True}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name):
    kind, options = OPTIMIZERS[name]
    mine, theirs = zip(*(both(array(n, 3, seed=n)) for n in (2, 3, 4)), strict=True)
    optimizer = getattr(fe.optim, kind)(list(mine), **options)
    reference = getattr(torch.optim, kind)(list(theirs), **options)
    for step in range(8):
        optimizer.zero_grad()
        reference.zero_grad()
        for i, (p, q) in enumerate(zip(mine, theirs, strict=True)):
            # The last parameter sometimes has no gradient.
            if i < 2 or step in (2, 3, 6):
                (p * p * p).sum().backward()
                (q * q * q).sum().backward()
        optimizer.step()
        reference.step()
        if step == 4:  # and takes over PyTorch's state on the way
            state = reference.state_dict()
            entries = {
                number: {
                    key: None if v is None else fe.from_numpy(v.numpy().copy())
                    for key, v in entry.items()
                }
                for number, entry in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": entries})
        for p, q in zip(mine, theirs, strict=True):
            close(p, q, f"step {step}")
