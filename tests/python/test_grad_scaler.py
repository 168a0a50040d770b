"""GradScaler: the scale, skipped steps, state, and PyTorch's trajectories."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import ferrule as fe
from ferrule.amp import GradScaler


def make(**options):
    p = fe.nn.Parameter(fe.tensor([1.0, -2.0]))
    return p, fe.optim.SGD([p], lr=0.5), GradScaler(**options)


def loss_of(p):
    return (p * fe.tensor([3.0, 4.0])).sum()


def iterate(p, optimizer, scaler, spoil=None):
    optimizer.zero_grad()
    scaler.scale(loss_of(p)).backward()
    if spoil is not None:
        with fe.no_grad():
            p.grad[1] = spoil
    scaler.step(optimizer)
    scaler.update()


def test_a_step_is_that_of_unscaled_gradients() -> None:
    p, optimizer, scaler = make()
    assert scaler.get_scale() == 65536.0
    optimizer.zero_grad()
    scaler.scale(loss_of(p)).backward()
    assert p.grad.tolist() == [3.0 * 65536, 4.0 * 65536]
    scaler.step(optimizer)
    assert p.grad.tolist() == [3.0, 4.0]
    assert p.tolist() == [1.0 - 1.5, -2.0 - 2.0]
    scaler.update()
    assert scaler.get_scale() == 65536.0


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_step_with_infinite_gradients_is_skipped(bad: float) -> None:
    p, optimizer, scaler = make(init_scale=8.0, growth_interval=2)
    scales = []
    for spoil in (None, bad, None, None, None, bad):
        before = p.tolist()
        iterate(p, optimizer, scaler, spoil)
        assert (p.tolist() == before) == (spoil is not None)
        scales.append(scaler.get_scale())
    assert scales == [8.0, 4.0, 4.0, 8.0, 8.0, 4.0]


def test_unscale_before_clipping() -> None:
    p, optimizer, scaler = make()
    scaler.scale(loss_of(p)).backward()
    scaler.unscale_(optimizer)
    norm = fe.nn.utils.clip_grad_norm_([p], 1.0)
    assert norm.item() == 5.0
    scaler.step(optimizer)
    assert np.allclose(p.tolist(), [1.0 - 0.3, -2.0 - 0.4])
    scaler.update()


def test_several_optimizers_share_the_scale() -> None:
    p, optimizer, scaler = make(init_scale=4.0)
    q = fe.nn.Parameter(fe.tensor([1.0, 1.0]))
    other = fe.optim.Adam([q])
    scaler.scale(loss_of(p) + loss_of(q)).backward()
    q.grad[0] = math.inf
    scaler.step(optimizer)
    scaler.step(other)
    assert p.tolist() == [-0.5, -4.0]
    assert q.tolist() == [1.0, 1.0]
    scaler.update()
    assert scaler.get_scale() == 2.0


def test_gradients_of_several_dtypes() -> None:
    dtypes = [fe.float32, fe.float64, fe.bfloat16]
    params = [fe.nn.Parameter(fe.ones(3, dtype=t)) for t in dtypes]
    optimizer = fe.optim.SGD(params, lr=1.0)
    scaler = GradScaler(init_scale=16.0)
    scaler.scale(sum((p * 2).sum().float() for p in params)).backward()
    scaler.unscale_(optimizer)
    for p, dtype in zip(params, dtypes, strict=True):
        assert p.grad.dtype is dtype
        assert p.grad.tolist() == [2.0] * 3


def test_scale_of_nested_outputs() -> None:
    scaler = GradScaler(init_scale=4.0)
    a, b = fe.tensor(1.0), fe.tensor([2.0])
    scaled = scaler.scale([a, (b, a)])  # type: ignore[list-item]
    assert isinstance(scaled, list)
    assert isinstance(scaled[1], tuple)
    assert scaled[0].item() == 4.0
    assert scaled[1][0].tolist() == [8.0]
    assert [t.item() for t in scaler.scale(iter([a, a]))] == [4.0, 4.0]
    assert scaler.scale(fe.tensor(1.0, dtype=fe.float16)).dtype is fe.float32
    with pytest.raises(ValueError, match="iterable of Tensors, got int"):
        scaler.scale([3])  # type: ignore[list-item]


def test_disabled() -> None:
    p, optimizer, scaler = make(enabled=False, growth_factor=0.0)
    iterate(p, optimizer, scaler)
    assert p.tolist() == [-0.5, -4.0]
    assert not scaler.is_enabled()
    assert scaler.get_scale() == 1.0
    assert scaler.state_dict() == {}
    scaler.load_state_dict({})
    scaler.unscale_(optimizer)


def test_state() -> None:
    p, optimizer, scaler = make(init_scale=2.0, growth_interval=3)
    iterate(p, optimizer, scaler)
    iterate(p, optimizer, scaler)
    state = scaler.state_dict()
    assert state == {
        "scale": 2.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 3,
        "_growth_tracker": 2,
    }
    loaded = GradScaler()
    loaded.load_state_dict(state)
    again = pickle.loads(pickle.dumps(scaler))
    for s in (scaler, loaded, again):
        iterate(p, optimizer, s)
        assert s.get_scale() == 4.0
    scaler.load_state_dict(state)
    assert scaler.get_scale() == 2.0
    with pytest.raises(RuntimeError, match="state is empty"):
        scaler.load_state_dict({})


def test_settings() -> None:
    p, optimizer, scaler = make(init_scale=2.0)
    scaler.set_growth_factor(3.0)
    scaler.set_backoff_factor(0.25)
    scaler.set_growth_interval(1)
    iterate(p, optimizer, scaler)
    assert scaler.get_scale() == 6.0
    iterate(p, optimizer, scaler, math.inf)
    assert scaler.get_scale() == 1.5
    assert scaler.get_growth_factor() == 3.0
    assert scaler.get_backoff_factor() == 0.25
    assert scaler.get_growth_interval() == 1
    scaler.update(32.0)
    assert scaler.get_scale() == 32.0
    scaler.update(fe.tensor([64.0]))
    assert scaler.get_scale() == 64.0


def test_the_scale_does_not_grow_beyond_float32() -> None:
    p, optimizer, scaler = make(init_scale=2.0**127, growth_interval=1)
    scaler.scale(loss_of(p) * 1e-3)
    p.grad = fe.ones(2)
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**127


def test_messages() -> None:
    p, optimizer, scaler = make()
    for call in (
        lambda: scaler.step(optimizer),
        lambda: scaler.unscale_(optimizer),
        scaler.update,
    ):
        with pytest.raises(RuntimeError, match="nothing was scaled yet"):
            call()
    scaler.scale(loss_of(p))
    with pytest.raises(RuntimeError, match="no parameter of the optimizer has a grad"):
        scaler.step(optimizer)
    scaler = GradScaler()
    scaler.scale(loss_of(p)).backward()
    with pytest.raises(RuntimeError, match="must come before it"):
        scaler.update()
    with pytest.raises(RuntimeError, match="closures are not supported"):
        scaler.step(optimizer, closure=lambda: loss_of(p))
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="a second time for this optimizer"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="can be pickled between iterations"):
        pickle.dumps(scaler)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="a second time for this optimizer"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="called after step"):
        scaler.unscale_(optimizer)
    with pytest.raises(fe.InvalidValue, match=r"one element .* got shape \(2,\)"):
        scaler.update(fe.ones(2))
    half = fe.nn.Parameter(fe.ones(2, dtype=fe.float16))
    half.grad = fe.ones(2, dtype=fe.float16)
    with pytest.raises(fe.DTypeError, match="keep the parameters in float32"):
        scaler.unscale_(fe.optim.SGD([half], lr=0.1))
    with pytest.raises(fe.InvalidValue, match="growth_factor must be more than 1"):
        GradScaler(growth_factor=1.0)
    with pytest.raises(fe.InvalidValue, match="backoff_factor must be less than 1"):
        GradScaler(backoff_factor=1.0)


def test_cannot_be_captured() -> None:
    layer = fe.nn.Linear(2, 1)
    optimizer = fe.optim.SGD(layer.parameters(), lr=0.1)
    scaler = GradScaler()

    def loss(output, target):
        scaler.scale(((output - target) ** 2).mean()).backward()
        scaler.step(optimizer)

    with pytest.raises(RuntimeError, match="train in bfloat16"):
        fe.export(
            layer,
            (fe.ones(3, 2),),
            train=(loss, optimizer),
            targets=(fe.ones(3, 1),),
        )


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_trajectory_is_that_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(3)
    start = rng.standard_normal((4, 3)).astype(np.float32)
    data = rng.standard_normal((40, 5, 4)).astype(np.float32)
    spoiled = {3: np.inf, 4: np.nan, 11: -np.inf, 30: np.inf}

    def run(m):
        w = m.nn.Parameter(m.tensor(start))
        optimizer = getattr(m.optim, name)([w], lr=0.01)
        scaler = m.amp.GradScaler(
            "cpu", 1024.0, growth_factor=3.0, backoff_factor=0.3, growth_interval=4
        )
        trace = []
        for step, x in enumerate(data):
            optimizer.zero_grad()
            loss = ((m.tensor(x) @ w) ** 2).mean()
            scaler.scale(loss).backward()
            if step in spoiled:
                with m.no_grad():
                    w.grad[1, 2] = float(spoiled[step])
            if step % 3 == 0:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update(100.0 if step == 20 else None)
            state = scaler.state_dict()
            trace.append([state["scale"], state["_growth_tracker"]])
        return np.array(trace), w.detach().numpy(), set(state)

    ours, our_w, our_keys = run(fe)
    theirs, their_w, their_keys = run(torch)
    assert np.array_equal(ours, theirs)
    assert our_keys == their_keys
    assert np.allclose(our_w, their_w, rtol=1e-5, atol=1e-6)
