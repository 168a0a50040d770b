"""Parameters that are computed from others: of norm 1, symmetric, orthogonal ...

>>> import ferrule as fe
>>> class Symmetric(fe.nn.Module):
...     def forward(self, x):
...         return x.triu() + x.triu(1).T
>>> layer = fe.nn.Linear(3, 3)
>>> _ = fe.nn.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
>>> bool((layer.weight == layer.weight.T).all())
True
>>> [name for name, _ in layer.named_parameters()]
['bias', 'parametrizations.weight.original']
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ..._ferrule import InvalidValue, Tensor, no_grad
from ..module import Module
from ..modules.container import ModuleDict, ModuleList
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache_depth = 0
# By module and name; the module is kept so that its id stays its own.
_cache: dict[tuple[int, str], tuple[Module, Tensor]] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Computes each parametrized tensor once in the block, however often it is read.

    For models that use a parametrized weight many times in a pass.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.utils.parametrizations.weight_norm(fe.nn.Linear(2, 2))
        >>> with fe.nn.utils.parametrize.cached():
        ...     layer.weight is layer.weight
        True
    """
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if not _cache_depth:
            _cache.clear()


def _add(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _set(target: Tensor, value: Tensor) -> None:
    """Gives a tensor another value, of any shape, and keeps the object."""
    with no_grad():
        if target.shape == value.shape and target.dtype == value.dtype:
            target.copy_(value)
        else:
            new = value.detach().clone()
            new.requires_grad_(target.requires_grad)
            target._replace(new)


def _inverse(module: Module) -> Callable[..., Any] | None:
    return getattr(module, "right_inverse", None)


def _check_like(what: str, name: str, value: Any, wanted: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise InvalidValue(
            f"[parametrize] {what} must give a tensor for '{name}', got a "
            f"{type(value).__name__}"
        )
    for kind in ("dtype", "shape"):
        ours, theirs = getattr(value, kind), getattr(wanted, kind)
        if ours != theirs:
            raise InvalidValue(
                f"[parametrize] {what} changes the {kind} of '{name}' from {theirs} to "
                f"{ours}; unsafe=True allows it"
            )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, first to last, and what they start from.

    Attributes:
        original: the parameter or buffer that is trained or kept instead; or
            original0, original1, ... if the inverse of the first gives several.

    Made by `register_parametrization`.
    """

    original: Tensor

    def __init__(
        self,
        modules: Sequence[Module],
        original: Tensor,
        unsafe: bool = False,
        name: str = "",
    ) -> None:
        super().__init__(modules)
        if len(self) == 0:
            raise InvalidValue("[ParametrizationList] needs at least one module")
        self.unsafe = unsafe
        before = original.detach().clone()
        new: Any = original.detach()
        with no_grad():
            for module in reversed(list(self)):
                inverse = _inverse(module)
                if inverse is not None:
                    with suppress(NotImplementedError):
                        new = inverse(new)
        self.is_tensor = isinstance(new, Tensor)
        if self.is_tensor:
            self.ntensors = 1
            if new.dtype != original.dtype:
                raise InvalidValue(
                    f"[parametrize] right_inverse changes the dtype of '{name}' from "
                    f"{original.dtype} to {new.dtype}"
                )
            if new is not original:
                _set(original, new)
            _add(self, "original", original)
        else:
            if not isinstance(new, Sequence) or not all(
                isinstance(x, Tensor) for x in new
            ):
                raise InvalidValue(
                    f"[parametrize] right_inverse of '{name}' must give a tensor or a "
                    f"sequence of them, got a {type(new).__name__}"
                )
            self.ntensors = len(new)
            for i, value in enumerate(new):
                value = value.detach().clone()
                if isinstance(original, Parameter):
                    value = Parameter(value, original.requires_grad)
                _add(self, f"original{i}", value)
        if not unsafe:
            _check_like("the parametrization", name, self(), before)

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def forward(self) -> Tensor:
        first, *rest = list(self)
        x: Tensor = first(*self._originals())
        for module in rest:
            x = module(x)
        return x

    def right_inverse(self, value: Tensor) -> None:
        """Sets the originals so that the parametrized tensor becomes `value`.

        Raises:
            NotImplementedError: a parametrization has no `right_inverse`.
        """
        new: Any = value
        with no_grad():
            for module in reversed(list(self)):
                inverse = _inverse(module)
                if inverse is None:
                    raise NotImplementedError(
                        f"[parametrize] {type(module).__name__} has no right_inverse, "
                        "so a parametrized tensor cannot be assigned; define it, or "
                        "set the original"
                    )
                new = inverse(new)
            values = [new] if self.is_tensor else list(new)
            if len(values) != self.ntensors:
                raise InvalidValue(
                    f"[parametrize] right_inverse gave {len(values)} tensors, there "
                    f"are {self.ntensors} originals"
                )
            for original, new in zip(self._originals(), values, strict=True):
                _set(original, new)


class _Parametrized(Module):
    """What the class of a parametrized module adds: see `_class_of`."""

    parametrizations: ModuleDict

    # Called for names that are no attributes, as parametrized tensors are not.
    def __getattr__(self, name: str) -> Any:
        lists = self.__dict__.get("parametrizations")
        if lists is None or name not in lists:
            raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}'")
        if not _cache_depth:
            return lists[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = (self, lists[name]())
        return _cache[key][1]

    def __setattr__(self, name: str, value: Any) -> None:
        lists = self.__dict__.get("parametrizations")
        if lists is not None and name in lists:
            lists[name].right_inverse(value)
            _cache.pop((id(self), name), None)
        else:
            super().__setattr__(name, value)

    # The class is made while the program runs: what stands for it is its base.
    def __reduce__(self) -> Any:
        return _rebuild, (type(self).__bases__[1], self.__dict__)


_classes: dict[type[Module], type[Module]] = {}


def _class_of(base: type[Module]) -> type[Module]:
    if base not in _classes:
        name = f"Parametrized{base.__name__}"
        members = {"__module__": base.__module__}
        _classes[base] = type(name, (_Parametrized, base), members)
    return _classes[base]


def _lists_of(module: Any) -> Any:
    """Of a parametrized module: the `ParametrizationList` of each tensor."""
    return module.parametrizations


def _rebuild(base: type[Module], state: dict[str, Any]) -> Module:
    module = base.__new__(base)
    module.__dict__.update(state)
    module.__class__ = _class_of(base)
    return module


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Computes a parameter or buffer of a module from another one from now on.

    The tensor goes to `module.parametrizations[tensor_name].original`, and reading
    `module.tensor_name` calls the parametrization on it. Where that has a method
    `right_inverse`, it finds the original: at registration from the present value,
    so that the tensor keeps it, and when something is assigned. It may give several
    tensors, original0, original1, ..., which `forward` then takes. A second
    parametrization takes the result of the first.

    Args:
        module: has the tensor.
        tensor_name: its attribute.
        parametrization: a module that gives a tensor of the same shape and dtype.
        unsafe: True lets shape and dtype change, and does not check.

    Returns:
        The module, whose class is now a subclass of what it was.

    Raises:
        InvalidValue: there is no such tensor; or shape or dtype would change.

    Example:
        >>> import ferrule as fe
        >>> class Positive(fe.nn.Module):
        ...     def forward(self, x):
        ...         return x.exp()
        ...     def right_inverse(self, y):
        ...         return y.log()
        >>> layer = fe.nn.Linear(1, 1, bias=False)
        >>> _ = fe.nn.init.constant_(layer.weight, 2.0)
        >>> parametrize = fe.nn.utils.parametrize
        >>> _ = parametrize.register_parametrization(layer, "weight", Positive())
        >>> round(layer.weight.item(), 4)
        2.0
        >>> round(layer.parametrizations.weight.original.item(), 4)
        0.6931
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        lists = _lists_of(module)
        if not unsafe:
            present = getattr(module, tensor_name)
            given = parametrization(present)
            _check_like("the parametrization", tensor_name, given, present)
            inverse = _inverse(parametrization)
            if inverse is not None:
                try:
                    back = inverse(given)
                except NotImplementedError:
                    pass
                else:
                    _check_like("right_inverse", tensor_name, back, present)
        lists[tensor_name].append(parametrization)
        lists[tensor_name].unsafe |= unsafe
        return module
    known = {*module._parameter_names, *module._buffer_names}
    original = module.__dict__.get(tensor_name)
    if tensor_name not in known or original is None:
        raise InvalidValue(
            f"[register_parametrization] {type(module).__name__} has no parameter or "
            f"buffer '{tensor_name}'; it has: {', '.join(known) or 'none'}"
        )
    made = ParametrizationList([parametrization], original, unsafe, tensor_name)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.__class__ = _class_of(type(module))
        module.add_module("parametrizations", ModuleDict())
    _lists_of(module)[tensor_name] = made
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Has the module a parametrization, or one of that tensor?

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.utils.parametrizations.weight_norm(fe.nn.Linear(2, 2))
        >>> parametrize = fe.nn.utils.parametrize
        >>> [parametrize.is_parametrized(layer, k) for k in (None, "weight", "bias")]
        [True, True, False]
    """
    lists = module.__dict__.get("parametrizations")
    if not isinstance(module, _Parametrized) or not isinstance(lists, ModuleDict):
        return False
    return len(lists) > 0 if tensor_name is None else tensor_name in lists


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Makes a parametrized tensor an ordinary one again.

    Args:
        module: has the tensor.
        tensor_name: its attribute.
        leave_parametrized: True keeps the value that it has; False the original's.

    Returns:
        The module, of the class that it was, if nothing else is parametrized.

    Raises:
        InvalidValue: the tensor is not parametrized; or there are several originals
            and `leave_parametrized` is False.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.utils.parametrizations.weight_norm(fe.nn.Linear(2, 2))
        >>> parametrize = fe.nn.utils.parametrize
        >>> parametrize.remove_parametrizations(layer, "weight")
        Linear(in_features=2, out_features=2, bias=True)
    """
    if not is_parametrized(module, tensor_name):
        raise InvalidValue(
            f"[remove_parametrizations] '{tensor_name}' of {type(module).__name__} is "
            "not parametrized"
        )
    lists = _lists_of(module)
    made = lists[tensor_name]
    if made.is_tensor:
        original = made.original
        if leave_parametrized:
            _set(original, made())
    elif leave_parametrized:
        value = made()
        original = value.detach()
        if value.requires_grad:
            original = Parameter(original)
    else:
        raise InvalidValue(
            f"[remove_parametrizations] '{tensor_name}' is computed from several "
            "tensors; it can only keep its value (leave_parametrized=True)"
        )
    del lists[tensor_name]
    if not lists:
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[1]
    _add(module, tensor_name, original)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that the module had without parametrizations.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.utils.parametrizations.weight_norm(fe.nn.Linear(2, 2))
        >>> fe.nn.utils.parametrize.type_before_parametrizations(layer).__name__
        'Linear'
    """
    return type(module).__bases__[1] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Gives a module the parametrizations of another one, with its originals.

    Args:
        from_module: has them.
        to_module: gets them; tensors that it lacks are made.
        tensor_name: of this tensor only.

    Returns:
        `to_module`.
    """
    if not is_parametrized(from_module):
        return to_module
    lists = _lists_of(from_module)
    for name in list(lists) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            value = getattr(from_module, name).detach().clone()
            setattr(to_module, name, Parameter(value))
        for parametrization in lists[name]:
            register_parametrization(to_module, name, parametrization)
        mine = _lists_of(to_module)[name]
        keys = ["original"]
        if not lists[name].is_tensor:
            keys = [f"original{i}" for i in range(lists[name].ntensors)]
        for key in keys:
            setattr(mine, key, getattr(lists[name], key))
    return to_module
