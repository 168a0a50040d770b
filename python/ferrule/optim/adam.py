"""`Adam` and `AdamW`: steps scaled by running moments of the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, int64, ops, zeros, zeros_like
from .optimizer import Optimizer, Params

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: lr * mean(g) / (sqrt(mean(g^2)) + eps), with running means.

    At step t, with g the gradient plus weight_decay times the parameter p:
    m = beta1 * m + (1 - beta1) * g, v = beta2 * v + (1 - beta2) * g^2, and then
    p = p - lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps).

    Args:
        params: parameters or groups of them.
        lr: step size.
        betas: beta1 and beta2.
        eps: keeps the quotient finite.
        weight_decay: pull towards zero, as part of the gradient.
        amsgrad: True divides by the largest v so far (Reddi et al., "On the
            Convergence of Adam and Beyond", 2018, algorithm 2).
        maximize: True climbs.

    Raises:
        ValueError: an option is out of range.

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015,
    algorithm 1.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.Adam([p], lr=0.5)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.5
    """

    _decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "eps")
        for i, beta in enumerate(group["betas"]):
            self._check_number(f"betas[{i}]", beta, below=1.0)

    def _init_state(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Parameters that start together count their steps together."""
        step: Tensor | None = None
        for param in params:
            if param in self.state:
                continue
            if step is None:
                step = zeros((), dtype=int64, device=param.device)
            like = param.detach()
            entries = {
                "step": step,
                "exp_avg": zeros_like(like),
                "exp_avg_sq": zeros_like(like),
            }
            if group["amsgrad"]:
                entries["max_exp_avg_sq"] = zeros_like(like)
            self.state[param] = entries

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
        beta1, beta2 = group["betas"]
        for cohort in cohorts.values():
            entries = [state[params[i]] for i in cohort]
            largest = []
            if group["amsgrad"]:
                largest = [entry["max_exp_avg_sq"] for entry in entries]
            ops.adam_step(
                [params[i] for i in cohort],
                [grads[i] for i in cohort],
                [entry["exp_avg"] for entry in entries],
                [entry["exp_avg_sq"] for entry in entries],
                largest,
                entries[0]["step"],
                group["lr"],
                beta1,
                beta2,
                group["eps"],
                group["weight_decay"],
                group["amsgrad"],
                group["maximize"],
                self._decoupled,
            )

    def _part_counters(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Gives parameters that sit this step out a counter of their own."""
        state = self.state
        running = {id(param) for param in params}
        counters = {id(state[param]["step"]) for param in params}
        parted: dict[int, Tensor] = {}
        for param in group["params"]:
            if id(param) in running or param not in state:
                continue
            step = state[param]["step"]
            # While capturing, who gets a gradient is fixed: nothing to part.
            if id(step) in counters and step.device.type != "graph":
                state[param]["step"] = parted.setdefault(id(step), step.clone())

    def _state_loaded(self) -> None:
        # Equal counters of a group become one tensor again. PyTorch's are
        # floats, one a parameter.
        for group in self.param_groups:
            counters: dict[int, Tensor] = {}
            for param in group["params"]:
                if param in self.state:
                    step = self.state[param]["step"]
                    count = int(step.item() if isinstance(step, Tensor) else step)
                    if count not in counters:
                        counter = zeros((), dtype=int64, device=param.device)
                        counters[count] = counter.fill_(count)
                    self.state[param]["step"] = counters[count]


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: p = p - lr * decay * p.

    Arguments as of `Adam`, with another default of `weight_decay`.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization",
    2019, algorithm 2 (in PyTorch's form: scaled by lr).

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Linear(4, 2)
        >>> optimizer = fe.optim.AdamW(model.parameters(), lr=1e-3)
        >>> model(fe.ones((1, 4))).sum().backward()
        >>> optimizer.step()
    """

    _decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize
        )
