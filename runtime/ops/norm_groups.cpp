// Group normalisation, and its gradient.
#include "runtime/ops/norm_parts.h"
#include "runtime/ops/wide.h"

namespace ferrule {
namespace {

// Checks the input and the number of its groups (arguments given).
void check_groups(const OpCall& c, int input, int num_groups) {
  const TensorImpl& x = c.in(input);
  const int64_t groups = c.i(num_groups);
  if (x.ndim < 2) {
    c.fail<ShapeError>("input must be (N, C, ...), got shape ", x.sizes());
  }
  if (groups < 1 || x.shape[1] % groups != 0) {
    c.fail<ValueError>("num_groups must divide the channels, got ", groups,
                       " groups and input ", x.sizes());
  }
  if (x.numel == groups) {
    c.fail<ShapeError>("normalising needs more than one value a group, got "
                       "input ",
                       x.sizes(), " and ", groups, " groups");
  }
}

// Checks that there is one number a channel.
void check_channels(const OpCall& c, int input, int arg) {
  const TensorImpl& x = c.in(input);
  if (!c.is_tensor(arg) || Dims(c.in(arg).sizes()) == Dims({x.shape[1]})) {
    return;
  }
  c.fail<ShapeError>("'", c.info.schema.params[arg].name, "' has shape ",
                     c.in(arg).sizes(), ", but input ", x.sizes(), " has ",
                     x.shape[1], " channels");
}

void infer_forward(OpCall& c) {
  check_groups(c, 0, 1);
  for (int i : {2, 3}) check_channels(c, 0, i);
  const TensorImpl& x = c.in(0);
  c.compute = x.dtype;
  c.out_like(0, 0);
  for (int i : {1, 2}) {
    c.out(i, accumulator(x.dtype), Dims({x.shape[0], c.i(1), 1}));
  }
}

void infer_backward(OpCall& c) {
  check_groups(c, 1, 5);
  check_channels(c, 1, 4);
  const TensorImpl& x = c.in(1);
  require_shape(c, 0, Dims(x.sizes()), "the input's shape");
  check_statistics(c, Dims({x.shape[0], c.i(5), 1}));
  c.compute = x.dtype;
  c.out_like(0, 1);
  for (int i : {1, 2}) c.out(i, accumulator(x.dtype), Dims({x.shape[1]}));
}

#ifndef FE_RUNTIME_ONLY

// The elements of a group: a row.
Int length_of(const TensorImpl& x, const Int& groups) {
  Int length = size_of(&x, 1) / groups;
  for (int d = 2; d < x.ndim; ++d) length = length * size_of(&x, d);
  return length;
}

Tensor as_rows(const Tensor& t, const Int& groups) {
  const TensorImpl& x = *t.impl();
  return op::reshape(t, IntList{size_of(&x, 0), groups, length_of(x, groups)});
}

Tensor channels(const OpCall& c, int arg, int ndim) {
  return beside_channels(widened(c.tensor(arg)), ndim);
}

Results decompose_forward(OpCall& c) {
  const TensorImpl& x = c.in(0);
  const Tensor rows = as_rows(widened(c.tensor(0)), c.sym(1));
  Results r;
  r.n = 3;
  Tensor y = rows;
  if (x.numel > 0) {
    const Int length = length_of(x, c.sym(1));
    r = op::layer_norm.multi(rows, IntList{length}, Arg(), Arg(), c.args[4]);
    y = r[0];
  } else {
    for (int i : {1, 2}) {
      r[i] = op::zeros(IntList{size_of(&x, 0), c.sym(1), 1}, rows.dtype());
    }
  }
  y = op::reshape(y, sizes_of(&x));
  if (c.is_tensor(2)) y = op::mul(y, channels(c, 2, x.ndim));
  if (c.is_tensor(3)) y = op::add(y, channels(c, 3, x.ndim));
  r[0] = narrowed(y, x.dtype);
  return r;
}

Results decompose_backward(OpCall& c) {
  const TensorImpl& x = c.in(1);
  const Int groups = c.sym(5);
  const Tensor mean = c.tensor(2), rstd = c.tensor(3);
  const Tensor grad = op::cast(c.tensor(0), mean.dtype());
  const Tensor rows = as_rows(op::cast(c.tensor(1), mean.dtype()), groups);
  const Tensor normal = op::mul(op::sub(rows, mean), rstd);
  Results r;
  r.n = 3;
  r[1] = sum_channels(op::mul(grad, op::reshape(normal, sizes_of(&x))));
  r[2] = sum_channels(grad);
  Tensor h = grad;
  if (c.is_tensor(4)) {
    h = op::mul(h,
                beside_channels(op::cast(c.tensor(4), mean.dtype()), x.ndim));
  }
  h = as_rows(h, groups);
  const auto average = [](const Tensor& t) {
    return op::mean(t, IntList{-1}, true);
  };
  const Tensor parallel = op::mul(normal, average(op::mul(h, normal)));
  const Tensor rest = op::sub(op::sub(h, average(h)), parallel);
  r[0] = op::cast(op::reshape(op::mul(rest, rstd), sizes_of(&x)), x.dtype);
  return r;
}

void vjp_forward(Vjp& v) {
  const Tensor x = v.in(0), mean = v.out(1), rstd = v.out(2);
  if (v.has_grad(0)) {
    Results r = op::normalize_groups_backward.multi(v.grad(0), x, mean, rstd,
                                                    v.in(2), v.args[1]);
    v.set(0, r[0]);
    v.set(2, r[1]);
    v.set(3, r[2]);
  }
  if (!v.has_grad(1) && !v.has_grad(2)) return;
  const Int groups = size_of(mean.impl(), 1);
  const Tensor rows = as_rows(widened(x), groups);
  const Tensor grad =
      gradient_of_statistics(rows, mean, rstd, grad_or_none(v, 1),
                             grad_or_none(v, 2), length_of(*x.impl(), groups));
  v.set(0, op::cast(op::reshape(grad, v.sizes(0)), x.dtype()));
}

#endif

}  // namespace

extern const OpDef group_norm_op = {
    .name = "group_norm",
    .sig = "input: Tensor[float], num_groups: int, weight: Tensor[float]? = "
           "None, bias: Tensor[float]? = None, eps: float = 1e-5",
    .doc = FE_DOC(
        R"(Normalises groups of channels: (input - mean) / sqrt(var + eps) * weight + bias.

Args:
    input: shape (N, C, ...).
    num_groups: divides C.
    weight, bias: shape (C,); None: 1 and 0.
    eps: added to the (biased) variance of a group.

Returns:
    The shape of `input`.

Raises:
    ShapeError: shapes do not fit, or there is one value a group.
    ValueError: `num_groups` does not divide C.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.group_norm(fe.tensor([[1.0, 3.0, 2.0, 6.0]]), 2, eps=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]

Source: Y. Wu and K. He, "Group normalization", ECCV 2018.
)"),
    .examples = FE_DOC("f(2, 4, 3), 2\n"
                       "f(2, 6, 2, 2), 3, f(6), f(6)\n"
                       "f(3, 4), 1, f(4)\n"
                       "f(0, 4, 3), 2"),
    .reference =
        FE_DOC("(lambda r: ((r - r.mean(2, keepdims=True)) / np.sqrt(r.var(2, "
               "keepdims=True) + eps)).reshape(input.shape) * (1 if weight is "
               "None else weight.reshape((-1,) + (1,) * (input.ndim - 2))) + "
               "(0 if bias is None else bias.reshape((-1,) + (1,) * "
               "(input.ndim - 2))))(input.reshape(len(input), num_groups, "
               "np.prod(input.shape[1:]) // num_groups))"),
    .where = kFunction | kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      check_groups(c, 0, 1);
      for (int i : {2, 3}) check_channels(c, 0, i);
      return one(op::normalize_groups(c.tensor(0), c.args[1], c.args[2],
                                      c.args[3], c.args[4]));
    }),
};

