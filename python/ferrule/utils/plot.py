"""Pictures of a training run. Needs matplotlib, which is imported when one is drawn.

Every function draws into the axes it is given, or into a new figure, and returns the
axes: ``ax.figure.savefig("curve.png")`` writes the picture, and all that matplotlib
can do with axes can follow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._ferrule import Tensor
from .logging import read_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ._lr_find import LRFind

__all__ = ["confusion_matrix", "curves", "images", "lr_find"]


def curves(
    log: str | os.PathLike[str] | Sequence[Mapping[str, Any]] | Mapping[str, Any],
    y: str | Sequence[str] = "loss",
    *,
    x: str = "step",
    smooth: float = 0.0,
    log_scale: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draws values of a run over its steps: the loss, the accuracy, ...

    Args:
        log: the file of a `logging.CSVLogger` or `JSONLLogger`; or rows as dicts; or
            a dict of columns, such as ``{"loss": losses}``.
        y: the name of the values, or several.
        x: the name of the horizontal axis. Rows that lack it are numbered.
        smooth: from 0 to below 1: the weight of the past in a mean that is drawn
            over the values.
        log_scale: True makes the vertical axis logarithmic.
        ax: where to draw; None: a new figure.

    Returns:
        The axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: no row has a value of that name; or `smooth` is out of range.

    Example:
        >>> import ferrule as fe
        >>> ax = fe.utils.plot.curves({"loss": [1.0, 0.5, 0.25]})
        >>> ax.get_ylabel(), len(ax.lines)
        ('loss', 1)
    """
    if not 0.0 <= smooth < 1.0:
        raise ValueError(f"[curves] smooth must be from 0 to below 1, got {smooth}")
    rows = _rows(log)
    names = [y] if isinstance(y, str) else list(y)
    series = {name: _series(rows, x, name) for name in names}
    axes = _axes(ax)
    for name, (places, values) in series.items():
        (line,) = axes.plot(places, values, label=name, alpha=0.35 if smooth else 1.0)
        if smooth:
            axes.plot(places, _smoothed(values, smooth), color=line.get_color())
    axes.set_xlabel(x)
    axes.set_ylabel(", ".join(names))
    if log_scale:
        axes.set_yscale("log")
    if len(names) > 1:
        axes.legend()
    axes.grid(alpha=0.3)
    return axes


