// Recurrent layers: the steps of LSTM, GRU and simple networks over a whole
// sequence, and their gradient.
//
// The input's share of the gates is one matrix product over all steps, an op of
// its own (linear) before these. Here is what depends on the step before:
//
//   lstm  i, f, g, o = x + h W^T + b;  c' = f c + i g;  h' = o tanh(c')
//   gru   r, z = x + h W^T + b;  n = tanh(x + r (h W^T + b));
//         h' = (1 - z) n + z h
//   tanh, relu  h' = function(x + h W^T + b)
//
// where i, f, o, r, z go through the logistic function and g through tanh.
#include <vector>

#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// Gates that x and W have, and what is kept of a step, in multiples of the
// hidden size. A GRU keeps r, z, n and the hidden share of n.
struct Mode {
  int gates, kept, cells;
};

Mode mode_of(const OpCall& c) {
  const auto mode = c.str(0);
  if (mode == "lstm") return {4, 4, 1};
  if (mode == "gru") return {3, 4, 0};
  if (mode == "tanh" || mode == "relu") return {1, 0, 0};
  c.fail<ValueError>(
      "mode must be \"lstm\", \"gru\", \"tanh\" or \"relu\", got "
      "\"",
      mode, "\"");
}

void require_shape(const OpCall& c, int i, const Dims& want) {
  if (!c.is_tensor(i) || Dims(c.in(i).sizes()) == want) return;
  c.fail<ShapeError>("'", c.info.schema.params[i].name, "' has shape ",
                     c.in(i).sizes(), ", expected ", want);
}

void require_full_precision(const OpCall& c, int i) {
  const DType t = c.in(i).dtype;
  if (t == DType::f32 || t == DType::f64) return;
  c.fail<DTypeError>("computes in float32 or float64, got ", t,
                     "; convert with .float()");
}

// mode, input, h0, c0, weight, bias, reverse -> output, cells, gates
void infer_recurrence(OpCall& c) {
  const Mode m = mode_of(c);
  require_full_precision(c, 1);
  require_same_dtype(c, {1, 2, 3, 4, 5});
  const TensorImpl& x = c.in(1);
  if (x.ndim != 3 || x.shape[0] == 0) {
    c.fail<ShapeError>("input must be (steps, batch, gates), with a step at "
                       "least, got ",
                       x.sizes());
  }
  if (c.in(2).ndim != 2) {
    c.fail<ShapeError>("h0 must be (batch, hidden), got ", c.in(2).sizes());
  }
  const int64_t steps = x.shape[0], batch = x.shape[1];
  const int64_t hidden = c.in(2).shape[1];
  require_shape(c, 1, {steps, batch, m.gates * hidden});
  require_shape(c, 2, {batch, hidden});
  require_shape(c, 3, {batch, hidden});
  require_shape(c, 4, {m.gates * hidden, hidden});
  require_shape(c, 5, {m.gates * hidden});
  if (c.is_tensor(3) != (m.cells > 0)) {
    c.fail<ValueError>("c0 belongs to \"lstm\" and to no other mode");
  }
  c.compute = x.dtype;
  c.out(0, c.compute, Dims{steps, batch, hidden});
  c.out(1, c.compute, Dims{steps, batch, m.cells * hidden});
  c.out(2, c.compute, Dims{steps, batch, m.kept * hidden});
}

