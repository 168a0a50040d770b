"""All parameters of a model as one vector."""

from __future__ import annotations

from collections.abc import Iterable

from ..._ferrule import ShapeError, Tensor, no_grad, ops

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.utils.parameters_to_vector([fe.ones((2, 1)), fe.zeros((1,))]).tolist()
        [1.0, 1.0, 0.0]
    """
    return ops.cat([p.reshape(-1) for p in parameters], 0)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Writes the elements of a vector into parameters, in their order.

    Raises:
        TypeError: `vec` is no tensor.
        ShapeError: it has another number of elements than the parameters.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.Linear(2, 1)
        >>> fe.nn.utils.vector_to_parameters(fe.tensor([1, 2, 3.0]), layer.parameters())
        >>> layer.weight.tolist(), layer.bias.tolist()
        ([[1.0, 2.0]], [3.0])
    """
    if not isinstance(vec, Tensor):
        raise TypeError(
            f"[vector_to_parameters] vec is a {type(vec).__name__}, not a tensor"
        )
    params = list(parameters)
    total = sum(int(p.numel()) for p in params)
    if vec.shape != (total,):
        raise ShapeError(
            f"[vector_to_parameters] vec must have shape ({total},), as many elements "
            f"as the parameters, got {vec.shape}"
        )
    begin = 0
    with no_grad():
        for p in params:
            p.copy_(vec.narrow(0, begin, p.numel()).reshape(p.shape))
            begin += int(p.numel())
