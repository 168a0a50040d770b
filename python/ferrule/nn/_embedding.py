"""Sums of rows of a table, and indices as vectors."""

from __future__ import annotations

from .._composed import composed
from .._ferrule import InvalidValue, ShapeError, Tensor, float64, int64, no_grad, ops

__all__ = ["embedding_bag", "one_hot"]


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A 1 at every index, along a new last dimension; else 0.

    Args:
        tensor: indices, an integer tensor of any shape.
        num_classes: the size of the new dimension; -1 is the largest index + 1,
            which a program that is captured cannot know.

    Raises:
        IndexOutOfRange: an index is negative or too large.
        InvalidValue: `num_classes` is 0, or -1 for a tensor without elements.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.functional.one_hot(fe.tensor([1, 0]), 3).tolist()
        [[0, 1, 0], [1, 0, 0]]
    """
    if num_classes == -1:
        if tensor.numel() == 0:
            raise InvalidValue(
                "[one_hot] the number of classes cannot be found in an empty tensor; "
                "pass num_classes"
            )
        num_classes = max(int(tensor.max().item()) + 1, 1)
    return ops.one_hot(tensor, num_classes)


@composed
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum of the rows of a table that make a bag.

    Args:
        input: numbers of rows: (B, n), a bag in every row; or (n,), with `offsets`.
        weight: the table, (rows, size).
        offsets: (B,), where every bag starts.
        max_norm: rows that are used and longer are made that long, in place.
        norm_type: order of that norm.
        scale_grad_by_freq: divides the gradient of a row by how often it is used.
        mode: "sum", "mean" or "max". A bag without rows is 0.
        sparse: accepted; the gradient is dense.
        per_sample_weights: factor of every row, of the shape of `input`; "sum" only.
        include_last_offset: `offsets` ends with the end of the last bag.
        padding_idx: this row counts for nothing; negative ones count from the end.

    Gives (B, size).

    Raises:
        ShapeError: shapes do not fit.
        InvalidValue: unknown `mode`; weights with another mode than "sum".
        IndexOutOfRange: a number is no row.

    Example:
        >>> import ferrule as fe
        >>> table = fe.tensor([[1.0], [2.0], [4.0]])
        >>> rows, offsets = fe.tensor([0, 1, 2]), fe.tensor([0, 2])
        >>> fe.nn.functional.embedding_bag(rows, table, offsets, mode="sum").tolist()
        [[3.0], [4.0]]
    """
    index, bags, count = _bags(input, offsets, include_last_offset)
    if mode not in ("sum", "mean", "max"):
        raise InvalidValue(
            f"[embedding_bag] mode must be 'sum', 'mean' or 'max', got {mode!r}"
        )
    if per_sample_weights is not None:
        if mode != "sum":
            raise InvalidValue(
                "[embedding_bag] per_sample_weights go with mode='sum', got "
                f"mode={mode!r}"
            )
        if per_sample_weights.shape != input.shape:
            raise ShapeError(
                f"[embedding_bag] per_sample_weights has shape "
                f"{per_sample_weights.shape}, but input {input.shape}"
            )
    if max_norm is not None:
        _shorten(weight, index, max_norm, norm_type)
    rows = ops.embedding(index, weight, padding_idx)
    if scale_grad_by_freq:
        rows = _scale_gradient(rows, index, weight.shape[0])
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape((-1, 1))
    kept = None
    if padding_idx is not None:
        kept = ops.ne(index, padding_idx % weight.shape[0]).unsqueeze(1)
    out = ops.zeros((count, weight.shape[1]), rows.dtype, weight.device)
    if mode == "max":
        # A row that does not count goes to a bag of its own.
        if kept is not None:
            bags = ops.where(kept.squeeze(1), bags, count)
            out = ops.zeros((count + 1, weight.shape[1]), rows.dtype, weight.device)
        target = bags.unsqueeze(1).expand(rows.shape)
        out = ops.scatter_reduce(out, 0, target, rows, "amax", False)
        return out.narrow(0, 0, count)
    if kept is not None:
        rows = ops.where(kept, rows, 0.0)
    out = ops.index_add(out, 0, bags, rows)
    if mode == "sum":
        return out
    ones = ops.ones_like(index) if kept is None else ops.cast(kept.squeeze(1), int64)
    zero = ops.zeros((count,), int64, weight.device)
    sizes = ops.index_add(zero, 0, bags, ops.cast(ones, int64))
    return out / ops.cast(ops.clamp_min(sizes, 1), rows.dtype).unsqueeze(1)


def _bags(
    input: Tensor, offsets: Tensor | None, include_last_offset: bool
) -> tuple[Tensor, Tensor, int]:
    """The row numbers in one dimension, the bag of each, how many bags."""
    if input.ndim == 2:
        if offsets is not None:
            raise ShapeError(
                "[embedding_bag] input (B, n) holds a bag in every row; offsets go "
                f"with an input of one dimension, got {input.shape}"
            )
        count, size = input.shape
        bags = ops.arange(count, device=input.device).unsqueeze(1)
        return input.reshape((-1,)), bags.expand((count, size)).reshape((-1,)), count
    if input.ndim != 1 or offsets is None or offsets.ndim != 1:
        raise ShapeError(
            "[embedding_bag] input must be (B, n), or (n,) with offsets (B,); got "
            f"{input.shape} and {None if offsets is None else offsets.shape}"
        )
    count = offsets.shape[0] - (1 if include_last_offset else 0)
    if include_last_offset:
        offsets = offsets.narrow(0, 0, count)
    places = ops.arange(input.shape[0], dtype=offsets.dtype, device=input.device)
    return input, ops.searchsorted(offsets, places, right=True) - 1, count


def _shorten(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    """Makes the rows that are used at most `max_norm` long, in place."""
    with no_grad():
        table = weight.detach()
        rows = table.index_select(0, index)
        length = ops.norm(rows, norm_type, 1, True)
        # Never quite as long as the limit, as in PyTorch.
        shorter = rows * (max_norm / (length + 1e-7))
        rows = ops.where(length > max_norm, shorter, rows)
        table.copy_(ops.index_copy(table, 0, index, rows))


def _scale_gradient(rows: Tensor, index: Tensor, n: int) -> Tensor:
    """`rows` with a gradient divided by how often each is used."""
    ones = ops.ones_like(index, dtype=float64)
    zero = ops.zeros((n,), float64, index.device)
    uses = ops.index_add(zero, 0, index, ones).index_select(0, index)
    share = ops.cast(1.0 / uses, rows.dtype).unsqueeze(1)
    return rows * share + (rows * (1.0 - share)).detach()
