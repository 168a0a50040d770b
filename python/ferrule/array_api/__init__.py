"""The functions of the Python array API standard, version 2025.12, on tensors.

Code that is written against the standard runs on Ferrule's tensors, and gradients
are recorded as ever:

>>> import ferrule as fe
>>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
>>> xp = x.__array_namespace__()
>>> xp.sum(xp.astype(x, xp.float64), axis=0, keepdims=True).tolist()
[[4.0, 6.0]]

Names, arguments and dtypes are the standard's: `axis`, `keepdims`, `correction`,
0 as the default correction of `var`. Where Ferrule differs or leaves something out:

- There are no dtypes uint16, uint32 and uint64. Sums of uint8 are int64, as in
  `ferrule.sum`.
- The extension `linalg` is not part of the namespace; `fft` is.
- A tensor has at most 8 dimensions.

Source: https://data-apis.org/array-api/2025.12/
"""

from __future__ import annotations

from .. import (
    bool,
    complex64,
    complex128,
    float32,
    float64,
    inf,
    int8,
    int16,
    int32,
    int64,
    nan,
    pi,
    uint8,
)
from . import (
    _creation,
    _data_types,
    _elementwise,
    _indexing,
    _info,
    _linear_algebra,
    _manipulation,
    _searching,
    _sets,
    _statistics,
    _utility,
    fft,
)
from ._creation import *  # noqa: F403
from ._data_types import *  # noqa: F403
from ._elementwise import *  # noqa: F403
from ._indexing import *  # noqa: F403
from ._info import *  # noqa: F403
from ._linear_algebra import *  # noqa: F403
from ._manipulation import *  # noqa: F403
from ._searching import *  # noqa: F403
from ._sets import *  # noqa: F403
from ._statistics import *  # noqa: F403
from ._utility import *  # noqa: F403

__array_api_version__ = "2025.12"

e = 2.718281828459045
newaxis = None


def _supports(api_version: object) -> object:
    """Whether code for this version of the standard runs: later ones only add."""
    return api_version in ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")


__all__ = [
    "__array_api_version__",
    "bool",
    "complex64",
    "complex128",
    "e",
    "fft",
    "float32",
    "float64",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "nan",
    "newaxis",
    "pi",
    "uint8",
]
for _chapter in (
    _creation,
    _data_types,
    _elementwise,
    _indexing,
    _info,
    _linear_algebra,
    _manipulation,
    _searching,
    _sets,
    _statistics,
    _utility,
):
    __all__ += _chapter.__all__
del _chapter
