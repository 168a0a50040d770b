"""Products of Jacobians with vectors, for autograd.functional and func."""

from __future__ import annotations

from .._ferrule import AutogradError, Tensor, grad, zeros_like

__all__ = ["Linear", "Tensors", "grads_or_zeros"]

Tensors = tuple[Tensor, ...]


def grads_or_zeros(
    who: str,
    ys: Tensors,
    xs: Tensors,
    vs: Tensors,
    create_graph: bool,
    strict: bool = False,
    retain_graph: bool = True,
) -> Tensors:
    """vs times the Jacobian of ys in xs, with zeros for what is independent."""
    pairs = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
    if strict and len(pairs) < len(ys):
        raise AutogradError(
            f"[{who}] an output is independent of all inputs, which strict=True forbids"
        )
    found: tuple[Tensor | None, ...] = (None,) * len(xs)
    if pairs:
        found = grad(
            [y for y, _ in pairs],
            xs,
            [v for _, v in pairs],
            retain_graph=retain_graph,
            create_graph=create_graph,
            allow_unused=True,
        )
    for i, g in enumerate(found):
        if g is None and strict:
            raise AutogradError(
                f"[{who}] the outputs are independent of input {i}, which strict=True "
                "forbids"
            )
    return tuple(
        zeros_like(x).detach() if g is None else g
        for g, x in zip(found, xs, strict=True)
    )


class Linear:
    """The Jacobian of ys in xs as a function of vectors like xs.

    u -> u J is linear, so that its gradient in u along v is J v: two backward passes,
    the first of them once for all v. J. Townsend, "A new trick for calculating
    Jacobian vector products" (2017).
    """

    def __init__(
        self, who: str, ys: Tensors, xs: Tensors, strict: bool = False
    ) -> None:
        self.who = who
        self.us = tuple(zeros_like(y).detach().requires_grad_() for y in ys)
        self.pulled = grads_or_zeros(who, ys, xs, self.us, True, strict)

    def __call__(self, vs: Tensors, create_graph: bool) -> Tensors:
        return grads_or_zeros(self.who, self.pulled, self.us, vs, create_graph)
