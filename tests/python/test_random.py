"""Random numbers: generators, signatures, distributions, the same bits always."""

import copy
import pickle
import threading

import numpy as np
import pytest

import ferrule as fe
from ferrule.utils.data import DataLoader, RandomSampler, TensorDataset, random_split

N = 100_000

# Everything that draws, as a function of its keywords.
DRAWS = {
    "rand": lambda **k: fe.rand(3, 5, **k),
    "randn": lambda **k: fe.randn((3, 5), **k),
    "rand_like": lambda **k: fe.rand_like(fe.zeros(7), **k),
    "randn_like": lambda **k: fe.randn_like(fe.zeros(7), **k),
    "randint": lambda **k: fe.randint(0, 1000, (9,), **k),
    "randint_like": lambda **k: fe.randint_like(fe.zeros(9), 1000, **k),
    "randperm": lambda **k: fe.randperm(50, **k),
    "bernoulli": lambda **k: fe.bernoulli(fe.full((40,), 0.5), **k),
    "multinomial": lambda **k: fe.multinomial(fe.ones(50), 10, **k),
    "normal": lambda **k: fe.normal(fe.zeros(3), 1.0, **k),
    "normal_": lambda **k: fe.empty(5).normal_(**k),
    "uniform_": lambda **k: fe.empty(5).uniform_(**k),
    "bernoulli_": lambda **k: fe.empty(40).bernoulli_(0.5, **k),
    "exponential_": lambda **k: fe.empty(5).exponential_(**k),
    "geometric_": lambda **k: fe.empty(40).geometric_(0.1, **k),
    "cauchy_": lambda **k: fe.empty(5).cauchy_(**k),
    "log_normal_": lambda **k: fe.empty(5).log_normal_(**k),
    "random_": lambda **k: fe.empty(5, dtype=fe.int64).random_(**k),
}


@pytest.fixture(autouse=True)
def seeded():
    fe.manual_seed(12)


def array(t):
    return t.double().numpy()


# --- generators


@pytest.mark.parametrize("name", DRAWS)
def test_every_draw_takes_a_generator(name):
    draw = DRAWS[name]
    g = fe.Generator().manual_seed(5)
    before = fe.get_rng_state().tolist()
    a = draw(generator=g)
    b = draw(generator=g)
    assert fe.get_rng_state().tolist() == before
    assert a.tolist() != b.tolist()
    g.manual_seed(5)
    assert draw(generator=g).tolist() == a.tolist()
    fe.manual_seed(5)
    assert draw().tolist() == a.tolist()
    assert draw(generator=None).tolist() == b.tolist()
    with pytest.raises(TypeError, match="Generator"):
        draw(generator=3)


def test_ops_that_do_not_draw_take_no_generator():
    with pytest.raises(TypeError, match="unknown argument"):
        fe.zeros(3, generator=fe.Generator())


def test_generator_methods():
    g = fe.Generator()
    assert g.manual_seed(7) is g and g.initial_seed() == 7
    assert g.device == fe.device("cpu")
    state = g.get_state()
    assert state.dtype == fe.uint8 and state.shape == (16,)
    a = fe.rand(4, generator=g)
    clone = g.clone_state()
    again = pickle.loads(pickle.dumps(g))
    deep = copy.deepcopy(g)
    expected = fe.rand(4, generator=g).tolist()
    for other in (clone, again, deep):
        assert fe.rand(4, generator=other).tolist() == expected
    g.set_state(state)
    assert fe.rand(4, generator=g).tolist() == a.tolist()
    assert g.seed() == g.initial_seed() != g.clone_state().seed()
    g.manual_seed(-1)
    assert g.initial_seed() == 2**64 - 1
    for bad in (2**64, -(2**63) - 1):
        with pytest.raises(fe.InvalidValue, match="seed"):
            g.manual_seed(bad)
    with pytest.raises(TypeError):
        g.manual_seed("7")
    for bad in (fe.zeros(16), fe.zeros(15, dtype=fe.uint8)):
        with pytest.raises(fe.InvalidValue, match="state"):
            g.set_state(bad)
    with pytest.raises(TypeError):
        g.set_state((1, 2))
    assert "seed=18446744073709551615" in repr(g)


