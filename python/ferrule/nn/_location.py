"""Names the module that an error came from, by its path from the root."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .module import Module

_KEY = "_ferrule_trail"


class _Trail(NamedTuple):
    message: str  # as raised
    origin: Module  # innermost module whose forward raised
    top: Module  # outermost module so far on the way up that holds `origin`
    path: str  # from `top` to `origin`


def locate(error: Exception, module: Module) -> None:
    """Called by every `Module.__call__` that `error` passes on its way up.

    A module does not know its own name; its ancestors do. So each ancestor
    extends the path, and the message is rewritten to hold the longest one.
    """
    trail: _Trail | None = error.__dict__.get(_KEY)
    if trail is None:
        if not str(error).startswith("["):
            return  # not of Ferrule
        trail = _Trail(str(error), module, module, "")
    else:
        name = _name_of(trail.top, module)
        if not name:
            return
        path = f"{name}.{trail.path}" if trail.path else name
        trail = trail._replace(top=module, path=path)
    error.__dict__[_KEY] = trail
    where = f"{type(trail.origin).__name__}({trail.origin.extra_repr()})"
    if trail.path:
        where = f"'{trail.path}' ({where})"
    error.args = (f"{trail.message}\n  in module {where}", *error.args[1:])


def _name_of(child: Module, ancestor: Module) -> str:
    """Path from `ancestor` to `child`; empty if it does not hold it."""
    for name, module in ancestor.named_modules():
        if module is child:
            return name
    return ""
