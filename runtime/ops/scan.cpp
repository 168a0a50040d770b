// Running sums, products and extremes along a dimension.
#include <cmath>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

// input, dim, dtype
void infer_scan(OpCall& c) {
  c.compute = accumulated_dtype(c, 2);
  c.dim(1, c.in(0).ndim);
  c.out(0, c.compute, c.in(0).sizes());
}

#ifndef FE_RUNTIME_ONLY

// `dim` argument of a call, counted from 0.
int64_t dim_of(const Vjp& v, int arg) {
  const int64_t d = v.args[arg].i;
  return d < 0 ? d + v.ndim(0) : d;
}

// Every element takes the place of the one before it (after it: `back`); what
// comes in at the end is 0.
Tensor shifted(const Tensor& t, int64_t d, bool back) {
  const Int n = size_of(t.impl(), static_cast<int>(d));
  const Tensor end = back ? op::slice(t, d, n - 1) : op::slice(t, d, 0, 1);
  const Tensor zero = op::zeros_like(end);
  const Tensor rest = back ? op::slice(t, d, 1) : op::slice(t, d, 0, n - 1);
  return op::cat(
      back ? std::vector<Tensor>{rest, zero} : std::vector<Tensor>{zero, rest},
      d);
}

Tensor summed_backwards(const Tensor& t, int64_t d) {
  const IntList dim{d};
  return op::flip(op::cumsum(op::flip(t, dim), d), dim);
}

void linear_scan_vjp(Vjp& v) {
  Tensor g = v.grad();
  if (g.ndim() == 0 || g.numel() == 0) {
    v.set(0, g);
    if (v.needs(1)) v.set(1, op::zeros_like(g));
    return;
  }
  const int64_t d = dim_of(v, 2);
  const bool reverse = v.args[3].b;
  const Tensor next = shifted(v.in(1), d, !reverse);
  const Tensor reached = op::linear_scan(g, next, d, !reverse);
  v.set(0, reached);
  if (v.needs(1)) v.set(1, op::mul(reached, shifted(v.out(), d, reverse)));
}

// d/dx_i sum_j g_j y_j, with y_j = x_0 ... x_j, is y_(i-1) s_i, where
// s_i = g_i + x_(i+1) s_(i+1): no division, so zeros do no harm.
void cumprod_vjp(Vjp& v) {
  Tensor g = v.grad(), x = v.in(0), y = v.out();
  if (g.ndim() == 0 || g.numel() == 0) return v.set(0, g);
  const int64_t d = dim_of(v, 1);
  if (x.dtype() != g.dtype()) x = op::cast(x, g.dtype());
  const Tensor sums = op::linear_scan(g, shifted(x, d, true), d, true);
  const Int n = size_of(y.impl(), static_cast<int>(d));
  const Tensor before =
      op::cat(std::vector<Tensor>{op::ones_like(op::slice(y, d, 0, 1)),
                                  op::slice(y, d, 0, n - 1)},
              d);
  v.set(0, op::mul(before, sums));
}

// d/dx_i sum_j g_j y_j = sum_(j >= i) g_j exp(x_i - y_j), as
// exp(x_i - y_i) s_i with s_i = g_i + exp(y_i - y_(i+1)) s_(i+1). Since y does
// not decrease, no exponent is positive. Where y is still -inf, nothing counts.
void logcumsumexp_vjp(Vjp& v) {
  Tensor g = v.grad(), x = v.in(0), y = v.out();
  if (g.numel() == 0) return v.set(0, g);
  const int64_t d = dim_of(v, 1);
  const auto ratio = [](const Tensor& a, const Tensor& b) {
    const Tensor none = op::eq(b, -INFINITY);
    return op::where(none, 0.0, op::exp(op::sub(a, op::where(none, 0.0, b))));
  };
  Tensor sums = g;
  if (g.ndim() > 0) {
    const Int n = size_of(y.impl(), static_cast<int>(d));
    const Tensor next = op::cat(
        std::vector<Tensor>{op::slice(y, d, 1), op::slice(y, d, n - 1)}, d);
    sums = op::linear_scan(g, ratio(y, next), d, true);
  }
  v.set(0, op::mul(ratio(x, y), sums));
}

Results running_extreme(OpCall& c, bool largest) {
  check_real(c, 0);
  const int d = c.dim(1, c.in(0).ndim);
  Results r;
  r.n = 2;
  r[1] = op::running_argmax(c.tensor(0), d, largest);
  r[0] = op::gather(c.tensor(0), d, r[1]);
  return r;
}

