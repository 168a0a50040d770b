"""Averaged models, SWALR and update_bn against formulas and PyTorch."""

import numpy as np
import pytest

import ferrule as fe
from ferrule.optim import swa_utils


def networks(package):
    nn = package.nn
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


AVERAGES = {
    "mean": lambda s: {},
    "mean_buffers": lambda s: {"use_buffers": True},
    "ema": lambda s: {"avg_fn": s.get_ema_avg_fn(0.9)},
    "ema_multi": lambda s: {"multi_avg_fn": s.get_ema_multi_avg_fn(0.9)},
    "ema_buffers": lambda s: {
        "multi_avg_fn": s.get_ema_multi_avg_fn(0.9),
        "use_buffers": True,
    },
    "swa_multi": lambda s: {"multi_avg_fn": s.get_swa_multi_avg_fn()},
    "swa": lambda s: {"avg_fn": s.get_swa_avg_fn()},
    "own": lambda s: {"avg_fn": lambda average, new, count: average * 0.5 + new * 0.5},
}


@pytest.mark.parametrize("case", AVERAGES)
def test_averages_are_pytorchs(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs, mine = networks(torch), networks(fe)
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    one = swa_utils.AveragedModel(mine, **AVERAGES[case](swa_utils))
    two = torch.optim.swa_utils.AveragedModel(
        theirs, **AVERAGES[case](torch.optim.swa_utils)
    )
    rng = np.random.default_rng(0)
    for _ in range(4):
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            value = rng.normal(size=p.shape).astype(np.float32)
            with fe.no_grad(), torch.no_grad():
                p.copy_(fe.tensor(value))
                q.copy_(torch.tensor(value))
        x = rng.normal(size=(8, 3)).astype(np.float32)
        mine(fe.tensor(x))
        theirs(torch.tensor(x))
        one.update_parameters(mine)
        two.update_parameters(theirs)
    own, state = one.state_dict(), two.state_dict()
    assert set(own) == set(state)
    for key, value in state.items():
        np.testing.assert_allclose(
            own[key].numpy(), value.numpy(), rtol=1e-5, atol=1e-6, err_msg=key
        )
    x = rng.normal(size=(5, 3)).astype(np.float32)
    one.eval()
    two.eval()
    np.testing.assert_allclose(
        one(fe.tensor(x)).detach().numpy(),
        two(torch.tensor(x)).detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("options", [{}, {"avg_fn": swa_utils.get_swa_avg_fn()}])
def test_the_mean_of_models(options):
    model = fe.nn.Linear(2, 2)
    average = swa_utils.AveragedModel(model, **options)
    seen = []
    for k in range(3):
        fe.nn.init.constant_(model.weight, float(k * k))
        seen.append(model.weight.detach().numpy().copy())
        average.update_parameters(model)
    np.testing.assert_allclose(
        average.module.weight.detach().numpy(), np.mean(seen, 0), rtol=1e-6
    )
    assert average.n_averaged.item() == 3
    assert average.module.weight is not model.weight


@pytest.mark.parametrize("multi", [False, True])
def test_ema(multi):
    options = (
        {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.75)}
        if multi
        else {"avg_fn": swa_utils.get_ema_avg_fn(0.75)}
    )
    model = fe.nn.Linear(1, 1, bias=False)
    average = swa_utils.AveragedModel(model, **options)
    for value in (1.0, 5.0, 9.0):
        fe.nn.init.constant_(model.weight, value)
        average.update_parameters(model)
    assert average.module.weight.item() == 0.75 * (0.75 * 1 + 0.25 * 5) + 0.25 * 9


def test_buffers_are_copied_unless_averaged():
    model = fe.nn.BatchNorm1d(2)
    copied = swa_utils.AveragedModel(model)
    averaged = swa_utils.AveragedModel(model, use_buffers=True)
    for value in (0.0, 4.0):
        model.running_mean.fill_(value)
        copied.update_parameters(model)
        averaged.update_parameters(model)
    assert copied.module.running_mean.tolist() == [4.0, 4.0]
    assert averaged.module.running_mean.tolist() == [2.0, 2.0]


def test_update_bn():
    fe.manual_seed(0)
    batches = [fe.randn(16, 3) * (k + 1) for k in range(3)]
    model = networks(fe)
    swa_utils.update_bn([(b, None) for b in batches], model.eval())
    assert not model.training
    assert model[1].momentum == 0.1
    with fe.no_grad():
        hidden = [model[0](b).numpy() for b in batches]
    np.testing.assert_allclose(
        model[1].running_mean.numpy(),
        np.mean([h.mean(0) for h in hidden], 0),
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        model[1].running_var.numpy(),
        np.mean([h.var(0, ddof=1) for h in hidden], 0),
        rtol=1e-4,
    )
    plain = fe.nn.Linear(3, 1)
    swa_utils.update_bn(batches, plain)  # nothing to do


SWALR = [
    {"swa_lr": 0.05},
    {"swa_lr": [0.05, 0.5], "anneal_epochs": 4, "anneal_strategy": "linear"},
    {"swa_lr": 0.05, "anneal_epochs": 0},
]


@pytest.mark.parametrize("options", SWALR, ids=str)
def test_swalr_is_pytorchs(options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def rates(package, utils):
        groups = [
            {"params": [package.nn.Parameter(package.ones((1,)))], "lr": lr}
            for lr in (0.5, 0.2)
        ]
        optimizer = package.optim.SGD(groups, lr=0.1)
        scheduler = utils.SWALR(optimizer, **options)
        path = []
        for _ in range(20):
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["params"][0].sum().backward()
            optimizer.step()
            path.append(scheduler.get_last_lr())
            scheduler.step()
        return path, scheduler.state_dict()

    one, own = rates(fe, swa_utils)
    two, state = rates(torch, torch.optim.swa_utils)
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)
    assert own.keys() == state.keys() - {"_get_lr_called_within_step", "_is_initial"}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: swa_utils.get_ema_avg_fn(1.5), r"decay must be in 0\.\.1"),
        (lambda: swa_utils.get_ema_multi_avg_fn(-0.5), r"decay must be in 0\.\.1"),
        (
            lambda: swa_utils.AveragedModel(
                fe.nn.ReLU(), avg_fn=lambda *a: a, multi_avg_fn=lambda *a: a
            ),
            "give avg_fn or multi_avg_fn, not both",
        ),
        (
            lambda: swa_utils.SWALR(
                fe.optim.SGD([fe.ones((1,))]), 0.1, anneal_strategy="x"
            ),
            "anneal_strategy must be 'cos' or 'linear'",
        ),
        (
            lambda: swa_utils.SWALR(fe.optim.SGD([fe.ones((1,))]), 0.1, -1),
            "anneal_epochs must be an int of at least 0",
        ),
    ],
)
def test_misuse(make, text):
    with pytest.raises(ValueError, match=text):
        make()
