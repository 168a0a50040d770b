"""Parametrizations: length and direction apart, norm 1, orthogonal weights."""

from __future__ import annotations

from typing import Any

from ..._ferrule import InvalidValue, Tensor, complex128, float64, no_grad, ops
from ..module import Module
from ..modules.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


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


def _orthonormal(matrices: Tensor) -> Tensor:
    """Their columns, each made orthogonal to those before it."""
    q, r = ops.linalg_qr(matrices)
    return q * r.diagonal(0, -2, -1).sgn().unsqueeze(-2)


def _is_orthogonal(matrices: Tensor) -> bool:
    n = matrices.shape[-1]
    identity = ops.eye(n, dtype=matrices.dtype)
    eps = 2.0**-52 if matrices.dtype in (float64, complex128) else 2.0**-23
    product = ops.matmul(matrices.mH, matrices)
    return bool((product - identity).abs().amax() <= 10 * n * eps)


def _reflections(matrices: Tensor) -> Tensor:
    """Householder's vectors below the diagonal, and on it the signs that are left.

    Of matrices with orthonormal columns, real: the inverse of the map "householder".
    """
    rest, signs, vectors = matrices.clone(), [], []
    for i in range(matrices.shape[-1]):
        x = rest[..., i]
        below = ops.arange(matrices.shape[-2]) >= i
        x = ops.where(below, x, 0.0)
        first = x[..., i : i + 1]
        sign = ops.where(first >= 0, -1.0, 1.0).to(x.dtype)
        # x - sign |x| e_i, divided by its component i, whose parts have one sign.
        v = x / (first - sign * ops.norm(x, 2.0, (-1,), keepdim=True))
        v[..., i] = 1.0
        tau = 2.0 / v.square().sum(-1, keepdim=True)
        products = ops.matmul(v.unsqueeze(-2), rest)
        rest = rest - (tau * v).unsqueeze(-1) * products
        signs.append(sign)
        vectors.append(v)
    lower = ops.stack(vectors, -1).tril(-1)
    diagonal = ops.diag_embed(ops.cat(signs, -1))
    lower[..., : len(signs), :] += diagonal
    return lower


class _Orthogonal(Module):
    """An orthogonal matrix by one without conditions."""

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, trivialize: bool) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.trivialize = trivialize
        if trivialize:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        wide = X.shape[-2] < X.shape[-1]
        if wide:
            X = X.mT
        n, k = X.shape[-2:]
        if self.orthogonal_map == "householder":
            v = X.tril(-1)
            tau = 2.0 / (1.0 + v.square().sum(-2))
            Q = ops.linalg_householder_product(v, tau)
            # Its elements are 1 and -1, and constant.
            Q = Q * X.diagonal(0, -2, -1).detach().sign().unsqueeze(-2)
        else:
            A = X.tril()
            if n != k:
                A = ops.pad(A, (0, n - k))
            A = A - A.mH
            if self.orthogonal_map == "matrix_exp":
                Q = ops.matrix_exp(A)
            else:
                identity = ops.eye(n, dtype=A.dtype)
                Q = ops.linalg_solve(identity - 0.5 * A, identity + 0.5 * A)
            if n != k:
                Q = Q[..., :k]
        if self.trivialize:
            Q = ops.matmul(self.base, Q)
        return Q.mT if wide else Q

    def right_inverse(self, Q: Tensor) -> Tensor:
        if Q.shape != self.shape:
            raise InvalidValue(
                f"[orthogonal] the weight has shape {self.shape}, got {Q.shape}"
            )
        wide = Q.shape[-2] < Q.shape[-1]
        tall = Q.mT if wide else Q
        n, k = tall.shape[-2:]
        if not self.trivialize:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    f"[orthogonal] with use_trivialization=False the map "
                    f"'{self.orthogonal_map}' has no inverse; set the original"
                )
            X = _reflections(tall)
            return X.mT if wide else X
        if n != k:
            more = ops.empty((*tall.shape[:-1], n - k), dtype=tall.dtype).normal_()
            base = _orthonormal(ops.cat([tall, more], -1))
        else:
            base = tall.clone() if _is_orthogonal(tall) else _orthonormal(tall)
        self.base = base
        # All maps make the identity of it.
        rows, columns = Q.shape[-2:]
        return -ops.eye(rows, columns, dtype=Q.dtype).expand(Q.shape)


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keeps a weight orthogonal: W W^H = 1, or W^H W = 1 if it has more rows.

    Args:
        module: has the weight, of shape (..., m, n).
        name: its attribute.
        orthogonal_map: how an orthogonal matrix is made of another one, X:
            "matrix_exp": exp(A), with A = X - X^H of the lower triangle of X;
            "cayley": (1 - A / 2)^-1 (1 + A / 2); "householder": the product of
            reflections along the columns of X, for real weights only, and quick where
            the matrix is far from square. None: "matrix_exp" for square and complex
            matrices, else "householder".
        use_trivialization: True multiplies by a fixed orthogonal matrix, so that
            training starts at the weight and any orthogonal matrix can be assigned.

    Returns:
        The module; `parametrize.remove_parametrizations(module, name)` undoes it. A
        weight that is not orthogonal is made so.

    Raises:
        InvalidValue: there is no such parameter, it is no matrix, the map is unknown,
            or is "householder" and the weight complex.

    Source: Lezcano-Casado, "Trivializations for Gradient-Based Optimization on
    Manifolds", 2019; Householder, "Unitary Triangularization of a Nonsymmetric
    Matrix", 1958.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.utils.parametrizations.orthogonal(fe.nn.Linear(20, 40))
        >>> Q = layer.weight
        >>> fe.allclose(Q.T @ Q, fe.eye(20), atol=1e-5)
        True
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise InvalidValue(
            f"[orthogonal] {type(module).__name__} has no parameter '{name}'"
        )
    if weight.ndim < 2:
        raise InvalidValue(
            f"[orthogonal] '{name}' must be a matrix or a batch of them, got shape "
            f"{weight.shape}"
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        any_map = square or weight.is_complex()
        orthogonal_map = "matrix_exp" if any_map else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise InvalidValue(
            "[orthogonal] orthogonal_map must be 'matrix_exp', 'cayley' or "
            f"'householder', got {orthogonal_map!r}"
        )
    if orthogonal_map == "householder" and weight.is_complex():
        raise InvalidValue("[orthogonal] 'householder' is for real weights only")
    mapped = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, mapped, unsafe=True)
