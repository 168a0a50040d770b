// Convolutions of one channel by one kernel of 3 x 3 or 5 x 5, stride 1 or 2,
// in float32: what networks for phones are made of. Nothing is copied: vectors
// run along rows of the image, several rows of the result share what they read,
// and at the margins only what exists is read.
#pragma once

#include <cstdint>

#include "runtime/core/window.h"
#include "runtime/cpu/epilogue.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// One plane. For the gradients `result` is that of the convolution.
struct DepthwisePlane {
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t pad_h = 0, pad_w = 0;  // before the first row and column
  int64_t in_h = 0, in_w = 0;
  int64_t out_h = 0, out_w = 0;
  const float* input = nullptr;
  const float* weight = nullptr;
  bool flipped = false;  // the kernel is read from its end
  bool add = false;      // to `out`, instead of overwriting it
  float bias = 0;
  const Epilogue::Steps* then = nullptr;  // on the result, if not null
  const float* grad = nullptr;            // of the result, dense
  float* out = nullptr;          // the result, or the gradient of the input
  float* weight_grad = nullptr;  // is added to
};

// Does the above hold? Gradients of the input of stride 1 are convolutions with
// the kernel flipped.
inline bool depthwise_fits(const Conv2dShape& s) {
  auto fits = [&](const Window& w) {
    return (w.kernel == 3 || w.kernel == 5) && w.kernel == s.h.kernel &&
           (w.stride == 1 || w.stride == 2) && w.stride == s.h.stride &&
           w.dilation == 1 && w.padding < w.kernel && w.out > 0;
  };
  return s.groups > 1 && s.in_channels == s.groups && fits(s.h) && fits(s.w);
}

FE_SIMD(
    // out = bias + input convolved.
    void depthwise(const DepthwisePlane& p);
    // out = gradient of the input, for stride 2.
    void depthwise_dx2(const DepthwisePlane& p);
    // weight_grad += gradient of the weight.
    void depthwise_dw(const DepthwisePlane& p);)

}  // namespace ferrule::cpu
