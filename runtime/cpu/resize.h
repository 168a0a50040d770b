// Sums of weighted rows, the loops of interpolation.
#pragma once

#include <cstdint>

#include "ferrule/dtype.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// On float or double.
struct ResizeLoops {
  // out[i] = sum over k of weights[k] * rows[k * stride + i], for i < n.
  void (*mix)(void* out, const void* rows, int64_t stride, const void* weights,
              int64_t count, int64_t n);
  // out[i] += weight * in[i]
  void (*add)(void* out, const void* in, double weight, int64_t n);
};

FE_SIMD(ResizeLoops resize_loops(DType t);)

}  // namespace ferrule::cpu
