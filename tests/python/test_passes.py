"""Passes over graphs: same bits, fewer steps."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import ferrule as fe
from ferrule import _ferrule
from ferrule.nn import functional as F


def sessions(program, *lists):
    return [_ferrule.Session(program._handle, passes) for passes in lists]


def assert_same(model, *arrays, without="none", passes=""):
    """Runs with and without passes; returns the steps of both."""
    xs = [fe.tensor(a) for a in arrays]
    program = fe.export(model, xs, check=False)
    plain, fast = sessions(program, without, passes)
    for want, got in zip(plain.run("forward", xs), fast.run("forward", xs)):
        assert _ferrule.same_bits(want, got), (want, got)
    return plain.steps("forward", xs), fast.steps("forward", xs)


def noise(*shape, special=False):
    x = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    if special:
        flat = x.reshape(-1)
        flat[:: max(1, flat.size // 7)] = np.nan
        flat[1 :: max(1, flat.size // 5)] = np.inf
        flat[2 :: max(1, flat.size // 3)] = -0.0
    return x


class Unit(fe.nn.Module):
    """A convolution or a linear layer, and what may follow on it."""

    def __init__(self, conv, norm=False, add="", then=None):
        super().__init__()
        self.conv = conv
        linear = isinstance(conv, fe.nn.Linear)
        channels = conv.out_features if linear else conv.out_channels
        kind = fe.nn.BatchNorm1d if linear else fe.nn.BatchNorm2d
        self.norm = kind(channels) if norm else None
        if norm:
            c = (channels,)
            self.norm.running_mean.copy_(fe.tensor(noise(*c)))
            self.norm.running_var.copy_(fe.tensor(np.abs(noise(*c)) + 0.5))
            with fe.no_grad():
                self.norm.weight.copy_(fe.tensor(noise(*c) + 1))
                self.norm.bias.copy_(fe.tensor(noise(*c) - 0.5))
        self.add, self.then = add, then
        self.eval()

    def forward(self, x, addend):
        y = self.conv(x)
        if self.norm is not None:
            y = self.norm(y)
        if self.add == "left":
            y = addend + y
        if self.add == "right":
            y = y + addend
        return self.then(y) if self.then else y


def conv(inputs, outputs, kernel, **options):
    fe.manual_seed(3)
    return fe.nn.Conv2d(inputs, outputs, kernel, **options)


# One of each way that convolution has: by planes with gaps between rows, in
# place, by copies without gaps, with positions beyond vectors, Winograd's,
# depthwise, grouped, by its definition.
CONVOLUTIONS = [
    ((2, 3, 20, 33), conv(3, 5, 3, stride=2, padding=1)),
    ((1, 3, 180, 96), conv(3, 20, 7, stride=2, padding=3)),
    ((1, 16, 32, 32), conv(16, 24, 1)),
    ((1, 20, 14, 14), conv(20, 37, 1)),
    ((2, 64, 7, 7), conv(64, 40, 1)),
    ((1, 7, 9, 16), conv(7, 20, 3, padding=1)),
    ((2, 16, 28, 28), conv(16, 17, 3, padding=1)),
    ((1, 24, 13, 15), conv(24, 16, 3)),
    ((2, 12, 19, 40), conv(12, 12, 3, padding=1, groups=12)),
    ((1, 12, 56, 56), conv(12, 24, 5, stride=2, padding=2, groups=12)),
    ((3, 8, 6, 6), conv(8, 12, 3, groups=4, bias=False)),
    ((1, 2, 9, 9), conv(2, 3, 2, dilation=6)),
    ((1, 1, 4, 3000), conv(1, 2, (1, 2), dilation=(1, 2900))),
]
ACTIVATIONS = {
    "relu": F.relu,
    "clamp": lambda x: x.clamp(0.0, 6.0),
    "clamp min": lambda x: x.clamp(min=-0.25),
    "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.75),
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "mish": F.mish,
    "sigmoid": lambda x: x.sigmoid(),
    "tanh": lambda x: x.tanh(),
}


@pytest.mark.parametrize("at", range(len(CONVOLUTIONS)))
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("add", ["", "left", "right"])
def test_what_follows_on_a_convolution(at, norm, add):
    shape, layer = CONVOLUTIONS[at]
    x = noise(*shape)
    result = layer(fe.tensor(x)).shape
    for then in (None, F.relu, ACTIVATIONS["clamp"], F.silu):
        unit = Unit(layer, norm, add, then)
        before, after = assert_same(unit, x, noise(*result, special=True))
        assert len(before) == 1 + norm + bool(add) + (then is not None)
        assert len(after) == 1


@pytest.mark.parametrize("rows", [1, 5, 17, 40, 97, 513])
@pytest.mark.parametrize(
    "features", [(3, 2), (70, 33), (400, 129), (2000, 16), (1200, 520)]
)
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("add", ["", "left", "right"])
def test_what_follows_on_a_linear_layer(rows, features, norm, add):
    layer = fe.nn.Linear(*features)
    x, addend = noise(rows, features[0]), noise(rows, features[1], special=True)
    for then in (None, F.relu, ACTIVATIONS["clamp"], F.gelu):
        before, after = assert_same(Unit(layer, norm, add, then), x, addend)
        assert len(before) == 1 + norm + bool(add) + (then is not None)
        assert len(after) == 1


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((7, 5), (5, 9)),
        ((3, 40, 64), (64, 50)),
        ((6, 8, 12), (6, 12, 1)),
        ((4,), (4, 6)),
    ],
)
def test_what_follows_on_a_matrix_product(a, b):
    x, y = noise(*a), noise(*b)
    addend = noise(*np.matmul(x, y).shape)
    for then in (F.relu, F.silu, lambda z: z.tanh()):
        run = lambda x, y, addend, then=then: then(x @ y + addend)  # noqa: E731
        assert len(assert_same(run, x, y, addend)[1]) == 1


def test_norms_of_what_is_no_matrix_stay_apart():
    norm = fe.nn.BatchNorm1d(6).eval()
    layer = fe.nn.Linear(5, 8)
    images, volume = fe.nn.BatchNorm2d(6).eval(), noise(2, 6, 4, 5)
    single, column = fe.nn.BatchNorm1d(1).eval(), fe.nn.Linear(5, 1)
    assert len(steps(lambda x: norm(layer(x)), noise(3, 6, 5))) == 2
    assert len(steps(lambda x: images(layer(x)), volume)) == 2
    assert len(steps(lambda x: single(column(x)), noise(9, 5))) == 2


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("special", [False, True])
def test_every_activation_follows(name, special):
    for norm, add in itertools.product((False, True), ("", "left")):
        unit = Unit(conv(6, 9, 1), norm, add, ACTIVATIONS[name])
        x, addend = noise(2, 6, 5, 7, special=special), noise(2, 9, 5, 7)
        assert len(assert_same(unit, x, addend)[1]) == 1


@pytest.mark.parametrize(
    "limits", [(0.0, 0.0), (-0.0, 1.0), (-1.0, -0.0), (float("nan"), 1.0), (2.0, 1.0)]
)
def test_zeros_and_limits(limits):
    # 0 * x + addend: zeros of both signs, and NaN.
    zero = conv(1, 1, 1, bias=False)
    zero.weight.data.fill_(0.0)
    x, addend = noise(1, 1, 4, 6), noise(1, 1, 4, 6, special=True)
    assert_same(Unit(zero, False, "left", lambda y: y.clamp(*limits)), x, addend)
    assert_same(Unit(zero, False, "left", F.relu), x, addend)


@pytest.mark.parametrize(
    ("layer", "shape", "result"),
    [
        (conv(16, 40, 3, padding=1), (3, 16, 28, 28), (3, 40, 28, 28)),
        (conv(40, 72, 3, padding=1), (1, 40, 14, 14), (1, 72, 14, 14)),
        (conv(96, 100, 1), (1, 96, 14, 14), (1, 100, 14, 14)),
        (conv(64, 64, 3, padding=1, groups=64), (1, 64, 9, 9), (1, 64, 9, 9)),
        (fe.nn.Linear(300, 700), (130, 300), (130, 700)),
    ],
)
def test_threads_make_no_difference(layer, shape, result):
    unit = Unit(layer, True, "left", F.relu)
    xs = [fe.tensor(noise(*shape)), fe.tensor(noise(*result))]
    program = fe.export(unit, xs, check=False)
    want = sessions(program, "none")[0].run("forward", xs)[0]
    before = fe.get_num_threads()
    try:
        for threads in (1, 2, 3, 4, 8):
            fe.set_num_threads(threads)
            got = sessions(program, "")[0].run("forward", xs)[0]
            assert _ferrule.same_bits(want, got), threads
    finally:
        fe.set_num_threads(before)


def steps(function, *arrays):
    return assert_same(function, *arrays)[1]


WEIGHT = fe.tensor(noise(4, 3, 3, 3))
X = noise(1, 3, 8, 8)


def test_what_others_read_stays_apart():
    def read_twice(x):
        y = F.conv2d(x, WEIGHT)
        return y.relu() + y.sigmoid()

    assert steps(read_twice, X) == ["conv2d", "relu + sigmoid + add"]

    def a_result(x):
        y = F.conv2d(x, WEIGHT)
        return y, y.relu()

    assert steps(a_result, X) == ["conv2d", "relu"]

    def a_view(x):
        y = F.conv2d(x, WEIGHT)
        return y.transpose(2, 3).relu()

    assert steps(a_view, X) == ["conv2d", "relu"]


def test_what_is_of_another_shape_or_order_stays_apart():
    bias = fe.tensor(noise(4, 1, 1))
    many = fe.tensor(noise(3, 1, 4, 6, 6))
    assert steps(lambda x: F.conv2d(x, WEIGHT) + bias, X) == ["conv2d", "add"]
    assert steps(lambda x: F.conv2d(x, WEIGHT) + many, X) == ["conv2d", "add"]
    # The addition comes after the activation, and the second one too late.
    other = fe.tensor(noise(1, 4, 6, 6))
    assert steps(lambda x: F.conv2d(x, WEIGHT).relu() + other, X) == [
        "conv2d + relu",
        "add",
    ]
    assert steps(lambda x: F.conv2d(x, WEIGHT) + other + other, X) == [
        "conv2d + add",
        "add",
    ]
    wide = noise(1, 3, 8, 8).astype(np.float64)
    weight = WEIGHT.double()
    assert steps(lambda x: F.conv2d(x, weight).relu(), wide) == ["conv2d", "relu"]


def test_two_branches_of_a_block():
    a, b = conv(3, 4, 3, padding=1), conv(3, 4, 1)
    # The first runs where its last step stands, when the second one is there.
    want = ["conv2d", "conv2d + add + relu"]
    assert steps(lambda x: (a(x) + b(x)).relu(), X) == want


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 5, 17, 40, 97, 130, 513])
@pytest.mark.parametrize("features", [(3, 2), (70, 33), (400, 129), (1200, 520)])
def test_prepared_weights(dtype, rows, features):
    layer = fe.nn.Linear(*features).to(getattr(fe, dtype))
    x = noise(rows, features[0]).astype(dtype)
    before, after = assert_same(layer, x)
    assert before == ["linear"]
    if (rows, features[0]) in ((40, 70), (130, 400), (513, 1200)):
        assert after == ["linear, prepared"]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_prepared_kernels(groups, dtype):
    layer = conv(24, 28, 3, padding=1, groups=groups).to(getattr(fe, dtype))
    for shape in ((1, 24, 12, 12), (3, 24, 9, 16)):
        assert assert_same(layer, noise(*shape).astype(dtype)) == (
            ["conv2d"],
            ["conv2d, prepared"],
        )
    # Few tiles are multiplied with the kernel as it is.
    few = noise(1, 24, 6, 6).astype(dtype)
    assert assert_same(layer, few) == (["conv2d"], ["conv2d"])


def test_sizes_share_a_prepared_weight_and_training_leaves_it():
    layer = fe.nn.Linear(96, 64)
    optimizer = fe.optim.SGD(layer.parameters(), lr=0.5)
    program = fe.export(
        layer,
        (fe.rand(40, 96),),
        dynamic_shapes=({0: "batch"},),
        train=(F.mse_loss, optimizer),
        targets=(fe.rand(40, 64),),
    )
    plain, fast, other = sessions(program, "none", "", "")
    xs = [fe.tensor(noise(n, 96)) for n in (40, 130, 2)]
    target = fe.zeros(40, 64)

    def compare(a, b):
        for x in xs:
            assert _ferrule.same_bits(
                a.run("forward", [x])[0], b.run("forward", [x])[0]
            )

    compare(plain, fast)
    assert fast.steps("forward", xs[:1]) == ["linear, prepared"]
    for session in (plain, fast):
        session.run("train_step", [xs[0], target])
    compare(plain, fast)
    assert fast.steps("forward", xs[:1]) == ["linear"]
    assert other.steps("forward", xs[:1]) == ["linear, prepared"]
    for name, _ in program._handle.constants():
        other.set_state(name, plain.state(name))
    compare(plain, other)


def test_choosing_passes(tmp_path):
    unit = Unit(conv(3, 4, 3), True, "", F.relu)
    x = fe.tensor(X)
    program = fe.export(unit, (x, x), path=tmp_path / "unit.fer", check=False)

    def kernels(passes):
        return len(sessions(program, passes)[0].steps("forward", [x, x]))

    assert kernels("") == kernels("default") == kernels("all") == 1
    assert kernels("none") == kernels("-epilogues") == 3
    assert kernels("none,epilogues") == kernels("-epilogues,epilogues") == 1
    with pytest.raises(ValueError, match="no pass 'fuse'; there are none, default"):
        kernels("-fuse")
    with pytest.raises(ValueError, match="no pass"):
        fe.load_program(tmp_path / "unit.fer", passes="fuse")
    code = (
        "import ferrule as fe; from ferrule import _ferrule\n"
        f"p = fe.load_program({str(tmp_path / 'unit.fer')!r})\n"
        "x = fe.zeros(1, 3, 8, 8)\n"
        "print(len(p._session.steps('forward', [x, x])))"
    )

    def under(variable):
        return subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"FERRULE_PASSES": variable},
            capture_output=True,
            text=True,
        )

    assert under("-epilogues").stdout == "3\n"
    assert under("").stdout == "1\n"
    assert "FERRULE_PASSES: there is no pass 'x'" in under("x").stderr


class Pool(fe.nn.Module):
    def __init__(self, arguments, indices=False):
        super().__init__()
        self.arguments, self.indices = arguments, indices

    def forward(self, x):
        return F.max_pool2d(x, *self.arguments, return_indices=self.indices)


@pytest.mark.parametrize("dtype", [fe.float32, fe.float64, fe.bfloat16], ids=str)
def test_indices_of_max_pooling_that_nobody_reads(dtype):
    """They get no memory; values are the same, zeros and NaNs to the bit."""
    for width, *arguments in [
        (70, 3, 2, 1),
        (40, 2),
        (9, 2),
        (37, 3, 1, 1),
        (37, 3, 2, 1, 2),
        (20, 5, 3, 2),
        (4, 2, 1, 1, 5),
    ]:
        x = np.sign(noise(2, 3, 9, width)) * np.float32(0)
        x[1] = noise(3, 9, width, special=True)
        x[1, 2].view(np.uint32)[::2, ::3] = np.arange(1, 1 + width)[::3] + 0x7FC00000
        x = fe.tensor(x).to(dtype)
        both = fe.export(Pool(arguments, indices=True), [x], check=False)
        one = fe.export(Pool(arguments), [x], check=False)
        (both,), (one,) = sessions(both, ""), sessions(one, "")
        want = both.run("forward", [x])[0]
        assert _ferrule.same_bits(want, one.run("forward", [x])[0]), arguments
        assert _ferrule.same_bits(want, Pool(arguments)(x)), arguments
        spared = both.arena_bytes("forward", [x]) - one.arena_bytes("forward", [x])
        assert spared >= 8 * want.numel()
