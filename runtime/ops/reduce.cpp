// Reductions.
#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_reduced(OpCall& c, DType result, int keepdim) {
  const TensorImpl& x = c.in(0);
  const uint32_t mask = dim_mask(c, 1, x.ndim);
  c.out(0, result, reduced_shape(x.sizes(), mask, c.b(keepdim)));
}

// sum, prod: integers and bools are computed in int64 unless `dtype` is given.
void infer_sum(OpCall& c) {
  c.compute = accumulated_dtype(c, 3);
  infer_reduced(c, c.compute, 2);
}

void infer_mean(OpCall& c) {
  if (!c.has(3)) check_floating(c, 0);
  c.compute = c.has(3) ? c.dtype(3) : c.in(0).dtype;
  if (!is_float(c.compute)) {
    c.fail<DTypeError>("dtype must be floating-point, got ", c.compute);
  }
  check_real(c, 0);
  infer_reduced(c, c.compute, 2);
}

// any, all
void infer_truth(OpCall& c) {
  check_real(c, 0);
  c.compute = DType::bool_;
  infer_reduced(c, DType::bool_, 2);
}

void infer_var(OpCall& c) {
  if (c.has(2) && c.has(4)) {
    c.fail<ValueError>("unbiased and correction mean the same; give one");
  }
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

// The variance of a complex number is that of both its parts.
[[maybe_unused]] Results complex_var(OpCall& c) {
  const Tensor x = c.tensor(0);
  const auto of = [&](const Tensor& part) {
    return op::var(part, c.args[1], c.args[2], c.args[3], c.args[4]);
  };
  return one(op::add(of(op::real(x)), of(op::imag(x))));
}

[[maybe_unused]] Results complex_truth(OpCall& c) {
  return one(c.op(op::ne(c.tensor(0), 0), c.args[1], c.args[2]));
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

// What the sum of squares is divided by for the variance: never negative.
[[maybe_unused]] Tensor divide_by_freedom(const Vjp& v, const Tensor& t) {
  const Arg& given = v.args[4];
  if (given.tag != ArgTag::float_) {
    const Int correction = given.tag == ArgTag::int_    ? Int(given.i, given.n)
                           : given.tag == ArgTag::bool_ ? Int(given.b)
                           : v.has(2)                   ? Int(v.args[2].b)
                                                        : Int(1);
    return op::div(t, combine(IntOp::max, count_of(v) - correction, 0));
  }
  const Tensor count = op::full(IntList{}, count_of(v), t.dtype());
  return op::div(t, op::maximum(op::sub(count, given.f), 0.0));
}

// Products of all elements but one, without division: those in front of it
// times those behind it.
[[maybe_unused]] Tensor products_of_others(const Tensor& x, int64_t d) {
  const auto in_front = [d](const Tensor& t) {
    const Int n = size_of(t.impl(), static_cast<int>(d));
    const Tensor one = op::ones_like(op::slice(t, d, 0, 1));
    const Tensor products = op::cumprod(op::slice(t, d, 0, n - 1), d);
    return op::cat(std::vector<Tensor>{one, products}, d);
  };
  const IntList dim{d};
  return op::mul(in_front(x), op::flip(in_front(op::flip(x, dim)), dim));
}

// One line of all reduced elements, behind the dimensions that stay.
[[maybe_unused]] void prod_vjp(Vjp& v) {
  Tensor x = v.in(0), g = v.grad();
  if (x.numel() == 0) return v.set(0, op::zeros_like(x));
  const uint32_t mask = reduced_dims(v);
  IntList order, back, lines, kept;
  for (int pass = 0; pass < 2; ++pass) {
    for (int d = 0; d < x.ndim(); ++d) {
      if ((mask >> d & 1) == static_cast<uint32_t>(pass)) order.push(d);
      if (pass == 0 && !(mask >> d & 1)) kept.push(size_of(x.impl(), d));
    }
  }
  back.n = order.n;
  for (int k = 0; k < order.n; ++k) {
    back[static_cast<int>(order[k].value)] = k;
  }
  lines = kept;
  lines.push(count_of(v));
  kept.push(1);
  if (x.dtype() != g.dtype()) x = op::cast(x, g.dtype());
  const Tensor moved = op::permute(x, order);
  const Tensor others =
      products_of_others(op::reshape(moved, lines), kept.n - 1);
  const Tensor d = op::mul(op::reshape(g, kept), others);
  v.set(0, op::permute(op::reshape(d, sizes_of(moved.impl())), back));
}

// Both halves of a dimension are multiplied with each other until one element
// is left: pairs, whose order the size alone decides.
[[maybe_unused]] Tensor product_along(Tensor x, int d) {
  int64_t n = x.size(d);
  if (n == 0) return op::ones_like(op::sum(x, IntList{d}, true));
  while (n > 1) {
    const int64_t half = n / 2;
    Tensor y =
        op::mul(op::slice(x, d, 0, half), op::slice(x, d, half, 2 * half));
    if (n % 2) y = op::cat(std::vector<Tensor>{y, op::slice(x, d, n - 1)}, d);
    x = std::move(y);
    n -= half;
  }
  return x;
}

[[maybe_unused]] Results complex_prod(OpCall& c) {
  const DType t = c.has(3) ? c.dtype(3) : c.in(0).dtype;
  Tensor x = op::cast(c.tensor(0), t);
  if (!is_complex(t)) {
    return op::prod.multi(x, c.args[1], c.args[2]);
  }
  const uint32_t mask = dim_mask(c, 1, x.ndim());
  IntList dims;
  for (int d = 0; d < x.ndim(); ++d) {
    if (!(mask >> d & 1)) continue;
    check_known(c, d);
    x = product_along(std::move(x), d);
    dims.push(d);
  }
  Results r;
  r.n = 1;
  r[0] = c.b(2) || dims.n == 0 ? x : op::squeeze(x, dims);
  return r;
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
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False, *, "
           "dtype: dtype? = None",
    .doc = FE_DOC(R"(Sum over dimensions; of nothing it is 0.

The order of summation is a tree that the shape decides: the result is the same
for every number of threads. 16-bit floats are summed in float32.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.
    dtype: what to compute in and to return; None: that of `input`, int64 for
        integers and bools.

Returns:
    Tensor without the reduced dimensions.

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
                       "f(2, 3), dtype=fe.float64\n"
                       "i(9, 4, 3), [0]\n"
                       "f()"),
    .reference =
        FE_DOC("np.sum(input, axis=None if dim is None else tuple(dim), "
               "keepdims=keepdim)"),
    .infer = infer_sum,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, op::expand(keep_dims(v, v.grad(), 2), v.sizes(0)));
    }),
    .complex = FE_GRAD(by_parts),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef mean_op = {
    .name = "mean",
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False, *, "
           "dtype: dtype? = None",
    .doc = FE_DOC(R"(Mean over dimensions; of nothing it is NaN.

Args:
    input: any shape; floating-point or complex, unless `dtype` is given.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.
    dtype: what to compute in and to return; None: that of `input`.

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
                       "i(9, 4, 3), [0], dtype=fe.float64\n"
                       "f()"),
    .reference =
        FE_DOC("np.mean(input, axis=None if dim is None else tuple(dim), "
               "keepdims=keepdim)"),
    .infer = infer_mean,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor share = op::div(v.grad(), count_of(v));
      v.set(0, op::expand(keep_dims(v, share, 2), v.sizes(0)));
    }),
    .complex = FE_GRAD(by_parts),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef prod_op = {
    .name = "prod",
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False, *, "
           "dtype: dtype? = None",
    .doc = FE_DOC(R"(Product over dimensions; of nothing it is 1.

The gradient is exact where elements are 0.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.
    dtype: what to compute in and to return; None: that of `input`, int64 for
        integers and bools.

Returns:
    Tensor without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.

Example:
    >>> import ferrule as fe
    >>> fe.prod(fe.tensor([[1.0, 2.0], [3.0, 4.0]]), 0).tolist()
    [3.0, 8.0]

Source: numpy.prod.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), 1\n"
                       "f(2, 3, 4), dim=[0, -1], keepdim=True\n"
                       "np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0]]), 1\n"
                       "f(0, 3), 0\n"
                       "i(9, 4, 3), [0]\n"
                       "f()"),
    .reference = FE_DOC(
        "np.prod(input, axis=None if dim is None else tuple(np.atleast_1d("
        "dim)), keepdims=keepdim)"),
    .autocast = Autocast::f32,
    .saves = "input",
    .infer = infer_sum,
    .vjp = FE_GRAD(prod_vjp),
    .complex = FE_GRAD(complex_prod),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef any_op = {
    .name = "any",
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False",
    .doc = FE_DOC(R"(Is an element true, that is, not 0? Of nothing: False.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.

Returns:
    bool tensor without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.

Example:
    >>> import ferrule as fe
    >>> fe.any(fe.tensor([[False, True], [False, False]]), 1).tolist()
    [True, False]

Source: numpy.any.
)"),
    .examples = FE_DOC("b(2, 3)\n"
                       "b(2, 3, 4), 1\n"
                       "i(2, 2, 3, 4), dim=[0, -1], keepdim=True\n"
                       "f(0, 3), 0"),
    .reference = FE_DOC(
        "np.any(input, axis=None if dim is None else tuple(np.atleast_1d("
        "dim)), keepdims=keepdim)"),
    .infer = infer_truth,
    .complex = FE_GRAD(complex_truth),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef all_op = {
    .name = "all",
    .sig = "input: Tensor, dim: int[]? = None, keepdim: bool = False",
    .doc = FE_DOC(R"(Are all elements true, that is, not 0? Of nothing: True.

Args:
    input: any shape.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.

Returns:
    bool tensor without the reduced dimensions.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.

Example:
    >>> import ferrule as fe
    >>> fe.all(fe.tensor([[True, True], [False, True]]), 1).tolist()
    [True, False]

Source: numpy.all.
)"),
    .examples = FE_DOC("b(2, 3)\n"
                       "b(2, 3, 4), 1\n"
                       "i(5, 2, 3, 4), dim=[0, -1], keepdim=True\n"
                       "f(0, 3), 0"),
    .reference = FE_DOC(
        "np.all(input, axis=None if dim is None else tuple(np.atleast_1d("
        "dim)), keepdims=keepdim)"),
    .infer = infer_truth,
    .complex = FE_GRAD(complex_truth),
    .batch = FE_GRAD(batch_dims),
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
    .batch = FE_GRAD(batch_dims),
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
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef var_op = {
    .name = "var",
    .sig = "input: Tensor[float], dim: int[]? = None, unbiased: bool? = None, "
           "keepdim: bool = False, *, correction: Scalar? = None",
    .doc = FE_DOC(
        R"(Variance over dimensions: first the mean, then the squares.

The variance of complex numbers is real: that of their distance to the mean.

Args:
    input: any shape; floating-point or complex.
    dim: the dimensions to reduce; None: all.
    unbiased: True is correction=1, False correction=0.
    keepdim: keep them, with size 1.
    correction: the sum of squares is divided by the number of elements minus
        this; 1 (None) is Bessel's correction, 0 the variance of the values.

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
                       "f(2, 3, 4), dim=[0, -1], correction=0, keepdim=True\n"
                       "f(4, 3), [0], False\n"
                       "f(4, 3), [0], correction=0.5"),
    .reference =
        FE_DOC("np.var(input, axis=None if dim is None else tuple(dim), "
               "ddof=unbiased is not False if correction is None else "
               "correction, keepdims=keepdim)"),
    .saves = "input",
    .infer = infer_var,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor x = v.in(0);
      const Tensor share =
          divide_by_freedom(v, op::mul(keep_dims(v, v.grad(), 3), 2.0));
      v.set(0, op::mul(op::sub(x, op::mean(x, v.args[1], true)), share));
    }),
    .complex = FE_GRAD(complex_var),
    .batch = FE_GRAD(batch_dims),
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
    .batch = FE_GRAD(batch_dims),
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
    .batch = FE_GRAD(batch_dims),
};

}  // namespace ferrule
