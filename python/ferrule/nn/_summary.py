"""`summary`: shapes, parameters, work and memory of a model's layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from .. import _ferrule
from .._ferrule import Tensor, enable_grad
from .._text import bytes_text, count_text
from ..random import fork_rng

if TYPE_CHECKING:
    from ..profiler import Event
    from ._hooks import RemovableHandle
    from .module import Module

__all__ = ["LayerSummary", "Summary", "summary"]


@dataclass(eq=False)
class LayerSummary:
    """One line of a `Summary`: a module with all that is inside of it."""

    path: str
    """Dotted name from the model; "" is the model itself."""
    kind: str
    """The class."""
    same_as: str | None = None
    """The path of the line that has the figures, if the module stands there too."""
    calls: int = 0
    output: Any = None
    """What the last call returned, with a tensor's shape in place of each tensor."""
    dtype: str = ""
    """Of the first tensor that it returned."""
    parameters: int = 0
    """Elements of all parameters, a shared one counted once."""
    trainable: int = 0
    """Elements of those that require a gradient."""
    macs: int = 0
    """Multiply-accumulate operations of all calls; see `profiler.Event.macs`."""
    memory: int = 0
    """Bytes that all calls left in memory: the outputs, and what gradients need."""

    @property
    def depth(self) -> int:
        """How deep it lies; 0 is the model."""
        return self.path.count(".") + 1 if self.path else 0

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]


