"""`Module`: the base class of every layer and model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from .._ferrule import (
    Device,
    DType,
    FerruleError,
    Tensor,
    as_tensor,
    bfloat16,
    float16,
    float32,
    float64,
    no_grad,
)
from ._hooked import Hooked
from ._location import locate
from .parameter import Parameter

__all__ = ["IncompatibleKeys", "Module"]

_Self = TypeVar("_Self", bound="Module")
_T = TypeVar("_T")

if TYPE_CHECKING:
    from typing import ParamSpec, Protocol

    from ._summary import Summary

    _P = ParamSpec("_P")
    _R_co = TypeVar("_R_co", covariant=True)

    class _HasForward(Protocol[_P, _R_co]):
        """What gives `module(...)` the types of its `forward`."""

        def forward(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co: ...


_FLOATING = (float32, float64, float16, bfloat16)


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` did not match."""

    missing_keys: list[str]
    """Names that the module has and the state lacks."""
    unexpected_keys: list[str]
    """Names that the state has and the module lacks."""


class Module(Hooked):
    """Base class of layers and models: parameters, buffers and submodules.

    Write a model by subclassing it: assign submodules and `Parameter`s to
    attributes in `__init__`, compute in `forward`, and call the module itself.
    A module starts in training mode.

    Parameters, buffers and submodules are ordinary attributes; the module
    keeps their names, in the order of assignment.

    Example:
        >>> import ferrule as fe
        >>> class Model(fe.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = fe.nn.Linear(4, 8)
        ...         self.out = fe.nn.Linear(8, 2)
        ...
        ...     def forward(self, x):
        ...         return self.out(fe.relu(self.hidden(x)))
        >>> model = Model()
        >>> model(fe.zeros((3, 4))).shape
        (3, 2)
        >>> [name for name, _ in model.named_parameters()]
        ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    training: bool
    """True in training mode; `Dropout` and `BatchNorm` look at it."""

    _parameter_names: dict[str, None]
    _buffer_names: dict[str, bool]  # value: persistent
    _module_names: dict[str, None]

    # In __new__, so that a subclass which forgets super().__init__() works.
    def __new__(cls: type[_Self], *args: Any, **kwargs: Any) -> _Self:
        self = super().__new__(cls)
        self.__dict__.update(
            training=True,
            _parameter_names={},
            _buffer_names={},
            _module_names={},
            _forward_pre_hooks={},
            _forward_hooks={},
            _backward_pre_hooks={},
            _backward_hooks={},
        )
        return self

    # --- calling -----------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Computes the result; every subclass defines it."""
        raise NotImplementedError(
            f"{type(self).__name__} has no forward(); define "
            "`def forward(self, x): ...` in the class"
        )

    def __call__(
        self: _HasForward[_P, _R_co], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R_co:
        """Runs `forward` with the hooks around it.

        An error of Ferrule's raised inside gets the path of the module it came
        from, such as ``in module 'features.0' (Conv2d(...))``.
        """
        module: Any = self
        try:
            if (
                module._forward_hooks
                or module._forward_pre_hooks
                or module._backward_hooks
                or module._backward_pre_hooks
            ):
                result: _R_co = module._call_hooked(args, kwargs)
                return result
            return self.forward(*args, **kwargs)
        except (FerruleError, TypeError) as error:
            locate(error, module)
            raise

    # --- attributes --------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._claim(name, self._parameter_names, None)
        elif isinstance(value, Module):
            self._claim(name, self._module_names, None)
        elif name in self._parameter_names:
            _require(value is None, name, "parameter", "an nn.Parameter", value)
        elif name in self._module_names:
            _require(value is None, name, "submodule", "an nn.Module", value)
        elif name in self._buffer_names:
            is_value = value is None or isinstance(value, Tensor)
            _require(is_value, name, "buffer", "a Tensor", value)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._parameter_names.pop(name, None)
        self._buffer_names.pop(name, None)
        self._module_names.pop(name, None)

    def _claim(self, name: str, names: dict[str, _T], value: _T) -> None:
        """Registers `name` as one kind of member and as no other."""
        if name not in names:
            self._forget(name)
        names[name] = value

    def _check_new(self, name: str, names: Mapping[str, object]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a name must be a string, not {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"'{name}' cannot be a name: empty or with a dot")
        if hasattr(self, name) and name not in names:
            raise KeyError(f"{type(self).__name__} already has attribute '{name}'")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter; None reserves the name (such as a missing bias).

        Raises:
            KeyError: the name is taken, empty or has a dot.
            TypeError: `param` is not a `Parameter`.
        """
        self._check_new(name, self._parameter_names)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"parameter '{name}' must be an nn.Parameter or None, "
                f"not {type(param).__name__}"
            )
        self._claim(name, self._parameter_names, None)
        setattr(self, name, param)

    def register_buffer(
        self, name: str, tensor: Tensor | None, persistent: bool = True
    ) -> None:
        """Adds a tensor that is state but is not trained (running statistics).

        Args:
            name: the attribute's name.
            tensor: the value; None reserves the name.
            persistent: whether `state_dict` holds it.

        Raises:
            KeyError: the name is taken, empty or has a dot.
            TypeError: `tensor` is not a tensor.
        """
        self._check_new(name, self._buffer_names)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"buffer '{name}' must be a Tensor or None, not {type(tensor).__name__}"
            )
        self._claim(name, self._buffer_names, persistent)
        object.__setattr__(self, name, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule under a computed name; same as `register_module`.

        Raises:
            KeyError: the name is taken, empty or has a dot.
            TypeError: `module` is not a `Module`.
        """
        self._check_new(name, self._module_names)
        if module is not None and not isinstance(module, Module):
            raise TypeError(
                f"submodule '{name}' must be an nn.Module or None, "
                f"not {type(module).__name__}{_made_of(module)}"
            )
        self._claim(name, self._module_names, None)
        setattr(self, name, module)

    register_module = add_module

    # --- traversal ---------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yields name and module of every direct submodule, each once."""
        seen: set[int] = set()
        for name in self._module_names:
            module = self.__dict__[name]
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yields every direct submodule, each once."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yields path and module of this module and of all below it.

        The order is that of assignment, a parent before its children. A
        module that is reachable twice is yielded once, unless
        `remove_duplicate` is False.
        """
        return self._walk(prefix, set() if remove_duplicate else None)

    def _walk(self, prefix: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield prefix, self
        for name in self._module_names:
            module: Module | None = self.__dict__[name]
            if module is not None:
                yield from module._walk(_join(prefix, name), seen)

    def modules(self) -> Iterator[Module]:
        """Yields this module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yields path and value of every parameter, each once.

        Args:
            prefix: put before every path.
            recurse: False leaves out those of submodules.
            remove_duplicate: False yields a shared parameter under every name.
        """
        return self._members("_parameter_names", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yields every parameter, each once; what an optimizer is given."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yields path and value of every buffer; see `named_parameters`."""
        return self._members("_buffer_names", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yields every buffer, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def _members(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules: Iterator[tuple[str, Module]] = iter([(prefix, self)])
        if recurse:
            modules = self.named_modules(prefix, remove_duplicate)
        for path, module in modules:
            for name in module.__dict__[kind]:
                value = module.__dict__[name]
                if value is None or (remove_duplicate and id(value) in seen):
                    continue
                seen.add(id(value))
                yield _join(path, name), value

    def get_submodule(self, target: str) -> Module:
        """Returns the submodule at a dotted path; "" is the module itself.

        Raises:
            AttributeError: a part of the path is missing or no module.
        """
        module = self
        for part in target.split(".") if target else ():
            child = module.__dict__.get(part) if part in module._module_names else None
            if child is None:
                have = ", ".join(module._module_names) or "none"
                raise AttributeError(
                    f"{type(module).__name__} has no submodule '{part}' "
                    f"(looking for '{target}'); it has: {have}"
                )
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """Returns the parameter at a dotted path.

        Raises:
            AttributeError: there is none.
        """
        param: Parameter = self._get(target, "_parameter_names", "parameter")
        return param

    def get_buffer(self, target: str) -> Tensor:
        """Returns the buffer at a dotted path.

        Raises:
            AttributeError: there is none.
        """
        buffer: Tensor = self._get(target, "_buffer_names", "buffer")
        return buffer

    def _get(self, target: str, kind: str, what: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        names = module.__dict__[kind]
        if name not in names or module.__dict__[name] is None:
            have = ", ".join(names) or "none"
            raise AttributeError(
                f"{type(module).__name__} has no {what} '{name}'; it has: {have}"
            )
        return module.__dict__[name]

    # --- state -------------------------------------------------------------

    def state_dict(
        self, *, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Returns all parameters and persistent buffers by path.

        The tensors share memory with the module, so that later training
        changes them; `clone` what is to stay. `ferrule.save` writes them to
        a file.

        Args:
            prefix: put before every path.
            keep_vars: True gives the parameters themselves and not detached
                tensors.
        """
        state: dict[str, Tensor] = {}
        detached: dict[int, Tensor] = {}  # a shared tensor stays shared
        for name, value in self._state():
            if not keep_vars:
                value = detached.setdefault(id(value), value.detach())
            state[prefix + name] = value
        return state

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        for path, module in self.named_modules(remove_duplicate=False):
            saved = [name for name, kept in module._buffer_names.items() if kept]
            for name in [*module._parameter_names, *saved]:
                value = module.__dict__[name]
                if value is not None:
                    yield _join(path, name), value

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copies values into the parameters and buffers, by path.

        Either everything fits and is copied, or an error lists all that does
        not and nothing is changed.

        Args:
            state_dict: paths to tensors or arrays, as `state_dict` gives.
            strict: False allows missing and unexpected paths (never another
                shape).

        Returns:
            The missing and the unexpected paths.

        Raises:
            FerruleError: paths (if `strict`) or shapes differ.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                "[load_state_dict] state_dict must be a mapping of names to tensors, "
                f"got {type(state_dict).__name__}; read a file with ferrule.load(path)"
            )
        for path, module in self.named_modules(remove_duplicate=False):
            module._prepare_to_load(path, state_dict)
        own = dict(self._state())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        problems: list[str] = []
        if strict and missing:
            problems.append("missing: " + ", ".join(missing))
        if strict and unexpected:
            problems.append("unexpected: " + ", ".join(unexpected))
            prefix = unexpected[0].partition(".")[0] + "."
            if {prefix + name for name in missing} == set(unexpected):
                problems.append(
                    f"all names begin with '{prefix}', as of a model inside another: "
                    f"load {{k.removeprefix('{prefix}'): v for k, v in state.items()}}"
                )
        values = {n: as_tensor(state_dict[n]) for n in own if n in state_dict}
        for name, value in values.items():
            if value.shape != own[name].shape:
                problems.append(
                    f"{name}: the module has shape {own[name].shape}, "
                    f"the state {value.shape}"
                )
        if problems:
            raise FerruleError(
                f"[load_state_dict] the state does not fit {type(self).__name__}:"
                + "".join(f"\n  {problem}" for problem in problems)
            )
        with no_grad():
            for name, value in values.items():
                own[name].copy_(value)
        return IncompatibleKeys(missing, unexpected)

    def _prepare_to_load(self, path: str, state: Mapping[str, Any]) -> None:
        """A lazy module takes its sizes from a state that has them."""

    # --- conversion and modes ----------------------------------------------

    @overload
    def to(
        self: _Self,
        device: Device | str | None = ...,
        dtype: DType | None = ...,
        *,
        memory_format: Any = ...,
    ) -> _Self: ...
    @overload
    def to(self: _Self, dtype: DType) -> _Self: ...
    @overload
    def to(self: _Self, tensor: Tensor) -> _Self: ...
    def to(self: _Self, *args: Any, **kwargs: Any) -> _Self:
        """Moves parameters and buffers to a device, a dtype, or both.

        Call it as ``to(dtype)``, ``to(device)``, ``to(device, dtype)`` or
        ``to(tensor)``. Only floating tensors change their dtype. The
        parameters stay the same Python objects, so an optimizer that holds
        them goes on working. ``memory_format`` is accepted: parameters stay
        row-major, because kernels lay out weights as they need them; convert
        the input.

        Raises:
            TypeError: not called in one of these ways, or `dtype` not floating.
        """
        memory_format = kwargs.pop("memory_format", None)
        if memory_format is not None and not (args or kwargs):
            return self
        device, dtype = _parse_to(*args, **kwargs)
        if dtype is not None and dtype not in _FLOATING:
            raise TypeError(f"[Module.to] dtype must be floating, got {dtype}")

        def convert(tensor: Tensor) -> Tensor:
            if device is not None and tensor.device != device:
                tensor = tensor.to(device)
            if dtype not in (None, tensor.dtype) and tensor.dtype in _FLOATING:
                tensor = tensor.to(dtype)
            return tensor

        return self._convert(convert)

    def _convert(self: _Self, convert: Callable[[Tensor], Tensor]) -> _Self:
        buffers: dict[int, Tensor] = {}  # a shared buffer stays shared
        with no_grad():
            for param in self.parameters():
                old = param.detach()
                new = convert(old)
                if new is old:
                    continue
                grad = param.grad
                new.requires_grad_(param.requires_grad)
                param._replace(new)
                param.grad = None if grad is None else convert(grad)
            for module in self.modules():
                for name in module._buffer_names:
                    value = module.__dict__[name]
                    if value is not None:
                        if id(value) not in buffers:
                            buffers[id(value)] = convert(value)
                        object.__setattr__(module, name, buffers[id(value)])
        return self

    def float(self: _Self) -> _Self:
        """Converts floating parameters and buffers to float32."""
        return self.to(float32)

    def double(self: _Self) -> _Self:
        """Converts floating parameters and buffers to float64."""
        return self.to(float64)

    def half(self: _Self) -> _Self:
        """Converts floating parameters and buffers to float16."""
        return self.to(float16)

    def bfloat16(self: _Self) -> _Self:
        """Converts floating parameters and buffers to bfloat16."""
        return self.to(bfloat16)

    def cpu(self: _Self) -> _Self:
        """Moves parameters and buffers to the CPU."""
        return self.to("cpu")

    def apply(self: _Self, fn: Callable[[Module], object]) -> _Self:
        """Calls `fn` with every submodule and then with this one.

        Example:
            >>> import ferrule as fe
            >>> def init(module):
            ...     if isinstance(module, fe.nn.Linear):
            ...         fe.nn.init.zeros_(module.bias)
            >>> model = fe.nn.Sequential(fe.nn.Linear(2, 2)).apply(init)
            >>> model[0].bias.tolist()
            [0.0, 0.0]
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self: _Self, mode: bool = True) -> _Self:
        """Sets training mode (or evaluation mode) here and below."""
        if not isinstance(mode, bool):
            raise TypeError(f"[train] mode must be a bool, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: _Self) -> _Self:
        """Sets evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self: _Self, requires_grad: bool = True) -> _Self:
        """Freezes (False) or unfreezes (True) all parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients of all parameters, or fills them with zeros."""
        for param in self.parameters():
            grad = param.grad
            if grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                param.grad = grad.detach().zero_()

    # --- text --------------------------------------------------------------

    def summary(self, *args: Any, **kwargs: Any) -> Summary:
        """Runs the module and tells what each part returns and costs.

        The same as `ferrule.summary`.

        Args:
            args, kwargs: what to call the module with.

        Example:
            >>> import ferrule as fe
            >>> fe.nn.Linear(4, 3).summary(fe.ones((2, 4))).total_macs
            24
        """
        from ._summary import summary

        return summary(self, *args, **kwargs)

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses; subclasses define it."""
        return ""

    def __repr__(self) -> str:
        lines = []
        for name in self._module_names:
            first, *rest = repr(self.__dict__[name]).split("\n")
            lines.append("\n".join([f"({name}): {first}", *("  " + r for r in rest)]))
        return self._layout(lines)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from ._html import module_html

        return module_html(self)

    def _layout(self, lines: list[str]) -> str:
        extra = self.extra_repr()
        head = extra.split("\n") if extra else []
        if not lines and len(head) <= 1:
            return f"{type(self).__name__}({extra})"
        body = "".join(f"\n  {line}" for line in [*head, *lines])
        return f"{type(self).__name__}({body}\n)"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _require(ok: bool, name: str, kind: str, wanted: str, value: object) -> None:
    if not ok:
        raise TypeError(
            f"'{name}' is a {kind} and must be {wanted} or None, "
            f"not {type(value).__name__}; to make it something else, "
            f"`del module.{name}` first"
        )


def _parse_to(
    *args: Any,
    device: Device | str | None = None,
    dtype: DType | None = None,
    tensor: Tensor | None = None,
) -> tuple[Device | None, DType | None]:
    if tensor is not None:
        args = (tensor, *args)
    for arg in args:
        if isinstance(arg, Tensor):
            device, dtype = arg.device, arg.dtype
        elif isinstance(arg, DType):
            dtype = arg
        elif isinstance(arg, (Device, str)):
            device = arg
        elif arg is not None:
            raise TypeError(
                "[Module.to] expected a dtype, a device or a tensor, "
                f"got {type(arg).__name__}"
            )
    return Device(device) if isinstance(device, str) else device, dtype


def _made_of(given: object) -> str:
    """What to write instead of something that is no module."""
    if isinstance(given, (list, tuple)):
        return "; unpack it: Sequential(*layers)"
    if isinstance(given, type) and issubclass(given, Module):
        return f"; make one: {given.__name__}(...)"
    if callable(given):
        return "; there are modules of functions, such as nn.ReLU() of relu"
    return ""
