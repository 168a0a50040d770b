"""What a call has made goes with its last reference: nothing waits for Python's
garbage collector, which does not know how large tensors are."""

import gc

import pytest

import ferrule as fe
from ferrule.nn import functional as F

X = fe.ones(64, 1000)


def step(model, optimizer):
    loss = F.mse_loss(model(X), X[:, :8])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def training(compiled):
    model = fe.nn.Sequential(fe.nn.Linear(1000, 64), fe.nn.ReLU(), fe.nn.Linear(64, 8))
    optimizer = fe.optim.Adam(model.parameters())
    run = fe.compile(step) if compiled else step
    return lambda: run(model, optimizer)


def compiled(function):
    run = fe.compile(function)
    return lambda: run(X)


def exported(function):
    program = fe.export(function, (X,), check=False)
    return lambda: program(X)


@fe.script
def scripted(x):
    y = x
    while 0.0 < y.sum() < 1e9:
        y = y * 10.0
    return {"y": y, "pair": (x, y)}


def nested(x):
    return {"sum": x + 1.0, "list": [x * 2.0, (x.exp(), None)]}


def pair(x):
    return x + 1.0, [x * 2.0]


def saved_by_checkpoint():
    x = X.clone().requires_grad_()
    fe.utils.checkpoint.checkpoint(lambda x: x.exp().sin(), x).sum().backward()


def twice(function):
    return fe.func.grad(lambda x: fe.func.grad(lambda x: function(x).sum())(x).sum())


CALLS = {
    "eager": lambda: lambda: nested(X),
    "backward": lambda: training(compiled=False),
    "compiled step": lambda: training(compiled=True),
    "compiled": lambda: compiled(nested),
    "compiled with gradients": lambda: lambda: compiled(nested)()["sum"],
    "program": lambda: exported(nested),
    "script": lambda: lambda: scripted(X),
    "script in a program": lambda: exported(scripted),
    "vmap": lambda: lambda: fe.vmap(pair)(X),
    "grad of grad": lambda: lambda: twice(fe.exp)(X),
    "jvp": lambda: lambda: fe.func.jvp(pair, (X,), (X,)),
    "jacrev": lambda: lambda: fe.func.jacrev(fe.sin)(X[0, :30]),
    "checkpoint": lambda: saved_by_checkpoint,
    "while_loop": lambda: (
        lambda: fe.while_loop(
            lambda i, x: i < 3, lambda i, x: (i + 1, x * 2.0), (fe.tensor(0), X)
        )
    ),
    "loader": lambda: (
        lambda: list(
            fe.utils.data.DataLoader(
                fe.utils.data.TensorDataset(X, X), batch_size=8, shuffle=True
            )
        )
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_left(name):
    call = CALLS[name]()
    for _ in range(3):
        call()
    gc.collect()
    gc.disable()
    try:
        before = fe.memory_stats()["allocated"]
        for _ in range(8):
            call()
        grown = fe.memory_stats()["allocated"] - before
    finally:
        gc.enable()
    assert grown < X.nbytes, f"{grown / X.nbytes:.1f} times an argument's size"


def test_large_scratch_is_given_back():
    """That of a transform of eight million numbers, of which 128 MB are copies."""
    before = fe.memory_stats()["allocated"]
    fe.fft.fft(fe.randn(1 << 23))
    # What stays is a thread's own scratch and the tables of the transform.
    assert fe.memory_stats()["allocated"] - before < 64 << 20
