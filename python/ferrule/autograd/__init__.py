"""Gradients on request, custom functions, and checks of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._ferrule import grad
from .function import Function, FunctionContext

if TYPE_CHECKING:
    from ._gradcheck import gradcheck, gradgradcheck

__all__ = ["Function", "FunctionContext", "grad", "gradcheck", "gradgradcheck"]


def __getattr__(name: str) -> Any:
    if name not in ("gradcheck", "gradgradcheck"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _gradcheck  # needs NumPy, and few programs need it

    return getattr(_gradcheck, name)
