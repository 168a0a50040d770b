"""Learning-rate schedulers against closed forms and PyTorch."""

import math
import warnings

import numpy as np
import pytest

import ferrule as fe
from ferrule.optim import lr_scheduler as mine

EPOCHS = 30


class Power:
    """A callable with state, as some schedules need."""

    def __init__(self, base):
        self.base = base

    def __call__(self, epoch):
        return self.base**epoch


# Name, and how it is made from (module, optimizer).
CASES = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda e: 1 / (1 + e)),
    "lambda_each": lambda s, o: s.LambdaLR(o, [lambda e: 0.9**e, Power(0.8)]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.95),
    "step": lambda s, o: s.StepLR(o, 4, gamma=0.5),
    "multi_step": lambda s, o: s.MultiStepLR(o, [3, 5, 5, 20], gamma=0.5),
    "constant": lambda s, o: s.ConstantLR(o, factor=0.25, total_iters=7),
    "linear": lambda s, o: s.LinearLR(o, 0.25, 0.9, total_iters=11),
    "linear_default": lambda s, o: s.LinearLR(o),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "polynomial": lambda s, o: s.PolynomialLR(o, total_iters=20, power=2.0),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 8, eta_min=0.01),
    "cosine_long": lambda s, o: s.CosineAnnealingLR(o, 50),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, eta_min=0.01),
    "restarts_longer": lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, T_mult=2),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.1, 1.0, step_size_up=4),
    "cyclic_each": lambda s, o: s.CyclicLR(
        o, [0.1, 0.2], [1.0, 2.0], step_size_up=3, step_size_down=6, mode="triangular2"
    ),
    "cyclic_range": lambda s, o: s.CyclicLR(
        o, 0.1, 1.0, step_size_up=4, mode="exp_range", gamma=0.97, base_momentum=0.7
    ),
    "cyclic_function": lambda s, o: s.CyclicLR(
        o,
        0.1,
        1.0,
        step_size_up=4,
        scale_fn=Power(0.9),
        scale_mode="iterations",
        cycle_momentum=False,
    ),
    "one_cycle": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=EPOCHS + 1),
    "one_cycle_linear": lambda s, o: s.OneCycleLR(
        o, [1.0, 2.0], epochs=10, steps_per_epoch=4, anneal_strategy="linear"
    ),
    "one_cycle_three": lambda s, o: s.OneCycleLR(
        o, 1.0, total_steps=40, three_phase=True, cycle_momentum=False, pct_start=0.25
    ),
    "chained": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, total_iters=5), s.ExponentialLR(o, 0.9)]
    ),
    "sequential": lambda s, o: s.SequentialLR(
        o,
        [
            s.LinearLR(o, 0.1, total_iters=5),
            s.CosineAnnealingLR(o, 10),
            s.ExponentialLR(o, 0.9),
        ],
        [5, 15],
    ),
    "sequential_nested": lambda s, o: s.SequentialLR(
        o,
        [
            s.ChainedScheduler([s.ConstantLR(o, 0.5), s.ExponentialLR(o, 0.9)]),
            s.StepLR(o, 3),
        ],
        [8],
    ),
}
each = pytest.mark.parametrize("case", CASES)


def optimizer_of(package, module, kind="SGD"):
    """Two groups with different rates."""
    groups = [
        {"params": [module.Parameter(package.ones((1,)))], "lr": 0.5},
        {"params": [module.Parameter(package.ones((2,)))], "lr": 0.2},
    ]
    if kind == "SGD":
        return package.optim.SGD(groups, lr=0.1, momentum=0.9)
    return package.optim.AdamW(groups, lr=0.1)


def ours(kind="SGD"):
    return optimizer_of(fe, fe.nn, kind)


def take_step(optimizer):
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = p.detach() * 0
    optimizer.step()


def options_of(optimizer):
    keys = ("lr", "momentum", "betas")
    return [{k: g[k] for k in keys if k in g} for g in optimizer.param_groups]


def trajectory(scheduler, optimizer, epochs):
    path = []
    for _ in range(epochs):
        path.append((scheduler.get_last_lr(), options_of(optimizer)))
        take_step(optimizer)
        scheduler.step()
    return path