@dataclass(eq=False)
class Summary:
    """What `nn.Module.summary` found. `print` shows it as a table."""

    layers: list[LayerSummary]
    """The model, then all modules below it, each before those it contains."""
    inputs: Any
    """What the model was called with, shapes in place of tensors."""
    parameter_bytes: int
    buffer_bytes: int
    peak_memory: int
    """By how many bytes tensors had grown at most while the model ran."""
    _columns: tuple[str, ...] = field(
        default=("layer", "output", "dtype", "parameters", "MACs", "memory"), repr=False
    )

    @property
    def total_params(self) -> int:
        """Elements of all parameters."""
        return self.layers[0].parameters

    @property
    def trainable_params(self) -> int:
        """Elements of the parameters that require a gradient."""
        return self.layers[0].trainable

    @property
    def total_macs(self) -> int:
        """Multiply-accumulate operations of one call of the model."""
        return self.layers[0].macs

    def __getitem__(self, path: str) -> LayerSummary:
        """The line of a path.

        Raises:
            KeyError: there is none.
        """
        for layer in self.layers:
            if layer.path == path:
                return layer
        raise KeyError(f"the model has no module '{path}'")

    def _cells(self, layer: LayerSummary) -> list[str]:
        kind = layer.kind if not layer.name else f"{layer.name} ({layer.kind})"
        label = "  " * layer.depth + kind
        if layer.same_as is not None:
            return [label, f"same as {layer.same_as or 'the model'}", "", "", "", ""]
        if layer.calls > 1:
            label += f" x {layer.calls}"
        count = f"{layer.parameters:,}" if layer.parameters else ""
        if not layer.calls:
            # A container is not called as a rule; what it holds is.
            return [label, "", "", count, "", ""]
        return [
            label,
            _cut(_shape_text(layer.output)),
            layer.dtype,
            count,
            f"{layer.macs:,}" if layer.macs else "",
            bytes_text(layer.memory),
        ]

    def _totals(self) -> list[str]:
        frozen = self.total_params - self.trainable_params
        return [
            f"input: {_shape_text(self.inputs)}",
            f"parameters: {self.total_params:,} ({bytes_text(self.parameter_bytes)})"
            + (f", {frozen:,} of them frozen" if frozen else "")
            + (
                f"; buffers: {bytes_text(self.buffer_bytes)}"
                if self.buffer_bytes
                else ""
            ),
            f"work: {self.total_macs:,} MACs"
            + (f" ({count_text(self.total_macs)})" if self.total_macs >= 1000 else ""),
            f"memory: {bytes_text(self.layers[0].memory)} kept until the backward "
            f"pass, {bytes_text(self.peak_memory)} at most in the forward pass",
        ]

    def __str__(self) -> str:
        lines = [list(self._columns), *map(self._cells, self.layers)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = []
        for line in lines:
            left = [f"{c:<{w}}" for c, w in zip(line[:3], widths, strict=False)]
            right = [f"{c:>{w}}" for c, w in zip(line[3:], widths[3:], strict=True)]
            text.append("  ".join(left + right).rstrip())
        text.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
        return "\n".join([*text, "", *self._totals()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        numbers = ' style="text-align: right"'
        names = ' style="text-align: left; white-space: pre"'

        def row(tag: str, cells: list[str]) -> str:
            return "".join(
                f"<{tag}{names if i < 3 else numbers}>{escape(cell)}</{tag}>"
                for i, cell in enumerate(cells)
            )

        body = "".join(f"<tr>{row('td', self._cells(x))}</tr>" for x in self.layers)
        totals = "<br>".join(map(escape, self._totals()))
        return (
            f"<table><thead><tr>{row('th', list(self._columns))}</tr></thead>"
            f"<tbody>{body}</tbody></table><p>{totals}</p>"
        )


def summary(model: Module, *args: Any, **kwargs: Any) -> Summary:
    """Runs a model and tells, for every module, what it returned and cost.

    The model runs twice, in evaluation mode with gradients recorded; its modes, its
    state and the random numbers are afterwards as before. A line holds the figures of a
    module with all that is inside of it, so that the first one holds the totals.

    Args:
        model: an `nn.Module`.
        args, kwargs: what to call it with.

    Returns:
        A `Summary`; `print` it, or read its `layers`, `total_params`,
        `total_macs`, ... Work is counted exactly from the ops that ran; memory is
        measured, in the blocks that tensors occupy (other threads that make tensors
        meanwhile count, too).

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Sequential(
        ...     fe.nn.Conv2d(1, 8, 3), fe.nn.Flatten(), fe.nn.Linear(288, 10)
        ... )
        >>> found = fe.summary(model, fe.ones((1, 1, 8, 8)))
        >>> found.total_params, found.total_macs
        (2970, 5472)
        >>> found["0"].output
        (1, 8, 6, 6)
        >>> print(found)  # doctest: +SKIP
    """
    paths = {module: path for path, module in model.named_modules()}
    modes = [(module, module.training) for module in paths]
    watch = _Watch()
    handles: list[RemovableHandle] = []
    # The log of a profile that is being recorded serves as well.
    ours = not _ferrule.is_profiling()
    if ours:
        _ferrule.start_profile()
    try:
        model.eval()
        with enable_grad(), fork_rng():
            # Kernels get scratch memory the first time, which stays.
            model(*args, **kwargs)
        for module in paths:
            handles.append(module.register_forward_pre_hook(watch.enter, prepend=True))
            handles.append(module.register_forward_hook(watch.leave, always_call=True))
        with enable_grad(), fork_rng(), watch:
            output = model(*args, **kwargs)
            events = watch.events()
        del output
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
        if ours:
            _ferrule.stop_profile()

    given = [*map(_shapes, args), *map(_shapes, kwargs.values())]
    return Summary(
        layers=_layers(model, paths, watch, events),
        inputs=given[0] if len(given) == 1 else tuple(given),
        parameter_bytes=sum(p.nbytes for p in model.parameters()),
        buffer_bytes=sum(b.nbytes for b in model.buffers()),
        peak_memory=watch.peak(events),
    )


class _Watch:
    """Which part of the log each call of a module is."""

    def __init__(self) -> None:
        # By id of the module: first and last event, growth of memory.
        self.calls: dict[int, list[tuple[int, int, int]]] = {}
        self.outputs: dict[int, Any] = {}
        self.dtypes: dict[int, str] = {}
        self._open: list[tuple[int, int]] = []
        self._span = _ferrule.ProfileSpan("summary")
        self._memory = 0
        self._log_start = 0

    def __enter__(self) -> _Watch:
        self._log_start = _ferrule.profile_size()
        self._memory = _allocated()
        self._span.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._span.__exit__(*exc_info)

    def enter(self, module: Module, args: Any) -> None:
        self._open.append((_ferrule.profile_size(), _allocated()))

    def leave(self, module: Module, args: Any, output: Any) -> None:
        start, memory = self._open.pop()
        key, grown = id(module), _allocated() - memory
        self.calls.setdefault(key, []).append((start, _ferrule.profile_size(), grown))
        self.outputs[key] = _shapes(output)
        self.dtypes[key] = next((t.dtype.name for t in _tensors(output)), "")

    def events(self) -> list[Event]:
        from ..profiler._events import read_log

        return read_log(_ferrule.profile_since(self._log_start))

    def macs(self, module: Module, work: list[int]) -> int:
        """`work` is the sum of the MACs of all events before each."""
        first = self._log_start
        return sum(
            work[end - first] - work[start - first]
            for start, end, _ in self.calls.get(id(module), ())
        )

    def memory(self, module: Module) -> int:
        return sum(grown for _, _, grown in self.calls.get(id(module), ()))

    def peak(self, events: list[Event]) -> int:
        """The growth of memory since the start, at most."""
        level = highest = 0
        for change in _changes(events[0]):
            level += change
            highest = max(highest, level)
        return highest


def _changes(event: Event) -> Iterator[int]:
    """How memory changed during an event, part by part.

    A parent's own change comes last: its result is there before its parts are
    freed, or else the result is a part's.
    """
    for child in event.children:
        yield from _changes(child)
    yield event.self_memory


def _layers(
    model: Module, paths: Mapping[Module, str], watch: _Watch, events: list[Event]
) -> list[LayerSummary]:
    thread = events[0].thread
    work = [0]
    for event in events:
        work.append(work[-1] + (event.macs if event.thread == thread else 0))
    layers: list[LayerSummary] = []
    repeated: str | None = None  # modules below it were shown before, too
    for path, module in model.named_modules(remove_duplicate=False):
        if repeated is not None and path.startswith(repeated):
            continue
        layer = LayerSummary(path, type(module).__name__)
        layers.append(layer)
        if paths[module] != path:
            layer.same_as = paths[module]
            repeated = f"{path}."
            continue
        layer.calls = len(watch.calls.get(id(module), ()))
        layer.output = watch.outputs.get(id(module))
        layer.dtype = watch.dtypes.get(id(module), "")
        for param in module.parameters():
            layer.parameters += param.numel()
            layer.trainable += param.numel() if param.requires_grad else 0
        layer.macs = watch.macs(module, work)
        layer.memory = watch.memory(module)
    return layers


def _allocated() -> int:
    return _ferrule.memory_stats()["allocated"]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _tensors(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from _tensors(member)


def _shapes(value: Any) -> Any:
    """The same structure with shapes in place of tensors."""
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, Mapping):
        return {key: _shapes(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shapes(member) for member in value]
    return value


def _shape_text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_shape_text, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_shape_text(v)}" for k, v in value.items()) + "}"
    return str(value)


def _cut(text: str, width: int = 40) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
