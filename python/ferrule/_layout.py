"""Where the boxes of a directed graph go: a layered drawing from top to bottom.

After Sugiyama, Tagawa and Toda (1981): a box stands below all that it depends on; an
arrow across several layers bends in each of them; layers are sorted by the mean place
of neighbours, to and fro.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Box", "Picture", "place"]

_GAP_X, _GAP_Y, _MARGIN = 24.0, 36.0, 16.0
_SWEEPS = 4


@dataclass
class Box:
    """A box.

    Args:
        lines: what stands in it.
        text: what is said of it.
        kind: how it looks.
        above: numbers of earlier boxes with an arrow to this one.
    """

    lines: list[str]
    text: str
    kind: str
    above: list[int]

    @property
    def width(self) -> float:
        return 18 + max(
            (7.2 if i == 0 else 5.8) * len(s) for i, s in enumerate(self.lines)
        )

    @property
    def height(self) -> float:
        return 10 + 14.0 * len(self.lines)


class Picture(NamedTuple):
    width: float
    height: float
    centers: list[tuple[float, float]]  # of the boxes
    edges: list[list[tuple[float, float]]]  # points of the arrows


class _Layers:
    """Places in layers: boxes first, then bends of arrows, which are 1 wide."""

    def __init__(self, boxes: list[Box]) -> None:
        self.widths = [b.width for b in boxes]
        self.up: list[list[int]] = [[] for _ in boxes]
        self.down: list[list[int]] = [[] for _ in boxes]
        rank: list[int] = []
        for b in boxes:
            rank.append(1 + max((rank[a] for a in b.above), default=-1))
        self.layers: list[list[int]] = [[] for _ in range(max(rank, default=-1) + 1)]
        for i, r in enumerate(rank):
            self.layers[r].append(i)
        self.edges: list[list[int]] = []
        for i, b in enumerate(boxes):
            for a in b.above:
                chain = [a]
                for r in range(rank[a] + 1, rank[i]):
                    chain.append(len(self.widths))
                    self.layers[r].append(len(self.widths))
                    self.widths.append(1.0)
                    self.up.append([])
                    self.down.append([])
                chain.append(i)
                self.edges.append(chain)
                for p, q in pairwise(chain):
                    self.down[p].append(q)
                    self.up[q].append(p)

    def sort(self) -> None:
        at = {p: float(i) for layer in self.layers for i, p in enumerate(layer)}
        for sweep in range(2 * _SWEEPS):
            near = self.up if sweep % 2 == 0 else self.down
            for layer in self.layers if sweep % 2 == 0 else reversed(self.layers):
                mean = {
                    p: sum(at[q] for q in near[p]) / len(near[p]) if near[p] else at[p]
                    for p in layer
                }
                layer.sort(key=mean.__getitem__)
                for i, p in enumerate(layer):
                    at[p] = float(i)

    def columns(self) -> list[float]:
        """Horizontal places: near the mean of the neighbours, without overlap."""
        x = [0.0] * len(self.widths)
        for layer in self.layers:
            self._spread(layer, x, x)
        for sweep in range(2 * _SWEEPS):
            near = self.up if sweep % 2 == 0 else self.down
            wanted = [
                sum(x[q] for q in near[p]) / len(near[p]) if near[p] else x[p]
                for p in range(len(x))
            ]
            for layer in self.layers if sweep % 2 == 0 else reversed(self.layers):
                self._spread(layer, wanted, x)
        return x

    def _spread(self, layer: list[int], wanted: list[float], x: list[float]) -> None:
        # Pushed to the right, and pushed to the left: both are without overlap, and
        # so is their mean.
        gaps = [self._distance(p, q) for p, q in pairwise(layer)]
        right = [wanted[p] for p in layer]
        left = list(right)
        for i, gap in enumerate(gaps):
            right[i + 1] = max(right[i + 1], right[i] + gap)
        for i in reversed(range(len(gaps))):
            left[i] = min(left[i], left[i + 1] - gaps[i])
        for p, a, b in zip(layer, right, left, strict=True):
            x[p] = (a + b) / 2

    def _distance(self, p: int, q: int) -> float:
        return (self.widths[p] + self.widths[q]) / 2 + _GAP_X


def place(boxes: list[Box]) -> Picture:
    """A place for each box and a line for each arrow."""
    layers = _Layers(boxes)
    layers.sort()
    x = layers.columns()
    left = min((c - w / 2 for c, w in zip(x, layers.widths, strict=True)), default=0.0)
    x = [c - left + _MARGIN for c in x]
    width = max((c + w / 2 for c, w in zip(x, layers.widths, strict=True)), default=0.0)
    heights = [b.height for b in boxes] + [0.0] * (len(x) - len(boxes))
    y = [0.0] * len(x)
    top = _MARGIN
    for layer in layers.layers:
        tallest = max(heights[p] for p in layer)
        for p in layer:
            y[p] = top + tallest / 2
        top += tallest + _GAP_Y
    edges = []
    for chain in layers.edges:
        points = [(x[p], y[p]) for p in chain]
        points[0] = (x[chain[0]], y[chain[0]] + heights[chain[0]] / 2)
        points[-1] = (x[chain[-1]], y[chain[-1]] - heights[chain[-1]] / 2)
        edges.append(points)
    centers = [(x[i], y[i]) for i in range(len(boxes))]
    return Picture(width + _MARGIN, max(top - _GAP_Y, 0) + _MARGIN, centers, edges)
