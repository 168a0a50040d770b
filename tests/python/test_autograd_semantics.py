"""Hooks, modes, anomaly mode, checkpointing, functional derivatives, warnings."""

import contextlib
import gc
import re
import threading
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

import ferrule as fe
from ferrule.autograd import Function, functional, grad, once_differentiable
from ferrule.autograd.graph import (
    Node,
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)
from ferrule.nn import functional as F
from ferrule.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    set_checkpoint_debug_enabled,
    set_checkpoint_early_stop,
)


def leaf(*values, dtype=fe.float64):
    return fe.tensor(list(values), dtype=dtype, requires_grad=True)


def this_line(offset):
    """The line so many lines above the caller's."""
    import sys

    return sys._getframe(1).f_lineno - offset


# --- hooks of tensors


def test_tensor_hooks_in_order_replace_and_are_removed():
    x = leaf(1.0, 2.0)
    y = x * 3
    seen = []
    first = y.register_hook(lambda g: seen.append(("first", g.tolist())))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: seen.append(("third", g.tolist())))
    x.register_hook(lambda g: g + 1)
    y.sum().backward(retain_graph=True)
    assert seen == [("first", [1.0, 1.0]), ("third", [10.0, 10.0])]
    assert x.grad.tolist() == [31.0, 31.0]
    first.remove()
    first.remove()  # does nothing
    seen.clear()
    y.sum().backward()
    assert [name for name, _ in seen] == ["third"]


def test_hook_is_removed_though_the_tensor_was_written_since():
    x = leaf(1.0)
    y = x * 2
    calls = []
    handle = y.register_hook(calls.append)
    y.mul_(3.0)
    handle.remove()
    y.backward(fe.ones_like(y))
    assert calls == [] and x.grad.tolist() == [6.0]


def test_hook_of_the_value_before_a_write_sees_its_gradient():
    x = leaf(1.0)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    y.mul_(3.0)
    y.sum().backward()
    assert seen == [3.0]


def test_retain_grad_shows_what_hooks_made_of_it_in_any_order():
    x = leaf(1.0)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    y.register_hook(lambda g: g * 7)
    y.sum().backward()
    assert y.grad.tolist() == [7.0] and x.grad.tolist() == [14.0]


@pytest.mark.parametrize(
    "result", [fe.ones(3, dtype=fe.float64), fe.ones(2), 1.0], ids=str
)
def test_hook_must_return_a_gradient_of_the_same_kind(result):
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: result)
    with pytest.raises((fe.AutogradError, TypeError), match="register_hook"):
        x.sum().backward()
    assert x.grad is None


def test_hook_errors_come_through():
    x = leaf(1.0)
    x.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        x.sum().backward()


@pytest.mark.parametrize("chosen", [False, True])
def test_post_accumulate_hooks(chosen):
    x = leaf(1.0, 2.0)
    seen = []

    def drop(t):
        seen.append(t is x and t.grad.tolist())
        t.grad = None

    handle = x.register_post_accumulate_grad_hook(drop)
    (x * 2).sum().backward(inputs=[x] if chosen else None)
    assert seen == [[2.0, 2.0]] and x.grad is None
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(fe.AutogradError, match="only leaf"):
        (x * 2).register_post_accumulate_grad_hook(drop)


def test_hooks_refuse_tensors_without_gradient():
    with pytest.raises(fe.AutogradError, match="does not require grad"):
        fe.ones(2).register_hook(lambda g: None)
    with pytest.raises(TypeError, match="expected a function"):
        leaf(1.0).register_hook(3)


def test_hook_may_remove_itself_and_others():
    x = leaf(1.0)
    calls = []

    def once(g):
        calls.append(1)
        handle.remove()

    handle = x.register_hook(once)
    (x * 1).sum().backward()
    (x * 1).sum().backward()
    assert calls == [1]


# --- grad and backward


def test_grad_arguments():
    x, y, unused = leaf(2.0), leaf(3.0), leaf(1.0)
    z = x * x * y
    dx, dy = grad([z], [x, y], [fe.tensor([2.0], dtype=fe.float64)], retain_graph=True)
    assert dx.item() == 24.0 and dy.item() == 8.0
    with pytest.raises(fe.AutogradError, match="allow_unused"):
        grad(z, unused, retain_graph=True)
    assert grad(z, [unused], retain_graph=True, allow_unused=True) == (None,)
    (zero,) = grad(z, [unused], retain_graph=True, materialize_grads=True)
    assert zero.tolist() == [0.0]
    (g,) = grad(z, x, create_graph=True)
    assert grad(g, x)[0].item() == 6.0
    assert x.grad is None


def test_backward_into_inputs_leaves_the_others_alone():
    x, y = leaf(2.0), leaf(3.0)
    hidden = x * 1
    z = (hidden * y).sum()
    z.backward(inputs=[y, hidden], retain_graph=True)
    assert x.grad is None and y.grad.item() == 2.0
    hidden.retain_grad()
    assert hidden.grad.item() == 3.0
    z.backward(fe.tensor(2.0, dtype=fe.float64), inputs=y)
    assert y.grad.item() == 6.0


def test_grad_setter_and_deletion():
    x = leaf(1.0, 2.0)
    with pytest.raises(fe.ShapeError):
        x.grad = fe.ones(3, dtype=fe.float64)
    with pytest.raises(fe.DTypeError):
        x.grad = fe.ones(2)
    with pytest.raises(TypeError):
        x.grad = 3
    x.grad = fe.ones(2, dtype=fe.float64)
    assert x.grad.tolist() == [1.0, 1.0]
    del x.grad
    assert x.grad is None


