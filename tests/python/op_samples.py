"""Every op's examples as model files that test themselves on another machine.

    python tests/python/op_samples.py DIR

writes DIR/float32/NAME-K.fer and so on: programs of one op with their inputs and
results as samples. `ferrule check --tolerance R DIR/float32/*.fer` runs them where
there is no Python: under another instruction set, in an emulator, on a phone. The
R that suits a folder stands in its file `tolerance`. Programs that draw random
numbers have no samples, and are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ferrule as fe
from op_cases import TABLE, Case, cases, tensors_of

# By what results of another instruction set may differ, see `ferrule check`.
TOLERANCES = {
    fe.float64: 1e-10,
    fe.float32: 2e-5,
    fe.float16: 2e-2,
    fe.bfloat16: 1e-1,
}
# Tensors that reach the loops over whole vectors and tiles.
MOST_ELEMENTS = 20_000


def grown(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n * (24 if len(shape) < 3 else 5) for n in shape)


def program_of(case: Case, dtype: fe.dtype) -> fe.Program | None:
    """The example in a dtype; None where the op refuses it with an error."""
    mutates = TABLE[case.op]["mutates"]
    tensors = [fe.tensor(a) for a in case.arrays()]
    # The numbers that optimizers count with are float64 whatever else is.
    tensors = [
        t.to(dtype) if t.is_floating_point() and (t.ndim or not mutates) else t
        for t in tensors
    ]

    def call(*inputs: fe.Tensor) -> tuple[fe.Tensor, ...]:
        if not mutates:
            return tuple(tensors_of(case.call(arrays=list(inputs))))
        own = [t.clone() for t in inputs]
        return (*tensors_of(case.call(arrays=own)), *own)

    try:
        call(*tensors)
    except (fe.FerruleError, ValueError, TypeError, IndexError):
        return None
    return fe.export(call, tuple(tensors))


def examples(op: str) -> list[Case]:
    """The op's examples, and those that can be made larger."""
    found = cases(op)
    for case in cases(op, grown):
        try:
            results = tensors_of(case.call(fe.float32))
        except (fe.FerruleError, ValueError, TypeError, IndexError):
            continue  # its sizes belong together
        sizes = [a.size for a in case.arrays()] + [t.numel() for t in results]
        if max(sizes, default=0) <= MOST_ELEMENTS:
            found.append(case)
    return found


def write(directory: Path) -> dict[str, int]:
    """Writes all samples; how many of each dtype."""
    counts: dict[str, int] = {}
    for dtype, tolerance in TOLERANCES.items():
        name = str(dtype).removeprefix("ferrule.")
        (directory / name).mkdir(parents=True)
        (directory / name / "tolerance").write_text(f"{tolerance}\n")
        counts[name] = 0
    for op in sorted(TABLE):
        # The shape of the result is known before the values in all graphs.
        if TABLE[op]["data_dependent"] or TABLE[op]["random"]:
            continue
        for k, case in enumerate(examples(op)):
            for dtype in TOLERANCES:
                name = str(dtype).removeprefix("ferrule.")
                program = program_of(case, dtype)
                if program is None:
                    if dtype in (fe.float32, fe.float64) and k < len(cases(op)):
                        raise AssertionError(f"{case} cannot be run in {name}")
                    continue
                program.save(directory / name / f"{op}-{k}.fer")
                counts[name] += 1
    return counts


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(write(Path(sys.argv[1])))
