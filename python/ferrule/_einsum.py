"""Einstein's summation convention on permute, reshape and matmul."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ._composed import composed
from ._ferrule import InvalidValue, ShapeError, Tensor

__all__ = ["einsum"]

# A label of a dimension: a letter, or a number for one that "..." stands for,
# counted from the end.
Label = str | int


@composed
def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products of tensors, by the names of their dimensions.

    Args:
        equation: such as "bik,bkj->bij": a letter for each dimension of each
            operand, and those of the result. What the result does not have is
            summed over. A letter that an operand has twice takes its diagonal;
            "..." stands for dimensions that broadcast. Without "->" the result
            has the letters that occur once, in alphabetical order.
        operands: the tensors, all of one dtype. They are multiplied from left to
            right.

    Returns:
        The result, as the equation says.

    Raises:
        InvalidValue: the equation is wrong; the message names the subscript.
        ShapeError: sizes of dimensions of one name differ.

    Example:
        >>> import ferrule as fe
        >>> a = fe.tensor([[1, 2], [3, 4]])
        >>> fe.einsum("ij,j->i", a, fe.tensor([1, 10])).tolist()
        [21, 43]
        >>> fe.einsum("ii", a).item()
        5

    Source: numpy.einsum.
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    subscripts, result = _parse(equation, operands)
    terms = [
        _take_diagonals(t, labels)
        for t, labels in zip(operands, subscripts, strict=True)
    ]
    left, labels = terms[0]
    for k, (right, others) in enumerate(terms[1:], start=2):
        later = {x for _, rest in terms[k:] for x in rest}
        left, labels = _multiply(left, labels, right, others, later | set(result))
    left, labels = _sum_out(left, labels, set(result))
    return left.permute([labels.index(x) for x in result])


def _parse(
    equation: str, operands: Sequence[Tensor]
) -> tuple[list[list[Label]], list[Label]]:
    """The labels of every operand and of the result."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    texts = inputs.split(",")
    if len(texts) != len(operands):
        raise InvalidValue(
            f"[einsum] {equation!r} has {len(texts)} subscripts for "
            f"{len(operands)} operands"
        )
    subscripts: list[list[Label]] = []
    sizes: dict[Label, int] = {}
    for text, t in zip(texts, operands, strict=True):
        labels = _labels(text, equation, t.ndim)
        if len(labels) != t.ndim:
            raise InvalidValue(
                f"[einsum] subscript {text!r} names {len(labels)} dimensions of an "
                f"operand of shape {t.shape}"
            )
        for label, size in zip(labels, t.shape, strict=True):
            if sizes.setdefault(label, size) == 1:
                sizes[label] = size
            if size not in (1, sizes[label]):
                name = f"{label!r}" if isinstance(label, str) else "'...'"
                raise ShapeError(
                    f"[einsum] {name} of subscript {text!r} has size {size}, but "
                    f"{sizes[label]} elsewhere in {equation!r}"
                )
        subscripts.append(labels)
    dots = sorted({x for labels in subscripts for x in labels if isinstance(x, int)})
    if not arrow:
        letters = [x for labels in subscripts for x in labels if isinstance(x, str)]
        return subscripts, [*dots, *sorted(x for x in letters if letters.count(x) == 1)]
    result = _labels(output, equation, len(output.replace("...", "")) + len(dots))
    for label in result:
        if result.count(label) > 1:
            raise InvalidValue(f"[einsum] the result {output!r} has {label!r} twice")
        if label not in sizes:
            raise InvalidValue(
                f"[einsum] {label!r} of the result {output!r} is in no subscript"
            )
    return subscripts, result


def _labels(text: str, equation: str, ndim: int) -> list[Label]:
    """One label a character; "..." gives as many as `ndim` leaves."""
    front, dots, back = text.partition("...")
    for x in front + back:
        if not (x.isascii() and x.isalpha()):
            raise InvalidValue(
                f"[einsum] {x!r} in subscript {text!r} of {equation!r} is no letter"
            )
    hidden = range(-(ndim - len(front) - len(back)), 0) if dots else ()
    return [*front, *hidden, *back]


def _take_diagonals(t: Tensor, labels: list[Label]) -> tuple[Tensor, list[Label]]:
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if t.shape[first] != t.shape[second]:
                raise ShapeError(
                    f"[einsum] no diagonal: {label!r} has sizes {t.shape[first]} and "
                    f"{t.shape[second]} in one operand"
                )
            t = t.diagonal(0, first, second)
            labels = [x for k, x in enumerate(labels) if k not in (first, second)]
            labels.append(label)
    return t, labels


def _sum_out(
    t: Tensor, labels: list[Label], keep: set[Label]
) -> tuple[Tensor, list[Label]]:
    """Sums over the dimensions that nobody wants."""
    gone = [k for k, x in enumerate(labels) if x not in keep]
    if gone:
        t = t.sum(gone, dtype=t.dtype)
    return t, [x for x in labels if x in keep]


def _multiply(
    a: Tensor, in_a: list[Label], b: Tensor, in_b: list[Label], keep: set[Label]
) -> tuple[Tensor, list[Label]]:
    """One product, as matrices (batch, own, shared) @ (batch, shared, own)."""
    a, in_a = _sum_out(a, in_a, keep | set(in_b))
    b, in_b = _sum_out(b, in_b, keep | set(in_a))
    both = [x for x in in_a if x in in_b]
    batch = [x for x in both if x in keep]
    shared = [x for x in both if x not in keep]
    own_a = [x for x in in_a if x not in both]
    own_b = [x for x in in_b if x not in both]
    sizes = dict(zip(in_b, b.shape, strict=True))
    for label, size in zip(in_a, a.shape, strict=True):
        if sizes.get(label, 1) == 1:
            sizes[label] = size

    def matrices(t: Tensor, labels: list[Label], *groups: list[Label]) -> Tensor:
        order = [x for group in groups for x in group]
        t = t.permute([labels.index(x) for x in order])
        t = t.expand([sizes[x] for x in order])
        return t.reshape([prod(sizes[x] for x in group) for group in groups])

    left = matrices(a, in_a, batch, own_a, shared)
    right = matrices(b, in_b, batch, shared, own_b)
    labels = [*batch, *own_a, *own_b]
    return (left @ right).reshape([sizes[x] for x in labels]), labels
