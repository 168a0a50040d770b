"""`TransformerEncoderLayer` and `TransformerDecoderLayer`."""

from __future__ import annotations

from collections.abc import Callable

from ..._ferrule import Device, DType, InvalidValue, Tensor, ops
from ..module import Module
from .attention import MultiheadAttention
from .dropout import Dropout
from .linear import Linear
from .norm import LayerNorm

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers; both around a residual connection.

    Args:
        d_model: features of input and output.
        nhead: heads of the attention.
        dim_feedforward: features between the linear layers.
        dropout: probability of a zero in the attention weights and after every
            part, in training.
        activation: "relu", "gelu", or a function.
        layer_norm_eps: added to the variances.
        batch_first: sequences are (batch, length, features).
        norm_first: True normalises before attention and linear layers instead of
            after them.
        bias: False leaves the biases out.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Called with `src` and optionally `src_mask`, `src_key_padding_mask` and
    `is_causal`, see `MultiheadAttention`.

    Raises:
        InvalidValue: another activation; `nhead` does not divide `d_model`.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.1;
    norm_first: Xiong et al., 2020.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        >>> layer(fe.zeros((3, 5, 8))).shape
        (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.activation = _activation(activation, "TransformerEncoderLayer")
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(
            d_model,
            nhead,
            dropout,
            bias,
            batch_first=batch_first,
            device=device,
            dtype=dtype,
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        norm = (d_model, layer_norm_eps, True, bias, device, dtype)
        self.norm1 = LayerNorm(*norm)
        self.norm2 = LayerNorm(*norm)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            out = self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )[0]
            return self.dropout1(out)

        def feed_forward(x: Tensor) -> Tensor:
            x = self.dropout(self.activation(self.linear1(x)))
            return self.dropout2(self.linear2(x))

        if self.norm_first:
            x = src + attend(self.norm1(src))
            return x + feed_forward(self.norm2(x))
        x = self.norm1(src + attend(src))
        return self.norm2(x + feed_forward(x))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to the memory, then two linear layers; each around a
    residual connection.

    Args:
        d_model: features of input, memory and output.
        nhead: heads of the attentions.
        dim_feedforward: features between the linear layers.
        dropout: probability of a zero in the attention weights and after every
            part, in training.
        activation: "relu", "gelu", or a function.
        layer_norm_eps: added to the variances.
        batch_first: sequences are (batch, length, features).
        norm_first: True normalises before attentions and linear layers instead of
            after them.
        bias: False leaves the biases out.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Called with `tgt` and `memory`, and optionally the masks `tgt_mask`,
    `memory_mask`, `tgt_key_padding_mask` and `memory_key_padding_mask`, and the
    hints `tgt_is_causal` and `memory_is_causal`, see `MultiheadAttention`.

    Raises:
        InvalidValue: another activation; `nhead` does not divide `d_model`.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.1.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
        >>> layer(fe.zeros((3, 5, 8)), fe.zeros((3, 7, 8))).shape
        (3, 5, 8)
    """

    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.activation = _activation(activation, "TransformerDecoderLayer")
        self.norm_first = norm_first
        for name in ("self_attn", "multihead_attn"):
            attention = MultiheadAttention(
                d_model,
                nhead,
                dropout,
                bias,
                batch_first=batch_first,
                device=device,
                dtype=dtype,
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        norm = (d_model, layer_norm_eps, True, bias, device, dtype)
        self.norm1 = LayerNorm(*norm)
        self.norm2 = LayerNorm(*norm)
        self.norm3 = LayerNorm(*norm)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            out = self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )[0]
            return self.dropout1(out)

        def attend_memory(x: Tensor) -> Tensor:
            out = self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                False,
                memory_mask,
                is_causal=memory_is_causal,
            )[0]
            return self.dropout2(out)

        def feed_forward(x: Tensor) -> Tensor:
            x = self.dropout(self.activation(self.linear1(x)))
            return self.dropout3(self.linear2(x))

        if self.norm_first:
            x = tgt + attend(self.norm1(tgt))
            x = x + attend_memory(self.norm2(x))
            return x + feed_forward(self.norm3(x))
        x = self.norm1(tgt + attend(tgt))
        x = self.norm2(x + attend_memory(x))
        return self.norm3(x + feed_forward(x))


def _activation(
    activation: str | Callable[[Tensor], Tensor], layer: str
) -> Callable[[Tensor], Tensor]:
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise InvalidValue(
            f"[{layer}] activation must be 'relu', 'gelu' or a function, got "
            f"{activation!r}"
        )
    return ops.relu if activation == "relu" else ops.gelu
