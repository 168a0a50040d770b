"""Gradients on request, custom functions, and checks of both."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._ferrule import (
    backward,
    enable_grad,
    grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)
from .anomaly import detect_anomaly, set_detect_anomaly
from .function import Function, FunctionContext, once_differentiable

if TYPE_CHECKING:
    from . import functional, graph
    from ._gradcheck import gradcheck, gradgradcheck

__all__ = [
    "Function",
    "FunctionContext",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def __getattr__(name: str) -> Any:
    """What few programs need is loaded when it is first used."""
    if name in ("functional", "graph"):
        return import_module(f".{name}", __name__)
    if name in ("gradcheck", "gradgradcheck"):  # needs NumPy
        return getattr(import_module("._gradcheck", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
