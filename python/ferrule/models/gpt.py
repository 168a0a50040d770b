"""GPT: a transformer that continues a text, with a cache of what it has read."""

from __future__ import annotations

from .. import Tensor, arange, cat, nn, stack
from ..nn import functional as F

__all__ = ["GPT", "GPTDecoder", "GPTLayer"]


class GPTLayer(nn.Module):
    """Every place looks at those before it, then thinks about what it found."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, past: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns also the keys and values of these places, for the cache."""
        batch, length, width = x.shape
        split = (batch, length, 3, self.heads, width // self.heads)
        parts = self.qkv(self.norm1(x)).reshape(split)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        if past is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            keys, values = cat((past[0], k), 2), cat((past[1], v), 2)
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        x = x + self.dropout(self.out(y.transpose(1, 2).reshape(batch, length, width)))
        return x + self.dropout(self.mlp(self.norm2(x))), k, v


class GPT(nn.Module):
    """The decoder of GPT-2. The defaults are those of its small model.

    Embedding and last layer share their weight.

    Args:
        vocabulary: number of tokens.
        context: the longest text.
        layers: how many.
        width: numbers by which a token is described.
        heads: of attention.
        dropout: in training.

    Shapes:
        integers (batch, length) to logits (batch, length, vocabulary), of the token
        that follows each.

    Example:
        >>> import ferrule as fe
        >>> model = fe.models.GPT(65, 16, layers=1, width=8, heads=2).eval()
        >>> model(fe.zeros(2, 5, dtype=fe.int64)).shape
        (2, 5, 65)

    Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.
    """

    def __init__(
        self,
        vocabulary: int = 50257,
        context: int = 1024,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.layers = nn.ModuleList(
            GPTLayer(width, heads, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(arange(tokens.shape[1]))
        for layer in self.layers:
            x, _, _ = layer(x)
        return F.linear(self.norm(x), self.tokens.weight)

    def empty_cache(self, batch: int) -> Tensor:
        """The cache before the first token; see `decode`."""
        heads = self.heads
        width = self.tokens.weight.shape[1]
        return self.tokens.weight.new_zeros(
            len(self.layers), 2, batch, heads, 0, width // heads
        )

    def decode(self, tokens: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Reads further tokens of a text whose beginning is in the cache.

        Each token is computed once, however long the text becomes: first the whole
        prompt is read with an empty cache, then each new token with all before it.

        Args:
            tokens: integers (batch, length).
            cache: keys and values of the tokens before these, (layers, 2, batch,
                heads, past, width / heads).

        Returns:
            Logits of the token that follows the last, (batch, vocabulary), and the
            keys and values of these tokens, by which the caller lengthens the cache
            along its dimension 4.

        Example:
            >>> import ferrule as fe
            >>> model = fe.models.GPT(65, 16, layers=1, width=8, heads=2).eval()
            >>> text, cache = fe.tensor([[3, 1, 4]]), model.empty_cache(1)
            >>> with fe.no_grad():
            ...     logits, new = model.decode(text, cache)
            ...     cache = fe.cat((cache, new), 4)
            ...     logits, new = model.decode(logits.argmax(-1, keepdim=True), cache)
            >>> cache.shape
            (1, 2, 1, 2, 3, 4)
        """
        length, past = tokens.shape[1], cache.shape[4]
        places = arange(length) + past
        mask = places.unsqueeze(1) >= arange(past + length)
        x = self.tokens(tokens) + self.positions(places)
        new = []
        for i, layer in enumerate(self.layers):
            x, k, v = layer(x, cache[i], mask)
            new.append(stack((k, v)))
        return F.linear(self.norm(x[:, -1]), self.tokens.weight), stack(new)


class GPTDecoder(nn.Module):
    """`GPT.decode` as a module, to be exported: a file that continues texts.

    Args:
        model: whose parameters it has.

    Example:
        >>> import ferrule as fe
        >>> model = fe.models.GPT(65, 16, layers=1, width=8, heads=2).eval()
        >>> program = fe.export(
        ...     fe.models.GPTDecoder(model),
        ...     (fe.zeros(1, 3, dtype=fe.int64), fe.zeros(1, 2, 1, 2, 2, 4)),
        ...     dynamic_shapes={"tokens": {1: "new"}, "cache": {4: "past"}},
        ... )
        >>> logits, new = program(fe.tensor([[3]]), model.empty_cache(1))
        >>> logits.shape, new.shape
        ((1, 65), (1, 2, 1, 2, 1, 4))
    """

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.decode(tokens, cache)