// mode, output_grad, cells_grad, gates_grad, h0, c0, weight, output, cells,
// gates, reverse -> input_grad, hidden_grad, h0_grad, c0_grad
void infer_recurrence_backward(OpCall& c) {
  const Mode m = mode_of(c);
  require_full_precision(c, 7);
  require_same_dtype(c, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const TensorImpl& out = c.in(7);
  if (out.ndim != 3 || out.shape[0] == 0) {
    c.fail<ShapeError>("output must be (steps, batch, hidden), with a step at "
                       "least, got ",
                       out.sizes());
  }
  const int64_t steps = out.shape[0], batch = out.shape[1];
  const int64_t hidden = out.shape[2];
  const Dims outputs{steps, batch, hidden};
  const Dims cells{steps, batch, m.cells * hidden};
  const Dims gates{steps, batch, m.kept * hidden};
  require_shape(c, 1, outputs);
  require_shape(c, 2, cells);
  require_shape(c, 3, gates);
  require_shape(c, 4, {batch, hidden});
  require_shape(c, 5, {batch, hidden});
  require_shape(c, 6, {m.gates * hidden, hidden});
  require_shape(c, 8, cells);
  require_shape(c, 9, gates);
  if (c.is_tensor(5) != (m.cells > 0)) {
    c.fail<ValueError>("c0 belongs to \"lstm\" and to no other mode");
  }
  const bool gru = m.gates == 3;
  c.compute = out.dtype;
  c.out(0, c.compute, Dims{steps, batch, m.gates * hidden});
  c.out(1, c.compute, Dims{steps, batch, gru ? m.gates * hidden : 0});
  c.out(2, c.compute, Dims{batch, hidden});
  c.out(3, c.compute, Dims{batch, m.cells * hidden});
}

#ifndef FE_RUNTIME_ONLY

// --- The same in simpler ops, step by step

// Columns [k n, k n + n), n the hidden size.
Tensor block(const Tensor& t, int k, Int n) {
  return op::narrow(t, -1, n * Int(k), n);
}
Tensor blocks(const std::vector<Tensor>& parts) { return op::cat(parts, -1); }

// (1 - y^2), and y (1 - y): slopes of tanh and of the logistic function.
Tensor tanh_slope(const Tensor& y) {
  return op::sub(op::ones_like(y), op::mul(y, y));
}
Tensor sigmoid_slope(const Tensor& y) {
  return op::mul(y, op::sub(op::ones_like(y), y));
}

// How many steps; a decomposition unrolls them.
int64_t known_steps(const OpCall& c, int i) {
  if (size_of(&c.in(i), 0).symbolic()) {
    c.fail<ShapeError>("is taken apart step by step here, and needs a fixed "
                       "number of steps where it is captured");
  }
  return c.in(i).shape[0];
}

// Step number k of `steps`, in the order they are computed.
int64_t step_at(int64_t k, int64_t steps, bool reverse) {
  return reverse ? steps - 1 - k : k;
}

// No columns, of the other sizes of `like`.
Tensor no_columns(const Tensor& like) { return op::narrow(like, -1, 0, 0); }

Results decompose_recurrence(OpCall& c) {
  const Mode m = mode_of(c);
  const int64_t steps = known_steps(c, 1);
  const Int n = size_of(&c.in(2), 1);
  Tensor h = c.tensor(2);
  Tensor cell = c.tensor(3);
  std::vector<Tensor> outputs(steps), cells(steps), kept(steps);
  for (int64_t k = 0; k < steps; ++k) {
    const int64_t t = step_at(k, steps, c.b(6));
    const Tensor x = op::select(c.tensor(1), 0, t);
    Tensor a = op::matmul(h, c.tensor(4), false, true);
    if (c.is_tensor(5)) a = op::add(a, c.tensor(5));
    if (m.gates == 4) {
      const Tensor s = op::add(x, a);
      const Tensor i = op::sigmoid(block(s, 0, n));
      const Tensor f = op::sigmoid(block(s, 1, n));
      const Tensor g = op::tanh(block(s, 2, n));
      const Tensor o = op::sigmoid(block(s, 3, n));
      cell = op::add(op::mul(f, cell), op::mul(i, g));
      h = op::mul(o, op::tanh(cell));
      cells[t] = cell;
      kept[t] = blocks({i, f, g, o});
    } else if (m.gates == 3) {
      const Tensor r = op::sigmoid(op::add(block(x, 0, n), block(a, 0, n)));
      const Tensor z = op::sigmoid(op::add(block(x, 1, n), block(a, 1, n)));
      const Tensor share = block(a, 2, n);
      const Tensor g = op::tanh(op::add(block(x, 2, n), op::mul(r, share)));
      h = op::add(g, op::mul(z, op::sub(h, g)));
      kept[t] = blocks({r, z, g, share});
    } else {
      const Tensor s = op::add(x, a);
      h = c.str(0) == "tanh" ? op::tanh(s) : op::relu(s);
    }
    outputs[t] = h;
  }
  Results r;
  r.n = 3;
  r[0] = op::stack(outputs);
  r[1] = m.cells ? op::stack(cells) : no_columns(r[0]);
  r[2] = m.kept ? op::stack(kept) : no_columns(r[0]);
  return r;
}

// Adds `grad`'s block of a step to what a gate's gradient is so far.
Tensor with(const Tensor& sum, const Tensor& grad, int64_t t, int k, Int n) {
  return grad ? op::add(sum, block(op::select(grad, 0, t), k, n)) : sum;
}

Results decompose_recurrence_backward(OpCall& c) {
  const Mode m = mode_of(c);
  const int64_t steps = known_steps(c, 7);
  const Int n = size_of(&c.in(7), 2);
  const Tensor gates_grad = c.tensor(3);
  const Tensor output = c.tensor(7), cells = c.tensor(8), kept = c.tensor(9);
  Tensor dh = op::zeros_like(c.tensor(4));
  Tensor dc = m.cells ? op::zeros_like(c.tensor(5)) : Tensor();
  std::vector<Tensor> dx(steps), da(steps);
  for (int64_t k = steps - 1; k >= 0; --k) {
    const int64_t t = step_at(k, steps, c.b(10));
    const int64_t before = step_at(k - 1, steps, c.b(10));
    const Tensor h = k == 0 ? c.tensor(4) : op::select(output, 0, before);
    dh = with(dh, c.tensor(1), t, 0, n);
    const Tensor step = op::select(kept, 0, t);
    if (m.gates == 4) {
      const Tensor i = block(step, 0, n), f = block(step, 1, n);
      const Tensor g = block(step, 2, n), o = block(step, 3, n);
      const Tensor cell = k == 0 ? c.tensor(5) : op::select(cells, 0, before);
      const Tensor y = op::tanh(op::select(cells, 0, t));
      dc = with(op::add(dc, op::mul(op::mul(dh, o), tanh_slope(y))),
                c.tensor(2), t, 0, n);
      const Tensor di = with(op::mul(dc, g), gates_grad, t, 0, n);
      const Tensor df = with(op::mul(dc, cell), gates_grad, t, 1, n);
      const Tensor dg = with(op::mul(dc, i), gates_grad, t, 2, n);
      const Tensor d_o = with(op::mul(dh, y), gates_grad, t, 3, n);
      dx[t] =
          blocks({op::mul(di, sigmoid_slope(i)), op::mul(df, sigmoid_slope(f)),
                  op::mul(dg, tanh_slope(g)), op::mul(d_o, sigmoid_slope(o))});
      dc = op::mul(dc, f);
      dh = op::matmul(dx[t], c.tensor(6));
    } else if (m.gates == 3) {
      const Tensor r = block(step, 0, n), z = block(step, 1, n);
      const Tensor g = block(step, 2, n), share = block(step, 3, n);
      const Tensor dz = with(op::mul(dh, op::sub(h, g)), gates_grad, t, 1, n);
      const Tensor dg =
          op::mul(with(op::sub(dh, op::mul(dh, z)), gates_grad, t, 2, n),
                  tanh_slope(g));
      const Tensor dr = with(op::mul(dg, share), gates_grad, t, 0, n);
      const Tensor dshare = with(op::mul(dg, r), gates_grad, t, 3, n);
      const Tensor ar = op::mul(dr, sigmoid_slope(r));
      const Tensor az = op::mul(dz, sigmoid_slope(z));
      dx[t] = blocks({ar, az, dg});
      da[t] = blocks({ar, az, dshare});
      dh = op::add(op::mul(dh, z), op::matmul(da[t], c.tensor(6)));
    } else {
      const Tensor y = op::select(output, 0, t);
      dx[t] =
          op::mul(dh, c.str(0) == "tanh" ? tanh_slope(y)
                                         : op::cast(op::gt(y, 0), y.dtype()));
      dh = op::matmul(dx[t], c.tensor(6));
    }
  }
  Results r;
  r.n = 4;
  r[0] = op::stack(dx);
  r[1] = m.gates == 3 ? op::stack(da) : no_columns(r[0]);
  r[2] = dh;
  r[3] = m.cells ? dc : no_columns(dh);
  return r;
}

Tensor flat(const Tensor& t) { return op::flatten(t, 0, 1); }

void recurrence_vjp(Vjp& v) {
  const auto grad = [&](int i) { return v.has_grad(i) ? v.grad(i) : Tensor(); };
  const Tensor h0 = v.in(2), output = v.out(0);
  const Results r = op::recurrence_backward.multi(
      v.args[0], grad(0), grad(1), grad(2), h0, v.in(3), v.in(4), output,
      v.out(1), v.out(2), v.args[6]);
  // The gradient of h W^T + b; only a GRU has another one for x.
  const Tensor& share = r.v[1].numel() > 0 ? r.v[1] : r.v[0];
  v.set(1, r.v[0]);
  v.set(2, r.v[2]);
  if (v.has(3)) v.set(3, r.v[3]);
  if (v.needs(4)) {
    const Tensor first = op::unsqueeze(h0, 0);
    const Int rest = size_of(output.impl(), 0) - Int(1);
    const std::vector<Tensor> before =
        v.args[6].b
            ? std::vector<Tensor>{op::narrow(output, 0, 1, rest), first}
            : std::vector<Tensor>{first, op::narrow(output, 0, 0, rest)};
    v.set(4, op::matmul(flat(share), flat(op::cat(before, 0)), true));
  }
  if (v.needs(5)) v.set(5, op::sum(share, IntList{0, 1}));
}

#endif

// Samples are more sequences, in the dimension before the last; a weight a
// sample has no kernel.
[[maybe_unused]] Results batch_recurrence(Batch& b) {
  const Schema& s = b.info.schema;
  const int weight = s.find("weight"), bias = s.find("bias");
  if (b.batched(weight) || (bias >= 0 && b.batched(bias))) return {};
  for (int i = 0; i < s.n; ++i) {
    if (!b.has(i) || i == weight || i == bias) continue;
    b.set(i, b.within(i, b.ndim(i) - 2));
  }
  Results r = b.run();
  for (int i = 0; i < r.n; ++i) r[i] = b.apart(r[i], r[i].ndim() - 2);
  return r;
}

// The product of the state with its weight; that of the input is a `linear`.
[[maybe_unused]] int64_t macs_recurrence(OpDef::Shapes in, OpDef::Shapes) {
  return checked_numel(in[0]) * in[1][in[1].size() - 1];
}

}  // namespace

