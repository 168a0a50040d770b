"""`Optimizer`: parameter groups and state, common to all methods."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .._ferrule import (
    FerruleWarning,
    ProfileSpan,
    Tensor,
    as_tensor,
    enable_grad,
    is_profiling,
    no_grad,
    note_gradients_used,
)
from .._number import Number

__all__ = ["Optimizer", "factor", "learning_rate"]

# What learning-rate schedulers keep in a parameter group.
_SCHEDULED = frozenset(
    ["initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum", "swa_lr"]
)

Params = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


def learning_rate(group: Mapping[str, Any]) -> Any:
    """The step size of a group: a number, also where a tensor of one element holds it.

    Where it is an input of a graph it is a tensor, float64 of shape ().
    """
    lr = group["lr"]
    if type(lr) is float or type(lr) is Number:
        return lr
    if isinstance(lr, Tensor) and lr.device.type == "graph":
        return lr.reshape(()).double()
    return float(lr)


def factor(value: Any, param: Tensor) -> Any:
    """What was computed from a learning rate, to multiply a parameter with."""
    return value.to(param.dtype) if isinstance(value, Tensor) else value


class Optimizer:
    """Base class of the optimizers.

    A subclass defines `_init_state` and `_update`.

    All of them accept the options by which PyTorch chooses between
    implementations, `foreach`, `fused` and `capturable`. They change nothing
    here: there is one implementation, fused over all parameters and captured by
    `ferrule.export`. `differentiable` must stay False.

    Attributes:
        param_groups: a list of dicts; "params" holds the parameters, the other
            keys the options that hold for them, such as "lr". Options may be
            changed between steps.
        state: what the method remembers of every parameter, by parameter.

    Args:
        params: parameters, or dicts with the key "params" and the options in
            which that group differs.
        defaults: the options of groups that do not give their own.

    Raises:
        TypeError: `params` is a tensor, or holds anything but tensors.
        ValueError: no parameter, one given twice, or one that is no leaf.
    """

    param_groups: list[dict[str, Any]]
    state: dict[Tensor, dict[str, Any]]

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups = []
        self.state = {}
        self._warned = False
        self._stepped = False  # for schedulers: step() must come before theirs
        if isinstance(params, (Tensor, Mapping)):
            raise TypeError(
                f"[{self._name}] params must be an iterable of parameters, not "
                f"one {type(params).__name__}; write [param]"
            )
        if not isinstance(params, Iterable):
            hint = "; write model.parameters()" if hasattr(params, "parameters") else ""
            raise TypeError(
                f"[{self._name}] params must be an iterable of parameters, got "
                f"{type(params).__name__}{hint}"
            )
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError(
                f"[{self._name}] the list of parameters is empty; assign layers "
                "to attributes (or nn.ModuleList) so that parameters() sees them, "
                "and note that an iterator can be used only once"
            )
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Adds parameters with options of their own, such as unfrozen layers.

        Args:
            param_group: "params" and the options that differ from the defaults.

        Raises:
            KeyError: an option is unknown, or "params" is missing.
            TypeError, ValueError: as of the class.
        """
        group = dict(param_group)
        if "params" not in group:
            raise KeyError(f"[{self._name}] a parameter group needs the key 'params'")
        for key in group:
            if key not in ("params", *self.defaults, *_SCHEDULED):
                known = ", ".join(self.defaults)
                raise KeyError(
                    f"[{self._name}] unknown option '{key}' in a parameter group; "
                    f"known: {known}"
                )
        given = group.pop("params")
        params = [given] if isinstance(given, Tensor) else list(given)
        # Pairs of name and parameter, as named_parameters() gives, are fine.
        params = [
            p[1]
            if isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str)
            else p
            for p in params
        ]
        self._check_params(params)
        group = {"params": params, **self.defaults, **group}
        self._check_options(group)
        self.param_groups.append(group)

    def _check_params(self, params: list[Any]) -> None:
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for i, param in enumerate(params):
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"[{self._name}] parameter {i} is a {type(param).__name__}, "
                    "not a tensor"
                )
            if not param.is_leaf:
                raise ValueError(
                    f"[{self._name}] parameter {i} of shape {param.shape} is the "
                    "result of an op; only leaf tensors can be trained, so call "
                    ".detach().requires_grad_() or keep the original"
                )
            if id(param) in seen:
                raise ValueError(
                    f"[{self._name}] parameter {i} of shape {param.shape} is given "
                    "twice; each may be in one place of one group"
                )
            seen.add(id(param))

    def _check_options(self, group: Mapping[str, Any]) -> None:
        """Raises ValueError for options out of range; subclasses add theirs."""
        lr = group["lr"]
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError(
                f"[{self._name}] lr must be a number or a tensor of one element, "
                f"got shape {lr.shape}"
            )
        self._check_range(group, *(k for k in ("lr", "weight_decay") if k in group))
        if group.get("differentiable"):
            raise ValueError(
                f"[{self._name}] differentiable=True is not supported: steps are "
                "written in place and not recorded. To differentiate through a "
                "step, write it with ops on the gradients of autograd.grad"
            )
        if group.get("fused") and group.get("foreach"):
            raise RuntimeError(
                f"[{self._name}] fused and foreach cannot be True together"
            )

    def _check_range(
        self, group: Mapping[str, Any], *keys: str, below: float | None = None
    ) -> None:
        for key in keys:
            self._check_number(key, group[key], below)

    def _check_number(
        self, what: str, value: float, below: float | None = None
    ) -> None:
        if not (value >= 0.0 and (below is None or value < below)):
            limit = "at least 0" if below is None else f"at least 0 and below {below:g}"
            raise ValueError(f"[{self._name}] {what} must be {limit}, got {value}")

    # --- stepping ----------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops all gradients, or fills them with zeros.

        Call it before every `backward`; gradients add up otherwise.
        """
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad = param.grad.detach().zero_()

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Changes every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients anew, and returns it.

        Returns:
            What `closure` returned, or None.
        """
        self._stepped = True
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        moved = reused = False
        with no_grad(), self._profiled():
            for group in self.param_groups:
                params, grads = [], []
                for param in group["params"]:
                    grad = param.grad
                    if grad is not None:
                        params.append(param)
                        grads.append(grad)
                if params:
                    moved = True
                    reused |= note_gradients_used(params)
                    self._update(group, params, grads)
        if not moved:
            self._warn_no_gradient()
        if reused and not self._warned:
            self._warn_reused()
        return loss

    def _profiled(self) -> AbstractContextManager[object]:
        """Names the step for the profiler, if there is one."""
        if not is_profiling():
            return nullcontext()
        return ProfileSpan(f"Optimizer.step#{self._name}.step")

    def _warn_reused(self) -> None:
        self._warned = True
        warnings.warn(
            f"[{self._name}.step] since the last step, backward() has added to "
            "gradients which that step had used already: call zero_grad() before "
            "backward(). If that is meant, silence this with "
            'warnings.simplefilter("ignore", ferrule.FerruleWarning)',
            FerruleWarning,
            stacklevel=3,
        )

    def _warn_no_gradient(self) -> None:
        if self._warned:
            return
        self._warned = True
        params = [p for group in self.param_groups for p in group["params"]]
        if not any(p.requires_grad for p in params):
            why = "all are frozen (requires_grad is False)"
        else:
            why = (
                "was loss.backward() called, after zero_grad(), and does the loss "
                "depend on the parameters that this optimizer was given?"
            )
        warnings.warn(
            f"[{self._name}.step] no parameter has a gradient, nothing changed: {why}",
            FerruleWarning,
            stacklevel=3,
        )

    def init_state(self) -> None:
        """Creates the state of all parameters, which the first step does else.

        Export needs it to see the state before the first step. State that
        exists is left alone.
        """
        with no_grad():
            for group in self.param_groups:
                params = [p for p in group["params"] if p.requires_grad]
                self._init_state(group, params)

    def _init_state(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Creates the state that is missing."""
        raise NotImplementedError

    def _update(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]
    ) -> None:
        """Changes `params`, all of them with a gradient."""
        raise NotImplementedError

    # --- state -------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Returns state and options, in PyTorch's layout.

        "state" maps the number of a parameter to its state, "param_groups"
        lists the groups with numbers for parameters. The tensors are those of
        the optimizer, so that later steps change them; `ferrule.save` writes
        them to a file.
        """
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                numbers[id(param)] = len(numbers)
            options = {key: v for key, v in group.items() if key != "params"}
            own = [numbers[id(param)] for param in group["params"]]
            groups.append({**options, "params": own})
        state = {numbers[id(param)]: dict(s) for param, s in self.state.items()}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over state and options that `state_dict` gave; copies tensors.

        The parameters themselves are part of the model's state.

        Raises:
            ValueError: another number of groups or parameters, a state of
                another shape, or an unknown layout. Nothing is changed then.
        """
        name = f"[{self._name}.load_state_dict]"
        if not {"state", "param_groups"} <= state_dict.keys():
            raise ValueError(f"{name} expected the keys 'state' and 'param_groups'")
        saved, groups = state_dict["param_groups"], self.param_groups
        if len(saved) != len(groups):
            raise ValueError(
                f"{name} the state has {len(saved)} parameter groups, the optimizer "
                f"{len(groups)}"
            )
        params: dict[int, Tensor] = {}
        for i, (theirs, ours) in enumerate(zip(saved, groups, strict=True)):
            if len(theirs["params"]) != len(ours["params"]):
                raise ValueError(
                    f"{name} group {i} of the state has {len(theirs['params'])} "
                    f"parameters, that of the optimizer {len(ours['params'])}"
                )
            params.update(zip(theirs["params"], ours["params"], strict=True))
        state = {}
        for number, entries in state_dict["state"].items():
            if number not in params:
                raise ValueError(f"{name} no parameter has the number {number}")
            param = params[number]
            state[param] = {
                key: self._load_entry(
                    f"{name} {key} of parameter {number}", key, v, param
                )
                for key, v in entries.items()
            }
        for theirs, ours in zip(saved, groups, strict=True):
            known = {*self.defaults, *_SCHEDULED}
            ours.update({k: v for k, v in theirs.items() if k in known})
        self.state = state
        self._state_loaded()

    # Entries of the state that are numbers of shape (), whatever the parameter.
    _counters: tuple[str, ...] = ()

    def _entry_shape(self, key: str, param: Tensor) -> tuple[int, ...] | None:
        """The shape that an entry of the state must have; None: any."""
        return tuple(param.shape)

    def _load_entry(self, what: str, key: str, value: Any, param: Tensor) -> Any:
        if isinstance(value, list):
            return [self._load_entry(what, key, v, param) for v in value]
        if not isinstance(value, Tensor):
            return value
        value = as_tensor(value).detach()
        if key in self._counters:
            return value.clone()
        shape = self._entry_shape(key, param)
        if shape is not None and value.shape != shape:
            raise ValueError(
                f"{what} has shape {value.shape}, the parameter {param.shape}"
            )
        return value.to(param.dtype).clone()

    def _state_loaded(self) -> None:
        """Called after `load_state_dict`; subclasses adapt the state."""

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            options = sorted(key for key in group if key != "params")
            lines += [f"    {key}: {group[key]}" for key in options]
        return "\n".join([*lines, ")"])
