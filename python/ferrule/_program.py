"""`Program`: a captured model with its state, as the C++ runtime runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from . import _ferrule
from ._ferrule import FerruleError, FormatError, Tensor
from ._graph import Graph
from ._structure import Nested

__all__ = ["Arguments", "Entry", "Parameter", "Program", "load_program"]


class Parameter(NamedTuple):
    """A parameter of an entry point."""

    name: str
    keyword: bool  # given by name only
    nested: Nested

    @property
    def required(self) -> bool:
        """Does it hold a tensor? Constants need not be given."""
        return ... in self.nested.constants


class Arguments:
    """What an entry point takes: tensors and constants by parameter."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = list(parameters)

    def names(self) -> list[str]:
        """Of the tensors, in order: those of the file's inputs."""
        return [n for p in self.parameters for n in p.nested.names(p.name)]

    def build(self, tensors: Sequence[Tensor]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments by position and by name with these tensors in their places."""
        rest = list(tensors)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for p in self.parameters:
            count = p.nested.constants.count(...)
            value = p.nested.build(rest[:count])
            del rest[:count]
            if p.keyword:
                kwargs[p.name] = value
            else:
                args.append(value)
        return args, kwargs

    def call(self, function: Any, tensors: Sequence[Tensor]) -> Any:
        args, kwargs = self.build(tensors)
        return function(*args, **kwargs)

    def tensors(
        self, key: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> list[Tensor]:
        """The inputs of the file that a call gives, in order."""
        positions = iter(args)
        named = dict(kwargs)
        found: list[Tensor] = []
        missing = object()
        takes = ", ".join(p.name for p in self.parameters)
        for p in self.parameters:
            value = missing if p.keyword else next(positions, missing)
            if value is missing:
                value = named.pop(p.name, missing)
            if value is not missing:
                found += p.nested.tensors(value, f"[{key}] {p.name}")
            elif p.required:
                raise ValueError(
                    f"[{key}] input '{p.name}' is missing; it takes {takes}"
                )
        if named or next(positions, missing) is not missing:
            extra = ", ".join(named) or f"{len(args)} inputs"
            raise ValueError(f"[{key}] unexpected {extra}; it takes {takes}")
        return found

    def to_json(self) -> Any:
        return [[p.name, p.keyword, p.nested.to_json()] for p in self.parameters]

    @classmethod
    def from_json(cls, text: Any, types: Iterable[type]) -> Arguments:
        try:
            entries = [(str(name), bool(keyword), s) for name, keyword, s in text]
        except (TypeError, ValueError) as error:
            raise FormatError(f"a structure that cannot be read: {error}") from error
        return cls([Parameter(n, k, Nested.from_json(s, types)) for n, k, s in entries])


def structure_text(arguments: Arguments, result: Nested) -> str:
    """What `Signature.structure` of the file says."""
    return json.dumps({"inputs": arguments.to_json(), "result": result.to_json()})


def load_program(
    path: str | os.PathLike[str],
    *,
    verify: bool = False,
    passes: str = "",
    types: Iterable[type] = (),
) -> Program:
    """Opens a `.fer` file; weights are mapped, nothing in it is executed.

    Args:
        path: the file.
        verify: check every byte of the weights at once, not on first use.
        passes: how graphs are made faster before they run: "" for the usual
            passes, "none", or a list such as "-epilogues" that leaves one out.
            The usual ones keep every bit of the results.
        types: named tuples and dataclasses that results are to be made of. A file
            holds no classes: others come back as new ones of the same name and fields.

    Raises:
        ValueError: there is no such pass.
        TypeError: a class in `types` has other fields than in the file.
        FormatError: the file is damaged or needs a newer version; says which.

    Example:
        >>> import ferrule as fe
        >>> program = fe.export(fe.nn.Linear(4, 2), (fe.rand(1, 4),), path="/tmp/m.fer")
        >>> fe.load_program("/tmp/m.fer")(fe.zeros(1, 4)).shape
        (1, 2)
    """
    return Program(_ferrule.open_program(os.fspath(path), verify), passes, types)


class Program:
    """A captured model with its state: calls run it as the C++ runtime does.

    Made by `export`, `trace` and `load_program`. `program(x)` runs "forward", or the
    only entry point; `program.entry("encode")(x)` another one.
    `program.run("train_step", x, y)` trains, and the program's state changes.
    """

    def __init__(
        self, handle: _ferrule.Program, passes: str = "", types: Iterable[type] = ()
    ) -> None:
        self._handle = handle
        self._session = _ferrule.Session(handle, passes)
        self._signatures = {s[0]: s for s in handle.signatures()}
        structures = handle.structures()
        self._entries = {
            key: Entry(self, key, structures[key], list(types))
            for key in self._signatures
        }

    @property
    def signatures(self) -> list[str]:
        """Names of the entry points, such as "forward"."""
        return list(self._signatures)

    def entry(self, name: str = "") -> Entry:
        """An entry point, to be called as the function that was captured.

        Args:
            name: default: "forward", or the only one.

        Raises:
            ValueError: there is no such entry point.
        """
        if not name and "forward" not in self._entries and len(self._entries) == 1:
            return next(iter(self._entries.values()))
        return self._entries[self._known(name or "forward", "entry")]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs "forward" on what the model took, and gives what it returned.

        Constants that the model was captured with may be left out.

        Raises:
            ValueError: an argument is missing, unknown, or nested in another way.
            ShapeError, DTypeError: an input does not fit the declared one.
        """
        return self.entry()(*args, **kwargs)

    @property
    def graph(self) -> Graph:
        """What a call computes: `print(program.graph)`, `program.graph.svg()`."""
        return self.entry().graph

    def run(self, signature: str, *args: Tensor, **named: Tensor) -> list[Tensor]:
        """Runs an entry point on a flat list of tensors, as C++ does.

        Args:
            signature: its name.
            args, named: the inputs, by position or by the names in the file, such as
                `**{"batch.tokens": x}`.

        Returns:
            The outputs, in order.

        Raises:
            ValueError: no such entry point, or an input is missing or unknown.
            ShapeError, DTypeError: an input does not fit the declared one.
        """
        self._known(signature, "run")
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
        results: list[Tensor] = self._session.run(
            signature, [t.detach() for t in inputs]
        )
        return results

    def _known(self, signature: str, what: str) -> str:
        if signature not in self._signatures:
            raise ValueError(
                f"[{what}] no signature '{signature}'; the program has "
                + ", ".join(self._signatures)
            )
        return signature

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
        seed, offset = self._session.rng()
        return seed, offset

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
            takes = ", ".join(show_value(*v) for v in inputs)
            gives = ", ".join(show_value(*v) for v in outputs)
            lines.append(f"  {key}({takes}) -> {gives}")
            lines.append(f"    {nodes} nodes, {updates} states written")
        return "\n".join([*lines, ")"])


class Entry:
    """An entry point of a `Program`: a call takes and gives what the captured
    function did, in the same containers. Made by `Program.entry`.
    """

    def __init__(
        self, program: Program, name: str, structure: str, types: list[type]
    ) -> None:
        self.name = name
        self._program = program
        self._arguments: Arguments | None = None
        self._result: Nested | None = None
        # So many tensors by position, in no containers: the usual call is short.
        self._plain_inputs = -1
        self._plain_result = False
        if not structure:
            return
        try:
            parts = json.loads(structure)
            inputs, result = parts["inputs"], parts["result"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FormatError(
                f"[{name}] a structure that cannot be read: {error}"
            ) from error
        self._arguments = Arguments.from_json(inputs, types)
        self._result = Nested.from_json(result, types)
        if len(self._arguments.names()) != len(
            self.inputs
        ) or self._result.constants.count(...) != len(self.outputs):
            raise FormatError(f"[{name}] the structure is of other inputs or outputs")
        parameters = self._arguments.parameters
        if all(p.nested.is_tensor and not p.keyword for p in parameters):
            self._plain_inputs = len(parameters)
        self._plain_result = self._result.is_tensor

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs in the file, such as "batch.tokens"."""
        return [name for name, _ in self._program._signatures[self.name][1]]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs in the file."""
        return [name for name, _ in self._program._signatures[self.name][2]]

    @property
    def graph(self) -> Graph:
        """What it computes, as text and as a picture."""
        return Graph(self._program._handle, self.name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._arguments is None or self._result is None:  # the file does not say
            results = self._program.run(self.name, *args, **kwargs)
            return results[0] if len(results) == 1 else tuple(results)
        plain = len(args) == self._plain_inputs and not kwargs
        if plain and all(isinstance(a, Tensor) for a in args):
            tensors: Sequence[Tensor] = args
        else:
            tensors = self._arguments.tensors(self.name, args, kwargs)
        results = self._program._session.run(self.name, [t.detach() for t in tensors])
        return results[0] if self._plain_result else self._result.build(results)

    def __repr__(self) -> str:
        _, inputs, outputs, _, _ = self._program._signatures[self.name]
        takes = ", ".join(show_value(*v) for v in inputs)
        gives = ", ".join(show_value(*v) for v in outputs)
        return f"{self.name}({takes}) -> {gives}"


def show_value(name: str, kind: tuple[str, tuple[int | str | None, ...]]) -> str:
    """ "x: float32[batch, 4]"; a size that follows from others is "?"."""
    dtype, dims = kind
    shape = ", ".join("?" if d is None else str(d) for d in dims)
    return f"{name}: {dtype}[{shape}]"