def flat(path):
    """All numbers in order."""
    if isinstance(path, dict):
        path = list(path.values())
    if isinstance(path, (list, tuple)):
        return [x for part in path for x in flat(part)]
    return [float(path)]


@each
@pytest.mark.filterwarnings("ignore:Detected call of")  # PyTorch's, of the chain
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_rates_are_pytorchs(case, kind):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = optimizer_of(torch, torch.nn, kind)
    optimizer = ours(kind)
    one = trajectory(CASES[case](mine, optimizer), optimizer, EPOCHS)
    two = trajectory(CASES[case](torch.optim.lr_scheduler, theirs), theirs, EPOCHS)
    np.testing.assert_allclose(flat(one), flat(two), rtol=1e-12, atol=1e-15)


# The rate of an epoch, from that of the first group, 0.5.
CLOSED = {
    "lambda": lambda e: 0.5 / (1 + e),
    "multiplicative": lambda e: 0.5 * 0.95**e,
    "step": lambda e: 0.5 * 0.5 ** (e // 4),
    "multi_step": lambda e: 0.5 * 0.5 ** sum(e >= m for m in (3, 5, 5, 20)),
    "constant": lambda e: 0.5 * (0.25 if e < 7 else 1.0),
    "linear": lambda e: 0.5 * (0.25 + 0.65 * min(e, 11) / 11),
    "exponential": lambda e: 0.5 * 0.9**e,
    "polynomial": lambda e: 0.5 * (1 - min(e, 20) / 20) ** 2,
    "cosine": lambda e: 0.01 + 0.49 * (1 + math.cos(math.pi * e / 8)) / 2,
    "restarts": lambda e: 0.01 + 0.49 * (1 + math.cos(math.pi * (e % 5) / 5)) / 2,
    "cyclic": lambda e: 0.1 + 0.9 * (1 - abs((e % 8) / 4 - 1)),
    "chained": lambda e: 0.5 * (0.1 if e < 5 else 1.0) * 0.9**e,
}


@pytest.mark.parametrize("case", CLOSED)
def test_rates_follow_the_formula(case):
    optimizer = ours()
    path = trajectory(CASES[case](mine, optimizer), optimizer, EPOCHS)
    rates = [lrs[0] for lrs, _ in path]
    expected = [CLOSED[case](e) for e in range(EPOCHS)]
    np.testing.assert_allclose(rates, expected, rtol=1e-9, atol=1e-12)
    assert all(options[0]["lr"] == lrs[0] for lrs, options in path)


@pytest.mark.parametrize(
    "case", [c for c in CASES if hasattr(CASES[c](mine, ours()), "_get_closed_form_lr")]
)
def test_an_epoch_can_be_gone_to(case):
    optimizer = ours()
    path = trajectory(CASES[case](mine, optimizer), optimizer, EPOCHS)
    other = ours()
    scheduler = CASES[case](mine, other)
    take_step(other)
    for epoch in (20, 3, 11):
        scheduler.step(epoch)
        np.testing.assert_allclose(
            scheduler.get_last_lr(), path[epoch][0], rtol=1e-9, atol=1e-12
        )


def test_restarts_take_fractions_of_epochs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs, optimizer = optimizer_of(torch, torch.nn), ours()
    for mult in (1, 2):
        a = mine.CosineAnnealingWarmRestarts(optimizer, 3, mult)
        b = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, 3, mult)
        for i in range(60):
            a.step(i / 4)
            b.step(i / 4)
            np.testing.assert_allclose(a.get_last_lr(), b.get_last_lr(), rtol=1e-12)


@each
def test_state_goes_on(case, tmp_path):
    optimizer = ours()
    scheduler = CASES[case](mine, optimizer)
    trajectory(scheduler, optimizer, 7)
    fe.save(
        {"o": optimizer.state_dict(), "s": scheduler.state_dict()},
        tmp_path / "s.safetensors",
    )
    state = fe.load(tmp_path / "s.safetensors")
    other = ours()
    again = CASES[case](mine, other)
    other.load_state_dict(state["o"])
    again.load_state_dict(state["s"])
    one = trajectory(scheduler, optimizer, EPOCHS - 7)
    two = trajectory(again, other, EPOCHS - 7)
    assert flat(one) == flat(two)


