"""Export: a model, and how to train it, as one `.fer` file that C++ runs.

>>> import ferrule as fe
>>> model = fe.nn.Sequential(fe.nn.Linear(4, 8), fe.nn.ReLU(), fe.nn.Linear(8, 2))
>>> program = fe.export(model, (fe.rand(3, 4),), dynamic_shapes=({0: "batch"},))
>>> program(fe.rand(5, 4)).shape
(5, 2)
>>> program.save("model.fer")  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from . import _ferrule
from ._dims import Dim
from ._export_capture import (
    State,
    capture_entry,
    capture_train_step,
    checkpointed,
    in_mode,
    rates_of,
)
from ._export_check import Case, add_samples, check_case
from ._export_entries import (
    EntryPoint,
    Input,
    Targets,
    choices_of,
    declare_sizes,
    describe_entries,
    describe_targets,
    modules_of,
)
from ._ferrule import FerruleError, Tensor, no_grad
from ._program import Arguments, Program, load_program

if TYPE_CHECKING:
    from .nn import Module
    from .optim import Optimizer

__all__ = ["Dim", "Program", "export", "load_program", "trace_function"]


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
            `target1`, ..., but for names that the model's have. A first dimension as
            large as the first input's takes over its name.
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
    entries = describe_entries(model, args, kwargs, dynamic_shapes)
    wanted = Targets([], [])
    if train:
        if "forward" not in entries:
            raise ValueError(
                "[export] train needs an entry point called 'forward'; there are "
                + ", ".join(entries)
            )
        wanted = describe_targets(targets, entries["forward"])
    if checkpoint and not train:
        raise ValueError("[export] checkpoint is about the training step: give train")
    if not isinstance(model, Mapping):
        samples = {"forward": samples}
    elif not isinstance(samples or {}, Mapping) or {*(samples or {})} - {*entries}:
        raise ValueError(
            "[export] of several entry points samples must be a dict by their names: "
            + ", ".join(entries)
        )
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
    entries = describe_entries(function, args, kwargs, dynamic_shapes)
    return _write(entries, None, Targets([], []), None, {}, check, training=None)


def _write(
    entries: Mapping[str, EntryPoint],
    train: tuple[Callable[..., Tensor], Optimizer] | None,
    wanted: Targets,
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
    dims = declare_sizes(builder, every)
    choices = choices_of(dims, every)
    for key, value in metadata.items():
        builder.add_metadata(key, value)

    state = State(modules_of(entries), train[1] if train else None)
    written = []
    for entry in entries.values():
        written.append(capture_entry(builder, entry, dims, choices, state, training))
    if train:
        with checkpointed(state.modules, checkpoint):
            capture_train_step(
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
        own, at = declare_sizes(again, every), [dict(choice)]
        if key in entries:
            capture_entry(again, entries[key], own, at, state, training)
        else:
            assert train is not None
            entry = entries["forward"]
            with checkpointed(state.modules, checkpoint):
                capture_train_step(again, entry, wanted, own, at, state, train)
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


# --- checking ---------------------------------------------------------------


def _case_inputs(
    inputs: Sequence[Input],
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


def _sizes_in(inputs: Sequence[Input], tensors: Sequence[Tensor]) -> dict[str, int]:
    """The free sizes that these inputs have."""
    return {
        dim.name: tensor.shape[axis]
        for i, tensor in zip(inputs, tensors, strict=True)
        for axis, dim in enumerate(i.dims)
        if dim is not None and dim.base is None and axis < tensor.ndim
    }


def _eager_case(
    entry: EntryPoint,
    tensors: list[Tensor],
    choice: Mapping[str, int],
    state: State,
    training: bool | None,
    writes: bool,
) -> Case:
    """The outputs; neither the model, its state nor the arguments are changed."""
    with no_grad(), in_mode(state.modules, training=training), state.restored():
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
    entry: EntryPoint,
    wanted: Targets,
    tensors: list[Tensor],
    choice: Mapping[str, int],
    state: State,
    train: tuple[Callable[..., Tensor], Optimizer],
) -> Case:
    """The loss and the state after a step; all is then as it was."""
    loss_function, optimizer = train
    parameters = [p for m in state.modules for p in m.parameters()]
    grads = [p.grad for p in parameters]
    entries = {p: dict(entry) for p, entry in optimizer.state.items()}
    count = len(entry.inputs)
    with in_mode(state.modules, training=True), state.restored():
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
        inputs = tensors + [lr.detach().clone() for lr in rates_of(optimizer).values()]
        return Case("train_step", choice, inputs, [loss.detach().clone()], after)
