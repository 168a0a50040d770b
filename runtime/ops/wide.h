// Compositions of several roundings are computed in float32 where their
// arguments have 16 bits, so that their result is rounded once, as a kernel's.
#pragma once

#include <utility>

#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {

inline Tensor widened(Tensor t) {
  const DType wide = accumulator(t.dtype());
  return wide == t.dtype() ? std::move(t) : op::cast(t, wide);
}

inline Tensor narrowed(Tensor t, DType dtype) {
  return t.dtype() == dtype ? std::move(t) : op::cast(t, dtype);
}

}  // namespace ferrule
