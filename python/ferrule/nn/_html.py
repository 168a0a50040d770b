"""A module as HTML, for notebooks: submodules can be folded away."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .module import Module

__all__ = ["module_html"]

_MANY = 16  # a module with more submodules than this is folded at first


def module_html(module: Module, name: str = "") -> str:
    """Nested lists; a line says what the module is and how many parameters it has."""
    count = sum(p.numel() for p in module.parameters())
    label = f"{type(module).__name__}({module.extra_repr()})"
    line = f"{f'<b>{escape(name)}</b>: ' if name else ''}<code>{escape(label)}</code>"
    if count:
        line += f" <small>{count:,} parameters</small>"
    children = [
        (child, value)
        for child in module._module_names
        if (value := module.__dict__[child]) is not None
    ]
    if not children:
        return f"<div>{line}</div>"
    inner = "".join(module_html(value, child) for child, value in children)
    opened = "" if len(children) > _MANY else " open"
    return (
        f"<details{opened}><summary>{line}</summary>"
        f'<div style="margin-left: 1.5em">{inner}</div></details>'
    )