def test_properties():
    x = leaf(1.0)
    y = x * 2
    assert x.is_leaf and not y.is_leaf and y.detach().is_leaf
    assert x.output_nr == 0 and y.output_nr == 0
    before = y._version
    y.add_(1.0)
    assert y._version == before + 1
    z = y.requires_grad_()
    assert z is y
    with pytest.raises(fe.AutogradError, match="leaf"):
        y.requires_grad_(False)
    assert y.detach_() is y
    assert y.is_leaf and not y.requires_grad and y.grad_fn is None
    with pytest.raises(fe.AutogradError, match="view"):
        (x * 1)[:1].detach_()


def test_nodes():
    x = leaf(1.0)
    y = x.exp()
    z = y + x * 2
    assert x.grad_fn is None
    assert isinstance(z.grad_fn, Node) and repr(z.grad_fn) == "<AddBackward>"
    (first, nr), (second, _) = z.grad_fn.next_functions
    assert first.name() == "ExpBackward" and nr == 0
    assert first == y.grad_fn and hash(first) == hash(y.grad_fn)
    assert first != second and first != 3
    ((leaf_node, _),) = second.next_functions
    assert leaf_node.name() == "AccumulateGrad" and leaf_node.next_functions == ()
    (_, _), (none, _) = (x * fe.ones(1, dtype=fe.float64)).grad_fn.next_functions
    assert none is None


def test_a_node_outlives_its_tensor():
    x = leaf(1.0)
    node = (x * 2).exp().grad_fn
    gc.collect()
    assert node.next_functions[0][0].name() == "MulBackward"


# --- modes


def test_modes_as_decorators():
    x = leaf(1.0)

    @fe.no_grad()
    def with_parentheses(t, factor=2):
        "doc"
        return t * factor

    @fe.no_grad
    def bare(t):
        return t * 2

    @fe.inference_mode
    def inference(t):
        return fe.is_inference_mode_enabled(), t * 2

    @fe.inference_mode(False)
    def recording(t):
        return t * 2

    @fe.enable_grad
    def enabled(t):
        return t * 2

    assert with_parentheses.__doc__ == "doc"
    assert not with_parentheses(x, factor=3).requires_grad
    assert not bare(x).requires_grad
    on, y = inference(x)
    assert on and not y.requires_grad and not fe.is_inference_mode_enabled()
    with fe.no_grad():
        assert enabled(x).requires_grad
        assert recording(x).requires_grad
        assert not fe.is_grad_enabled()
    with pytest.raises(TypeError):
        fe.no_grad(3)


def test_modes_hold_inside_of_generators_only():
    @fe.no_grad
    def produce():
        got = []
        try:
            while True:
                got.append((yield fe.is_grad_enabled()))
        except ValueError:
            got.append("thrown")
            yield fe.is_grad_enabled()
        return got

    generator = produce()
    assert next(generator) is False and fe.is_grad_enabled()
    assert generator.send("a") is False and fe.is_grad_enabled()
    assert generator.throw(ValueError()) is False and fe.is_grad_enabled()
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == ["a", "thrown"]
    closed = []

    @fe.no_grad()
    def until_closed():
        try:
            yield 1
        finally:
            closed.append(fe.is_grad_enabled())

    generator = until_closed()
    next(generator)
    generator.close()
    assert closed == [False] and fe.is_grad_enabled()
    with fe.no_grad():
        generator = until_closed()
        next(generator)
    del generator


def test_set_grad_enabled():
    fe.set_grad_enabled(False)
    assert not fe.is_grad_enabled()
    fe.set_grad_enabled(True)
    with fe.set_grad_enabled(False):
        assert not fe.is_grad_enabled()
    assert fe.is_grad_enabled()

    @fe.set_grad_enabled(False)
    def off():
        return fe.is_grad_enabled()

    assert fe.is_grad_enabled() and not off() and fe.is_grad_enabled()


def test_modes_are_reentrant_and_belong_to_a_thread():
    mode = fe.no_grad()
    with mode, mode:
        with mode:
            assert not fe.is_grad_enabled()
        assert not fe.is_grad_enabled()
        found = []
        thread = threading.Thread(target=lambda: found.append(fe.is_grad_enabled()))
        thread.start()
        thread.join()
        assert found == [True]
    assert fe.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), fe.no_grad():
        1 / 0  # noqa: B018
    assert fe.is_grad_enabled()


def test_inference_tensors_stay_outside():
    with fe.inference_mode():
        w = fe.ones(2) * 2
    x = fe.ones(2, requires_grad=True)
    with pytest.raises(fe.AutogradError, match="inference_mode"):
        x * w
    assert (x * w.clone()).requires_grad


# --- errors that show the place


def test_version_errors_name_both_ops_and_both_lines():
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y.exp().mul(y)
    used = this_line(1)
    y.add_(1.0)
    written = this_line(1)
    with pytest.raises(fe.AutogradError) as error:
        z.sum().backward()
    text = str(error.value)
    assert text.startswith("[mul] a tensor saved for its gradient, float64 (2,)")
    assert "overwritten in place by 'add'" in text
    assert f"used here: {__file__}:{used}: z = y.exp().mul(y)" in text
    assert f"overwritten here: {__file__}:{written}: y.add_(1.0)" in text


