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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _ferrule
from ._export_check import Case, add_samples, check_case
from ._ferrule import FerruleError, Tensor, no_grad

if TYPE_CHECKING:
    from .nn import Module
    from .optim import Optimizer

__all__ = ["Dim", "Program", "export", "load_program"]

Shapes = Mapping[str, Mapping[int, "Dim | str"]] | Sequence[Mapping[int, "Dim | str"]]


class Dim(NamedTuple):
    """A size that may vary at run time.

    Args:
        name: what the file and its messages call it, e.g. "batch".
        min: smallest size allowed.
        max: largest size allowed.
        multiple: sizes must be a multiple of this.

    Example:
        >>> import ferrule as fe
        >>> fe.Dim("tokens", min=1, max=2048)
        Dim(name='tokens', min=1, max=2048, multiple=1)
    """

    name: str
    min: int = 0
    max: int = 2**40
    multiple: int = 1

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


class _Input(NamedTuple):
    name: str
    example: Tensor
    dims: list[Dim | None]  # one a dimension; None: fixed

    def at(self, choice: Mapping[str, int]) -> tuple[int, ...]:
        """Shape with the free sizes chosen."""
        return tuple(
            size if dim is None else choice[dim.name]
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
    model: Module | Callable[..., Any],
    args: Sequence[Tensor],
    *,
    dynamic_shapes: Shapes | None = None,
    train: tuple[Callable[..., Tensor], Optimizer] | None = None,
    targets: Sequence[Tensor] = (),
    path: str | os.PathLike[str] | None = None,
    metadata: Mapping[str, str] | None = None,
    check: bool = True,
    samples: Sequence[Sequence[Tensor]] = (),
) -> Program:
    """Captures a model, and its training step, as a `Program`.

    The model runs once on symbolic tensors; every op it calls becomes a node.
    "forward" is captured in eval mode, "train_step" in train mode: loss,
    gradients and optimizer as ordinary nodes that read and write the state in
    the file.

    Args:
        model: an `nn.Module`, or any function of tensors.
        args: example inputs; with the results they are stored as a sample by which
            the file can test itself (`ferrule check`), and so are they, repeated or
            cut, at two other sizes where those samples are small (1 MiB).
        dynamic_shapes: which dimensions vary, by input name or by position:
            `{"x": {0: "batch"}}` or `({0: Dim("batch", max=512)},)`. All others
            are fixed to the example's size.
        train: (loss function, optimizer). The loss function is called as
            `loss(model(*args), *targets)`. A learning rate that is a tensor becomes
            the last input of "train_step", `lr` (of further groups `lr1`, ...); a
            number is fixed.
        targets: example targets for the loss. Free dimensions are those whose
            name their `dynamic_shapes` entry gives; inputs called `target`,
            `target1`, ... A first dimension as large as the first input's takes
            over its name.
        path: also write the file there.
        metadata: text to keep in the file, by key.
        check: run the written program against eager at several sizes: "forward",
            and a step of "train_step" with the state that it leaves. Without it
            the file has a sample of "forward" alone, at the example.
        samples: more inputs, real ones, each a tuple like `args`, at which to check
            "forward", and which the file keeps.

    Returns:
        The program, as loaded from what was written.

    Raises:
        ValueError: arguments that do not fit together.
        FerruleError: an op that cannot be captured, named with its module; or
            results that differ between the program and eager: says at which sizes,
            and which node is the first that differs.

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
    inputs = _describe_inputs(model, args, dynamic_shapes)
    wanted = _describe_targets(targets, inputs, dynamic_shapes) if train else []
    builder = _ferrule.ProgramBuilder()
    dims = {d.name: d for i in (*inputs, *wanted) for d in i.dims if d is not None}
    for d in dims.values():
        builder.declare_size(d.name, d.min, d.max, d.multiple)
    choices = _choices(dims, (*inputs, *wanted))
    for key, value in (metadata or {}).items():
        builder.add_metadata(key, value)

    state = _State(model, train[1] if train else None)
    writes = _capture_forward(builder, model, inputs, choices[0], state) > 0
    if train:
        _capture_train_step(
            builder, model, [*inputs, *wanted], len(inputs), choices[0], state, train
        )
    before = _ferrule.rng_state()
    builder.set_rng(*before)
    cases = []
    sizes = choices if check else []
    for args_at, choice in _case_inputs(inputs, sizes, samples):
        _ferrule.set_rng(*before)
        cases.append(_eager_case(model, args_at, choice, state, writes))
    both = [*inputs, *wanted]
    for args_at, choice in _case_inputs(both, sizes, ()) if train and check else ():
        _ferrule.set_rng(*before)
        try:
            step = _eager_step(model, args_at, len(inputs), choice, state, train)
        except (ValueError, FerruleError):
            continue  # a step that eager refuses, such as a batch norm of one image
        cases.append(step)
    add_samples(builder, cases)

    def recapture(key: str, choice: Mapping[str, int]) -> _ferrule.Program:
        again = _ferrule.ProgramBuilder()
        for d in dims.values():
            again.declare_size(d.name, d.min, d.max, d.multiple)
        if key == "forward":
            _capture_forward(again, model, inputs, choice, state)
        else:
            assert train is not None
            _capture_train_step(again, model, both, len(inputs), choice, state, train)
        return again.reload()

    program = Program(builder.reload())
    if check:
        for case in cases:
            check_case(program, case, before, partial(recapture, case.key))
    _ferrule.set_rng(*before)
    if path is not None:
        program.save(path)
    return program


def load_program(
    path: str | os.PathLike[str], *, verify: bool = False, passes: str = ""
) -> Program:
    """Opens a `.fer` file; weights are mapped, nothing in it is executed.

    Args:
        path: the file.
        verify: check every byte of the weights at once, not on first use.
        passes: how graphs are made faster before they run: "" for the usual
            passes, "none", or a list such as "-epilogues" that leaves one out.
            The usual ones keep every bit of the results.

    Raises:
        ValueError: there is no such pass.
        FormatError: the file is damaged or needs a newer version; says which.

    Example:
        >>> import ferrule as fe
        >>> program = fe.export(fe.nn.Linear(4, 2), (fe.rand(1, 4),), path="/tmp/m.fer")
        >>> fe.load_program("/tmp/m.fer")(fe.zeros(1, 4)).shape
        (1, 2)
    """
    return Program(_ferrule.open_program(os.fspath(path), verify), passes)


class Program:
    """A captured model with its state: calls run it as the C++ runtime does.

    Made by `export` and `load_program`. `program(x)` runs "forward";
    `program.run("train_step", x, y)` trains, and the program's state changes.
    """

    def __init__(self, handle: _ferrule.Program, passes: str = "") -> None:
        self._handle = handle
        self._session = _ferrule.Session(handle, passes)
        self._signatures = {s[0]: s for s in handle.signatures()}

    @property
    def signatures(self) -> list[str]:
        """Names of the entry points, such as "forward"."""
        return list(self._signatures)

    def __call__(self, *args: Tensor) -> Any:
        """Runs "forward". A model that returned one tensor returns one here."""
        results = self.run("forward", *args)
        return results[0] if len(results) == 1 else tuple(results)

    def run(self, signature: str, *args: Tensor, **named: Tensor) -> list[Tensor]:
        """Runs an entry point.

        Args:
            signature: its name.
            args, named: the inputs, by position or by name.

        Returns:
            The outputs, in order.

        Raises:
            ValueError: no such entry point, or an input is missing or unknown.
            ShapeError, DTypeError: an input does not fit the declared one.
        """
        if signature not in self._signatures:
            raise ValueError(
                f"[run] no signature '{signature}'; the program has "
                + ", ".join(self._signatures)
            )
        names = [name for name, _ in self._signatures[signature][1]]
        inputs = list(args)
        for name in names[len(args) :]:
            if name not in named:
                raise ValueError(
                    f"[{signature}] input '{name}' is missing; it takes "
                    + ", ".join(names)
                )
            inputs.append(named.pop(name))
        if named or len(inputs) > len(names):
            extra = ", ".join(named) or f"{len(inputs)} inputs"
            raise ValueError(
                f"[{signature}] unexpected {extra}; it takes " + ", ".join(names)
            )
        return self._session.run(signature, [t.detach() for t in inputs])

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of weights, buffers and optimizer state, by name."""
        return {name: self._session.state(name) for name, _ in self._handle.constants()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes over values by name.

        Raises:
            ValueError: a name that the program does not have.
            ShapeError, DTypeError: a value of another shape or dtype.
        """
        for name, value in state.items():
            self._session.set_state(name, value.detach())

    @property
    def rng_state(self) -> tuple[int, int]:
        """(seed, offset) that the next random op draws from."""
        return self._session.rng()

    @rng_state.setter
    def rng_state(self, value: tuple[int, int]) -> None:
        self._session.set_rng(*value)

    @property
    def metadata(self) -> dict[str, str]:
        """Text stored with the model, by key."""
        return dict(self._handle.metadata())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the program with its present state; whole or not at all."""
        self._session.save(os.fspath(path))

    def check(self, tolerance: float = 0.0) -> None:
        """Runs the samples in the file.

        Args:
            tolerance: 0 asks for the same bits. Otherwise floating point numbers may
                differ by so much times the largest of 1 and the sample's numbers, as
                they do on a machine with another instruction set.

        Raises:
            FerruleError: a result differs from the stored one.
        """
        if differs := self._session.check(tolerance):
            raise FerruleError(f"[check] {differs}")

    def __repr__(self) -> str:
        lines = ["Program("]
        for key, inputs, outputs, nodes, updates in self._signatures.values():
            takes = ", ".join(_show(*v) for v in inputs)
            gives = ", ".join(_show(*v) for v in outputs)
            lines.append(f"  {key}({takes}) -> {gives}")
            lines.append(f"    {nodes} nodes, {updates} states written")
        return "\n".join([*lines, ")"])


def _show(name: str, kind: tuple[str, tuple[int | str | None, ...]]) -> str:
    dtype, dims = kind
    shape = ", ".join("?" if d is None else str(d) for d in dims)
    return f"{name}: {dtype}[{shape}]"


# --- what is captured -------------------------------------------------------


def _describe_inputs(
    model: Any, args: Sequence[Tensor], dynamic_shapes: Shapes | None
) -> list[_Input]:
    if isinstance(args, Tensor):
        raise ValueError("[export] args must be a tuple of tensors: write (x,)")
    names = _argument_names(model, len(args))
    for i, arg in enumerate(args):
        if not isinstance(arg, Tensor):
            raise ValueError(
                f"[export] argument {i} is a {type(arg).__name__}, not a Tensor"
            )
    return [
        _Input(name, arg, _dims_of(dynamic_shapes, i, name, arg))
        for i, (name, arg) in enumerate(zip(names, args, strict=True))
    ]


def _argument_names(model: Any, count: int) -> list[str]:
    function = getattr(model, "forward", model)
    names = []
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    for p in parameters:
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append("x" if p.name == "input" else p.name)
    return [names[i] if i < len(names) else f"x{i}" for i in range(count)]


def _dims_of(
    dynamic_shapes: Shapes | None, index: int, name: str, arg: Tensor
) -> list[Dim | None]:
    given: Mapping[int, Dim | str] = {}
    if isinstance(dynamic_shapes, Mapping):
        given = dynamic_shapes.get(name, {})
    elif dynamic_shapes is not None and index < len(dynamic_shapes):
        given = dynamic_shapes[index] or {}
    dims: list[Dim | None] = [None] * arg.ndim
    for axis, dim in given.items():
        if not -arg.ndim <= axis < arg.ndim:
            raise ValueError(
                f"[export] dynamic_shapes names dimension {axis} of '{name}', "
                f"whose shape is {arg.shape}"
            )
        dim = Dim(dim) if isinstance(dim, str) else dim
        size = arg.shape[axis]
        if not dim.min <= size <= dim.max or size % dim.multiple:
            raise ValueError(
                f"[export] size {size} of example '{name}' does not fit {dim}"
            )
        dims[axis] = dim
    return dims


def _describe_targets(
    targets: Sequence[Tensor], inputs: list[_Input], dynamic_shapes: Shapes | None
) -> list[_Input]:
    if not targets:
        raise ValueError(
            "[export] train needs targets=(example target, ...) for the loss"
        )
    described = []
    for i, target in enumerate(targets):
        name = f"target{i}" if i else "target"
        dims = _dims_of(dynamic_shapes, len(inputs) + i, name, target)
        lead = inputs[0]
        # A batch of inputs has a batch of targets.
        if (
            target.ndim
            and lead.example.ndim
            and dims[0] is None
            and target.shape[0] == lead.example.shape[0]
        ):
            dims[0] = lead.dims[0]
        described.append(_Input(name, target, dims))
    return described


def _choices(dims: Mapping[str, Dim], inputs: Sequence[_Input]) -> list[dict[str, int]]:
    """Sizes to capture at (first) and to check at."""
    columns = {
        name: dim.sizes(_example_size(dim, inputs)) for name, dim in dims.items()
    }
    count = max((len(c) for c in columns.values()), default=1)
    return [
        {name: column[min(i, len(column) - 1)] for name, column in columns.items()}
        for i in range(min(count, 4))
    ]


def _example_size(dim: Dim, inputs: Sequence[_Input]) -> int:
    sizes = {
        i.example.shape[axis]
        for i in inputs
        for axis, d in enumerate(i.dims)
        if d is not None and d.name == dim.name
    }
    if len(sizes) > 1:
        raise ValueError(
            f"[export] the examples disagree on size '{dim.name}': {sorted(sizes)}"
        )
    return sizes.pop()


class _State:
    """The tensors that live in the file, by name, as the model holds them."""

    def __init__(self, model: Any, optimizer: Optimizer | None) -> None:
        self.trains = optimizer is not None
        self.tensors: list[tuple[str, Tensor, bool]] = []  # name, tensor, trainable
        names: dict[int, str] = {}
        if hasattr(model, "named_parameters"):
            for name, p in model.named_parameters():
                names[id(p)] = name
                self.tensors.append((f"model.{name}", p, p.requires_grad))
            for name, b in model.named_buffers():
                self.tensors.append((f"model.{name}", b, False))
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

    def copies(self) -> dict[str, Tensor]:
        """The values now, by name."""
        return {name: t.detach().clone() for name, t, _ in self.tensors}

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
def _mode(model: Any, *, training: bool) -> Iterator[None]:
    """Train or eval mode for a while; every module gets its own back."""
    if not hasattr(model, "modules"):
        yield
        return
    before = [(m, m.training) for m in model.modules()]
    model.train(training)
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


def _outputs(key: str, result: Any) -> list[Tensor]:
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    for t in outputs:
        if not isinstance(t, Tensor):
            raise ValueError(
                f"[export] '{key}' returned a {type(t).__name__}; a tensor or a "
                "tuple of tensors can be exported"
            )
    return outputs


def _capture_forward(
    builder: _ferrule.ProgramBuilder,
    model: Any,
    inputs: list[_Input],
    choice: Mapping[str, int],
    state: _State,
) -> int:
    """Returns the number of state tensors that running it changes."""
    with (
        no_grad(),
        _mode(model, training=False),
        _capturing(builder, "forward", model, state) as capture,
    ):
        result = _outputs("forward", model(*_symbolic_inputs(capture, inputs, choice)))
        names = (
            ["output"]
            if len(result) == 1
            else [f"output{i}" for i in range(len(result))]
        )
        return capture.finish("forward", names, result)


def _capture_train_step(
    builder: _ferrule.ProgramBuilder,
    model: Any,
    inputs: list[_Input],
    nargs: int,
    choice: Mapping[str, int],
    state: _State,
    train: tuple[Callable[..., Tensor], Optimizer],
) -> None:
    loss_function, optimizer = train
    with (
        _mode(model, training=True),
        _capturing(builder, "train_step", model, state) as capture,
    ):
        values = _symbolic_inputs(capture, inputs, choice)
        optimizer.zero_grad()
        loss = loss_function(model(*values[:nargs]), *values[nargs:])
        _outputs("train_step", loss)
        loss.backward()
        with _symbolic_rates(capture, optimizer):
            optimizer.step()
        capture.finish("train_step", ["loss"], [loss.detach()])


@contextmanager
def _symbolic_rates(capture: _ferrule.Capture, optimizer: Optimizer) -> Iterator[None]:
    """Learning rates that are tensors are inputs; one that groups share is one."""
    before = [group["lr"] for group in optimizer.param_groups]
    rates: dict[int, Tensor] = {}
    for lr in before:
        if isinstance(lr, Tensor) and id(lr) not in rates:
            name = f"lr{len(rates)}" if rates else "lr"
            rates[id(lr)] = capture.input(name, lr.detach(), [""] * lr.ndim)
    try:
        for group in optimizer.param_groups:
            group["lr"] = rates.get(id(group["lr"]), group["lr"])
        yield
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
    for sample in ([i.example for i in inputs], *samples):
        if len(sample) != len(inputs):
            raise ValueError(
                f"[export] a sample has {len(sample)} inputs, the model takes "
                f"{len(inputs)}"
            )
        sizes = {
            d.name: t.shape[axis]
            for i, t in zip(inputs, sample, strict=True)
            for axis, d in enumerate(i.dims)
            if d is not None and axis < t.ndim
        }
        yield [t.detach().clone().contiguous() for t in sample], sizes
    example = {
        d.name: i.example.shape[axis]
        for i in inputs
        for axis, d in enumerate(i.dims)
        if d is not None
    }
    for choice in choices:
        if any(choice[name] != size for name, size in example.items()):
            yield [i.resized(choice).detach() for i in inputs], choice


def _eager_case(
    model: Any,
    args: list[Tensor],
    choice: Mapping[str, int],
    state: _State,
    writes: bool,
) -> Case:
    """The model's outputs; neither it, its state nor the arguments are changed."""
    with no_grad(), _mode(model, training=False), state.restored():
        outputs = _outputs("forward", model(*(t.clone() for t in args)))
        outputs = [t.detach().clone() for t in outputs]
        return Case("forward", choice, args, outputs, state.copies() if writes else {})


def _eager_step(
    model: Any,
    args: list[Tensor],
    nargs: int,
    choice: Mapping[str, int],
    state: _State,
    train: tuple[Callable[..., Tensor], Optimizer],
) -> Case:
    """The loss and the state after a step; all is then as it was."""
    loss_function, optimizer = train
    parameters = list(model.parameters())
    grads = [p.grad for p in parameters]
    entries = {p: dict(entry) for p, entry in optimizer.state.items()}
    with _mode(model, training=True), state.restored():
        try:
            optimizer.zero_grad()
            values = [t.clone() for t in args]
            loss = loss_function(model(*values[:nargs]), *values[nargs:])
            loss.backward()
            optimizer.step()
            after = state.copies()
        finally:
            for p, grad in zip(parameters, grads, strict=True):
                p.grad = grad
            for p, entry in entries.items():
                optimizer.state[p] = entry
        return Case("train_step", choice, args, [loss.detach().clone()], after)
