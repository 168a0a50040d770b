"""Random programs agree with NumPy, and with PyTorch where it is installed.

See fuzz.py. A failure shows the shortest program that still differs. Run by hand
with more programs:  python tests/python/fuzz.py --programs 1000000 --jobs 2
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

import ferrule as fe
from fuzz import Program, Step, difference, failures, load_torch, shrink

PROGRAMS, BLOCKS = 20_000, 20
TORCH = load_torch() if importlib.util.find_spec("torch") else None


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The tensors are tiny."""
    before = fe.get_num_threads()
    fe.set_num_threads(1)
    yield
    fe.set_num_threads(before)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_programs(block: int) -> None:
    size = PROGRAMS // BLOCKS
    found = failures(range(block * size, (block + 1) * size), TORCH)
    first = next(found, None)
    assert first is None, f"\n{first}"


def test_a_difference_is_found_and_cut_down() -> None:
    steps = [
        Step("v0 = p * 1.0", "v0 = C(p * 1.0)", None),
        Step("v1 = v0 + 1.0", "v1 = C(v0 + 1.0)", None),
        Step("v2 = v0[:1].clone()", "v2 = v0[:1]", None),  # NumPy's shares memory
        Step("v2[0] = 3.0", "v2[0] = 3.0", None),
        Step("v3 = v1 * 2.0", "v3 = C(v1 * 2.0)", None),
    ]
    program = Program(0, {"p": (2,), "q": ()}, steps)
    assert "v0 is" in str(difference(program))
    left = [step.target for step in shrink(program).steps]
    assert left == ["v0", "v2", "v2[0]"]


def test_a_wrong_derivative_is_found() -> None:
    lines = [
        Step("v0 = p.detach() * 2.0", "v0 = C(p * 2.0)", None),
        Step("v1 = p * 0.0", "v1 = C(p * 0.0)", None),
    ]
    program = Program(0, {"p": (2,), "q": ()}, lines)
    assert "derivative" in str(difference(program))
