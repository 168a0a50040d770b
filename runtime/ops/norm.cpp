// Layer and batch normalisation, and their gradients.
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/norm_parts.h"

namespace ferrule {
namespace {

// --- layer_norm

// Checks that `input` ends with the normalised shape (arguments given), and
// returns the shape of the statistics: ones in its place.
Dims check_layer(const OpCall& c, int input, int normalized_shape) {
  const TensorImpl& x = c.in(input);
  const Dims shape = dims_of(c, normalized_shape);
  const int lead = x.ndim - shape.n;
  bool ends = shape.n > 0 && lead >= 0;
  for (int d = 0; ends && d < shape.n; ++d) {
    ends = x.shape[lead + d] == shape[d];
  }
  if (!ends) {
    c.fail<ShapeError>("input ", x.sizes(),
                       " does not end with "
                       "normalized_shape ",
                       shape);
  }
  if (checked_numel(shape) == 0) {
    c.fail<ShapeError>("normalized_shape ", shape, " has no elements");
  }
  Dims stats(x.sizes());
  for (int d = lead; d < stats.n; ++d) stats[d] = 1;
  return stats;
}

void infer_layer_norm(OpCall& c) {
  const Dims stats = check_layer(c, 0, 1);
  const Dims shape = dims_of(c, 1);
  require_shape(c, 2, shape, "normalized_shape");
  require_shape(c, 3, shape, "normalized_shape");
  c.compute = c.in(0).dtype;
  c.out_like(0, 0);
  c.out(1, accumulator(c.compute), stats);
  c.out(2, accumulator(c.compute), stats);
}

void infer_layer_norm_backward(OpCall& c) {
  const Dims stats = check_layer(c, 1, 5);
  const Dims shape = dims_of(c, 5);
  require_shape(c, 0, Dims(c.in(1).sizes()), "the input's shape");
  check_statistics(c, stats);
  require_shape(c, 4, shape, "normalized_shape");
  c.compute = c.in(1).dtype;
  c.out_like(0, 1);
  c.out(1, accumulator(c.compute), shape);
  c.out(2, accumulator(c.compute), shape);
}

// The dimensions [first, last).
[[maybe_unused]] IntList dims_between(int first, int last) {
  IntList dims;
  for (int d = first; d < last; ++d) dims.push(d);
  return dims;
}

// Sum over the leading dimensions; no dimension: nothing to sum.
[[maybe_unused]] Tensor sum_rows(const Tensor& t, int lead) {
  return lead == 0 ? t : op::sum(t, dims_between(0, lead));
}

[[maybe_unused]] Results decompose_layer_norm_backward(OpCall& c) {
  const Tensor mean = c.tensor(2);
  const Tensor rstd = c.tensor(3);
  const DType t = mean.dtype();
  const Tensor grad = op::cast(c.tensor(0), t);
  const Tensor normal = op::mul(op::sub(op::cast(c.tensor(1), t), mean), rstd);
  const int ndim = c.in(1).ndim;
  const int lead = ndim - c.args[5].n;
  const IntList last = dims_between(lead, ndim);
  const Tensor h =
      c.is_tensor(4) ? op::mul(grad, op::cast(c.tensor(4), t)) : grad;
  const Tensor parallel =
      op::mul(normal, op::mean(op::mul(h, normal), last, true));
  const Tensor rest = op::sub(op::sub(h, op::mean(h, last, true)), parallel);
  Results r;
  r.n = 3;
  r[0] = op::cast(op::mul(rest, rstd), c.in(1).dtype);
  r[1] = sum_rows(op::mul(grad, normal), lead);
  r[2] = sum_rows(grad, lead);
  return r;
}

// --- batch_norm

Dims check_channels(const OpCall& c, int input) {
  const TensorImpl& x = c.in(input);
  if (x.ndim < 2) {
    c.fail<ShapeError>("input must be (N, C, ...), got shape ", x.sizes());
  }
  return {x.shape[1]};
}

void infer_batch_norm(OpCall& c) {
  const Dims channels = check_channels(c, 0);
  const TensorImpl& x = c.in(0);
  for (int i = 1; i <= 4; ++i) {
    check_floating(c, i);
    if (c.is_tensor(i) && !std::ranges::equal(c.in(i).sizes(), channels)) {
      c.fail<ShapeError>("input ", x.sizes(), " has ", channels[0],
                         " channels (dimension 1), but '",
                         c.info.schema.params[i].name, "' has shape ",
                         c.in(i).sizes());
    }
  }
  const bool training = c.b(5);
  if (!training && (!c.is_tensor(1) || !c.is_tensor(2))) {
    c.fail<ValueError>("training=False normalises by running_mean and "
                       "running_var; one of them is None");
  }
  if (training && x.numel <= x.shape[1]) {
    c.fail<ShapeError>("training needs more than one value a channel, got "
                       "input ",
                       x.sizes());
  }
  c.compute = x.dtype;
  c.out_like(0, 0);
  c.out(1, accumulator(x.dtype), channels);
  c.out(2, accumulator(x.dtype), channels);
}

void infer_batch_norm_backward(OpCall& c) {
  const Dims channels = check_channels(c, 1);
  require_shape(c, 0, Dims(c.in(1).sizes()), "the input's shape");
  check_statistics(c, channels);
  require_shape(c, 4, channels, "the shape of the channels");
  c.compute = c.in(1).dtype;
  c.out_like(0, 1);
  c.out(1, accumulator(c.compute), channels);
  c.out(2, accumulator(c.compute), channels);
}

[[maybe_unused]] Results decompose_batch_norm_backward(OpCall& c) {
  const int ndim = c.in(1).ndim;
  const DType t = c.in(2).dtype;
  const Tensor grad = op::cast(c.tensor(0), t);
  const Tensor mean = beside_channels(c.tensor(2), ndim);
  const Tensor rstd = beside_channels(c.tensor(3), ndim);
  const Tensor normal = op::mul(op::sub(op::cast(c.tensor(1), t), mean), rstd);
  Results r;
  r.n = 3;
  r[1] = sum_channels(op::mul(grad, normal));
  r[2] = sum_channels(grad);
  Tensor rest = grad;
  if (c.b(5)) {
    const Int count = numel_of(c.args[1].tensor) / size_of(c.args[1].tensor, 1);
    const Tensor shift = op::div(beside_channels(r[2], ndim), count);
    const Tensor slope = op::div(beside_channels(r[1], ndim), count);
    rest = op::sub(op::sub(rest, shift), op::mul(normal, slope));
  }
  rest = op::mul(rest, rstd);
  if (c.is_tensor(4)) {
    rest = op::mul(rest, beside_channels(op::cast(c.tensor(4), t), ndim));
  }
  r[0] = op::cast(rest, c.in(1).dtype);
  return r;
}

// A weight or a bias a sample is applied to the result of the kernel.
[[maybe_unused]] Results batch_layer_norm(Batch& b) {
  const int ndim = b.ndim(0);
  Batched weight, bias;
  if (b.batched(2) || b.batched(3)) {
    std::swap(weight, b.in[2]);
    std::swap(bias, b.in[3]);
    b.args[2] = b.args[3] = Arg();
  }
  b.set(0, b.whole(0));
  Results r = b.run();
  if (weight.tensor) r[0] = op::mul(r[0], b.aligned(weight, ndim));
  if (bias.tensor) r[0] = op::add(r[0], b.aligned(bias, ndim));
  return r;
}

// Statistics of a sample are its own: samples are more channels, unless nothing
// depends on the sample but the input.
[[maybe_unused]] Results batch_batch_norm(Batch& b) {
  const bool training = b.args[5].b;
  bool channels = training;
  for (int i = 1; i < 5; ++i) channels |= b.batched(i);
  if (!channels) {
    b.set(0, b.within(0, 0));
    Results r = b.run();
    for (int i : {1, 2}) r[i] = b.whole(Batched{r[i]});
    return r;
  }
  b.set(0, b.within(0, 1));
  for (int i = 1; i < 5; ++i) {
    if (b.has(i)) b.set(i, b.within(i, 0));
  }
  Results r = b.run();
  r[0] = b.apart(r[0], 1);
  return r;
}

}  // namespace

extern const OpDef layer_norm_op = {
    .name = "layer_norm",
    .sig = "input: Tensor[float], normalized_shape: int[], weight: "
           "Tensor[float]? = None, bias: Tensor[float]? = None, eps: "
           "float = 1e-5 -> out, mean, rstd",
    .doc = FE_DOC(R"(Layer normalisation: (input - mean) * rstd * weight + bias.

Args:
    input: any shape that ends with `normalized_shape`.
    normalized_shape: the trailing dimensions that are normalised together.
    weight: shape `normalized_shape`; None: 1.
    bias: shape `normalized_shape`; None: 0.
    eps: added to the variance.

Returns:
    out: the shape of `input`.
    mean, rstd: mean and 1 / sqrt(variance + eps) of every group, with ones for
        the normalised dimensions; float32 for 16-bit inputs.

Raises:
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 3.0]])
    >>> out, mean, rstd = fe.ops.layer_norm(x, [2], eps=0.0)
    >>> out.tolist(), mean.tolist()
    ([[-1.0, 1.0]], [[2.0]])

