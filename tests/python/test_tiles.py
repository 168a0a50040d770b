"""Pass "tiles": elementwise nodes that run together give the same bits."""

import random

import pytest

import ferrule as fe
from ferrule.nn import functional as F
from test_passes import assert_same, noise, sessions

UNARY = [
    lambda x: x.exp(),
    lambda x: x.tanh(),
    lambda x: x.relu(),
    lambda x: -x,
    lambda x: x.abs().sqrt(),
    lambda x: x.sigmoid(),
    lambda x: x.floor(),
    lambda x: x.clamp(-1.5, 2.0),
    lambda x: x * 0.5 + 1.0,
    lambda x: 2.0 - x,
    lambda x: x**2,
    lambda x: x**-1,
    lambda x: F.silu(x),
    lambda x: F.softplus(x),
    lambda x: x.log1p(),
    lambda x: x.round(decimals=1),
    lambda x: x.to(fe.bfloat16),
    lambda x: x.to(fe.float16),
    lambda x: x.to(fe.float32),
    lambda x: x.to(fe.float64),
    lambda x: fe.isnan(x).to(fe.float32) + x,
]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: fe.maximum(a, b),
    lambda a, b: fe.where(a > b, a, b * 2.0),
    lambda a, b: a.masked_fill(b < 0.0, 0.25),
    lambda a, b: fe.atan2(a, b),
    lambda a, b: fe.lerp(a.to(fe.float32), b.to(fe.float32), 0.3),
    lambda a, b: fe.addcmul(a, a, b, value=0.5),
    lambda a, b: a // (b.abs() + 1.0),
    lambda a, b: (a >= b) & (a < 1.0),
    lambda a, b: (a == b).logical_not() * a,
]


def random_function(seed):
    """A function of a list of tensors, of elementwise ops drawn at random."""

    def compute(*xs):
        draw = random.Random(seed)
        values = list(xs)
        for _ in range(draw.randrange(2, 30)):
            # Mostly chains: what was made last is read next.
            a = values[-1] if draw.random() < 0.7 else draw.choice(values)
            if draw.random() < 0.5:
                made = draw.choice(UNARY)(
                    a.to(fe.float32) if not a.is_floating_point() else a
                )
            else:
                b = draw.choice(values)
                pair = [
                    t if t.is_floating_point() else t.to(fe.float32) for t in (a, b)
                ]
                made = draw.choice(BINARY)(*pair)
            values.append(made)
        last = values[-1]
        return last, values[-3]

    return compute


SHAPES = [
    [(1,), (1,), (1,)],
    [(7,), (1,), (7,)],
    [(1000,), (1000,), (1,)],
    [(33, 65), (33, 1), (65,)],
    [(3, 50, 41), (50, 41), (3, 1, 1)],
]


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed):
    shapes = SHAPES[seed % len(SHAPES)]
    arrays = [noise(*s, special=seed % 3 == 0) * (1 + i) for i, s in enumerate(shapes)]
    before, after = assert_same(random_function(seed), *arrays, without="-tiles")
    assert len(after) <= len(before)


def steps(function, *arrays):
    return assert_same(function, *arrays, without="-tiles")


def gate(x, y):
    return ((x * 2.0 + y).tanh() * y.sigmoid() - 1.0).exp()


@pytest.mark.parametrize("n", [1, 16, 1023, 1024, 1025, 70_000, 5_000_000])
def test_one_step_is_left(n):
    """From less than a vector to what is written past the caches."""
    before, after = steps(gate, noise(n), noise(n))
    assert before == ["mul", "add", "tanh", "sigmoid", "mul", "sub", "exp"]
    assert after == ["mul + add + tanh + sigmoid + mul + sub + exp"]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_same_bits_with_threads(threads):
    before = fe.get_num_threads()
    fe.set_num_threads(threads)
    try:
        steps(gate, noise(300, 1000), noise(1000))
    finally:
        fe.set_num_threads(before)


def test_only_what_nobody_else_reads_joins():
    def twice_read(x):
        e = x.exp()
        return (e + 1.0).tanh(), e * 2.0

    assert steps(twice_read, noise(5000))[1] == ["exp", "add + tanh", "mul"]


def test_sizes_must_agree():
    """The sum of a column is made once, not for every row."""

    def column(x, y):
        return (x.exp() + 1.0) * y.tanh()

    after = steps(column, noise(40, 1), noise(40, 50))[1]
    assert after == ["exp + add", "tanh + mul"]


def test_memory_between_is_not_needed():
    x = fe.tensor(noise(100, 1000))
    program = fe.export(lambda x: gate(x, x), (x,), check=False)
    plain, fast = sessions(program, "-tiles", "")
    assert plain.arena_bytes("forward", [x]) > x.nbytes
    assert fast.arena_bytes("forward", [x]) == x.nbytes
