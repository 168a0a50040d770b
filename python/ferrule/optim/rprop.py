"""`Rprop`: steps by the sign of the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._ferrule import Tensor, full_like, ops
from .counted import CountedOptimizer, Entries, column
from .optimizer import Params, learning_rate

__all__ = ["Rprop"]


class Rprop(CountedOptimizer):
    """Resilient backpropagation: only the sign of the gradient counts.

    Each element has a step size of its own. It grows by the factor etas[1] while
    the gradient keeps its sign, and shrinks by etas[0] when the sign changes; the
    element then stays where it is for one step. For gradients of whole data sets,
    not of batches.

    Args:
        params: parameters or groups of them.
        lr: step size.
        etas: factors by which a step size shrinks and grows.
        step_sizes: the smallest and the largest.
        maximize: True climbs.
        foreach, capturable, differentiable: as of `Optimizer`.

    Raises:
        ValueError: an option is out of range.

    Source: Riedmiller and Braun, "A direct adaptive method for faster
    backpropagation learning: the RPROP algorithm", 1993.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.tensor([1.0]))
        >>> optimizer = fe.optim.Rprop([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: Mapping[str, Any]) -> None:
        super()._check_options(group)
        less, more = group["etas"]
        if not 0.0 < less < 1.0 < more:
            raise ValueError(
                "[Rprop] etas must be a factor in 0..1 and one above 1, got "
                f"{group['etas']}"
            )

    def _entry_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("prev", "step_size")

    def _new_entry(self, group: dict[str, Any], key: str, param: Tensor) -> Tensor:
        return full_like(param, learning_rate(group) if key == "step_size" else 0.0)

    def _apply(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        entries: Entries,
    ) -> None:
        less, more = group["etas"]
        least, most = group["step_sizes"]
        ops.rprop_step(
            params,
            grads,
            column(entries, "prev"),
            column(entries, "step_size"),
            entries[0]["step"],
            less,
            more,
            least,
            most,
            group["maximize"],
        )
