"""Learning rates that rise and fall, with the momentum the other way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import cos, floor, pi
from typing import Any

from ..optimizer import Optimizer
from .scheduler import (
    LRScheduler,
    Rate,
    check_optimizer,
    function_state,
    load_function_state,
    one_per_group,
    set_option,
)

__all__ = ["CyclicLR", "OneCycleLR"]

Values = float | Sequence[float]


def _start_momentum(
    name: str, optimizer: Optimizer, base: Values, highest: Values, begin: bool
) -> tuple[bool, list[float], list[float]]:
    """Is it the first of "betas"? And the bounds of the momentum, by group."""
    if not {"momentum", "betas"} & optimizer.defaults.keys():
        raise ValueError(
            f"[{name}] {type(optimizer).__name__} has neither momentum nor betas; pass "
            "cycle_momentum=False"
        )
    use_beta1 = "betas" in optimizer.defaults
    highs = one_per_group(name, "max_momentum", highest, optimizer)
    lows = one_per_group(name, "base_momentum", base, optimizer)
    if begin:
        for group, high, low in zip(optimizer.param_groups, highs, lows, strict=True):
            _set_momentum(group, use_beta1, high)
            group["max_momentum"] = high
            group["base_momentum"] = low
    return use_beta1, lows, highs


def _set_momentum(group: dict[str, Any], use_beta1: bool, value: float) -> None:
    if use_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


class CyclicLR(LRScheduler):
    """From `base_lr` to `max_lr` and back, on lines, again and again.

    Call `step` after every batch. The height of a cycle is scaled: not at all
    ("triangular"), by halves ("triangular2"), by gamma^iterations ("exp_range"), or
    by `scale_fn`.

    Args:
        optimizer: whose learning rates are set.
        base_lr: the lower bound; or one for each group.
        max_lr: the upper bound; or one for each group.
        step_size_up: steps from the lower bound to the upper one.
        step_size_down: steps back; None: as many.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: of "exp_range".
        scale_fn: replaces `mode`.
        scale_mode: argument of `scale_fn`: "cycle", counted from 1, or
            "iterations".
        cycle_momentum: True moves the momentum, or beta1, the other way.
        base_momentum: its lower bound.
        max_momentum: its upper bound.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: an option is out of range, or there is no momentum.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.ones((1,)))
        >>> optimizer = fe.optim.SGD([p], lr=0.5, momentum=0.9)
        >>> fe.optim.lr_scheduler.CyclicLR(optimizer, 0.25, 1.0).get_last_lr()
        [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Values,
        max_lr: Values,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Values = 0.8,
        max_momentum: Values = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self._name, optimizer)
        lows = one_per_group(self._name, "base_lr", base_lr, optimizer)
        self.max_lrs = one_per_group(self._name, "max_lr", max_lr, optimizer)
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(
                f"[{self._name}] mode must be 'triangular', 'triangular2' or "
                f"'exp_range', got {mode!r}"
            )
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        begin = last_epoch == -1
        if begin:
            for group, lr in zip(optimizer.param_groups, lows, strict=True):
                set_option(group, "lr", lr)
        if cycle_momentum:
            self.use_beta1, self.base_momentums, self.max_momentums = _start_momentum(
                self._name, optimizer, base_momentum, max_momentum, begin
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def scale_fn(self, x: float) -> float:
        """What the height of a cycle, or at an iteration, is scaled by."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return float(1 / 2.0 ** (x - 1))
        return float(self.gamma**x) if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        cycle = floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        if x <= self.step_ratio:
            height = x / self.step_ratio
        else:
            height = (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups,
                self.base_momentums,
                self.max_momentums,
                strict=True,
            ):
                momentum = high - (high - low) * height * scale
                _set_momentum(group, self.use_beta1, momentum)
        return [
            low + (high - low) * height * scale
            for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        state["_scale_fn_custom"] = function_state(self._scale_fn_custom)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        rest = dict(state_dict)
        load_function_state(self._scale_fn_custom, rest.pop("_scale_fn_custom"))
        super().load_state_dict(rest)


class OneCycleLR(LRScheduler):
    """One rise to `max_lr` and a long fall far below where it began.

    Call `step` after every batch. The rate goes from max_lr / div_factor to max_lr,
    and from there to max_lr / div_factor / final_div_factor.

    Args:
        optimizer: whose learning rates are set.
        max_lr: the highest rate; or one for each group.
        total_steps: steps of the whole schedule; or
        epochs, steps_per_epoch: whose product is that.
        pct_start: share of the steps that rise.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: True moves the momentum, or beta1, the other way.
        base_momentum: its lower bound.
        max_momentum: its upper bound.
        div_factor: max_lr by the first rate.
        final_div_factor: the first rate by the last.
        three_phase: True falls to the first rate as fast as it rose, and then to
            the last.
        last_epoch: as of `LRScheduler`.

    Raises:
        ValueError: an option is out of range, or there is no momentum; from `step`,
            the schedule is over.

    Source: Smith and Topin, "Super-Convergence: Very Fast Training of Neural
    Networks Using Large Learning Rates", 2018.

    Example:
        >>> import ferrule as fe
        >>> optimizer = fe.optim.AdamW([fe.nn.Parameter(fe.ones((1,)))])
        >>> schedule = fe.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=100)
        >>> [round(lr, 6) for lr in schedule.get_last_lr()]
        [0.02]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Values,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Values = 0.85,
        max_momentum: Values = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(self._name, optimizer)
        self.total_steps = self._count(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0.0 <= pct_start <= 1.0:
            raise ValueError(
                f"[{self._name}] pct_start must be a float in 0..1, got {pct_start!r}"
            )
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"[{self._name}] anneal_strategy must be 'cos' or 'linear', got "
                f"{anneal_strategy!r}"
            )
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = self._phases(pct_start, three_phase)
        begin = last_epoch == -1
        highs = one_per_group(self._name, "max_lr", max_lr, optimizer)
        if begin:
            for group, high in zip(optimizer.param_groups, highs, strict=True):
                group["initial_lr"] = high / div_factor
                group["max_lr"] = high
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1, _, _ = _start_momentum(
                self._name, optimizer, base_momentum, max_momentum, begin
            )
        super().__init__(optimizer, last_epoch)

    def _count(
        self, total: int | None, epochs: int | None, steps_per_epoch: int | None
    ) -> int:
        if total is None and (epochs is None or steps_per_epoch is None):
            raise ValueError(
                f"[{self._name}] give total_steps, or epochs and steps_per_epoch"
            )
        given = {"total_steps": total}
        if total is None:
            given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        product = 1
        for what, value in given.items():
            if not isinstance(value, int) or value <= 0:
                raise ValueError(
                    f"[{self._name}] {what} must be an int above 0, got {value!r}"
                )
            product *= value
        return product

    def _phases(self, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
        """The last step of each phase, and between which options it leads."""

        def phase(
            end: float, lrs: tuple[str, str], up: tuple[str, str]
        ) -> dict[str, Any]:
            names = ("start_lr", "end_lr", "start_momentum", "end_momentum")
            values = [
                *(f"{lr}_lr" for lr in lrs),
                *(f"{momentum}_momentum" for momentum in up),
            ]
            return {"end_step": end, **dict(zip(names, values, strict=True))}

        rise = float(pct_start * self.total_steps) - 1
        last = self.total_steps - 1
        phases = [phase(rise, ("initial", "max"), ("max", "base"))]
        if not three_phase:
            return [*phases, phase(last, ("max", "min"), ("base", "max"))]
        fall = float(2 * pct_start * self.total_steps) - 2
        return [
            *phases,
            phase(fall, ("max", "initial"), ("base", "max")),
            phase(last, ("initial", "min"), ("max", "max")),
        ]

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (cos(pi * share) + 1)

    def get_lr(self) -> list[Rate]:
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"[{self._name}.step] the schedule is over: step {step} of "
                f"{self.total_steps}"
            )
        begin = 0.0
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if step <= end or phase is self._schedule_phases[-1]:
                break
            begin = end
        share = (step - begin) / (end - begin)
        rates: list[Rate] = []
        for group in self.optimizer.param_groups:
            lrs = group[phase["start_lr"]], group[phase["end_lr"]]
            rates.append(self._anneal(*lrs, share))
            if self.cycle_momentum:
                bounds = group[phase["start_momentum"]], group[phase["end_momentum"]]
                _set_momentum(group, self.use_beta1, self._anneal(*bounds, share))
        return rates
