"""What registering an op gives it for nothing: its automatic tests.

Nothing here names an op. A definition's `examples` and `reference` are all that
these tests need.
"""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

import ferrule as fe
import image_references
import linalg_references
import resize_references
import special_references
from ferrule import _ferrule
from op_cases import TABLE, Case, cases, map_arrays, tensors_of, windows

ALL = sorted(TABLE)
EXACT = sorted(op for op in ALL if not TABLE[op]["random"])
# Ops that compute something new; batch_norm writes running statistics beside.
PURE = [
    op
    for op in EXACT
    if not TABLE[op]["mutates"] or (TABLE[op]["outputs"] and not op.endswith("_"))
]
DIFFERENTIABLE = [
    op for op in PURE if TABLE[op]["has_vjp"] or TABLE[op]["has_decompose"]
]
FLOATS = {fe.float64: 1e-10, fe.float32: 2e-5, fe.float16: 2e-2, fe.bfloat16: 1e-1}
VOCABULARY = {
    "np": np,
    "math": math,
    "windows": windows,
    **vars(image_references),
    **vars(linalg_references),
    **vars(resize_references),
    **vars(special_references),
}


def run(case: Case, dtype=None) -> list[fe.Tensor]:
    return tensors_of(case.call(dtype))


def is_float(t: fe.Tensor) -> bool:
    return t.dtype in FLOATS


@pytest.mark.parametrize("op", ALL)
def test_definition_is_complete(op: str) -> None:
    entry = TABLE[op]
    assert entry["doc"], "an op needs a docstring"
    assert entry["examples"], "an op needs examples for its tests"
    # Gradients of other ops (not public) are tested as such.
    public = entry["where"] or entry["modules"]
    if public and not entry["random"] and not entry["mutates"]:
        assert entry["reference"] or entry["has_decompose"], (
            "an op needs a NumPy reference or a decomposition to be tested against"
        )


@pytest.mark.parametrize("op", ALL)
def test_doc_example_runs(op: str) -> None:
    example = doctest.DocTestParser().get_doctest(TABLE[op]["doc"], {}, op, None, 0)
    text: list[str] = []
    doctest.DocTestRunner().run(example, out=text.append)
    assert not text, "".join(text)


def reference(case: Case, got: list[fe.Tensor] | None = None) -> list[np.ndarray]:
    """The results in NumPy. Those that are one of many, as eigenvectors are, may
    be chosen by what the op gave: `got`.
    """
    names = {**VOCABULARY, **case.bound()}
    if got is not None:
        names["got"] = [t.to(fe.complex128).numpy() for t in got]
    with np.errstate(all="ignore"):
        expected = eval(f"({TABLE[case.op]['reference']})", names)
    return list(expected) if isinstance(expected, tuple) else [expected]


@pytest.mark.parametrize("op", [op for op in PURE if TABLE[op]["reference"]])
def test_agrees_with_reference(op: str) -> None:
    chosen = "got" in TABLE[op]["reference"]
    for case in cases(op):
        expected = [] if chosen else reference(case)
        for dtype, tolerance in FLOATS.items():
            try:
                got = run(case, dtype)
            except fe.FerruleError:
                # 16-bit floats may be refused, with an error that says so.
                assert dtype in (fe.float16, fe.bfloat16), f"{case} in {dtype}"
                continue
            if chosen:
                expected = reference(case, got)
            for e, g in zip(expected, got, strict=False):
                e = np.asarray(e)
                assert g.shape == e.shape, f"{case} in {dtype}"
                tolerance = max(tolerance, FLOATS.get(g.dtype, 0))
                a = g.double().numpy() if is_float(g) else g.numpy()
                scale = max(1.0, np.abs(e[np.isfinite(e)]).max(initial=0.0))
                if not is_float(g) and dtype in (fe.float16, fe.bfloat16):
                    continue  # a rounded argument may give another index
                both = np.complex128 if np.iscomplexobj(e) else np.float64
                np.testing.assert_allclose(
                    a.astype(both),
                    e.astype(both),
                    rtol=tolerance,
                    atol=tolerance * scale,
                    err_msg=f"{case} in {dtype}",
                )


@pytest.mark.parametrize(
    "op",
    [op for op in PURE if TABLE[op]["has_decompose"] and TABLE[op]["has_cpu_kernel"]],
)
def test_agrees_with_decomposition(op: str) -> None:
    for case in cases(op):
        expected = run(case, fe.float64)
        _ferrule.set_decompose(True)
        try:
            got = run(case, fe.float64)
        finally:
            _ferrule.set_decompose(False)
        for e, g in zip(expected, got, strict=True):
            assert e.shape == g.shape and e.dtype == g.dtype, str(case)
            np.testing.assert_allclose(
                g.numpy(), e.numpy(), rtol=1e-9, atol=1e-9, err_msg=str(case)
            )


