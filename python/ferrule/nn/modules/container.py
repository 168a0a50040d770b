"""Modules that hold modules or parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from ..._ferrule import Tensor
from ..module import Module
from ..parameter import Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

_Self = TypeVar("_Self", bound="_ModuleSequence")


class _ModuleSequence(Module):
    """Submodules named "0", "1", ... with the methods of a list."""

    def __len__(self) -> int:
        return len(self._module_names)

    def __iter__(self) -> Iterator[Module]:
        return iter([self.__dict__[name] for name in self._module_names])

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self: _Self, index: slice) -> _Self: ...
    def __getitem__(self: _Self, index: int | slice) -> Module | _Self:
        if isinstance(index, slice):
            part = type(self)()
            for name in list(self._module_names)[index]:
                part.add_module(name, self.__dict__[name])
            return part._renumbered()
        module: Module = self.__dict__[self._name(index)]
        return module

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._module_names)
        gone = names[index] if isinstance(index, slice) else [self._name(index)]
        for name in gone:
            delattr(self, name)
        self._renumbered()

    def _name(self, index: int) -> str:
        names = list(self._module_names)
        if not -len(names) <= index < len(names):
            raise IndexError(
                f"[{type(self).__name__}] index {index} is out of range for "
                f"{len(names)} modules"
            )
        return names[index]

    def _renumbered(self: _Self) -> _Self:
        """Names numbered modules by their places again; others stay."""
        modules = {name: self.__dict__[name] for name in self._module_names}
        for name in modules:
            delattr(self, name)
        for i, (name, module) in enumerate(modules.items()):
            self.add_module(str(i) if name.isdecimal() else name, module)
        return self

    def append(self: _Self, module: Module) -> _Self:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self: _Self, modules: Iterable[Module]) -> _Self:
        """Adds modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self: _Self, index: int, module: Module) -> _Self:
        """Puts a module before place `index`; later ones move up."""
        modules = list(self)
        modules.insert(index, module)
        for name in list(self._module_names):
            delattr(self, name)
        return self.extend(modules)


class Sequential(_ModuleSequence):
    """Runs modules one after the other.

    Args:
        modules: the modules, or one mapping of names to modules.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Sequential(fe.nn.Linear(4, 8), fe.nn.ReLU())
        >>> model(fe.zeros((2, 4))).shape
        (2, 8)
        >>> model[0]
        Linear(in_features=4, out_features=8, bias=True)
    """

    @overload
    def __init__(self, *modules: Module) -> None: ...
    @overload
    def __init__(self, modules: Mapping[str, Module], /) -> None: ...
    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    def forward(self, input: Any) -> Any:
        members = self.__dict__
        for name in self._module_names:
            input = members[name](input)
        return input


class ModuleList(_ModuleSequence):
    """A list of modules whose parameters the owner sees.

    Example:
        >>> import ferrule as fe
        >>> layers = fe.nn.ModuleList(fe.nn.Linear(4, 4) for _ in range(3))
        >>> len(layers), len(list(layers.parameters()))
        (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)


class ModuleDict(Module):
    """A dict of modules whose parameters the owner sees.

    Example:
        >>> import ferrule as fe
        >>> heads = fe.nn.ModuleDict({"a": fe.nn.Linear(4, 2)})
        >>> heads["b"] = fe.nn.Linear(4, 3)
        >>> list(heads)
        ['a', 'b']
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, name: str) -> Module:
        if name not in self._module_names:
            raise KeyError(name)
        module: Module = self.__dict__[name]
        return module

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        if name not in self._module_names:
            raise KeyError(name)
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._module_names)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._module_names))

    def __contains__(self, name: object) -> bool:
        return name in self._module_names

    def keys(self) -> list[str]:
        """The names, in the order of insertion."""
        return list(self._module_names)

    def values(self) -> list[Module]:
        """The modules, in the order of insertion."""
        return [self[name] for name in self]

    def items(self) -> list[tuple[str, Module]]:
        """Pairs of name and module, in the order of insertion."""
        return [(name, self[name]) for name in self]

    def update(self, modules: Mapping[str, Module]) -> None:
        """Adds modules; those of the same name are replaced."""
        for name, module in modules.items():
            self[name] = module

    def pop(self, name: str) -> Module:
        """Removes a module and returns it."""
        module = self[name]
        del self[name]
        return module


