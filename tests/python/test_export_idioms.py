"""What people write in models: exported with free sizes and compiled, it has the bits
of eager."""

import math

import pytest

import ferrule as fe
from ferrule import _ferrule
from ferrule._tree import flatten
from ferrule.nn import functional as F

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


@case
def causal_mask(x):
    T = x.shape[1]
    m = fe.tril(fe.ones(T, T))
    s = x @ x.transpose(1, 2)
    s = s.masked_fill(m[:T, :T] == 0, float("-inf"))
    return F.softmax(s, -1) @ x


@case
def positions(x):
    pos = fe.arange(x.size(1)).unsqueeze(0)
    return x + pos.unsqueeze(-1) * 0.1


@case
def hidden_state(x):
    h = fe.zeros(x.size(0), x.size(2))
    for t in range(3):
        h = fe.tanh(h + x[:, t])
    return h


@case
def write_symbolic(x):
    out = fe.zeros(x.size(0), 3, x.size(2))
    for t in range(3):
        out[:, t] = x[:, t] * t
    return out


@case
def zeros_like_write(x):
    out = fe.zeros_like(x)
    out[:, 0] = x[:, 1]
    out[:, 1:] += 1
    return out


@case
def view_heads(x):
    b, t, c = x.shape
    q = x.view(b, t, 2, c // 2).transpose(1, 2)
    return q.transpose(1, 2).contiguous().view(b, t, c)


@case
def einsum(x):
    return fe.einsum("btc,bsc->bts", x, x)


@case
def chunk(x):
    a, b = x.chunk(2, -1)
    return a * fe.sigmoid(b)


@case
def last(x):
    return x[:, -1, :]


@case
def mean_dims(x):
    return x.mean([1, 2])


@case
def expand(x):
    return fe.ones(1, 1, x.shape[-1]).expand(x.shape[0], -1, -1) + x[:, :1]


@case
def cls_token(x):
    return fe.cat([fe.zeros(x.shape[0], 1, x.shape[2]), x], dim=1)


@case
def repeat(x):
    return x.repeat(1, 2, 1)


@case
def gather(x):
    i = x[:, :, 0].argmax(1)
    return x.gather(1, i.view(-1, 1, 1).expand(-1, 1, x.size(2))).squeeze(1)


@case
def one_hot(x):
    return F.one_hot(x[:, :, 0].abs().long().clamp(max=4), 5).float()


@case
def scatter(x):
    i = (x[:, :, 0] > 0).long()
    return fe.zeros(x.size(0), 2, x.size(2)).scatter_add_(
        1, i.unsqueeze(-1).expand_as(x), x
    )


@case
def bool_index_fill(x):
    y = x.clone()
    y[y < 0] = 0
    return y


@case
def rope(x):
    t = fe.arange(x.size(1)).float()
    f = 1.0 / (10000 ** (fe.arange(0, x.size(2), 2).float() / x.size(2)))
    a = fe.outer(t, f)
    c, s = a.cos(), a.sin()
    x1, x2 = x[..., ::2], x[..., 1::2]
    return fe.stack([x1 * c - x2 * s, x1 * s + x2 * c], -1).flatten(-2)


@case
def topk(x):
    v, i = x.topk(2, dim=1)
    return v, i


@case
def sort(x):
    return x.sort(dim=1)[0]


@case
def cumsum(x):
    return x.cumsum(1) / fe.arange(1, x.size(1) + 1).view(1, -1, 1)


@case
def pad(x):
    return F.pad(x, (1, 1, 2, 0))


@case
def unfold(x):
    return x.unfold(1, 2, 1)


@case
def roll(x):
    return fe.roll(x, 1, dims=1)


@case
def norm(x):
    return F.normalize(x, dim=-1), x.norm(dim=-1)


@case
def dict_out(x):
    return {"a": x.sum(), "b": [x.max(), x.min()]}


@case
def type_as(x):
    return (x > 0).type_as(x) + x.new_zeros(1)


@case
def size_arith(x):
    n = x.shape[0] * x.shape[1]
    return x.reshape(n, -1).sum(0) / n


@case
def split_sizes(x):
    a, b = x.split([1, x.size(2) - 1], -1)
    return a + b.sum(-1, keepdim=True)


@case
def math_sqrt(x):
    return x / math.sqrt(x.size(-1))


@case
def meshgrid(x):
    a, b = fe.meshgrid(fe.arange(x.size(1)), fe.arange(x.size(1)), indexing="ij")
    return a - b


@case
def index_list(x):
    return x[:, [0, 1, 1]]


@case
def tensor_index(x):
    return x[fe.arange(x.size(0)), x[:, :, 0].argmax(1)]


@case
def where_(x):
    return fe.where(x > 0, x, fe.zeros(()))


@case
def inplace_add(x):
    y = x * 2
    y += 1
    y.mul_(3)
    y.clamp_(min=0)
    return y


@case
def masked_mean(x):
    m = (x[:, :, 0] > 0).unsqueeze(-1)
    return (x * m).sum(1) / m.sum(1).clamp(min=1)


@case
def loss(x):
    return F.cross_entropy(x.flatten(0, 1), x.flatten(0, 1).argmax(-1))


@case
def interp(x):
    return F.interpolate(x.unsqueeze(1), scale_factor=2, mode="bilinear")


@case
def interp_size(x):
    return F.interpolate(x.unsqueeze(1), size=(x.shape[1] * 2, 8))


@case
def amax_keep(x):
    return x - x.amax(-1, keepdim=True)


@case
def logcumsum(x):
    return x.logsumexp(1)


@case
def tri(x):
    return fe.triu(fe.full((x.size(1), x.size(1)), float("-inf")), diagonal=1)


@case
def baddbmm(x):
    return fe.baddbmm(fe.zeros(1, 1, 1), x, x.transpose(1, 2))


@case
def flip(x):
    return x.flip(1)


@case
def rows_one_by_one(x):
    s = 0
    for r in x[0]:
        s = s + r
    return s


@case
def buffer_cache(x):
    c = fe.zeros(x.size(0), 8, x.size(2))
    c[:, : x.size(1)] = x
    return c


@case
def f16(x):
    return x.half().float()


@case
def std(x):
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)


@case
def diag(x):
    return fe.diagonal(x @ x.transpose(1, 2), dim1=1, dim2=2)


def inputs():
    fe.manual_seed(0)
    return fe.randn(3, 5, 6), fe.randn(4, 7, 6)


def assert_same(got, want):
    for a, b in zip(flatten(got)[0], flatten(want)[0], strict=True):
        assert _ferrule.same_bits(a, b), (a, b)


# A loop over the rows of x is written down as often as there are rows.
SIZES = {0: fe.Dim("batch", min=1, max=64), 1: fe.Dim("time", min=3, max=7)}
FIXED = {"rows_one_by_one"}


@pytest.mark.parametrize("name", CASES)
def test_exported(name):
    function = CASES[name]
    x, y = inputs()
    if name in FIXED:
        assert_same(fe.export(function, (x,))(x), function(x))
        return
    program = fe.export(function, (x,), dynamic_shapes=(SIZES,))
    for z in (x, y):
        assert_same(program(z), function(z))


@pytest.mark.parametrize("name", CASES)
def test_compiled(name):
    function = CASES[name]
    compiled = fe.compile(function)
    for z in inputs():
        assert_same(compiled(z), function(z))
