// What the Fourier transforms of the module `fft` share: their operand, its
// sizes, and what the result is multiplied by.
#pragma once

#include "ferrule/op.h"

namespace ferrule {

#ifndef FE_RUNTIME_ONLY

// Argument 0 in a dtype of transforms: integers and bools become float32.
// `instead`: the function for complex tensors, where they are refused.
Tensor fft_operand(const OpCall& c, const char* instead = nullptr);
// The same, complex.
Tensor fft_coefficients(const OpCall& c);

// Dimension `dim` with n numbers: the first ones, or zeros after them.
Tensor fft_resized(const OpCall& c, const Tensor& x, int dim, Int n);

// `scale` of a transform for the argument `norm`.
const char* fft_scale(const OpCall& c, int norm, bool forward);

// The dimensions of a transform of several, from the arguments `s`, `dim`:
// None, None: all, or the last two; s: as many of the last ones.
struct FftDims {
  int n = 0;
  int dim[kMaxRank];
  Int size[kMaxRank];
  bool given[kMaxRank] = {};  // by s

  // `last_two`: of transforms of matrices.
  FftDims(const OpCall& c, bool last_two);
  // Throws unless there is one.
  void require_one(const OpCall& c) const;
};

#endif

}  // namespace ferrule