def test_default_generator_is_the_state_of_the_process():
    assert fe.manual_seed(3) is fe.default_generator
    assert fe.initial_seed() == 3
    a = fe.rand(3)
    fe.manual_seed(3)
    assert fe.rand(3, generator=fe.default_generator).tolist() == a.tolist()
    assert fe.seed() == fe.initial_seed()


def test_fork_rng():
    before = fe.get_rng_state().tolist()
    with fe.random.fork_rng():
        fe.manual_seed(1)
        fe.rand(2)
    assert fe.get_rng_state().tolist() == before
    with pytest.raises(ZeroDivisionError), fe.random.fork_rng():
        fe.rand(int(1 / 0))
    assert fe.get_rng_state().tolist() == before
    with fe.random.fork_rng(enabled=False):
        fe.rand(2)
    assert fe.get_rng_state().tolist() != before


def test_state_in_a_checkpoint(tmp_path):
    fe.save({"rng": fe.get_rng_state(), "w": fe.ones(2)}, tmp_path / "c.safetensors")
    a = fe.rand(3)
    fe.set_rng_state(fe.load(tmp_path / "c.safetensors")["rng"])
    assert fe.rand(3).tolist() == a.tolist()


def test_threads_share_a_generator_without_repeating():
    g = fe.Generator().manual_seed(0)
    results = []

    def work():
        for _ in range(50):
            results.append(fe.randint(0, 1 << 62, (1,), generator=g).item())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(results)) == 200
    g.manual_seed(0)
    alone = {fe.randint(0, 1 << 62, (1,), generator=g).item() for _ in range(200)}
    assert alone == set(results)


@pytest.mark.parametrize("name", DRAWS)
def test_same_bits_on_any_number_of_threads(name):
    threads = fe.get_num_threads()
    big = {
        "rand": lambda: fe.rand(N),
        "randint": lambda: fe.randint(0, 1000, (N,)),
        "randperm": lambda: fe.randperm(N),
    }.get(name)
    if big is None and name.endswith("_"):
        argument = {"bernoulli_": (0.3,), "geometric_": (0.3,)}.get(name, ())
        big = lambda: getattr(fe.empty(N), name)(*argument)  # noqa: E731
    draw = big or DRAWS[name]
    try:
        found = []
        for n in (1, 2, 4):
            fe.set_num_threads(n)
            fe.manual_seed(9)
            found.append(draw().tolist())
    finally:
        fe.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


def test_generators_and_capture():
    g = fe.Generator()
    x = fe.ones(3)
    with pytest.raises(fe.FerruleError, match="generator="):
        fe.export(lambda t: t + fe.rand(3, generator=g), (x,))


# --- data


def test_data_takes_generators():
    data = TensorDataset(fe.arange(0, 20))

    def g():
        return fe.Generator().manual_seed(4)

    before = fe.get_rng_state().tolist()
    assert list(RandomSampler(data, generator=g())) == list(
        RandomSampler(data, generator=g())
    )
    loaders = [
        DataLoader(data, batch_size=5, shuffle=True, generator=g()) for _ in range(2)
    ]
    epochs = [[[b[0].tolist() for b in loader] for _ in range(2)] for loader in loaders]
    assert epochs[0] == epochs[1] and epochs[0][0] != epochs[0][1]
    parts = [random_split(data, [0.5, 0.5], generator=g()) for _ in range(2)]
    assert list(parts[0][0].indices) == list(parts[1][0].indices)
    assert fe.get_rng_state().tolist() == before


# --- signatures