Source: J. Ba, J. Kiros, G. Hinton, "Layer normalization", arXiv:1607.06450.
)"),
    .examples = FE_DOC("f(4, 3), [3]\n"
                       "f(2, 3, 4), [3, 4], f(3, 4), f(3, 4)\n"
                       "f(4, 3), [3], f(3)"),
    .where = kInternal,
    .saves = "input mean rstd weight",
    .infer = infer_layer_norm,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(0);
      const Tensor mean = v.out(1);
      const Tensor rstd = v.out(2);
      if (v.has_grad(0)) {
        Results r = op::layer_norm_backward.multi(v.grad(0), x, mean, rstd,
                                                  v.in(2), v.args[1]);
        v.set(0, r[0]);
        v.set(2, r[1]);
        v.set(3, r[2]);
      }
      Int count = 1;
      for (int k = 0; k < v.args[1].n; ++k) count = count * v.args[1].ints[k];
      v.set(0, gradient_of_statistics(x, mean, rstd, grad_or_none(v, 1),
                                      grad_or_none(v, 2), count));
    }),
    .batch = FE_GRAD(batch_layer_norm),
};

extern const OpDef layer_norm_backward_op = {
    .name = "layer_norm_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], mean: "
           "Tensor[float], rstd: Tensor[float], weight: "
           "Tensor[float]?, normalized_shape: int[] -> grad_input, "
           "grad_weight, grad_bias",
    .doc = FE_DOC(
        R"(Gradients of layer_norm for input, weight and bias, in one pass.

Args:
    grad: gradient of the result; shape of `input`.
    input: input of the forward op.
    mean, rstd: its statistics.
    weight: its weight, or None.
    normalized_shape: as there.

Returns:
    grad_input: shape of `input`.
    grad_weight, grad_bias: shape `normalized_shape`.

Raises:
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 3.0]])
    >>> mean, rstd = fe.tensor([[2.0]]), fe.tensor([[1.0]])
    >>> g = fe.tensor([[1.0, 0.0]])
    >>> fe.ops.layer_norm_backward(g, x, mean, rstd, None, [2])[1].tolist()
    [-1.0, 0.0]
)"),
    .examples = FE_DOC(
        "f(4, 3), f(4, 3), f(4, 1), p(4, 1), f(3), [3]\n"
        "f(4, 3), f(4, 3), f(4, 1), p(4, 1), None, [3]\n"
        "f(2, 3, 4), f(2, 3, 4), f(2, 1, 1), p(2, 1, 1), f(3, 4), [3, 4]"),
    .where = kInternal,
    .saves = "grad input mean rstd weight",
    .infer = infer_layer_norm_backward,
    .decompose = FE_GRAD(decompose_layer_norm_backward),
};

