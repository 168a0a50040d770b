"""Initial values of parameters, written in place.

Every function runs without recording gradients, changes its first argument and
returns it. Random ones draw from the generator that `ferrule.manual_seed` sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod, sqrt

import numpy as np

from .._ferrule import (
    ShapeError,
    Tensor,
    float32,
    float64,
    from_numpy,
    no_grad,
    ops,
)

__all__ = [
    "calculate_gain",
    "constant_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


_skipped = ContextVar("_skipped", default=False)


@contextmanager
def skipped() -> Iterator[None]:
    """In the block values are left as they are, for `nn.utils.skip_init`."""
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Returns the factor that keeps the variance through a nonlinearity.

    Args:
        nonlinearity: "linear", "conv2d", "sigmoid", "tanh", "relu",
            "leaky_relu" or "selu".
        param: the negative slope of "leaky_relu" (default 0.01).

    Raises:
        ValueError: another name.

    Source: He et al., "Delving Deep into Rectifiers", 2015, section 2.2; the
    values of tanh (5/3) and selu (3/4) are PyTorch's.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.init.calculate_gain("tanh")
        1.6666666666666667
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return sqrt(2.0 / (1.0 + slope**2))
    gains = {
        "linear": 1.0,
        "conv2d": 1.0,
        "sigmoid": 1.0,
        "tanh": 5.0 / 3.0,
        "relu": sqrt(2.0),
        "selu": 0.75,
    }
    if nonlinearity not in gains:
        names = ", ".join([*gains, "leaky_relu"])
        raise ValueError(f"[calculate_gain] no gain for {nonlinearity!r}; use {names}")
    return gains[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draws from the uniform distribution on [a, b).

    Example:
        >>> import ferrule as fe
        >>> w = fe.nn.init.uniform_(fe.empty((100,)), -1, 1)
        >>> -1 <= w.amin().item() <= w.amax().item() < 1
        True
    """
    with no_grad():
        return tensor if _skipped.get() else tensor.uniform_(a, b)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draws from the normal distribution."""
    with no_grad():
        return tensor if _skipped.get() else tensor.normal_(mean, std)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Sets every element to `val`."""
    with no_grad():
        return tensor if _skipped.get() else tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Sets every element to 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Sets every element to 1."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Sets a matrix to the identity (ones on the diagonal, if not square).

    Raises:
        ShapeError: not two dimensions.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"[eye_] expected a matrix, got shape {tensor.shape}")
    with no_grad():
        return tensor.copy_(from_numpy(np.eye(*tensor.shape, dtype=np.float32)))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Draws from U(-a, a), a = gain * sqrt(6 / (fan_in + fan_out)).

    Raises:
        ShapeError: less than two dimensions.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep
    feedforward neural networks", 2010, equation 16.
    """
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    bound = gain * sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Draws from N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out)).

    Raises:
        ShapeError: less than two dimensions.

    Source: Glorot and Bengio, 2010, equation 12.
    """
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    return normal_(tensor, 0.0, gain * sqrt(2.0 / (fan_in + fan_out)))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Tensor:
    """Draws from U(-b, b), b = gain * sqrt(3 / fan).

    Args:
        tensor: of shape (out, in, ...).
        a: the negative slope, for "leaky_relu".
        mode: "fan_in" keeps the variance forward, "fan_out" backward.
        nonlinearity: what follows the layer; see `calculate_gain`.

    Raises:
        ShapeError: less than two dimensions.
        ValueError: unknown `mode` or `nonlinearity`.

    Source: He et al., "Delving Deep into Rectifiers", 2015, equation 14.

    Example:
        >>> import ferrule as fe
        >>> w = fe.nn.init.kaiming_uniform_(fe.empty((8, 6)), nonlinearity="relu")
        >>> w.abs().amax().item() <= 1.0
        True
    """
    fan = _fan("kaiming_uniform_", tensor, mode)
    bound = calculate_gain(nonlinearity, a) * sqrt(3.0 / fan) if fan else 0.0
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Tensor:
    """Draws from N(0, std^2), std = gain / sqrt(fan); see `kaiming_uniform_`."""
    fan = _fan("kaiming_normal_", tensor, mode)
    std = calculate_gain(nonlinearity, a) / sqrt(fan) if fan else 0.0
    return normal_(tensor, 0.0, std)


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Draws a matrix with orthonormal rows or columns, whichever are fewer.

    All such matrices are equally likely.

    Args:
        tensor: of shape (out, ...), a matrix of `out` rows.
        gain: what the matrix is multiplied by.

    Raises:
        ShapeError: less than two dimensions.

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", 2013; Mezzadri, "How to generate random matrices
    from the classical compact groups", 2007.

    Example:
        >>> import ferrule as fe
        >>> w = fe.nn.init.orthogonal_(fe.empty((3, 5)))
        >>> fe.allclose(w @ w.T, fe.eye(3), atol=1e-5)
        True
    """
    _fans("orthogonal_", tensor)
    if _skipped.get() or tensor.numel() == 0:
        return tensor
    with no_grad():
        rows = tensor.shape[0]
        columns = tensor.numel() // rows
        wide = rows < columns
        drawn = ops.empty(
            (columns, rows) if wide else (rows, columns),
            dtype=float64 if tensor.dtype is float64 else float32,
            device=tensor.device,
        ).normal_()
        q, r = ops.linalg_qr(drawn)
        q = q * r.diagonal().sign()
        return tensor.copy_((q.T if wide else q).reshape(tensor.shape) * gain)


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """Numbers of inputs and outputs that one output and one input see."""
    if tensor.ndim < 2:
        raise ShapeError(
            f"[{name}] expected at least 2 dimensions (out, in, ...), "
            f"got shape {tensor.shape}"
        )
    out, into, *kernel = tensor.shape
    return into * prod(kernel), out * prod(kernel)


def _fan(name: str, tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"[{name}] mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return _fans(name, tensor)[mode == "fan_out"]
