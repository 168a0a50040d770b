"""`skip_init`: a module without the cost of its initial values."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from .. import init
from ..module import Module

__all__ = ["skip_init"]

_Layer = TypeVar("_Layer", bound=Module)


def skip_init(module_cls: type[_Layer], *args: Any, **kwargs: Any) -> _Layer:
    """Makes a module whose parameters are not initialised, for values to be loaded.

    No random numbers are drawn. What the parameters hold is undefined.

    Args:
        module_cls: a class of modules with an argument `device`.
        args, kwargs: its arguments.

    Raises:
        TypeError: it is no such class.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.utils.skip_init(fe.nn.Linear, 3, 2)
        >>> layer.load_state_dict(fe.nn.Linear(3, 2).state_dict()).missing_keys
        []
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise TypeError(f"[skip_init] expected a class of modules, got {module_cls!r}")
    parameters = inspect.signature(module_cls.__init__).parameters
    varied = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    own = module_cls.__init__ is not object.__init__
    if not own or ("device" not in parameters and not varied):
        raise TypeError(
            f"[skip_init] {module_cls.__name__} has no argument 'device'; only layers "
            "with parameters of their own can be made without initial values"
        )
    with init.skipped():
        return module_cls(*args, **kwargs)
