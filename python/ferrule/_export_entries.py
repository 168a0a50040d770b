"""What `export` was given: entry points, their inputs, and the sizes that vary."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _ferrule
from ._dims import Dim
from ._ferrule import Tensor
from ._program import Arguments, Parameter
from ._structure import Nested, nested
from ._tree import Structure

if TYPE_CHECKING:
    pass


class Input(NamedTuple):
    name: str
    example: Tensor
    dims: list[Dim | None]  # one a dimension; None: fixed

    def at(self, choice: Mapping[str, int]) -> tuple[int, ...]:
        """Shape with the free sizes chosen."""
        return tuple(
            size if dim is None else dim.at(choice)
            for size, dim in zip(self.example.shape, self.dims, strict=True)
        )

    def resized(self, choice: Mapping[str, int]) -> Tensor:
        """The example, repeated or cut along its free dimensions."""
        t = self.example
        for axis, (dim, size) in enumerate(
            zip(self.dims, self.at(choice), strict=True)
        ):
            if dim is None or t.shape[axis] == size:
                continue
            if t.shape[axis] == 0:
                raise ValueError(
                    f"[export] example '{self.name}' has size 0 in dimension "
                    f"{axis}; give one with at least one element"
                )
            copies = -(-size // t.shape[axis])
            if copies > 1:
                t = _ferrule.ops.cat([t] * copies, axis)
            t = _ferrule.ops.slice(t, axis, 0, size)
        return t.contiguous()


class EntryPoint:
    """An entry point in the making."""

    def __init__(
        self,
        key: str,
        function: Callable[..., Any],
        arguments: Arguments,
        inputs: list[Input],
        shapes: _Shapes,
    ) -> None:
        self.key, self.function, self.shapes = key, function, shapes
        self.arguments, self.inputs = arguments, inputs
        self.samples: list[list[Tensor]] = []  # the inputs of further arguments
        self.result: Nested | None = None

    def add_samples(self, samples: Sequence[Sequence[Any]]) -> None:
        positional = [p for p in self.arguments.parameters if not p.keyword]
        for sample in samples:
            if len(sample) != len(positional):
                raise ValueError(
                    f"[export] a sample has {len(sample)} inputs, the model takes "
                    f"{len(positional)}"
                )
            self.samples.append(self.arguments.tensors(self.key, sample, {}))

    @property
    def module(self) -> Any:
        """The module whose method it is; None of a function."""
        for candidate in (self.function, getattr(self.function, "__self__", None)):
            if hasattr(candidate, "named_parameters"):
                return candidate
        return None

    def call(self, tensors: Sequence[Tensor]) -> Any:
        return self.arguments.call(self.function, tensors)

    def types(self) -> list[type]:
        every = [p.nested for p in self.arguments.parameters]
        every += [self.result] if self.result is not None else []
        return [t for n in every for t in n.types()]


def describe_entries(
    model: Any, args: Any, kwargs: Mapping[str, Any] | None, dynamic_shapes: Any
) -> dict[str, EntryPoint]:
    if not isinstance(model, Mapping):
        return {
            "forward": _describe_entry(
                "forward", model, args, kwargs or {}, dynamic_shapes
            )
        }
    by_name = {"args": args, "kwargs": kwargs, "dynamic_shapes": dynamic_shapes}
    for what, given in by_name.items():
        if given is not None and not (
            isinstance(given, Mapping) and {*given} <= {*model}
        ):
            raise ValueError(
                f"[export] of several entry points {what} must be a dict by their "
                f"names: {', '.join(model)}"
            )
    if not model or "train_step" in model:
        raise ValueError(
            "[export] entry points need names, and 'train_step' is what train= writes"
        )
    return {
        key: _describe_entry(
            key,
            function,
            args.get(key, ()),
            (kwargs or {}).get(key, {}),
            (dynamic_shapes or {}).get(key),
        )
        for key, function in model.items()
    }


def _describe_entry(
    key: str,
    function: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    dynamic_shapes: Any,
) -> EntryPoint:
    if isinstance(args, Tensor) or not isinstance(args, (tuple, list)):
        raise ValueError("[export] args must be a tuple of tensors: write (x,)")
    names = _argument_names(function, len(args))
    given = [(n, a, False) for n, a in zip(names, args, strict=True)]
    given += [(n, a, True) for n, a in kwargs.items()]
    parameters: list[Parameter] = []
    tensors: list[Tensor] = []
    for i, (name, value, keyword) in enumerate(given):
        what = f"[export] argument {name if keyword else i}"
        found, structure = nested(value, what)
        tensors += found
        parameters.append(Parameter(name, keyword, structure))
    arguments = Arguments(parameters)
    check_names(f"inputs of '{key}'", arguments.names())
    shapes = _Shapes(dynamic_shapes)
    specs = [s for p in parameters for s in shapes.of(p.name, p.nested)]
    inputs = [
        Input(name, tensor, _dims_of(spec, name, tensor))
        for name, tensor, spec in zip(arguments.names(), tensors, specs, strict=True)
    ]
    return EntryPoint(key, function, arguments, inputs, shapes)


def _argument_names(model: Any, count: int) -> list[str]:
    function = getattr(model, "forward", model)
    names = []
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        parameters = []
    for p in parameters:
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append("x" if p.name == "input" else p.name)
    return [names[i] if i < len(names) else f"x{i}" for i in range(count)]


def check_names(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"[export] two {what} would be called '{name}'; rename a key or a "
                "parameter"
            )


class _Shapes:
    """`dynamic_shapes` as the user gave it, and what was asked of it."""

    def __init__(self, spec: Any) -> None:
        self.spec = spec
        self.asked: list[str] = []

    def of(self, name: str, nested: Nested) -> list[Any]:
        """What it says of each tensor of the next parameter."""
        spec = None
        if self.spec is not None and not isinstance(self.spec, (Mapping, tuple, list)):
            raise ValueError(
                "[export] dynamic_shapes is a dict by parameter, or a tuple, got a "
                f"{type(self.spec).__name__}"
            )
        if isinstance(self.spec, Mapping):
            spec = self.spec.get(name)
        elif self.spec is not None and len(self.asked) < len(self.spec):
            spec = self.spec[len(self.asked)]
        self.asked.append(name)
        leaves = self._leaves(spec, nested.structure, name)
        return [s for s, c in zip(leaves, nested.constants, strict=True) if c is ...]

    def _leaves(self, spec: Any, structure: Structure, name: str) -> list[Any]:
        if isinstance(self.spec, Mapping) and name not in self.asked:
            spec = self.spec.get(name, spec)
        if structure.kind is None:
            return [spec]
        fields: tuple[str, ...] = getattr(structure.kind, "_fields", ())
        keys: Sequence[Any] = structure.keys or fields or range(len(structure.children))
        part: dict[Any, Any]
        if spec is None:
            part = {}
        elif isinstance(spec, Mapping):
            part = dict(spec)
        elif isinstance(spec, (tuple, list)) and len(spec) <= len(keys):
            part = dict(zip(keys, spec, strict=False))
        elif is_dataclass(spec):
            part = {key: getattr(spec, key, None) for key in keys}
        else:
            part = {"": spec}
        if unknown := [k for k in part if k not in keys]:
            raise ValueError(
                f"[export] dynamic_shapes of '{name}' names {unknown[0]!r}; it has "
                + ", ".join(repr(k) for k in keys)
            )
        return [
            leaf
            for key, child in zip(keys, structure.children, strict=True)
            for leaf in self._leaves(part.get(key), child, f"{name}.{key}")
        ]

    def check_used(self) -> None:
        """Raises ValueError where it says something of what is not there."""
        if isinstance(self.spec, Mapping):
            roots = tuple(f"{name}." for name in self.asked)
            for name in self.spec:
                if name not in self.asked and not str(name).startswith(roots):
                    raise ValueError(
                        f"[export] dynamic_shapes names '{name}'; the inputs are "
                        + ", ".join(self.asked)
                    )
        elif self.spec is not None and len(self.spec) > len(self.asked):
            raise ValueError(
                f"[export] dynamic_shapes has {len(self.spec)} entries for the inputs "
                + ", ".join(self.asked)
            )


def _dims_of(spec: Any, name: str, arg: Tensor) -> list[Dim | None]:
    if isinstance(spec, (tuple, list)):
        spec = {i: dim for i, dim in enumerate(spec) if dim is not None}
    dims: list[Dim | None] = [None] * arg.ndim
    for axis, given in (spec or {}).items():
        if type(axis) is not int or not -arg.ndim <= axis < arg.ndim:
            raise ValueError(
                f"[export] dynamic_shapes names dimension {axis} of '{name}', "
                f"whose shape is {arg.shape}"
            )
        dim = Dim(given) if isinstance(given, str) else given
        if not isinstance(dim, Dim):
            raise ValueError(
                f"[export] dynamic_shapes of '{name}': dimension {axis} is a "
                f"{type(dim).__name__}; a fe.Dim or a name is needed"
            )
        size = arg.shape[axis]
        if not dim.fits(size):
            raise ValueError(
                f"[export] size {size} of example '{name}' does not fit {dim}"
            )
        dims[axis] = dim
    return dims


class Targets(NamedTuple):
    parameters: list[Parameter]
    inputs: list[Input]


def describe_targets(targets: Sequence[Any], entry: EntryPoint) -> Targets:
    if not targets:
        raise ValueError(
            "[export] train needs targets=(example target, ...) for the loss"
        )
    described = Targets([], [])
    lead = entry.inputs[0] if entry.inputs else None
    taken = {p.name for p in entry.arguments.parameters}
    names = (f"target{i}" if i else "target" for i in itertools.count())
    free = (name for name in names if name not in taken)
    for target, name in zip(targets, free, strict=False):
        tensors, structure = nested(target, f"[export] {name}")
        described.parameters.append(Parameter(name, False, structure))
        specs = entry.shapes.of(name, structure)
        for label, t, spec in zip(structure.names(name), tensors, specs, strict=True):
            dims = _dims_of(spec, label, t)
            # A batch of inputs has a batch of targets.
            if (
                lead is not None
                and t.ndim
                and lead.example.ndim
                and dims[0] is None
                and t.shape[0] == lead.example.shape[0]
            ):
                dims[0] = lead.dims[0]
            described.inputs.append(Input(label, t, dims))
    return described


def declare_sizes(
    builder: _ferrule.ProgramBuilder, inputs: Sequence[Input]
) -> dict[str, Dim]:
    """The sizes that vary, by name, in the order in which the file has them."""
    free: dict[str, Dim] = {}
    given: dict[str, Dim] = {}
    for dim in (d for i in inputs for d in i.dims if d is not None):
        base = dim.free
        before = free.setdefault(base.name, base)
        if before != base:
            plain = Dim(base.name)
            if plain not in (before, base):
                raise ValueError(f"[export] two ranges of one size: {before}, {base}")
            free[base.name] = before if base == plain else base
        if dim.base is not None:
            given[dim.name] = dim
    dims = {**free, **given}
    order = list(dims)
    for d in dims.values():
        of = order.index(d.base.name) if d.base is not None else -1
        builder.declare_size(d.name, d.min, d.max, d.multiple, of, d.factor, d.offset)
    return dims


def choices_of(
    dims: Mapping[str, Dim], inputs: Sequence[Input]
) -> list[dict[str, int]]:
    """Sizes to capture at (first) and to check at."""
    columns = {
        name: dim.sizes(_example_size(dim, inputs))
        for name, dim in dims.items()
        if dim.base is None
    }
    count = max((len(c) for c in columns.values()), default=1)
    return [
        {name: column[min(i, len(column) - 1)] for name, column in columns.items()}
        for i in range(min(count, 4))
    ]


def _example_size(dim: Dim, inputs: Sequence[Input]) -> int:
    sizes = {
        d.base_size(i.example.shape[axis])
        for i in inputs
        for axis, d in enumerate(i.dims)
        if d is not None and d.free.name == dim.name
    }
    if len(sizes) > 1:
        raise ValueError(
            f"[export] the examples disagree on size '{dim.name}': {sorted(sizes)}"
        )
    return sizes.pop()


def modules_of(entries: Mapping[str, EntryPoint]) -> dict[str, Any]:
    """Modules whose state the file holds, by the beginning of its names."""
    found: dict[str, Any] = {}
    for key, entry in entries.items():
        if entry.module is not None and all(
            entry.module is not m for m in found.values()
        ):
            found[key] = entry.module
    return {"model": next(iter(found.values()))} if len(found) == 1 else found
