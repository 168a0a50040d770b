"""`Parameter`: a tensor that a module trains."""

from __future__ import annotations

from typing import Any

from .._ferrule import Tensor

__all__ = ["Parameter", "UninitializedParameter"]


class Parameter(Tensor):
    """A tensor that registers itself when assigned to an attribute of a module.

    It shares memory with `data`, is a leaf of the autograd graph and requires
    a gradient unless told otherwise.

    Args:
        data: the initial value, of any shape; floating if it is to be trained.
        requires_grad: False freezes it.

    Example:
        >>> import ferrule as fe
        >>> p = fe.nn.Parameter(fe.zeros((2, 3)))
        >>> p.requires_grad, p.shape
        (True, (2, 3))
    """

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        super().__init__(data)
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        # As in PyTorch, the gradient stays behind: a copied model starts anew.
        copy = type(self)(self.detach().clone(), self.requires_grad)
        memo[id(self)] = copy
        return copy


class UninitializedParameter(Parameter):
    """The parameter of a lazy module before its first call: it has no elements.

    It becomes a `Parameter` of its own accord, and stays the same object, so that
    an optimizer may be given it before.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.LazyLinear(2)
        >>> layer.weight
        UninitializedParameter
        >>> layer(fe.zeros((1, 3))).shape, layer.weight.shape
        ((1, 2), (2, 3))
    """

    def __repr__(self) -> str:
        return "UninitializedParameter"
