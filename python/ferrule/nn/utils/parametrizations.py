"""Parametrizations: weights split into length and direction, weights of norm 1."""

from __future__ import annotations

from typing import Any

from ..._ferrule import InvalidValue, Tensor, no_grad, ops
from ..module import Module
from ..modules.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .parametrize import register_parametrization

__all__ = ["spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """g v / |v|, with the norms of the slices along one dimension."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def _norm(self, weight: Tensor) -> Tensor:
        if self.dim == -1:
            return ops.norm(weight)
        rest = [d for d in range(weight.ndim) if d != self.dim % weight.ndim]
        return ops.norm(weight, 2.0, rest, keepdim=True) if rest else weight.abs()

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / self._norm(weight_v))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return self._norm(weight), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Trains length and direction of a weight apart: weight = g * v / |v|.

    Args:
        module: has the weight.
        name: its attribute.
        dim: every slice along this dimension has a length of its own; None or -1:
            one length for all of it.

    Returns:
        The module. `parametrizations.NAME.original0` is g and `original1` is v;
        `parametrize.remove_parametrizations(module, name)` undoes it.

    Raises:
        InvalidValue: there is no such parameter.

    Source: Salimans and Kingma, "Weight Normalization: A Simple Reparameterization
    to Accelerate Training of Deep Neural Networks", 2016.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.utils.parametrizations.weight_norm(fe.nn.Linear(20, 40))
        >>> layer.parametrizations.weight.original0.shape
        (40, 1)
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


def _normalized(x: Tensor, eps: float) -> Tensor:
    return x / ops.norm(x).clamp(min=eps)


class _SpectralNorm(Module):
    """A weight by its largest singular value, which power iteration follows."""

    _u: Tensor
    _v: Tensor

    def __init__(
        self, weight: Tensor, n_power_iterations: int, dim: int, eps: float
    ) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(
                f"[spectral_norm] dim {dim} is out of range for shape {weight.shape}"
            )
        if n_power_iterations <= 0:
            raise InvalidValue(
                "[spectral_norm] n_power_iterations must be above 0, got "
                f"{n_power_iterations}"
            )
        self.dim = dim % weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            with no_grad():
                matrix = self._matrix(weight.detach())
                for key, size in zip(("_u", "_v"), matrix.shape, strict=True):
                    start = ops.empty(
                        (size,), dtype=weight.dtype, device=weight.device
                    ).normal_()
                    self.register_buffer(key, _normalized(start, eps))
            self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        if self.dim != 0:
            weight = weight.movedim(self.dim, 0)
        return weight.flatten(1)

    def _iterate(self, matrix: Tensor, times: int) -> None:
        with no_grad():
            for _ in range(times):
                self._u.copy_(_normalized(ops.mv(matrix, self._v), self.eps))
                self._v.copy_(_normalized(ops.mv(matrix.T, self._u), self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return _normalized(weight, self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        # Copies: the next call changes the vectors, which the gradient needs.
        u, v = self._u.clone(), self._v.clone()
        return weight / ops.dot(u, ops.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divides a weight by its largest singular value.

    That value is followed by power iteration: in training mode every reading of the
    weight goes on by some iterations.

    Args:
        module: has the weight.
        name: its attribute.
        n_power_iterations: how many each time.
        eps: lower bound of norms.
        dim: which dimension are the rows of the matrix; None: 1 of transposed
            convolutions, else 0.

    Returns:
        The module; `parametrize.remove_parametrizations(module, name)` undoes it.

    Raises:
        InvalidValue: there is no such parameter, or no iterations.
        IndexError: `dim` is out of range.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial
    Networks", 2018.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.utils.parametrizations.spectral_norm(fe.nn.Linear(4, 3))
        >>> sorted(name for name, _ in layer.named_buffers())
        ['parametrizations.weight.0._u', 'parametrizations.weight.0._v']
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise InvalidValue(
            f"[spectral_norm] {type(module).__name__} has no parameter '{name}'"
        )
    if dim is None:
        transposed = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
        dim = 1 if isinstance(module, transposed) else 0
    normed = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return register_parametrization(module, name, normed)
