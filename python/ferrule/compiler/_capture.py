"""One captured graph: how it is captured, and how it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from .. import _ferrule
from .._ferrule import AutogradError, FerruleError, Tensor, is_grad_enabled, no_grad
from .._number import Number
from .._tree import Structure, flatten, unflatten
from ..autograd import Function, once_differentiable
from ..autograd import grad as gradients_of
from ._links import Reached
from ._options import Options

__all__ = ["Captured", "refuse"]


def refuse(what: str) -> FerruleError:
    """The error for what cannot be compiled."""
    return FerruleError(f"[compile] {what}")


class _Result(NamedTuple):
    """A leaf of what the function returned."""

    kind: str  # "output", "input", "value"
    place: int = -1
    value: Any = None


class Captured:
    """A function as a graph, for arguments of given shapes and all that it reaches.

    Args:
        function: what is captured.
        arguments: leaves of its positional and keyword arguments.
        structure: how they were nested.
        reached: what the function and its arguments reach.
        passes: as of `load_program`.

    Raises:
        FerruleError: the function cannot be captured; says why.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        structure: Structure,
        reached: Reached,
        passes: str,
    ) -> None:
        self.reached = reached
        self._options = Options(reached.optimizers)
        found = [
            (name, t)
            for name, t in reached.tensors.values()
            if t.is_leaf and t.device.type == "cpu"
        ]
        self._names = [name for name, _ in found]
        self._tensors = tuple(t for _, t in found)
        self._states = _ferrule.TensorStates(list(self._tensors))
        given = [a for a in arguments if isinstance(a, Tensor)]
        # A parameter without a gradient gets a stand-in for one, which the graph
        # may drop but not read: then it holds with and without.
        for stand_in in (True, False):
            recording = _Recording(self._names, self._tensors, given, stand_in)
            with self._options.numbered():
                recording.record(function, arguments, structure, reached, self._options)
            graphs = recording.compile(passes)
            read = [
                k
                for k in range(len(recording.with_grad))
                if graphs[0].uses_input(len(given) + k)
            ]
            if all(recording.had_grad[k] for k in read):
                break
        for k, i in enumerate(recording.with_grad):
            if k in read:
                self._states.watch_grad(i)
        if not stand_in:
            for i, t in enumerate(self._tensors):
                if t.requires_grad and t.grad is None:
                    self._states.watch_grad(i)
        self._graph = graphs[0]
        self._grad_inputs = [
            (self._tensors[i], k in read) for k, i in enumerate(recording.with_grad)
        ]
        self._grad_changes = recording.grad_changes
        self._written = recording.written
        self._results = recording.results
        self._structure = recording.structure
        self._joint: _Joint | None = None
        if recording.joint is not None:
            self._joint = _Joint(
                graphs[0], graphs[1], recording.joint, self._tensors, recording.count
            )

    # --- running -----------------------------------------------------------

    def numbers(self) -> list[float] | None:
        """The numbers of a run, if the graph holds now; None if it does not."""
        if _ferrule.first_broken(self.reached.links) >= 0:
            return None
        if not self._states.hold(self._tensors):
            return None
        return self._options.values()

    def run(self, given: Sequence[Tensor], numbers: list[float]) -> Any:
        """Runs the graph for the tensors among the arguments."""
        inputs = [*given]
        if self._written:
            self._check_apart(given)
        for t, is_read in self._grad_inputs:
            inputs.append(t.grad if is_read and t.grad is not None else t)
        if self._joint is not None:
            outputs = self._joint.run(inputs, given, numbers)
        else:
            outputs = self._graph.run(inputs, numbers)
        for place, k in self._written:
            with no_grad():
                given[place].copy_(outputs[k])
        for t, k in self._grad_changes:
            t.grad = None if k < 0 else outputs[k]
        leaves = [
            outputs[r.place]
            if r.kind == "output"
            else given[r.place]
            if r.kind == "input"
            else r.value
            for r in self._results
        ]
        return unflatten(self._structure, leaves)

    def _check_apart(self, given: Sequence[Tensor]) -> None:
        for place, _ in self._written:
            others = [*given[:place], *given[place + 1 :], *self._tensors]
            if any(_overlap(given[place], t) for t in others):
                raise refuse(
                    "the function writes into an argument that shares its memory "
                    "with another tensor that it uses; give it a clone()"
                )

    def steps(self) -> list[str]:
        """The kernels that a run calls, in order."""
        graphs = [self._graph, *(self._joint.graphs[1:] if self._joint else ())]
        return [step for graph in graphs for step in graph.steps()]

    def arena_bytes(self) -> int:
        """Memory of a run for what lies between arguments and results."""
        return int(self._graph.arena_bytes())