extern const OpDef batch_norm_op = {
    .name = "batch_norm",
    .sig = "input: Tensor[float], running_mean: Tensor!?, running_var: "
           "Tensor!?, weight: Tensor[float]? = None, bias: "
           "Tensor[float]? = None, training: bool = False, momentum: "
           "float = 0.1, eps: float = 1e-5 -> out, mean, rstd",
    .doc = FE_DOC(
        R"(Batch normalisation: (input - mean) * rstd * weight + bias.

Args:
    input: shape (N, C, ...).
    running_mean, running_var: shape (C,), or None. In training they are moved
        towards the batch's mean and unbiased variance, in place; otherwise
        they are what the input is normalised by.
    weight, bias: shape (C,); None: 1 and 0.
    training: normalise by the batch's own statistics.
    momentum: part of the new statistics in the running ones.
    eps: added to the variance.

Returns:
    out: the shape of `input`.
    mean, rstd: mean and 1 / sqrt(variance + eps) that were used, shape (C,);
        float32 for 16-bit inputs.

Raises:
    ShapeError: the shapes do not fit, or there is one value a channel.
    ValueError: no running statistics, and not training.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0], [3.0]])
    >>> out, mean, rstd = fe.ops.batch_norm(x, None, None, training=True,
    ...                                     eps=0.0)
    >>> out.tolist(), mean.tolist()
    ([[-1.0], [1.0]], [2.0])

