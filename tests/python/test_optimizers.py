"""Optimizers: 20 steps against a float64 rule and PyTorch, and from a file."""

import numpy as np
import pytest

import ferrule as fe
from ferrule import optim

STEPS = 20
# A case is an optimizer and its options.
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {"lr": 0.1, "betas": (0.4, 0.9), "eps": 1e-3}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1}),
    ("RMSprop", {"centered": True, "maximize": True, "eps": 1e-2}),
    ("RMSprop", {"centered": True, "momentum": 0.9, "eps": 1e-2}),
    ("Adagrad", {}),
    (
        "Adagrad",
        {
            "lr": 0.5,
            "lr_decay": 0.1,
            "weight_decay": 0.1,
            "initial_accumulator_value": 0.5,
            "maximize": True,
        },
    ),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.5, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    (
        "NAdam",
        {"momentum_decay": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    ("RAdam", {"lr": 0.01}),
    ("RAdam", {"lr": 0.01, "betas": (0.3, 0.8), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.4, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("ASGD", {}),
    (
        "ASGD",
        {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 5.0, "weight_decay": 0.1},
    ),
    ("ASGD", {"maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"etas": (0.3, 2.0), "step_sizes": (1e-3, 0.05), "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.5, "d": 2.0, "weight_decay": 0.1, "maximize": True}),
    ("Adafactor", {"beta2_decay": -0.5, "eps": (1e-4, 1e-2)}),
]
# SGD and Adam round products before they add them, which PyTorch does not.
CONTRACTED = [case for case in CASES if case[0] not in ("SGD", "Adam", "AdamW")]


def name_of(case):
    return "-".join([case[0], *(f"{k}={v}" for k, v in case[1].items())])


def each(cases):
    return pytest.mark.parametrize(
        ("kind", "options"), cases, ids=[name_of(case) for case in cases]
    )


SHAPES = [(3, 5), (7,), (2, 3, 4), ()]


def start(dtype=np.float32, seed=0, shapes=SHAPES):
    rng = np.random.default_rng([seed, 0])
    normal = [np.asarray(rng.normal(size=s), np.float32) for s in shapes]
    return [a.astype(dtype) for a in normal]


def gradients(dtype=np.float32, seed=0, shapes=SHAPES):
    """The gradients of every step; some signs change, some stay."""
    rng = np.random.default_rng([seed, 1])
    steps = [
        [np.asarray(rng.normal(size=s) + 0.5, np.float32) for s in shapes]
        for _ in range(STEPS)
    ]
    return [[g.astype(dtype) for g in step] for step in steps]


# --- the rules in NumPy, float64 --------------------------------------------


def lerp(a, b, weight):
    return a + weight * (b - a)


class Rule:
    """One parameter's trajectory; a method for each optimizer."""

    def __init__(self, kind, options, p):
        given = getattr(optim, kind)([fe.nn.Parameter(fe.zeros((1,)))], **options)
        self.o = given.param_groups[0]
        self.update = getattr(self, kind.lower().replace("adamw", "adam"))
        self.p = p.copy()
        self.t = 0
        self.s = {}

    def step(self, g):
        self.t += 1
        o = self.o
        g = -g if o.get("maximize") else g
        decay = o.get("weight_decay", 0.0)
        if decay and (o.get("decoupled_weight_decay") or "beta2_decay" in o):
            self.p = self.p * (1 - o["lr"] * decay)
        elif decay:
            g = g + decay * self.p
        self.update(o, g)

    def old(self, key, value=0.0):
        return self.s.get(key, np.full_like(self.p, value))

    def mean(self, key, x, weight):
        self.s[key] = lerp(self.old(key), x, weight)
        return self.s[key]

    def moments(self, o, g):
        beta1, beta2 = o["betas"]
        m = self.mean("m", g, 1 - beta1)
        v = self.mean("v", g * g, 1 - beta2)
        return m, v, 1 - beta1**self.t, 1 - beta2**self.t

    def sgd(self, o, g):
        if o["momentum"]:
            b = g
            if self.t > 1:
                b = o["momentum"] * self.s["b"] + (1 - o["dampening"]) * g
            self.s["b"] = b
            g = g + o["momentum"] * b if o["nesterov"] else b
        self.p = self.p - o["lr"] * g

    def adam(self, o, g):
        m, v, c1, c2 = self.moments(o, g)
        if o["amsgrad"]:
            v = self.s["w"] = np.maximum(v, self.old("w"))
        self.p = self.p - o["lr"] * (m / c1) / (np.sqrt(v / c2) + o["eps"])

    def rmsprop(self, o, g):
        v = self.mean("v", g * g, 1 - o["alpha"])
        if o["centered"]:
            v = v - self.mean("a", g, 1 - o["alpha"]) ** 2
        q = g / (np.sqrt(v) + o["eps"])
        self.s["b"] = o["momentum"] * self.old("b") + q
        self.p = self.p - o["lr"] * self.s["b"]

    def adagrad(self, o, g):
        self.s["s"] = self.old("s", o["initial_accumulator_value"]) + g * g
        lr = o["lr"] / (1 + (self.t - 1) * o["lr_decay"])
        self.p = self.p - lr * g / (np.sqrt(self.s["s"]) + o["eps"])

    def adadelta(self, o, g):
        v = self.mean("v", g * g, 1 - o["rho"])
        d = np.sqrt(self.old("u") + o["eps"]) / np.sqrt(v + o["eps"]) * g
        self.mean("u", d * d, 1 - o["rho"])
        self.p = self.p - o["lr"] * d

    def nadam(self, o, g):
        m, v, _, c2 = self.moments(o, g)
        mu, after = (
            o["betas"][0] * (1 - 0.5 * 0.96 ** (t * o["momentum_decay"]))
            for t in (self.t, self.t + 1)
        )
        product = self.s["mu"] = self.s.get("mu", 1.0) * mu
        n = (1 - mu) * g / (1 - product) + after * m / (1 - product * after)
        self.p = self.p - o["lr"] * n / (np.sqrt(v / c2) + o["eps"])

    def radam(self, o, g):
        m, v, c1, c2 = self.moments(o, g)
        last = 2 / (1 - o["betas"][1]) - 1
        now = last - 2 * self.t * (1 - c2) / c2
        n = m / c1
        if now > 5:
            rect = (now - 4) * (now - 2) * last / ((last - 4) * (last - 2) * now)
            n = n * np.sqrt(rect) * np.sqrt(c2) / (np.sqrt(v) + o["eps"])
        self.p = self.p - o["lr"] * n

    def adamax(self, o, g):
        beta1, beta2 = o["betas"]
        m = self.mean("m", g, 1 - beta1)
        u = self.s["u"] = np.maximum(beta2 * self.old("u"), np.abs(g) + o["eps"])
        self.p = self.p - o["lr"] / (1 - beta1**self.t) * m / u

    def asgd(self, o, g):
        eta = o["lr"]
        mu = 1.0
        if self.t > 1:
            before = self.t - 1
            eta = o["lr"] / (1 + o["lambd"] * o["lr"] * before) ** o["alpha"]
            mu = 1 / max(1, before - o["t0"])
        self.p = self.p * (1 - o["lambd"] * eta) - eta * g
        self.mean("ax", self.p, mu)

    def rprop(self, o, g):
        turn = g * self.old("prev")
        less, more = o["etas"]
        size = self.old("size", o["lr"])
        size = size * np.where(turn > 0, more, np.where(turn < 0, less, 1.0))
        self.s["size"] = np.clip(size, *o["step_sizes"])
        self.s["prev"] = np.where(turn < 0, 0.0, g)
        self.p = self.p - np.sign(self.s["prev"]) * self.s["size"]

    def adafactor(self, o, g):
        eps1, eps2 = o["eps"]
        eps1 = np.finfo(np.float32).eps if eps1 is None else eps1
        weight = self.t ** o["beta2_decay"]
        # The decayed parameter's norm is that before the decay.
        decay = 1 - o["lr"] * o["weight_decay"]
        rms = np.sqrt(np.mean((self.p / decay) ** 2))
        alpha = max(eps2, rms) * min(o["lr"], 1 / np.sqrt(self.t))
        if g.ndim > 1:
            row = self.s.get("row", 0.0)
            row = self.s["row"] = lerp(row, (g * g).mean(-1, keepdims=True), weight)
            col = self.s.get("col", 0.0)
            col = self.s["col"] = lerp(col, (g * g).mean(-2, keepdims=True), weight)
            v = row @ col / np.maximum(row.mean(-2, keepdims=True), eps1)
        else:
            v = self.mean("v", g * g, weight)
        u = g / np.sqrt(np.maximum(v, eps1**2))
        u = u / max(1.0, np.sqrt(np.mean(u * u)) / o["d"])
        self.p = self.p - alpha * u


# --- trajectories -----------------------------------------------------------


def run(optimizer, params, grads):
    """Sets the gradients of each step and takes it; all values on the way."""
    path = []
    for step in grads:
        for p, g in zip(params, step, strict=True):
            p.grad = fe.from_numpy(g.copy()) if g.shape else fe.tensor(g)
        optimizer.step()
        path.append([p.detach().numpy().copy() for p in params])
    return path


def parameters(dtype=np.float32, seed=0, shapes=SHAPES):
    return [fe.nn.Parameter(fe.tensor(p)) for p in start(dtype, seed, shapes)]


@each(CASES)
@pytest.mark.parametrize(("dtype", "tol"), [(np.float32, 3e-5), (np.float64, 1e-11)])
def test_follows_the_rule(kind, options, dtype, tol):
    if kind == "Adafactor" and dtype == np.float64 and "eps" not in options:
        options = {**options, "eps": (float(np.finfo(np.float32).eps), 1e-3)}
    params = parameters(dtype)
    path = run(getattr(optim, kind)(params, **options), params, gradients(dtype))
    rules = [Rule(kind, options, p.astype(np.float64)) for p in start(dtype)]
    for t, (step, grads) in enumerate(zip(path, gradients(dtype), strict=True)):
        for mine, rule, g in zip(step, rules, grads, strict=True):
            rule.step(g.astype(np.float64))
            np.testing.assert_allclose(
                mine, rule.p, rtol=tol, atol=tol, err_msg=f"step {t}"
            )


@each(CASES)
def test_low_precision_parameters(kind, options):
    # State in bfloat16, arithmetic in float32: near to the float32 path at first.
    params = [p.detach().to(fe.bfloat16).requires_grad_() for p in parameters()]
    optimizer = getattr(optim, kind)(params, **options)
    for p, g in zip(params, gradients()[0], strict=True):
        p.grad = fe.tensor(g).to(fe.bfloat16)
    optimizer.step()
    assert all(p.dtype == fe.bfloat16 for p in params)
    for p, before, g in zip(params, start(), gradients()[0], strict=True):
        rule = Rule(kind, options, before.astype(np.float64))
        if kind != "Adafactor":
            rule.step(g.astype(np.float64))
            np.testing.assert_allclose(
                p.detach().to(fe.float32).numpy(), rule.p, rtol=0.03, atol=0.03
            )


@each(CASES)
def test_state_dict_goes_on_bit_for_bit(kind, options, tmp_path):
    params = parameters()
    optimizer = getattr(optim, kind)(params, **options)
    grads = gradients()
    run(optimizer, params, grads[:5])
    fe.save(optimizer.state_dict(), tmp_path / "o.safetensors")
    others = [fe.nn.Parameter(p.detach().clone()) for p in params]
    other = getattr(optim, kind)(others)
    other.load_state_dict(fe.load(tmp_path / "o.safetensors"))
    assert repr(other) == repr(optimizer)
    one = run(optimizer, params, grads[5:])
    two = run(other, others, grads[5:])
    for a, b in zip(one[-1], two[-1], strict=True):
        np.testing.assert_array_equal(a, b)


@each(CASES)
def test_results_do_not_depend_on_the_number_of_threads(kind, options):
    before = fe.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 8):
            fe.set_num_threads(threads)
            p = fe.nn.Parameter(fe.linspace(-1.0, 1.0, 70000).reshape(7, 10000))
            optimizer = getattr(optim, kind)([p], **options)
            for k in range(3):
                p.grad = (p.detach() * (k + 1.5)).cos()
                optimizer.step()
            results.append(p.detach().numpy())
    finally:
        fe.set_num_threads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


# --- in a file ---------------------------------------------------------------


EXPORTED = [
    case
    for case in [*CASES, ("SparseAdam", {"lr": 0.1}), ("Muon", {"lr": 0.1})]
    if not case[1].get("dampening")
]


@each(EXPORTED)
def test_a_file_takes_the_same_steps(kind, options, tmp_path):
    rng = np.random.default_rng(3)
    batches = [
        (
            fe.from_numpy(rng.normal(size=(6, 4)).astype(np.float32)),
            fe.from_numpy(rng.integers(0, 3, size=6)),
        )
        for _ in range(5)
    ]
    fe.manual_seed(0)
    model = fe.nn.Sequential(
        fe.nn.Linear(4, 8, bias=kind != "Muon"),
        fe.nn.Tanh(),
        fe.nn.Linear(8, 3, bias=kind != "Muon"),
    )
    optimizer = getattr(optim, kind)(model.parameters(), **options)
    loss_function = fe.nn.functional.cross_entropy
    x, y = batches[0]
    program = fe.export(
        model,
        (x,),
        dynamic_shapes=({0: "batch"},),
        train=(loss_function, optimizer),
        targets=(y,),
        path=tmp_path / "m.fer",
    )
    program = fe.load_program(tmp_path / "m.fer")
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        assert program.run("train_step", x, y)[0].item() == loss.item()
    state = program.state_dict()
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(
            state[f"model.{name}"].numpy(), p.detach().numpy(), err_msg=name
        )
    step = next(iter(optimizer.state.values()), {}).get("step")
    if step is not None:
        assert step.item() == 5
        assert [v.item() for k, v in state.items() if k.endswith(".step")] == [5]


# --- PyTorch ----------------------------------------------------------------


def both(kind, options, dtype=np.float32, seed=0, shapes=SHAPES):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    mine = parameters(dtype, seed, shapes)
    theirs = [torch.nn.Parameter(torch.tensor(p)) for p in start(dtype, seed, shapes)]
    return (
        mine,
        getattr(optim, kind)(mine, **options),
        theirs,
        getattr(torch.optim, kind)(theirs, **options),
    )


def take(optimizer, params, grads):
    import torch

    for step in grads:
        for p, g in zip(params, step, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()


@each(CASES)
def test_trajectory_is_pytorchs(kind, options):
    mine, optimizer, theirs, reference = both(kind, options)
    for t, grads in enumerate(gradients()):
        run(optimizer, mine, [grads])
        take(reference, theirs, [grads])
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(
                a.detach().numpy(),
                b.detach().numpy(),
                rtol=2e-5,
                atol=2e-5,
                err_msg=f"step {t}",
            )


@each(CONTRACTED)
def test_error_is_no_worse_than_pytorchs(kind, options):
    """Against float64, over all elements and steps of several paths."""
    errors = np.zeros(2)
    shapes = [(30, 50), (700,), (20, 30, 4), ()]
    for seed in range(4):
        mine, optimizer, theirs, reference = both(
            kind, options, seed=seed, shapes=shapes
        )
        exact, exact_optimizer, _, _ = both(kind, options, np.float64, seed, shapes)
        if kind == "Adafactor" and "eps" not in options:
            eps = (float(np.finfo(np.float32).eps), 1e-3)
            exact_optimizer.param_groups[0]["eps"] = eps
        for grads in gradients(seed=seed, shapes=shapes):
            run(optimizer, mine, [grads])
            take(reference, theirs, [grads])
            run(exact_optimizer, exact, [[g.astype(np.float64) for g in grads]])
            for a, b, c in zip(mine, theirs, exact, strict=True):
                right = c.detach().numpy()
                errors[0] += np.sum((a.detach().numpy() - right) ** 2)
                errors[1] += np.sum((b.detach().numpy() - right) ** 2)
    # Both are sums of roundings; of so many elements they scatter by a percent.
    assert errors[0] <= 1.05 * errors[1]


@each(CASES)
def test_state_has_pytorchs_keys_and_is_taken_over(kind, options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    mine, optimizer, theirs, reference = both(kind, options)
    grads = gradients()
    run(optimizer, mine, grads[:5])
    take(reference, theirs, grads[:5])
    ours, other = optimizer.state_dict(), reference.state_dict()
    for a, b in zip(ours["param_groups"], other["param_groups"], strict=True):
        assert a.keys() == b.keys()
        assert a == b
    assert ours["state"].keys() == other["state"].keys()
    for number, entries in other["state"].items():
        kept = {k for k, v in entries.items() if v is not None}
        assert ours["state"][number].keys() == kept
        for key in kept:
            assert tuple(ours["state"][number][key].shape) == tuple(entries[key].shape)
    # PyTorch's state, as tensors of Ferrule, goes on as PyTorch does.
    state = {
        number: {
            k: fe.from_numpy(v.numpy().copy()) if isinstance(v, torch.Tensor) else v
            for k, v in entries.items()
        }
        for number, entries in other["state"].items()
    }
    fresh = [fe.nn.Parameter(fe.tensor(p.detach().numpy())) for p in theirs]
    loaded = getattr(optim, kind)(fresh)
    loaded.load_state_dict({"state": state, "param_groups": other["param_groups"]})
    run(loaded, fresh, grads[5:])
    take(reference, theirs, grads[5:])
    for a, b in zip(fresh, theirs, strict=True):
        np.testing.assert_allclose(
            a.detach().numpy(), b.detach().numpy(), rtol=2e-5, atol=2e-5
        )


ALL = sorted({case[0] for case in CASES} | {"LBFGS", "Muon", "SparseAdam"})


@pytest.mark.parametrize("kind", ALL)
def test_signature_is_pytorchs(kind):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    import inspect

    def described(cls):
        return [
            (p.name, p.kind, p.default)
            for p in inspect.signature(cls).parameters.values()
        ]

    assert described(getattr(optim, kind)) == described(getattr(torch.optim, kind))


# --- Muon -------------------------------------------------------------------


MUON = [
    {},
    {"lr": 0.1, "nesterov": False, "weight_decay": 0.0},
    {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw", "momentum": 0.5},
]


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
@pytest.mark.parametrize("options", MUON, ids=str)
def test_muon_follows_pytorch(shape, options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    first = rng.normal(size=shape).astype(np.float32)
    grads = [[rng.normal(size=shape).astype(np.float32)] for _ in range(STEPS)]
    mine = [fe.nn.Parameter(fe.tensor(first))]
    theirs = [torch.nn.Parameter(torch.tensor(first))]
    optimizer = optim.Muon(mine, **options)
    reference = torch.optim.Muon(theirs, **options)
    run(optimizer, mine, grads)
    take(reference, theirs, grads)
    # Directions are computed in bfloat16: 8 bits, in both.
    lr = options.get("lr", 1e-3)
    np.testing.assert_allclose(
        mine[0].detach().numpy(), theirs[0].detach().numpy(), atol=0.05 * lr * STEPS
    )
    ours, other = optimizer.state_dict(), reference.state_dict()
    assert ours["param_groups"] == other["param_groups"]
    np.testing.assert_allclose(
        ours["state"][0]["momentum_buffer"].numpy(),
        other["state"][0]["momentum_buffer"].numpy(),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("shape", [(8, 4), (4, 8)])
def test_muon_steps_by_nearly_orthogonal_matrices(shape):
    p = fe.nn.Parameter(fe.zeros(shape))
    optimizer = optim.Muon([p], lr=1.0, weight_decay=0.0)
    g = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    run(optimizer, [p], [[g]])
    values = np.linalg.svd(p.detach().numpy(), compute_uv=False)
    ratio = max(1.0, shape[0] / shape[1]) ** 0.5
    assert np.all(values / ratio > 0.6) and np.all(values / ratio < 1.3)
    # The singular vectors are the gradient's.
    u, _, v = np.linalg.svd(g, full_matrices=False)
    nearest = -u @ v * ratio
    step = p.detach().numpy()
    cosine = np.sum(nearest * step) / np.linalg.norm(nearest) / np.linalg.norm(step)
    assert cosine > 0.97


# --- SparseAdam -------------------------------------------------------------


@pytest.mark.parametrize("options", [{"lr": 0.1}, {"betas": (0.5, 0.9), "eps": 1e-3}])
def test_sparse_adam_follows_pytorch_on_embeddings(options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    first = rng.normal(size=(6, 3)).astype(np.float32)
    mine = fe.nn.Parameter(fe.tensor(first))
    theirs = torch.nn.Embedding(6, 3, sparse=True, _weight=torch.tensor(first))
    optimizer = optim.SparseAdam([mine], **options)
    reference = torch.optim.SparseAdam(theirs.parameters(), **options)
    for _ in range(STEPS):
        rows = rng.integers(0, 6, size=2)
        weights = rng.normal(size=(2, 3)).astype(np.float32)
        optimizer.zero_grad()
        (
            fe.nn.functional.embedding(fe.tensor(rows), mine) * fe.tensor(weights)
        ).sum().backward()
        optimizer.step()
        reference.zero_grad()
        (theirs(torch.tensor(rows)) * torch.tensor(weights)).sum().backward()
        reference.step()
        np.testing.assert_allclose(
            mine.detach().numpy(),
            theirs.weight.detach().numpy(),
            rtol=1e-5,
            atol=1e-6,
        )
    assert optimizer.state[mine]["step"].item() == STEPS


def test_sparse_adam_leaves_absent_rows_alone():
    table = fe.nn.Parameter(fe.ones((3, 2)))
    optimizer = optim.SparseAdam([table], lr=0.5)
    run(optimizer, [table], [[np.array([[1, 0], [0, 0], [0, 2]], np.float32)]])
    run(optimizer, [table], [[np.array([[0, 0], [1, 1], [0, 0]], np.float32)]])
    moments = optimizer.state[table]["exp_avg"]
    np.testing.assert_allclose(moments[0].numpy(), [0.1, 0.0], rtol=1e-6)
    assert table[0].tolist()[1] == 1.0  # no gradient, in a row that has one


# --- LBFGS ------------------------------------------------------------------


def rosenbrock(p, power=2):
    return (1 - p[0]) ** power + 100 * (p[1] - p[0] ** 2) ** 2


LBFGS = [
    {"lr": 0.002},
    {"lr": 0.002, "history_size": 2, "max_iter": 7},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_eval": 9, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "tolerance_change": 1e-3},
    {"line_search_fn": "strong_wolfe", "lr": 30.0},
]


@pytest.mark.parametrize("options", LBFGS, ids=str)
def test_lbfgs_follows_pytorch(options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    first = np.array([-1.2, 1.0])
    mine = fe.nn.Parameter(fe.tensor(first))
    theirs = torch.nn.Parameter(torch.tensor(first))

    def evaluate(optimizer, p):
        optimizer.zero_grad()
        loss = rosenbrock(p)
        loss.backward()
        return loss

    optimizer = optim.LBFGS([mine], **options)
    reference = torch.optim.LBFGS([theirs], **options)
    for _ in range(4):
        loss = optimizer.step(lambda: evaluate(optimizer, mine))
        other = reference.step(lambda: evaluate(reference, theirs))
        np.testing.assert_allclose(loss.item(), other.item(), rtol=1e-7, atol=1e-13)
        np.testing.assert_allclose(
            mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-7, atol=1e-9
        )
    ours = optimizer.state_dict()["state"][0]
    state = reference.state_dict()["state"][0]
    assert ours["func_evals"] == state["func_evals"]
    assert ours["n_iter"] == state["n_iter"]
    assert ours.keys() <= state.keys()
    assert state.keys() - ours.keys() <= {"al"}
    assert (
        optimizer.state_dict()["param_groups"]
        == (reference.state_dict()["param_groups"])
    )


@pytest.mark.parametrize("options", LBFGS, ids=str)
def test_lbfgs_state_goes_on(options, tmp_path):
    def closure(optimizer, params):
        def evaluate():
            optimizer.zero_grad()
            loss = rosenbrock(params[0]) + (params[1] ** 2).sum()
            loss.backward()
            return loss

        return evaluate

    params = [fe.nn.Parameter(fe.tensor([-1.0, 1.5])), fe.nn.Parameter(fe.ones((2, 2)))]
    optimizer = optim.LBFGS(params, **options)
    optimizer.step(closure(optimizer, params))
    fe.save(optimizer.state_dict(), tmp_path / "o.safetensors")
    others = [fe.nn.Parameter(p.detach().clone()) for p in params]
    other = optim.LBFGS(others)
    other.load_state_dict(fe.load(tmp_path / "o.safetensors"))
    for _ in range(2):
        optimizer.step(closure(optimizer, params))
        other.step(closure(other, others))
    assert [p.tolist() for p in others] == [p.tolist() for p in params]


def test_lbfgs_finds_the_minimum():
    p = fe.nn.Parameter(fe.tensor([-1.2, 1.0], dtype=fe.float64))
    unused = fe.nn.Parameter(fe.ones((3,), dtype=fe.float64))
    optimizer = optim.LBFGS(
        [p, unused],
        max_iter=200,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(p)
        loss.backward()
        return loss

    first = optimizer.step(closure)
    assert first.item() == pytest.approx(24.2)
    np.testing.assert_allclose(p.detach().numpy(), [1.0, 1.0], atol=1e-6)
    assert unused.tolist() == [1.0, 1.0, 1.0]


def test_lbfgs_is_not_captured_but_its_closure_is():
    def train(compiled):
        fe.manual_seed(0)
        model = fe.nn.Linear(3, 1)
        x, y = fe.rand(8, 3), fe.rand(8, 1)
        optimizer = optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")

        def closure():
            model.zero_grad()
            loss = fe.nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        evaluate = fe.compile(closure) if compiled else closure
        losses = [optimizer.step(evaluate).item() for _ in range(2)]
        for capture in (fe.trace, lambda f, x: fe.compile(f)(x)):
            with pytest.raises(fe.FerruleError, match="as often as the values"):
                capture(lambda x: optimizer.step(closure) * x, x)
        with pytest.raises(ValueError, match=r"such as Adam; .* model.zero_grad\(\)"):
            fe.export(
                model, (x,), train=(fe.nn.functional.mse_loss, optimizer), targets=(y,)
            )
        return losses

    fe.compiler.reset()
    assert train(compiled=True) == train(compiled=False)
    assert fe.compiler.stats().captures <= 2 < fe.compiler.stats().runs


# --- what is refused ---------------------------------------------------------


def vector():
    return [fe.nn.Parameter(fe.ones((2,)))]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: optim.RMSprop(vector(), alpha=-1), ValueError, "alpha must be at"),
        (lambda: optim.Adagrad(vector(), lr_decay=-1), ValueError, "lr_decay must be"),
        (
            lambda: optim.Adadelta(vector(), rho=1.5),
            ValueError,
            r"rho must be in 0\.\.1",
        ),
        (lambda: optim.NAdam(vector(), betas=(1.0, 0.9)), ValueError, r"betas\[0\]"),
        (
            lambda: optim.NAdam(vector(), momentum_decay=-1),
            ValueError,
            "momentum_decay",
        ),
        (lambda: optim.RAdam(vector(), eps=-1), ValueError, "eps must be at least 0"),
        (lambda: optim.Adamax(vector(), betas=(0.9, 2.0)), ValueError, r"betas\[1\]"),
        (lambda: optim.Rprop(vector(), etas=(1.5, 1.2)), ValueError, "etas must be"),
        (
            lambda: optim.ASGD(vector(), weight_decay=-1),
            ValueError,
            "weight_decay must",
        ),
        (lambda: optim.SparseAdam(vector(), lr=0.0), ValueError, "lr must be above 0"),
        (lambda: optim.Muon(vector()), ValueError, r"parameter 0 has shape \(2,\)"),
        (
            lambda: optim.Muon([fe.nn.Parameter(fe.eye(2))], adjust_lr_fn="x"),
            ValueError,
            "adjust_lr_fn must be 'original' or",
        ),
        (
            lambda: optim.Muon([fe.nn.Parameter(fe.eye(2))], ns_steps=100),
            ValueError,
            "ns_steps must be below 100",
        ),
        (lambda: optim.Adafactor(vector(), d=0.5), ValueError, "d must be at least 1"),
        (
            lambda: optim.Adafactor(vector(), beta2_decay=0.5),
            ValueError,
            "beta2_decay must be at most 0",
        ),
        (lambda: optim.Adafactor(vector(), eps=(-1, 0)), ValueError, r"eps\[0\] must"),
        (
            lambda: optim.LBFGS(vector(), line_search_fn="weak"),
            ValueError,
            "line_search_fn must be 'strong_wolfe' or None",
        ),
        (
            lambda: optim.LBFGS([{"params": vector()}, {"params": vector()}]),
            ValueError,
            "all parameters must be in one group",
        ),
        (lambda: optim.LBFGS(vector()).step(), TypeError, "needs a closure"),
        (lambda: optim.LBFGS(vector()).init_state(), ValueError, "cannot be exported"),
        (
            lambda: optim.Adam(vector(), differentiable=True),
            ValueError,
            "differentiable=True is not supported",
        ),
        (
            lambda: optim.Adam(vector(), fused=True, foreach=True),
            RuntimeError,
            "fused and foreach cannot be True together",
        ),
        (
            lambda: optim.Adam(vector(), lr=fe.ones((2,))),
            ValueError,
            r"lr must be a number or a tensor of one element, got shape \(2,\)",
        ),
    ],
)
def test_misuse(make, error, text):
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize("kind", [k for k in ALL if k not in ("LBFGS", "Muon")])
def test_options_of_pytorch_are_accepted(kind):
    import inspect

    known = inspect.signature(getattr(optim, kind)).parameters
    given = {
        k: v
        for k, v in {"foreach": True, "capturable": True, "maximize": True}.items()
        if k in known
    }
    one, two = parameters(), parameters()
    a = getattr(optim, kind)(one, **given, lr=fe.tensor(0.5))
    given.pop("foreach", None)
    given.pop("capturable", None)
    b = getattr(optim, kind)(two, **given, lr=0.5)
    grads = gradients()[:3]
    for x, y in zip(run(a, one, grads)[-1], run(b, two, grads)[-1], strict=True):
        np.testing.assert_array_equal(x, y)
