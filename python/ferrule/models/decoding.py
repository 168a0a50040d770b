"""Search for a likely sequence of tokens: greedy and beam search.

Both are loops over `while_loop`, so they run in eager, and exported they run in C++.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import Tensor, arange, full, where, while_loop
from ..nn import functional as F

__all__ = ["beam_search", "greedy_search"]

# (tokens (n), state) -> (logits (n, vocabulary), state)
Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


def greedy_search(
    step: Step, state: Any, start: Tensor, *, end: int, max_length: int
) -> Tensor:
    """Takes the most likely token again and again.

    Args:
        step: from the last token of each sequence, (batch), and the state to the
            logits of the next, (batch, vocabulary), and the next state.
        state: the first one: tensors, nested as you like.
        start: the tokens to begin with, (batch).
        end: the token that ends a sequence.
        max_length: most tokens of a result.

    Returns:
        The tokens, integers (batch, max_length); after `end` all are `end`. The loop
        ends when all sequences have.

    Example:
        >>> import ferrule as fe
        >>> def count(token, state):  # 1 follows 0, 2 follows 1, ...
        ...     return fe.nn.functional.one_hot(token + 1, 6).float(), state
        >>> start = fe.tensor([0, 2])
        >>> fe.models.greedy_search(count, (), start, end=4, max_length=5).tolist()
        [[1, 2, 3, 4, 4], [3, 4, 4, 4, 4]]
    """
    places = arange(max_length)

    def going_on(
        t: Tensor, last: Tensor, found: Tensor, done: Tensor, _: Any
    ) -> Tensor:
        return (t < max_length) & ~done.all()

    def advance(
        t: Tensor, last: Tensor, found: Tensor, done: Tensor, state: Any
    ) -> tuple[Any, ...]:
        logits, state = step(last, state)
        best = where(done, end, logits.argmax(-1))
        found = where(places == t, best.unsqueeze(1), found)
        return t + 1, best, found, done | (best == end), state

    found = start.new_full((start.shape[0], max_length), end)
    done = full((start.shape[0],), False)
    first = (0, start, found, done, state)
    result: Tensor = while_loop(going_on, advance, first)[2]
    return result


def beam_search(
    step: Step, state: Tensor, start: Tensor, *, end: int, beams: int, max_length: int
) -> tuple[Tensor, Tensor]:
    """Keeps the `beams` most likely beginnings, and lengthens them all.

    Args:
        step: from the last token of each beginning, (batch * beams), and the state to
            the logits of the next and the next state.
        state: the first one, a tensor (batch, ...), of each sequence.
        start: the tokens to begin with, (batch).
        end: the token that ends a sequence.
        beams: how many; at most the vocabulary.
        max_length: most tokens of a result.

    Returns:
        The tokens, integers (batch, beams, max_length), the most likely first, and
        the logarithms of their probabilities, (batch, beams).

    Example:
        >>> import ferrule as fe
        >>> def coin(token, state):  # 1 with probability 0.6, else 0
        ...     return fe.tensor([0.4, 0.6]).log().expand(len(token), 2), state
        >>> tokens, scores = fe.models.beam_search(
        ...     coin, fe.zeros(1, 1), fe.tensor([0]), end=2, beams=2, max_length=2)
        >>> tokens.tolist(), scores.exp()[0, 0].item() > 0.35
        ([[[1, 1], [1, 0]]], True)
    """
    batch = start.shape[0]
    places = arange(max_length)
    # Which sequence a beginning belongs to: the first of its beams.
    offset = (arange(batch) * beams).unsqueeze(1)

    def going_on(
        t: Tensor, last: Tensor, found: Tensor, done: Tensor, score: Tensor, _: Tensor
    ) -> Tensor:
        return (t < max_length) & ~done.all()

    def advance(
        t: Tensor,
        last: Tensor,
        found: Tensor,
        done: Tensor,
        score: Tensor,
        state: Tensor,
    ) -> tuple[Any, ...]:
        logits, state = step(last, state)
        likely = F.log_softmax(logits, -1)
        words = likely.shape[1]
        # What has ended goes on in one way, which costs nothing.
        kept = where(arange(words) == end, 0.0, float("-inf"))
        likely = where(done.unsqueeze(1), kept, likely)
        totals = (score.reshape(-1, 1) + likely).reshape(batch, beams * words)
        score, chosen = totals.topk(beams)
        parent = (offset + chosen // words).flatten()
        last = (chosen % words).flatten()
        found = where(places == t, last.unsqueeze(1), found[parent])
        return t + 1, last, found, done[parent] | (last == end), score, state[parent]

    many = batch * beams
    first = (
        0,
        start.repeat_interleave(beams),
        start.new_full((many, max_length), end),
        full((many,), False),
        # At first all beams of a sequence are the same: one counts.
        where(arange(beams) == 0, 0.0, float("-inf")).expand(batch, beams),
        state.repeat_interleave(beams, 0),
    )
    found, score = (while_loop(going_on, advance, first)[i] for i in (2, 4))
    return found.reshape(batch, beams, max_length), score
