// The arithmetic of layer normalisation on one row.
#pragma once

#include <cstdint>

#include "ferrule/dtype.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// Of one row; arrays and scalars have the row's dtype. Null weights are 1 and
// null biases 0.
struct LayerNormRow {
  void* out;
  bool past_caches;  // write so (stream.h)
  const void* x;
  const void* weight;
  const void* bias;
  void* mean;  // one number
  void* rstd;
  double eps;
};

struct LayerNormBackwardRow {
  void* out;
  const void* grad;
  const void* x;
  const void* weight;
  const void* mean;
  const void* rstd;
  void* weight_grad;  // added to
  void* bias_grad;
};

FE_SIMD(void layer_norm_row(const LayerNormRow& row, int64_t n, DType t);
        void layer_norm_backward_row(const LayerNormBackwardRow& row, int64_t n,
                                     DType t);)

}  // namespace ferrule::cpu
