"""optim: groups, state, checkpoints, warnings, errors."""

import warnings

import pytest

import ferrule as fe
from ferrule import nn, optim

MAKERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.1),
    "amsgrad": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.1),
}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def parameters():
    return [nn.Parameter(fe.tensor([1.0, -2.0])), nn.Parameter(fe.tensor([[3.0]]))]


def train(params, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        sum((p * p).sum() for p in params).backward()
        optimizer.step()


def values(params):
    return [p.tolist() for p in params]


@each
def test_goes_down(make):
    params = parameters()
    train(params, make(params), 200)
    assert all(p.abs().amax().item() < 0.1 for p in params)


@each
def test_checkpoint_continues_bit_for_bit(make, tmp_path):
    params = parameters()
    optimizer = make(params)
    train(params, optimizer, 3)
    fe.save({"p": params, "o": optimizer.state_dict()}, tmp_path / "c.safetensors")
    train(params, optimizer, 4)
    state = fe.load(tmp_path / "c.safetensors")
    again = [nn.Parameter(p) for p in state["p"]]
    other = make(again)
    other.load_state_dict(state["o"])
    train(again, other, 4)
    assert values(again) == values(params)


@each
def test_state_made_ahead_changes_nothing(make):
    one, two = parameters(), parameters()
    first, second = make(one), make(two)
    second.init_state()
    second.init_state()
    state = second.state_dict()["state"]
    train(one, first, 3)
    train(two, second, 3)
    assert values(one) == values(two)
    # The same tensors are updated in place, as a captured step needs it.
    for number, entries in second.state_dict()["state"].items():
        for key, value in entries.items():
            assert value is state[number][key]


def test_state_ahead_with_dampening_is_refused():
    optimizer = optim.SGD(parameters(), lr=0.1, momentum=0.9, dampening=0.1)
    with pytest.raises(ValueError, match="take one step before exporting"):
        optimizer.init_state()


def test_state_dict_layout():
    params = parameters()
    optimizer = optim.Adam([{"params": params[:1], "lr": 1.0}, {"params": params[1:]}])
    train(params, optimizer, 2)
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert [group["lr"] for group in state["param_groups"]] == [1.0, 1e-3]
    assert list(state["state"]) == [0, 1]
    assert list(state["state"][0]) == ["step", "exp_avg", "exp_avg_sq"]
    assert state["state"][0]["step"].item() == 2
    assert state["state"][0]["step"].dtype == fe.int64


def test_adam_counts_steps_per_parameter():
    a, b, c = (nn.Parameter(fe.ones((1,))) for _ in range(3))
    optimizer = optim.Adam([a, b, c])
    for active in ([a, b], [a], [a, b, c], [b, c]):
        optimizer.zero_grad()
        for p in active:
            p.sum().backward()
        optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in (a, b, c)] == [3, 3, 2]
    optimizer.load_state_dict(optimizer.state_dict())
    state = optimizer.state
    assert state[a]["step"] is state[b]["step"]
    assert state[a]["step"] is not state[c]["step"]


def test_load_state_dict_copies():
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1, momentum=0.9)
    train(params, optimizer, 1)
    other = optim.SGD(parameters(), lr=0.5, momentum=0.9)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == 0.1
    before = [s["momentum_buffer"].tolist() for s in other.state.values()]
    train(params, optimizer, 1)
    assert [s["momentum_buffer"].tolist() for s in other.state.values()] == before


def test_options_can_change_and_groups_be_added():
    a, b = parameters()
    optimizer = optim.SGD([a], lr=0.0)
    optimizer.add_param_group({"params": b, "lr": 0.5})
    train([a, b], optimizer, 1)
    assert values([a, b]) == [[1.0, -2.0], [[0.0]]]
    optimizer.param_groups[0]["lr"] = 0.5
    train([a, b], optimizer, 1)
    assert values([a]) == [[0.0, 0.0]]
    assert "Parameter Group 1" in repr(optimizer)


def test_accepts_named_parameters():
    layer = nn.Linear(2, 1)
    optimizer = optim.SGD(layer.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["params"][0] is layer.weight


def test_closure_runs_with_gradients():
    (p, _) = parameters()
    optimizer = optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with fe.no_grad():
        assert optimizer.step(closure).item() == 5.0
    assert p.tolist() == [0.5, -1.0]


def test_zero_grad():
    (p, _) = parameters()
    optimizer = optim.SGD([p], lr=0.25)
    (p * p).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_step_without_gradients_warns_once():
    optimizer = optim.Adam(parameters())
    with pytest.warns(UserWarning, match=r"was loss\.backward\(\) called") as caught:
        optimizer.step()
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
    frozen = [p.requires_grad_(False) for p in parameters()]
    with pytest.warns(UserWarning, match="all are frozen"):
        optim.SGD(frozen).step()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: optim.SGD([]), ValueError, "the list of parameters is empty"),
        (lambda: optim.SGD(fe.ones((1,))), TypeError, "must be an iterable"),
        (lambda: optim.SGD([1]), TypeError, "parameter 0 is a int, not a tensor"),
        (
            lambda: optim.SGD([parameters()[0] * 2]),
            ValueError,
            r"parameter 0 of shape \(2,\) is the result of an op",
        ),
        (lambda: optim.SGD([parameters()[0]] * 2), ValueError, "is given twice"),
        (lambda: optim.SGD(parameters(), lr=-1), ValueError, "lr must be at least 0"),
        (
            lambda: optim.SGD(parameters(), momentum=-1),
            ValueError,
            "momentum must be at least 0",
        ),
        (
            lambda: optim.SGD(parameters(), nesterov=True),
            ValueError,
            "nesterov needs a momentum",
        ),
        (
            lambda: optim.Adam(parameters(), betas=(0.9, 1.0)),
            ValueError,
            r"betas\[1\] must be at least 0 and below 1, got 1\.0",
        ),
        (lambda: optim.Adam(parameters(), eps=-1), ValueError, "eps must be at least"),
        (
            lambda: optim.AdamW(parameters(), lr=float("nan")),
            ValueError,
            "lr must be at least 0, got nan",
        ),
        (lambda: optim.SGD([{"lr": 1}]), KeyError, "needs the key 'params'"),
        (
            lambda: optim.SGD([{"params": parameters(), "rate": 1}]),
            KeyError,
            "unknown option 'rate'",
        ),
    ],
)
def test_misuse(make, error, text):
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({}, "expected the keys 'state' and 'param_groups'"),
        ({"state": {}, "param_groups": []}, "has 0 parameter groups, the optimizer 1"),
        (
            {"state": {}, "param_groups": [{"params": [0]}]},
            "has 1 parameters, that of the optimizer 2",
        ),
        (
            {"state": {5: {}}, "param_groups": [{"params": [0, 1]}]},
            "no parameter has the number 5",
        ),
        (
            {
                "state": {0: {"momentum_buffer": fe.ones((3,))}},
                "param_groups": [{"params": [0, 1]}],
            },
            r"momentum_buffer of parameter 0 has shape \(3,\), the parameter \(2,\)",
        ),
    ],
)
def test_state_that_does_not_fit(state, text):
    with pytest.raises(ValueError, match=text):
        optim.SGD(parameters(), momentum=0.9).load_state_dict(state)