Source: S. Ioffe and C. Szegedy, "Batch normalization", ICML 2015.
)"),
    .examples = FE_DOC("f(4, 3), None, None, f(3), f(3), True\n"
                       "f(4, 3, 2), f(3), p(3), f(3), f(3), True\n"
                       "f(2, 3, 4), f(3), p(3), f(3), f(3)\n"
                       "f(2, 3, 2, 2), None, None, None, None, True"),
    .where = kInternal,
    .keeps_channels_last = true,
    .saves = "input mean rstd weight",
    .infer = infer_batch_norm,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(0);
      const Tensor mean = v.out(1);
      const Tensor rstd = v.out(2);
      const bool training = v.args[5].b;
      if (v.has_grad(0)) {
        Results r = op::batch_norm_backward.multi(v.grad(0), x, mean, rstd,
                                                  v.in(3), training);
        v.set(0, r[0]);
        v.set(3, r[1]);
        v.set(4, r[2]);
      }
      if (!training) return;  // the statistics are not of this input
      const auto wide = [&](int i) {
        return v.has_grad(i) ? beside_channels(v.grad(i), v.ndim(0)) : Tensor();
      };
      v.set(0, gradient_of_statistics(x, beside_channels(mean, v.ndim(0)),
                                      beside_channels(rstd, v.ndim(0)), wide(1),
                                      wide(2), v.numel(0) / v.size(0, 1)));
    }),
    .batch = FE_GRAD(batch_batch_norm),
};

extern const OpDef batch_norm_backward_op = {
    .name = "batch_norm_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], mean: "
           "Tensor[float], rstd: Tensor[float], weight: "
           "Tensor[float]?, training: bool -> grad_input, grad_weight, "
           "grad_bias",
    .doc = FE_DOC(R"(Gradients of batch_norm for input, weight and bias.

Args:
    grad: gradient of the result; shape of `input`.
    input: input of the forward op.
    mean, rstd: its statistics.
    weight: its weight, or None.
    training: whether the statistics are those of `input`.

Returns:
    grad_input: shape of `input`.
    grad_weight, grad_bias: shape (C,).

Raises:
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0], [3.0]])
    >>> mean, rstd = fe.tensor([2.0]), fe.tensor([1.0])
    >>> g = fe.tensor([[1.0], [0.0]])
    >>> fe.ops.batch_norm_backward(g, x, mean, rstd, None, True)[1].tolist()
    [-1.0]
)"),
    .examples = FE_DOC("f(4, 3), f(4, 3), f(3), p(3), f(3), True\n"
                       "f(2, 3, 4), f(2, 3, 4), f(3), p(3), None, True\n"
                       "f(2, 3, 4), f(2, 3, 4), f(3), p(3), f(3), False"),
    .where = kInternal,
    .saves = "grad input mean rstd weight",
    .infer = infer_batch_norm_backward,
    .decompose = FE_GRAD(decompose_batch_norm_backward),
};

}  // namespace ferrule
