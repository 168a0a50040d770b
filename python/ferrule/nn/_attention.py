"""`multi_head_attention_forward`, under `MultiheadAttention`."""

from __future__ import annotations

from math import inf, sqrt
from typing import NamedTuple

from .._composed import composed
from .._ferrule import InvalidValue, ShapeError, Tensor, ops
from .._ferrule import bool as bool_

__all__ = ["AttentionParameters", "attention", "multi_head_attention_forward"]


class AttentionParameters(NamedTuple):
    """What attention of several heads multiplies and adds."""

    num_heads: int
    in_proj_weight: Tensor | None
    q_proj_weight: Tensor | None
    k_proj_weight: Tensor | None
    v_proj_weight: Tensor | None
    in_proj_bias: Tensor | None
    bias_k: Tensor | None
    bias_v: Tensor | None
    add_zero_attn: bool
    out_proj_weight: Tensor
    out_proj_bias: Tensor | None


@composed
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of several heads, each on a projection of its own.

    Args:
        query: (L, batch, features), or (L, features).
        key: (S, batch, features of the key), or without the batch.
        value: (S, batch, features of the value), or without the batch.
        embed_dim_to_check: features of the query.
        num_heads: heads, which share the features evenly.
        in_proj_weight: (3 * features, features), for query, key and value.
        in_proj_bias: (3 * features,).
        bias_k: (1, 1, features), a key that is added to every sequence.
        bias_v: the same for the value.
        add_zero_attn: True adds a key and value of zeros.
        dropout_p: probability of a zero among the weights, in training.
        out_proj_weight: (features, features).
        out_proj_bias: (features,).
        training: False draws nothing.
        key_padding_mask: (batch, S), True at keys that nobody sees.
        need_weights: False gives None for the weights and is the fast way.
        attn_mask: (L, S) or (batch * num_heads, L, S), True at keys that the query
            does not see. Both masks may be floats, which are added.
        use_separate_proj_weight: True takes the next three for `in_proj_weight`.
        q_proj_weight: (features, features).
        k_proj_weight: (features, features of the key).
        v_proj_weight: (features, features of the value).
        static_k: (batch * num_heads, S, features of a head), the keys themselves.
        static_v: the values themselves.
        average_attn_weights: True gives the mean of the weights over the heads.
        is_causal: a hint that `attn_mask` is the causal one.

    Gives the output, in the layout of the query, and the weights, (batch, L, S).

    Raises:
        ShapeError: shapes do not fit.
        InvalidValue: `num_heads` does not divide the features; `is_causal` without
            a mask.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.2.

    Example:
        >>> import ferrule as fe
        >>> layer, x = fe.nn.MultiheadAttention(4, 2), fe.zeros((3, 1, 4))
        >>> out, weights = fe.nn.functional.multi_head_attention_forward(
        ...     x, x, x, 4, 2, layer.in_proj_weight, layer.in_proj_bias, None, None,
        ...     False, 0.0, layer.out_proj.weight, layer.out_proj.bias,
        ... )
        >>> out.shape, weights.shape
        ((3, 1, 4), (1, 3, 3))
    """
    if query.shape[-1] != embed_dim_to_check:
        raise ShapeError(
            "[multi_head_attention_forward] query must have "
            f"{embed_dim_to_check} features, got {query.shape}"
        )
    if num_heads < 1 or embed_dim_to_check % num_heads:
        raise InvalidValue(
            "[multi_head_attention_forward] num_heads must divide the features, got "
            f"{num_heads} and {embed_dim_to_check}"
        )
    parameters = AttentionParameters(
        num_heads,
        None if use_separate_proj_weight else in_proj_weight,
        q_proj_weight,
        k_proj_weight,
        v_proj_weight,
        in_proj_bias,
        bias_k,
        bias_v,
        add_zero_attn,
        out_proj_weight,
        out_proj_bias,
    )
    return attention(
        query,
        key,
        value,
        parameters,
        False,
        dropout_p if training else 0.0,
        key_padding_mask,
        need_weights,
        attn_mask,
        average_attn_weights,
        is_causal,
        static_k,
        static_v,
    )


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    parameters: AttentionParameters,
    batch_first: bool,
    dropout: float,
    key_padding_mask: Tensor | None,
    need_weights: bool,
    attn_mask: Tensor | None,
    average_attn_weights: bool,
    is_causal: bool,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The same for either layout of the sequences."""
    if is_causal and attn_mask is None:
        raise InvalidValue(
            "[MultiheadAttention] is_causal is a hint about attn_mask; it is None"
        )
    heads = parameters.num_heads
    batched = query.ndim == 3
    length_first = batched and not batch_first
    q, k, v = _project(query, key, value, parameters)
    if not batched:
        q, k, v = q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    elif length_first:
        q, k, v = q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)
    q, k, v = _heads(q, heads), _heads(k, heads), _heads(v, heads)
    if static_k is not None:
        k = static_k.unflatten(0, (q.shape[0], heads))
    if static_v is not None:
        v = static_v.unflatten(0, (q.shape[0], heads))
    extra = parameters.bias_k is not None or parameters.add_zero_attn
    plain = key_padding_mask is None and not need_weights and not extra
    causal = is_causal and plain
    mask = None
    if not causal:
        mask = _mask(q, k, attn_mask, key_padding_mask)
    k, v, mask = _append(k, v, mask, parameters)
    weights = None
    if need_weights:
        scores = (q * (1.0 / sqrt(q.shape[-1]))) @ k.transpose(-2, -1)
        if mask is not None and mask.dtype == bool_:
            scores = ops.where(mask, scores, -inf)
        elif mask is not None:
            scores = scores + mask
        weights = ops.dropout(ops.softmax(scores, -1), dropout)
        out = weights @ v
        if average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            weights = weights.squeeze(0)
    else:
        out = ops.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
    # (batch, heads, L, features) back to the layout of the query.
    out = out.permute((2, 0, 1, 3) if length_first else (0, 2, 1, 3))
    out = ops.linear(
        out.flatten(2, 3), parameters.out_proj_weight, parameters.out_proj_bias
    )
    return (out if batched else out.squeeze(0)), weights