extern const OpDef recurrence_op = {
    .name = "recurrence",
    .sig = "mode: str, input: Tensor[float], h0: Tensor[float], "
           "c0: Tensor[float]?, weight: Tensor[float], "
           "bias: Tensor[float]? = None, reverse: bool = False "
           "-> output, cells, gates",
    .doc = FE_DOC(R"(The steps of a recurrent layer over a sequence.

Args:
    mode: "lstm", "gru", "tanh" or "relu".
    input: the inputs' share of the gates, shape (steps, batch, G hidden):
        G is 4 (i, f, g, o), 3 (r, z, n) or 1.
    h0: first hidden state, shape (batch, hidden).
    c0: first cell state, the same shape; None but for "lstm".
    weight: shape (G hidden, hidden).
    bias: added to h weight^T, shape (G hidden,).
    reverse: True begins with the last step.

Returns:
    output (steps, batch, hidden), all hidden states; cells, all cell states
    (without elements but for "lstm"); and the gates' values, for the gradient.

Raises:
    ShapeError: the shapes do not fit, or there is no step.
    ValueError: no such `mode`; `c0` is missing or too many.
    DTypeError: another dtype than float32 and float64.

Example:
    >>> import ferrule as fe
    >>> x = fe.ones((2, 1, 1))
    >>> h, w = fe.zeros((1, 1)), fe.ones((1, 1))
    >>> fe.ops.recurrence("relu", x, h, None, w)[0].tolist()
    [[[1.0]], [[2.0]]]

Source: S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997; K. Cho
et al., "Learning phrase representations using RNN encoder-decoder", 2014, with
the reset gate behind the product, as in torch.nn.GRU.
)"),
    .examples = FE_DOC(
        "\"lstm\", f(3, 2, 12), f(2, 3), f(2, 3), f(12, 3)\n"
        "\"lstm\", f(2, 1, 8), f(1, 2), f(1, 2), f(8, 2), f(8), True\n"
        "\"gru\", f(3, 2, 6), f(2, 2), None, f(6, 2), f(6)\n"
        "\"gru\", f(2, 2, 9), f(2, 3), None, f(9, 3), reverse=True\n"
        "\"tanh\", f(3, 2, 3), f(2, 3), None, f(3, 3), f(3)\n"
        "\"relu\", f(2, 2, 3), f(2, 3), None, f(3, 3), reverse=True\n"
        "\"lstm\", f(4, 66, 12), f(66, 3), f(66, 3), 0.2 * f(12, 3)\n"
        "\"gru\", f(4, 3, 105), f(3, 35), None, 0.2 * f(105, 35), f(105)\n"
        "\"tanh\", f(4, 2, 130), f(2, 130), None, 0.1 * f(130, 130)"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .saves = "h0 c0 weight output cells gates",
    .infer = infer_recurrence,
    .vjp = FE_GRAD(recurrence_vjp),
    .decompose = FE_GRAD(decompose_recurrence),
    .batch = FE_GRAD(batch_recurrence),
    .macs = FE_GRAD(macs_recurrence),
};

extern const OpDef recurrence_backward_op = {
    .name = "recurrence_backward",
    .sig = "mode: str, output_grad: Tensor[float]?, "
           "cells_grad: Tensor[float]?, gates_grad: Tensor[float]?, "
           "h0: Tensor[float], c0: Tensor[float]?, weight: Tensor[float], "
           "output: Tensor[float], cells: Tensor[float], gates: Tensor[float], "
           "reverse: bool = False "
           "-> input_grad, hidden_grad, h0_grad, c0_grad",
    .doc = FE_DOC(R"(Gradients of recurrence, back through its steps.

Args:
    mode, h0, c0, weight, reverse: as there.
    output_grad, cells_grad, gates_grad: gradients of its results, or None.
    output, cells, gates: its results.

Returns:
    Gradients of input, of h weight^T + bias (without elements where it is that
    of input: in all modes but "gru"), of h0 and of c0.

Raises:
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> one, w = fe.ones((1, 1, 1)), fe.ones((1, 1))
    >>> none = fe.zeros((1, 1, 0))
    >>> grads = fe.ops.recurrence_backward(
    ...     "tanh", one, None, None, w, None, w, 0.5 * one, none, none)
    >>> grads[0].tolist()
    [[[0.75]]]

Source: backpropagation through time; P. Werbos, 1990.
)"),
    .examples = FE_DOC(
        "\"lstm\", f(3, 2, 2), f(3, 2, 2), f(3, 2, 8), f(2, 2), f(2, 2), "
        "f(8, 2), f(3, 2, 2), f(3, 2, 2), f(3, 2, 8)\n"
        "\"lstm\", f(2, 1, 2), None, None, f(1, 2), f(1, 2), f(8, 2), "
        "f(2, 1, 2), f(2, 1, 2), f(2, 1, 8), True\n"
        "\"gru\", f(3, 2, 2), None, f(3, 2, 8), f(2, 2), None, f(6, 2), "
        "f(3, 2, 2), np.zeros((3, 2, 0)), f(3, 2, 8)\n"
        "\"gru\", f(2, 1, 3), None, None, f(1, 3), None, f(9, 3), "
        "f(2, 1, 3), np.zeros((2, 1, 0)), f(2, 1, 12), True\n"
        "\"tanh\", f(3, 2, 3), None, None, f(2, 3), None, f(3, 3), "
        "f(3, 2, 3), np.zeros((3, 2, 0)), np.zeros((3, 2, 0))\n"
        "\"relu\", f(2, 2, 3), None, None, f(2, 3), None, f(3, 3), "
        "f(2, 2, 3), np.zeros((2, 2, 0)), np.zeros((2, 2, 0)), True\n"
        "\"lstm\", f(4, 66, 3), None, None, f(66, 3), f(66, 3), "
        "0.2 * f(12, 3), f(4, 66, 3), f(4, 66, 3), f(4, 66, 12)\n"
        "\"gru\", f(4, 3, 45), None, None, f(3, 45), None, "
        "0.2 * f(135, 45), f(4, 3, 45), np.zeros((4, 3, 0)), f(4, 3, 180)\n"
        "\"tanh\", f(4, 2, 130), None, None, f(2, 130), None, "
        "0.1 * f(130, 130), f(4, 2, 130), np.zeros((4, 2, 0)), "
        "np.zeros((4, 2, 0))"),
    .where = kInternal,
    .saves =
        "output_grad cells_grad gates_grad h0 c0 weight output cells gates",
    .infer = infer_recurrence_backward,
    .decompose = FE_GRAD(decompose_recurrence_backward),
    .batch = FE_GRAD(batch_recurrence),
};

}  // namespace ferrule