# --- recording --------------------------------------------------------------


class _Cut(NamedTuple):
    """Where the gradient begins in a graph."""

    nodes: int
    outputs: list[int]  # that have a gradient
    params: list[int]  # tensors and arguments whose gradients are computed
    inputs: list[int]


class _Recording:
    """One run of the function on symbolic tensors."""

    def __init__(
        self,
        names: list[str],
        tensors: tuple[Tensor, ...],
        given: list[Tensor],
        stand_in: bool,
    ) -> None:
        self._names = names
        self._tensors = tensors
        self._given = given
        self._builder = _ferrule.ProgramBuilder()
        trained = [i for i, t in enumerate(tensors) if t.requires_grad]
        if not is_grad_enabled():
            trained = []
        # Tensors whose gradients are inputs, and whether they are there.
        self.with_grad = [i for i in trained if stand_in or tensors[i].grad is not None]
        self.had_grad = [tensors[i].grad is not None for i in self.with_grad]
        self.outputs: list[Tensor] = []  # while recording
        self.count = 0  # of outputs
        self.results: list[_Result] = []
        self.structure = Structure(None, (), ())
        self.grad_changes: list[tuple[Tensor, int]] = []  # -1: to None
        self.written: list[tuple[int, int]] = []  # argument, output
        self.joint: _Cut | None = None

    def record(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        structure: Structure,
        reached: Reached,
        options: Options,
    ) -> None:
        """Captures; errors are those of the function, and what it cannot do."""
        capture = _ferrule.Capture(self._builder, "forward")
        try:
            with self._symbolic(capture), _fresh_autocast_cache():
                inputs = [
                    self._input(capture, f"input{i}", t, t.requires_grad)
                    for i, t in enumerate(self._given)
                ]
                slots = {
                    i: self._input(
                        capture, f"grad.{self._names[i]}", self._tensors[i], False
                    )
                    for i in self.with_grad
                }
                for i, slot in slots.items():
                    self._tensors[i].grad = slot
                rest = iter(inputs)
                args, kwargs = unflatten(
                    structure,
                    [next(rest) if isinstance(a, Tensor) else a for a in arguments],
                )
                returned = function(*args, **kwargs)
                del args, kwargs
                if name := reached.changed() or options.changed():
                    raise refuse(
                        f"the function changes '{name}', which is no tensor, so that "
                        "a compiled call would not; change it outside"
                    )
                self._take_results(returned, inputs)
                del returned
                self._take_gradients(capture, inputs, slots)
                self._take_written(capture, inputs)
                for t in self._tensors:
                    if t.is_leaf and t.grad is not None:
                        t.grad = None
                del slots, inputs
                self._check_reached(capture)
                capture.finish(
                    "forward",
                    [f"output{i}" for i in range(len(self.outputs))],
                    self.outputs,
                )
                self.count = len(self.outputs)
                self.outputs.clear()
        finally:
            capture.abandon()

    def compile(self, passes: str) -> list[_ferrule.CompiledGraph]:
        """The graph; where gradients are wanted, both parts of it."""
        shared, keys = len(self._tensors), ["forward"]
        program = self._builder.program()
        if self.joint is not None:
            forward = self.count - len(self.joint.params + self.joint.inputs)
            program = self._builder.cut_in_two(
                self.joint.nodes, forward, len(self.joint.outputs)
            )
            keys.append("backward")
        return [_ferrule.CompiledGraph(program, key, shared, passes) for key in keys]

    @contextmanager
    def _symbolic(self, capture: _ferrule.Capture) -> Iterator[None]:
        """The tensor objects that were reached stand for values of the graph."""
        originals = [_ferrule.share(t) for t in self._tensors]
        try:
            for name, t, original in zip(
                self._names, self._tensors, originals, strict=True
            ):
                symbolic = capture.lift_shared(name, original)
                if original.requires_grad:
                    _ferrule.copy_hooks(original, symbolic)
                t._replace(symbolic)
            yield
        finally:
            for t, original in zip(self._tensors, originals, strict=True):
                t._replace(original)

    @staticmethod
    def _input(
        capture: _ferrule.Capture, name: str, like: Tensor, requires_grad: bool
    ) -> Tensor:
        t: Tensor = capture.input(name, like, [])
        if requires_grad and is_grad_enabled():
            t.requires_grad_()
        return t

    def _output(self, t: Tensor) -> int:
        self.outputs.append(t)
        return len(self.outputs) - 1

    def _take_results(self, returned: Any, inputs: list[Tensor]) -> None:
        leaves, self.structure = flatten(returned)
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                if isinstance(leaf, Number):
                    leaf = float(leaf)
                elif type(leaf) is _ferrule.SymInt:
                    leaf = int(leaf)
                self.results.append(_Result("value", value=leaf))
                continue
            place = _index(leaf, inputs)
            if place >= 0:
                self.results.append(_Result("input", place))
            elif any(leaf is t for t in self._tensors):
                self.results.append(_Result("value", value=leaf))
            else:
                place = _index(leaf, self.outputs)
                index = self._output(leaf) if place < 0 else place
                self.results.append(_Result("output", index))

    def _take_gradients(
        self, capture: _ferrule.Capture, inputs: list[Tensor], slots: dict[int, Tensor]
    ) -> None:
        """What became of gradients; or how those of the results are computed."""
        if not is_grad_enabled():
            return
        order = list(slots)
        for i, t in enumerate(self._tensors):
            slot, grad = slots.get(i), t.grad if t.requires_grad else None
            if grad is None:
                if slot is not None:
                    self.grad_changes.append((t, -1))
            elif (
                slot is None
                or not _ferrule.same_tensor(grad, slot)
                or capture.input_changed(len(inputs) + order.index(i))
            ):
                self.grad_changes.append((t, self._output(grad)))
        if any(t.is_leaf and t.grad is not None for t in inputs):
            raise refuse(
                "the function calls backward(), which would set the gradient of an "
                "argument; compute it with autograd.grad and return it"
            )
        wanted = [k for k, t in enumerate(self.outputs) if t.requires_grad]
        used_up = any(_ferrule.is_used_up(self.outputs[k]) for k in wanted)
        if wanted and not self.grad_changes and not used_up:
            self._differentiate(capture, inputs, wanted)
        self.outputs = [t.detach() for t in self.outputs]

    def _differentiate(
        self, capture: _ferrule.Capture, inputs: list[Tensor], wanted: list[int]
    ) -> None:
        leaves = [
            (group, i, t)
            for group, list_ in (("params", self._tensors), ("inputs", inputs))
            for i, t in enumerate(list_)
            if t.requires_grad
        ]
        if not leaves:  # a history from outside: told by _check_reached
            return
        nodes = capture.size()
        outputs = [self.outputs[k] for k in wanted]
        given = [capture.input(f"gradient{k}", self.outputs[k], []) for k in wanted]
        found = gradients_of(outputs, [t for *_, t in leaves], given, allow_unused=True)
        self.joint = _Cut(nodes, wanted, [], [])
        for (group, i, _), grad in zip(leaves, found, strict=True):
            if grad is not None:
                getattr(self.joint, group).append(i)
                self._output(grad)

    def _take_written(self, capture: _ferrule.Capture, inputs: list[Tensor]) -> None:
        written = [i for i in range(len(inputs)) if capture.input_changed(i)]
        if not written:
            return
        if self.joint is not None:
            raise refuse(
                "the function writes into an argument, and its result wants "
                "gradients; call it under fe.no_grad(), or compute a new tensor"
            )
        for i in written:
            self.written.append((i, self._output(inputs[i].detach())))

    def _check_reached(self, capture: _ferrule.Capture) -> None:
        outside = capture.held_outside()
        if outside is not None:
            raise refuse(
                f"the function uses a tensor ({outside.dtype} {tuple(outside.shape)}) "
                "that has a history, or is kept where a later call could not find it; "
                "pass it as an argument, or make it a buffer of a module"
            )


