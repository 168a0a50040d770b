"""`CountedOptimizer`: methods that count their steps, one op for all parameters."""

from __future__ import annotations

from typing import Any

from .._ferrule import Tensor, float64, full, int64, zeros, zeros_like
from .optimizer import Optimizer

__all__ = ["CountedOptimizer", "Entries", "column"]

Entries = list[dict[str, Any]]
"""The state of some parameters, in their order."""


def column(entries: Entries, key: str) -> list[Tensor]:
    """One entry of each."""
    return [entry[key] for entry in entries]


class CountedOptimizer(Optimizer):
    """Base of the optimizers whose state holds "step", and zeros at first.

    A subclass defines `_entry_names`, what the state of a parameter consists of
    beside the counters, and `_apply`, the step of parameters that have taken
    equally many. Parameters that start together share their counters, so that
    one op serves them all; those that sit a step out get counters of their own.
    """

    # "step", int64, and what else runs along with it, float64.
    _counters: tuple[str, ...] = ("step",)

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Names of the tensors that are kept of every parameter."""
        raise NotImplementedError

    def _new_entry(self, group: dict[str, Any], key: str, param: Tensor) -> Tensor:
        """What an entry is before the first step."""
        return zeros_like(param)

    def _new_counter(self, group: dict[str, Any], key: str) -> float:
        """What a counter other than "step" is before the first step."""
        raise NotImplementedError

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        """One step; the counters of all `entries` are the same tensors."""
        raise NotImplementedError

    @staticmethod
    def _counter(key: str, value: float, like: Tensor) -> Tensor:
        if key == "step":
            return zeros((), dtype=int64, device=like.device).fill_(int(value))
        return full((), value, dtype=float64, device=like.device)

    def _init_state(self, group: dict[str, Any], params: list[Tensor]) -> None:
        counters: dict[str, Tensor] | None = None
        for param in params:
            if param in self.state:
                continue
            if counters is None:
                counters = {
                    key: self._counter(
                        key,
                        0 if key == "step" else self._new_counter(group, key),
                        param,
                    )
                    for key in self._counters
                }
            like = param.detach()
            self.state[param] = {
                **counters,
                **{
                    key: self._new_entry(group, key, like)
                    for key in self._entry_names(group)
                },
            }

    def _update(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]
    ) -> None:
        state = self.state
        self._init_state(group, params)
        if len(params) < len(group["params"]):
            self._part_counters(group, params)
        cohorts: dict[int, list[int]] = {}  # by counter
        for i, param in enumerate(params):
            cohorts.setdefault(id(state[param]["step"]), []).append(i)
        for cohort in cohorts.values():
            self._apply(
                group,
                [params[i] for i in cohort],
                [grads[i] for i in cohort],
                [state[params[i]] for i in cohort],
            )

    def _part_counters(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Gives parameters that sit this step out counters of their own."""
        state = self.state
        running = {id(param) for param in params}
        counters = {id(state[param]["step"]) for param in params}
        parted: dict[int, dict[str, Tensor]] = {}
        for param in group["params"]:
            if id(param) in running or param not in state:
                continue
            entry = state[param]
            step = entry["step"]
            # While capturing, who gets a gradient is fixed: nothing to part.
            if id(step) in counters and step.device.type != "graph":
                if id(step) not in parted:
                    parted[id(step)] = {k: entry[k].clone() for k in self._counters}
                entry.update(parted[id(step)])

    def _state_loaded(self) -> None:
        # Equal counters of a group become one tensor again. PyTorch's are
        # float32, one a parameter.
        for group in self.param_groups:
            shared: dict[tuple[float, ...], dict[str, Tensor]] = {}
            for param in group["params"]:
                if param not in self.state:
                    continue
                entry = self.state[param]
                values = tuple(float(entry[key]) for key in self._counters)
                if values not in shared:
                    shared[values] = {
                        key: self._counter(key, value, param)
                        for key, value in zip(self._counters, values, strict=True)
                    }
                entry.update(shared[values])
