"""Inspection: what the namespace offers."""

from __future__ import annotations

from typing import Any

import ferrule as fe

from ._common import Device

__all__ = ["__array_namespace_info__"]

_SIGNED = (fe.int8, fe.int16, fe.int32, fe.int64)
_UNSIGNED = (fe.uint8,)
_REAL = (fe.float32, fe.float64)
_COMPLEX = (fe.complex64, fe.complex128)

# The standard's kinds; half precision is Ferrule's own, and a real float, too.
KINDS: dict[str, tuple[fe.dtype, ...]] = {
    "bool": (fe.bool,),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED,
    "real floating": (*_REAL, fe.float16, fe.bfloat16),
    "complex floating": _COMPLEX,
}
KINDS["numeric"] = (
    KINDS["integral"] + KINDS["real floating"] + KINDS["complex floating"]
)


def dtypes_of(kind: str) -> tuple[fe.dtype, ...]:
    """The dtypes of a kind, such as "integral".

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in KINDS:
        raise fe.InvalidValue(f"no such kind: {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind]


_STANDARD = (fe.bool, *_SIGNED, *_UNSIGNED, *_REAL, *_COMPLEX)


class _Info:
    """Capabilities, devices and dtypes of the namespace."""

    def capabilities(self) -> dict[str, Any]:
        """What the standard leaves open."""
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": 8,
        }

    def default_device(self) -> fe.device:
        """Where tensors are made unless told otherwise."""
        return fe.device("cpu")

    def default_dtypes(self, *, device: Device = None) -> dict[str, fe.dtype]:
        """The dtypes of Python's numbers, and of indices."""
        return {
            "real floating": fe.float32,
            "complex floating": fe.complex64,
            "integral": fe.int64,
            "indexing": fe.int64,
        }

    def dtypes(
        self, *, device: Device = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, fe.dtype]:
        """The standard's dtypes by name, all or those of a kind."""
        kinds = (kind,) if isinstance(kind, str) else kind
        return {
            str(t): t
            for t in _STANDARD
            if kinds is None or any(t in dtypes_of(k) for k in kinds)
        }

    def devices(self) -> tuple[fe.device, ...]:
        """The devices that tensors can be on."""
        return (fe.device("cpu"),)


def __array_namespace_info__() -> _Info:
    """An object that tells of capabilities, devices and dtypes."""
    return _Info()