def _index(t: Tensor, among: Sequence[Tensor]) -> int:
    for i, other in enumerate(among):
        if _ferrule.same_tensor(t, other):
            return i
    return -1


def _overlap(a: Tensor, b: Tensor) -> bool:
    if a.device != b.device:
        return False
    first, second = a.data_ptr(), b.data_ptr()
    return first < second + b.nbytes and second < first + a.nbytes


@contextmanager
def _fresh_autocast_cache() -> Iterator[None]:
    """What was cast outside is not used, and what is cast here not outside."""
    _ferrule.clear_autocast_cache()
    try:
        yield
    finally:
        _ferrule.clear_autocast_cache()


# --- gradients of results ---------------------------------------------------


class _Joint:
    """The graphs of results and of their gradients, as one recorded op."""

    def __init__(
        self,
        forward: _ferrule.CompiledGraph,
        backward: _ferrule.CompiledGraph,
        cut: _Cut,
        tensors: tuple[Tensor, ...],
        outputs: int,
    ) -> None:
        self.graphs = (forward, backward)
        self._cut = cut
        self._tensors = tensors
        self._params = [tensors[i] for i in cut.params]
        self._results = outputs - len(cut.params) - len(cut.inputs)

    def run(
        self, inputs: list[Tensor], given: Sequence[Tensor], numbers: list[float]
    ) -> tuple[Tensor, ...]:
        leaves = [*self._params, *(given[i] for i in self._cut.inputs)]
        results = _Recorded.apply(self, inputs, numbers, *leaves)
        return results if isinstance(results, tuple) else (results,)

    def forward(
        self, context: Any, inputs: list[Tensor], numbers: list[float]
    ) -> tuple[Tensor, ...]:
        found = self.graphs[0].run(inputs, numbers)
        context.kept = found[self._results :]
        context.numbers = numbers
        context.versions = [p._version for p in self._params]
        results = tuple(found[: self._results])
        context.mark_non_differentiable(
            *(t for k, t in enumerate(results) if k not in self._cut.outputs)
        )
        return results

    def backward(self, context: Any, grads: tuple[Tensor, ...]) -> list[Tensor]:
        if context.versions != [p._version for p in self._params]:
            raise AutogradError(
                "[compile] a parameter was written in place after the compiled "
                "function used it, and before its gradient was computed"
            )
        found: list[Tensor] = self.graphs[1].run(
            [*context.kept, *grads], context.numbers
        )
        return found


class _Recorded(Function):
    @staticmethod
    def forward(context: Any, *args: Any) -> tuple[Tensor, ...]:
        joint, inputs, numbers, *_ = args
        context.joint = joint
        results: tuple[Tensor, ...] = joint.forward(context, inputs, numbers)
        return results

    @staticmethod
    @once_differentiable
    def backward(context: Any, *grads: Tensor) -> tuple[Any, ...]:
        return (None, None, None, *context.joint.backward(context, grads))
