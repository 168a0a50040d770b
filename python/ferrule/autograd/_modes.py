"""`decorated`: a function that runs in a recording mode."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

Make = Callable[[], AbstractContextManager[Any]]


def decorated(make: Make, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, every call of which runs inside a context that `make` gives.

    A generator function is inside while it runs and outside while its caller
    does.
    """
    if inspect.isgeneratorfunction(function):
        return _decorated_generator(make, function)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with make():
            return function(*args, **kwargs)

    return wrapper


def _decorated_generator(
    make: Make, function: Callable[..., Any]
) -> Callable[..., Generator[Any, Any, Any]]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)

        def resume(how: Callable[..., Any], *value: Any) -> Any:
            with make():
                return how(*value)

        try:
            item = resume(generator.send, None)
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    resume(generator.close)
                    raise
                except BaseException as error:
                    item = resume(generator.throw, error)
                else:
                    item = resume(generator.send, sent)
        except StopIteration as stop:
            return stop.value

    return wrapper
