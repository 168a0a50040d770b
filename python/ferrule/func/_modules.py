"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .._ferrule import InvalidValue, Tensor, ops

if TYPE_CHECKING:
    from ..nn import Module

__all__ = ["functional_call", "stack_module_state"]

State = Mapping[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: State | Sequence[State],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls a module with other tensors in place of its parameters and buffers.

    Args:
        module: what is called; it is as before afterwards.
        parameter_and_buffer_dicts: tensors by the names that `named_parameters()` and
            `named_buffers()` give; or several such dicts. Those that are missing keep
            their own. What `forward` writes into one, such as running statistics, is
            written into the tensor that is given.
        args: the module's arguments: a tuple, or one that is no tuple.
        kwargs: its keyword arguments.
        tie_weights: a tensor that the module has under several names is replaced under
            all of them when one is given.
        strict: an error where names are missing, or unknown.

    Returns:
        What the module returns.

    Raises:
        InvalidValue: two dicts have the same name; tied tensors are given different
            values; `strict`, and names do not match.
        TypeError: something given is no tensor.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.Linear(2, 1)
        >>> params = {"weight": fe.ones(1, 2), "bias": fe.zeros(1)}
        >>> fe.func.functional_call(layer, params, fe.ones(3, 2)).tolist()
        [[2.0], [2.0], [2.0]]

    Source: torch.func.functional_call.
    """
    if isinstance(parameter_and_buffer_dicts, Mapping):
        state: Any = parameter_and_buffer_dicts
    else:
        state = {}
        for part in parameter_and_buffer_dicts:
            for name, tensor in part.items():
                if name in state:
                    raise InvalidValue(
                        f"[functional_call] '{name}' is in more than one dict"
                    )
                state[name] = tensor
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"[functional_call] '{name}' is a {type(tensor).__name__}, not a tensor"
            )
    places = _places(module)
    if strict:
        _require_all(state, places)
    values = {name: state[name] for name in state if name in places}
    if tie_weights:
        values = _tied(values, places)
    given = args if isinstance(args, tuple) else () if args is None else (args,)
    with _replaced(places, values) as changed:
        result = module(*given, **(kwargs or {}))
    if isinstance(state, dict):
        state.update({n: t for n, t in changed.items() if n in state})
    return result


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters and buffers of models of one kind, stacked: an ensemble for `vmap`.

    Args:
        models: modules of one class, with the same shapes, and all in training mode or
            all not.

    Returns:
        (params, buffers): by name, with a dimension in front that counts the models.
        They are copies; parameters are leaves that require grad where the models' do.

    Raises:
        InvalidValue: there is no model; or classes, modes or names differ.
        ShapeError: shapes differ.

    Example:
        >>> import ferrule as fe
        >>> models = [fe.nn.Linear(3, 2) for _ in range(5)]
        >>> params, buffers = fe.func.stack_module_state(models)
        >>> def call(params, buffers, x):
        ...     return fe.func.functional_call(models[0], (params, buffers), x)
        >>> fe.vmap(call, in_dims=(0, 0, None))(params, buffers, fe.ones(4, 3)).shape
        (5, 4, 2)

    Source: torch.func.stack_module_state.
    """
    if not models:
        raise InvalidValue("[stack_module_state] there is no model to stack")
    for what, kinds in (
        ("class", {type(m).__name__ for m in models}),
        ("mode (train or eval)", {m.training for m in models}),
    ):
        if len(kinds) > 1:
            raise InvalidValue(
                f"[stack_module_state] the models are not all of one {what}: {kinds}"
            )
    params = _stacked("parameters", [dict(m.named_parameters()) for m in models])
    buffers = _stacked("buffers", [dict(m.named_buffers()) for m in models])
    return params, buffers


# --- parts


def _stacked(what: str, states: list[dict[str, Any]]) -> dict[str, Tensor]:
    names = list(states[0])
    if any(list(s) != names for s in states):
        raise InvalidValue(f"[stack_module_state] the models' {what} differ in names")
    stacked = {}
    for name in names:
        tensors = [s[name] for s in states]
        made = ops.stack([t.detach() for t in tensors])
        stacked[name] = made.requires_grad_(tensors[0].requires_grad)
    return stacked


def _places(module: Module) -> dict[str, tuple[Module, str]]:
    """Where a module keeps its tensors: under every name, also of shared ones."""
    places = {}
    for prefix, child in module.named_modules(remove_duplicate=False):
        for name in (*child._parameter_names, *child._buffer_names):
            if isinstance(child.__dict__.get(name), Tensor):
                places[f"{prefix}.{name}" if prefix else name] = (child, name)
    return places


def _require_all(state: State, places: Mapping[str, Any]) -> None:
    missing = [name for name in places if name not in state]
    unknown = [name for name in state if name not in places]
    if missing or unknown:
        raise InvalidValue(
            "[functional_call] strict=True, and names do not match: missing "
            f"{', '.join(missing) or 'none'}; unknown {', '.join(unknown) or 'none'}"
        )


def _tied(
    values: dict[str, Tensor], places: Mapping[str, tuple[Module, str]]
) -> dict[str, Tensor]:
    """The values also under the other names of the tensors that they replace."""
    by_tensor: dict[int, tuple[str, Tensor]] = {}
    for name, value in values.items():
        child, key = places[name]
        first = by_tensor.setdefault(id(child.__dict__[key]), (name, value))
        if first[1] is not value:
            raise InvalidValue(
                f"[functional_call] '{first[0]}' and '{name}' are one tensor of the "
                "module but are given different values; tie_weights=False unties them"
            )
    tied = dict(values)
    for name, (child, key) in places.items():
        found = by_tensor.get(id(child.__dict__[key]))
        if found is not None:
            tied[name] = found[1]
    return tied


@contextmanager
def _replaced(
    places: Mapping[str, tuple[Module, str]], values: Mapping[str, Tensor]
) -> Iterator[dict[str, Tensor]]:
    """The values in the module for a while; yields what it assigned anew."""
    before = {name: places[name][0].__dict__[places[name][1]] for name in values}
    changed: dict[str, Tensor] = {}
    for name, value in values.items():
        child, key = places[name]
        child.__dict__[key] = value
    try:
        yield changed
    finally:
        for name, value in values.items():
            child, key = places[name]
            now = child.__dict__.get(key)
            if now is not value and isinstance(now, Tensor):
                changed[name] = now
        for name, tensor in before.items():
            child, key = places[name]
            child.__dict__[key] = tensor
