"""Typical mistakes and the message that each one gets, word for word.

A message says what is wrong, where, with which operands, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ferrule as fe
from ferrule import nn
from ferrule.nn import functional as F


def leaf(*shape: int) -> fe.Tensor:
    return fe.ones(*shape, dtype=fe.float32).requires_grad_()


def second_backward() -> None:
    x = leaf(2)
    y = fe.exp(x)
    y.sum().backward()
    y.sum().backward()


def write_to_saved() -> None:
    x = leaf(2)
    y = fe.exp(x)
    y.mul_(2.0)
    y.sum().backward()


def double_registration() -> None:
    layer = nn.Linear(2, 2)
    layer.register_parameter("weight", nn.Parameter(fe.ones(2, 2)))
    layer.register_buffer("weight", fe.ones(2))


def wrong_channels() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(16, 8, 3))
    model(fe.ones(1, 3, 8, 8))


def missing_super() -> None:
    class Net(nn.Module):
        pass

    Net()(fe.ones(1))


def load_other_state() -> None:
    nn.Linear(3, 2).load_state_dict(nn.Linear(4, 2).state_dict())


MISTAKES: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    # name, mistake, exception, message
    (
        "shapes do not broadcast",
        lambda: fe.add(fe.ones(2, 3), fe.ones(4, 3)),
        fe.ShapeError,
        "[add] cannot broadcast shapes (2, 3) and (4, 3): 2 and 4 differ "
        "in dimension -2 and neither is 1",
    ),
    (
        "inner sizes of a product",
        lambda: fe.ones(2, 3) @ fe.ones(2, 3),
        fe.ShapeError,
        "[matmul] cannot multiply shapes (2, 3) and (2, 3): the inner "
        "sizes 3 and 2 differ",
    ),
    (
        "reshape to another size",
        lambda: fe.ones(2, 3).reshape(4, 2),
        fe.ShapeError,
        "[reshape] shape (2, 3) with 6 elements does not fit into shape (4, 2)",
    ),
    (
        "dim out of range",
        lambda: F.softmax(fe.ones(2, 4), dim=3),
        fe.IndexOutOfRange,
        "[softmax] dim 3 is out of range for shape (2, 4); valid: -2..1",
    ),
    (
        "cat of unlike shapes",
        lambda: fe.cat([fe.ones(2, 3), fe.ones(2, 4)]),
        fe.ShapeError,
        "[cat] tensor 1 has shape (2, 4), which does not fit (2, 3) but "
        "for dimension 0",
    ),
    (
        "index out of range",
        lambda: fe.ones(3)[5],
        fe.IndexOutOfRange,
        "[index] index 5 is out of range for dimension 0 of shape (3,); valid: -3..2",
    ),
    (
        "embedding index too large",
        lambda: F.embedding(fe.tensor([1, 7]), fe.ones(5, 2)),
        fe.IndexOutOfRange,
        "[embedding] index 7 is out of range; valid: 0..4",
    ),
    (
        "mean of integers",
        lambda: fe.tensor([1, 2, 3]).mean(),
        fe.DTypeError,
        "[mean] 'input' must be a floating-point tensor, got int64 of "
        "shape (3,); convert it with .float()",
    ),
    (
        "integer weights",
        lambda: F.linear(fe.ones(2, 3), fe.ones(4, 3).long()),
        fe.DTypeError,
        "[linear] 'weight' must be a floating-point tensor, got int64 of "
        "shape (4, 3); convert it with .float()",
    ),
    (
        "labels as floats of one dimension",
        lambda: F.cross_entropy(fe.ones(2, 3), fe.tensor([0.0, 1.0])),
        fe.ShapeError,
        "[cross_entropy] target of class probabilities has shape (2,), but "
        "input has (2, 3); class indices are integers: target.long()",
    ),
    (
        "label out of range",
        lambda: F.cross_entropy(fe.ones(2, 3), fe.tensor([0, 3])),
        fe.IndexOutOfRange,
        "[cross_entropy] target 3 is not a class; valid: 0..2 (or ignore_index)",
    ),
    (
        "gradient of an integer",
        lambda: fe.tensor([1, 2]).requires_grad_(),
        fe.AutogradError,
        "only floating-point tensors can require grad, got int64; convert "
        "with .float()",
    ),
    (
        "unknown device",
        lambda: fe.ones(2).to("tpu"),
        fe.DeviceError,
        "no device 'tpu'; present: cpu",
    ),
    (
        "backward of a vector",
        lambda: (leaf(2) * 2).backward(),
        fe.AutogradError,
        "[backward] a gradient is needed for an output of shape (2,); "
        "without one the output must have one element, e.g. "
        "loss.mean().backward()",
    ),
    (
        "backward without a history",
        lambda: fe.ones(()).backward(),
        fe.AutogradError,
        "[backward] the tensor, float32 (), does not require grad: it was "
        "computed from nothing that does; set requires_grad=True on an input",
    ),
    (
        "second backward",
        lambda: second_backward(),
        fe.AutogradError,
        "[exp] backward a second time: the saved tensors of this graph "
        "were freed by the first pass; pass retain_graph=True to it\n"
        "  computed here: FILE:LINE: y = fe.exp(x)",
    ),
    (
        "in place on a leaf",
        lambda: leaf(2).add_(1.0),
        fe.AutogradError,
        "[add_] a leaf tensor that requires grad (float32 (2,)) cannot be "
        "written in place while gradients are recorded; wrap the update in "
        "`with fe.no_grad():`",
    ),
    (
        "overwritten before backward",
        lambda: write_to_saved(),
        fe.AutogradError,
        "[exp] a tensor saved for its gradient, float32 (2,), was "
        "overwritten in place by 'mul' after it was used; write into a "
        "clone() instead\n"
        "  used here: FILE:LINE: y = fe.exp(x)\n"
        "  overwritten here: FILE:LINE: y.mul_(2.0)",
    ),
    (
        "numpy of a tensor with a gradient",
        lambda: leaf(2).numpy(),
        fe.AutogradError,
        "[numpy] a tensor of shape (2,) cannot become an array: it "
        "requires grad and the history would be lost; write "
        ".detach().numpy()",
    ),
    (
        "item of many",
        lambda: fe.ones(2).item(),
        fe.InvalidValue,
        "[item] a tensor of shape (2,) has 2 elements; item() is for one, use tolist()",
    ),
    (
        "truth of many",
        lambda: bool(fe.ones(2)),
        fe.InvalidValue,
        "the truth value of a tensor of shape (2,) is ambiguous; reduce it "
        "first, as in (x > 0).sum() > 0",
    ),
    (
        "unused input of grad",
        lambda: fe.autograd.grad(leaf(1).sum(), leaf(1)),
        fe.AutogradError,
        "[grad] input 0, float32 (1,), was not used to compute the "
        "outputs; pass allow_unused=True to get None for it",
    ),
    (
        "registered twice",
        lambda: double_registration(),
        KeyError,
        "\"Linear already has attribute 'weight'\"",
    ),
    (
        "wrong channels inside a model",
        lambda: wrong_channels(),
        fe.ShapeError,
        "[conv2d] input (1, 8, 6, 6) has 8 channels, but weight (8, 16, 3, "
        "3) with groups=1 expects 16; images are (N, C, H, W), channels "
        "before height\n  in module '2' (Conv2d(16, 8, kernel_size=(3, 3), "
        "stride=(1, 1)))",
    ),
    (
        "wrong features",
        lambda: nn.Linear(4, 2)(fe.ones(3, 5)),
        fe.ShapeError,
        "[linear] input of shape (3, 5) does not fit weight (out, in) = "
        "(2, 4): its last dimension must be 4\n  in module "
        "Linear(in_features=4, out_features=2, bias=True)",
    ),
    (
        "kernel larger than the image",
        lambda: nn.Conv2d(1, 1, 5)(fe.ones(1, 1, 3, 3)),
        fe.ShapeError,
        "[conv2d] a kernel of height 5 (dilation 1: 5) does not fit into "
        "an input of height 3 with padding 0; enlarge the padding or use a "
        "smaller kernel\n  in module Conv2d(1, 1, kernel_size=(5, 5), "
        "stride=(1, 1))",
    ),
    (
        "column against vector in a loss",
        lambda: F.mse_loss(fe.ones(4, 1), fe.ones(4)),
        fe.ShapeError,
        "[mse_loss] input has shape (4, 1) but target (4,); a loss does "
        "not broadcast: write input.squeeze(-1) or target.unsqueeze(-1)",
    ),
    (
        "state of another model",
        lambda: load_other_state(),
        fe.FerruleError,
        "[load_state_dict] the state does not fit Linear:\n  weight: the "
        "module has shape (2, 3), the state (2, 4)",
    ),
    (
        "no parameters",
        lambda: fe.optim.SGD([], lr=0.1),
        ValueError,
        "[SGD] the list of parameters is empty; assign layers to "
        "attributes (or nn.ModuleList) so that parameters() sees them, and "
        "note that an iterator can be used only once",
    ),
    (
        "negative learning rate",
        lambda: fe.optim.Adam(nn.Linear(1, 1).parameters(), lr=-1.0),
        ValueError,
        "[Adam] lr must be at least 0, got -1.0",
    ),
    (
        "unknown keyword",
        lambda: fe.sum(fe.ones(2), dims=0),
        TypeError,
        "[sum] unknown argument 'dims'\n  sum(input: Tensor, dim: int | "
        "tuple[int, ...] | None = None, keepdim: bool = False, *, dtype: "
        "DType | None = None)",
    ),
    (
        "missing argument",
        lambda: fe.matmul(fe.ones(2)),
        TypeError,
        "[matmul] missing argument 'other'\n  matmul(input: Tensor, other: "
        "Tensor, transpose_input: bool = False, transpose_other: bool = "
        "False)",
    ),
    (
        "array as operand",
        lambda: fe.ones(2) + np.ones(2, dtype=object),
        fe.DTypeError,
        "[tensor] no tensor has elements of the format 'O' (8 bytes); "
        "convert the array with .astype(...)",
    ),
    (
        "ragged list",
        lambda: fe.tensor([[1.0], [2.0, 3.0]]),
        fe.ShapeError,
        "[tensor] the nested list is ragged: a list of 2 entries where the "
        "first at this depth (1) has 1",
    ),
    (
        "no forward",
        lambda: missing_super(),
        NotImplementedError,
        "Net has no forward(); define `def forward(self, x): ...` in the class",
    ),
    (
        "in-place result of another dtype",
        lambda: fe.tensor([1, 2]).mul_(0.5),
        fe.DTypeError,
        "[mul_] the result is float32, which cannot be written in place "
        "into a tensor of int64",
    ),
]


@pytest.mark.parametrize("name", [m[0] for m in MISTAKES])
def test_message(name: str) -> None:
    _, mistake, kind, message = next(m for m in MISTAKES if m[0] == name)
    with pytest.raises(kind) as caught:
        mistake()
    text = re.sub(rf"{re.escape(__file__)}:\d+:", "FILE:LINE:", str(caught.value))
    assert text == message


def test_there_are_thirty() -> None:
    assert len(MISTAKES) >= 30
