// What the losses share: their reduction, and the mistakes they all refuse.
#pragma once

#include <string_view>

#include "ferrule/ops.h"
#include "runtime/ops/common.h"
#include "runtime/ops/wide.h"

namespace ferrule {

inline void check_reduction(const OpCall& c, int arg) {
  const auto form = c.str(arg);
  if (form == "none" || form == "mean" || form == "sum") return;
  c.fail<ValueError>("reduction must be \"none\", \"mean\" or \"sum\", got \"",
                     form, "\"");
}

// The loss in the dtype of the first argument, reduced as argument `arg` says.
// `share`: what "mean" divides the sum by; none is the number of elements.
inline Results reduced(const OpCall& c, const Tensor& loss, int arg,
                       const Tensor& share = Tensor()) {
  const auto form = c.str(arg);
  Tensor r = loss;
  if (form == "sum" || (form == "mean" && share)) r = op::sum(r);
  if (form == "mean") r = share ? op::div(r, op::sum(share)) : op::mean(r);
  return one(narrowed(std::move(r), c.in(0).dtype));
}

// Broadcasting in a loss is a mistake that trains to nonsense.
inline void check_same_shape(const OpCall& c, int input, int target) {
  const Dims x(c.in(input).sizes()), y(c.in(target).sizes());
  if (x == y) return;
  const auto& params = c.info.schema.params;
  const auto has_one_more = [](const Dims& longer, const Dims& shorter) {
    if (longer.n != shorter.n + 1 || longer[longer.n - 1] != 1) return false;
    for (int d = 0; d < shorter.n; ++d) {
      if (longer[d] != shorter[d]) return false;
    }
    return true;
  };
  const std::string_view a = params[input].name, b = params[target].name;
  const auto fail = [&](const auto&... fix) {
    c.fail<ShapeError>(a, " has shape ", x, " but ", b, " ", y,
                       "; a loss does not broadcast: ", fix...);
  };
  if (has_one_more(x, y)) {
    fail("write ", a, ".squeeze(-1) or ", b, ".unsqueeze(-1)");
  }
  if (has_one_more(y, x)) {
    fail("write ", b, ".squeeze(-1) or ", a, ".unsqueeze(-1)");
  }
  fail("if broadcasting is meant, write ", b, ".expand(", a, ".shape)");
}

inline void check_same_dtype(const OpCall& c, int input, int target) {
  if (c.in(input).dtype == c.in(target).dtype) return;
  const auto& params = c.info.schema.params;
  const std::string_view a = params[input].name, b = params[target].name;
  c.fail<DTypeError>(a, " is ", c.in(input).dtype, " but ", b, " ",
                     c.in(target).dtype, "; write ", b, ".to(", a, ".dtype)");
}

// |input - target|, or their difference, of two tensors of one shape.
inline Tensor difference(const OpCall& c, int input = 0, int target = 1) {
  check_same_shape(c, input, target);
  return op::sub(widened(c.tensor(input)), widened(c.tensor(target)));
}

// The loss times optional weights, argument `arg`.
inline Tensor weighted(const OpCall& c, const Tensor& loss, int arg) {
  return c.is_tensor(arg) ? op::mul(loss, widened(c.tensor(arg))) : loss;
}

}  // namespace ferrule
