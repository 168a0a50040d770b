"""`AdaptiveLogSoftmaxWithLoss`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..._ferrule import (
    Device,
    DType,
    IndexOutOfRange,
    InvalidValue,
    ShapeError,
    Tensor,
    ops,
)
from ..module import Module
from .container import ModuleList, Sequential
from .linear import Linear

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class ASMoutput(NamedTuple):
    """What `AdaptiveLogSoftmaxWithLoss` gives."""

    output: Tensor
    """Log-probability of the target, for every row."""
    loss: Tensor
    """Minus their mean."""


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-softmax over very many classes, of which few are frequent.

    Classes are ordered by frequency and cut into clusters. The head scores the
    classes of the first one and one entry for each other cluster; a tail scores the
    classes of its cluster, with fewer features the rarer they are, and is computed
    for the rows whose target lies there.

    Called with features (N, in_features) and classes (N,), or (in_features,) and ();
    gives `output` and `loss`.

    Args:
        in_features: size of a row.
        n_classes: number of classes.
        cutoffs: where clusters end, increasing, below `n_classes`.
        div_value: features of cluster i are in_features / div_value^i.
        head_bias: True gives the head a bias.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Raises:
        InvalidValue: `cutoffs` are not as said.
        ShapeError: (in the call) shapes do not fit.
        IndexOutOfRange: (in the call) a class is out of range.

    Source: Grave et al., "Efficient softmax approximation for GPUs", 2017.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.AdaptiveLogSoftmaxWithLoss(8, 100, [10, 50])
        >>> layer(fe.zeros((3, 8)), fe.tensor([1, 20, 99])).output.shape
        (3,)
        >>> layer.log_prob(fe.zeros((3, 8))).shape
        (3, 100)
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        ends = list(cutoffs)
        if not ends:
            raise InvalidValue(
                "[AdaptiveLogSoftmaxWithLoss] cutoffs must name one end or more"
            )
        if ends != sorted(set(map(int, ends))) or not 0 < ends[0] <= ends[-1] < (
            n_classes
        ):
            raise InvalidValue(
                "[AdaptiveLogSoftmaxWithLoss] cutoffs must be whole numbers, "
                f"increasing, from 1 to n_classes - 1 = {n_classes - 1}, got {ends}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = ends[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, False, device, dtype),
                    Linear(hidden, size, False, device, dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        for layer in self.modules():
            if isinstance(layer, Linear):
                layer.reset_parameters()

    def forward(self, input: Tensor, target: Tensor) -> ASMoutput:
        self._check(input, target)
        if target.ndim == 0:
            out = self.forward(input.unsqueeze(0), target.unsqueeze(0))
            return ASMoutput(out.output.squeeze(0), out.loss)
        head = ops.log_softmax(self.head(input), 1)
        ends = self.cutoffs
        # The head's entry of every target: its class, or its cluster.
        entry = ops.clamp_max(target, ends[0] - 1)
        symbolic = target.device.type == "graph"
        tails = ops.zeros_like(head.select(1, 0))
        for i in range(self.n_clusters):
            low, high = ends[i], ends[i + 1]
            inside = ops.logical_and(ops.ge(target, low), ops.lt(target, high))
            entry = ops.where(inside, self.shortlist_size + i, entry)
            if symbolic:  # which rows lie there is not known: all are computed
                local = ops.clamp(target - low, 0, high - low - 1)
                found = self._tail(i, input, local)
                tails = ops.where(inside, found, tails)
                continue
            rows = inside.nonzero().reshape((-1,))
            if rows.numel() == 0:
                continue
            local = target.index_select(0, rows) - low
            found = self._tail(i, input.index_select(0, rows), local)
            tails = ops.index_add(tails, 0, rows, found)
        output = head.gather(1, entry.unsqueeze(1)).squeeze(1) + tails
        return ASMoutput(output, -output.mean())

    def _tail(self, i: int, input: Tensor, local: Tensor) -> Tensor:
        """Log-probability of classes within cluster i."""
        logp = ops.log_softmax(self.tail[i](input), 1)
        return logp.gather(1, local.unsqueeze(1)).squeeze(1)

    def _check(self, input: Tensor, target: Tensor) -> None:
        if input.ndim != target.ndim + 1 or target.ndim > 1:
            raise ShapeError(
                "[AdaptiveLogSoftmaxWithLoss] input must be (N, in_features) and "
                f"target (N,), or (in_features,) and (); got {input.shape} and "
                f"{target.shape}"
            )
        if target.ndim == 1 and input.shape[0] != target.shape[0]:
            raise ShapeError(
                f"[AdaptiveLogSoftmaxWithLoss] input has {input.shape[0]} rows, but "
                f"target {target.shape[0]}"
            )
        if target.device.type == "graph" or target.numel() == 0:
            return
        low, high = int(target.min().item()), int(target.max().item())
        if low < 0 or high >= self.n_classes:
            raise IndexOutOfRange(
                f"[AdaptiveLogSoftmaxWithLoss] class {low if low < 0 else high} is out "
                f"of range; valid: 0..{self.n_classes - 1}"
            )

    def log_prob(self, input: Tensor) -> Tensor:
        """Log-probabilities of all classes, (N, n_classes)."""
        head = ops.log_softmax(self.head(input), 1)
        n = self.shortlist_size
        parts = [head.narrow(1, 0, n)]
        for i in range(self.n_clusters):
            tail = ops.log_softmax(self.tail[i](input), 1)
            parts.append(tail + head.narrow(1, n + i, 1))
        return ops.cat(parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most likely class of every row, (N,)."""
        return self.log_prob(input).argmax(1)