def test_randint_forms():
    for draw in (
        lambda: fe.randint(3, (1000,)),
        lambda: fe.randint(3, size=(1000,)),
        lambda: fe.randint(high=3, size=(1000,)),
        lambda: fe.randint(0, 3, (1000,)),
        lambda: fe.randint(low=0, high=3, size=[1000]),
        lambda: fe.randint_like(fe.zeros(1000, dtype=fe.int64), 3),
        lambda: fe.randint_like(fe.zeros(1000, dtype=fe.int64), 0, 3),
    ):
        fe.manual_seed(1)
        x = draw()
        assert x.dtype == fe.int64 and sorted(set(x.tolist())) == [0, 1, 2]
    assert fe.randint(3, (2,), dtype=fe.float32).dtype == fe.float32
    assert fe.randint_like(fe.zeros(2), 5).dtype == fe.float32
    assert fe.randint(2, (2,), dtype=fe.float32, requires_grad=True).requires_grad
    with pytest.raises(fe.InvalidValue):
        fe.randint(0, (2,))
    with pytest.raises(TypeError, match="size"):
        fe.randint(3)


def test_normal_forms():
    mean = fe.tensor([[1.0], [100.0]])
    std = fe.tensor([0.0, 1.0])
    x = fe.normal(mean, std)
    assert x.shape == (2, 2) and x[0, 0].item() == 1.0 and x[1, 0].item() == 100.0
    assert fe.normal(2.0, std)[0].item() == 2.0
    assert fe.normal(mean.double(), 1.0).dtype == fe.float64
    assert fe.normal(0.0, 1.0, (2, 3), dtype=fe.float64).dtype == fe.float64
    assert not fe.normal(mean.clone().requires_grad_(), 1.0).requires_grad
    for bad in (lambda: fe.normal(0.0, 1.0), lambda: fe.normal(mean, -1.0)):
        with pytest.raises(fe.InvalidValue):
            bad()
    with pytest.raises(fe.InvalidValue):
        fe.normal(mean, 1.0, (2, 1))


def test_random_in_place_ranges():
    for dtype, high in [(fe.uint8, 255), (fe.int8, 127), (fe.float16, 2048)]:
        x = array(fe.empty(N, dtype=dtype).random_())
        assert x.min() == 0 and x.max() == high
    wide = fe.empty(1000, dtype=fe.int64).random_().numpy()
    assert wide.min() >= 0 and wide.max() > 2**62
    x = fe.empty(1000).random_(5)
    assert sorted(set(x.tolist())) == [0, 1, 2, 3, 4]
    x = fe.empty(1000, dtype=fe.int32).random_(-2, 1)
    assert sorted(set(x.tolist())) == [-2, -1, 0]
    assert set(fe.empty(100, dtype=fe.bool).random_().tolist()) == {True, False}
    with pytest.raises(fe.InvalidValue):
        fe.empty(3).random_(0)


def test_errors_of_in_place_draws():
    x = fe.empty(3)
    for bad in (
        lambda: x.exponential_(0.0),
        lambda: x.geometric_(1.0),
        lambda: x.geometric_(0.0),
        lambda: x.cauchy_(0.0, -1.0),
        lambda: x.log_normal_(0.0, 0.0),
        lambda: x.bernoulli_(1.5),
        lambda: fe.bernoulli(x, 2.0),
        lambda: x.normal_(0.0, -1.0),
    ):
        with pytest.raises(fe.InvalidValue):
            bad()
    for name in ("exponential_", "cauchy_", "log_normal_", "normal_", "uniform_"):
        with pytest.raises(fe.DTypeError):
            getattr(fe.empty(3, dtype=fe.int64), name)()


def test_draws_into_views():
    x = fe.zeros(4, 6)
    x[:, ::2].exponential_()
    found = array(x)
    assert (found[:, 1::2] == 0).all() and (found[:, ::2] > 0).all()


# --- distributions (fixed seeds: these never fail by chance)


def check(samples, cdf):
    """Kolmogorov and Smirnov's distance, below its 99.9% quantile."""
    x = np.sort(array(samples))
    n = len(x)
    below = np.arange(n) / n
    p = cdf(x)
    distance = max(np.abs(p - below).max(), np.abs(p - below - 1 / n).max())
    assert distance < 1.95 / np.sqrt(n)


def normal_cdf(x):
    from math import erf

    return 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


