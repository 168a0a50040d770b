#include "runtime/autograd/layout.h"

#include "ferrule/ops.h"

namespace ferrule {

bool is_channels_last(const TensorImpl& t) {
  if (t.ndim != 4 && t.ndim != 5) return false;
  int64_t step = 1;
  auto fits = [&](int d) {
    const bool ok = t.shape[d] == 1 || t.strides[d] == step;
    step *= t.shape[d];
    return ok;
  };
  if (!fits(1)) return false;
  for (int d = t.ndim - 1; d > 1; --d) {
    if (!fits(d)) return false;
  }
  return fits(0);
}

Tensor to_channels_last(const Tensor& t) {
  const int n = t.ndim();
  if (n != 4 && n != 5) {
    fail<ShapeError>("[channels_last] is for tensors of 4 or 5 dimensions, got "
                     "shape ",
                     t.shape());
  }
  if (is_channels_last(*t.impl())) return t;
  IntList inner{0}, outer{0, n - 1};
  for (int d = 2; d < n; ++d) inner.push(d);
  inner.push(1);
  for (int d = 1; d < n - 1; ++d) outer.push(d);
  return op::permute(op::clone(op::permute(t, inner)), outer);
}

}  // namespace ferrule
