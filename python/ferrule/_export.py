"""Export: a model, and how to train it, as one `.fer` file that C++ runs.

>>> import ferrule as fe
>>> model = fe.nn.Sequential(fe.nn.Linear(4, 8), fe.nn.ReLU(), fe.nn.Linear(8, 2))
>>> program = fe.export(model, (fe.rand(3, 4),), dynamic_shapes=({0: "batch"},))
>>> program(fe.rand(5, 4)).shape
(5, 2)
>>> program.save("model.fer")  # doctest: +SKIP
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _ferrule
from ._dims import Dim
from ._export_check import Case, add_samples, check_case
from ._ferrule import FerruleError, Tensor, no_grad
from ._guards import Decisions
from ._program import Arguments, Parameter, Program, load_program, structure_text
from ._structure import Nested, nested
from ._tree import Structure, paths

if TYPE_CHECKING:
    from .nn import Module
    from .optim import Optimizer

__all__ = ["Dim", "Program", "export", "load_program", "trace_function"]


class _Input(NamedTuple):
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


def export(
    model: Module | Callable[..., Any] | Mapping[str, Callable[..., Any]],
    args: Any,
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    train: tuple[Callable[..., Tensor], Optimizer] | None = None,
    targets: Sequence[Any] = (),
    checkpoint: Sequence[Module] = (),
    path: str | os.PathLike[str] | None = None,
    metadata: Mapping[str, str] | None = None,
    check: bool = True,
    samples: Any = (),
) -> Program:
    """Captures a model, and its training step, as a `Program`.

    The model runs once on symbolic tensors; every op it calls becomes a node.
    "forward" is captured in eval mode, "train_step" in train mode: loss,
    gradients and optimizer as ordinary nodes that read and write the state in
    the file.

    Arguments and results are tensors and Python constants (numbers, texts, None) in
    tuples, lists, dicts, named tuples and dataclasses. Inputs are named after the
    parameter and the path in it: "x", "batch.tokens", "state.h.0". Outputs of a dict,
    named tuple or dataclass are named after its entries ("logits"), one tensor is
    "output", those of a tuple or list are "output0", "output1". Constants are part of
    the program.

    Several entry points share parameters and state: `export({"encode": model.encode,
    "decode": model.decode}, {"encode": (x,), "decode": (h,)})`. What one of them
    writes into a buffer the others see.

    Args:
        model: an `nn.Module`, any function of tensors, or a dict of several by the
            name of the entry point. Methods belong to their module.
        args: example arguments, a tuple; with the results they are stored as a sample
            by which the file can test itself (`ferrule check`), and so are they,
            repeated or cut, at two other sizes where those samples are small (1 MiB).
            For several entry points a dict of tuples.
        kwargs: example arguments that are given by name; for several entry points a
            dict of dicts.
        dynamic_shapes: which dimensions vary, by parameter, nested as the arguments
            are, or by the name of an input: `{"x": {0: "batch"}}`,
            `({0: Dim("batch", max=512)},)`, `{"batch": {"tokens": {1: "T"}}}`,
            `{"batch.tokens": {1: "T"}}`. All others are fixed to the example's size. A
            size may be given by another: `{"y": {0: 2 * T}}`. For several entry points
            a dict of these.
        train: (loss function, optimizer). The loss function is called as
            `loss(model(*args, **kwargs), *targets)`. Of several entry points it is
            "forward" that is trained. A learning rate that is a tensor becomes the
            last input of "train_step", `lr` (of further groups `lr1`, ...); a number
            is fixed.
        targets: example targets for the loss. Free dimensions are those whose
            name their `dynamic_shapes` entry gives; inputs called `target`,
            `target1`, ... A first dimension as large as the first input's takes
            over its name.
        checkpoint: modules of the model that "train_step" computes a second time in
            the backward pass, instead of keeping what is in them: less memory, more
            time, the same bits. See `utils.checkpoint`, whose calls in the model are
            in the file, too.
        path: also write the file there.
        metadata: text to keep in the file, by key.
        check: run the written program against eager at several sizes: every entry
            point, and a step of "train_step" with the state that it leaves. Without
            it the file has a sample of each entry point, at the example.
        samples: more arguments, real ones, each a tuple like `args`, at which to check
            the entry point, and which the file keeps. For several entry points a dict
            of such lists.

    Returns:
        The program, as loaded from what was written.

    Raises:
        ValueError: arguments that do not fit together.
        FerruleError: an op that cannot be captured, named with its module; a decision
            of the Python code that is not the same for all sizes, with its line; or
            results that differ between the program and eager: says at which sizes, and
            which node is the first that differs.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Linear(4, 3)
        >>> optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
        >>> program = fe.export(
        ...     model, (fe.rand(2, 4),), dynamic_shapes=({0: "batch"},),
        ...     train=(fe.nn.functional.cross_entropy, optimizer),
        ...     targets=(fe.tensor([0, 2]),))
        >>> loss = program.run("train_step", fe.rand(5, 4), fe.tensor([0, 1, 2, 0, 1]))
    """
    entries = _describe_entries(model, args, kwargs, dynamic_shapes)
    wanted = _Targets([], [])
    if train:
        if "forward" not in entries:
            raise ValueError(
                "[export] train needs an entry point called 'forward'; there are "
                + ", ".join(entries)
            )
        wanted = _describe_targets(targets, entries["forward"])
    if checkpoint and not train:
        raise ValueError("[export] checkpoint is about the training step: give train")
    if not isinstance(model, Mapping):
        samples = {"forward": samples}
    for key, given in dict(samples).items():
        entries[key].add_samples(given)
    return _write(
        entries, train, wanted, path, metadata or {}, check, False, checkpoint
    )


def trace_function(
    function: Callable[..., Any],
    *args: Any,
    dynamic_shapes: Any = None,
    check: bool = True,
    **kwargs: Any,
) -> Program:
    """`fe.trace` of a function, which stays in train or eval mode as it is."""
    entries = _describe_entries(function, args, kwargs, dynamic_shapes)
    return _write(entries, None, _Targets([], []), None, {}, check, training=None)


def _write(
    entries: Mapping[str, _Entry],
    train: tuple[Callable[..., Tensor], Optimizer] | None,
    wanted: _Targets,
    path: str | os.PathLike[str] | None,
    metadata: Mapping[str, str],
    check: bool,
    training: bool | None,
    checkpoint: Sequence[Module] = (),
) -> Program:
    builder = _ferrule.ProgramBuilder()
    for entry in entries.values():
        entry.shapes.check_used()
    every = [i for e in entries.values() for i in e.inputs] + wanted.inputs
    dims = _declare_sizes(builder, every)
    choices = _choices(dims, every)
    for key, value in metadata.items():
        builder.add_metadata(key, value)

    state = _State(_modules(entries), train[1] if train else None)
    written = []
    for entry in entries.values():
        written.append(_capture_entry(builder, entry, dims, choices, state, training))
    if train:
        with _checkpointed(state.modules, checkpoint):
            _capture_train_step(
                builder, entries["forward"], wanted, dims, choices, state, train
            )
    before = _ferrule.rng_state()
    builder.set_rng(*before)
    cases = []
    sizes = choices if check else []
    for entry, count in zip(entries.values(), written, strict=True):
        for tensors, choice in _case_inputs(entry.inputs, sizes, entry.samples):
            _ferrule.set_rng(*before)
            cases.append(
                _eager_case(entry, tensors, choice, state, training, count > 0)
            )
    if train and check:
        inputs = [*entries["forward"].inputs, *wanted.inputs]
        for tensors, choice in _case_inputs(inputs, sizes, ()):
            _ferrule.set_rng(*before)
            try:
                step = _eager_step(
                    entries["forward"], wanted, tensors, choice, state, train
                )
            except (ValueError, FerruleError):
                continue  # one that eager refuses, such as a batch norm of one image
            cases.append(step)
    add_samples(builder, cases)

    def recapture(key: str, choice: Mapping[str, int]) -> _ferrule.Program:
        again = _ferrule.ProgramBuilder()
        own, at = _declare_sizes(again, every), [dict(choice)]
        if key in entries:
            _capture_entry(again, entries[key], own, at, state, training)
        else:
            assert train is not None
            entry = entries["forward"]
            with _checkpointed(state.modules, checkpoint):
                _capture_train_step(again, entry, wanted, own, at, state, train)
        reloaded: _ferrule.Program = again.reload()
        return reloaded

    types = [t for e in entries.values() for t in e.types()]
    program = Program(builder.reload(), "", types)
    if check:
        for case in cases:
            check_case(program, case, before, partial(recapture, case.key))
    _ferrule.set_rng(*before)
    if path is not None:
        program.save(path)
    return program


# --- what is captured -------------------------------------------------------


class _Entry:
    """An entry point in the making."""

    def __init__(
        self,
        key: str,
        function: Callable[..., Any],
        arguments: Arguments,
        inputs: list[_Input],
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


def _describe_entries(
    model: Any, args: Any, kwargs: Mapping[str, Any] | None, dynamic_shapes: Any
) -> dict[str, _Entry]:
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
) -> _Entry:
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
    _check_names(f"inputs of '{key}'", arguments.names())
    shapes = _Shapes(dynamic_shapes)
    specs = [s for p in parameters for s in shapes.of(p.name, p.nested)]
    inputs = [
        _Input(name, tensor, _dims_of(spec, name, tensor))
        for name, tensor, spec in zip(arguments.names(), tensors, specs, strict=True)
    ]
    return _Entry(key, function, arguments, inputs, shapes)


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


def _check_names(what: str, names: Sequence[str]) -> None:
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


class _Targets(NamedTuple):
    parameters: list[Parameter]
    inputs: list[_Input]


def _describe_targets(targets: Sequence[Any], entry: _Entry) -> _Targets:
    if not targets:
        raise ValueError(
            "[export] train needs targets=(example target, ...) for the loss"
        )
    described = _Targets([], [])
    lead = entry.inputs[0] if entry.inputs else None
    for i, target in enumerate(targets):
        name = f"target{i}" if i else "target"
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
            described.inputs.append(_Input(label, t, dims))
    return described


def _declare_sizes(
    builder: _ferrule.ProgramBuilder, inputs: Sequence[_Input]
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


def _choices(dims: Mapping[str, Dim], inputs: Sequence[_Input]) -> list[dict[str, int]]:
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


def _example_size(dim: Dim, inputs: Sequence[_Input]) -> int:
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


def _modules(entries: Mapping[str, _Entry]) -> dict[str, Any]:
    """Modules whose state the file holds, by the beginning of its names."""
    found: dict[str, Any] = {}
    for key, entry in entries.items():
        if entry.module is not None and all(
            entry.module is not m for m in found.values()
        ):
            found[key] = entry.module
    return {"model": next(iter(found.values()))} if len(found) == 1 else found


class _State:
    """The tensors that live in the file, by name, as the model holds them."""

    def __init__(self, modules: Mapping[str, Any], optimizer: Optimizer | None) -> None:
        self.trains = optimizer is not None
        self.modules = list(modules.values())
        self.tensors: list[tuple[str, Tensor, bool]] = []  # name, tensor, trainable
        names: dict[int, str] = {}
        for prefix, module in modules.items():
            for name, p in module.named_parameters():
                if id(p) not in names:
                    names[id(p)] = name
                    self.tensors.append((f"{prefix}.{name}", p, p.requires_grad))
            for name, b in module.named_buffers():
                if id(b) not in names:
                    names[id(b)] = name
                    self.tensors.append((f"{prefix}.{name}", b, False))
        if optimizer is None:
            return
        optimizer.init_state()
        seen = set()
        for param, entry in optimizer.state.items():
            if id(param) not in names:
                raise ValueError(
                    "[export] the optimizer trains a parameter of shape "
                    f"{param.shape} that the model does not have"
                )
            for key, value in entry.items():
                if isinstance(value, Tensor) and id(value) not in seen:
                    seen.add(id(value))
                    name = f"optimizer.{names[id(param)]}.{key}"
                    self.tensors.append((name, value, False))

    def checksums(self) -> dict[str, int]:
        """Of the values now, by name."""
        return {name: _ferrule.checksum(t.detach()) for name, t, _ in self.tensors}

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Takes back what the model writes into its tensors meanwhile."""
        before = [(t, t._version, t.detach().clone()) for _, t, _ in self.tensors]
        try:
            yield
        finally:
            for t, version, value in before:
                if t._version != version:
                    t.detach().copy_(value)

    @contextmanager
    def symbolic(self, capture: _ferrule.Capture) -> Iterator[None]:
        """Lets the model's own tensor objects stand for the file's values."""
        originals = [_ferrule.share(t) for _, t, _ in self.tensors]
        try:
            for (name, t, trainable), original in zip(
                self.tensors, originals, strict=True
            ):
                t._replace(capture.lift(name, original, self.trains, trainable))
            yield
        finally:
            for (_, t, _), original in zip(self.tensors, originals, strict=True):
                t._replace(original)