@pytest.mark.parametrize("dtype", [fe.float32, fe.float64], ids=str)
def test_continuous_distributions(dtype):
    x = fe.empty(N, dtype=dtype)
    check(x.uniform_(-1.0, 3.0), lambda v: (v + 1) / 4)
    check(x.normal_(2.0, 3.0), lambda v: normal_cdf((v - 2) / 3))
    check(x.exponential_(2.0), lambda v: 1 - np.exp(-2 * v))
    check(x.cauchy_(1.0, 2.0), lambda v: 0.5 + np.arctan((v - 1) / 2) / np.pi)
    check(x.log_normal_(0.5, 0.75), lambda v: normal_cdf((np.log(v) - 0.5) / 0.75))
    mean, var = array(x.normal_()).mean(), array(x.normal_()).var()
    assert abs(mean) < 0.02 and abs(var - 1) < 0.02


def chi_square(samples, values, expected):
    """Below its 99.9% quantile, by Wilson and Hilferty's approximation."""
    counts = np.array([(array(samples) == v).sum() for v in values])
    assert counts.sum() == samples.numel() or len(values) < 50
    wanted = np.array(expected) * samples.numel()
    statistic = ((counts - wanted) ** 2 / wanted).sum()
    df = len(values) - 1
    limit = df * (1 - 2 / (9 * df) + 3.09 * np.sqrt(2 / (9 * df))) ** 3
    assert statistic < limit


def test_discrete_distributions():
    chi_square(fe.randint(-2, 5, (N,)), range(-2, 5), [1 / 7] * 7)
    p = 0.3
    geometric = fe.empty(N).geometric_(p)
    few = geometric[geometric <= 12]
    weights = np.array([p * (1 - p) ** (k - 1) for k in range(1, 13)])
    chi_square(few, range(1, 13), weights / weights.sum())
    assert abs(array(geometric).mean() - 1 / p) < 0.05
    chi_square(fe.empty(N).bernoulli_(p), [0, 1], [1 - p, p])
    chi_square(fe.bernoulli(fe.full((N,), p)), [0, 1], [1 - p, p])
    chi_square(fe.bernoulli(fe.empty(N), p), [0, 1], [1 - p, p])
    firsts = fe.tensor([fe.randperm(5)[0].item() for _ in range(5000)])
    chi_square(firsts, range(5), [0.2] * 5)


def test_multinomial():
    w = fe.tensor([1.0, 0.0, 3.0, 4.0])
    x = fe.multinomial(w, N, replacement=True)
    assert x.shape == (N,) and x.dtype == fe.int64
    chi_square(x, [0, 2, 3], [1 / 8, 3 / 8, 4 / 8])
    many = fe.multinomial(w.reshape(1, 4).expand(20_000, 4), 2)
    first, second = array(many).T
    assert (first != second).all() and not (array(many) == 1).any()
    chi_square(many[:, 0], [0, 2, 3], [1 / 8, 3 / 8, 4 / 8])
    # The second, given that the first is 3: 1 to 3.
    rest = fe.tensor(second[first == 3])
    chi_square(rest, [0, 2], [1 / 4, 3 / 4])
    assert sorted(fe.multinomial(fe.ones(6, dtype=fe.float16), 6).tolist()) == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]
    for bad in (fe.tensor([1.0, -1.0]), fe.tensor([1.0, fe.nan]), fe.zeros(2)):
        with pytest.raises(fe.FerruleError):
            fe.multinomial(bad, 1)
    for call in (
        lambda: fe.multinomial(w, 5),
        lambda: fe.multinomial(w, 0),
        lambda: fe.multinomial(w, 4),  # only three can be drawn
        lambda: fe.multinomial(fe.ones(2, 2, 2), 1),
        lambda: fe.multinomial(fe.ones(0), 1),
        lambda: fe.multinomial(fe.tensor([1, 2]), 1),
    ):
        with pytest.raises(fe.FerruleError):
            call()
    assert fe.multinomial(fe.ones(0, 3), 2).shape == (0, 2)
