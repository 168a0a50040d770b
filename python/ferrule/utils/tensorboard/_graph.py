"""A captured model as TensorFlow's `GraphDef`, which TensorBoard draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..._export import export
from ..._ferrule import Tensor
from . import _protobuf as pb

__all__ = ["graph_def"]

_DTYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "complex64": 8,
    "complex128": 18,
    "float16": 19,
}


def graph_def(model: Any, args: Sequence[Tensor]) -> bytes:
    """Nodes are named after the module that made them: "features/0/conv2d"."""
    program = export(model, args, check=False)
    values, nodes = program._handle.graph("forward")
    names: dict[int, str] = {}
    taken: set[str] = set()

    def unique(name: str) -> str:
        count, candidate = 0, name
        while candidate in taken:
            count += 1
            candidate = f"{name}_{count}"
        taken.add(candidate)
        return candidate

    body = b""
    for number, (name, role, (dtype, dims)) in enumerate(values):
        if role == "temp":
            continue
        names[number] = unique(name.replace(".", "/"))
        op = "Placeholder" if role == "input" else "Variable"
        body += _node(names[number], op, [], [(dtype, dims)])
    for op, where, inputs, outputs in nodes:
        name = unique(f"{_scope(where)}/{op}")
        found = [names[value] for value in dict.fromkeys(inputs) if value in names]
        body += _node(name, op, found, [values[value][2] for value in outputs])
        for place, value in enumerate(outputs):
            names[value] = f"{name}:{place}" if place else name
    producer = pb.data(4, pb.integer(1, 22))
    return body + producer


def _scope(where: str) -> str:
    """ "features.0 (Conv2d) model.py:12" -> "model/features/0"."""
    path = where.split(" ")[0]
    if path in ("", "model") or "(" not in where:
        return "model"
    return f"model/{path.replace('.', '/')}"


def _node(
    name: str,
    op: str,
    inputs: Sequence[str],
    outputs: Sequence[tuple[str, tuple[Any, ...]]],
) -> bytes:
    shapes = b"".join(pb.data(7, _shape(dims)) for _, dims in outputs)
    body = pb.text(1, name) + pb.text(2, op)
    body += b"".join(pb.text(3, value) for value in inputs)
    body += _attribute("_output_shapes", pb.data(1, shapes))
    if outputs:
        dtype = _DTYPES[outputs[0][0]]
        body += _attribute("dtype", pb.integer(6, dtype))
    return pb.data(1, body)


def _attribute(key: str, value: bytes) -> bytes:
    return pb.data(5, pb.text(1, key) + pb.data(2, value))


def _shape(dims: tuple[Any, ...]) -> bytes:
    sizes = (size if isinstance(size, int) else -1 for size in dims)
    return b"".join(pb.data(2, pb.integer(1, size)) for size in sizes)
