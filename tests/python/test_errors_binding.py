"""Wrong calls: messages that show the signature, classes of exceptions."""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe


@pytest.fixture
def x():
    return fe.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("cls", "bases"),
    [
        (fe.FerruleError, (RuntimeError,)),
        (fe.ShapeError, (fe.FerruleError, ValueError)),
        (fe.DTypeError, (fe.FerruleError, TypeError)),
        (fe.IndexOutOfRange, (fe.FerruleError, IndexError)),
        (fe.InvalidValue, (fe.FerruleError, ValueError)),
        (fe.OutOfMemory, (fe.FerruleError, MemoryError)),
        (fe.DeviceError, (fe.FerruleError,)),
        (fe.AutogradError, (fe.FerruleError,)),
        (fe.FormatError, (fe.FerruleError,)),
    ],
)
def test_exception_classes(cls, bases):
    assert issubclass(cls, bases[0])
    assert all(issubclass(cls, b) for b in bases)
    assert cls.__module__ == "ferrule"
    assert cls.__doc__
    with pytest.raises(cls, match="why"):
        raise cls("why")


CALLS = [
    (lambda x: fe.sum(), "[sum] missing argument 'input'\n  sum(input: Tensor"),
    (lambda x: fe.sum(x, 1, True, 4), "takes at most 3 positional arguments, got 4"),
    (lambda x: x.sum(1, True, 4), "takes at most 3 positional arguments, got 4"),
    (lambda x: fe.sum(x, dims=1), "[sum] unknown argument 'dims'"),
    (lambda x: fe.sum(x, 1, dim=1), "[sum] several values for 'dim'"),
    (lambda x: x.sum(1, axis=1), "[sum] several values for 'dim'"),
    (lambda x: x.sum(input=x), "[sum] several values for 'input'"),
    (lambda x: fe.sum([1.0]), "'input' must be a Tensor, got list"),
    (lambda x: fe.sum(x, "a"), "'dim' must be an int or a tuple of ints, got str"),
    (lambda x: fe.sum(x, 1.0), "'dim' must be an int or a tuple of ints, got float"),
    (lambda x: fe.sum(x, [1.0]), "'dim' must be an int, got float"),
    (lambda x: fe.sum(x, True), "'dim' must be an int or a tuple of ints, got bool"),
    (lambda x: fe.sum(x, 1, 1), "'keepdim' must be a bool, got int"),
    (lambda x: fe.add(x, "a"), "'other' must be a Tensor or a number, got str"),
    (lambda x: fe.add(x, None), "'other' must be given, got NoneType"),
    (lambda x: fe.softmax(x, 1.5), "'dim' must be an int, got float"),
    (lambda x: fe.stack(x), "'tensors' must be a list or tuple of Tensors, got"),
    (lambda x: fe.stack([x, 1]), "'tensors[1]' must be a Tensor, got int"),
    (lambda x: fe.zeros(2, dtype="float32"), "'dtype' must be a dtype such as"),
    (lambda x: fe.zeros(2, device=5), "'device' must be a device such as"),
    (lambda x: fe.zeros(2.0), "'size' must be an int or a tuple of ints, got float"),
    (
        lambda x: fe.full((2,), "a"),
        "'fill_value' must be a Tensor or a number",
    ),
    (lambda x: fe.nn.functional.gelu(x, 3), "'approximate' must be a str, got int"),
    (lambda x: fe.tensor(["a"]), "expected numbers in nested lists, got str"),
    (lambda x: fe.tensor({}), "expected numbers in nested lists, got dict"),
    (lambda x: fe.tensor(None), "expected numbers in nested lists, got NoneType"),
    (lambda x: fe.tensor([1], dtype="x"), "dtype must be a dtype such as"),
    (lambda x: x.to(1.5), "expected a dtype, a device or a tensor, got float"),
    (lambda x: x.to(type=3), "unknown argument 'type'"),
    (lambda x: x.register_hook(3), "expected a function, got int"),
]


@pytest.mark.parametrize(("call", "text"), CALLS, ids=[t for _, t in CALLS])
def test_wrong_arguments(x, call, text):
    with pytest.raises(TypeError) as info:
        call(x)
    assert text in str(info.value)


def test_numpy_operand_of_another_dtype(x):
    with pytest.raises(TypeError, match=r"ferrule\.tensor\(array\)") as info:
        fe.add(x, np.zeros((2, 3)))
    assert "float64" in str(info.value)


