"""Views share memory; a write reaches every view, with its gradient."""

from __future__ import annotations

import numpy as np
import pytest

import ferrule as fe


def grid(*shape: int) -> fe.Tensor:
    return fe.arange(int(np.prod(shape)), dtype=fe.float64).reshape(shape)


VIEWS = {
    "slice": lambda x: x[1:, ::2],
    "select": lambda x: x.select(1, 2),
    "narrow": lambda x: x.narrow(0, 1, 2),
    "transpose": lambda x: x.transpose(0, 1),
    "permute": lambda x: x.permute(1, 0),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "squeeze": lambda x: x[:1].squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "reshape": lambda x: x.reshape(2, 6),
    "view": lambda x: x.view(4, 3),
    "flatten": lambda x: x.flatten(),
    "movedim": lambda x: x.movedim(0, 1),
    "diagonal": lambda x: x.diagonal(1),
    "unfold": lambda x: x.unfold(1, 2, 2),
    "split": lambda x: x.split(2, 1)[1],
    "chunk": lambda x: x.chunk(2, 1)[0],
    "tensor_split": lambda x: x.tensor_split([1], 0)[1],
    "unbind": lambda x: x.unbind(0)[2],
    "as_strided": lambda x: x.as_strided((2, 2), (5, 1), 1),
    "detach": lambda x: x.detach(),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shares_memory(name: str) -> None:
    x = grid(3, 4)
    view = VIEWS[name](x)
    view.fill_(-1)
    assert (x == -1).sum().item() == view.numel() > 0
    x.fill_(7)
    assert (view != 7).sum().item() == 0


@pytest.mark.parametrize(
    ("name", "root"),
    [
        (name, root)
        for name in VIEWS
        for root in ("dense", "transposed", "sliced")
        # These are no views of a tensor that is not dense.
        if root == "dense" or name not in ("reshape", "view", "flatten", "as_strided")
        if name != "detach"
    ],
)
def test_a_recorded_write_through_a_view(name: str, root: str) -> None:
    # d/dw of sum(c * x) where part of x was multiplied by w: by hand.
    base = grid(3, 4)
    if root == "transposed":
        base = grid(4, 3).T.detach()
    if root == "sliced":
        base = grid(6, 8)[::2, 1::2].detach()
    before = base.numpy().copy()
    w = fe.tensor(2.0, dtype=fe.float64, requires_grad=True)
    weight = fe.tensor(np.arange(12.0).reshape(3, 4) - 3)
    view = VIEWS[name](base)
    other = base[0]  # stale after the write
    view.mul_(w)
    touched = base.detach().numpy() != before
    (base * weight).sum().backward()
    np.testing.assert_allclose(w.grad.item(), (before * weight.numpy())[touched].sum())
    assert other.requires_grad
    np.testing.assert_array_equal(other.detach().numpy(), base.detach().numpy()[0])


def test_in_place_ops_keep_what_their_gradient_needs() -> None:
    p = fe.tensor([0.5, -0.25], dtype=fe.float64, requires_grad=True)
    x = p * 1
    x.sin_()
    x.mul_(x)
    x.sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), np.sin(2 * p.detach().numpy()))


def test_a_product_with_a_constant_saves_only_the_constant() -> None:
    w = fe.tensor([3.0])
    x = fe.tensor([2.0], requires_grad=True) * 1
    y = x * w
    x.zero_()  # not needed: w wants no gradient
    y.sum().backward()
    x = fe.tensor([2.0], requires_grad=True) * 1
    y = x * w
    w.zero_()
    with pytest.raises(fe.AutogradError, match="overwritten in place by 'zero_'"):
        y.sum().backward()


WRITES = {
    "add_": lambda x: x.add_(fe.ones(3)),
    "copy_": lambda x: x.copy_(fe.ones(3)),
    "fill_": lambda x: x.fill_(1.0),
    "setitem": lambda x: x.__setitem__(slice(None), 1),
}


@pytest.mark.parametrize("write", WRITES)
def test_writes_into_overlapping_elements_are_refused(write: str) -> None:
    for x in (fe.zeros(3).expand(2, 3), fe.zeros(5).unfold(0, 3, 1)):
        with pytest.raises(ValueError, match=r"share memory.*clone\(\)"):
            WRITES[write](x)


def test_overlapping_operands_are_read_before_the_write() -> None:
    x = grid(5)
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3]
    x = grid(5)
    x[1:] += x[:-1]
    assert x.tolist() == [0, 1, 3, 5, 7]


