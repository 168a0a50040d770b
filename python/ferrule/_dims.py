"""`Dim`: sizes that are chosen at run time, by name and range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

__all__ = ["LARGEST", "Dim"]

LARGEST = 2**40


@dataclass(frozen=True)
class Dim:
    """A size that may vary at run time.

    `2 * T + 1` of a Dim `T` is the size that is given by it; the runtime refuses inputs
    that do not keep to it.

    Args:
        name: what the file and its messages call it, e.g. "batch".
        min: smallest size allowed.
        max: largest size allowed.
        multiple: sizes must be a multiple of this.

    Raises:
        ValueError: no name, or a range that holds no size.

    Example:
        >>> import ferrule as fe
        >>> T = fe.Dim("tokens", min=1, max=2048)
        >>> T
        Dim(name='tokens', min=1, max=2048, multiple=1)
        >>> 2 * T
        Dim(name='2*tokens', min=2, max=4096, multiple=1)
    """

    name: str
    min: int = 0
    max: int = LARGEST
    multiple: int = 1
    base: Dim | None = field(default=None, repr=False)
    factor: int = field(default=1, repr=False)
    offset: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("[Dim] a dimension needs a name")
        if self.multiple < 1 or not 0 <= self.min <= self.max <= LARGEST:
            raise ValueError(
                f"[Dim] '{self.name}' has the range {self.min}..{self.max} in steps of "
                f"{self.multiple}; sizes are in 0..2**40, and steps are positive"
            )
        if self.max // self.multiple * self.multiple < self.min:
            raise ValueError(
                f"[Dim] '{self.name}': no multiple of {self.multiple} is in "
                f"{self.min}..{self.max}"
            )

    def __mul__(self, factor: int) -> Dim:
        return self._given(self.factor * factor, self.offset * factor)

    __rmul__ = __mul__

    def __add__(self, offset: int) -> Dim:
        return self._given(self.factor, self.offset + offset)

    __radd__ = __add__

    def __sub__(self, offset: int) -> Dim:
        return self._given(self.factor, self.offset - offset)

    def _given(self, factor: int, offset: int) -> Dim:
        base = self.base or self
        if not 1 <= factor <= 2**20 or abs(offset) > LARGEST:
            raise ValueError(
                f"[Dim] {factor}*{base.name} + {offset}: a size that is given by "
                "another is a positive multiple of it, plus a number"
            )
        name = base.name if factor == 1 else f"{factor}*{base.name}"
        if offset:
            name += f"{'+' if offset > 0 else '-'}{abs(offset)}"
        if factor == 1 and not offset:
            return base
        lowest, highest = (
            min(max(factor * n + offset, 0), LARGEST) for n in (base.min, base.max)
        )
        return Dim(name, lowest, highest, 1, base, factor, offset)

    @property
    def free(self) -> Dim:
        """The dimension that this one is given by, or itself."""
        return self.base or self

    def base_size(self, size: int) -> int:
        """Size of `free` where this one is `size`."""
        return (size - self.offset) // self.factor

    def fits(self, size: int) -> bool:
        """Is it one of the sizes allowed?"""
        if self.base is not None and not self.base.fits(self.base_size(size)):
            return False
        exact = (size - self.offset) % self.factor == 0
        return exact and self.min <= size <= self.max and size % self.multiple == 0

    def at(self, choice: Mapping[str, int]) -> int:
        """The size where free dimensions have the sizes of `choice`."""
        return self.factor * choice[self.free.name] + self.offset

    def from_one(self) -> Dim:
        """The same without size 0."""
        return replace(self, min=max(self.min, 1))

    def sizes(self, example: int) -> list[int]:
        """Sizes to capture and to check at: at least 2 first, then others."""
        candidates = [example, 5, 3, 2, 7, 1, self.min]
        ok = [
            n - n % self.multiple if n % self.multiple == 0 else n * self.multiple
            for n in candidates
        ]
        ok = [n for n in dict.fromkeys(ok) if self.min <= n <= self.max]
        large = [n for n in ok if n >= 2]
        return (large + [n for n in ok if n < 2]) or [example]