@contextmanager
def _mode(modules: Iterable[Any], *, training: bool | None) -> Iterator[None]:
    """Train or eval mode for a while; every module gets its own back. None: as is."""
    before = [(m, m.training) for module in modules for m in module.modules()]
    if training is not None:
        for module, _ in before:
            module.training = training
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


@contextmanager
def _capturing(
    builder: _ferrule.ProgramBuilder, key: str, model: Any, state: _State
) -> Iterator[_ferrule.Capture]:
    capture = _ferrule.Capture(builder, key)
    handles = []
    if hasattr(model, "named_modules"):
        # Nodes remember the module that made them.
        path = [""]

        def enter(name: str) -> Callable[..., None]:
            def hook(module: Any, args: Any) -> None:
                path.append(f"{name or 'model'} ({type(module).__name__})")
                capture.where = path[-1]

            return hook

        def leave(module: Any, args: Any, result: Any) -> None:
            path.pop()
            capture.where = path[-1]

        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(enter(name)))
            handles.append(module.register_forward_hook(leave))
    try:
        with state.symbolic(capture):
            yield capture
    finally:
        capture.abandon()
        for handle in handles:
            handle.remove()


def _symbolic_inputs(
    capture: _ferrule.Capture, inputs: Sequence[_Input], choice: Mapping[str, int]
) -> list[Tensor]:
    return [
        capture.input(
            i.name,
            i.resized(choice),
            [d.name if d is not None else "" for d in i.dims],
        )
        for i in inputs
    ]