def test_a_view_made_under_no_grad_is_no_way_around_the_history() -> None:
    x = fe.ones(3, requires_grad=True) * 2
    with fe.no_grad():
        view = x[0]
    with pytest.raises(fe.AutogradError, match="made under no_grad"):
        view.mul_(2)
    with fe.no_grad():
        view.mul_(2)
    assert x.tolist() == [4, 2, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.split(0), "size of a part"),
        (lambda x: x.split([1, 1]), "add up to 2, dimension 0 of shape .* is 3"),
        (lambda x: x.split(1, 2), "dim 2 is out of range"),
        (lambda x: x.chunk(0), "chunks must be 1 or more"),
        (lambda x: x.tensor_split(0), "1 or more"),
        (lambda x: x.hsplit(3), "cannot be divided"),
        (lambda x: fe.tensor(1.0).unbind(), "0-d tensor"),
        (lambda x: x.diagonal(0, 1, 1), "same dimension"),
        (lambda x: x.diagonal(0, 0, 2), "out of range"),
        (lambda x: x.unfold(0, 4, 1), "does not fit"),
        (lambda x: x.unfold(0, 1, 0), "step must be"),
        (lambda x: x.movedim((0, 1), (0, 0)), "names a dimension twice"),
        (lambda x: x.movedim((0, 1), (0,)), "same length"),
        (lambda x: x.as_strided((2,), (20,)), "reach"),
        (lambda x: x.as_strided((1 << 40,), (1 << 40,)), "reach"),
        (lambda x: x.as_strided((2,), (-1,), 3), "0 or more"),
        (lambda x: x.T.view(12), "reshape"),
    ],
)
def test_errors(call: object, message: str) -> None:
    with pytest.raises((ValueError, IndexError), match=message):
        call(grid(3, 4))  # type: ignore[operator]


def test_diagonal_beyond_the_matrix_is_empty() -> None:
    for k in (4, -3, 1 << 62, -(1 << 62)):
        assert grid(3, 4).diagonal(k).shape == (0,)


def test_channels_last() -> None:
    x = fe.rand(2, 3, 4, 5)
    y = x.contiguous(memory_format=fe.channels_last)
    assert y.shape == x.shape and y.stride() == (60, 1, 15, 3)
    assert y.is_contiguous(memory_format=fe.channels_last) and not y.is_contiguous()
    assert x.contiguous(memory_format=fe.contiguous_format) is x
    assert y.contiguous(memory_format=fe.channels_last) is y
    assert (y == x).sum().item() == x.numel()
    assert x.to(memory_format=fe.channels_last).stride() == y.stride()
    assert x.to(fe.float64, memory_format=fe.channels_last).dtype == fe.float64
    assert not x[0].is_contiguous(memory_format=fe.channels_last)
    assert not x.is_contiguous(memory_format=fe.channels_last_3d)
    assert x[0].is_contiguous(memory_format=fe.contiguous_format)
    with pytest.raises(fe.ShapeError, match="channels_last is for tensors of 4"):
        x[0].contiguous(memory_format=fe.channels_last)
    for call in (x.contiguous, x[0].is_contiguous):
        with pytest.raises(TypeError, match="memory_format must be"):
            call(memory_format="channels_last")


@pytest.mark.parametrize(
    "layer",
    [
        fe.nn.Conv2d(3, 4, 3, padding=1),
        fe.nn.MaxPool2d(2),
        fe.nn.AvgPool2d(2),
        fe.nn.AdaptiveAvgPool2d(2),
        fe.nn.BatchNorm2d(3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_of_images_keep_channels_last(layer: fe.nn.Module) -> None:
    x = fe.rand(2, 3, 6, 8)
    a = x.clone().requires_grad_()
    b = x.to(memory_format=fe.channels_last).detach().requires_grad_()
    layer.eval()
    y, z = layer(a), layer(b)
    assert y.is_contiguous() and z.is_contiguous(memory_format=fe.channels_last)
    assert fe._ferrule.same_bits(y.detach(), z.detach().contiguous())
    (y * y).sum().backward()
    (z * z).sum().backward()
    assert fe._ferrule.same_bits(a.grad, b.grad.contiguous())


def test_statistics_that_are_a_view_are_written() -> None:
    norm, dense = fe.nn.BatchNorm1d(3), fe.nn.BatchNorm1d(3)
    memory = fe.zeros(6)
    norm.running_mean = memory[::2]
    x = fe.rand(5, 3)
    norm(x)
    dense(x)
    assert memory.tolist()[::2] == dense.running_mean.tolist()
    assert memory.tolist()[1::2] == [0, 0, 0]


def test_modules_take_a_memory_format() -> None:
    layer = fe.nn.Conv2d(3, 4, 3)
    assert layer.to(memory_format=fe.channels_last) is layer
    layer.to(fe.float64, memory_format=fe.channels_last)
    assert layer.weight.dtype == fe.float64