def differentiable_call(case: Case):
    """A function of the floating and complex arguments alone, for gradcheck.

    Its results are those that depend on them.
    """
    arrays = case.arrays()
    written = {id(a) for a in case.written()}
    at = [
        k for k, a in enumerate(arrays) if a.dtype.kind in "fc" and id(a) not in written
    ]

    def results(*floats: fe.Tensor) -> list[fe.Tensor]:
        values = [fe.tensor(a) for a in arrays]
        for k, t in zip(at, floats, strict=True):
            values[k] = t
        return tensors_of(case.call(arrays=values))

    def leaves() -> tuple[fe.Tensor, ...]:
        return tuple(fe.tensor(arrays[k], requires_grad=True) for k in at)

    kept = [
        i
        for i, t in enumerate(results(*leaves()))
        if t.dtype in (fe.float64, fe.complex128) and t.requires_grad
    ]
    if not kept:
        return None, ()
    # Some arguments have no gradient by definition, such as class weights.
    for k in list(at):
        alone = leaves()
        out = results(*alone)
        try:
            fe.autograd.grad(
                [out[i].abs().sum() for i in kept],
                [alone[at.index(k)]],
                allow_unused=True,
            )
        except fe.AutogradError as error:
            if "has no gradient for" not in str(error):
                raise
            at.remove(k)
    return lambda *floats: tuple(results(*floats)[i] for i in kept), leaves()


# Compositions whose results do not change with small changes of the arguments.
COUNTS = {"histc"}


@pytest.mark.parametrize("op", DIFFERENTIABLE)
def test_derivatives(op: str) -> None:
    checked = 0
    for case in cases(op):
        call, leaves = differentiable_call(case)
        if not leaves or sum(t.numel() for t in leaves) > 1500:
            continue
        assert fe.autograd.gradcheck(call, leaves), str(case)
        if sum(t.numel() for t in leaves) <= 150:
            assert fe.autograd.gradgradcheck(call, leaves), str(case)
        checked += 1
    if not checked and not TABLE[op]["has_vjp"]:
        # A composition may be one of integers or bools, or make its result of
        # nothing.
        given = [a for case in cases(op) for a in case.arrays() if a.dtype.kind == "f"]
        made = [t for case in cases(op) for t in run(case) if is_float(t)]
        checked = not given or not made or op in COUNTS
    assert checked, "no example was checked"


def round_trip(case: Case, dtype) -> None:
    arrays = case.arrays()
    tensors = [fe.tensor(a) for a in arrays]
    tensors = [t.to(dtype) if is_float(t) else t for t in tensors]
    state = fe.get_rng_state()
    eager = tensors_of(case.call(arrays=tensors))
    fe.set_rng_state(state)
    program = fe.export(
        lambda *xs: tuple(tensors_of(case.call(arrays=list(xs)))), tuple(tensors)
    )
    for e, g in zip(eager, program.run("forward", *tensors), strict=True):
        assert _ferrule.same_bits(e.detach(), g), f"{case} in {dtype}"


@pytest.mark.parametrize("op", [op for op in ALL if not TABLE[op]["mutates"]])
def test_eager_is_graph_is_file(op: str) -> None:
    if TABLE[op]["data_dependent"]:
        with pytest.raises(fe.FerruleError):
            round_trip(cases(op)[0], fe.float32)
        return
    for case in cases(op):
        for dtype in (fe.float32, fe.float64):
            round_trip(case, dtype)


def grow_first(s: tuple[int, ...]) -> tuple[int, ...]:
    return (s[0] * (4096 if len(s) < 3 else 16), *s[1:]) if s else s


# Ways to make an example large enough for several threads.
GROWTHS = [
    lambda s: s,
    lambda s: tuple(n * 48 for n in s) if len(s) < 3 else tuple(n * 9 for n in s),
    grow_first,
    lambda s: (s[0] * 64, *s[1:]) if s else s,
    lambda s: (*s[:-1], s[-1] * (4096 if len(s) < 3 else 512)) if s else s,
]


LARGEST = 10_000_000  # elements


def spreads(case: Case) -> bool:
    """Does broadcasting make too much of the arrays?"""
    try:
        shape = np.broadcast_shapes(*(a.shape for a in case.arrays()))
    except ValueError:
        return False
    return math.prod(shape) > LARGEST


def run_and_show(case: Case) -> list[fe.Tensor]:
    """The results, and the arguments, which the op may have written."""
    tensors = [fe.tensor(a) for a in case.arrays()]
    tensors = [t.float() if is_float(t) else t for t in tensors]
    return [*tensors_of(case.call(arrays=tensors)), *tensors]