VALUES = [
    (lambda x: x[5], fe.IndexOutOfRange, "index 5 is out of range for dimension 0"),
    (lambda x: x[0, 3], fe.IndexOutOfRange, "index 3 is out of range"),
    (
        lambda x: x[0, 0, 0],
        fe.IndexOutOfRange,
        "3 indices for a tensor of shape (2, 3)",
    ),
    (lambda x: x[[2]], fe.IndexOutOfRange, "index 2 is out of range for dimension 0"),
    (lambda x: x[..., ...], fe.IndexOutOfRange, "only one '...'"),
    (lambda x: x["a"], fe.IndexOutOfRange, "indices are ints, slices"),
    (lambda x: x[1.0], fe.IndexOutOfRange, "indices are ints, slices"),
    (lambda x: x[fe.tensor([0.5])], fe.IndexOutOfRange, "convert it with .long()"),
    (lambda x: x[fe.tensor([True])], fe.IndexOutOfRange, "mask of shape (1,)"),
    (lambda x: x.sum(2), fe.IndexOutOfRange, "out of range"),
    (lambda x: x.size(2), fe.IndexOutOfRange, "valid: -2..1"),
    (lambda x: x + fe.zeros(4), fe.ShapeError, "cannot broadcast shapes"),
    (lambda x: fe.device("cuda"), fe.DeviceError, "present: cpu"),
    (lambda x: x.to("nowhere"), fe.DeviceError, "present: cpu"),
    (lambda x: fe.tensor([[1], [1, 2]]), fe.ShapeError, "ragged"),
    (lambda x: fe.tensor([1, [2]]), fe.ShapeError, "ragged"),
    (lambda x: fe.tensor([[1], 2]), fe.ShapeError, "ragged"),
    (lambda x: fe.tensor([[[[[[[[[1]]]]]]]]]), fe.ShapeError, "8"),
    (lambda x: x.reshape(*[1] * 70), fe.ShapeError, "at most 8 dimensions"),
    (lambda x: fe.zeros(2**62, 4), fe.ShapeError, ""),
    (lambda x: x.flatten(1, 0), ValueError, "start_dim"),
    (lambda x: x.backward(), fe.AutogradError, ""),
    (lambda x: x.long().requires_grad_(), fe.AutogradError, "floating-point"),
    (lambda x: fe.autograd.grad([], [x]), ValueError, "no outputs"),
    (lambda x: (x * 1).register_hook(print), fe.AutogradError, "does not require grad"),
    (lambda x: fe.set_num_threads(0), ValueError, "at least 1"),
]


@pytest.mark.parametrize(("call", "cls", "text"), VALUES, ids=range(len(VALUES)))
def test_wrong_values(x, call, cls, text):
    with pytest.raises(cls) as info:
        call(x)
    assert text in str(info.value)


def test_assignments(x):
    with pytest.raises(TypeError, match="must be a Tensor or None"):
        x.grad = 5
    with pytest.raises(fe.ShapeError):
        x.grad = fe.zeros(3)
    with pytest.raises(TypeError, match="bool"):
        x.requires_grad = 1
    with pytest.raises(fe.ShapeError):
        x[0] = [1.0, 2.0]
    with pytest.raises(TypeError, match="deleted"):
        del x[0]
    with pytest.raises(AttributeError):
        x.shape = (6,)
    with pytest.raises(ValueError, match="does not fit"):
        x.data = fe.zeros(2)


def test_huge_ints(x):
    with pytest.raises(OverflowError):
        x + 2**70
    with pytest.raises(OverflowError):
        fe.zeros(2**70)


def test_hook_returns_nonsense(x):
    w = fe.tensor([1.0], requires_grad=True)
    y = w * 2
    y.register_hook(lambda g: "nonsense")
    with pytest.raises(TypeError, match="None or the new gradient"):
        y.sum().backward()


def test_uninitialised_subclass_is_harmless():
    class Forgetful(fe.Tensor):
        def __init__(self):
            pass

    assert Forgetful().shape == (0,)
    assert fe.Tensor.__new__(fe.Tensor).numel() == 0


def test_arguments_that_misbehave(x):
    """An index that replaces the tensor while arguments are read."""

    class Index:
        def __index__(self):
            x._replace(fe.ones(4, 4, 4))
            return 1

    assert fe.sum(x, Index()).shape in {(2,), (4, 4)}

    class Bad:
        def __index__(self):
            raise KeyError("mine")

    with pytest.raises(KeyError):
        fe.sum(x, Bad())

    class Shrinking(list):
        def __getitem__(self, i):
            self.clear()
            return 1

    with pytest.raises((TypeError, fe.FerruleError)):
        fe.reshape(x, Shrinking([5]))


def test_errors_leave_the_frame_clean(x):
    for _ in range(100):
        with pytest.raises(fe.ShapeError):
            x + fe.zeros(4)
    assert (x + 1).tolist()[0][0] == 2
