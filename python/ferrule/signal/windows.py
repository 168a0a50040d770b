"""Weights of the samples of a signal, as in `torch.signal.windows`.

Every function but the last is an op whose definition names it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import TYPE_CHECKING

from .._ferrule import (
    DType,
    InvalidValue,
    Tensor,
    float32,
    float64,
    module_ops,
    ops,
)

if TYPE_CHECKING:
    from .._ops.signal.windows import *  # noqa: F403

globals().update(module_ops("signal.windows"))


def general_cosine(
    M: int, *, a: Sequence[float], sym: bool = True, dtype: DType | None = None
) -> Tensor:
    """Sum of cosines: (-1)^k a[k] cos(2 pi k n / (M - 1)).

    Args:
        M: number of samples.
        a: the shares of the cosines.
        sym: True for filters; False for spectra: one period of a window of M + 1.
        dtype: None is float32.

    Returns:
        Shape (M,).

    Raises:
        InvalidValue: a negative number, or no shares.

    Example:
        >>> import ferrule as fe
        >>> fe.signal.windows.general_cosine(3, a=[0.5, 0.5]).tolist()
        [0.0, 1.0, 0.0]

    Source: scipy.signal.windows.general_cosine.
    """
    if M < 0:
        raise InvalidValue(f"[general_cosine] M must be 0 or more, got {M}")
    if not a:
        raise InvalidValue("[general_cosine] a must not be empty")
    if M < 2:
        return ops.ones((M,), dtype)
    turn = ops.cast(ops.arange(M), float64) * (2 * pi / (M - sym))
    total = ops.zeros((M,), float64)
    for k, share in enumerate(a):
        total = total + (turn * k).cos() * ((-1) ** k * share)
    return ops.cast(total, float32 if dtype is None else dtype)
