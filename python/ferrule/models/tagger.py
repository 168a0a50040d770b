"""A tag for each word of a sentence, by an LSTM."""

from __future__ import annotations

from .. import Tensor, nn

__all__ = ["LSTMTagger"]


class LSTMTagger(nn.Module):
    """Embedding, LSTM, and a linear layer at each place.

    With tags that are the next words it is a language model.

    Args:
        words: size of the vocabulary.
        tags: number of tags.
        width: of the embedding and of the LSTM.
        layers: of the LSTM.
        bidirectional: let each word see those behind it, too.

    Shapes:
        integers (batch, length) to logits (batch, length, tags).

    Example:
        >>> import ferrule as fe
        >>> fe.models.LSTMTagger(50, 3, width=8)(fe.zeros(2, 5, dtype=fe.int64)).shape
        (2, 5, 3)
    """

    def __init__(
        self,
        words: int,
        tags: int,
        width: int = 128,
        layers: int = 1,
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.lstm = nn.LSTM(
            width, width, layers, batch_first=True, bidirectional=bidirectional
        )
        self.head = nn.Linear(width * (1 + bidirectional), tags)

    def forward(self, words: Tensor) -> Tensor:
        found, _ = self.lstm(self.embedding(words))
        return self.head(found)
