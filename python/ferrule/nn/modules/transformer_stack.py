"""Stacks of transformer layers, and `Transformer`."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import inf
from typing import Any

from ..._ferrule import Device, DType, ShapeError, Tensor, ops
from .. import init
from ..module import Module
from .container import ModuleList
from .norm import LayerNorm
from .transformer import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = ["Transformer", "TransformerDecoder", "TransformerEncoder"]


class TransformerEncoder(Module):
    """Encoder layers one after another.

    Args:
        encoder_layer: copied `num_layers` times.
        num_layers: how many.
        norm: applied to the result, such as a `LayerNorm`.
        enable_nested_tensor: accepted; tensors are not nested here.
        mask_check: likewise.

    Called with `src` and optionally `mask`, `src_key_padding_mask` and `is_causal`,
    see `MultiheadAttention`.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.1.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        >>> encoder = fe.nn.TransformerEncoder(layer, 2)
        >>> encoder(fe.zeros((3, 5, 8))).shape
        (3, 5, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = ModuleList([deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        x = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """Decoder layers one after another.

    Args:
        decoder_layer: copied `num_layers` times.
        num_layers: how many.
        norm: applied to the result, such as a `LayerNorm`.

    Called as `TransformerDecoderLayer` is.

    Source: Vaswani et al., "Attention is all you need", 2017, section 3.1.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
        >>> decoder = fe.nn.TransformerDecoder(layer, 2)
        >>> decoder(fe.zeros((3, 5, 8)), fe.zeros((3, 7, 8))).shape
        (3, 5, 8)
    """

    def __init__(
        self, decoder_layer: Module, num_layers: int, norm: Module | None = None
    ) -> None:
        super().__init__()
        self.layers = ModuleList([deepcopy(decoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        x = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder of the source and a decoder of the target that attends to it.

    Args:
        d_model: features of source, target and output.
        nhead: heads of the attentions.
        num_encoder_layers: layers of the encoder.
        num_decoder_layers: layers of the decoder.
        dim_feedforward: features between the linear layers of a layer.
        dropout: probability of a zero, in training.
        activation: "relu", "gelu", or a function.
        custom_encoder: takes the place of the encoder.
        custom_decoder: takes the place of the decoder.
        layer_norm_eps: added to the variances.
        batch_first: sequences are (batch, length, features).
        norm_first: True normalises before every part instead of after it.
        bias: False leaves the biases out.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Called with `src` and `tgt`, and optionally masks and hints for source, target and
    memory, see `MultiheadAttention`. Parameters of two dimensions and more start by
    Glorot and Bengio's uniform distribution.

    Raises:
        ShapeError: (in the call) shapes do not fit.

    Source: Vaswani et al., "Attention is all you need", 2017.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
        >>> mask = fe.nn.Transformer.generate_square_subsequent_mask(5)
        >>> model(fe.zeros((3, 7, 8)), fe.zeros((3, 5, 8)), tgt_mask=mask).shape
        (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        rest = (batch_first, norm_first, bias, device, dtype)
        norm = (d_model, layer_norm_eps, True, bias, device, dtype)
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*layer, *rest),
            num_encoder_layers,
            LayerNorm(*norm),
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*layer, *rest),
            num_decoder_layers,
            LayerNorm(*norm),
        )
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        batch = 0 if self.batch_first else 1
        if src.ndim == tgt.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise ShapeError(
                "[Transformer] src and tgt must have the same batch, got "
                f"{src.shape} and {tgt.shape}"
            )
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError(
                f"[Transformer] src and tgt must have {self.d_model} features, got "
                f"{src.shape} and {tgt.shape}"
            )
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: Device | None = None, dtype: DType | None = None
    ) -> Tensor:
        """The causal mask, to be added: -inf where a position lies ahead.

        Args:
            sz: length of the sequence.
            device: where it is made.
            dtype: its dtype; None is float32.
        """
        return ops.triu(ops.full((sz, sz), -inf, dtype=dtype, device=device), 1)
