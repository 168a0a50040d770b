// Reductions.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_reduced(OpCall& c, DType result, int keepdim) {
  const TensorImpl& x = c.in(0);
  const uint32_t mask = dim_mask(c, 1, x.ndim);
  c.out(0, result, reduced_shape(x.sizes(), mask, c.b(keepdim)));
}

// Integers and bools are summed in int64.
void infer_sum(OpCall& c) {
  check_real(c, 0);
  const DType t = c.in(0).dtype;
  c.compute = is_float(t) ? t : DType::i64;
  infer_reduced(c, c.compute, 2);
}

void infer_mean(OpCall& c) {
  c.compute = c.in(0).dtype;
  infer_reduced(c, c.compute, 2);
}

void infer_var(OpCall& c) {
  c.compute = c.in(0).dtype;
  infer_reduced(c, c.compute, 3);
}

[[noreturn]] void fail_empty(const OpCall& c) {
  c.fail<ShapeError>("no element to choose from: a reduced dimension of shape ",
                     c.in(0).sizes(), " is 0");
}

// amax, amin: some element must be there.
void infer_extreme(OpCall& c) {
  check_real(c, 0);
  const TensorImpl& x = c.in(0);
  if (reduced_count(x.sizes(), dim_mask(c, 1, x.ndim)) == 0) fail_empty(c);
  c.compute = x.dtype;
  infer_reduced(c, x.dtype, 2);
}

// argmax, argmin: dim is one int; None: the index into all elements.
void infer_index(OpCall& c) {
  check_real(c, 0);
  const TensorImpl& x = c.in(0);
  uint32_t mask = (1u << x.ndim) - 1;
  if (c.has(1)) {
    const int d = c.dim(1, x.ndim);
    mask &= 1u << d;
  }
  if (reduced_count(x.sizes(), mask) == 0) fail_empty(c);
  c.compute = x.dtype;
  c.out(0, DType::i64, reduced_shape(x.sizes(), mask, c.b(2)));
}

// --- for gradients: the dimensions of argument 1, as a mask

[[maybe_unused]] uint32_t reduced_dims(const Vjp& v) {
  const Arg& dims = v.args[1];
  const int ndim = v.ndim(0);
  if (dims.is_none() || dims.n == 0) return (1u << ndim) - 1;
  uint32_t mask = 0;
  for (int k = 0; k < dims.n; ++k) {
    const int64_t d = dims.ints[k].value;
    if (ndim > 0) mask |= 1u << (d < 0 ? d + ndim : d);
  }
  return mask;
}

// `t`, of the result's shape, with the reduced dimensions as 1.
[[maybe_unused]] Tensor keep_dims(const Vjp& v, const Tensor& t, int keepdim) {
  if (v.args[keepdim].b) return t;
  const uint32_t mask = reduced_dims(v);
  IntList shape = v.sizes(0);
  for (int d = 0; d < shape.n; ++d) {
    if (mask >> d & 1) shape[d] = 1;
  }
  return op::reshape(t, shape);
}

[[maybe_unused]] Int count_of(const Vjp& v) {
  const uint32_t mask = reduced_dims(v);
  Int n = 1;
  for (int d = 0; d < v.ndim(0); ++d) {
    if (mask >> d & 1) n = n * v.size(0, d);
  }
  return n;
}

// Shared evenly by all elements that are the extreme one.
[[maybe_unused]] void share_among_ties(Vjp& v) {
  const Tensor best = op::eq(v.in(0), keep_dims(v, v.out(), 2));
  const Tensor share =
      op::div(keep_dims(v, v.grad(), 2), op::sum(best, v.args[1], true));
  v.set(0, op::where(best, share, 0.0));
}

}  // namespace

extern const OpDef sum_op = {
    .name = "sum",
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False",
    .doc = FE_DOC(R"(Sum over dimensions; of nothing it is 0.

The order of summation is a tree that the shape decides: the result is the same
for every number of threads. 16-bit floats are summed in float32.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.

Returns:
    Tensor without the reduced dimensions; int64 for integers and bools.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.

Example:
    >>> import ferrule as fe
    >>> fe.sum(fe.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=[0]).tolist()
    [4.0, 6.0]

Source: numpy.sum.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), dim=[1]\n"
                       "f(2, 3, 4), dim=[0, -1], keepdim=True\n"
                       "f()"),
    .reference =
        FE_DOC("np.sum(input, axis=None if dim is None else tuple(dim), "
               "keepdims=keepdim)"),
    .infer = infer_sum,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::expand(keep_dims(v, v.grad(), 2), v.sizes(0)));
    }),
};

extern const OpDef mean_op = {
    .name = "mean",
    .sig = "input: Tensor[float], dim: int[]? = None, keepdim: bool = "
           "False",
    .doc = FE_DOC(R"(Mean over dimensions; of nothing it is NaN.

Args:
    input: any shape; floating-point.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.

Returns:
    Tensor without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.mean(fe.tensor([1.0, 2.0, 6.0])).item()
    3.0

Source: numpy.mean.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), dim=[1]\n"
                       "f(2, 3, 4), dim=[0, -1], keepdim=True\n"
                       "f()"),
    .reference =
        FE_DOC("np.mean(input, axis=None if dim is None else tuple(dim), "
               "keepdims=keepdim)"),
    .infer = infer_mean,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor share = op::div(v.grad(), count_of(v));
      v.set(0, op::expand(keep_dims(v, share, 2), v.sizes(0)));
    }),
};

