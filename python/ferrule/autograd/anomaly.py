"""Anomaly mode: errors of the backward pass show the call that caused them."""

from __future__ import annotations

from typing import Any

from .._ferrule import anomaly_mode, set_anomaly_mode

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly:
    """Switches anomaly mode of this thread at once.

    As a context manager it switches back at the end of the block.

    Args:
        mode: on or off.
        check_nan: whether a NaN among the gradients is an error.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = anomaly_mode()
        set_anomaly_mode(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: Any) -> None:
        set_anomaly_mode(*self._before)


class detect_anomaly:
    """Context manager that finds the op to blame for an error in `backward`.

    Ops inside remember the Python call stack. An error in the backward pass
    shows that of the op whose gradient failed, and a gradient that is NaN is an
    error. Slow: switch it on to look for a mistake.

    Args:
        check_nan: False: a NaN is no error.

    Example:
        >>> import ferrule as fe
        >>> x = fe.tensor([0.0], requires_grad=True)
        >>> with fe.autograd.detect_anomaly():
        ...     try:
        ...         (fe.sqrt(x) * 0).sum().backward()
        ...     except fe.AutogradError as error:
        ...         print(str(error).splitlines()[0])
        [sqrt] its gradient in 'input' has NaN; found by detect_anomaly
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append(anomaly_mode())
        set_anomaly_mode(True, self._check_nan)

    def __exit__(self, *exc_info: Any) -> None:
        set_anomaly_mode(*self._before.pop())
