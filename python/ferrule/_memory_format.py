"""How the elements of a tensor lie in memory; see `Tensor.contiguous`."""

from __future__ import annotations

import enum

__all__ = [
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "memory_format",
    "preserve_format",
]


class memory_format(enum.Enum):
    """The order of the dimensions in memory, which the shape does not show.

    contiguous_format: row-major. channels_last: images (N, C, H, W) whose channels
    lie side by side. channels_last_3d: the same for (N, C, D, H, W).
    preserve_format: as the input's.

    Example:
        >>> import ferrule as fe
        >>> x = fe.zeros((1, 2, 3, 4)).contiguous(memory_format=fe.channels_last)
        >>> x.shape, x.stride()
        ((1, 2, 3, 4), (24, 1, 8, 2))
    """

    contiguous_format = "contiguous_format"
    channels_last = "channels_last"
    channels_last_3d = "channels_last_3d"
    preserve_format = "preserve_format"

    def __repr__(self) -> str:
        return f"ferrule.{self.name}"


contiguous_format = memory_format.contiguous_format
channels_last = memory_format.channels_last
channels_last_3d = memory_format.channels_last_3d
preserve_format = memory_format.preserve_format
