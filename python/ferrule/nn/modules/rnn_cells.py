"""Single steps of recurrent layers."""

from __future__ import annotations

from math import sqrt
from typing import Any

from ..._ferrule import Device, DType, ShapeError, Tensor, ops
from .. import init
from ..module import Module
from ..parameter import Parameter
from .rnn import (
    GATES,
    Weights,
    check_nonlinearity,
    check_sizes,
    run_steps,
    zeros_beside,
)

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _Cell(Module):
    """Common to the cells: one step of one layer."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        check_sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = GATES[mode] * hidden_size
        for name, features in (("weight_ih", input_size), ("weight_hh", hidden_size)):
            value = ops.empty((gates, features), dtype=dtype, device=device)
            self.register_parameter(name, Parameter(value))
        for name in ("bias_ih", "bias_hh"):
            values = ops.empty((gates,), dtype=dtype, device=device)
            self.register_parameter(name, Parameter(values) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        bound = 1.0 / sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def _step(
        self, input: Tensor, states: list[Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """The states after the step: hidden and, of an LSTM, cell."""
        name = type(self).__name__
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"[{name}] input must be (batch, {self.input_size}) or "
                f"({self.input_size},), got {input.shape}"
            )
        shape = (*input.shape[:-1], self.hidden_size)
        first: list[Tensor] = []
        for s in states:
            s = zeros_beside(input, shape) if s is None else s
            if s.shape != shape:
                raise ShapeError(f"[{name}] state must be {shape}, got {s.shape}")
            first.append(s if input.ndim == 2 else s.unsqueeze(0))
        x = input.unsqueeze(0) if input.ndim == 2 else input.unsqueeze(0).unsqueeze(0)
        weights = Weights(*(getattr(self, key) for key in Weights._fields[:4]))
        c0 = first[1] if len(first) > 1 else None
        out, cells = run_steps(self.mode, x, first[0], c0, weights, False)
        if input.ndim == 1:
            out, cells = out.squeeze(0), cells.squeeze(0)
        return out.squeeze(0), cells.squeeze(0)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if not self.bias:
            text += ", bias=False"
        return text + (", nonlinearity=relu" if self.mode == "relu" else "")


class LSTMCell(_Cell):
    """One step of `LSTM`.

    Args:
        input_size: features of the input.
        hidden_size: features of the states.
        bias: False leaves the biases out.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Called with `input` (batch, input_size) or (input_size,), and optionally
    (h, c); gives (h', c').

    Raises:
        ShapeError: input or states have another shape.

    Example:
        >>> import ferrule as fe
        >>> h, c = fe.nn.LSTMCell(10, 20)(fe.zeros((3, 10)))
        >>> h.shape, c.shape
        ((3, 20), (3, 20))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("lstm", *args, **kwargs)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        return self._step(input, [None, None] if hx is None else list(hx))


class GRUCell(_Cell):
    """One step of `GRU`: called with `input` and optionally h, gives h'.

    Arguments as of `LSTMCell`.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.GRUCell(10, 20)(fe.zeros((3, 10))).shape
        (3, 20)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("gru", *args, **kwargs)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, [hx])[0]


class RNNCell(_Cell):
    """One step of `RNN`: called with `input` and optionally h, gives h'.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: False leaves the biases out.
        nonlinearity: "tanh" or "relu".
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Example:
        >>> import ferrule as fe
        >>> fe.nn.RNNCell(10, 20)(fe.zeros((3, 10))).shape
        (3, 20)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(nonlinearity, input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, [hx])[0]
