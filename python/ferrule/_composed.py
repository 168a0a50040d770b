"""Functions made of ops report what an op finds wrong as errors of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from ._ferrule import FerruleError, error_of_part

__all__ = ["composed"]

P = ParamSpec("P")
R = TypeVar("R")


def composed(function: Callable[P, R]) -> Callable[P, R]:
    """Errors of the ops inside name the function first, as those of composed ops do.

    >>> import ferrule as fe
    >>> fe.linalg.lstsq(fe.ones(3, 2), fe.ones(2, 2))
    Traceback (most recent call last):
    ferrule.ShapeError: [lstsq] least_squares: 'A' of shape (3, 2) needs ...
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except FerruleError as error:
            error.args = (error_of_part(function.__name__, str(error)),)
            raise

    return call