extern const OpDef normalize_groups_op = {
    .name = "normalize_groups",
    .sig = "input: Tensor[float], num_groups: int, weight: Tensor[float]? = "
           "None, bias: Tensor[float]? = None, eps: float = 1e-5 -> out, mean, "
           "rstd",
    .doc = FE_DOC(R"(Group normalisation with its statistics, see group_norm.

Args:
    input: shape (N, C, ...).
    num_groups: divides C.
    weight, bias: shape (C,); None: 1 and 0.
    eps: added to the variance.

Returns:
    out: the shape of `input`.
    mean, rstd: mean and 1 / sqrt(variance + eps) of every group, shape
        (N, num_groups, 1); float32 for 16-bit inputs.

Raises:
    ShapeError: shapes do not fit, or there is one value a group.
    ValueError: `num_groups` does not divide C.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 3.0]])
    >>> fe.ops.normalize_groups(x, 1, eps=0.0)[1].tolist()
    [[[2.0]]]

Source: Y. Wu and K. He, "Group normalization", ECCV 2018.
)"),
    .examples = FE_DOC("f(2, 4, 3), 2\n"
                       "f(2, 6, 2, 2), 3, f(6), f(6)\n"
                       "f(3, 4), 1, f(4)\n"
                       "f(2, 4, 19), 2, f(4), f(4)"),
    .where = kInternal,
    .saves = "input mean rstd weight",
    .infer = infer_forward,
    .vjp = FE_GRAD(vjp_forward),
    .decompose = FE_GRAD(decompose_forward),
};

extern const OpDef normalize_groups_backward_op = {
    .name = "normalize_groups_backward",
    .sig = "grad: Tensor[float], input: Tensor[float], mean: Tensor[float], "
           "rstd: Tensor[float], weight: Tensor[float]?, num_groups: int -> "
           "grad_input, grad_weight, grad_bias",
    .doc = FE_DOC(R"(Gradients of normalize_groups for input, weight and bias.

Args:
    grad: gradient of the result; shape of `input`.
    input: input of the forward op.
    mean, rstd: its statistics.
    weight: its weight, or None.
    num_groups: as there.

Returns:
    grad_input: shape of `input`.
    grad_weight, grad_bias: shape (C,).

Raises:
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> x, g = fe.tensor([[1.0, 3.0]]), fe.tensor([[1.0, 0.0]])
    >>> mean, rstd = fe.tensor([[[2.0]]]), fe.tensor([[[1.0]]])
    >>> fe.ops.normalize_groups_backward(g, x, mean, rstd, None, 1)[1].tolist()
    [-1.0, 0.0]
)"),
    .examples =
        FE_DOC("f(3, 4), f(3, 4), f(3, 2, 1), p(3, 2, 1), f(4), 2\n"
               "f(2, 4, 3), f(2, 4, 3), f(2, 2, 1), p(2, 2, 1), None, 2\n"
               "f(2, 4, 19), f(2, 4, 19), f(2, 1, 1), p(2, 1, 1), f(4), 1"),
    .where = kInternal,
    .saves = "grad input mean rstd weight",
    .infer = infer_backward,
    .decompose = FE_GRAD(decompose_backward),
};

}  // namespace ferrule
