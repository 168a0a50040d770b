"""`MultiheadAttention`."""

from __future__ import annotations

from ..._ferrule import Device, DType, InvalidValue, ShapeError, Tensor, ops
from .. import init
from .._attention import AttentionParameters, attention
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
        return attention(
            query,
            key,
            value,
            AttentionParameters(
                self.num_heads,
                self.in_proj_weight,
                self.q_proj_weight,
                self.k_proj_weight,
                self.v_proj_weight,
                self.in_proj_bias,
                self.bias_k,
                self.bias_v,
                self.add_zero_attn,
                self.out_proj.weight,
                self.out_proj.bias,
            ),
            self.batch_first,
            self.dropout if self.training else 0.0,
            key_padding_mask,
            need_weights,
            attn_mask,
            average_attn_weights,
            is_causal,
        )

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