def _outputs(key: str, result: Any) -> tuple[list[Tensor], Nested]:
    tensors, structure = nested(result, f"[export] what '{key}' returned")
    if not tensors:
        raise ValueError(
            f"[export] '{key}' returned a {type(result).__name__} without a tensor; "
            "tensors, also nested in tuples, lists, dicts, named tuples and "
            "dataclasses, can be exported"
        )
    return tensors, structure


def _output_names(result: Nested) -> list[str]:
    s = result.structure
    listed = s.kind in (tuple, list)
    if s.kind is None or (
        listed and len(s.children) == 1 and s.children[0].kind is None
    ):
        return ["output"]
    if not listed:
        return result.names()
    every = [
        name
        for i, child in enumerate(s.children)
        for name in paths(child, f"output{i}")
    ]
    return [n for n, c in zip(every, result.constants, strict=True) if c is ...]


def _settle(
    decisions: Decisions,
    builder: _ferrule.ProgramBuilder,
    key: str,
    dims: dict[str, Dim],
    choices: list[dict[str, int]],
) -> None:
    """What was decided by sizes must hold for all of them, 0 perhaps apart."""
    for name in decisions.check(builder, key, dims, choices[0]):
        builder.set_smallest(name, 1)
        dims[name] = dims[name].from_one()
        choices[1:] = [c for c in choices[1:] if c[name] > 0]


