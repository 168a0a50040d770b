// Convolution of one plane with one kernel, for groups of a single channel.
//
// The plane is copied with its padding, and every row is split by column modulo
// the stride: element k of the kernel then reads consecutive columns for
// consecutive results, at a fixed distance from the first, whatever stride and
// dilation are.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/core/window.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

struct DepthwiseShape {
  int64_t taps;        // elements of the kernel
  int64_t rows, cols;  // of the result
  int64_t row_step;  // in the split plane, from one row of results to the next
  int64_t pitch;     // of the split plane's rows
  int64_t elements;  // of the split plane

  // Vectors read past the last column, but never past the row.
  static constexpr int64_t kMostLanes = 16;

  explicit DepthwiseShape(const Conv2dShape& s)
      : taps(s.h.kernel * s.w.kernel), rows(s.h.out), cols(s.w.out) {
    pitch = (s.w.out + kMostLanes - 1) / kMostLanes * kMostLanes +
            (s.w.extent() - 1) / s.w.stride;
    row_step = s.h.stride * s.w.stride * pitch;
    elements = ((s.h.out - 1) * s.h.stride + s.h.extent()) * s.w.stride * pitch;
  }
};

// Element (row, column) of the padded plane, in the split plane.
inline int64_t split_index(const Conv2dShape& s, const DepthwiseShape& d,
                           int64_t row, int64_t col) {
  return (row * s.w.stride + col % s.w.stride) * d.pitch + col / s.w.stride;
}

// offset[k]: where element k of the kernel finds its first input.
inline void find_offsets(const Conv2dShape& s, const DepthwiseShape& d,
                         int64_t* offset) {
  for (int64_t i = 0; i < s.h.kernel; ++i) {
    for (int64_t j = 0; j < s.w.kernel; ++j) {
      *offset++ = split_index(s, d, i * s.h.dilation, j * s.w.dilation);
    }
  }
}

// Calls visit(plane_index, split_index) for every element of the plane that
// some window reaches.
template <class Visit>
void each_split(const Conv2dShape& s, const DepthwiseShape& d,
                const Visit& visit) {
  const int64_t h_end =
      std::min(s.h.in, (s.h.out - 1) * s.h.stride + s.h.extent() - s.h.padding);
  const int64_t w_end =
      std::min(s.w.in, (s.w.out - 1) * s.w.stride + s.w.extent() - s.w.padding);
  for (int64_t h = 0; h < h_end; ++h) {
    const int64_t row = split_index(s, d, h + s.h.padding, 0);
    for (int64_t phase = 0; phase < s.w.stride; ++phase) {
      // Columns w with (w + padding) % stride == phase.
      int64_t w = (phase - s.w.padding) % s.w.stride;
      if (w < 0) w += s.w.stride;
      int64_t to = row + phase * d.pitch + (w + s.w.padding) / s.w.stride;
      for (; w < w_end; w += s.w.stride) visit(h * s.w.in + w, to++);
    }
  }
}

template <class T>
struct Depthwise {
  const DepthwiseShape& shape;
  const int64_t* offset;
  T* plane;         // split
  const T* weight;  // not for dw
  T* result;        // forward only
  const T* grad;    // of the result: dx and dw
  T* weight_grad;   // dw only
  T bias = 0;       // forward only
};

enum class DepthwiseKind : uint8_t {
  forward,  // result = bias + plane and weight, convolved
  dx,       // plane += the plane's gradient
  dw,       // weight_grad += the weight's gradient
};
template <class T>
using DepthwiseFn = void (*)(const Depthwise<T>& d);

FE_SIMD(DepthwiseFn<float> depthwise_f32(DepthwiseKind kind);
        DepthwiseFn<double> depthwise_f64(DepthwiseKind kind);)

template <class T>
DepthwiseFn<T> depthwise_fn(DepthwiseKind kind) {
  if constexpr (sizeof(T) == 4) {
    return FE_BEST(depthwise_f32)(kind);
  } else {
    return FE_BEST(depthwise_f64)(kind);
  }
}

}  // namespace ferrule::cpu
