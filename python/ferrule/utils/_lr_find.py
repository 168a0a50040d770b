"""`lr_find`: which learning rates make the loss fall."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING, Any

from .._ferrule import Tensor
from ..nn import Module
from ..optim.lr_scheduler.scheduler import set_option, values_of
from ..optim.optimizer import Optimizer
from ..random import fork_rng

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LRFind", "lr_find"]


@dataclass
class LRFind:
    """What `lr_find` found."""

    lrs: list[float]
    """The learning rates that were tried, rising."""
    losses: list[float]
    """The loss with each, smoothed."""
    suggestion: float
    """Where half of the way to the lowest loss is done."""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the losses; see `plot.lr_find`."""
        from . import plot

        return plot.lr_find(self, ax=ax)


def lr_find(
    model: Module,
    optimizer: Optimizer,
    loss_fn: Callable[[Any, Any], Tensor],
    loader: Iterable[Any],
    *,
    start: float = 1e-6,
    end: float = 10.0,
    steps: int = 100,
    smooth: float = 0.9,
) -> LRFind:
    """Trains for some steps with a rising learning rate and watches the loss.

    The learning rate grows by the same factor every step. It stops early when the
    loss is four times the lowest. Model, optimizer and random numbers are afterwards
    as before.

    Args:
        model: is called with the first element of every batch.
        optimizer: of its parameters.
        loss_fn: called as ``loss_fn(model(x), y)``.
        loader: yields batches ``(x, y)``; begun anew when it ends.
        start: the lowest learning rate.
        end: the highest.
        steps: how many there are from the lowest to the highest.
        smooth: the weight of the past in the mean of the losses.

    Returns:
        An `LRFind`; `plot` draws it.

    Raises:
        ValueError: the numbers do not fit, the loader is empty, or the loss was
            infinite or NaN from the first steps on.

    Example:
        >>> import ferrule as fe
        >>> x = fe.randn(64, 2)
        >>> data = fe.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
        >>> model = fe.nn.Linear(2, 1)
        >>> found = fe.utils.lr_find(
        ...     model,
        ...     fe.optim.SGD(model.parameters(), lr=0.1),
        ...     fe.nn.functional.mse_loss,
        ...     fe.utils.data.DataLoader(data, 16),
        ... )
        >>> 1e-3 < found.suggestion < 1
        True

    Source: L. Smith, "Cyclical Learning Rates for Training Neural Networks", 2017,
    arXiv:1506.01186.
    """
    if not 0 < start < end or steps < 2 or not 0 <= smooth < 1:
        raise ValueError(
            "[lr_find] expected 0 < start < end, steps >= 2 and 0 <= smooth < 1, got "
            f"{start}, {end}, {steps} and {smooth}"
        )
    state = {name: t.detach().clone() for name, t in model.state_dict().items()}
    grads = [p.grad for p in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    saved, rates = deepcopy(optimizer.state_dict()), values_of(optimizer, "lr")
    lrs: list[float] = []
    losses: list[float] = []
    try:
        with fork_rng():
            model.train()
            _train(
                *(model, optimizer, loss_fn, loader),
                [start * (end / start) ** (i / (steps - 1)) for i in range(steps)],
                *(smooth, lrs, losses),
            )
    finally:
        model.load_state_dict(state)
        optimizer.load_state_dict(saved)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            set_option(group, "lr", rate)
        for param, grad in zip(model.parameters(), grads, strict=True):
            param.grad = grad
        for module, mode in modes:
            module.training = mode
    if len(losses) < 2:
        raise ValueError(
            "[lr_find] the loss was not finite after "
            f"{len(losses)} steps; begin with a smaller start than {start}"
        )
    return LRFind(lrs, losses, _halfway_down(lrs, losses))


def _train(
    model: Module,
    optimizer: Optimizer,
    loss_fn: Callable[[Any, Any], Tensor],
    loader: Iterable[Any],
    rates: list[float],
    smooth: float,
    lrs: list[float],
    losses: list[float],
) -> None:
    """Appends to `lrs` and `losses`."""
    batches = iter(loader)
    total = norm = 0.0
    for rate in rates:
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            batch = next(batches, None)
        if batch is None:
            raise ValueError("[lr_find] the loader yields no batch")
        for group in optimizer.param_groups:
            set_option(group, "lr", rate)
        optimizer.zero_grad()
        loss = loss_fn(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        value = loss.item()
        if not isfinite(value):
            return
        total = smooth * total + (1 - smooth) * value
        norm = smooth * norm + (1 - smooth)
        lrs.append(rate)
        losses.append(total / norm)
        if losses[-1] > 4 * min(losses):
            return


def _halfway_down(lrs: list[float], losses: list[float]) -> float:
    """On the slope to the lowest loss; single steps are too noisy to compare."""
    lowest = losses.index(min(losses))
    half = (median(losses[: max(len(losses) // 5, 1)]) + losses[lowest]) / 2
    above = [i for i in range(lowest) if losses[i] >= half]
    return lrs[above[-1] if above else lowest]