class ParameterList(Module):
    """A list of parameters that the owner sees; tensors become parameters.

    Example:
        >>> import ferrule as fe
        >>> scales = fe.nn.ParameterList([fe.ones((1,)), fe.ones((2,))])
        >>> [name for name, _ in scales.named_parameters()]
        ['0', '1']
    """

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.extend(values)

    def __len__(self) -> int:
        return len(self._parameter_names)

    def __iter__(self) -> Iterator[Parameter]:
        return iter([self.__dict__[name] for name in self._parameter_names])

    def __getitem__(self, index: int) -> Parameter:
        param: Parameter = self.__dict__[self._name(index)]
        return param

    def __setitem__(self, index: int, value: Tensor) -> None:
        setattr(self, self._name(index), _as_parameter(value))

    def _name(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"[ParameterList] index {index} is out of range for "
                f"{len(self)} parameters"
            )
        return str(index % len(self))

    def append(self, value: Tensor) -> ParameterList:
        """Adds a parameter at the end."""
        self.register_parameter(str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> ParameterList:
        """Adds parameters at the end."""
        for value in list(values):
            self.append(value)
        return self

    def __repr__(self) -> str:
        return self._layout(
            [
                f"({i}): {type(p).__name__} of shape {p.shape}, {p.dtype}"
                for i, p in enumerate(self)
            ]
        )


class ParameterDict(Module):
    """Parameters by name, seen by the owner; tensors become parameters.

    Args:
        parameters: a mapping, or pairs, of names and tensors; names for None.

    Example:
        >>> import ferrule as fe
        >>> scales = fe.nn.ParameterDict({"low": fe.ones((1,)), "high": fe.ones((2,))})
        >>> [name for name, _ in scales.named_parameters()]
        ['low', 'high']
        >>> scales["high"].shape
        (2,)
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None,
    ) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, name: str) -> Parameter:
        if name not in self._parameter_names:
            raise KeyError(name)
        param: Parameter = self.__dict__[name]
        return param

    def __setitem__(self, name: str, value: Tensor | None) -> None:
        param = None if value is None else _as_parameter(value)
        if name in self._parameter_names:
            setattr(self, name, param)
        else:
            self.register_parameter(name, param)

    def __delitem__(self, name: str) -> None:
        if name not in self._parameter_names:
            raise KeyError(name)
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._parameter_names)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._parameter_names))

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._parameter_names))

    def __contains__(self, name: object) -> bool:
        return name in self._parameter_names

    def __or__(self, other: Mapping[str, Tensor] | ParameterDict) -> ParameterDict:
        joined = self.copy()
        joined.update(other)
        return joined

    def __ior__(self, other: Mapping[str, Tensor] | ParameterDict) -> ParameterDict:
        self.update(other)
        return self

    def keys(self) -> list[str]:
        """The names, in the order of insertion."""
        return list(self._parameter_names)

    def values(self) -> list[Parameter]:
        """The parameters, in the order of insertion."""
        return [self[name] for name in self]

    def items(self) -> list[tuple[str, Parameter]]:
        """Pairs of name and parameter, in the order of insertion."""
        return [(name, self[name]) for name in self]

    def update(
        self,
        parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | ParameterDict,
    ) -> None:
        """Adds parameters; those of the same name are replaced."""
        pairs = (
            parameters.items()
            if isinstance(parameters, (Mapping, ParameterDict))
            else parameters
        )
        for name, value in list(pairs):
            self[name] = value

    def copy(self) -> ParameterDict:
        """Another dictionary of the same parameters."""
        return ParameterDict(self.items())

    def clear(self) -> None:
        """Removes all parameters."""
        for name in self:
            del self[name]

    def get(self, name: str, default: Tensor | None = None) -> Tensor | None:
        """The parameter, or the default where there is none."""
        if name not in self:
            return default
        return self[name]

    def setdefault(self, name: str, default: Tensor | None = None) -> Parameter:
        """The parameter, which is added where there is none."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str) -> Parameter:
        """Removes a parameter and returns it."""
        param = self[name]
        del self[name]
        return param

    def popitem(self) -> tuple[str, Parameter]:
        """Removes the parameter that was added last; returns name and parameter."""
        name = self.keys()[-1]
        return name, self.pop(name)

    def fromkeys(
        self, names: Iterable[str], default: Tensor | None = None
    ) -> ParameterDict:
        """A dictionary of these names, all with the default."""
        return ParameterDict([(name, default) for name in names])  # type: ignore[misc]

    def __repr__(self) -> str:
        return self._layout(
            [
                f"({name}): {type(p).__name__} of shape {p.shape}, {p.dtype}"
                for name, p in self.items()
            ]
        )


def _as_parameter(value: Tensor) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)
