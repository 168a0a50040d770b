"""Recurrent layers over sequences.

A layer is two ops for each direction: `linear` makes the input's share of the
gates for all steps at once, `recurrence` runs the steps.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple, overload

from ..._ferrule import Device, DType, InvalidValue, ShapeError, Tensor, ops
from .. import init
from .._packed import Lengths, PackedSequence, pack, unpack
from ..module import Module
from ..parameter import Parameter

__all__ = ["GRU", "LSTM", "RNN"]

GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}


class Weights(NamedTuple):
    """Of a layer in one direction."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    weight_hr: Tensor | None = None


def run_steps(
    mode: str, x: Tensor, h0: Tensor, c0: Tensor | None, w: Weights, reverse: bool
) -> tuple[Tensor, Tensor]:
    """All steps of (steps, batch, features): hidden states and cell states."""
    bias, bias_hh = w.bias_ih, w.bias_hh
    # One sum of both; a GRU needs them apart.
    if mode != "gru" and bias is not None and bias_hh is not None:
        bias, bias_hh = bias + bias_hh, None
    gates = ops.linear(x, w.weight_ih, bias)
    weight, project = w.weight_hh, w.weight_hr
    if project is not None:
        # With h = h' P^T, h W^T = h' (W P)^T: steps are taken on the larger h',
        # and the first one gets the share of h0 beside its input.
        begin = x.shape[0] - 1 if reverse else 0
        first = gates.narrow(0, begin, 1) + ops.linear(h0, weight, None)
        rest = gates.narrow(0, 0 if reverse else 1, x.shape[0] - 1)
        gates = ops.cat([rest, first] if reverse else [first, rest], 0)
        weight = ops.matmul(weight, project)
        assert c0 is not None  # only an LSTM has projections
        h0 = ops.zeros_like(c0)
    out, cells, _ = ops.recurrence(mode, gates, h0, c0, weight, bias_hh, reverse)
    if project is not None:
        out = ops.linear(out, project, None)
    return out, cells


