"""Ferrule: train in Python, run and fine-tune the same file from C++.

>>> import ferrule as fe
>>> x = fe.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad.tolist()
[2.0, 4.0]
"""

from __future__ import annotations

from importlib import import_module
from math import inf, nan, pi
from typing import TYPE_CHECKING, Any

from . import _ferrule, autograd, nn, optim, random
from ._dtypes import finfo, iinfo, is_complex, is_floating_point, is_tensor
from ._einsum import einsum
from ._ferrule import (
    AutogradError,
    DeviceError,
    DTypeError,
    FerruleError,
    FerruleWarning,
    FormatError,
    Generator,
    IndexOutOfRange,
    InvalidValue,
    OutOfMemory,
    ShapeError,
    Tensor,
    __version__,
    as_tensor,
    autocast_decrement_nesting,
    autocast_increment_nesting,
    bfloat16,
    bool,
    can_cast,
    clear_autocast_cache,
    complex64,
    complex128,
    enable_grad,
    float16,
    float32,
    float64,
    from_dlpack,
    from_numpy,
    get_autocast_dtype,
    get_num_threads,
    inference_mode,
    int8,
    int16,
    int32,
    int64,
    is_autocast_cache_enabled,
    is_autocast_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    memory_stats,
    no_grad,
    ops,
    promote_types,
    result_type,
    set_autocast_cache_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
    set_grad_enabled,
    set_num_threads,
    set_printoptions,
    tensor,
    uint8,
)
from ._ferrule import Device as device
from ._ferrule import DType as dtype
from ._functions import (
    allclose,
    broadcast_shapes,
    broadcast_tensors,
    cartesian_prod,
    equal,
    max,
    meshgrid,
    min,
    nonzero,
    tensordot,
    trace,
    where,
)
from ._memory_format import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    memory_format,
    preserve_format,
)
from ._more_functions import (
    block_diag,
    combinations,
    gradient,
    histogram,
    lu,
    svd_lowrank,
    unravel_index,
)
from ._parts import (
    as_strided,
    chunk,
    dsplit,
    hsplit,
    split,
    split_with_sizes,
    tensor_split,
    unbind,
    vsplit,
)
from .random import (
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    randint,
    randint_like,
    seed,
    set_rng_state,
)

if TYPE_CHECKING:
    from . import (
        amp,
        array_api,
        compiler,
        datasets,
        fft,
        func,
        linalg,
        models,
        profiler,
        signal,
        special,
        utils,
        vision,
    )
    from ._control_flow import cond, map, scan, while_loop
    from ._export import Dim, Program, export, load_program
    from ._ops import *  # noqa: F403
    from ._progress import progress
    from ._script import script
    from .amp import autocast
    from .compiler import compile
    from .func import vmap
    from .nn._summary import summary
    from .serialization import load, save

Size: type[tuple[Any, ...]] = tuple

# PyTorch's other names of dtypes. Those that Python's builtins have too are
# reached as fe.float, and left out of __all__.
half, double = float16, float64
short, long = int16, int64
cfloat, cdouble = complex64, complex128
float, int = float32, int32

globals().update(_ferrule.op_functions())

# Loaded when first used, so that the import stays quick.
_LAZY = {
    "amp": ("amp", None),
    "array_api": ("array_api", None),
    "autocast": ("amp", "autocast"),
    "compile": ("compiler", "compile"),
    "compiler": ("compiler", None),
    "datasets": ("datasets", None),
    "fft": ("fft", None),
    "func": ("func", None),
    "linalg": ("linalg", None),
    "models": ("models", None),
    "profiler": ("profiler", None),
    "progress": ("_progress", "progress"),
    "signal": ("signal", None),
    "special": ("special", None),
    "utils": ("utils", None),
    "vision": ("vision", None),
    "Dim": ("_export", "Dim"),
    "Program": ("_export", "Program"),
    "cond": ("_control_flow", "cond"),
    "export": ("_export", "export"),
    "load": ("serialization", "load"),
    "load_program": ("_export", "load_program"),
    "map": ("_control_flow", "map"),
    "save": ("serialization", "save"),
    "scan": ("_control_flow", "scan"),
    "script": ("_script", "script"),
    "while_loop": ("_control_flow", "while_loop"),
    "summary": ("nn._summary", "summary"),
    "vmap": ("func", "vmap"),
}


if not TYPE_CHECKING:  # it would hide misspelt names from type checkers

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        where, attribute = _LAZY[name]
        module = import_module(f".{where}", __name__)
        value = module if attribute is None else getattr(module, attribute)
        globals()[name] = value  # also where the submodule took its function's name
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "AutogradError",
    "DTypeError",
    "DeviceError",
    "Dim",
    "FerruleError",
    "FerruleWarning",
    "FormatError",
    "Generator",
    "IndexOutOfRange",
    "InvalidValue",
    "OutOfMemory",
    "Program",
    "ShapeError",
    "Size",
    "Tensor",
    "__version__",
    "allclose",
    "amp",
    "array_api",
    "as_strided",
    "as_tensor",
    "autocast",
    "autocast_decrement_nesting",
    "autocast_increment_nesting",
    "autograd",
    "bfloat16",
    "block_diag",
    "bool",
    "broadcast_shapes",
    "broadcast_tensors",
    "can_cast",
    "cartesian_prod",
    "cdouble",
    "cfloat",
    "channels_last",
    "channels_last_3d",
    "chunk",
    "clear_autocast_cache",
    "combinations",
    "compile",
    "compiler",
    "complex64",
    "complex128",
    "cond",
    "contiguous_format",
    "datasets",
    "default_generator",
    "device",
    "double",
    "dsplit",
    "dtype",
    "einsum",
    "enable_grad",
    "equal",
    "export",
    "fft",
    "finfo",
    "float16",
    "float32",
    "float64",
    "from_dlpack",
    "from_numpy",
    "func",
    "get_autocast_dtype",
    "get_num_threads",
    "get_rng_state",
    "gradient",
    "half",
    "histogram",
    "hsplit",
    "iinfo",
    "inf",
    "inference_mode",
    "initial_seed",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_autocast_cache_enabled",
    "is_autocast_enabled",
    "is_complex",
    "is_floating_point",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "is_tensor",
    "linalg",
    "load",
    "load_program",
    "long",
    "lu",
    "manual_seed",
    "map",
    "max",
    "memory_format",
    "memory_stats",
    "meshgrid",
    "min",
    "models",
    "nan",
    "nn",
    "no_grad",
    "nonzero",
    "ops",
    "optim",
    "pi",
    "preserve_format",
    "profiler",
    "progress",
    "promote_types",
    "randint",
    "randint_like",
    "random",
    "result_type",
    "save",
    "scan",
    "script",
    "seed",
    "set_autocast_cache_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
    "set_grad_enabled",
    "set_num_threads",
    "set_printoptions",
    "set_rng_state",
    "short",
    "signal",
    "special",
    "split",
    "split_with_sizes",
    "summary",
    "svd_lowrank",
    "tensor",
    "tensor_split",
    "tensordot",
    "trace",
    "uint8",
    "unbind",
    "unravel_index",
    "utils",
    "vision",
    "vmap",
    "vsplit",
    "where",
    "while_loop",
]

if TYPE_CHECKING:  # functions that are ops
    from . import _ops

    __all__ += _ops.__all__
