"""Capturing entry points and training steps, with a model's tensors as symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from . import _ferrule
from ._dims import Dim
from ._export_entries import EntryPoint, Input, Targets, check_names
from ._ferrule import Tensor, no_grad
from ._guards import Decisions
from ._program import Arguments, Parameter, structure_text
from ._structure import Nested, nested
from ._tree import paths

if TYPE_CHECKING:
    from .nn import Module
    from .optim import Optimizer


class State:
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
def in_mode(modules: Iterable[Any], *, training: bool | None) -> Iterator[None]:
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
    builder: _ferrule.ProgramBuilder, key: str, model: Any, state: State
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
    capture: _ferrule.Capture, inputs: Sequence[Input], choice: Mapping[str, int]
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


def capture_entry(
    builder: _ferrule.ProgramBuilder,
    entry: EntryPoint,
    dims: dict[str, Dim],
    choices: list[dict[str, int]],
    state: State,
    training: bool | None,
) -> int:
    """Returns the number of state tensors that running it changes."""
    key = entry.key
    with (
        no_grad(),
        in_mode(state.modules, training=training),
        _capturing(builder, key, entry.module, state) as capture,
    ):
        with Decisions() as decisions:
            result = entry.call(_symbolic_inputs(capture, entry.inputs, choices[0]))
        outputs, entry.result = _outputs(key, result)
        names = _output_names(entry.result)
        check_names(f"outputs of '{key}'", names)
        structure = structure_text(entry.arguments, entry.result)
        written: int = capture.finish(key, names, outputs, structure)
    _settle(decisions, builder, key, dims, choices)
    return written


def capture_train_step(
    builder: _ferrule.ProgramBuilder,
    entry: EntryPoint,
    wanted: Targets,
    dims: dict[str, Dim],
    choices: list[dict[str, int]],
    state: State,
    train: tuple[Callable[..., Tensor], Optimizer],
) -> None:
    loss_function, optimizer = train
    arguments = Arguments([*entry.arguments.parameters, *wanted.parameters])
    count = len(entry.inputs)
    with (
        in_mode(state.modules, training=True),
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
        check_names("inputs of 'train_step'", arguments.names())
        structure = structure_text(arguments, result)
        capture.finish("train_step", ["loss"], [loss.detach()], structure)
    _settle(decisions, builder, "train_step", dims, choices)


@contextmanager
def checkpointed(model: Iterable[Any], modules: Sequence[Module]) -> Iterator[None]:
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


def rates_of(optimizer: Optimizer) -> dict[str, Tensor]:
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
    for name, lr in rates_of(optimizer).items():
        symbols[id(lr)] = capture.input(name, lr.detach(), [""] * lr.ndim)
        parameters.append(Parameter(name, False, nested(lr, name)[1]))
    try:
        for group in optimizer.param_groups:
            group["lr"] = symbols.get(id(group["lr"]), group["lr"])
        yield parameters
    finally:
        for group, lr in zip(optimizer.param_groups, before, strict=True):
            group["lr"] = lr
