"""Attention: against PyTorch, at the edges of its blocks, and its errors."""

import math

import numpy as np
import pytest

import ferrule as fe

attention = fe.nn.functional.scaled_dot_product_attention


def arrays(*shapes, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


def by_definition(q, k, v, mask=None, causal=False, scale=None):
    """In float64, from the formula; a row without keys gives zeros."""
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    s = (
        q
        @ k.swapaxes(-1, -2)
        * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    )
    if causal:
        s = np.where(np.tri(*s.shape[-2:]), s, -np.inf)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    top = np.maximum(s.max(-1, keepdims=True, initial=-np.inf), -1e300)
    e = np.exp(s - top)
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total) @ v


# Around the sizes of blocks: 32, 64 and 128 queries, 256 keys; and where they
# change.
SIZES = [
    *[(1, 1), (1, 300), (31, 33), (32, 32), (63, 65), (64, 256), (65, 257)],
    *[(129, 511), (256, 256), (257, 300), (300, 513), (512, 512), (513, 513)],
]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), SIZES)
def test_sizes_around_blocks(queries: int, keys: int, causal: bool) -> None:
    q, k, v = arrays((2, queries, 24), (2, keys, 24), (2, keys, 40))
    got = attention(*map(fe.tensor, (q, k, v)), is_causal=causal).numpy()
    np.testing.assert_allclose(got, by_definition(q, k, v, causal=causal), atol=2e-6)


def test_large_scores_neither_overflow_nor_vanish() -> None:
    q, k, v = arrays((1, 70, 8), (1, 600, 8), (1, 600, 8))
    got = attention(*map(fe.tensor, (200 * q, k, v))).numpy()
    np.testing.assert_allclose(got, by_definition(200 * q, k, v), atol=2e-3)


def test_a_row_without_keys_gives_zeros_and_no_gradient() -> None:
    q, k, v = (fe.tensor(a, requires_grad=True) for a in arrays(*[(1, 3, 4)] * 3))
    mask = fe.tensor([[True, False, True], [False] * 3, [True] * 3])
    minus = fe.where(mask, 0.0, -math.inf)
    for m in (mask, minus):
        out = attention(q, k, v, m)
        assert out[0, 1].tolist() == [0.0] * 4
        out.sum().backward()
        assert q.grad[0, 1].tolist() == [0.0] * 4
        assert all(bool(fe.isfinite(t.grad).all()) for t in (q, k, v))


def test_hidden_keys_have_no_influence() -> None:
    q, k, v = arrays((1, 2, 90, 8), (1, 2, 300, 8), (1, 2, 300, 8))
    mask = np.random.default_rng(1).random((90, 300)) < 0.3
    mask[:, 280:] = False
    got = attention(*map(fe.tensor, (q, k, v, mask)))
    k[..., 280:, :] = 1e4
    v[..., 280:, :] = -1e4
    again = attention(*map(fe.tensor, (q, k, v, mask)))
    assert fe.equal(got, again)


def test_operands_of_any_strides() -> None:
    (x,) = arrays((2, 70, 3, 4, 16))  # batch, row, (q, k, v), head, feature
    q, k, v = (fe.tensor(x)[:, :, i].transpose(1, 2) for i in range(3))
    parts = [np.ascontiguousarray(x[:, :, i].swapaxes(1, 2)) for i in range(3)]
    want = by_definition(*parts)
    np.testing.assert_allclose(attention(q, k, v).numpy(), want, atol=2e-6)
    back = [fe.tensor(np.ascontiguousarray(p.swapaxes(2, 3))) for p in parts]
    got = attention(*(t.transpose(2, 3) for t in back))
    np.testing.assert_allclose(got.numpy(), want, atol=2e-6)
    every_other = fe.tensor(np.repeat(parts[2], 2, -1))[..., ::2]
    got = attention(fe.tensor(parts[0]), fe.tensor(parts[1]), every_other)
    np.testing.assert_allclose(got.numpy(), want, atol=2e-6)


def test_sixteen_bit_operands_are_computed_in_float() -> None:
    q, k, v = arrays((2, 70, 16), (2, 300, 16), (2, 300, 16), dtype=np.float16)
    for dtype, tol in ((fe.float16, 2e-3), (fe.bfloat16, 2e-2)):
        x = [fe.tensor(a).to(dtype) for a in (q, k, v)]
        got = attention(*x, fe.zeros((70, 300))).float().numpy()
        want = by_definition(*(t.float().numpy() for t in x))
        np.testing.assert_allclose(got, want, atol=tol)