@pytest.mark.parametrize("op", ALL)
def test_same_bits_for_any_thread_count(op: str) -> None:
    before = fe.get_num_threads()
    try:
        for grow in GROWTHS:
            for case in cases(op, grow):
                if sum(a.size for a in case.arrays()) > 3_000_000 or spreads(case):
                    continue
                results = []
                for threads in (1, 2, 3, 4, 8):
                    fe.set_num_threads(threads)
                    fe.manual_seed(3)
                    try:
                        results.append(run_and_show(case))
                    except (fe.FerruleError, ValueError, IndexError):
                        # Not every example can grow; it fails for all counts.
                        results.append([])
                    if sum(t.numel() for t in results[0]) > LARGEST:
                        break  # a matrix of a vector, for example
                for other in results[1:]:
                    assert len(other) == len(results[0]), str(case)
                    for a, b in zip(results[0], other, strict=True):
                        assert _ferrule.same_bits(a, b), f"{case}, grown"
    finally:
        fe.set_num_threads(before)


DTYPES = [
    fe.bool, fe.uint8, fe.int8, fe.int16, fe.int32, fe.int64,
    fe.float16, fe.bfloat16, fe.float32, fe.float64, fe.complex64, fe.complex128,
]  # fmt: skip


@pytest.mark.parametrize("op", ALL)
def test_every_dtype_works_or_is_refused(op: str) -> None:
    """Fuzz of dtypes and shapes: a result or a FerruleError, nothing else."""
    rng = np.random.default_rng(7)
    for case in cases(op):
        arrays = case.arrays()
        if sum(a.size for a in arrays) > 20_000:
            continue
        for dtype in DTYPES:
            for k in range(len(arrays)):
                tensors = [fe.tensor(a) for a in arrays]
                tensors[k] = tensors[k].to(dtype)
                attempt(case, tensors)
        for _ in range(20):
            tensors = [fe.tensor(a) for a in arrays]
            for k, t in enumerate(tensors):
                if rng.random() < 0.5:
                    shape = tuple(int(n) for n in rng.integers(0, 4, rng.integers(5)))
                    tensors[k] = fe.zeros(shape, dtype=t.dtype)
            attempt(case, tensors)


def attempt(case: Case, tensors: list[fe.Tensor]) -> None:
    try:
        results = tensors_of(case.call(arrays=tensors))
    except (fe.FerruleError, ValueError, TypeError, IndexError) as error:
        # An error of a composition's part is one of the composition. (Matrices of a
        # kind are made of their argument by ops, too, before the call.)
        own = str(error).startswith((f"[{case.op}]", f"[{case.op}_]"))
        by_op = isinstance(error, fe.FerruleError) and "positive(" not in case.text
        if not str(error) or (by_op and not own):
            raise
        return
    for t in results:
        t.numpy() if t.dtype != fe.bfloat16 else t.float().numpy()


def in_place_ops() -> list[str]:
    return [op for op in PURE if TABLE[op]["has_inplace"]]


@pytest.mark.parametrize("op", in_place_ops())
def test_in_place_form(op: str) -> None:
    for case in cases(op):
        first = case.args[0]
        if not isinstance(first, np.ndarray) or first.dtype.kind != "f":
            continue
        values = [fe.tensor(a) for a in case.arrays()]
        expected = tensors_of(case.call(arrays=values))[0]
        target = values[0]
        if expected.shape != target.shape or expected.dtype != target.dtype:
            continue
        args = iter(values[1:])
        rest = map_arrays(case.args[1:], lambda _: next(args))  # noqa: B023
        result = getattr(target, f"{op}_")(*rest, **case.kwargs)
        assert result is target
        assert _ferrule.same_bits(target, expected), str(case)


# Ops whose results look into the memory of an input.
VIEWS = {
    *("as_strided", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_to"),
    *("diagonal", "expand", "flatten", "movedim", "narrow", "permute", "ravel"),
    *("reshape", "select", "slice", "squeeze", "transpose", "unflatten", "unfold"),
    *("unsqueeze", "real", "imag", "view_as_real", "view_as_complex"),
    "linalg_diagonal",
}
# These hand the input on where there is nothing to do.
PASSES_ON = {"conj", "conj_physical", "dropout", "positive"}


@pytest.mark.parametrize("op", sorted(TABLE))
def test_only_views_share_memory(op: str) -> None:
    shared = False
    for case in cases(op):
        inputs = [fe.tensor(a) for a in case.arrays()]
        results = tensors_of(case.call(arrays=inputs))
        memory = [
            range(x.data_ptr(), x.data_ptr() + x.nbytes) for x in inputs if x.numel()
        ]
        shared |= any(
            y.data_ptr() in block for y in results if y.numel() for block in memory
        )
    if op in PASSES_ON or any(p["mutated"] for p in TABLE[op]["parameters"]):
        return
    assert shared == (op in VIEWS)
