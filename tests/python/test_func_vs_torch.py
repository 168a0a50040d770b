"""ferrule.func beside torch.func: values, structures, and what is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ferrule as fe

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(5)
X, Y, W = (RNG.standard_normal(s) for s in ((4, 3), (4, 3), (3, 3)))


def to(lib: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return lib.tensor(value)
    if isinstance(value, (tuple, list)):
        return type(value)(to(lib, v) for v in value)
    if isinstance(value, dict):
        return {k: to(lib, v) for k, v in value.items()}
    return value


def check(got: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert isinstance(got, fe.Tensor) and got.shape == tuple(expected.shape)
        assert str(got.dtype).split(".")[-1] == str(expected.dtype).split(".")[-1]
        np.testing.assert_allclose(
            got.detach().numpy(), expected.detach().numpy(), 1e-9, 1e-9
        )
    elif isinstance(expected, (tuple, list)):
        assert type(got) is type(expected) and len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            check(g, e)
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for k in expected:
            check(got[k], expected[k])
    else:
        assert got == expected


def loss(lib: Any, w: Any, x: Any, y: Any) -> Any:
    return ((lib.tanh(x @ w) - y) ** 2).mean()


CASES = {
    "grad": lambda lib, F: F.grad(lambda w, x, y: loss(lib, w, x, y), (0, 1))(
        *to(lib, (W, X, Y))
    ),
    "grad_and_value": lambda lib, F: F.grad_and_value(
        lambda t: ((t["w"] ** 2).sum(), {"aux": t["w"] * 2}), has_aux=True
    )(to(lib, {"w": W})),
    "per sample": lambda lib, F: F.vmap(
        F.grad(lambda w, x, y: loss(lib, w, x, y)), in_dims=(None, 0, 0)
    )(*to(lib, (W, X, Y))),
    "vjp": lambda lib, F: F.vjp(
        lambda a, b: {"p": a * b, "s": [a.sum()]}, *to(lib, (X, Y))
    )[1]({"p": to(lib, X), "s": [to(lib, np.full((), 2.0))]}),
    "vjp of one": lambda lib, F: F.vjp(lib.sin, to(lib, X))[1](to(lib, Y)),
    "jvp": lambda lib, F: F.jvp(
        lambda a, b: (a * b, a.sin()), to(lib, (X, Y)), to(lib, (Y, X))
    ),
    "linearize": lambda lib, F: F.linearize(lambda a: (a.sin(), a * a), to(lib, X))[1](
        to(lib, Y)
    ),
    "jacrev": lambda lib, F: F.jacrev(
        lambda a, b: {"m": a @ b, "t": (a.sum(1),)}, (0, 1)
    )(*to(lib, (X, W))),
    "jacfwd": lambda lib, F: F.jacfwd(
        lambda a, b: {"m": a @ b, "t": (a.sum(1),)}, (0, 1)
    )(*to(lib, (X, W))),
    "jacrev of a dict": lambda lib, F: F.jacrev(lambda t: t["a"] * t["b"])(
        to(lib, {"a": X, "b": Y})
    ),
    "hessian": lambda lib, F: F.hessian(lambda w, x: lib.tanh(x @ w).sum(), (0, 1))(
        *to(lib, (W, X))
    ),
    "hessian of vectors": lambda lib, F: F.hessian(lambda x: x.sin() * x.sum())(
        to(lib, X[0])
    ),
    "vmap": lambda lib, F: F.vmap(
        lambda a, b: (a @ b, a.sum()), in_dims=(1, None), out_dims=(1, 0)
    )(*to(lib, (X, RNG.standard_normal((4, 2)) * 0 + X[:, :2]))),
    "vmap of dicts": lambda lib, F: F.vmap(
        lambda t: {"out": t["a"][0] * t["b"]}, in_dims=({"a": 0, "b": 1},)
    )(to(lib, {"a": (X,), "b": X.T})),
    "jacobian by vmap": lambda lib, F: F.vmap(
        F.jacrev(lambda x: lib.tanh(x) * x.sum())
    )(to(lib, X)),
    "hessians by vmap": lambda lib, F: F.vmap(F.hessian(lambda x: (x**3).prod()))(
        to(lib, X)
    ),
    "vmap of jvp": lambda lib, F: F.vmap(
        lambda x, v: F.jvp(lambda t: (t**2).sum(), (x,), (v,))
    )(*to(lib, (X, Y))),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_structures(name: str) -> None:
    check(CASES[name](fe, fe.func), CASES[name](torch, torch.func))


ERRORS = {
    "vector": lambda lib, F: F.grad(lambda x: x)(to(lib, X)),
    "one element": lambda lib, F: F.grad(lambda x: x.sum(0, keepdim=True))(
        to(lib, X[0])
    ),
    "argnums": lambda lib, F: F.grad(lambda x: x.sum(), argnums=2)(to(lib, X)),
    "integers": lambda lib, F: F.grad(lambda x: x.sum())(lib.arange(3)),
    "aux": lambda lib, F: F.grad(lambda x: x.sum(), has_aux=True)(to(lib, X)),
    "cotangents": lambda lib, F: F.vjp(lib.sin, to(lib, X))[1](to(lib, X[0])),
    "sizes": lambda lib, F: F.vmap(lib.add)(*to(lib, (X, W))),
    "in_dims": lambda lib, F: F.vmap(lib.sin, in_dims=3)(to(lib, X)),
    "no samples": lambda lib, F: F.vmap(lib.sin, in_dims=(None,))(to(lib, X)),
    "numbers": lambda lib, F: F.vmap(lib.add)(to(lib, X), 1.0),
    "result": lambda lib, F: F.vmap(lambda x: 1)(to(lib, X)),
    "out_dims": lambda lib, F: F.vmap(lib.sin, out_dims=(0, 0))(to(lib, X)),
    "item": lambda lib, F: F.vmap(lambda x: x.sum().item())(to(lib, X)),
    "random": lambda lib, F: F.vmap(lambda x: x + lib.rand(3))(to(lib, X)),
    "in place": lambda lib, F: F.vmap(lambda x, y: x.add_(y), in_dims=(None, 0))(
        *to(lib, (X[0], Y))
    ),
    "models": lambda lib, F: F.stack_module_state([lib.nn.Linear(1, 1), lib.nn.Tanh()]),
    "strict": lambda lib, F: F.functional_call(
        lib.nn.Linear(1, 1), {}, lib.ones(1), strict=True
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_same_is_an_error(name: str) -> None:
    for lib in (torch, fe):
        with pytest.raises((RuntimeError, ValueError, TypeError, AssertionError)):
            ERRORS[name](lib, lib.func)


@pytest.mark.parametrize("name", sorted(fe.func.__all__))
def test_signatures(name: str) -> None:
    import inspect

    theirs = getattr(torch.func, name, None)
    if theirs is None:
        assert name == "value_and_grad"
        return
    ours = inspect.signature(getattr(fe.func, name)).parameters
    for key, p in inspect.signature(theirs).parameters.items():
        if key.startswith("_"):
            continue
        assert key in ours, key
        assert ours[key].default == p.default, key
