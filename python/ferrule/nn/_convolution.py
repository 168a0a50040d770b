"""Convolutions that also take the words "same" and "valid" for their padding.

The ops themselves know numbers only, so that files hold nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from .._ferrule import InvalidValue, Tensor, ops

__all__ = ["conv1d", "conv2d", "conv3d"]

_Ints = int | tuple[int, ...]


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Ints = 1,
    padding: _Ints | str = 0,
    dilation: _Ints = 1,
    groups: int = 1,
) -> Tensor:
    """One-dimensional convolution (cross-correlation, as in PyTorch).

    Args:
        input: shape (N, C, L) or (C, L).
        weight: shape (out, C / groups, k).
        bias: shape (out,).
        stride: step of the window.
        padding: zeros at both ends; "valid" is 0, "same" keeps the size (for
            stride 1; an odd total goes to the far end).
        dilation: distance of the window's elements.
        groups: number of blocks of channels that do not see each other.

    Returns:
        Shape (N, out, L') with
        L' = (L + 2 padding - dilation (k - 1) - 1) // stride + 1.

    Raises:
        ShapeError: shapes do not fit.
        InvalidValue: `padding` is an unknown word, or "same" with a stride.

    Example:
        >>> import ferrule as fe
        >>> x, w = fe.zeros((1, 3, 8)), fe.zeros((4, 3, 3))
        >>> fe.nn.functional.conv1d(x, w, padding="same").shape
        (1, 4, 8)
    """
    return _convolve(
        ops.conv1d, 1, input, weight, bias, stride, padding, dilation, groups
    )


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Ints = 1,
    padding: _Ints | str = 0,
    dilation: _Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Two-dimensional convolution (cross-correlation, as in PyTorch).

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        weight: shape (out, C / groups, kh, kw).
        bias: shape (out,).
        stride: step of the window.
        padding: zeros at both sides of H and W; "valid" is 0, "same" keeps the
            size (for stride 1; an odd total goes to the far side).
        dilation: distance of the window's elements.
        groups: number of blocks of channels that do not see each other.

    Returns:
        Shape (N, out, H', W') with
        H' = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1.

    Raises:
        ShapeError: shapes do not fit.
        InvalidValue: `padding` is an unknown word, or "same" with a stride.

    Example:
        >>> import ferrule as fe
        >>> x, w = fe.zeros((1, 3, 8, 8)), fe.zeros((4, 3, 3, 3))
        >>> fe.nn.functional.conv2d(x, w, padding="same").shape
        (1, 4, 8, 8)
    """
    return _convolve(
        ops.conv2d, 2, input, weight, bias, stride, padding, dilation, groups
    )


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Ints = 1,
    padding: _Ints | str = 0,
    dilation: _Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Three-dimensional convolution (cross-correlation, as in PyTorch).

    Args:
        input: shape (N, C, D, H, W) or (C, D, H, W).
        weight: shape (out, C / groups, kd, kh, kw).
        bias: shape (out,).
        stride: step of the window.
        padding: zeros at both sides of D, H and W; "valid" is 0, "same" keeps
            the size (for stride 1; an odd total goes to the far side).
        dilation: distance of the window's elements.
        groups: number of blocks of channels that do not see each other.

    Returns:
        Shape (N, out, D', H', W') with
        D' = (D + 2 padding - dilation (kd - 1) - 1) // stride + 1.

    Raises:
        ShapeError: shapes do not fit.
        InvalidValue: `padding` is an unknown word, or "same" with a stride.

    Example:
        >>> import ferrule as fe
        >>> x, w = fe.zeros((1, 3, 4, 8, 8)), fe.zeros((4, 3, 3, 3, 3))
        >>> fe.nn.functional.conv3d(x, w, padding="same").shape
        (1, 4, 4, 8, 8)
    """
    return _convolve(
        ops.conv3d, 3, input, weight, bias, stride, padding, dilation, groups
    )


def same_padding(dilation: _Ints, kernel: tuple[int, ...]) -> list[tuple[int, int]]:
    """(before, after) of each dimension: a result of stride 1 keeps its size."""
    steps = _each(dilation, len(kernel))
    totals = [d * (k - 1) for d, k in zip(steps, kernel, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def _each(value: _Ints, n: int) -> tuple[int, ...]:
    """One number for each of `n` dimensions."""
    each = (value,) if isinstance(value, int) else tuple(value)
    return each * n if len(each) == 1 else each


def _convolve(
    op: Callable[..., Tensor],
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: _Ints,
    padding: _Ints | str,
    dilation: _Ints,
    groups: int,
) -> Tensor:
    if not isinstance(padding, str):
        return op(input, weight, bias, stride, padding, dilation, groups)
    if padding == "valid" or weight.ndim != n + 2:  # which the op refuses
        return op(input, weight, bias, stride, 0, dilation, groups)
    name = f"conv{n}d"
    if padding != "same":
        raise InvalidValue(
            f"[{name}] padding must be a number, 'same' or 'valid', got {padding!r}"
        )
    if any(step != 1 for step in _each(stride, n)):
        raise InvalidValue(f"[{name}] padding 'same' needs stride 1, got {stride}")
    if len(_each(dilation, n)) != n:
        return op(input, weight, bias, 1, 0, dilation, groups)  # refuses it, too
    both = same_padding(dilation, weight.shape[2:])
    # An odd total: pad both sides by the larger half, drop the first result.
    larger = tuple(after for _, after in both)
    out = op(input, weight, bias, 1, larger, dilation, groups)
    for i, (before, after) in enumerate(both):
        if before != after:
            out = ops.slice(out, i - n, 1, None, 1)
    return out