extern const OpDef amax_op = {
    .name = "amax",
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False",
    .doc = FE_DOC(R"(Largest element over dimensions; NaN wins.

Elements that are equally large share the gradient evenly.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.

Returns:
    Tensor without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    ShapeError: a reduced dimension is 0.

Example:
    >>> import ferrule as fe
    >>> fe.amax(fe.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=[1]).tolist()
    [5.0, 4.0]

Source: numpy.amax.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), dim=[1]\n"
                       "f(2, 3, 4), dim=[0, -1], keepdim=True\n"
                       "f()"),
    .reference =
        FE_DOC("np.amax(input, axis=None if dim is None else tuple(dim), "
               "keepdims=keepdim)"),
    .saves = "input out",
    .infer = infer_extreme,
    .vjp = FE_GRAD([](Vjp& v) { share_among_ties(v); }),
};

extern const OpDef amin_op = {
    .name = "amin",
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False",
    .doc = FE_DOC(R"(Smallest element over dimensions; NaN wins.

Elements that are equally small share the gradient evenly.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.

Returns:
    Tensor without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    ShapeError: a reduced dimension is 0.

Example:
    >>> import ferrule as fe
    >>> fe.amin(fe.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=[1]).tolist()
    [1.0, 3.0]

Source: numpy.amin.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), dim=[1]\n"
                       "f(2, 3, 4), dim=[0, -1], keepdim=True\n"
                       "f()"),
    .reference =
        FE_DOC("np.amin(input, axis=None if dim is None else tuple(dim), "
               "keepdims=keepdim)"),
    .saves = "input out",
    .infer = infer_extreme,
    .vjp = FE_GRAD([](Vjp& v) { share_among_ties(v); }),
};

extern const OpDef var_op = {
    .name = "var",
    .sig = "input: Tensor[float], dim: int[]? = None, correction: int "
           "= 1, keepdim: bool = False",
    .doc = FE_DOC(
        R"(Variance over dimensions: first the mean, then the squares.

Args:
    input: any shape; floating-point.
    dim: the dimensions to reduce; None: all.
    correction: the sum of squares is divided by the number of elements minus
        this; 1 is Bessel's correction, 0 the variance of the values.
    keepdim: keep them, with size 1.

Returns:
    Tensor without the reduced dimensions; NaN of too few elements.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.var(fe.tensor([1.0, 2.0, 3.0])).item()
    1.0

Source: numpy.var.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), dim=[1]\n"
                       "f(2, 3, 4), dim=[0, -1], correction=0, keepdim=True"),
    .reference =
        FE_DOC("np.var(input, axis=None if dim is None else tuple(dim), "
               "ddof=correction, keepdims=keepdim)"),
    .saves = "input",
    .infer = infer_var,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(0);
      const Int correction(v.args[2].i, v.args[2].n);
      const Int freedom = combine(IntOp::max, count_of(v) - correction, 0);
      const Tensor share =
          op::div(op::mul(keep_dims(v, v.grad(), 3), 2.0), freedom);
      v.set(0, op::mul(op::sub(x, op::mean(x, v.args[1], true)), share));
    }),
};

extern const OpDef argmax_op = {
    .name = "argmax",
    .sig = "input: Tensor, dim: int? = None, keepdim: bool = False",
    .doc =
        FE_DOC(R"(Index of the largest element, the first of equals; NaN wins.

Args:
    input: any shape.
    dim: the dimension to search; None: the index counts through all elements.
    keepdim: keep the dimension (all, for None), with size 1.

Returns:
    int64 tensor without the searched dimension.

Raises:
    IndexError: the dimension is out of range.
    ShapeError: the dimension is 0.

Example:
    >>> import ferrule as fe
    >>> fe.argmax(fe.tensor([[1.0, 5.0], [3.0, 2.0]]), dim=1).tolist()
    [1, 0]

Source: numpy.argmax.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), dim=1\n"
                       "f(2, 3), dim=-1, keepdim=True"),
    .reference = FE_DOC("np.argmax(input, axis=dim, keepdims=keepdim)"),
    .infer = infer_index,
};

extern const OpDef argmin_op = {
    .name = "argmin",
    .sig = "input: Tensor, dim: int? = None, keepdim: bool = False",
    .doc =
        FE_DOC(R"(Index of the smallest element, the first of equals; NaN wins.

Args:
    input: any shape.
    dim: the dimension to search; None: the index counts through all elements.
    keepdim: keep the dimension (all, for None), with size 1.

Returns:
    int64 tensor without the searched dimension.

Raises:
    IndexError: the dimension is out of range.
    ShapeError: the dimension is 0.

Example:
    >>> import ferrule as fe
    >>> fe.argmin(fe.tensor([[1.0, 5.0], [3.0, 2.0]]), dim=1).tolist()
    [0, 1]

Source: numpy.argmin.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), dim=1\n"
                       "f(2, 3), dim=-1, keepdim=True"),
    .reference = FE_DOC("np.argmin(input, axis=dim, keepdims=keepdim)"),
    .infer = infer_index,
};

}  // namespace ferrule