def _capture_entry(
    builder: _ferrule.ProgramBuilder,
    entry: _Entry,
    dims: dict[str, Dim],
    choices: list[dict[str, int]],
    state: _State,
    training: bool | None,
) -> int:
    """Returns the number of state tensors that running it changes."""
    key = entry.key
    with (
        no_grad(),
        _mode(state.modules, training=training),
        _capturing(builder, key, entry.module, state) as capture,
    ):
        with Decisions() as decisions:
            result = entry.call(_symbolic_inputs(capture, entry.inputs, choices[0]))
        outputs, entry.result = _outputs(key, result)
        names = _output_names(entry.result)
        _check_names(f"outputs of '{key}'", names)
        structure = structure_text(entry.arguments, entry.result)
        written: int = capture.finish(key, names, outputs, structure)
    _settle(decisions, builder, key, dims, choices)
    return written


def _capture_train_step(
    builder: _ferrule.ProgramBuilder,
    entry: _Entry,
    wanted: _Targets,
    dims: dict[str, Dim],
    choices: list[dict[str, int]],
    state: _State,
    train: tuple[Callable[..., Tensor], Optimizer],
) -> None:
    loss_function, optimizer = train
    arguments = Arguments([*entry.arguments.parameters, *wanted.parameters])
    count = len(entry.inputs)
    with (
        _mode(state.modules, training=True),
        _capturing(builder, "train_step", entry.module, state) as capture,
    ):
        inputs = [*entry.inputs, *wanted.inputs]
        with Decisions() as decisions:
            values = _symbolic_inputs(capture, inputs, choices[0])
            optimizer.zero_grad()
            targets, _ = Arguments(wanted.parameters).build(values[count:])
            loss = loss_function(entry.call(values[:count]), *targets)
            _, result = _outputs("train_step", loss)
            loss.backward()
            with _symbolic_rates(capture, optimizer) as rates:
                optimizer.step()
        arguments.parameters += rates
        structure = structure_text(arguments, result)
        capture.finish("train_step", ["loss"], [loss.detach()], structure)
    _settle(decisions, builder, "train_step", dims, choices)


