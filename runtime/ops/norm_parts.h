// What the normalisations share.
#pragma once

#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {

inline void require_shape(const OpCall& c, int arg, const Dims& want,
                          std::string_view why) {
  if (!c.is_tensor(arg) || want == Dims(c.in(arg).sizes())) return;
  c.fail<ShapeError>("'", c.info.schema.params[arg].name, "' has shape ",
                     c.in(arg).sizes(), ", but ", why, " is ", want);
}

// Statistics have the dtype of the arithmetic.
inline void check_statistics(const OpCall& c, const Dims& shape) {
  for (int i : {2, 3}) {
    require_shape(c, i, shape, "the statistics' shape");
    if (c.in(i).dtype == accumulator(c.in(1).dtype)) continue;
    c.fail<DTypeError>("'", c.info.schema.params[i].name, "' must be ",
                       accumulator(c.in(1).dtype), ", got ", c.in(i).dtype);
  }
}

// (C,) as (C, 1, ..., 1), beside (N, C, ...).
inline Tensor beside_channels(const Tensor& t, int ndim) {
  IntList shape{size_of(t.impl(), 0)};
  for (int d = 2; d < ndim; ++d) shape.push(1);
  return op::reshape(t, shape);
}

inline Tensor sum_channels(const Tensor& t) {
  IntList dims;
  for (int d = 0; d < t.ndim(); ++d) {
    if (d != 1) dims.push(d);
  }
  return op::sum(t, dims);
}

// What flows to x through the statistics themselves, of n elements each:
// d mean = 1 / n, d rstd = -rstd^3 (x - mean) / n.
inline Tensor gradient_of_statistics(const Tensor& x, const Tensor& mean,
                                     const Tensor& rstd, Tensor mean_grad,
                                     Tensor rstd_grad, Int n) {
  Tensor total;
  if (mean_grad) {
    total = op::expand(op::div(mean_grad, n), sizes_of(x.impl()));
  }
  if (rstd_grad) {
    const Tensor cube = op::mul(rstd, op::mul(rstd, rstd));
    const Tensor slope = op::div(op::mul(rstd_grad, cube), n);
    const Tensor part = op::mul(slope, op::sub(mean, x));
    total = total ? op::add(total, part) : part;
  }
  return total;
}

inline Tensor grad_or_none(Vjp& v, int i) {
  return v.has_grad(i) ? v.grad(i) : Tensor();
}

}  // namespace ferrule