def test_dropout_keeps_the_mean_and_drops_by_the_generator() -> None:
    q, k = fe.zeros((2, 50, 4)), fe.zeros((2, 400, 4))
    v = fe.ones((2, 400, 3))
    fe.manual_seed(1)
    first = attention(q, k, v, dropout_p=0.25)
    assert abs(first.mean().item() - 1) < 0.05
    assert first.std().item() > 0.01
    fe.manual_seed(1)
    assert fe.equal(attention(q, k, v, dropout_p=0.25), first)
    assert attention(q, k, v, dropout_p=1.0).abs().max().item() == 0
    hidden = fe.zeros((50, 400), dtype=fe.bool)
    assert attention(q, k, v, hidden, 0.5).abs().max().item() == 0


def test_errors_name_the_shapes() -> None:
    q = fe.zeros((2, 3, 4))
    with pytest.raises(fe.ShapeError, match="features"):
        attention(q, fe.zeros((2, 3, 5)), q)
    with pytest.raises(fe.ShapeError, match="length"):
        attention(q, q, fe.zeros((2, 4, 4)))
    with pytest.raises(fe.ShapeError, match="broadcast"):
        attention(q, fe.zeros((3, 3, 4)), fe.zeros((3, 3, 4)))
    with pytest.raises(fe.ShapeError, match=r"\(2, 5\).*\(2, 3, 3\)"):
        attention(q, q, q, fe.zeros((2, 5)))
    with pytest.raises(fe.ShapeError, match="rows, features"):
        attention(fe.zeros((4,)), q, q)
    with pytest.raises(fe.ShapeError, match="divide"):
        attention(fe.zeros((3, 2, 4)), fe.zeros((2, 2, 4)), fe.zeros((2, 2, 4)),
                  enable_gqa=True)  # fmt: skip
    with pytest.raises(fe.DTypeError, match="attn_mask"):
        attention(q, q, q, fe.zeros((3, 3), dtype=fe.int64))
    with pytest.raises(fe.DTypeError):
        attention(q, q, q.double())
    with pytest.raises(fe.InvalidValue, match="is_causal"):
        attention(q, q, q, fe.zeros((3, 3)), is_causal=True)
    with pytest.raises(fe.InvalidValue, match="dropout_p"):
        attention(q, q, q, dropout_p=1.5)


TORCH_CASES = {
    "plain": ((2, 3, 70, 16), (2, 3, 300, 16), None, {}),
    "causal": ((2, 3, 150, 16), (2, 3, 150, 16), None, {"is_causal": True}),
    "causal_wide": ((1, 2, 150, 16), (1, 2, 300, 16), None, {"is_causal": True}),
    "scale": ((1, 2, 20, 16), (1, 2, 20, 16), None, {"scale": 0.7}),
    "bool_mask": ((2, 2, 70, 16), (2, 2, 90, 16), "bool", {}),
    "float_mask": ((2, 2, 70, 16), (2, 2, 90, 16), "float", {}),
    "gqa": ((2, 6, 40, 16), (2, 2, 40, 16), None, {"enable_gqa": True}),
    "three_dims": ((4, 33, 16), (4, 44, 16), None, {}),
    "few_heads": ((1, 1, 100, 16), (1, 1, 1100, 16), None, {}),
}


@pytest.mark.parametrize("name", TORCH_CASES)
def test_agrees_with_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    q_shape, k_shape, kind, options = TORCH_CASES[name]
    q, k, v, g = arrays(q_shape, k_shape, k_shape, q_shape)
    mask = None
    if kind:
        (mask,) = arrays((2, 1, q_shape[2], k_shape[2]), seed=4)
        mask = mask > -1 if kind == "bool" else mask
    mine = [fe.tensor(a, requires_grad=True) for a in (q, k, v)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (q, k, v)]
    if kind == "float":
        mine.append(fe.tensor(mask, requires_grad=True))
        theirs.append(torch.tensor(mask, requires_grad=True))
    elif kind:
        mine.append(fe.tensor(mask))
        theirs.append(torch.tensor(mask))
    out = attention(*mine, **options)
    want = torch.nn.functional.scaled_dot_product_attention(*theirs, **options)
    np.testing.assert_allclose(out.detach().numpy(), want.detach().numpy(), atol=3e-6)
    out.backward(fe.tensor(g))
    want.backward(torch.tensor(g))
    for a, b in zip(mine, theirs, strict=True):
        if b.requires_grad:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-5)
