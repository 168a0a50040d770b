"""`save` and `load`: state in safetensors files.

Tensors are stored under dotted names ("model.0.weight"), which any reader of
safetensors can use. All else stands as JSON under "ferrule" in the file's
metadata, with {"$tensor": name} in the places of tensors. Nothing in a file is
executed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from math import isfinite, prod
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np

from . import _ferrule as _fe
from ._ferrule import Device, FormatError, Tensor, from_numpy

__all__ = ["load", "save"]

_KEY = "ferrule"
# dtype: name in the header, name for the writer, NumPy's dtype of the bits.
_DTYPES = {
    _fe.bool: ("BOOL", "bool", "?"),
    _fe.uint8: ("U8", "uint8", "u1"),
    _fe.int8: ("I8", "int8", "i1"),
    _fe.int16: ("I16", "int16", "<i2"),
    _fe.int32: ("I32", "int32", "<i4"),
    _fe.int64: ("I64", "int64", "<i8"),
    _fe.float16: ("F16", "float16", "<f2"),
    _fe.bfloat16: ("BF16", "bfloat16", "<u2"),
    _fe.float32: ("F32", "float32", "<f4"),
    _fe.float64: ("F64", "float64", "<f8"),
}
_NUMPY = {header: numpy for header, _, numpy in _DTYPES.values()}


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Writes tensors and plain data to a safetensors file.

    The file appears, or replaces an older one, only when it is whole. Tensors
    that are the same memory are stored once. A gradient is not stored.

    Args:
        obj: tensors, numbers, strings, booleans, None, and dicts (with keys of
            these types), lists and tuples of them, to any depth.
        path: the file; ".safetensors" is the usual ending.

    Raises:
        TypeError: something else is in it; the message names its place.

    Example:
        >>> import os, tempfile
        >>> import ferrule as fe
        >>> model = fe.nn.Linear(2, 1)
        >>> path = os.path.join(tempfile.mkdtemp(), "state.safetensors")
        >>> fe.save({"model": model.state_dict(), "epoch": 3}, path)
        >>> state = fe.load(path)
        >>> state["epoch"], list(state["model"])
        (3, ['weight', 'bias'])
    """
    from safetensors import TensorSpec, serialize_file

    packer = _Packer()
    skeleton = packer.pack(obj, ())
    arrays = {name: _bits(tensor) for name, tensor in packer.tensors.items()}
    specs = {
        name: TensorSpec(
            dtype=_DTYPES[packer.tensors[name].dtype][1],
            shape=tuple(packer.tensors[name].shape),
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in arrays.items()
    }
    metadata = {_KEY: json.dumps(skeleton, allow_nan=False, separators=(",", ":"))}
    _replace_file(Path(path), lambda part: serialize_file(specs, part, metadata))


def load(path: str | os.PathLike[str], device: Device | str | None = None) -> Any:
    """Reads a file that `save` wrote, or any other safetensors file.

    Args:
        path: the file.
        device: where the tensors go; None: the CPU.

    Returns:
        What was saved; of a file that something else wrote, a dict of names and
        tensors.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: it is no whole safetensors file, or has a dtype that
            Ferrule lacks.
    """
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    if not os.path.isfile(name):
        raise FileNotFoundError(f"[load] there is no file {name}")
    try:
        with safe_open(name, framework="numpy") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise FormatError(
            f"[load] {name} is no whole safetensors file: {error}"
        ) from error
    tensors = _read_tensors(name, device)
    if _KEY not in metadata:
        return tensors
    try:
        return _unpack(json.loads(metadata[_KEY]), tensors)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(
            f"[load] {name} has damaged metadata: {type(error).__name__} {error}"
        ) from error


def _replace_file(path: Path, write: Callable[[str], object]) -> None:
    """Writes a file beside `path` and renames it when it is on the disk."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"[save] there is no folder {path.parent}")
    part = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.part")
    try:
        write(str(part))
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """The new name is on the disk, too, after this."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Packer:
    """Takes the tensors out of a structure and leaves JSON."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def pack(self, obj: Any, path: tuple[str, ...]) -> Any:
        if obj is None or isinstance(obj, (bool, str)):
            return obj
        if isinstance(obj, (int, np.integer)):
            return int(obj)
        if isinstance(obj, (float, np.floating)):
            value = float(obj)
            return value if isfinite(value) else {"$float": repr(value)}
        if isinstance(obj, Tensor):
            return {"$tensor": self._add(obj, path)}
        if isinstance(obj, list):
            return self._members(obj, path)
        if isinstance(obj, tuple):
            return {"$tuple": self._members(obj, path)}
        if isinstance(obj, Mapping):
            return self._pack_mapping(obj, path)
        raise TypeError(
            f"[save] '{'.'.join(path)}' is of type {type(obj).__name__}; only "
            "tensors, numbers, strings, None, and dicts, lists and tuples of them "
            "are saved"
        )

    def _members(self, values: list[Any] | tuple[Any, ...], path: Any) -> list[Any]:
        return [self.pack(v, (*path, str(i))) for i, v in enumerate(values)]

    def _pack_mapping(self, obj: Mapping[Any, Any], path: tuple[str, ...]) -> Any:
        if all(isinstance(k, str) and not k.startswith("$") for k in obj):
            return {k: self.pack(v, (*path, k)) for k, v in obj.items()}
        for key in obj:
            if not (key is None or isinstance(key, (bool, int, float, str))):
                raise TypeError(
                    f"[save] '{'.'.join(path)}' has a key of type "
                    f"{type(key).__name__}; keys must be strings or numbers"
                )
        pairs = [
            [self.pack(k, path), self.pack(v, (*path, str(k)))] for k, v in obj.items()
        ]
        return {"$dict": pairs}

    def _add(self, tensor: Tensor, path: tuple[str, ...]) -> str:
        """Returns the name of the tensor in the file."""
        tensor = tensor.detach()
        memory = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and memory in self._names:
            return self._names[memory]
        name = base = ".".join(path) or "tensor"
        count = 0
        while name in self.tensors or name == "__metadata__":
            count += 1
            name = f"{base}#{count}"
        self.tensors[name] = tensor
        self._names[memory] = name
        return name


def _unpack(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_unpack(v, tensors) for v in node]
    if not isinstance(node, dict):
        return node
    tag = next(iter(node), "")
    if not tag.startswith("$"):
        return {k: _unpack(v, tensors) for k, v in node.items()}
    value = node[tag]
    if tag == "$tensor":
        return tensors[value]
    if tag == "$tuple":
        return tuple(_unpack(v, tensors) for v in value)
    if tag == "$float":
        return float(value)
    if tag == "$dict":
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in value}
    raise ValueError(f"unknown tag {tag}")


def _bits(tensor: Tensor) -> np.ndarray:
    """The elements as an array of the file's layout."""
    if tensor.dtype not in _DTYPES:
        raise TypeError(f"[save] safetensors has no dtype {tensor.dtype}")
    if tensor.dtype == _fe.bfloat16:
        # A bfloat16 is the upper half of the float32 of the same value.
        wide = np.ascontiguousarray(tensor.to(_fe.float32).numpy())
        return (wide.view("<u4") >> 16).astype("<u2")
    return np.ascontiguousarray(tensor.numpy())


def _read_tensors(path: str, device: Device | str | None) -> dict[str, Tensor]:
    """All tensors of a file that the library has found valid, in its order."""
    tensors: dict[str, Tensor] = {}
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        for name, info in header.items():
            kind, shape = info["dtype"], tuple(info["shape"])
            if kind not in _NUMPY:
                raise FormatError(
                    f"[load] {path}: tensor '{name}' has dtype {kind}; known: "
                    + ", ".join(_NUMPY)
                )
            file.seek(8 + size + info["data_offsets"][0])
            array = np.fromfile(file, _NUMPY[kind], prod(shape))
            if kind == "BF16":
                array = (array.astype("<u4") << 16).view("<f4")
            tensor = from_numpy(array.reshape(shape))
            if kind == "BF16":
                tensor = tensor.to(_fe.bfloat16)
            tensors[name] = tensor if device is None else tensor.to(device)
    return tensors