def test_lines_are_those_of_the_user_not_of_the_library():
    layer = fe.nn.Linear(2, 2)
    x = fe.ones((3, 2)) * 1
    y = layer(x)
    used = this_line(1)
    x.zero_()
    with pytest.raises(fe.AutogradError) as error:
        y.sum().backward()
    assert f"used here: {__file__}:{used}: y = layer(x)" in str(error.value)


def test_lines_of_ops_that_run_without_the_gil():
    x = fe.ones(100_000, requires_grad=True)
    y = x * 1
    z = y.exp() * y
    used = this_line(1)
    y.zero_()
    written = this_line(1)
    with pytest.raises(fe.AutogradError) as error:
        z.sum().backward()
    assert f"used here: {__file__}:{used}:" in str(error.value)
    assert f"overwritten here: {__file__}:{written}:" in str(error.value)


def test_lines_of_forgotten_code_are_unknown_but_never_wrong():
    def failing(k):
        scope = {"fe": fe}
        exec(
            compile(
                "x = fe.ones(2, requires_grad=True)\ny = x * 1\nz = y * y\ny.zero_()",
                f"<made {k}>",
                "exec",
            ),
            scope,
        )
        return scope["z"]

    kept = [failing(k) for k in range(9000)]
    for k, z in enumerate(kept):
        with pytest.raises(fe.AutogradError) as error:
            z.sum().backward()
        for name in re.findall(r"here: (.*?):\d", str(error.value)):
            assert name == f"<made {k}>"
    assert "used here: <made 8999>:3" in str(error.value)


def test_second_backward_names_the_line():
    x = leaf(1.0)
    y = x.exp()
    line = this_line(1)
    y.sum().backward()
    with pytest.raises(fe.AutogradError, match=f":{line}: y = x.exp"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        (lambda x: x * 2, "computed from nothing that does"),
        (fe.no_grad()(lambda x: (x.requires_grad_() * 2).sum()), "under no_grad"),
        (lambda x: x.requires_grad_().exp().detach() * 2, r"detach\(\) had cut"),
    ],
)
def test_backward_without_history_says_why(cut, reason):
    loss = (cut(fe.ones(2)) + 1).sum()
    with pytest.raises(fe.AutogradError, match=reason):
        loss.backward()


# --- anomaly mode


def test_anomaly_mode_finds_the_nan():
    x = leaf(0.0, 1.0)
    with fe.autograd.detect_anomaly():
        y = fe.sqrt(x)
        line = this_line(1)
        loss = (y * fe.tensor([0.0, 1.0], dtype=fe.float64)).sum()
        with pytest.raises(fe.AutogradError) as error:
            loss.backward()
    text = str(error.value)
    assert text.startswith("[sqrt] its gradient in 'input' has NaN")
    assert f'test_autograd_semantics.py", line {line}' in text
    assert "y = fe.sqrt(x)" in text


def test_anomaly_mode_without_nan_check():
    x = leaf(0.0)
    with fe.autograd.detect_anomaly(check_nan=False):
        (fe.sqrt(x) * 0).sum().backward()
    assert np.isnan(x.grad.item())


