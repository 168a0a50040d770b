"""The models of `fe.models`, in both libraries.

Both have the same `nn`, so each model is written once: the package `ferrule.models` is
loaded a second time as `torch.models`, where `from .. import nn` means PyTorch's.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import ferrule as fe


def _models(lib: ModuleType, file: str) -> ModuleType:
    """A file of `fe.models`, written for this library."""
    path, package = fe.models.__path__, f"{lib.__name__}.models"
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = path
    return import_module(f"{package}.{file}")


def mlp(lib: ModuleType) -> Any:
    """784-256-128-10."""
    return _models(lib, "mlp").MLP()


def lenet(lib: ModuleType) -> Any:
    """For images of 1x28x28."""
    return _models(lib, "lenet").LeNet()


def resnet18(lib: ModuleType) -> Any:
    """For images of 3x32x32."""
    return _models(lib, "resnet").resnet18(10, small_images=True)


def resnet50(lib: ModuleType) -> Any:
    """For images of 3x224x224."""
    return _models(lib, "resnet").resnet50()


def mobilenet_v2(lib: ModuleType) -> Any:
    """For images of 3x224x224."""
    return _models(lib, "mobilenet").mobilenet_v2()


def char_gpt(lib: ModuleType) -> Any:
    """Four layers, four heads: a decoder of characters. Input: batch x length."""
    return _models(lib, "gpt").GPT(65, 128, layers=4, width=128, heads=4)


def gpt_step(lib: ModuleType) -> Any:
    """One token of a decoder as large as GPT-2 small, with a cache.

    Inputs: the token, batch x 1; keys and values of the tokens before it, layers x 2 x
    batch x heads x length x (width / heads).
    """
    gpt = _models(lib, "gpt")
    return gpt.GPTDecoder(gpt.GPT())


def bert(lib: ModuleType) -> Any:
    """The encoder of BERT base. Input: batch x length x width."""
    return _models(lib, "bert").BertEncoder()


def lstm(lib: ModuleType) -> Any:
    """Two layers over characters. Input: batch x length."""
    return _models(lib, "tagger").LSTMTagger(65, 65, 256, 2, bidirectional=False)