def _project(
    query: Tensor, key: Tensor, value: Tensor, parameters: AttentionParameters
) -> tuple[Tensor, Tensor, Tensor]:
    n = query.shape[-1]
    weight, bias = parameters.in_proj_weight, parameters.in_proj_bias
    if weight is not None and query is key and key is value:
        parts = ops.linear(query, weight, bias).unflatten(-1, (3, n))
        return parts.select(-2, 0), parts.select(-2, 1), parts.select(-2, 2)
    if weight is not None:
        weights: list[Tensor] = [weight[i * n : (i + 1) * n] for i in range(3)]
    else:
        apart = parameters.q_proj_weight, parameters.k_proj_weight
        weights = [w for w in (*apart, parameters.v_proj_weight) if w is not None]
    biases = [None if bias is None else bias[i * n : (i + 1) * n] for i in range(3)]
    q, k, v = (
        ops.linear(x, w, b)
        for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    return q, k, v


def _heads(t: Tensor, heads: int) -> Tensor:
    """(batch, length, features) as (batch, heads, length, their features)."""
    return t.unflatten(-1, (heads, t.shape[-1] // heads)).transpose(1, 2)


def _mask(
    q: Tensor, k: Tensor, attn_mask: Tensor | None, padding: Tensor | None
) -> Tensor | None:
    """Both masks in one: bool, True at what is seen, or floats to add."""
    batch, heads, length, keys = *q.shape[:3], k.shape[2]
    masks: list[Tensor] = []
    if attn_mask is not None:
        if attn_mask.shape == (batch * heads, length, keys):
            attn_mask = attn_mask.unflatten(0, (batch, heads))
        elif attn_mask.shape != (length, keys):
            raise ShapeError(
                "[MultiheadAttention] attn_mask must be (L, S) = "
                f"{(length, keys)} or (batch * heads, L, S) = "
                f"{(batch * heads, length, keys)}, got {attn_mask.shape}"
            )
        masks.append(attn_mask)
    if padding is not None:
        if padding.shape != (batch, keys):
            raise ShapeError(
                f"[MultiheadAttention] key_padding_mask must be (batch, S) = "
                f"{(batch, keys)}, got {padding.shape}"
            )
        masks.append(padding.unsqueeze(1).unsqueeze(1))
    if not masks:
        return None
    if all(m.dtype == bool_ for m in masks):
        hidden = masks[0] if len(masks) == 1 else masks[0] | masks[1]
        return ops.logical_not(hidden)
    floats = [
        ops.where(m, -inf, ops.zeros_like(m, dtype=q.dtype))
        if m.dtype == bool_
        else ops.cast(m, q.dtype)
        for m in masks
    ]
    return floats[0] if len(floats) == 1 else floats[0] + floats[1]


def _append(
    k: Tensor, v: Tensor, mask: Tensor | None, parameters: AttentionParameters
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Adds the learned key and value and those of zeros; everyone sees them."""
    rows: list[tuple[Tensor | None, Tensor | None]] = []
    if parameters.bias_k is not None:
        rows.append((parameters.bias_k, parameters.bias_v))
    if parameters.add_zero_attn:
        rows.append((None, None))
    for bias_k, bias_v in rows:
        pair = []
        for t, bias in ((k, bias_k), (v, bias_v)):
            row = ops.zeros_like(t.narrow(2, 0, 1))
            if bias is not None:
                row = row + _heads(bias, parameters.num_heads)
            pair.append(ops.cat([t, row], 2))
        k, v = pair
        if mask is not None:
            seen = ops.zeros_like(mask.narrow(-1, 0, 1))
            if mask.dtype == bool_:
                seen = ops.logical_not(seen)
            mask = ops.cat([mask, seen], -1)
    return k, v, mask
