"""autograd in Python: Function, gradcheck, gradgradcheck."""

import gc
import weakref

import numpy as np
import pytest

import ferrule as fe
from ferrule.autograd import Function, grad, gradcheck, gradgradcheck


def leaf(*values):
    return fe.tensor(list(values), dtype=fe.float64, requires_grad=True)


class Exp(Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx, x):
        y = fe.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class Pair(Function):
    """Two outputs, a number among the arguments, an argument without gradient."""

    @staticmethod
    def forward(ctx, x, factor, y):
        ctx.factor = factor
        ctx.save_for_backward(x, y)
        return x * y * factor, x + y

    @staticmethod
    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        dx = g * y * ctx.factor + h if ctx.needs_input_grad[0] else None
        dy = g * x * ctx.factor + h if ctx.needs_input_grad[2] else None
        return dx, None, dy


def test_derivatives_of_every_order():
    x, y = leaf(0.3, -1.2), leaf(2.0, 0.5)
    assert gradcheck(Exp.apply, [x]) and gradgradcheck(Exp.apply, [x])
    assert gradcheck(Pair.apply, [x, 3.0, y])
    assert gradgradcheck(Pair.apply, [x, 3.0, y])
    out = Exp.apply(x)
    for _ in range(4):
        (out,) = grad([out.sum()], [x], create_graph=True)
    assert out.tolist() == fe.exp(x).tolist()


def test_needs_input_grad_and_unused_outputs():
    x, y = leaf(1.0), fe.tensor([2.0], dtype=fe.float64)
    first, _ = Pair.apply(x, 3.0, y)
    first.sum().backward()
    assert x.grad.tolist() == [6.0]
    assert y.grad is None


def test_nothing_recorded_without_need():
    class Probe(Function):
        @staticmethod
        def forward(ctx, x):
            assert not fe.is_grad_enabled()
            return x * 2.0

        @staticmethod
        def backward(ctx, g):
            return g * 2.0

    assert not Probe.apply(fe.ones((1,))).requires_grad
    with fe.no_grad():
        assert not Probe.apply(leaf(1.0)).requires_grad
    assert Probe.apply(leaf(1.0)).requires_grad


def test_non_differentiable_output_and_no_zeros():
    class Max(Function):
        @staticmethod
        def forward(ctx, x):
            index = x.argmax()
            ctx.mark_non_differentiable(index)
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(x, index)
            return x.amax(), x + 0.0, index

        @staticmethod
        def backward(ctx, g, h):
            assert h is None
            _, index = ctx.saved_tensors
            where = fe.eq(fe.arange(0, 3), index)
            return fe.where(where, g, 0.0)

    x = leaf(1.0, 5.0, 2.0)
    top, _, index = Max.apply(x)
    assert not index.requires_grad and index.item() == 1
    top.backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


def test_input_returned_as_it_is():
    class Reverse(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return -g

    x = leaf(1.0)
    y = Reverse.apply(x)
    (y * 3.0).sum().backward()
    assert x.grad.tolist() == [-3.0]
    assert x.is_leaf


def make(result):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, n):
            return x * n

        @staticmethod
        def backward(ctx, g):
            return result(g)

    return Wrong


@pytest.mark.parametrize(
    ("result", "error", "text"),
    [
        (lambda g: g, fe.AutogradError, "returned 1 gradients, but forward has 2"),
        (lambda g: (g, g), fe.AutogradError, "gradient for argument 1, which is no"),
        (
            lambda g: (g.sum(), None),
            fe.ShapeError,
            r"gradient of shape \(\) for argument 0 of shape \(2,\)",
        ),
    ],
)
def test_wrong_backward(result, error, text):
    with pytest.raises(error, match=text):
        make(result).apply(leaf(1.0, 2.0), 3.0).sum().backward()


def test_forward_must_return_tensors():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum().item()

    with pytest.raises(TypeError, match="forward must return tensors, got float"):
        Wrong.apply(leaf(1.0))


def test_saved_tensor_changed_in_place():
    out = Exp.apply(leaf(1.0))
    with fe.no_grad():
        out.zero_()
    with pytest.raises(fe.AutogradError, match=r"\[Exp\] saved tensor 0 of shape"):
        out.sum().backward()


def test_saved_output_is_no_reference_cycle():
    class Watched(Exp):
        @staticmethod
        def forward(ctx, x):
            seen.append(weakref.ref(ctx))
            return Exp.forward(ctx, x)

    seen = []
    gc.disable()
    try:
        out = Watched.apply(leaf(1.0))
        assert seen[0]() is not None
        del out
        assert seen[0]() is None
    finally:
        gc.enable()


def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(Exp):
        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y * fe.tensor([1.0, 1.5], dtype=fe.float64)

    x = leaf(0.0, 0.0)
    with pytest.raises(fe.AutogradError) as info:
        gradcheck(Wrong.apply, [x])
    assert "output 0 by input 0: 1 of 4 entries" in str(info.value)
    assert "d output[1] / d input[1]: analytical 1.5, numerical 1" in str(info.value)
    assert gradcheck(Wrong.apply, [x], raise_exception=False) is False
    assert x.grad is None


def test_gradgradcheck_finds_a_wrong_second_gradient():
    class Cut(Exp):
        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y.detach()

    assert gradcheck(Cut.apply, [leaf(0.5)])
    assert not gradgradcheck(Cut.apply, [leaf(0.5)], raise_exception=False)


def test_gradcheck_finds_nan():
    class Nan(Exp):
        @staticmethod
        def backward(ctx, g):
            return g * float("nan")

    with pytest.raises(fe.AutogradError, match="analytical nan"):
        gradcheck(Nan.apply, [leaf(0.5)])


@pytest.mark.parametrize("writeable", [True, False])
def test_a_gradient_that_shares_memory_with_numpy_is_not_written(writeable):
    array = np.ones(3, np.float32)
    array.flags.writeable = writeable

    class Shared(Exp):
        @staticmethod
        def backward(ctx, g):
            return fe.from_numpy(array)

    x = fe.ones(3, requires_grad=True)
    for k in (1, 2):  # two uses are summed, then two passes
        y = x * 1.0
        (Shared.apply(y) + Shared.apply(y)).sum().backward()
        assert x.grad.tolist() == [2.0 * k] * 3
    x.grad = None
    for k in (1, 2):  # taken over by a leaf
        Shared.apply(x).sum().backward()
        assert x.grad.tolist() == [1.0 * k] * 3
    assert array.tolist() == [1.0] * 3


def test_gradcheck_misuse():
    with pytest.raises(fe.AutogradError, match="no input requires a gradient"):
        gradcheck(fe.exp, [fe.ones((1,))])
    with pytest.raises(fe.DTypeError, match=r"input 0 is .*float32"):
        gradcheck(fe.exp, [fe.ones((1,)).requires_grad_()])
    with pytest.raises(fe.AutogradError, match="no floating output"):
        gradcheck(lambda x: x.detach(), [leaf(1.0)])
    empty = fe.zeros((0,), dtype=fe.float64).requires_grad_()
    assert gradcheck(fe.exp, empty)
