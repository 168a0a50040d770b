"""Several results are a named tuple: names to read, and a tuple for all else."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

import ferrule as fe
from ferrule import _ferrule
from ferrule._tree import flatten, unflatten
from op_cases import TABLE, cases

NAMED = sorted(op for op in TABLE if TABLE[op]["return_type"])


def matrix() -> fe.Tensor:
    return fe.tensor([[2.0, 1.0], [1.0, 3.0]])


def results_of(op: str) -> list[tuple[fe.Tensor, ...]]:
    found = [case.call() for case in cases(op) if not case.written()]
    return [result for result in found if isinstance(result, tuple)]


@pytest.mark.parametrize("op", NAMED)
def test_every_op_with_several_results_names_them(op: str) -> None:
    kind = getattr(fe.return_types, op)
    results = results_of(op)
    assert results
    for result in results:
        assert type(result) is kind and isinstance(result, tuple)
        assert list(result._fields) == TABLE[op]["outputs"]
        for i, name in enumerate(result._fields):
            assert getattr(result, name) is result[i]


def test_methods_that_are_no_ops() -> None:
    x = matrix()
    for name in ("max", "min"):
        for along in (getattr(x, name)(dim=0), getattr(fe, name)(x, 0, keepdim=True)):
            assert type(along) is getattr(fe.return_types, name)
            assert along.values is along[0] and along.indices is along[1]
        assert isinstance(getattr(x, name)(), fe.Tensor)
    hist = fe.histogram(fe.tensor([1.0, 2.0]), 2)
    assert type(hist) is fe.return_types.histogram and hist.bin_edges is hist[1]
    solved = fe.linalg.lstsq(x, x, driver="gelsd")
    assert type(solved) is fe.return_types.linalg_lstsq
    assert solved.rank.item() == 2 and solved.solution is solved[0]


def test_median_of_all_has_no_indices() -> None:
    for f in (fe.median, fe.nanmedian):
        assert isinstance(f(matrix()), fe.Tensor)
        assert f(matrix(), 1).indices.tolist() == [1, 0]


def test_inner_ops_return_plain_tuples() -> None:
    pooled = fe.nn.functional.max_pool2d(fe.ones(1, 1, 2, 2), 2, return_indices=True)
    assert type(pooled) is tuple


def test_a_tuple_in_every_other_way() -> None:
    found = matrix().sort(dim=1)
    values, indices = found
    assert values is found[0] and found[-1] is indices and len(found) == 2
    assert isinstance(found, tuple) and found[:1] == (values,)
    assert repr(found).startswith("sort(values=tensor([[1., 2.]")
    match found:
        case fe.return_types.sort(values=v, indices=i):
            assert v is values and i is indices
    assert found._replace(values=indices)[0] is indices
    assert found._asdict().keys() == {"values", "indices"}


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_and_pickles(copied) -> None:
    for found in (matrix().max(0), fe.linalg.slogdet(matrix()), fe.linalg.qr(matrix())):
        again = copied(found)
        assert type(again) is type(found)
        for a, b in zip(again, found, strict=True):
            assert a is not b and fe.equal(a, b)


def test_types_are_found_by_name() -> None:
    for name, kind in _ferrule.named_results().items():
        assert getattr(fe.return_types, name) is kind
        assert (kind.__module__, kind.__qualname__) == ("ferrule.return_types", name)
        assert name in fe.return_types.__all__


def test_trees() -> None:
    found = matrix().topk(1)
    leaves, structure = flatten({"best": found})
    again = unflatten(structure, leaves)
    assert type(again["best"]) is fe.return_types.topk
    assert again["best"].values is found.values


def test_func_transforms() -> None:
    x = fe.rand(3, 2, 4)
    mapped = fe.vmap(lambda sample: sample.max(dim=0))(x)
    assert type(mapped) is fe.return_types.max
    assert mapped.values.tolist() == x.max(dim=1).values.tolist()
    given = fe.vmap(lambda sample: sample.max(dim=0), out_dims=(0, 1))(x)
    assert given.indices.shape == (4, 3)
    value, pull = fe.func.vjp(lambda x: fe.linalg.slogdet(x), matrix())
    assert value.logabsdet.item() == pytest.approx(1.609438)
    one = type(value)(fe.tensor(0.0), fe.tensor(1.0))
    assert pull(one)[0].shape == (2, 2)


def test_control_flow() -> None:
    """Branches and carries may mix them with tuples that have no names."""
    x = matrix()

    def either(pred: fe.Tensor, x: fe.Tensor):
        most = fe.cond(pred, lambda x: x.max(0), lambda x: x.min(0), (x,))
        mixed = fe.cond(pred, lambda x: x.max(0), lambda x: (x[0], x[0].long()), (x,))
        return most.values + mixed[0]

    program = fe.export(either, (fe.tensor(True), x))
    for pred in (True, False):
        given = fe.tensor(pred), x
        assert program(*given).tolist() == either(*given).tolist()
    first = (x[0], fe.tensor([0, 1]))
    carry, _ = fe.scan(lambda c, x: (x.sort(), x), first, fe.stack([x[1], x[0]]))
    assert carry[0].tolist() == [1.0, 2.0]


def test_export_and_load(tmp_path) -> None:
    program = fe.export(lambda x: x.max(dim=1), (matrix(),))
    values, indices = program(matrix())
    assert (values.tolist(), indices.tolist()) == ([2.0, 3.0], [0, 1])
    program.save(tmp_path / "max.fer")
    again = fe.load_program(tmp_path / "max.fer")(matrix())
    assert again[1].tolist() == [0, 1]


def test_batches_of_a_loader_keep_them() -> None:
    batch = fe.utils.data.default_collate([matrix()[0].max(0), matrix()[1].max(0)])
    assert type(batch) is fe.return_types.max
    assert batch.values.tolist() == [2.0, 3.0]


TYPED = """
import ferrule as fe
x: fe.Tensor = fe.rand(2, 3)
a: fe.Tensor = x.max(dim=0).values
b: fe.Tensor = fe.linalg.svd(x).S
c: fe.Tensor = fe.max(x, 1).indices
d: fe.Tensor = x.median() + x.median(0).values + fe.nanmedian(x, 1).values
e: fe.return_types.sort = fe.sort(x)
values, indices = x.topk(1)
f: fe.Tensor = values + indices
g: fe.Tensor = fe.histogram(x, 3).hist + fe.linalg.lstsq(x, x).rank + fe.max(x)
"""
WRONG = """
x.max(dim=0).vals
x.sort().S
h: fe.Tensor = x.median(dim=1)
fe.linalg.qr(x).Q.no_such
"""


def test_type_checkers_know_the_names(tmp_path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    script = tmp_path / "script.py"
    script.write_text(TYPED + WRONG)
    package = str(fe.__path__[0])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            str(tmp_path),
            script,
        ],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(package.removesuffix("/ferrule")), "PATH": "/usr/bin"},
    )
    wrong = {int(s.split(":")[1]) for s in done.stdout.splitlines() if ": error:" in s}
    first = TYPED.count("\n") + 2
    assert wrong == set(range(first, first + WRONG.strip().count("\n") + 1)), (
        done.stdout
    )
