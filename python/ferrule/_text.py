"""Numbers as people read them: durations, bytes, counts; and text tables."""

from __future__ import annotations

__all__ = ["bytes_text", "count_text", "duration_text"]


def duration_text(seconds: float) -> str:
    """Three digits and a unit: "1.23 ms", "45.6 s".

    >>> duration_text(0.00123), duration_text(45.6), duration_text(7.8e-7)
    ('1.23 ms', '45.6 s', '780 ns')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= scale * 0.9995:
            return _three_digits(seconds / scale, unit)
    return _three_digits(seconds / 1e-9, "ns")


def bytes_text(count: float) -> str:
    """In powers of 1024: "1.50 KiB", "-12 B".

    >>> bytes_text(1536), bytes_text(-12), bytes_text(0)
    ('1.50 KiB', '-12 B', '0 B')
    """
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(count) >= scale:
            return _three_digits(count / scale, unit)
    return f"{count:.0f} B"


def count_text(count: float) -> str:
    """In powers of 1000: "1.50 M", "999".

    >>> count_text(1_500_000), count_text(999)
    ('1.50 M', '999')
    """
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(count) >= scale:
            return _three_digits(count / scale, unit)
    return f"{count:.0f}"


def _three_digits(value: float, unit: str) -> str:
    size = abs(value)
    digits = 2 if size < 9.995 else 1 if size < 99.95 else 0
    if unit == "ns":
        digits = 0
    return f"{value:.{digits}f} {unit}"