@contextmanager
def _checkpointed(model: Iterable[Any], modules: Sequence[Module]) -> Iterator[None]:
    """Calls of the modules go through `utils.checkpoint`."""
    from .utils.checkpoint import checkpoint

    known = {id(m) for root in model for m in root.modules()}
    for module in modules:
        if id(module) not in known:
            raise ValueError(
                f"[export] checkpoint names a {type(module).__name__} that is not part "
                "of the model"
            )
        for part in module.modules():
            if getattr(part, "running_mean", None) is not None:
                raise ValueError(
                    f"[export] a {type(part).__name__} cannot be under checkpoint: "
                    "computed twice, it would count the batch twice; choose modules "
                    "without running statistics"
                )
    before = [dict(module.__dict__) for module in modules]
    try:
        for module in modules:
            module.__dict__["forward"] = partial(checkpoint, module.forward)
        yield
    finally:
        for module, was in zip(modules, before, strict=True):
            module.__dict__.pop("forward", None)
            if "forward" in was:
                module.__dict__["forward"] = was["forward"]


def _rates(optimizer: Optimizer) -> dict[str, Tensor]:
    """Learning rates that are tensors, by name; one that groups share is one."""
    found: dict[int, Tensor] = {}
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            found.setdefault(id(group["lr"]), group["lr"])
    return {f"lr{i}" if i else "lr": lr for i, lr in enumerate(found.values())}


