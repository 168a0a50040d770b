"""BERT: an encoder of text."""

from __future__ import annotations

from .. import Tensor, arange, nn
from ..nn import functional as F

__all__ = ["Bert", "BertEncoder", "BertLayer"]


class BertLayer(nn.Module):
    """Every place looks at all others, then thinks about what it found."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=1e-12)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.norm2 = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        batch, length, width = x.shape
        split = (batch, length, self.heads, width // self.heads)
        q, k, v = (
            part(x).reshape(split).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        y = self.out(y.transpose(1, 2).reshape(batch, length, width))
        x = self.norm1(x + self.dropout(y))
        return self.norm2(x + self.dropout(self.mlp(x)))


class BertEncoder(nn.Module):
    """The layers of BERT, without embeddings.

    Args:
        layers, width, heads: as of `Bert`.
        dropout: of what layers add.

    Shapes:
        (batch, length, width), and a mask that attention understands, to
        (batch, length, width).
    """

    def __init__(
        self, layers: int = 12, width: int = 768, heads: int = 12, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            BertLayer(width, heads, dropout) for _ in range(layers)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return x


class Bert(nn.Module):
    """BERT: embeddings, encoder, and a summary of the whole text.

    Args:
        vocabulary: number of tokens.
        positions: the longest text.
        layers: of the encoder; 12 in the base model, as are the defaults below.
        width: numbers by which a token is described.
        heads: of attention.
        dropout: in training.

    Shapes:
        tokens, integers (batch, length); which of them are no padding, booleans
        (batch, length); to (batch, length, width) and, of the first token,
        (batch, width).

    Example:
        >>> import ferrule as fe
        >>> model = fe.models.Bert(100, 16, layers=1, width=8, heads=2).eval()
        >>> tokens = fe.tensor([[5, 6, 7], [8, 9, 0]])
        >>> [y.shape for y in model(tokens, tokens != 0)]
        [(2, 3, 8), (2, 8)]

    Source: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for
    Language Understanding", 2018.
    """

    def __init__(
        self,
        vocabulary: int = 30522,
        positions: int = 512,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        self.encoder = BertEncoder(layers, width, heads, dropout)
        self.pooler = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = self.tokens(tokens) + self.positions(arange(tokens.shape[1]))
        x = self.encoder(self.dropout(self.norm(x)), mask[:, None, None, :])
        return x, self.pooler(x[:, 0]).tanh()
