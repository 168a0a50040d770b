"""Averages of models: stochastic weight averaging, exponential moving averages.

>>> import ferrule as fe
>>> model = fe.nn.Linear(2, 1)
>>> ema = fe.optim.swa_utils.AveragedModel(
...     model, multi_avg_fn=fe.optim.swa_utils.get_ema_multi_avg_fn(0.99))
>>> ema.update_parameters(model)  # after every step of the optimizer
>>> ema(fe.ones((1, 2))).shape
(1, 1)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from math import cos, pi
from typing import Any

from .._ferrule import Device, Tensor, int64, no_grad, zeros
from ..nn._evaluation import training_is_meant
from ..nn.module import Module
from ..nn.modules import norm
from .lr_scheduler.scheduler import LRScheduler, Rate, check_optimizer, one_per_group
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Tensor], Tensor]
MultiAverage = Callable[[list[Tensor], list[Tensor], Tensor], None]


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"[ema] decay must be in 0..1, got {decay}")


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The rule decay * average + (1 - decay) * new, for `AveragedModel(avg_fn=)`.

    Raises:
        ValueError: `decay` is not in 0..1.
    """
    _check_decay(decay)

    def ema(average: Tensor, new: Tensor, count: Tensor) -> Tensor:
        with no_grad():
            return average * decay + new * (1 - decay)

    return ema


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """As `get_ema_avg_fn`, in place on lists, for `AveragedModel(multi_avg_fn=)`.

    Raises:
        ValueError: `decay` is not in 0..1.
    """
    _check_decay(decay)

    def ema(averages: list[Tensor], news: list[Tensor], count: Tensor) -> None:
        with no_grad():
            for average, new in zip(averages, news, strict=True):
                if average.is_floating_point() or average.is_complex():
                    average.lerp_(new, 1 - decay)
                else:
                    average.copy_(average * decay + new * (1 - decay))

    return ema


def get_swa_avg_fn() -> Average:
    """The mean of all models: average + (new - average) / (count + 1)."""

    def swa(average: Tensor, new: Tensor, count: Tensor) -> Tensor:
        with no_grad():
            return average + (new - average) / (int(count) + 1)

    return swa


def get_swa_multi_avg_fn() -> MultiAverage:
    """As `get_swa_avg_fn`, in place on lists."""
    rule = get_swa_avg_fn()

    def swa(averages: list[Tensor], news: list[Tensor], count: Tensor) -> None:
        for average, new in zip(averages, news, strict=True):
            average.copy_(rule(average, new, count))

    return swa


class AveragedModel(Module):
    """A copy of a model that holds an average of its parameters.

    Called, it is the averaged model. State: `n_averaged`, and "module." before the
    names of the model.

    Args:
        model: what is averaged.
        device: where the copy is; None: where the model is.
        avg_fn: gives a new average of (average, new value, number averaged); None
            and no `multi_avg_fn`: the mean of all.
        multi_avg_fn: the same in place, with lists of all.
        use_buffers: True averages buffers, too; otherwise they are copied.

    Raises:
        ValueError: both functions are given.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
    Generalization", 2018; Polyak and Juditsky, 1992.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Linear(1, 1, bias=False)
        >>> swa = fe.optim.swa_utils.AveragedModel(model)
        >>> for value in (1.0, 2.0, 6.0):
        ...     _ = fe.nn.init.constant_(model.weight, value)
        ...     swa.update_parameters(model)
        >>> swa.module.weight.item(), swa.n_averaged.item()
        (3.0, 3)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Device | str | None = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("[AveragedModel] give avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", zeros((), dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the model's present parameters into the average."""
        averages = [p.detach() for p in self.module.parameters()]
        news = [p.detach() for p in model.parameters()]
        buffers = list(
            zip(
                self.module.buffers(),
                (b.detach() for b in model.buffers()),
                strict=True,
            )
        )
        with no_grad():
            if self.use_buffers:
                averages += [mine for mine, _ in buffers]
                news += [theirs for _, theirs in buffers]
            else:
                for mine, theirs in buffers:
                    mine.copy_(theirs)
            news = [
                new.to(average.device)
                for average, new in zip(averages, news, strict=True)
            ]
            if int(self.n_averaged) == 0:
                for average, new in zip(averages, news, strict=True):
                    average.copy_(new)
            elif self.avg_fn is not None:
                for average, new in zip(averages, news, strict=True):
                    average.copy_(self.avg_fn(average, new, self.n_averaged))
            else:
                multi = self.multi_avg_fn or get_swa_multi_avg_fn()
                multi(averages, news, self.n_averaged)
            self.n_averaged.add_(1)


def update_bn(
    loader: Iterable[Any], model: Module, device: Device | str | None = None
) -> None:
    """Computes the running statistics of all batch norms anew.

    An averaged model has other activations than any model it was averaged from.

    Args:
        loader: gives batches of inputs; of a tuple or list the first entry counts.
        model: runs once over all of them, in training mode.
        device: where the batches go.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.BatchNorm1d(2)
        >>> fe.optim.swa_utils.update_bn([fe.full((4, 2), 3.0)], model)
        >>> model.running_mean.tolist()
        [3.0, 3.0]
    """
    norms = [m for m in model.modules() if isinstance(m, norm._BatchNorm)]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    modes = [(m, m.training) for m in model.modules()]
    try:
        model.train()
        for m in norms:
            m.reset_running_stats()
            m.momentum = None  # the mean of all batches
        with no_grad(), training_is_meant():
            for batch in loader:
                x = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(x if device is None else x.to(device))
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
        for module, training in modes:
            module.training = training


class SWALR(LRScheduler):
    """From the present rate to `swa_lr` in some epochs, and constant from there.

    Args:
        optimizer: whose learning rates are set.
        swa_lr: the rate while models are averaged; or one for each group.
        anneal_epochs: how long it takes to get there.
        anneal_strategy: "cos" or "linear".
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: an option is out of range.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.SGD([fe.nn.Parameter(fe.ones((1,)))], lr=0.5)
        >>> fe.optim.swa_utils.SWALR(optimizer, swa_lr=0.05).get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self._name, optimizer)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"[SWALR] anneal_strategy must be 'cos' or 'linear', got "
                f"{anneal_strategy!r}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(
                f"[SWALR] anneal_epochs must be an int of at least 0, got "
                f"{anneal_epochs!r}"
            )
        rates = one_per_group(self._name, "swa_lr", swa_lr, optimizer)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs = anneal_epochs
        self._anneal_strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - cos(pi * t)) / 2

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates: list[Rate] = []
        for group in self.optimizer.param_groups:
            goal = group["swa_lr"]
            # Where it began follows from where it stands.
            start = goal
            if before != 1:
                start = (group["lr"] - before * goal) / (1 - before)
            rates.append(goal * now + start * (1 - now))
        return rates