@each
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_state_has_pytorchs_keys(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = CASES[case](torch.optim.lr_scheduler, optimizer_of(torch, torch.nn))
    own = CASES[case](mine, ours()).state_dict()
    state = theirs.state_dict()
    assert own.keys() == state.keys() - {"_get_lr_called_within_step", "_is_initial"}


def test_last_epoch_continues():
    optimizer = ours()
    path = trajectory(mine.StepLR(optimizer, 4), optimizer, EPOCHS)
    other = ours()
    other.load_state_dict(optimizer.state_dict())
    for group, lr in zip(other.param_groups, path[9][0], strict=True):
        group["lr"] = lr
    again = mine.StepLR(other, 4, last_epoch=9)
    take_step(other)
    assert again.last_epoch == 10
    assert again.get_last_lr() == path[10][0]


def test_groups_may_name_the_initial_rate():
    group = {"params": [fe.nn.Parameter(fe.ones((1,)))], "initial_lr": 0.5}
    optimizer = fe.optim.SGD([group], lr=0.25)
    scheduler = mine.LambdaLR(optimizer, lambda e: 0.1 * e, last_epoch=4)
    assert scheduler.get_last_lr() == [0.25]


def test_a_tensor_as_rate_is_filled():
    lr = fe.tensor(0.5)
    optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=lr)
    scheduler = mine.ExponentialLR(optimizer, 0.5)
    take_step(optimizer)
    before = scheduler.get_last_lr()
    scheduler.step()
    assert lr.item() == 0.25
    assert optimizer.param_groups[0]["lr"] is lr
    assert before[0].item() == 0.5  # a copy
    assert scheduler.base_lrs[0].item() == 0.5


PLATEAU = [
    {"factor": 0.5, "patience": 2},
    {"mode": "max", "patience": 1, "threshold": 0.05, "cooldown": 2},
    {"threshold_mode": "abs", "threshold": 0.1, "patience": 0, "min_lr": [0.1, 0.01]},
    {"mode": "max", "threshold_mode": "abs", "patience": 0, "eps": 0.3, "factor": 0.5},
]