@contextmanager
def _symbolic_rates(
    capture: _ferrule.Capture, optimizer: Optimizer
) -> Iterator[list[Parameter]]:
    """Learning rates that are tensors are inputs."""
    before = [group["lr"] for group in optimizer.param_groups]
    symbols: dict[int, Tensor] = {}
    parameters: list[Parameter] = []
    for name, lr in _rates(optimizer).items():
        symbols[id(lr)] = capture.input(name, lr.detach(), [""] * lr.ndim)
        parameters.append(Parameter(name, False, nested(lr, name)[1]))
    try:
        for group in optimizer.param_groups:
            group["lr"] = symbols.get(id(group["lr"]), group["lr"])
        yield parameters
    finally:
        for group, lr in zip(optimizer.param_groups, before, strict=True):
            group["lr"] = lr


# --- checking ---------------------------------------------------------------


def _case_inputs(
    inputs: Sequence[_Input],
    choices: Sequence[Mapping[str, int]],
    samples: Sequence[Sequence[Tensor]],
) -> Iterator[tuple[list[Tensor], Mapping[str, int]]]:
    """Inputs to check at, and the free sizes in them: the example first."""
    example = _sizes_in(inputs, [i.example for i in inputs])
    for sample in ([i.example for i in inputs], *samples):
        tensors = [t.detach().clone().contiguous() for t in sample]
        yield tensors, _sizes_in(inputs, sample)
    for choice in choices:
        if any(choice[name] != size for name, size in example.items()):
            yield [i.resized(choice).detach() for i in inputs], choice


def _sizes_in(inputs: Sequence[_Input], tensors: Sequence[Tensor]) -> dict[str, int]:
    """The free sizes that these inputs have."""
    return {
        dim.name: tensor.shape[axis]
        for i, tensor in zip(inputs, tensors, strict=True)
        for axis, dim in enumerate(i.dims)
        if dim is not None and dim.base is None and axis < tensor.ndim
    }


def _eager_case(
    entry: _Entry,
    tensors: list[Tensor],
    choice: Mapping[str, int],
    state: _State,
    training: bool | None,
    writes: bool,
) -> Case:
    """The outputs; neither the model, its state nor the arguments are changed."""
    with no_grad(), _mode(state.modules, training=training), state.restored():
        result = entry.call([t.clone() for t in tensors])
        assert entry.result is not None
        found = entry.result.as_captured(result)
        if found is None:
            raise FerruleError(
                f"[export] '{entry.key}' returns other containers in eager than it did "
                "while it was captured; a decision that depends on values must give "
                "the same ones"
            )
        outputs = [t.detach().clone() for t in found]
        after = state.checksums() if writes else {}
        return Case(entry.key, choice, tensors, outputs, after)


def _eager_step(
    entry: _Entry,
    wanted: _Targets,
    tensors: list[Tensor],
    choice: Mapping[str, int],
    state: _State,
    train: tuple[Callable[..., Tensor], Optimizer],
) -> Case:
    """The loss and the state after a step; all is then as it was."""
    loss_function, optimizer = train
    parameters = [p for m in state.modules for p in m.parameters()]
    grads = [p.grad for p in parameters]
    entries = {p: dict(entry) for p, entry in optimizer.state.items()}
    count = len(entry.inputs)
    with _mode(state.modules, training=True), state.restored():
        try:
            optimizer.zero_grad()
            values = [t.clone() for t in tensors]
            targets, _ = Arguments(wanted.parameters).build(values[count:])
            loss = loss_function(entry.call(values[:count]), *targets)
            loss.backward()
            optimizer.step()
            after = state.checksums()
        finally:
            for p, grad in zip(parameters, grads, strict=True):
                p.grad = grad
            for p, kept in entries.items():
                optimizer.state[p] = kept
        inputs = tensors + [lr.detach().clone() for lr in _rates(optimizer).values()]
        return Case("train_step", choice, inputs, [loss.detach().clone()], after)
