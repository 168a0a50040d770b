"""Warnings of what is no error but hardly meant, at the user's line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from .._ferrule import FerruleWarning, is_grad_enabled

__all__ = ["expects_logits", "warn_of_training_mode"]

_F = TypeVar("_F", bound=Callable[..., Any])
_PACKAGE = __name__.partition(".")[0]


def expects_logits(loss: _F, activation: str) -> _F:
    """A loss that applies `activation` itself and warns where the user did, too."""
    node = f"{activation.capitalize()}Backward"

    @wraps(loss)
    def watched(input: Any, *args: Any, **kwargs: Any) -> Any:
        history = getattr(input, "grad_fn", None)
        if history is not None and history.name() == node:
            _warn(
                f"[{loss.__name__}] the input is the result of {activation}, which "
                f"{loss.__name__} applies itself: give it the logits, and leave the "
                f"{activation} out of the model"
            )
        return loss(input, *args, **kwargs)

    return watched  # type: ignore[return-value]


def warn_of_training_mode(layer: str) -> None:
    """Called by layers that draw random numbers, in training mode."""
    if not is_grad_enabled():
        _warn(
            f"[{layer}] is in training mode, and so draws random numbers, while no "
            "gradients are recorded: call model.eval() before an evaluation, and "
            "model.train() after it. If it is meant, silence this with "
            'warnings.simplefilter("ignore", ferrule.FerruleWarning)'
        )


def _warn(message: str) -> None:
    """Names the innermost line outside of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, FerruleWarning, stacklevel=level)
