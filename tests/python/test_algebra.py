"""Pass "algebra": calls that change nothing go, and no bit changes."""

import pytest

import ferrule as fe
from ferrule.nn import functional as F
from test_passes import assert_same, noise


def whole(x):
    return (x * 3.0).to(fe.int32)


# What is left of each; each begins with exp, so that something is.
GOES = {
    "relu of relu": (lambda x: F.relu(F.relu(x)), ["relu"]),
    "abs of abs": (lambda x: x.abs().abs(), ["abs"]),
    "sign of sign": (lambda x: x.sign().sign(), ["sign"]),
    "floor of floor": (lambda x: x.floor().floor().floor(), ["floor"]),
    "clamp of the same clamp": (lambda x: x.clamp(0.5, 2.0).clamp(0.5, 2.0), ["clamp"]),
    "clamp of another clamp": (
        lambda x: x.clamp(0.5, 2.0).clamp(0.5, 1.0),
        ["clamp", "clamp"],
    ),
    "neg of neg": (lambda x: x.neg().neg(), []),
    "not of not": (lambda x: (x > 1.0).logical_not().logical_not(), ["gt"]),
    "not of a number": (
        lambda x: x.logical_not().logical_not(),
        ["logical_not", "logical_not"],
    ),
    "times 1": (lambda x: x * 1.0, []),
    "times 1 into another dtype": (lambda x: whole(x) * 1.0, ["mul", "cast", "mul"]),
    "times 2": (lambda x: x * 2.0, ["mul"]),
    "divided by 1": (lambda x: x / 1, []),
    "divided by 1, downwards": (
        lambda x: fe.div(x, 1.0, rounding_mode="floor"),
        ["div"],
    ),
    "less 0": (lambda x: x - 0.0, []),
    "less -0": (lambda x: x - -0.0, ["sub"]),
    "0 more": (lambda x: x + 0.0, ["add"]),
    "copy": (lambda x: x.clone(), []),
    "to a wider dtype and back": (lambda x: x.to(fe.float64).to(fe.float32), []),
    "to a narrower dtype and back": (
        lambda x: x.to(fe.bfloat16).to(fe.float32),
        ["cast", "cast"],
    ),
    "integers and back": (
        lambda x: whole(x).to(fe.int64).to(fe.int32),
        ["mul", "cast"],
    ),
    "integers through floats": (
        lambda x: whole(x).to(fe.float32).to(fe.int32),
        ["mul", "cast", "cast", "cast"],
    ),
    "transposed twice": (lambda x: x.transpose(0, 1).transpose(0, 1), []),
    "permuted there and back": (
        lambda x: x.permute(1, 2, 0).permute(-1, 0, 1).exp(),
        ["exp"],
    ),
    "permuted twice": (lambda x: x.permute(1, 2, 0).permute(1, 2, 0).exp(), ["exp"]),
    "reshaped twice": (lambda x: x.reshape(-1).reshape(6, 20).exp(), ["exp"]),
    "a chain": (
        lambda x: (-(x * 1.0).clone() - 0.0).transpose(0, 1).neg(),
        ["neg", "neg"],
    ),
}


@pytest.mark.parametrize("name", GOES)
def test_goes(name):
    function, left = GOES[name]
    x = noise(4, 5, 6, special=True)
    _, after = assert_same(lambda x: function(x.exp()), x, passes="none,algebra,dce")
    assert after == ["exp", *left]


def test_a_result_may_be_an_input_or_the_same_twice():
    def copies(x):
        return x.clone(), x * 1.0, (x - 0.0) * 1.0

    assert assert_same(copies, noise(3, 4), passes="")[1] == []


def test_state_that_changes_is_not_its_copy():
    class Counter(fe.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", fe.ones(3))

        def forward(self, x):
            before = self.count.clone()
            self.count += x
            self.count[1:] *= 2.0
            return before, self.count * 1.0

    assert_same(Counter(), noise(3))