// Each element is multiplied with the one before it, then with the one two
// before, four before, ...: after log2(n) rounds with all of them (D. Hillis,
// G. Steele, "Data Parallel Algorithms", 1986).
Results complex_cumprod(OpCall& c) {
  const DType t = c.has(2) ? c.dtype(2) : c.in(0).dtype;
  Tensor x = op::cast(c.tensor(0), t);
  const int d = c.dim(1, x.ndim());
  if (!is_complex(t)) return op::cumprod.multi(x, d);
  if (x.ndim() > 0) {
    check_known(c, d);
    const int64_t n = x.size(d);
    for (int64_t step = 1; step < n; step *= 2) {
      x = op::cat(std::vector<Tensor>{op::slice(x, d, 0, step),
                                      op::mul(op::slice(x, d, step),
                                              op::slice(x, d, 0, n - step))},
                  d);
    }
  }
  Results r;
  r.n = 1;
  r[0] = std::move(x);
  return r;
}

#endif

}  // namespace

extern const OpDef cumsum_op = {
    .name = "cumsum",
    .sig = "input: Tensor, dim: int, *, dtype: dtype? = None",
    .doc = FE_DOC(R"(Running sums along a dimension.

Args:
    input: any shape.
    dim: the dimension.
    dtype: what to compute in and to return; None: that of `input`, int64 for
        integers and bools.

Returns:
    Shape of `input`: element i is the sum of 0..i, in their order. float32 and
    below are summed in float64.

Raises:
    IndexError: the dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.cumsum(fe.tensor([1, 2, 3]), 0).tolist()
    [1, 3, 6]

Source: numpy.cumsum.
)"),
    .examples = FE_DOC("f(5), 0\n"
                       "f(2, 3, 4), 1\n"
                       "f(2, 3), -1\n"
                       "f(0, 3), 0\n"
                       "i(9, 4, 3), 0\n"
                       "f(), 0"),
    .reference = FE_DOC("np.cumsum(input, dim).reshape(input.shape)"),
    .has_inplace = true,
    .infer = infer_scan,
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, v.ndim(0) == 0 ? v.grad()
                              : summed_backwards(v.grad(), dim_of(v, 1)));
    }),
    .complex = FE_GRAD(by_parts),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef cumprod_op = {
    .name = "cumprod",
    .sig = "input: Tensor, dim: int, *, dtype: dtype? = None",
    .doc = FE_DOC(R"(Running products along a dimension.

The gradient is exact where elements are 0.

Args:
    input: any shape.
    dim: the dimension.
    dtype: what to compute in and to return; None: that of `input`, int64 for
        integers and bools.

Returns:
    Shape of `input`: element i is the product of 0..i, in their order. float32
    and below are multiplied in float64.

Raises:
    IndexError: the dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.cumprod(fe.tensor([1, 2, 3]), 0).tolist()
    [1, 2, 6]

Source: numpy.cumprod.
)"),
    .examples = FE_DOC("f(5), 0\n"
                       "f(2, 3, 4), 1\n"
                       "np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0]]), -1\n"
                       "f(0, 3), 0\n"
                       "i(9, 4, 3), 0\n"
                       "f(), 0"),
    .reference = FE_DOC("np.cumprod(input, dim).reshape(input.shape)"),
    .has_inplace = true,
    .saves = "input out",
    .infer = infer_scan,
    .vjp = FE_GRAD(cumprod_vjp),
    .complex = FE_GRAD(complex_cumprod),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef linear_scan_op = {
    .name = "linear_scan",
    .sig = "input: Tensor[float], factor: Tensor[float], dim: int, "
           "reverse: bool = False",
    .doc = FE_DOC(R"(The recurrence out[i] = input[i] + factor[i] * out[i - 1].

Args:
    input: any shape.
    factor: the same shape and dtype; its first element does not count.
    dim: the dimension that i counts in.
    reverse: True runs from the last element to the first.

Returns:
    Shape of `input`.

Raises:
    IndexError: the dimension is out of range.
    ShapeError: the shapes differ.

Example:
    >>> import ferrule as fe
    >>> x, a = fe.tensor([1.0, 1.0, 1.0]), fe.tensor([9.0, 2.0, 0.5])
    >>> fe.ops.linear_scan(x, a, 0).tolist()
    [1.0, 3.0, 2.5]

Source: a first-order linear recurrence; the gradient of cumprod is one.
)"),
    .examples = FE_DOC("f(5), f(5), 0\n"
                       "f(2, 3, 4), f(2, 3, 4), 1\n"
                       "f(3, 4), f(3, 4), -1, True\n"
                       "f(0, 3), f(0, 3), 0\n"
                       "f(), f(), 0"),
    .where = kInternal,
    .saves = "factor out",
    .infer =
        [](OpCall& c) {
          infer_like_first(c);
          require_same_dtype(c, {0, 1});
          c.dim(2, c.in(0).ndim);
        },
    .vjp = FE_GRAD(linear_scan_vjp),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef logcumsumexp_op = {
    .name = "logcumsumexp",
    .sig = "input: Tensor[float], dim: int",
    .doc =
        FE_DOC(R"(Logarithm of the running sum of exp(input), without overflow.

Args:
    input: any shape; floating-point.
    dim: the dimension.

Returns:
    Shape of `input`.

Raises:
    IndexError: the dimension is out of range.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.logcumsumexp(fe.tensor([1000.0, -1000.0]), 0).tolist()
    [1000.0, 1000.0]

Source: torch.logcumsumexp.
)"),
    .examples = FE_DOC("f(5), 0\nf(2, 3, 4), 1\nf(2, 3), -1\nf(), 0"),
    .reference = FE_DOC("np.logaddexp.accumulate(input, dim) if input.ndim "
                        "else input"),
    .saves = "input out",
    .infer =
        [](OpCall& c) {
          c.dim(1, c.in(0).ndim);
          c.compute = c.in(0).dtype;
          c.out_like(0, 0);
        },
    .vjp = FE_GRAD(logcumsumexp_vjp),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef running_argmax_op = {
    .name = "running_argmax",
    .sig = "input: Tensor, dim: int, largest: bool = True",
    .doc = FE_DOC(R"(Where the largest element so far stands; NaN wins.

Args:
    input: any shape.
    dim: the dimension.
    largest: False looks for the smallest.

Returns:
    Shape of `input`, int64; the last of equals.

Raises:
    IndexError: the dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.ops.running_argmax(fe.tensor([1, 3, 3, 2]), 0).tolist()
    [0, 1, 2, 2]

Source: the indices of torch.cummax.
)"),
    .examples = FE_DOC("f(5), 0\ni(3, 2, 6, 4), 1\nf(2, 3), -1, False\nf(), 0"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          check_real(c, 0);
          c.dim(1, c.in(0).ndim);
          c.out(0, DType::i64, c.in(0).sizes());
        },
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef cummax_op = {
    .name = "cummax",
    .sig = "input: Tensor, dim: int -> values, indices",
    .doc = FE_DOC(R"(The largest element so far along a dimension; NaN wins.

Args:
    input: any shape.
    dim: the dimension.

Returns:
    values and indices (int64, the last of equals), both of the shape of `input`.

Raises:
    IndexError: the dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> values, indices = fe.cummax(fe.tensor([1, 3, 2]), 0)
    >>> values.tolist(), indices.tolist()
    ([1, 3, 3], [0, 1, 1])

Source: torch.cummax.
)"),
    .examples = FE_DOC("f(5), 0\nf(2, 6, 4), 1\nf(2, 3), -1\nf(), 0"),
    .reference = FE_DOC("np.maximum.accumulate(input, dim) if input.ndim else "
                        "input"),
    .decompose = FE_GRAD([](OpCall& c) { return running_extreme(c, true); }),
};

extern const OpDef cummin_op = {
    .name = "cummin",
    .sig = "input: Tensor, dim: int -> values, indices",
    .doc = FE_DOC(R"(The smallest element so far along a dimension; NaN wins.

Args:
    input: any shape.
    dim: the dimension.

Returns:
    values and indices (int64, the last of equals), both of the shape of `input`.

Raises:
    IndexError: the dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> values, indices = fe.cummin(fe.tensor([2, 1, 3]), 0)
    >>> values.tolist(), indices.tolist()
    ([2, 1, 1], [0, 1, 1])

Source: torch.cummin.
)"),
    .examples = FE_DOC("f(5), 0\nf(2, 6, 4), 1\nf(2, 3), -1\nf(), 0"),
    .reference = FE_DOC("np.minimum.accumulate(input, dim) if input.ndim else "
                        "input"),
    .decompose = FE_GRAD([](OpCall& c) { return running_extreme(c, false); }),
};

}  // namespace ferrule
