"""The messages inside of events: summaries of scalars, histograms, images, ...

Numbers of fields are those of TensorFlow's summary.proto, histogram.proto and
tensor.proto, and of TensorBoard's hparams plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _protobuf as pb
from ._images import png

__all__ = ["histogram", "image", "one_of", "plugin", "scalar", "string_tensor"]


def one_of(tag: str, *fields: bytes) -> bytes:
    """The field `summary` of an event, with one value."""
    value = pb.text(1, tag) + b"".join(fields)
    return pb.data(5, pb.data(1, value))


def scalar(value: float) -> bytes:
    """The field `simple_value` of a value."""
    return pb.floating(2, value)


def image(array: np.ndarray) -> bytes:
    """The field `image`, of bytes (height, width, channels)."""
    height, width, channels = array.shape
    return pb.data(
        4,
        pb.integer(1, height)
        + pb.integer(2, width)
        + pb.integer(3, channels)
        + pb.data(4, png(array)),
    )


def _exponential_edges() -> np.ndarray:
    """TensorFlow's default: each bucket is 10 % wider than that before."""
    positive = 1e-12 * 1.1 ** np.arange(0, 774)  # up to 1e20
    return np.concatenate([-positive[::-1], [0.0], positive])


def histogram(values: np.ndarray, bins: str | int) -> bytes:
    """The field `histo`, of the finite ones of the values."""
    values = values[np.isfinite(values)].astype(np.float64).ravel()
    if not values.size:
        return pb.data(5, pb.doubles(6, [0.0]) + pb.doubles(7, [0.0]))
    edges: Any = bins
    if bins == "tensorflow":
        edges = _exponential_edges()
        edges[0] = min(edges[0], values.min())
        edges[-1] = max(edges[-1], values.max())
    counts, edges = np.histogram(values, edges)
    used = np.flatnonzero(counts)
    # An empty bucket in front tells where the first one begins.
    first, last = used[0], used[-1] + 1
    limits = edges[first : last + 1]
    counts = np.concatenate([[0], counts[first:last]])
    return pb.data(
        5,
        pb.double(1, values.min())
        + pb.double(2, values.max())
        + pb.double(3, values.size)
        + pb.double(4, values.sum())
        + pb.double(5, np.square(values).sum())
        + pb.doubles(6, limits)
        + pb.doubles(7, counts),
    )


def string_tensor(text: str) -> bytes:
    """The field `tensor` with one string, shape (1,)."""
    dt_string = 7
    shape = pb.data(2, pb.integer(1, 1))
    return pb.data(8, pb.integer(1, dt_string) + pb.data(2, shape) + pb.text(8, text))


def plugin(name: str, content: bytes = b"") -> bytes:
    """The field `metadata`: which part of TensorBoard shows the value."""
    return pb.data(9, pb.data(1, pb.text(1, name) + pb.data(2, content)))


# --- hyperparameters ---------------------------------------------------------

Hyperparameters = Mapping[str, "float | str | bool"]


def experiment(hparams: Hyperparameters, metrics: Mapping[str, float]) -> bytes:
    """Which hyperparameters and metrics there are."""
    body = b""
    for name, value in hparams.items():
        kind = 2 if isinstance(value, bool) else 1 if isinstance(value, str) else 3
        body += pb.data(4, pb.text(1, name) + pb.integer(4, kind))
    for tag in metrics:
        body += pb.data(5, pb.data(1, pb.text(2, tag)))
    return _session("experiment", pb.data(2, body))


def session_start(hparams: Hyperparameters) -> bytes:
    """The values of a run's hyperparameters."""
    body = b""
    for name, value in hparams.items():
        if isinstance(value, bool):
            entry = pb.boolean(4, value)
        elif isinstance(value, str):
            entry = pb.text(3, value)
        else:
            entry = pb.double(2, value)
        body += pb.data(1, pb.text(1, name) + pb.data(2, entry))
    return _session("session_start_info", pb.data(3, body))


def session_end() -> bytes:
    """The run has ended well."""
    success = 1
    return _session("session_end_info", pb.data(4, pb.integer(1, success)))


def _session(tag: str, content: bytes) -> bytes:
    return one_of(f"_hparams_/{tag}", plugin("hparams", content))
