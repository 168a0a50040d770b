"""A class for each sentence, by a GRU in a loop."""

from __future__ import annotations

from .. import Tensor, arange, nn, scan, where

__all__ = ["GRUClassifier"]


class GRUClassifier(nn.Module):
    """Reads sentences of different lengths, a word at a time, with a `GRUCell`.

    The loop is a `scan`: captured, it is one node, for any length. A sentence that
    has ended keeps its state, so that padding has no influence.

    Args:
        words: size of the vocabulary.
        num_classes: width of the last layer.
        width: of the embedding and of the state.

    Shapes:
        integers (batch, length), and the lengths of the sentences (batch), to logits
        (batch, num_classes).

    Example:
        >>> import ferrule as fe
        >>> model = fe.models.GRUClassifier(50, 2, width=8)
        >>> model(fe.zeros(2, 5, dtype=fe.int64), fe.tensor([5, 3])).shape
        (2, 2)
    """

    def __init__(self, words: int, num_classes: int, width: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.cell = nn.GRUCell(width, width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        x = self.embedding(words)

        def step(state: Tensor, at: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
            place, word = at
            new = self.cell(word, state)
            return where((place < lengths).unsqueeze(1), new, state), None

        first = x.new_zeros(x.shape[0], x.shape[2])
        places = arange(words.shape[1])
        state, _ = scan(step, first, (places, x.transpose(0, 1)))
        return self.head(state)