@pytest.mark.parametrize("options", PLATEAU, ids=str)
def test_plateau(options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    optimizer, theirs = ours(), optimizer_of(torch, torch.nn)
    one = mine.ReduceLROnPlateau(optimizer, **options)
    two = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    rng = np.random.default_rng(0)
    for epoch in range(EPOCHS):
        metric = 1 / (1 + epoch) + 0.3 * rng.random()
        one.step(fe.tensor(metric, dtype=fe.float64) if epoch % 2 else metric)
        two.step(metric)
        assert one.get_last_lr() == two.get_last_lr()
        assert one.num_bad_epochs == two.num_bad_epochs
        assert one.in_cooldown == two.in_cooldown
    assert one.state_dict().keys() == two.state_dict().keys()
    again = mine.ReduceLROnPlateau(optimizer)
    again.load_state_dict(one.state_dict())
    for metric in (0.5, 0.5, 0.5):
        again.step(metric)
        two.step(metric)
        assert again.get_last_lr() == two.get_last_lr()


def test_plateau_lowers_the_rate():
    optimizer = ours()
    scheduler = mine.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    rates = []
    for loss in (1.0, 0.5, 0.5, 0.5, 0.5, 0.5):
        scheduler.step(loss)
        rates.append(scheduler.get_last_lr()[0])
    assert rates == [0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


# --- warnings and errors -----------------------------------------------------


# As in PyTorch, warm restarts do not count their steps, and a chain in a sequence
# has taken one when it begins.
@pytest.mark.parametrize(
    "case", [c for c in CASES if c[:8] != "restarts" and c != "sequential_nested"]
)
def test_a_step_before_the_optimizers_warns(case):
    optimizer = ours()
    scheduler = CASES[case](mine, optimizer)
    with pytest.warns(UserWarning, match=r"was called before optimizer\.step\(\)"):
        scheduler.step()
    other = ours()
    scheduler = CASES[case](mine, other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        take_step(other)
        scheduler.step()


def test_lbfgs_counts_as_a_step():
    p = fe.nn.Parameter(fe.ones((1,)))
    optimizer = fe.optim.LBFGS([p])
    scheduler = mine.ExponentialLR(optimizer, 0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step(closure)
        scheduler.step()


def test_get_lr_outside_of_step_warns():
    scheduler = mine.ExponentialLR(ours(), 0.5)
    with pytest.warns(UserWarning, match=r"the last ones are get_last_lr\(\)"):
        assert scheduler.get_lr() == [0.25, 0.1]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda o: mine.StepLR(3, 1), TypeError, "optimizer is a int, not an"),
        (lambda o: mine.StepLR(o, 1, last_epoch=3), KeyError, "no 'initial_lr'"),
        (
            lambda o: mine.LambdaLR(o, [lambda e: 1.0]),
            ValueError,
            "lr_lambda has 1 values for 2 parameter groups",
        ),
        (lambda o: mine.LambdaLR(o, 3), TypeError, "lr_lambda is a int, not a func"),
        (lambda o: mine.ConstantLR(o, 2.0), ValueError, r"factor must be in 0\.\.1"),
        (lambda o: mine.LinearLR(o, 0.0), ValueError, "start_factor must be above 0"),
        (lambda o: mine.LinearLR(o, 1.0, 2.0), ValueError, r"end_factor must be in"),
        (
            lambda o: mine.CosineAnnealingWarmRestarts(o, 0),
            ValueError,
            "T_0 must be an int of at least 1, got 0",
        ),
        (
            lambda o: mine.CosineAnnealingWarmRestarts(o, 2, 0),
            ValueError,
            "T_mult must be an int of at least 1",
        ),
        (lambda o: mine.CyclicLR(o, 0, 1, mode="x"), ValueError, "mode must be 'tri"),
        (
            lambda o: mine.CyclicLR(fe.optim.Adagrad([fe.ones((1,))]), 0, 1),
            ValueError,
            "Adagrad has neither momentum nor betas; pass cycle_momentum=False",
        ),
        (lambda o: mine.OneCycleLR(o, 1.0), ValueError, "give total_steps, or epochs"),
        (
            lambda o: mine.OneCycleLR(o, 1.0, total_steps=0),
            ValueError,
            "total_steps must be an int above 0, got 0",
        ),
        (
            lambda o: mine.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=1.5),
            ValueError,
            "steps_per_epoch must be an int above 0",
        ),
        (
            lambda o: mine.OneCycleLR(o, 1.0, 10, pct_start=2.0),
            ValueError,
            r"pct_start must be a float in 0\.\.1",
        ),
        (
            lambda o: mine.OneCycleLR(o, 1.0, 10, anneal_strategy="x"),
            ValueError,
            "anneal_strategy must be 'cos' or 'linear'",
        ),
        (lambda o: mine.ReduceLROnPlateau(o, "x"), ValueError, "mode must be 'min' or"),
        (
            lambda o: mine.ReduceLROnPlateau(o, factor=1.0),
            ValueError,
            "factor must be below 1",
        ),
        (
            lambda o: mine.ReduceLROnPlateau(o, threshold_mode="x"),
            ValueError,
            "threshold_mode must be",
        ),
        (
            lambda o: mine.ReduceLROnPlateau(o, min_lr=[0.1]),
            ValueError,
            "min_lr has 1 values for 2",
        ),
        (lambda o: mine.ChainedScheduler([]), ValueError, "at least one scheduler"),
        (
            lambda o: mine.ChainedScheduler([mine.ReduceLROnPlateau(o)]),
            ValueError,
            "scheduler 0 is a ReduceLROnPlateau, whose step needs a metric",
        ),
        (lambda o: mine.ChainedScheduler([3]), TypeError, "scheduler 0 is a int"),
        (
            lambda o: mine.SequentialLR(o, [mine.StepLR(ours(), 1)], []),
            ValueError,
            "scheduler 0 .StepLR. belongs to another optimizer",
        ),
        (
            lambda o: mine.SequentialLR(o, [mine.StepLR(o, 1)], [3]),
            ValueError,
            "1 schedulers need 0 milestones, got 1",
        ),
    ],
)
def test_misuse(make, error, text):
    with pytest.raises(error, match=text):
        make(ours())


def test_a_schedule_that_is_over():
    optimizer = ours()
    scheduler = mine.OneCycleLR(optimizer, 1.0, total_steps=3)
    take_step(optimizer)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="the schedule is over: step 4 of 3"):
        scheduler.step()
