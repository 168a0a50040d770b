"""What export holds a written program to: eager, at several sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _ferrule
from ._ferrule import FerruleError, Tensor

if TYPE_CHECKING:
    from ._program import Program

# Samples at other sizes than the example's are kept up to so many bytes.
SAMPLE_BYTES = 1 << 20


class Case(NamedTuple):
    """A run of an entry point in eager: what the program must give, bit by bit."""

    key: str  # "forward", "train_step"
    choice: Mapping[str, int]  # the free sizes
    inputs: list[Tensor]
    outputs: list[Tensor]
    state: dict[str, int]  # checksums of it afterwards, by name; empty: not changed

    @property
    def nbytes(self) -> int:
        """Of inputs and outputs."""
        return sum(t.nbytes for t in (*self.inputs, *self.outputs))


def add_samples(builder: _ferrule.ProgramBuilder, cases: Sequence[Case]) -> None:
    """Stores cases in the file as its samples; the first of each entry point always,
    others as long as they are small."""
    seen: set[str] = set()
    left = SAMPLE_BYTES
    for case in cases:
        if case.key in seen:
            if case.nbytes > left:
                continue
            left -= case.nbytes
        seen.add(case.key)
        builder.add_golden(case.key, case.inputs, case.outputs)


def check_case(
    program: Program,
    case: Case,
    rng: tuple[int, int],
    recapture: Callable[[Mapping[str, int]], _ferrule.Program],
) -> None:
    """Runs a case on the program's first state.

    Args:
        program: the written program.
        case: what to run and what must come out.
        rng: the random state that both start from.
        recapture: captures the same entry point at other sizes: to find the node by
            which they differ.

    Raises:
        FerruleError: a result or a state differs; says which, where and why.
    """
    session = _ferrule.Session(program._handle)
    session.set_rng(*rng)
    got = session.run(case.key, case.inputs)
    what = _differs(case.outputs, got)
    # A loop's gradients are summed in another order in a graph than in eager.
    if not what and case.state and not _has_loop(program, case.key):
        for name, checksum in case.state.items():
            if not what and _ferrule.checksum(session.state(name)) != checksum:
                what = f"'{name}' has other values afterwards"
    if what:
        sizes = ", ".join(f"{k}={v}" for k, v in case.choice.items()) or "fixed sizes"
        raise FerruleError(
            f"[export] '{case.key}' of the written program differs from eager at "
            f"{sizes}: {what}. {_reason(program, case, recapture)}"
        )


def _has_loop(program: Program, key: str) -> bool:
    nodes = program._handle.graph(key)[1]
    return any(op in ("scan", "while_loop") for op, *_ in nodes)


def _differs(expected: Sequence[Tensor], got: Sequence[Tensor]) -> str:
    for i, (a, b) in enumerate(zip(expected, got, strict=True)):
        if _ferrule.same_bits(a, b):
            continue
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"output {i} is {b.dtype} {b.shape}, not {a.dtype} {a.shape}"
        return f"output {i} has other values"
    return ""


def _reason(
    program: Program,
    case: Case,
    recapture: Callable[[Mapping[str, int]], _ferrule.Program],
) -> str:
    """The first node that differs: captured at these sizes, or run without passes."""
    handle: Any = program._handle
    other = recapture(case.choice)
    if graph := _ferrule.graph_difference(handle, other, case.key):
        return (
            f"Captured at these sizes, the model becomes another graph: {graph}. Its "
            "Python code takes another path there, or computes with numbers taken "
            "out of tensors; write it with tensor ops and x.shape"
        )
    value = _ferrule.first_difference(
        handle, "none", handle, "default", case.key, case.inputs
    )
    if value:
        return f"Passes over the graph change it first in {value}"
    return (
        "The graph is the same at these sizes and its nodes agree with one another: "
        "the model changes from call to call, or reads what is not in the graph"
    )
