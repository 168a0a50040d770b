"""`RemovableHandle`: takes back a registered hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["RemovableHandle"]


class RemovableHandle:
    """Returned by the `register_*_hook` methods; removes the hook again.

    Also a context manager that removes it at the end of the block.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.ReLU()
        >>> handle = layer.register_forward_hook(lambda m, args, out: out * 2)
        >>> layer(fe.ones((1,))).item()
        2.0
        >>> handle.remove()
        >>> layer(fe.ones((1,))).item()
        1.0
    """

    def __init__(self, remove: Callable[[], object]) -> None:
        self._remove: Callable[[], object] | None = remove

    def remove(self) -> None:
        """Removes the hook; does nothing the second time."""
        remove, self._remove = self._remove, None
        if remove is not None:
            remove()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.remove()
