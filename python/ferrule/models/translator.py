"""A sequence from a sequence: encoder, attention, decoder."""

from __future__ import annotations

from .. import Tensor, cat, nn, scan
from .decoding import beam_search, greedy_search

__all__ = ["BeamTranslator", "GreedyTranslator", "Translator"]


class Translator(nn.Module):
    """Reads a sequence with a GRU and writes another, looking at what it has read.

    Args:
        source_words, target_words: sizes of the vocabularies.
        width: of embeddings and states.

    Shapes:
        source, integers (batch, length); target, what has been written so far at each
        step, integers (batch, steps); to logits of the next words
        (batch, steps, target_words). This is what training needs; `GreedyTranslator`
        and `BeamTranslator` write by themselves.

    Example:
        >>> import ferrule as fe
        >>> model = fe.models.Translator(20, 30, width=8)
        >>> words = fe.zeros(2, 5, dtype=fe.int64)
        >>> model(words, words[:, :3]).shape
        (2, 3, 30)

    Source: Luong et al., "Effective Approaches to Attention-based Neural Machine
    Translation", 2015.
    """

    def __init__(self, source_words: int, target_words: int, width: int = 128) -> None:
        super().__init__()
        self.source = nn.Embedding(source_words, width)
        self.encoder = nn.GRU(width, width, batch_first=True)
        self.target = nn.Embedding(target_words, width)
        self.decoder = nn.GRUCell(width, width)
        self.mix = nn.Linear(2 * width, width)
        self.head = nn.Linear(width, target_words)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """What was read (batch, length, width), and the first state (batch, width)."""
        memory, last = self.encoder(self.source(source))
        return memory, last[0]

    def step(
        self, token: Tensor, state: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """From the last word, (batch), and the state to logits and the next state."""
        state = self.decoder(self.target(token), state)
        weights = (memory @ state.unsqueeze(2)).softmax(1)
        seen = (weights * memory).sum(1)
        return self.head(self.mix(cat((seen, state), 1)).tanh()), state

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory, state = self.encode(source)

        def step(state: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
            logits, state = self.step(token, state, memory)
            return state, logits

        logits: Tensor = scan(step, state, target, dim=1)[1]
        return logits


class GreedyTranslator(nn.Module):
    """Writes the most likely word again and again; see `greedy_search`.

    Args:
        model: whose parameters it has.
        start, end: the words that begin and end a sequence.
        max_length: most words of a result.

    Shapes:
        integers (batch, length) to integers (batch, max_length).
    """

    def __init__(
        self, model: Translator, *, start: int, end: int, max_length: int
    ) -> None:
        super().__init__()
        self.model = model
        self.start, self.end, self.max_length = start, end, max_length

    def forward(self, source: Tensor) -> Tensor:
        memory, state = self.model.encode(source)
        return greedy_search(
            lambda token, state: self.model.step(token, state, memory),
            state,
            source.new_full((source.shape[0],), self.start),
            end=self.end,
            max_length=self.max_length,
        )


class BeamTranslator(nn.Module):
    """Writes the most likely sequences that it finds; see `beam_search`.

    Args:
        model, start, end, max_length: as of `GreedyTranslator`.
        beams: how many beginnings it keeps.

    Shapes:
        integers (batch, length) to integers (batch, beams, max_length) and the
        logarithms of their probabilities, (batch, beams).
    """

    def __init__(
        self,
        model: Translator,
        *,
        start: int,
        end: int,
        max_length: int,
        beams: int = 4,
    ) -> None:
        super().__init__()
        self.model = model
        self.start, self.end = start, end
        self.max_length, self.beams = max_length, beams

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        memory, state = self.model.encode(source)
        memory = memory.repeat_interleave(self.beams, 0)
        return beam_search(
            lambda token, state: self.model.step(token, state, memory),
            state,
            source.new_full((source.shape[0],), self.start),
            end=self.end,
            beams=self.beams,
            max_length=self.max_length,
        )
