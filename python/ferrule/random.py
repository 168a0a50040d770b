"""The random state of the process as functions, and random integers.

What draws numbers takes them from `ferrule.default_generator`, or from the
`ferrule.Generator` that it is given as `generator`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ._ferrule import Device, DType, Generator, Tensor, default_generator, ops

__all__ = [
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "randint",
    "randint_like",
    "seed",
    "set_rng_state",
]


def manual_seed(seed: int) -> Generator:
    """Starts the random numbers anew.

    The same seed gives the same numbers, on every device and with any number
    of threads.

    Returns:
        `ferrule.default_generator`.

    Raises:
        InvalidValue: the seed has more than 64 bits.

    Example:
        >>> import ferrule as fe
        >>> a = (fe.manual_seed(0), fe.rand(2))[1]
        >>> b = (fe.manual_seed(0), fe.rand(2))[1]
        >>> a.tolist() == b.tolist()
        True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Starts the random numbers anew with a seed of the system's, and returns it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the random numbers were started with."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the random numbers, a uint8 tensor to be saved with a model."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Takes a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None, enabled: bool = True
) -> Iterator[None]:
    """Context manager: draws inside leave the state outside as it was.

    Args:
        devices: accepted as in PyTorch; there is one state for all devices.
        enabled: False does nothing.

    Example:
        >>> import ferrule as fe
        >>> before = fe.get_rng_state().tolist()
        >>> with fe.random.fork_rng():
        ...     x = fe.rand(2)
        >>> fe.get_rng_state().tolist() == before
        True
    """
    state = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            set_rng_state(state)


def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    dtype: DType | type | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Random integers, all of low .. high - 1 equally likely.

    Called as randint(high, size) or randint(low, high, size).

    Args:
        low: the least.
        high: one above the greatest.
        size: the shape.
        dtype: None is int64.
        device: None is the CPU.
        requires_grad: for a floating-point `dtype`.
        generator: None is `ferrule.default_generator`.

    Returns:
        Shape `size`. Takes one tick of the generator. The probabilities differ
        by less than 2^-64.

    Raises:
        InvalidValue: there is no integer between `low` and `high`.

    Example:
        >>> import ferrule as fe
        >>> fe.amax(fe.randint(3, (100,))).item()
        2
        >>> fe.amin(fe.randint(-5, 3, (100,))).item()
        -5

    Source: D. Lemire, "Fast random integer generation in an interval", ACM
    Trans. Model. Comput. Simul. 29 (2019), over Philox4x32-10.
    """
    if size is None:
        if isinstance(high, (tuple, list)):
            low, high, size = 0, low, high
        else:
            raise TypeError("[randint] missing argument 'size'")
    elif high is None:
        low, high = 0, low
    result = ops.randint(
        low, high, size, dtype=dtype, device=device, generator=generator
    )
    return result.requires_grad_() if requires_grad else result


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: DType | type | None = None,
    device: Device | str | None = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Random integers in the shape, dtype and device of a tensor.

    Called as randint_like(input, high) or randint_like(input, low, high); see
    `randint`.

    Example:
        >>> import ferrule as fe
        >>> fe.randint_like(fe.zeros(2, 3), 10).shape
        (2, 3)
    """
    if high is None:
        low, high = 0, low
    return randint(
        low,
        high,
        input.shape,
        dtype=input.dtype if dtype is None else dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
        generator=generator,
    )
