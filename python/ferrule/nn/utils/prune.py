"""Pruning: masks that set chosen elements of a parameter to zero.

>>> import ferrule as fe
>>> layer = fe.nn.Linear(2, 1)
>>> fe.nn.utils.vector_to_parameters(fe.tensor([0.5, -2.0, 1.0]), layer.parameters())
>>> layer = fe.nn.utils.prune.l1_unstructured(layer, "weight", amount=0.5)
>>> layer.weight.tolist()
[[0.0, -2.0]]
>>> [name for name, _ in layer.named_parameters()]
['bias', 'weight_orig']
>>> fe.nn.utils.prune.remove(layer, "weight").weight.tolist()
[[0.0, -2.0]]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

from ..._ferrule import InvalidValue, ShapeError, Tensor, ops
from ..module import Module
from .convert_parameters import parameters_to_vector

__all__ = [
    "BasePruningMethod",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]

_Self = TypeVar("_Self", bound="BasePruningMethod")


class BasePruningMethod:
    """Base of the methods; one that is applied is a hook before `forward`.

    A subclass defines `compute_mask`. Applied to the parameter NAME, the module has
    the parameter NAME_orig, the buffer NAME_mask and, as NAME, their product, made
    anew at every call. Applied again, masks are multiplied.
    """

    _tensor_name: str

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask, 0 and 1, of elements of importance `t`.

        Elements where `default_mask` is 0 are pruned already.
        """
        raise NotImplementedError

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Module) -> Tensor:
        """The product of parameter and mask."""
        original: Tensor = getattr(module, self._tensor_name + "_orig")
        mask: Tensor = getattr(module, self._tensor_name + "_mask")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls: type[_Self],
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> _Self:
        """Prunes the parameter `name`; arguments as of the class.

        Raises:
            InvalidValue: there is no such parameter.
            ShapeError: scores of another shape.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        before = _method_of(module, name)
        if before is None:
            if name not in module._parameter_names or module.__dict__[name] is None:
                known = ", ".join(module._parameter_names) or "none"
                raise InvalidValue(
                    f"[prune] {type(module).__name__} has no parameter '{name}'; it "
                    f"has: {known}"
                )
            original = module.__dict__[name]
            mask = ops.ones_like(original.detach())
        else:
            original = getattr(module, name + "_orig")
            mask = getattr(module, name + "_mask").clone()
        scores = (
            getattr(module, name) if importance_scores is None else importance_scores
        )
        scores = scores.detach()
        if scores.shape != original.shape:
            raise ShapeError(
                f"[prune] importance_scores have shape {scores.shape}, '{name}' "
                f"{original.shape}"
            )
        mask = method.compute_mask(scores, mask).to(mask.dtype)
        if before is None:
            delattr(module, name)
            module.register_parameter(name + "_orig", original)
        else:
            _unhook(module, name)
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """The pruned tensor, without any module."""
        scores = t if importance_scores is None else importance_scores
        mask = ops.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores.detach(), mask).to(t.dtype)

    def remove(self, module: Module) -> None:
        """Makes pruning permanent: the parameter gets the pruned value."""
        name = self._tensor_name
        value = self.apply_mask(module).detach()
        original = getattr(module, name + "_orig")
        original.detach().copy_(value)
        for key in (name, name + "_orig", name + "_mask"):
            delattr(module, key)
        module.register_parameter(name, original)


def _method_of(module: Module, name: str) -> BasePruningMethod | None:
    for hook in module._forward_pre_hooks.values():
        method = hook.call
        if isinstance(method, BasePruningMethod) and method._tensor_name == name:
            return method
    return None


def _unhook(module: Module, name: str) -> None:
    method = _method_of(module, name)
    hooks = module._forward_pre_hooks
    for key in [key for key, hook in hooks.items() if hook.call is method]:
        del hooks[key]


class _ByAmount(BasePruningMethod):
    """Prunes a share of what is left, or a number."""

    def __init__(self, amount: float) -> None:
        if not isinstance(amount, Real):
            raise TypeError(
                f"[prune] amount must be a number, got a {type(amount).__name__}"
            )
        whole = isinstance(amount, Integral)
        if amount < 0 or (not whole and amount > 1):
            raise InvalidValue(
                "[prune] amount must be a share in 0..1 or a number of elements, got "
                f"{amount}"
            )
        self.amount: float = amount

    def _count(self, size: int) -> int:
        amount = self.amount
        if not isinstance(amount, Integral):
            return round(amount * size)
        if int(amount) > size:
            raise InvalidValue(
                f"[prune] amount is {amount}, but there are only {size} to prune"
            )
        return int(amount)


class _Unstructured(_ByAmount):
    """Prunes the elements with the least scores."""

    def _scores(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        left = default_mask.reshape(-1).nonzero().reshape(-1)
        count = self._count(int(left.numel()))
        mask = default_mask.clone().reshape(-1)
        if count:
            scores = ops.index_select(self._scores(t).reshape(-1), 0, left)
            least = ops.topk(scores, count, largest=False)[1]
            mask[ops.index_select(left, 0, least)] = 0
        return mask.reshape(default_mask.shape)


class L1Unstructured(_Unstructured):
    def _scores(self, t: Tensor) -> Tensor:
        return t.abs()


class RandomUnstructured(_Unstructured):
    def _scores(self, t: Tensor) -> Tensor:
        return ops.rand(t.shape)


class _Structured(_ByAmount):
    """Prunes the slices along a dimension with the least scores."""

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _scores(self, t: Tensor, rest: list[int]) -> Tensor:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if t.ndim < 2:
            raise ShapeError(
                "[prune] slices can be pruned of tensors of two or more dimensions, "
                f"got shape {t.shape}"
            )
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(
                f"[prune] dim {self.dim} is out of range for shape {t.shape}"
            )
        dim = self.dim % t.ndim
        rest = [d for d in range(t.ndim) if d != dim]
        alive = default_mask.sum(rest) != 0
        left = alive.nonzero().reshape(-1)
        count = self._count(int(left.numel()))
        kept = alive.to(default_mask.dtype)
        if count:
            scores = ops.index_select(self._scores(t, rest), 0, left)
            least = ops.topk(scores, count, largest=False)[1]
            kept[ops.index_select(left, 0, least)] = 0
        shape = [1] * t.ndim
        shape[dim] = -1
        return default_mask * kept.reshape(shape)


class LnStructured(_Structured):
    def __init__(self, amount: float, n: float, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Tensor, rest: list[int]) -> Tensor:
        return ops.norm(t, float(self.n), rest)


class RandomStructured(_Structured):
    def _scores(self, t: Tensor, rest: list[int]) -> Tensor:
        return ops.rand((t.shape[self.dim],))


class CustomFromMask(BasePruningMethod):
    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if self.mask.shape != default_mask.shape:
            raise ShapeError(
                f"[prune] the mask has shape {self.mask.shape}, the parameter "
                f"{default_mask.shape}"
            )
        return default_mask * self.mask.to(default_mask.dtype)


class Identity(BasePruningMethod):
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


def identity(module: Module, name: str) -> Module:
    """Prepares a parameter for pruning, with a mask of ones; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prunes elements at random.

    Args:
        module: has the parameter.
        name: its attribute.
        amount: a share in 0..1 of what is left (a float), or how many (an int).

    Returns:
        The module.

    Raises:
        InvalidValue: there is no such parameter, or fewer elements.
        TypeError: `amount` is no number.
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> Module:
    """Prunes the elements of least magnitude.

    Args:
        module, name, amount: as of `random_unstructured`.
        importance_scores: their magnitudes count instead of the parameter's.

    Returns:
        The module.
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prunes slices along dimension `dim` at random; returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float,
    n: float,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prunes the slices along a dimension that have the least norm.

    Args:
        module, name: the parameter.
        amount: a share in 0..1 of the slices that are left, or how many.
        n: the order of the norm; inf, too.
        dim: the dimension, such as 0 for output channels.
        importance_scores: the norm of these counts instead of the parameter's.

    Returns:
        The module.
    """
    LnStructured.apply(
        module, name, amount, n, dim, importance_scores=importance_scores
    )
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prunes where a mask is 0; returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: Mapping[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prunes several parameters as if they were one.

    Args:
        parameters: pairs of module and name.
        pruning_method: `L1Unstructured` or `RandomUnstructured`.
        importance_scores: by such pairs, in the place of the parameters.
        kwargs: arguments of the method, such as `amount`.

    Raises:
        TypeError: the method prunes whole slices.
    """
    pairs = list(parameters)
    given = importance_scores or {}
    method = pruning_method(**kwargs)
    if not isinstance(method, _Unstructured):
        raise TypeError(
            f"[global_unstructured] {pruning_method.__name__} does not prune single "
            "elements"
        )
    values = [getattr(m, name).detach() for m, name in pairs]
    scores = [given.get(pair, value) for pair, value in zip(pairs, values, strict=True)]
    masks = [
        getattr(m, name + "_mask", ops.ones_like(value))
        for (m, name), value in zip(pairs, values, strict=True)
    ]
    mask = method.compute_mask(
        parameters_to_vector(scores).detach(), parameters_to_vector(masks)
    )
    begin = 0
    for (module, name), value in zip(pairs, values, strict=True):
        part = mask.narrow(0, begin, value.numel()).reshape(value.shape)
        begin += int(value.numel())
        custom_from_mask(module, name, part)


def remove(module: Module, name: str) -> Module:
    """Makes the pruning of a parameter permanent: mask and original go.

    Raises:
        InvalidValue: the parameter is not pruned.
    """
    method = _method_of(module, name)
    if method is None:
        raise InvalidValue(
            f"[prune.remove] '{name}' of {type(module).__name__} is not pruned"
        )
    _unhook(module, name)
    method.remove(module)
    return module


def is_pruned(module: Module) -> bool:
    """Is anything in the module, or below it, pruned?

    Example:
        >>> import ferrule as fe
        >>> fe.nn.utils.prune.is_pruned(fe.nn.Linear(1, 1))
        False
    """
    return any(
        isinstance(hook.call, BasePruningMethod)
        for m in module.modules()
        for hook in m._forward_pre_hooks.values()
    )
