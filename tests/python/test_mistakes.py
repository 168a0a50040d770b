"""The commonest mistakes with layers, losses and optimizers, and what is said of them.

Each message says what is wrong, where in the model, and what to do. What PyTorch
computes without a word though it cannot be meant is an error here, or a warning where
it might be. (Mistakes with tensors: test_messages.py, word for word.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn, optim
from ferrule.nn import functional as F

Warned = fe.FerruleWarning


class Mistake(NamedTuple):
    """What a user wrote, what comes of it, and parts of the message in order."""

    name: str
    wrote: Callable[[], Any]
    kind: type[Warning] | type[Exception]
    parts: tuple[str, ...]


def x(*shape: int) -> fe.Tensor:
    return fe.ones(shape)


def ints(*shape: int) -> fe.Tensor:
    return fe.zeros(shape, dtype=fe.int64)


def model(*layers: Any) -> nn.Sequential:
    """Layers are named '0', '1', ... in messages."""
    return nn.Sequential(*layers)


def logits() -> fe.Tensor:
    return nn.Linear(2, 3)(x(4, 2))


def untrained(layer: nn.Module) -> None:
    """Inference that forgot eval()."""
    with fe.no_grad():
        model(layer)(fe.rand(4, 3))


def steps(*, zero: bool) -> None:
    layer = nn.Linear(2, 1)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        if zero:
            optimizer.zero_grad()
        layer(x(3, 2)).sum().backward()
        optimizer.step()
    if zero:
        optimizer.zero_grad()
        optimizer.step()


def scheduler_first() -> None:
    optimizer = optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    optim.lr_scheduler.StepLR(optimizer, 1).step()


class ForgotReturn(nn.Module):
    def forward(self, x):
        x * 2


class ListOfLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(2, 2)]


CASES = [
    # --- losses
    Mistake(
        "column of predictions, vector of targets",
        lambda: nn.SmoothL1Loss()(x(4, 1), x(4)),
        fe.ShapeError,
        ("[smooth_l1_loss]", "(4, 1)", "(4,)", "input.squeeze(-1)", "SmoothL1Loss()"),
    ),
    Mistake(
        "vector of predictions, column of targets",
        lambda: nn.HuberLoss()(x(4), x(4, 1)),
        fe.ShapeError,
        ("[huber_loss]", "(4,)", "(4, 1)", "does not broadcast", "HuberLoss"),
    ),
    Mistake(
        "column of logits, vector of labels",
        lambda: nn.BCEWithLogitsLoss()(x(4, 1), x(4)),
        fe.ShapeError,
        ("binary_cross_entropy_with_logits]", "(4, 1)", "squeeze(-1)"),
    ),
    Mistake(
        "classes in a loss of regression",
        lambda: nn.MSELoss()(x(4, 3), ints(4)),
        fe.ShapeError,
        ("[mse_loss]", "(4, 3)", "(4,)", "does not broadcast", "MSELoss()"),
    ),
    Mistake(
        "integer labels of yes and no",
        lambda: nn.BCEWithLogitsLoss()(x(4), ints(4)),
        fe.DTypeError,
        ("float32 but target int64", "target.to(input.dtype)", "BCEWithLogitsLoss"),
    ),
    Mistake(
        "integer labels of probabilities",
        lambda: nn.BCELoss()(x(4), ints(4)),
        fe.DTypeError,
        ("[binary_cross_entropy]", "target int64", "target.to(input.dtype)", "BCELoss"),
    ),
    Mistake(
        "logits in a loss of probabilities",
        lambda: nn.BCELoss()(3 * x(4), x(4)),
        fe.InvalidValue,
        ("[binary_cross_entropy]", "no probability", "BCEWithLogitsLoss", "BCELoss()"),
    ),
    Mistake(
        "softmax before cross_entropy",
        lambda: nn.CrossEntropyLoss()(F.softmax(logits(), dim=1), ints(4)),
        Warned,
        ("[cross_entropy]", "result of softmax", "leave that softmax out"),
    ),
    Mistake(
        "softmax layer before cross_entropy",
        lambda: F.cross_entropy(nn.Softmax(dim=1)(logits()), ints(4)),
        Warned,
        ("[cross_entropy]", "takes logits"),
    ),
    Mistake(
        "softmax before nll_loss",
        lambda: nn.NLLLoss()(F.softmax(logits(), dim=1), ints(4)),
        Warned,
        ("[nll_loss]", "result of softmax", "use log_softmax"),
    ),
    Mistake(
        "probabilities of no known origin in nll_loss",
        lambda: nn.NLLLoss()(x(4, 3) / 3, ints(4)),
        Warned,
        ("[nll_loss] the loss is negative", "logarithms of prob", "use log_softmax"),
    ),
    Mistake(
        "logits in nll_loss",
        lambda: F.nll_loss(x(4, 3), ints(4), reduction="sum"),
        Warned,
        ("[nll_loss] the loss is negative", "cross_entropy of the logits"),
    ),
    Mistake(
        "softmax before kl_div",
        lambda: nn.KLDivLoss(reduction="batchmean")(
            F.softmax(logits(), dim=1), x(4, 3) / 3
        ),
        Warned,
        ("[kl_div]", "result of softmax", "use log_softmax"),
    ),
    Mistake(
        "sigmoid before a loss with logits",
        lambda: nn.BCEWithLogitsLoss()(fe.sigmoid(logits()), x(4, 3)),
        Warned,
        ("with_logits]", "result of sigmoid", "leave that sigmoid out"),
    ),
    Mistake(
        "classes as floats",
        lambda: nn.CrossEntropyLoss()(x(4, 3), x(4)),
        fe.ShapeError,
        ("[cross_entropy]", "(4,)", "target.long()", "CrossEntropyLoss()"),
    ),
    Mistake(
        "a column of classes",
        lambda: nn.CrossEntropyLoss()(x(4, 3), ints(4, 1)),
        fe.ShapeError,
        ("[cross_entropy]", "(4, 1)", "wants (4,)", "target.squeeze(1)"),
    ),
    Mistake(
        "one-hot classes as integers",
        lambda: nn.CrossEntropyLoss()(x(4, 3), ints(4, 3)),
        fe.ShapeError,
        ("[cross_entropy]", "target.to(input.dtype)", "target.argmax(1)"),
    ),
    Mistake(
        "classes counted from 1",
        lambda: nn.CrossEntropyLoss()(x(2, 3), fe.tensor([1, 3])),
        fe.IndexOutOfRange,
        ("[cross_entropy]", "3 is not a class; valid: 0..2", "CrossEntropyLoss()"),
    ),
    Mistake(
        "classes in the last dimension",
        lambda: nn.CrossEntropyLoss()(x(2, 8, 8, 3), ints(2, 8, 8)),
        fe.ShapeError,
        ("(2, 8, 8, 3) wants (2, 8, 3)", "input.movedim(-1, 1)"),
    ),
    Mistake(
        "batches of different size",
        lambda: nn.CrossEntropyLoss()(x(4, 3), ints(5)),
        fe.ShapeError,
        ("[cross_entropy]", "shape (5,)", "(4, 3) wants (4,)"),
    ),
    Mistake(
        "target before input",
        lambda: nn.CrossEntropyLoss()(ints(4), x(4, 3)),
        fe.DTypeError,
        ("[cross_entropy] 'input' must be a floating-point tensor, got int64",),
    ),
    Mistake(
        "a loss called before it is made",
        lambda: nn.CrossEntropyLoss(x(4, 3), ints(4)),
        fe.ShapeError,
        ("[CrossEntropyLoss] weight", "(4, 3)", "nn.CrossEntropyLoss()(input, target)"),
    ),
    Mistake(
        "a loss made of its input",
        lambda: nn.MSELoss(x(4)),
        TypeError,
        ("[MSELoss] takes options", "nn.MSELoss()(input, target)"),
    ),
    Mistake(
        "an unknown reduction",
        lambda: nn.MSELoss(reduction="avg"),
        fe.InvalidValue,
        ("[MSELoss] reduction must be 'mean', 'sum' or 'none', got 'avg'",),
    ),
    Mistake(
        "targets of NumPy",
        lambda: nn.MSELoss()(x(4), np.ones(4, np.float32)),
        TypeError,
        ("[mse_loss] 'target' is a NumPy array", "ferrule.tensor(array)", "MSELoss()"),
    ),
    Mistake(
        "triplets of different numbers",
        lambda: nn.TripletMarginLoss()(x(2, 3), x(4, 3), x(2, 3)),
        fe.ShapeError,
        ("[triplet_margin_loss] sub: cannot broadcast", "(2, 3)", "TripletMarginLoss("),
    ),
    Mistake(
        "more classes than one_hot was told",
        lambda: F.one_hot(fe.tensor([0, 7]), 3),
        fe.IndexOutOfRange,
        ("[one_hot] scatter: index 7 is out of range", "of size 3"),
    ),
    Mistake(
        "the largest along a dimension that is not there",
        lambda: x(2, 3).max(dim=2),
        fe.IndexOutOfRange,
        ("[max] argmax: dim 2 is out of range for shape (2, 3)",),
    ),
    Mistake(
        "least squares of unlike heights",
        lambda: fe.linalg.lstsq(x(3, 2), x(2, 2)),
        fe.ShapeError,
        (
            "[lstsq] least_squares: 'A' of shape (3, 2) needs 'B' with 3 rows",
            "(2, 2)",
        ),
    ),
    # --- inputs of layers
    Mistake(
        "images of NumPy",
        lambda: model(nn.Linear(3, 2))(np.ones((1, 3), np.float32)),
        TypeError,
        (
            "[linear] 'input' is a NumPy array",
            "ferrule.tensor",
            "in module '0' (Linear",
        ),
    ),
    Mistake(
        "a list as input",
        lambda: model(nn.Linear(3, 2))([1.0, 2.0, 3.0]),
        TypeError,
        ("[linear] 'input' must be a Tensor, got list", "in module '0' (Linear"),
    ),
    Mistake(
        "features that do not fit the next layer",
        lambda: model(nn.Linear(4, 8), nn.ReLU(), nn.Linear(9, 2))(x(1, 4)),
        fe.ShapeError,
        ("[linear]", "(1, 8)", "last dimension must be 9", "in module '2' (Linear"),
    ),
    Mistake(
        "no Flatten between convolution and linear layer",
        lambda: model(nn.Conv2d(3, 8, 3), nn.Linear(288, 10))(x(2, 3, 8, 8)),
        fe.ShapeError,
        ("[linear]", "(2, 8, 6, 6)", "flatten(1) or nn.Flatten()", "in module '1'"),
    ),
    Mistake(
        "whole numbers as input",
        lambda: model(nn.Linear(4, 8))(ints(1, 4)),
        fe.DTypeError,
        ("[linear]", "got int64", "convert it with .float()", "in module '0'"),
    ),
    Mistake(
        "doubles from NumPy",
        lambda: model(nn.Linear(4, 8))(fe.tensor(np.ones((1, 4)))),
        fe.DTypeError,
        ("[linear]", "float64 and 'weight' is float32", ".to(dtype)", "in module '0'"),
    ),
    Mistake(
        "channels last",
        lambda: model(nn.Conv2d(3, 8, 3))(x(1, 8, 8, 3)),
        fe.ShapeError,
        ("[conv2d]", "has 8 channels", "expects 3", "channels before height", "'0'"),
    ),
    Mistake(
        "grey images without a channel",
        lambda: model(nn.Conv2d(1, 8, 3))(x(5, 28, 28)),
        fe.ShapeError,
        ("[conv2d]", "(5, 28, 28) has 5 channels", "images are (N, C, H, W)"),
    ),
    Mistake(
        "an image as a matrix",
        lambda: model(nn.Conv2d(3, 8, 3))(x(8, 8)),
        fe.ShapeError,
        ("[conv2d]", "(N, C, H, W) or (C, H, W), got (8, 8)", "unsqueeze"),
    ),
    Mistake(
        "bytes as pixels",
        lambda: model(nn.Conv2d(3, 8, 3))(x(1, 3, 8, 8).to(fe.uint8)),
        fe.DTypeError,
        ("[conv2d]", "got uint8", "convert it with .float()", "in module '0'"),
    ),
    Mistake(
        "steps before channels",
        lambda: model(nn.Conv1d(16, 8, 3))(x(2, 50, 16)),
        fe.ShapeError,
        ("[conv1d]", "50 channels", "expects 16", "channels before length"),
    ),
    Mistake(
        "an image smaller than the window",
        lambda: model(nn.MaxPool2d(4))(x(1, 3, 2, 2)),
        fe.ShapeError,
        ("[max_pool2d]", "height 4 does not fit", "smaller kernel_size", "'0'"),
    ),
    Mistake(
        "channels of a batch norm",
        lambda: model(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(16))(x(2, 3, 8, 8)),
        fe.ShapeError,
        ("[batch_norm]", "has 8 channels", "(16,)", "in module '1' (BatchNorm2d(16"),
    ),
    Mistake(
        "batch norm of other dimensions",
        lambda: model(nn.BatchNorm2d(3))(x(4, 3)),
        fe.ShapeError,
        ("[BatchNorm2d] expected (N, C, H, W), got shape (4, 3)", "in module '0'"),
    ),
    Mistake(
        "batch norm trained on one value",
        lambda: model(nn.BatchNorm1d(3))(x(1, 3)),
        fe.ShapeError,
        ("[batch_norm] training needs more than one value a channel", "in module '0'"),
    ),
    Mistake(
        "layer norm of another size",
        lambda: model(nn.LayerNorm(8))(x(2, 4)),
        fe.ShapeError,
        ("[layer_norm]", "(2, 4)", "normalized_shape (8,)", "in module '0'"),
    ),
    Mistake(
        "floats as words",
        lambda: model(nn.Embedding(10, 4))(x(2, 3)),
        fe.DTypeError,
        ("[embedding]", "integer tensor, got float32", ".long()", "in module '0'"),
    ),
    Mistake(
        "a word beyond the vocabulary",
        lambda: model(nn.Embedding(10, 4))(ints(2, 3) + 10),
        fe.IndexOutOfRange,
        ("[embedding] index 10", "valid: 0..9", "in module '0' (Embedding(10, 4))"),
    ),
    Mistake(
        "features of a recurrent layer",
        lambda: nn.LSTM(8, 16)(x(5, 2, 4)),
        fe.ShapeError,
        ("[LSTM]", "(steps, batch, 8)", "batch_first", "got (5, 2, 4)"),
    ),
    Mistake(
        "a recurrent layer in a Sequential",
        lambda: model(nn.LSTM(8, 16), nn.Linear(16, 2))(x(5, 2, 8)),
        TypeError,
        ("[linear]", "got tuple", "output, state = lstm(x)", "in module '1' (Linear"),
    ),
    Mistake(
        "one state where a pair is wanted",
        lambda: nn.LSTM(8, 16)(x(5, 2, 8), x(1, 2, 16)),
        TypeError,
        ("[LSTM] hx must be a pair (h_0, c_0)", "LSTM(8, 16)"),
    ),
    Mistake(
        "a state of another batch",
        lambda: nn.GRU(8, 16)(x(5, 2, 8), x(1, 3, 16)),
        fe.ShapeError,
        ("[GRU] h_0", "(layers * directions, batch, size) = (1, 2, 16)", "(1, 3, 16)"),
    ),
    Mistake(
        "the width of attention",
        lambda: nn.MultiheadAttention(8, 2)(x(3, 1, 9), x(3, 1, 9), x(3, 1, 9)),
        fe.ShapeError,
        ("[MultiheadAttention]", "last of size 8; got (3, 1, 9)"),
    ),
    # --- options of layers
    Mistake(
        "heads that do not divide the width",
        lambda: nn.MultiheadAttention(10, 3),
        fe.InvalidValue,
        ("[MultiheadAttention] num_heads must divide embed_dim, got 3 and 10",),
    ),
    Mistake(
        "groups that do not divide the channels",
        lambda: nn.Conv2d(3, 8, 3, groups=2),
        ValueError,
        ("[Conv2d]", "3 and out_channels 8 must be multiples of groups 2"),
    ),
    Mistake(
        "the size of a strided result",
        lambda: nn.Conv2d(3, 8, 3, stride=2, padding="same"),
        ValueError,
        ("[Conv2d] padding 'same' needs stride 1, got 2",),
    ),
    Mistake(
        "dropout in percent",
        lambda: nn.Dropout(50),
        fe.InvalidValue,
        ("[Dropout] p must be between 0 and 1, got 50",),
    ),
    # --- models
    Mistake(
        "forward without return",
        lambda: model(ForgotReturn(), nn.Linear(2, 2))(x(1, 2)),
        TypeError,
        ("[linear]", "got NoneType", "return its result?", "in module '1' (Linear"),
    ),
    Mistake(
        "a list of layers in a Sequential",
        lambda: nn.Sequential([nn.Linear(2, 2)]),
        TypeError,
        ("submodule '0'", "not list", "Sequential(*layers)"),
    ),
    Mistake(
        "a class in a Sequential",
        lambda: nn.Sequential(nn.ReLU),
        TypeError,
        ("submodule '0'", "make one: ReLU(...)"),
    ),
    Mistake(
        "a function in a Sequential",
        lambda: nn.Sequential(F.relu),
        TypeError,
        ("submodule '0'", "such as nn.ReLU()"),
    ),
    Mistake(
        "a tensor as a parameter",
        lambda: setattr(nn.Linear(2, 2), "weight", x(2, 2)),
        TypeError,
        ("'weight' is a parameter", "nn.Parameter", "not Tensor"),
    ),
    Mistake(
        "a state with a prefix",
        lambda: nn.Linear(2, 2).load_state_dict(
            {"module.weight": x(2, 2), "module.bias": x(2)}
        ),
        fe.FerruleError,
        ("does not fit Linear", "begin with 'module.'", "removeprefix('module.')"),
    ),
    Mistake(
        "a file name as state",
        lambda: nn.Linear(2, 2).load_state_dict("model.safetensors"),
        TypeError,
        ("[load_state_dict]", "got str", "ferrule.load(path)"),
    ),
    Mistake(
        "dropout without eval()",
        lambda: untrained(nn.Dropout()),
        Warned,
        ("[Dropout] is in training mode", "model.eval()"),
    ),
    Mistake(
        "batch norm without eval()",
        lambda: untrained(nn.BatchNorm1d(3)),
        Warned,
        ("[BatchNorm1d] is in training mode", "model.eval()"),
    ),
    # --- training
    Mistake(
        "a model instead of its parameters",
        lambda: optim.SGD(nn.Linear(2, 2), lr=0.1),
        TypeError,
        ("[SGD] params", "got Linear; write model.parameters()"),
    ),
    Mistake(
        "a tensor instead of parameters",
        lambda: optim.Adam(nn.Linear(2, 2).weight),
        TypeError,
        ("[Adam] params", "not one Parameter; write [param]"),
    ),
    Mistake(
        "layers in a Python list",
        lambda: optim.SGD(ListOfLayers().parameters(), lr=0.1),
        ValueError,
        ("[SGD] the list of parameters is empty", "nn.ModuleList"),
    ),
    Mistake(
        "the result of an op as a parameter",
        lambda: optim.SGD([x(2).requires_grad_() * 2], lr=0.1),
        ValueError,
        ("[SGD] parameter 0", "is the result of an op", ".detach().requires_grad_()"),
    ),
    Mistake(
        "zero_grad forgotten",
        lambda: steps(zero=False),
        Warned,
        ("[SGD.step]", "added to gradients", "call zero_grad() before backward()"),
    ),
    Mistake(
        "backward forgotten",
        lambda: steps(zero=True),
        Warned,
        ("[SGD.step] no parameter has a gradient", "loss.backward()"),
    ),
    Mistake(
        "scheduler before optimizer",
        scheduler_first,
        Warned,
        ("[StepLR.step] was called before optimizer.step()",),
    ),
    Mistake(
        "a model instead of its optimizer",
        lambda: optim.lr_scheduler.StepLR(nn.Linear(2, 2), 1),
        TypeError,
        ("[StepLR] optimizer is a Linear, not an Optimizer",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_is_said(case: Mistake) -> None:
    if issubclass(case.kind, Warning):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            case.wrote()
        assert [w.category for w in caught] == [case.kind]
        message = str(caught[0].message)
    else:
        with pytest.raises(case.kind) as error:
            case.wrote()
        message = str(error.value)
    at = 0
    for part in case.parts:
        assert part in message[at:], message
        at = message.index(part, at)


def test_there_are_more_than_fifty() -> None:
    assert len({case.name for case in CASES}) > 50


def right() -> None:
    """What looks like a mistake and is none."""
    layers = model(nn.BatchNorm1d(3), nn.Dropout())
    layers(fe.rand(4, 3))
    optim.swa_utils.update_bn([fe.rand(4, 3)], layers)
    layers.eval()
    with fe.no_grad():
        layers(fe.rand(4, 3))
    F.nll_loss(F.log_softmax(logits(), dim=1), ints(4))
    F.binary_cross_entropy(fe.sigmoid(logits()), x(4, 3))
    F.cross_entropy(logits(), F.softmax(logits(), dim=1).detach())


def test_nothing_is_said_of_what_is_right() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right()