def test_anomaly_mode_shows_the_forward_call_of_errors():
    class Broken(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g[:1]

    x = leaf(1.0, 2.0)
    with fe.autograd.set_detect_anomaly(True):
        y = Broken.apply(x)
        with pytest.raises(fe.AutogradError, match="has NaN"):
            (fe.log(leaf(0.0) * 0) * 0).sum().backward()
        z = y * 1
        w = z * z
        z.zero_()
        with pytest.raises(fe.AutogradError, match=r"(?s)overwritten.*w = z \* z"):
            w.sum().backward()
    assert fe._ferrule.anomaly_mode() == (False, False)


def test_anomaly_mode_is_off_by_default_and_nests():
    x = leaf(0.0)
    (fe.sqrt(x) * 0).sum().backward()
    outer = fe.autograd.detect_anomaly()
    with outer, outer:
        pass
    assert not fe._ferrule.anomaly_mode()[0]
    fe.autograd.set_detect_anomaly(True)
    assert fe._ferrule.anomaly_mode() == (True, True)
    fe.autograd.set_detect_anomaly(False)
    assert not fe._ferrule.anomaly_mode()[0]


# --- hooks on what is saved


def test_saved_tensor_hooks_see_everything_and_change_nothing():
    def program(x, w):
        h = (x @ w).tanh()
        return (fe.softmax(h, -1) * h.exp()).sum()

    x = fe.randn((3, 4), dtype=fe.float64).requires_grad_()
    w = fe.randn((4, 5), dtype=fe.float64).requires_grad_()
    expected = grad(program(x, w), [x, w])
    packed, unpacked = [], []

    def pack(t):
        assert not t.requires_grad and not fe.is_grad_enabled()
        packed.append(t)
        return t.numpy().copy()

    def unpack(array):
        unpacked.append(array)
        return fe.from_numpy(array)

    with saved_tensors_hooks(pack, unpack):
        y = program(x, w)
    assert len(packed) >= 5 and not unpacked
    got = grad(y, [x, w], create_graph=True)
    for a, b in zip(got, expected, strict=True):
        assert a.tolist() == b.tolist()
    assert len(unpacked) >= len(packed)
    (xx,) = grad(got[0].sum(), x, retain_graph=True)  # through what was unpacked
    y2 = program(x, w)
    (g2,) = grad(y2, x, create_graph=True)
    assert grad(g2.sum(), x)[0].tolist() == xx.tolist()


def test_saved_tensor_hooks_nest_and_are_checked():
    x = leaf(2.0)
    log = []

    def hooks(name):
        return saved_tensors_hooks(lambda t: log.append(name) or t, lambda t: t)

    with hooks("outer"):
        a = x.exp()
        with hooks("inner"):
            b = x.exp()
        c = x.exp()
    x.exp()
    assert log == ["outer", "inner", "outer"]
    (a + b + c).sum().backward()
    for wrong in (fe.ones(3), fe.ones(1)):
        with saved_tensors_hooks(lambda t: None, lambda _, wrong=wrong: wrong):
            y = x.exp()
        with pytest.raises(fe.AutogradError, match="unpack hook"):
            y.sum().backward()
    with saved_tensors_hooks(lambda t: None, lambda _: 3):
        y = x.exp()
    with pytest.raises(TypeError, match="must return a Tensor"):
        y.sum().backward()
    with (
        pytest.raises(ZeroDivisionError),
        saved_tensors_hooks(lambda t: 1 / 0, lambda t: t),
    ):
        x.exp()
    assert x.exp().requires_grad  # the hooks are gone


def test_packed_values_are_freed_with_the_graph():
    class Token:
        pass

    tokens = []

    def pack(t):
        token = Token()
        token.tensor = t
        tokens.append(weakref.ref(token))
        return token

    x = leaf(1.0)
    with saved_tensors_hooks(pack, lambda token: token.tensor):
        y = (x * x).exp()
    assert tokens and all(t() is not None for t in tokens)
    y.sum().backward()
    assert all(t() is None for t in tokens)


def test_save_on_cpu_and_disable():
    x = leaf(1.0, 2.0)
    with save_on_cpu():
        y = x.exp().sum()
    y.backward()
    assert x.grad.tolist() == x.exp().tolist()
    with (
        disable_saved_tensors_hooks("not here"),
        pytest.raises(fe.AutogradError, match="not here"),
        save_on_cpu(),
    ):
        pass
    with save_on_cpu():
        pass


# --- checkpointing


def mlp():
    fe.manual_seed(3)
    return fe.nn.Sequential(
        *(
            layer
            for _ in range(4)
            for layer in (fe.nn.Linear(8, 8), fe.nn.ReLU(), fe.nn.Dropout(0.3))
        )
    )


def gradients(model, x, run):
    for p in model.parameters():
        p.grad = None
    x.grad = None
    fe.manual_seed(11)
    y = run(model, x)
    y.sum().backward()
    after = fe.rand(2).tolist()
    return [y.tolist(), x.grad.tolist(), after] + [
        p.grad.tolist() for p in model.parameters()
    ]


def test_checkpoint_changes_no_bit():
    model, x = mlp(), fe.randn((5, 8)).requires_grad_()
    plain = gradients(model, x, lambda m, t: m(t))
    assert gradients(model, x, lambda m, t: checkpoint(m, t)) == plain
    for segments in (1, 2, 3, 5, 12):
        ran = gradients(
            model, x, lambda m, t, n=segments: checkpoint_sequential(m, n, t)
        )
        assert ran == plain

    def nested(m, t):
        half = len(m) // 2

        def first(u):
            return checkpoint(lambda v: run(m, v, 0, half), u)

        return checkpoint(lambda u: run(m, first(u), half, len(m)), t)

    def run(m, t, first, end):
        for layer in list(m)[first:end]:
            t = layer(t)
        return t

    assert gradients(model, x, nested) == plain


def test_checkpoint_saves_nothing_inside_and_frees_what_it_recomputes():
    model, x = mlp(), fe.randn((5, 8)).requires_grad_()

    def saved_by(run):
        kept = []
        with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            run()
        return len(kept)

    assert saved_by(lambda: model(x)) > 8
    assert saved_by(lambda: checkpoint(model, x)) == 0

    big = fe.randn((64, 1024)).requires_grad_()

    def deep(t):
        for _ in range(30):
            t = t.tanh()
        return t

    def growth(run):
        before = fe.memory_stats()["allocated"]
        y = run()
        grown = fe.memory_stats()["allocated"] - before
        y.sum().backward()
        big.grad = None
        return grown

    size = big.nbytes
    assert growth(lambda: deep(big)) >= 29 * size
    assert growth(lambda: checkpoint(deep, big)) <= 3 * size
    before = fe.memory_stats()["allocated"]
    y = checkpoint(deep, big)
    y.sum().backward()
    big.grad = None
    del y
    gc.collect()
    assert fe.memory_stats()["allocated"] - before < size


def test_checkpoint_twice_and_second_order():
    x = leaf(0.3, 0.7)

    def f(t, scale=1.0):
        return (t * t).exp().sin() * scale

    y = checkpoint(f, x, scale=2.0)
    a = grad(y.sum(), x, retain_graph=True)[0]
    b = grad(y.sum(), x, retain_graph=True)[0]
    expected = grad(f(x, 2.0).sum(), x)[0]
    assert a.tolist() == b.tolist() == expected.tolist()
    (g,) = grad(checkpoint(f, x).sum(), x, create_graph=True)
    (h,) = grad(f(x).sum(), x, create_graph=True)
    assert grad(g.sum(), x)[0].tolist() == grad(h.sum(), x)[0].tolist()


def test_checkpoint_with_custom_function():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 2 * x

    x = leaf(3.0)
    kept = []
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = checkpoint(lambda t: Square.apply(t.exp()).sum(), x)
    assert kept == []
    y.backward()
    assert x.grad.tolist() == (fe.exp(x * 2) * 2).tolist() or np.allclose(
        x.grad.tolist(), np.exp(6) * 2
    )


def test_checkpoint_notices_another_computation():
    calls = []

    def changing(t):
        calls.append(1)
        return t.exp() if len(calls) == 1 else t + 1

    x = leaf(1.0)
    y = checkpoint(changing, x)
    with pytest.raises(fe.AutogradError, match="must do the same both times"):
        y.sum().backward()
    with fe.no_grad():
        assert not checkpoint(changing, x).requires_grad
    with pytest.raises(ValueError, match=r"1\.\.2"):
        checkpoint_sequential([fe.exp, fe.exp], 3, x)


def test_checkpoint_checks_what_is_saved():
    x = leaf(1.0)

    def other(steps):
        """Saves what `steps` says, the first time and the second."""
        calls = iter(steps)

        def function(t):
            for step in next(calls):
                t = step(t)
            return t

        return function

    longer = lambda t: fe.cat([t, t]).exp()[:1]  # noqa: E731
    cases = [
        ([[longer], [fe.exp]], r"tensor 0 .* float64 \(1,\) on cpu, at first .*\(2,\)"),
        ([[fe.exp, fe.exp], [fe.exp]], "fewer than the 2 tensors"),
    ]
    for steps, message in cases:
        y = checkpoint(other(steps), x)
        with pytest.raises(CheckpointError, match=message):
            y.sum().backward()
        y = checkpoint(other(steps), x, debug=True)
        with pytest.raises(CheckpointError, match="At first it saved:\n  0: float64"):
            y.sum().backward()
    y = checkpoint(other([[fe.exp], [fe.exp, fe.exp]]), x, early_stop=False)
    with pytest.raises(CheckpointError, match="more than the 1 tensors"):
        y.sum().backward()
    # What is not looked for is not found.
    y = checkpoint(other([[fe.exp], [fe.exp, fe.exp]]), x)
    y.sum().backward()
    to32 = lambda t: t.float().exp().double()  # noqa: E731
    y = checkpoint(other([[fe.exp], [to32]]), x, determinism_check="none")
    with pytest.raises(fe.FerruleError) as error:
        y.sum().backward()
    assert not isinstance(error.value, CheckpointError)
    with pytest.raises(ValueError, match="'default' or 'none', got 'all'"):
        checkpoint(fe.exp, x, determinism_check="all")


def test_checkpoint_refuses_arguments_that_were_written():
    x = leaf(1.0) * 1
    y = checkpoint(fe.exp, x)
    with fe.no_grad():
        x.mul_(2.0)
    with pytest.raises(CheckpointError, match="was written in place since the call"):
        y.sum().backward()


def test_checkpoint_contexts_and_early_stop():
    seen = []

    @contextlib.contextmanager
    def note(what):
        seen.append(what)
        yield
        seen.append(f"after {what}")

    def f(t):
        seen.append("f")
        t = t.exp()
        seen.append("g")
        return t + 1

    x = leaf(1.0)

    def run(**options):
        seen.clear()
        checkpoint(f, x, **options).sum().backward()
        return list(seen)

    assert run() == ["f", "g", "f"]
    assert run(early_stop=False) == ["f", "g"] * 2
    with set_checkpoint_early_stop(False):
        assert run() == ["f", "g"] * 2
    both = run(context_fn=lambda: (note("first"), note("second")), early_stop=False)
    first = ["first", "f", "g", "after first"]
    assert both == [*first, "second", "f", "g", "after second"]
    with set_checkpoint_debug_enabled(True):
        calls = iter([fe.exp, lambda t: t])
        y = checkpoint(lambda t: next(calls)(t), x)
    with pytest.raises(CheckpointError, match="Computed again it saved: nothing"):
        y.sum().backward()


def test_checkpoint_use_reentrant():
    model, x = mlp(), fe.randn((5, 8)).requires_grad_()
    plain = gradients(model, x, lambda m, t: m(t))
    for use in (True, False, None):
        ran = gradients(model, x, lambda m, t, u=use: checkpoint(m, t, use_reentrant=u))
        assert ran == plain
    with pytest.raises(ValueError, match="context_fn and debug need"):
        checkpoint(model, x, use_reentrant=True, debug=True)
    with pytest.raises(ValueError, match="must be positional, got input"):
        checkpoint(model, use_reentrant=True, input=x)


# --- custom functions


class Scale(Function):
    """In setup_context form."""

    @staticmethod
    def forward(x, factor):
        return x * factor

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None


def test_setup_context():
    x = leaf(1.0)
    Scale.apply(x, 3.0).sum().backward()
    assert x.grad.item() == 3.0


class AddOne(Function):
    @staticmethod
    def forward(ctx, x):
        x.add_(1.0)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 5  # told apart from add_


def test_mark_dirty():
    x = leaf(1.0, 2.0)
    y = x * 2
    z = AddOne.apply(y)
    assert z is y and y.tolist() == [3.0, 5.0]
    assert y.grad_fn.name() == "AddOneBackward"
    (y * y).sum().backward()
    assert x.grad.tolist() == [2 * 3 * 5 * 2.0, 2 * 5 * 5 * 2.0]
    with pytest.raises(fe.AutogradError, match="leaf"):
        AddOne.apply(leaf(1.0))

    w = x * 2
    AddOne.apply(w[0:1])
    (g,) = grad(w.sum(), x)
    assert w.tolist() == [3.0, 4.0] and g.tolist() == [10.0, 2.0]

    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(fe.AutogradError, match="mark_dirty"):
        Wrong.apply(x * 1)


def test_save_for_backward_is_checked_and_freed():
    class Bad(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(TypeError, match="ctx.name = value"):
        Bad.apply(leaf(1.0))

    class Keep(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    y = Keep.apply(leaf(1.0))
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    with pytest.raises(fe.AutogradError, match="a second time"):
        y.sum().backward()


def test_once_differentiable():
    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            assert not fe.is_grad_enabled()
            return g * 3 * x * x

    x = leaf(2.0)
    assert grad(Cube.apply(x), x)[0].item() == 12.0
    seed = fe.ones(1, dtype=fe.float64).requires_grad_()
    (g,) = grad(Cube.apply(x), x, seed, create_graph=True)
    with pytest.raises(fe.AutogradError, match="once_differentiable"):
        g.sum().backward()


def test_gradients_of_another_dtype_are_cast():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return (g * 2).double()

    x = fe.ones(2, requires_grad=True)
    Double.apply(x).sum().backward()
    assert x.grad.dtype == fe.float32


# --- functional


def points():
    fe.manual_seed(5)
    return (
        fe.randn((2, 3), dtype=fe.float64),
        fe.randn((3,), dtype=fe.float64),
    )


def pair(x, w):
    return fe.tanh(x) @ w, (x * w).exp()


def scalar(x, w):
    return ((x * w).exp() * x).sum()


def random_like(*ts):
    return tuple(fe.randn(t.shape, dtype=fe.float64) for t in ts)


def test_products_agree_with_the_jacobian():
    x, w = points()
    table = functional.jacobian(pair, (x, w))
    ys = pair(x, w)
    v, u = random_like(x, w), random_like(*ys)
    got, pushed = functional.jvp(pair, (x, w), v)
    for y, expected in zip(got, ys, strict=True):
        assert y.tolist() == expected.tolist()
    for i, y in enumerate(ys):
        assert table[i][0].shape == (*y.shape, *x.shape)
        expected = sum(
            table[i][k].numpy().reshape(y.numel(), -1) @ v[k].numpy().ravel()
            for k in range(2)
        )
        assert np.allclose(pushed[i].numpy().ravel(), expected)
    _, pulled = functional.vjp(pair, (x, w), u)
    for k, t in enumerate((x, w)):
        expected = sum(
            u[i].numpy().ravel() @ table[i][k].numpy().reshape(ys[i].numel(), -1)
            for i in range(2)
        )
        assert pulled[k].shape == t.shape
        assert np.allclose(pulled[k].numpy().ravel(), expected)


def test_hessian_products():
    x, w = points()
    blocks = functional.hessian(scalar, (x, w))
    full = np.block(
        [
            [blocks[i][k].numpy().reshape(t.numel(), -1) for k in range(2)]
            for i, t in enumerate((x, w))
        ]
    )
    assert np.allclose(full, full.T)
    v = random_like(x, w)
    flat = np.concatenate([t.numpy().ravel() for t in v])
    for product in (functional.hvp, functional.vhp):
        y, result = product(scalar, (x, w), v)
        assert y.item() == scalar(x, w).item()
        got = np.concatenate([t.numpy().ravel() for t in result])
        assert np.allclose(got, full @ flat)
    eps = 1e-6
    g = functional.jacobian(scalar, (x, w))
    shifted = x.clone()
    shifted[0, 0] = x[0, 0].item() + eps
    g2 = functional.jacobian(scalar, (shifted, w))
    numeric = (g2[0] - g[0]).numpy().ravel() / eps
    assert np.allclose(numeric, full[0, : x.numel()], atol=1e-4)


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_mapped_jacobians(strategy):
    x, w = points()
    w = w.requires_grad_()

    def outputs(a, b):
        return a * b.sum(), (a * a).sum()

    for f, of in ((functional.jacobian, outputs), (functional.hessian, scalar)):
        plain = f(of, (x, w), create_graph=True)
        quick = f(of, (x, w), True, False, True, strategy)
        for row, mapped in zip(plain, quick, strict=True):
            for a, b in zip(row, mapped, strict=True):
                assert np.allclose(a.detach().numpy(), b.detach().numpy())
        sums = [sum((b**2).sum() for row in t for b in row) for t in (plain, quick)]
        expected, got = (grad(total, w)[0] for total in sums)
        assert np.allclose(got.numpy(), expected.numpy())
    empty = functional.jacobian(lambda t: t[:0], w, False, False, True, strategy)
    assert empty.shape == (0, 3) and not empty.requires_grad


def test_functional_structures_strictness_and_recording():
    x, w = points()
    single = functional.jacobian(lambda t: t * t, w)
    assert isinstance(single, fe.Tensor) and single.shape == (3, 3)
    assert isinstance(functional.jacobian(lambda t: (t * t,), w), tuple)
    assert functional.jacobian(lambda t: t[:0], w).shape == (0, 3)
    assert (
        functional.jacobian(lambda a, b: a * 2, (x, w))[1].tolist()
        == np.zeros((2, 3, 3)).tolist()
    )
    for f in (functional.jacobian, functional.hessian):
        with pytest.raises(fe.AutogradError, match="independent"):
            f(lambda a, b: a.sum() * 2, (x, w), strict=True)
        with pytest.raises(ValueError, match="vectorize"):
            f(scalar, (x, w), strict=True, vectorize=True)
        with pytest.raises(ValueError, match="vectorize"):
            f(scalar, (x, w), False, False, False, "forward-mode")
        with pytest.raises(ValueError, match="'reverse-mode' or 'forward-mode'"):
            f(scalar, (x, w), False, False, True, "sideways")
    with pytest.raises(fe.ShapeError, match="one element"):
        functional.hessian(lambda t: t, w)
    with pytest.raises(fe.ShapeError, match="left out"):
        functional.vjp(lambda t: t, w)
    with pytest.raises(fe.ShapeError, match="v has shapes"):
        functional.jvp(lambda t: t, w, fe.ones(2, dtype=fe.float64))
    with pytest.raises(TypeError, match="tuple of tensors"):
        functional.jacobian(lambda t: [t], w)
    p = w.clone().requires_grad_()
    j = functional.jacobian(lambda t: t**3, p, create_graph=True)
    assert np.allclose(grad(j.sum(), p)[0].numpy(), 6 * w.numpy())
    assert not functional.jacobian(lambda t: t**3, p).requires_grad
    with fe.no_grad():
        assert functional.jacobian(lambda t: t * t, w).shape == (3, 3)


def test_functional_against_torch():
    torch = pytest.importorskip("torch")
    from torch.autograd import functional as theirs

    x, w = points()
    tx, tw = torch.tensor(x.numpy()), torch.tensor(w.numpy())

    def f(a, b):
        return ((a * b).exp() * a).sum()

    ours = functional.hessian(f, (x, w))
    for mine, other in zip(ours, theirs.hessian(f, (tx, tw)), strict=True):
        for a, b in zip(mine, other, strict=True):
            assert np.allclose(a.numpy(), b.numpy())


# --- hooks of modules


def test_forward_hooks():
    layer = fe.nn.ReLU()
    log = []
    layer.register_forward_hook(lambda m, a, y: log.append("second"))
    layer.register_forward_hook(lambda m, a, y: log.append("first"), prepend=True)
    layer.register_forward_pre_hook(lambda m, a: log.append("pre"))
    layer.register_forward_pre_hook(
        lambda m, a, k: log.append("earlier"), prepend=True, with_kwargs=True
    )
    layer.register_forward_hook(
        lambda m, a, y: log.append("always") if y is None else None, always_call=True
    )
    layer(fe.ones(2))
    assert log == ["earlier", "pre", "first", "second"]
    log.clear()
    with pytest.raises(TypeError):
        layer("no tensor")
    assert log == ["earlier", "pre", "always"]


def test_full_backward_hooks():
    layer = fe.nn.Linear(2, 3)
    x = fe.ones((4, 2)).requires_grad_()
    log = []

    def hook(module, grad_input, grad_output):
        assert module is layer
        log.append((grad_input[0], grad_output[0].shape))
        return (grad_input[0] * 2,)

    plain = grad(layer(x).sum(), x)[0]
    handle = layer.register_full_backward_hook(hook)
    pre = layer.register_full_backward_pre_hook(lambda m, g: (g[0] * 10,))
    layer(x).sum().backward()
    assert log[0][1] == (4, 3)
    assert np.allclose(log[0][0].numpy(), plain.numpy() * 10)
    assert np.allclose(x.grad.numpy(), plain.numpy() * 20)
    handle.remove()
    pre.remove()
    x.grad = None
    layer(x).sum().backward()
    assert x.grad.tolist() == plain.tolist() and len(log) == 1


def test_full_backward_hook_without_gradient_of_the_input():
    layer = fe.nn.Linear(2, 3)
    log = []
    layer.register_full_backward_hook(lambda m, i, o: log.append((i, o[0].shape)))
    layer(fe.ones((4, 2))).sum().backward()
    assert log == [((None,), (4, 3))]
    with fe.no_grad():
        layer(fe.ones((4, 2)))
    assert len(log) == 1


# --- beginners' mistakes


def step(model, optimizer, x):
    model(x).sum().backward()
    optimizer.step()


def test_forgotten_zero_grad_warns_once():
    model = fe.nn.Linear(2, 1)
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
    x = fe.ones((3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(model, optimizer, x)
    with pytest.warns(fe.FerruleWarning, match="zero_grad"):
        step(model, optimizer, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(model, optimizer, x)


@pytest.mark.parametrize(
    "reset",
    [
        lambda m, o: o.zero_grad(),
        lambda m, o: o.zero_grad(set_to_none=False),
        lambda m, o: m.zero_grad(),
        lambda m, o: [p.grad.zero_() for p in m.parameters()],
        lambda m, o: [setattr(p, "grad", None) for p in m.parameters()],
    ],
)
def test_zero_grad_in_any_form_is_noticed(reset):
    model = fe.nn.Linear(2, 1)
    optimizer = fe.optim.SGD(model.parameters(), lr=0.1)
    x = fe.ones((3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            for _ in range(2):  # accumulated on purpose
                model(x).sum().backward()
            optimizer.step()
            reset(model, optimizer)


@pytest.mark.parametrize(
    ("loss", "activation", "target"),
    [
        (F.cross_entropy, fe.nn.Softmax(1), fe.tensor([0, 1])),
        (fe.nn.CrossEntropyLoss(), fe.nn.Softmax(1), fe.tensor([0, 1])),
        (F.binary_cross_entropy_with_logits, fe.sigmoid, fe.ones((2, 3))),
        (fe.nn.BCEWithLogitsLoss(), fe.sigmoid, fe.ones((2, 3))),
    ],
)
def test_activation_before_a_loss_that_applies_it_warns(loss, activation, target):
    x = fe.ones((2, 3), requires_grad=True)
    with pytest.warns(fe.FerruleWarning, match="leave that s.* out") as caught:
        loss(activation(x), target)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(x * 2, target)
        loss(activation(x.detach()), target)  # nothing is trained
        loss(input=x, target=target)


def test_forgotten_eval_warns():
    model = fe.nn.Sequential(fe.nn.Linear(2, 2), fe.nn.Dropout(0.5))
    x = fe.ones((3, 2))
    for mode in (fe.no_grad, fe.inference_mode):
        evaluate = mode()(lambda: model(x))
        with pytest.warns(fe.FerruleWarning, match=r"call model.eval\(\)") as caught:
            evaluate()
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(x)
        fe.optim.swa_utils.update_bn([x], fe.nn.Sequential(model, fe.nn.BatchNorm1d(2)))
        fe.export(model, (x,))
        model.summary(x)
        with fe.no_grad():
            fe.nn.Dropout(0.0)(x)
            model.eval()(x)


def test_reading_grad_of_an_inner_tensor_warns():
    x = leaf(1.0)
    y = x * 2
    with pytest.warns(fe.FerruleWarning, match="retain_grad"):
        assert y.grad is None
    y.retain_grad()
    y.sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert y.grad is not None and leaf(1.0).grad is None


def test_tensor_of_a_tensor_warns():
    with pytest.warns(UserWarning, match="clone"):
        fe.tensor(fe.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fe.FerruleWarning)
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(UserWarning):
            warnings.warn("other", UserWarning, stacklevel=1)


def test_places_are_never_those_of_another_thread() -> None:
    # Large ops give the GIL away, and the other thread takes it meanwhile.
    stop = threading.Event()
    space: dict[str, Any] = {"stop": stop}
    code = "def spin():\n    while not stop.is_set():\n        sum(range(50))\n"
    exec(compile(code, "<elsewhere>", "exec"), space)
    other = threading.Thread(target=space["spin"])
    other.start()
    try:
        for _ in range(5):
            y = fe.ones(1_000_000, requires_grad=True) * 1.0
            z = (y * y).sum()
            y.mul_(2.0)
            with pytest.raises(fe.AutogradError) as info:
                z.backward()
            assert "<elsewhere>" not in str(info.value)
    finally:
        stop.set()
        other.join()


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_a_gradient_that_somebody_keeps_is_not_overwritten(name):
    """Rules of some ops write over the gradient that comes, if nobody sees it."""
    kept = []
    x = fe.tensor([-1.0, 0.5, 2.0], requires_grad=True)
    y = getattr(F, name)(x)
    y.register_hook(kept.append)
    y.retain_grad()
    seed = fe.tensor([1.0, 2.0, 3.0])
    (y * 1.0).backward(seed)
    first = x.grad.tolist()
    assert first[0] != 1.0
    assert kept[0].tolist() == y.grad.tolist() == seed.tolist() == [1.0, 2.0, 3.0]

    x.grad = None
    y = getattr(F, name)(x)
    y.backward(seed)  # comes without a way in between
    assert x.grad.tolist() == first
    assert seed.tolist() == [1.0, 2.0, 3.0]

    x.grad = None
    y = getattr(F, name)(x)
    (y * 1.0 + x).backward(seed)  # goes two ways
    assert x.grad.tolist() == (fe.tensor(first) + seed).tolist()


# --- a pass towards inputs runs what leads to them


def nodes_run(run) -> list[str]:
    with fe.profiler.profile() as prof:
        run()
    names = [e.name for e in prof.events() if e.kind == "backward"]
    return sorted(n.removesuffix("Backward").lower() for n in names)


def test_grad_runs_only_what_leads_to_the_inputs() -> None:
    x, w, v = (fe.rand(3, 3, requires_grad=True) for _ in range(3))
    side = w.exp().sin().cos()
    y = ((x * side).tanh() @ v).sum()
    expected = fe.autograd.grad(y, (x, w, v), retain_graph=True)
    everything = ["cos", "exp", "matmul", "mul", "sin", "sum", "tanh"]
    for inputs, run in {
        (0,): ["matmul", "mul", "sum", "tanh"],
        (1,): everything,
        (2,): ["matmul", "sum"],
        (0, 2): ["matmul", "mul", "sum", "tanh"],
    }.items():
        got: list[fe.Tensor] = []
        asked = [(x, w, v)[i] for i in inputs]
        names = nodes_run(
            lambda asked=asked, got=got: got.extend(
                fe.autograd.grad(y, asked, retain_graph=True)
            )
        )
        assert [n for n in names if n != "accumulategrad"] == run
        for i, g in zip(inputs, got, strict=True):
            assert fe.equal(g, expected[i])
    names = nodes_run(lambda: fe.autograd.grad(y, side, retain_graph=True))
    assert names.count("exp") == names.count("cos") - 1 == 0  # side's node is met
    y.backward(inputs=[v])
    assert x.grad is None and w.grad is None and fe.equal(v.grad, expected[2])


def test_rules_leave_out_gradients_that_nobody_asked_for() -> None:
    """One product and not two where the other factor's gradient is not wanted."""
    x, w = (fe.rand(8, 8, requires_grad=True) for _ in range(2))

    def products(inputs: list[fe.Tensor]) -> int:
        y = (x @ w).sum()
        with fe.profiler.profile() as prof:
            fe.autograd.grad(y, inputs)
        return sum(e.name == "matmul" and e.kind == "op" for e in prof.events())

    assert (products([x]), products([w]), products([x, w])) == (1, 1, 2)