def confusion_matrix(
    target: Any,
    predicted: Any,
    classes: Sequence[str] | None = None,
    *,
    normalize: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draws how often each class was taken for each other.

    Args:
        target: the right class numbers, shape (n,).
        predicted: class numbers, shape (n,), or scores, shape (n, classes).
        classes: their names; None: their numbers.
        normalize: True shows shares of each right class, not counts.
        ax: where to draw; None: a new figure.

    Returns:
        The axes; a row for each right class, a column for each predicted one.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the shapes or the class numbers do not fit.

    Example:
        >>> import ferrule as fe
        >>> ax = fe.utils.plot.confusion_matrix([0, 1, 1], [0, 1, 0], ["cat", "dog"])
        >>> [text.get_text() for text in ax.texts]
        ['1', '0', '1', '1']
    """
    right, found = _numbers(target), _numbers(predicted)
    if found.ndim == 2 and right.ndim == 1:
        found = found.argmax(1)
    if right.ndim != 1 or right.shape != found.shape:
        raise ValueError(
            f"[confusion_matrix] target of shape {right.shape} and predicted of shape "
            f"{found.shape}; both are (n,), or predicted is (n, classes)"
        )
    right, found = right.astype(np.int64), found.astype(np.int64)
    highest = max(right.max(initial=-1), found.max(initial=-1))
    count = highest + 1 if classes is None else len(classes)
    lowest = min(right.min(initial=0), found.min(initial=0))
    if lowest < 0 or highest >= count:
        raise ValueError(
            f"[confusion_matrix] class numbers from {lowest} to {highest}, but there "
            f"are {count} classes"
        )
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (right, found), 1)
    sums = matrix.sum(1, keepdims=True)
    shares = matrix / np.maximum(sums, 1)

    names = [str(i) for i in range(count)] if classes is None else list(classes)
    axes = _axes(ax)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    turned = 90 if max(map(len, names), default=0) > 3 else 0
    axes.set_xticks(range(count), names, rotation=turned)
    axes.set_yticks(range(count), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("right")
    for i, j in np.ndindex(count, count):
        text = f"{shares[i, j]:.2f}" if normalize else str(matrix[i, j])
        color = "white" if shares[i, j] > 0.5 else "black"
        axes.text(j, i, text, ha="center", va="center", color=color)
    return axes


def lr_find(found: LRFind, *, ax: Axes | None = None) -> Axes:
    """Draws the loss over the learning rate, as `utils.lr_find` found it.

    Args:
        found: its result.
        ax: where to draw; None: a new figure.

    Returns:
        The axes, with a mark at the suggested learning rate.

    Raises:
        ImportError: matplotlib is not installed.
    """
    axes = _axes(ax)
    axes.plot(found.lrs, found.losses)
    axes.axvline(
        found.suggestion, color="tab:red", label=f"suggested: {found.suggestion:.2g}"
    )
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.legend()
    axes.grid(alpha=0.3)
    return axes


def images(
    pictures: Any,
    titles: Sequence[Any] | None = None,
    *,
    columns: int = 8,
    ax: Axes | None = None,
) -> Axes:
    """Draws pictures side by side, such as a batch of a data set.

    Args:
        pictures: shape (n, channels, height, width) with 1 or 3 channels, or
            (n, height, width); floats from 0 to 1, or uint8.
        titles: what to write above each.
        columns: pictures in a row.
        ax: where to draw; None: a new figure.

    Returns:
        The axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the shape does not fit.
    """
    from .tensorboard._images import grid

    array = _numbers(pictures)
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or array.shape[1] not in (1, 3) or not len(array):
        raise ValueError(
            f"[images] pictures of shape {array.shape}; expected (n, height, width) or "
            "(n, 1 or 3, height, width), n > 0"
        )
    axes = _axes(ax)
    columns = min(columns, len(array))
    height, width = array.shape[2:]
    pixels = grid(array.transpose(0, 2, 3, 1), columns)
    if pixels.shape[-1] == 1:
        axes.imshow(pixels[..., 0], cmap="gray")
    else:
        axes.imshow(pixels)
    axes.set_axis_off()
    for i, title in enumerate(titles or ()):
        row, column = divmod(i, columns)
        axes.text(
            (column + 0.5) * width - 0.5,
            row * height,
            str(title),
            ha="center",
            va="top",
            fontsize=8,
            color="tab:orange",
        )
    return axes


# --- common ------------------------------------------------------------------


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "[plot] pictures are drawn by matplotlib: pip install matplotlib"
        ) from error
    made: Axes = plt.subplots()[1]
    return made


def _numbers(values: Any) -> np.ndarray[Any, Any]:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def _rows(log: Any) -> list[Mapping[str, Any]]:
    if isinstance(log, (str, os.PathLike)):
        return list(read_log(log))
    if isinstance(log, Mapping):
        columns = {name: _numbers(values).ravel() for name, values in log.items()}
        count = max(map(len, columns.values()), default=0)
        return [
            {name: values[i] for name, values in columns.items() if i < len(values)}
            for i in range(count)
        ]
    return list(log)


def _series(
    rows: Sequence[Mapping[str, Any]], x: str, y: str
) -> tuple[list[float], list[float]]:
    """Places and values of the rows that have a value."""
    found = [
        (float(row.get(x, number)), float(row[y]))
        for number, row in enumerate(rows)
        if row.get(y) is not None
    ]
    if not found:
        names = ", ".join(dict.fromkeys(name for row in rows for name in row))
        raise ValueError(
            f"[curves] no row has a '{y}'; there are: {names or 'no rows'}"
        )
    return [place for place, _ in found], [value for _, value in found]


def _smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Exponential mean, without a pull towards 0 at the beginning."""
    means, total, norm = [], 0.0, 0.0
    for value in values:
        total = weight * total + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        means.append(total / norm)
    return means
