"""Typical mistakes and the message that each one gets, word for word.

A message says what is wrong, where, with which operands, and what to do.
"""

from __future__ import annotations

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
]


@pytest.mark.parametrize("name", [m[0] for m in MISTAKES])
def test_message(name: str) -> None:
    _, mistake, kind, message = next(m for m in MISTAKES if m[0] == name)
    with pytest.raises(kind) as caught:
        mistake()
    assert str(caught.value) == message


def test_there_are_thirty() -> None:
    assert len(MISTAKES) >= 30
