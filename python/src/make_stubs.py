"""Writes the type stubs of the compiled module.

    python make_stubs.py MODULE_DIR OUTPUT_DIR

Imports `_ferrule` from MODULE_DIR and writes _ferrule.pyi, and beside it _ops/
with the ops that are functions of `ferrule` (__init__.pyi) and of its modules
(linalg.pyi, for example). What belongs to ops comes from the op table; the rest
is written by hand (stub_texts.py). A name that stands in neither is given the type
Any, so that a stub never lags behind.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

from stub_texts import FUNCTIONS, HEAD, NOTE, TENSOR, TYPES

FUNCTIONAL = Path(__file__).parents[1] / "ferrule/nn/functional.py"

OPERATORS = {
    "Tensor | _Number": "add radd sub rsub mul rmul truediv rtruediv floordiv "
    "rfloordiv mod rmod pow rpow lt le gt ge and rand or ror xor rxor lshift "
    "rlshift rshift rrshift",
    "Tensor": "matmul rmatmul",
}
IN_PLACE = "iadd isub imul itruediv ipow ifloordiv imod iand ior ixor ilshift irshift"
UNARY = "neg pos abs invert"

KINDS = {
    "tensor": "Tensor",
    "tensors": "Sequence[Tensor]",
    "operand": "Tensor | _Number",
    "int": "_int",
    "float": "_float",
    "bool": "_bool",
    "ints": "_int | Sequence[_int]",
    "str": "str",
    "dtype": "DType | type",
    "device": "Device | str",
    "scalar": "_Number",
    "none": "None",
}


def parameter(param: dict[str, Any], required: bool = False) -> str:
    """Such as "dim: _int = -1"; `required`: a later one has no default."""
    kind = KINDS[param["kind"]]
    if param["optional"]:
        kind += " | None"
    text = f"{param['name']}: {kind}"
    if required:
        return text
    if param["has_default"]:
        text += f" = {param['default']!r}"
    elif param["optional"]:
        text += " = None"
    return text


def parameters(params: list[dict[str, Any]]) -> list[str]:
    """All of them, with the star before those that are keywords only."""
    texts = []
    for i, param in enumerate(params):
        if param["keyword_only"] and (i == 0 or not params[i - 1]["keyword_only"]):
            texts.append("*")
        later = any(is_required(p) for p in params[i:] if not p["keyword_only"])
        texts.append(parameter(param, later))
    return texts


def is_required(param: dict[str, Any]) -> bool:
    return not (param["has_default"] or param["optional"])


def forms_of(op: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """The op, or two overloads where some results are not given for dim None."""
    if not op["optional_outputs"]:
        return [(op, result(op))]

    def with_dim(**changed: Any) -> dict[str, Any]:
        params = [
            {**p, **changed} if p["name"] == "dim" else p for p in op["parameters"]
        ]
        return {**op, "parameters": params}

    along = with_dim(optional=False, has_default=False)
    return [(with_dim(kind="none", optional=False), "Tensor"), (along, result(op))]


def result(op: dict[str, Any]) -> str:
    n = len(op["outputs"])
    if n == 1:
        return "Tensor"
    if op["return_type"]:
        return f"return_types.{op['return_type']}"
    return f"tuple[{', '.join(['Tensor'] * n)}]" if n else "None"


def indented_doc(doc: str | None, indent: str) -> list[str]:
    if not doc:
        return []
    lines = doc.strip().replace("\\", "\\\\").replace('"""', "'''").split("\n")
    last = [f'{indent}"""'] if len(lines) > 1 else []
    lines[0] = f'{indent}"""{lines[0]}'
    lines[1:] = [f"{indent}{line}".rstrip() for line in lines[1:]]
    if not last:
        lines[0] += '"""'
    return lines + last