def zeros_beside(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    return ops.zeros(shape, dtype=x.dtype, device=x.device)


def check_sizes(name: str, **sizes: int) -> None:
    for what, n in sizes.items():
        if n < 1:
            raise InvalidValue(f"[{name}] {what} must be 1 or more, got {n}")


class _Recurrent(Module):
    """Common to LSTM, GRU and RNN."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_sizes(
            name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers
        )
        if not 0 <= proj_size < hidden_size:
            raise InvalidValue(
                f"[{name}] proj_size must be less than hidden_size {hidden_size}, or 0 "
                f"for none, got {proj_size}"
            )
        if not 0 <= dropout <= 1:
            raise InvalidValue(
                f"[{name}] dropout must be a probability in 0..1, got {dropout}"
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size

        out_size = proj_size or hidden_size
        gates = GATES[mode] * hidden_size
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                features = out_size * (1 + bidirectional) if layer else input_size
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (gates, features),
                    "weight_hh": (gates, out_size),
                }
                if bias:
                    shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for key, shape in shapes.items():
                    value = ops.empty(shape, dtype=dtype, device=device)
                    setattr(self, key + suffix, Parameter(value))
        self.reset_parameters()

    def _suffixes(self, layer: int) -> list[str]:
        """What the names of a layer's weights end in, one for each direction."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    def reset_parameters(self) -> None:
        """Draws new parameters."""
        bound = 1.0 / sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of every layer and direction."""
        by_name = dict(self.named_parameters())
        return [
            [p for name, p in by_name.items() if name.split("_", 2)[2] == suffix[1:]]
            for layer in range(self.num_layers)
            for suffix in self._suffixes(layer)
        ]

    def flatten_parameters(self) -> None:
        """Does nothing: the kernels take weights where they are."""

    def _initial(self, given: Tensor | None, x: Tensor, size: int, what: str) -> Tensor:
        """Initial states (layers * directions, batch, size), zeros by default."""
        shape = (self.num_layers * (1 + self.bidirectional), x.shape[1], size)
        if given is None:
            return zeros_beside(x, shape)
        if given.shape != shape:
            raise ShapeError(
                f"[{type(self).__name__}] {what} must have shape (layers * directions, "
                f"batch, size) = {shape}, got {given.shape}"
            )
        return given

    def _run_packed(
        self, packed: PackedSequence, h: Tensor | None, c: Tensor | None
    ) -> tuple[PackedSequence, Tensor, Tensor | None]:
        """`_run_layers` on sequences of several lengths.

        They are padded for it: a step depends on none behind it, so that padding
        reaches no result. Reversed, each sequence is turned around on its own.
        """
        if packed.data.ndim != 2 or packed.data.shape[1] != self.input_size:
            raise ShapeError(
                f"[{type(self).__name__}] a packed input must hold (sum of lengths, "
                f"{self.input_size}), got {packed.data.shape}"
            )
        order, back = packed.sorted_indices, packed.unsorted_indices

        def permuted(states: Tensor | None, order: Tensor | None) -> Tensor | None:
            if states is None or order is None or states.ndim != 3:
                return states
            return ops.index_select(states, 1, order)

        lengths = Lengths.of(packed)
        x = unpack(packed.data, lengths, 0.0)
        x, *last = self._run_steps(x, permuted(h, order), permuted(c, order), lengths)
        h_n, c_n = (permuted(states, back) for states in last)
        assert h_n is not None
        return packed._with(pack(x, lengths)), h_n, c_n

    def _run_layers(
        self, input: Tensor | PackedSequence, h: Tensor | None, c: Tensor | None
    ) -> tuple[Any, Tensor, Tensor | None]:
        """Output and the last states of every layer and direction."""
        if isinstance(input, PackedSequence):
            return self._run_packed(input, h, c)
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"[{type(self).__name__}] input must be (steps, batch, "
                f"{self.input_size}), batch first if batch_first is True, or (steps, "
                f"{self.input_size}); got {input.shape}"
            )
        batched = input.ndim == 3
        if not batched:
            input = input.unsqueeze(1)
            h = None if h is None else h.unsqueeze(1)
            c = None if c is None else c.unsqueeze(1)
        turned = self.batch_first and batched
        x = input.transpose(0, 1) if turned else input
        x, h_n, c_n = self._run_steps(x, h, c, None)
        if turned:
            x = x.transpose(0, 1)
        if not batched:
            x, h_n = x.squeeze(1), h_n.squeeze(1)
            c_n = None if c_n is None else c_n.squeeze(1)
        return x, h_n, c_n

    def _run_steps(
        self, x: Tensor, h: Tensor | None, c: Tensor | None, lengths: Lengths | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """All layers over (steps, batch, features), of several lengths if given."""
        h = self._initial(h, x, self.proj_size or self.hidden_size, "h_0")
        if self.mode == "lstm":
            c = self._initial(c, x, self.hidden_size, "c_0")
        last_h: list[Tensor] = []
        last_c: list[Tensor] = []
        for layer in range(self.num_layers):
            outs = []
            for reverse, suffix in enumerate(self._suffixes(layer)):
                k = len(last_h)
                weights: list[Any] = [
                    getattr(self, key + suffix, None) for key in Weights._fields
                ]
                turned = reverse and lengths is not None
                out, cells = run_steps(
                    self.mode,
                    lengths.reversed(x) if lengths and turned else x,
                    h[k],
                    None if c is None else c[k],
                    Weights(*weights),
                    bool(reverse and not turned),
                )
                for states, last in ((out, last_h), (cells, last_c)):
                    if states is cells and self.mode != "lstm":
                        continue
                    if lengths is not None:
                        last.append(lengths.last(states))
                    else:
                        last.append(states.select(0, 0 if reverse else -1))
                outs.append(lengths.reversed(out) if lengths and turned else out)
            x = outs[0] if len(outs) == 1 else ops.cat(outs, -1)
            if self.dropout and layer + 1 < self.num_layers:
                x = ops.dropout(x, self.dropout, self.training)
        return x, ops.stack(last_h), ops.stack(last_c) if last_c else None

    def extra_repr(self) -> str:
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in defaults.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text


class LSTM(_Recurrent):
    """Long short-term memory over a sequence.

    Every step of a layer computes, with the logistic function s,

        i, f, o = s(W_ih x + b_ih + W_hh h + b_hh)   (their rows of the weights)
        g = tanh(...)                                 (likewise)
        c' = f c + i g;  h' = o tanh(c')

    Args:
        input_size: features of the input.
        hidden_size: features of the states.
        num_layers: layers, each of which reads the output of the one before.
        bias: False leaves the biases out.
        batch_first: input and output are (batch, steps, features).
        dropout: probability of a zero in the output of each layer but the last,
            in training.
        bidirectional: every layer also runs from the last step to the first;
            outputs stand side by side.
        proj_size: if more than 0, hidden states are W_hr h' of so many features.
        device: where the parameters are made.
        dtype: dtype of the parameters.

    Called with `input` (steps, batch, input_size) or, without a batch, (steps,
    input_size), and optionally (h_0, c_0), each (num_layers * directions, batch,
    features); zeros otherwise. Gives `output` (steps, batch, directions *
    features) and (h_n, c_n), the states after the last step. A `PackedSequence` of
    inputs gives one of outputs, and the states after each sequence's own last step.

    Parameters are weight_ih_l0 (4 * hidden_size, input_size), weight_hh_l0,
    bias_ih_l0, bias_hh_l0 and weight_hr_l0, in the order i, f, g, o; l1 ... of
    further layers, with "_reverse" for the other direction. All are drawn from
    U(-k, k), k = 1 / sqrt(hidden_size).

    Raises:
        ShapeError: input or states have another shape.

    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997, with
    forget gates; projections: Sak et al., 2014.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.LSTM(10, 20, num_layers=2)
        >>> output, (h, c) = layer(fe.zeros((5, 3, 10)))
        >>> output.shape, h.shape
        ((5, 3, 20), (2, 3, 20))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("lstm", *args, **kwargs)

    @overload
    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = ...
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...
    @overload
    def forward(
        self, input: PackedSequence, hx: tuple[Tensor, Tensor] | None = ...
    ) -> tuple[PackedSequence, tuple[Tensor, Tensor]]: ...
    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        if isinstance(hx, Tensor):
            raise TypeError("[LSTM] hx must be a pair (h_0, c_0), got one tensor")
        h, c = (None, None) if hx is None else hx
        out, h_n, c_n = self._run_layers(input, h, c)
        assert c_n is not None
        return out, (h_n, c_n)


class GRU(_Recurrent):
    """Gated recurrent units over a sequence; arguments as of `LSTM`.

    Every step of a layer computes, with the logistic function s,

        r, z = s(W_ih x + b_ih + W_hh h + b_hh)   (their rows of the weights)
        n = tanh(W_in x + b_in + r (W_hn h + b_hn))
        h' = (1 - z) n + z h

    Called with `input` and optionally h_0; gives `output` and h_n. Weights have
    3 * hidden_size rows in the order r, z, n.

    Raises:
        ShapeError: input or state have another shape.

    Source: Cho et al., "Learning phrase representations using RNN
    encoder-decoder", 2014; the reset gate behind the product, as in cuDNN.

    Example:
        >>> import ferrule as fe
        >>> layer = fe.nn.GRU(10, 20, batch_first=True, bidirectional=True)
        >>> output, h = layer(fe.zeros((3, 5, 10)))
        >>> output.shape, h.shape
        ((3, 5, 40), (2, 3, 20))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection("GRU", kwargs)
        super().__init__("gru", *args, **kwargs)

    @overload
    def forward(
        self, input: Tensor, hx: Tensor | None = ...
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def forward(
        self, input: PackedSequence, hx: Tensor | None = ...
    ) -> tuple[PackedSequence, Tensor]: ...
    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Any, Tensor]:
        out, h_n, _ = self._run_layers(input, hx, None)
        return out, h_n


class RNN(_Recurrent):
    """A simple recurrent network over a sequence; arguments as of `LSTM`.

    h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it.

    Args:
        nonlinearity: "tanh" or "relu"; stands behind `num_layers`.

    Called with `input` and optionally h_0; gives `output` and h_n.

    Raises:
        ShapeError: input or state have another shape.
        InvalidValue: another nonlinearity.

    Source: Elman, "Finding structure in time", 1990.

    Example:
        >>> import ferrule as fe
        >>> output, h = fe.nn.RNN(10, 20)(fe.zeros((5, 3, 10)))
        >>> output.shape, h.shape
        ((5, 3, 20), (1, 3, 20))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        _refuse_projection("RNN", kwargs)
        check_nonlinearity("RNN", nonlinearity)
        super().__init__(
            nonlinearity, input_size, hidden_size, num_layers, *args, **kwargs
        )
        self.nonlinearity = nonlinearity

    @overload
    def forward(
        self, input: Tensor, hx: Tensor | None = ...
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def forward(
        self, input: PackedSequence, hx: Tensor | None = ...
    ) -> tuple[PackedSequence, Tensor]: ...
    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Any, Tensor]:
        out, h_n, _ = self._run_layers(input, hx, None)
        return out, h_n


def _refuse_projection(name: str, kwargs: dict[str, Any]) -> None:
    if "proj_size" in kwargs:
        raise InvalidValue(f"[{name}] proj_size is an argument of LSTM alone")


def check_nonlinearity(name: str, nonlinearity: str) -> None:
    if nonlinearity not in ("tanh", "relu"):
        raise InvalidValue(
            f"[{name}] nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}"
        )
