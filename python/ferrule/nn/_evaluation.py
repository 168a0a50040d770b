"""A warning about models that are evaluated as if they were trained."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .._ferrule import FerruleWarning, is_grad_enabled

if TYPE_CHECKING:
    from .module import Module

_PACKAGE = __name__.partition(".")[0]
_quiet = False


def warn_of_training(module: Module) -> None:
    """Says, at the user's line, that `module` trains while nothing is recorded.

    Called by layers that behave otherwise in training mode, when they are in it.
    """
    if _quiet or is_grad_enabled():
        return
    # The innermost line outside of this package.
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"[{type(module).__name__}] is in training mode, but no gradients are "
        "recorded (no_grad, inference_mode): for evaluation call model.eval() first "
        "and model.train() afterwards. If training mode is meant, silence this with "
        'warnings.simplefilter("ignore", ferrule.FerruleWarning)',
        FerruleWarning,
        stacklevel=level,
    )


@contextmanager
def training_is_meant() -> Iterator[None]:
    """For code that runs in training mode without gradients on purpose."""
    global _quiet
    before, _quiet = _quiet, True
    try:
        yield
    finally:
        _quiet = before
