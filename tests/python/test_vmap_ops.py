"""vmap of every op is a loop over it: the batching rules of the definitions.

Nothing here names an op. The examples of a definition are drawn three times and
stacked; each argument is a batch alone, and all are.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import ferrule as fe
from op_cases import TABLE, Case, cases, tensors_of

SAMPLES = 3
DETERMINISTIC = sorted(
    op for op in TABLE if not TABLE[op]["random"] and not TABLE[op]["data_dependent"]
)
# Ops that run sample by sample in some example; the last test counts them.
slow: dict[str, str] = {}


def draws(op: str) -> list[list[Case]]:
    """The examples of an op, each in three versions of its arrays."""
    versions = [cases(op, seed=1000 + 100 * s) for s in range(SAMPLES)]
    return [list(v) for v in zip(*versions, strict=True)]


def results_of(case: Case, tensors: list[fe.Tensor]) -> list[fe.Tensor]:
    """What the op returns, and what it writes into its arguments."""
    results = tensors_of(case.call(arrays=tensors))
    return [*results, *tensors] if TABLE[case.op]["mutates"] else results


def assert_same(got: fe.Tensor, expected: fe.Tensor, text: str) -> None:
    assert got.dtype == expected.dtype and got.shape == expected.shape, text
    a, b = got.detach(), expected.detach()
    if a.dtype in (fe.bfloat16, fe.float16):
        a, b = a.float(), b.float()
    np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9, 1e-9, err_msg=text)


def compare(versions: list[Case], mapped: list[bool]) -> None:
    case = versions[0]
    arrays = [[fe.tensor(a) for a in v.arrays()] for v in versions]
    if any(a.shape != b.shape for v in arrays for a, b in zip(v, arrays[0])):
        return
    given = [
        fe.stack([v[k] for v in arrays]) if mapped[k] else arrays[0][k].clone()
        for k in range(len(mapped))
    ]
    singles = []
    for s in range(SAMPLES):
        one = [(v if m else w).clone() for v, w, m in zip(arrays[s], arrays[0], mapped)]
        singles.append(results_of(case, one))
    expected = [fe.stack(list(ts)) for ts in zip(*singles, strict=True)]
    text = f"{case}, mapped: {mapped}"
    dims = tuple(0 if m else None for m in mapped)

    def call(*tensors: fe.Tensor) -> tuple[fe.Tensor, ...]:
        return tuple(tensors_of(case.call(arrays=list(tensors))))

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            got = list(fe.vmap(call, in_dims=dims)(*given))
        except fe.FerruleError as error:
            # What differs by sample cannot be written into what all share.
            if TABLE[case.op]["mutates"] and "all samples share" in str(error):
                return
            raise
    for w in seen:
        slow[case.op] = str(w.message)
    if TABLE[case.op]["mutates"]:
        got += [
            g if m else fe.stack([g] * SAMPLES)
            for g, m in zip(given, mapped, strict=True)
        ]
    for g, e in zip(got, expected, strict=True):
        assert_same(g, e, text)


@pytest.mark.parametrize("op", DETERMINISTIC)
def test_vmap_is_a_loop(op: str) -> None:
    for versions in draws(op):
        count = len(versions[0].arrays())
        choices = [
            [True] * count,
            *([k == n for n in range(count)] for k in range(count)),
        ]
        for mapped in {tuple(c): c for c in choices if any(c)}.values():
            compare(versions, mapped)


def scalar(case: Case, arrays: list[Any]) -> fe.Tensor | None:
    """A number that depends on all floating results in different ways."""
    total = None
    for t in tensors_of(case.call(arrays=arrays)):
        if t.dtype != fe.float64 or not t.requires_grad:
            continue
        weight = fe.linspace(0.5, 1.5, t.numel(), dtype=t.dtype).reshape(t.shape)
        part = (t * weight).sum()
        total = part if total is None else total + part
    return total


@pytest.mark.parametrize(
    "op",
    [
        op
        for op in DETERMINISTIC
        if not TABLE[op]["mutates"]
        and (TABLE[op]["has_vjp"] or TABLE[op]["has_decompose"])
    ],
)
def test_gradients_of_samples(op: str) -> None:
    """vmap(grad(op)) is a loop over grad(op)."""
    for versions in draws(op):
        case = versions[0]
        arrays = [[fe.tensor(a) for a in v.arrays()] for v in versions]
        if any(a.shape != b.shape for v in arrays for a, b in zip(v, arrays[0])):
            continue
        at = [k for k, t in enumerate(arrays[0]) if t.dtype == fe.float64]

        def gradient(*tensors: fe.Tensor, case=case, at=at) -> Any:
            def value(*floats: fe.Tensor) -> fe.Tensor:
                given = list(tensors)
                for k, t in zip(at, floats, strict=True):
                    given[k] = t
                return scalar(case, given)

            return fe.func.grad(value, tuple(range(len(at))))(*[tensors[k] for k in at])

        try:
            singles = [gradient(*v) for v in arrays]
        except (fe.FerruleError, TypeError):
            continue  # no argument, or no result, has a gradient
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fe.FerruleWarning)
            got = fe.vmap(gradient)(*[fe.stack(list(ts)) for ts in zip(*arrays)])
        for k, g in enumerate(got):
            assert_same(g, fe.stack([s[k] for s in singles]), f"{case}, argument {k}")


def test_few_ops_run_sample_by_sample() -> None:
    """Of those that a model calls, that is, and not only in rare cases."""
    for op in DETERMINISTIC:
        test_vmap_is_a_loop(op)
    computing = sorted(op for op in slow if not TABLE[op]["mutates"])
    print("sample by sample in some example:", ", ".join(sorted(slow)))
    assert len(computing) <= 7, f"too many: give them an OpDef::batch: {computing}"
