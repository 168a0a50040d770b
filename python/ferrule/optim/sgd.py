"""`SGD`: gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, ops, zeros_like
from .optimizer import Optimizer, Params, learning_rate

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    With g the gradient plus weight_decay times the parameter p:
    b = momentum * b + (1 - dampening) * g (at the first step b = g), and then
    p = p - lr * b, or with Nesterov p = p - lr * (g + momentum * b).

    Args:
        params: parameters or groups of them.
        lr: step size.
        momentum: share of the old direction b that is kept.
        dampening: share of the gradient that does not enter b.
        weight_decay: pull towards zero, as part of the gradient.
        nesterov: look ahead; needs momentum and no dampening.
        maximize: True climbs.
        foreach, differentiable, fused: as of `Optimizer`.

    Raises:
        ValueError: an option is out of range.

    Source: Sutskever et al., "On the importance of initialization and momentum
    in deep learning", 2013, in PyTorch's form (lr outside of b).

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.SGD([p], lr=0.25)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> p.tolist()
        [0.5]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        self._check_range(group, "momentum")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("[SGD] nesterov needs a momentum and no dampening")

    def _init_state(self, group: dict[str, Any], params: list[Tensor]) -> None:
        if group["momentum"] == 0:
            return
        for param in params:
            if param not in self.state:
                # From b = 0 the usual rule gives b = g, unless it is dampened.
                if group["dampening"] != 0:
                    raise ValueError(
                        "[SGD.init_state] with dampening the first step differs "
                        "from the others: take one step before exporting"
                    )
                self.state[param] = {"momentum_buffer": zeros_like(param.detach())}

    def _update(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]
    ) -> None:
        if group["momentum"] == 0:
            self._step(group, params, grads, [], first=False)
            return
        state = self.state
        for first in (False, True):
            which = [i for i, p in enumerate(params) if (p not in state) == first]
            if not which:
                continue
            chosen = [params[i] for i in which]
            if first:
                buffers = [zeros_like(p) for p in chosen]
            else:
                buffers = [state[p]["momentum_buffer"] for p in chosen]
            self._step(group, chosen, [grads[i] for i in which], buffers, first)
            if first:
                for param, buffer in zip(chosen, buffers, strict=True):
                    state[param] = {"momentum_buffer": buffer}

    @staticmethod
    def _step(
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        buffers: list[Tensor],
        first: bool,
    ) -> None:
        ops.sgd_step(
            params,
            grads,
            buffers,
            learning_rate(group),
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
            first,
        )

    def _state_loaded(self) -> None:
        # PyTorch writes None for a buffer that does not exist yet.
        for param, entries in list(self.state.items()):
            if entries.get("momentum_buffer") is None:
                del self.state[param]
