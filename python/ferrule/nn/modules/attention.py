"""`MultiheadAttention`."""

from __future__ import annotations

from math import inf, sqrt

from ..._ferrule import Device, DType, InvalidValue, ShapeError, Tensor, ops
from ..._ferrule import bool as bool_
from .. import init
from ..module import Module
from ..parameter import Parameter
from .linear import Linear

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention of several heads, each on a projection of its own.

    Args:
        embed_dim: features of the query and of the output.
        num_heads: heads, which share the features evenly.
        dropout: probability of a zero among the attention weights, in training.
        bias: False leaves the biases out.
        add_bias_kv: True adds a learned key and value to every sequence.
        add_zero_attn: True adds a key and value of zeros.
        kdim: features of the key; None is `embed_dim`.
        vdim: features of the value; None is `embed_dim`.
        batch_first: sequences are (batch, length, features).
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Called with query (L, batch, embed_dim), key (S, batch, kdim) and value (S,
    batch, vdim), or all without a batch, and

        key_padding_mask: (batch, S), True at keys that nobody sees;
        need_weights: False gives None for the weights and is the fast way;
        attn_mask: (L, S) or (batch * num_heads, L, S), True at keys that the
            query does not see. Both masks may be floats, which are added;
        average_attn_weights: the mean over the heads, (batch, L, S); otherwise
            (batch, num_heads, L, S);
        is_causal: a hint that `attn_mask` is the causal one.

    Gives the output, in the layout of the query, and the weights.

    Parameters are in_proj_weight (3 * embed_dim, embed_dim) for query, key and
    value, or q_proj_weight, k_proj_weight and v_proj_weight where their features
    differ; in_proj_bias; out_proj; bias_k and bias_v.

    Raises:
        ShapeError: shapes do not fit.
        InvalidValue: `num_heads` does not divide `embed_dim`.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.2.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.MultiheadAttention(8, 2, batch_first=True)
        >>> x = fe.zeros((3, 5, 8))
        >>> output, weights = layer(x, x, x)
        >>> output.shape, weights.shape
        ((3, 5, 8), (3, 5, 5))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise InvalidValue(
                f"[MultiheadAttention] num_heads must divide embed_dim, got "
                f"{num_heads} and {embed_dim}"
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        together = self.kdim == embed_dim and self.vdim == embed_dim
        shapes: dict[str, tuple[int, ...] | None] = {
            "in_proj_weight": (3 * embed_dim, embed_dim) if together else None,
            "q_proj_weight": None if together else (embed_dim, embed_dim),
            "k_proj_weight": None if together else (embed_dim, self.kdim),
            "v_proj_weight": None if together else (embed_dim, self.vdim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            value = None
            if shape is not None:
                value = Parameter(ops.empty(shape, dtype=dtype, device=device))
            self.register_parameter(name, value)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new parameters, but for those of `out_proj`."""
        for name, p in self.named_parameters(recurse=False):
            if name.endswith("weight"):
                init.xavier_uniform_(p)
            elif name == "in_proj_bias":
                init.zeros_(p)
            else:
                init.xavier_normal_(p)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise InvalidValue(
                "[MultiheadAttention] is_causal is a hint about attn_mask; it is None"
            )
        batched = query.ndim == 3
        length_first = batched and not self.batch_first
        q, k, v = self._project(query, key, value)
        if not batched:
            q, k, v = q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0)
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif length_first:
            q, k, v = q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)
        q, k, v = self._heads(q), self._heads(k), self._heads(v)
        extra = self.bias_k is not None or self.add_zero_attn
        plain = key_padding_mask is None and not need_weights and not extra
        causal = is_causal and plain
        mask = None
        if not causal:
            mask = self._mask(q, k, attn_mask, key_padding_mask)
        k, v, mask = self._append(k, v, mask)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q * (1.0 / sqrt(self.head_dim))) @ k.transpose(-2, -1)
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
        out = self.out_proj(out.flatten(2, 3))
        return (out if batched else out.squeeze(0)), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        sizes = (self.embed_dim, self.kdim, self.vdim)
        for name, t, n in zip(
            ("query", "key", "value"), (query, key, value), sizes, strict=True
        ):
            if t.ndim not in (2, 3) or t.ndim != query.ndim or t.shape[-1] != n:
                raise ShapeError(
                    f"[MultiheadAttention] {name} must have 2 or 3 dimensions, as many "
                    f"as query, the last of size {n}; got {t.shape}"
                )

    def _project(
        self, query: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        n = self.embed_dim
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if weight is not None and query is key and key is value:
            parts = ops.linear(query, weight, bias).unflatten(-1, (3, n))
            return parts.select(-2, 0), parts.select(-2, 1), parts.select(-2, 2)
        if weight is not None:
            weights: list[Tensor] = [weight[i * n : (i + 1) * n] for i in range(3)]
        else:
            assert self.q_proj_weight is not None
            assert self.k_proj_weight is not None
            assert self.v_proj_weight is not None
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        biases = [None if bias is None else bias[i * n : (i + 1) * n] for i in range(3)]
        q, k, v = (
            ops.linear(x, w, b)
            for x, w, b in zip((query, key, value), weights, biases, strict=True)
        )
        return q, k, v

    def _heads(self, t: Tensor) -> Tensor:
        """(batch, length, features) as (batch, heads, length, their features)."""
        return t.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _mask(
        self, q: Tensor, k: Tensor, attn_mask: Tensor | None, padding: Tensor | None
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
        self, k: Tensor, v: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Adds the learned key and value and those of zeros; everyone sees them."""
        rows: list[tuple[Tensor | None, Tensor | None]] = []
        if self.bias_k is not None:
            rows.append((self.bias_k, self.bias_v))
        if self.add_zero_attn:
            rows.append((None, None))
        for bias_k, bias_v in rows:
            pair = []
            for t, bias in ((k, bias_k), (v, bias_v)):
                row = ops.zeros_like(t.narrow(2, 0, 1))
                if bias is not None:
                    row = row + self._heads(bias)
                pair.append(ops.cat([t, row], 2))
            k, v = pair
            if mask is not None:
                seen = ops.zeros_like(mask.narrow(-1, 0, 1))
                if mask.dtype == bool_:
                    seen = ops.logical_not(seen)
                mask = ops.cat([mask, seen], -1)
        return k, v, mask