def with_aliases(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every name of an op as an entry of its own."""
    entries = []
    for op in table:
        doc = f"Another name of `{op['name']}`."
        entries += [op, *({**op, "name": name, "doc": doc} for name in op["aliases"])]
    return sorted(entries, key=lambda op: op["name"])


def definition(
    op: dict[str, Any], method: bool, indent: str = "", static: bool = False
) -> list[str]:
    """The op as a function or method, with an overload for each way to call it."""
    forms: list[tuple[list[str], str]] = []
    for variant, returned in forms_of(op):
        forms += [(form, returned) for form in parameter_forms(variant, method)]
    lines: list[str] = []
    for i, (form, returned) in enumerate(forms):
        if len(forms) > 1:
            lines.append(f"{indent}@overload")
        if static:
            lines.append(f"{indent}@staticmethod")
        head = f"{indent}def {op['name']}({', '.join(form)}) -> {returned}:"
        last = i == len(forms) - 1
        doc = indented_doc(op["doc"], indent + "    ") if last else []
        if doc:
            lines += [head, *doc, f"{indent}    ..."]
        else:
            lines.append(head + " ...")
    return lines


def parameter_forms(op: dict[str, Any], method: bool) -> list[list[str]]:
    """The parameters, and again with f(2, 3) for f((2, 3)) where that is possible."""
    params = op["parameters"]
    tail = ["requires_grad: _bool = False"] if op["creates"] else []
    inplace = ["inplace: _bool = False"] if op["takes_inplace"] else []
    if op["random"]:
        tail.append("generator: Generator | None = None")
    first = ["self"] if method else []
    rest = params[1:] if method else params
    plain = first + parameters(rest) + inplace
    if tail and "*" not in plain:
        plain.append("*")
    forms = [plain + tail]
    if op["varargs"]:
        spread: list[str] = list(first)
        for param in rest:
            name = param["name"]
            spread.append(
                f"*{name}: _int" if name == op["varargs"] else parameter(param)
            )
        forms.append(spread + tail)
    return forms


def in_place_definition(op: dict[str, Any]) -> list[str]:
    params = ", ".join(["self: _T", *parameters(op["parameters"][1:])])
    return [f"    def {op['name']}_({params}) -> _T: ..."]


def tensor_class(table: list[dict[str, Any]], tensor: type) -> list[str]:
    lines = TENSOR.rstrip("\n").split("\n")
    for kind, names in OPERATORS.items():
        for name in names.split():
            lines.append(f"    def __{name}__(self, other: {kind}) -> Tensor: ...")
    for name in IN_PLACE.split():
        lines.append(
            f"    def __{name}__(self: _T, other: Tensor | _Number) -> _T: ..."
        )
    for name in UNARY.split():
        lines.append(f"    def __{name}__(self) -> Tensor: ...")
    for name in ("eq", "ne"):
        lines.append(
            f"    def __{name}__(self, other: Any) -> Tensor: ..."
            "  # type: ignore[override]"
        )
    known = set(re.findall(r"^    (?:def )?(\w+)[(:]", "\n".join(lines), re.M))
    for op in table:
        if "method" in op["where"] and op["name"] not in known:
            lines += definition(op, method=True, indent="    ")
            known.add(op["name"])
        if op["has_inplace"]:
            lines += in_place_definition(op)
            known.add(op["name"] + "_")
    for name in sorted(vars(tensor)):
        if not name.startswith("_") and name not in known:
            lines.append(f"    def {name}(self, *args: Any, **kwargs: Any) -> Any: ...")
    return lines


def ops_module(table: list[dict[str, Any]]) -> list[str]:
    lines = ["", "class _Ops:"]
    for op in table:
        lines += definition(op, method=False, indent="    ", static=True)
    return [*lines, "", "ops: _Ops", ""]


def unknown_names(module: Any, text: str) -> list[str]:
    """Whatever the module has and the text has not."""
    known = set(re.findall(r"^(?:class |def )?(\w+)", text, re.M))
    lines = []
    for name, value in sorted(vars(module).items()):
        if name in known or name.startswith("__"):
            continue
        if isinstance(value, type):
            lines += [f"class {name}:"]
            lines += ["    def __init__(self, *args: Any, **kwargs: Any) -> None: ..."]
            lines += ["    def __getattr__(self, name: str) -> Any: ..."]
            lines += ["    def __setattr__(self, name: str, value: Any) -> None: ..."]
            if hasattr(value, "__enter__"):
                lines += ["    def __enter__(self) -> Any: ..."]
                lines += ["    def __exit__(self, *exc_info: object) -> None: ..."]
        elif callable(value):
            lines.append(f"def {name}(*args: Any, **kwargs: Any) -> Any: ...")
        else:
            lines.append(f"{name}: Any")
    return lines


def functions_stub(names: list[str]) -> str:
    """The ops that are functions of `ferrule`."""
    lines = [NOTE, *(f"from .._ferrule import {name} as {name}" for name in names)]
    return "\n".join([*lines, "", f"__all__ = {names!r}", ""])


def module_stubs(table: list[dict[str, Any]], functional: list[str]) -> dict[str, str]:
    """The functions of `ferrule`'s modules that are ops, by module; `functional` are
    those of `nn.functional` that stand in `ops`, too.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for op in table:
        for module, name in op["modules"]:
            doc = op["doc"] if not op["where"] else f"Another name of `{op['name']}`."
            found.setdefault(module, []).append({**op, "name": name, "doc": doc})
    stubs = {}
    for module, ops in found.items():
        up = "." * module.count(".")
        lines = [
            HEAD,
            f"from {up}.._ferrule import Device, DType, Generator, Tensor, _Number",
            f"from {up}.._ferrule import ops as _functions",
            f"from {up}. import return_types",
        ]
        for op in sorted(ops, key=lambda op: op["name"]):
            lines += ["", *definition(op, method=False)]
        names = sorted(op["name"] for op in ops)
        if module == "nn.functional":
            lines += ["", *(f"{n} = _functions.{n.rstrip('_')}" for n in functional)]
            names = sorted({*names, *functional} - written_in_python())
        stubs[module] = "\n".join([*lines, "", f"__all__ = {names!r}", ""])
    return stubs


def written_in_python() -> set[str]:
    """What `nn.functional` defines or imports itself, in place of an op."""
    names: set[str] = set()
    for node in ast.parse(FUNCTIONAL.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name for a in node.names}
        elif isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    return names


def return_types_stub(types: dict[str, Any]) -> str:
    """The named tuples that ops return."""
    lines = [NOTE, "from typing import NamedTuple", "", "from .._ferrule import Tensor"]
    for name, kind in sorted(types.items()):
        lines += ["", f"class {name}(NamedTuple):"]
        lines += [f"    {field}: Tensor" for field in kind._fields]
    return "\n".join([*lines, "", f"__all__ = {sorted(types)!r}", ""])


def main() -> None:
    module_dir, output = sys.argv[1], Path(sys.argv[2])
    sys.path.insert(0, module_dir)
    import _ferrule

    table = with_aliases(_ferrule.op_table())
    functions = [op for op in table if "function" in op["where"]]
    defined: list[str] = []
    for op in functions:
        defined += definition(op, method=False)
    body = "\n".join(
        [
            TYPES,
            *tensor_class(table, _ferrule.Tensor),
            FUNCTIONS,
            *defined,
            *ops_module(table),
        ]
    )
    unknown = unknown_names(_ferrule, body)
    (output / "_ferrule.pyi").write_text(HEAD + "\n".join([body, *unknown, ""]))
    names = [op["name"] for op in functions]
    stubs = {
        "__init__": functions_stub(names),
        "return_types": return_types_stub(_ferrule.named_results()),
        **module_stubs(_ferrule.op_table(), sorted(_ferrule.functional_ops())),
    }
    for module, text in stubs.items():
        path = output / "_ops" / (module.replace(".", "/") + ".pyi")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
