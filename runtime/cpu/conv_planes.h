// Images laid out for convolution: copied with their padding, and split by row
// and column modulo the stride.
//
// One element of the kernel then reads, for consecutive positions of the
// result, consecutive elements at a fixed distance from the first, whatever
// stride and dilation are. Positions are counted along whole rows of a plane,
// `pitch` long, of which those past the result's width are computed in vain.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/core/window.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// One dimension. Element i of phase p is element i * step + p + first of the
// source, or 0 where there is none.
struct PlaneAxis {
  int64_t source = 1;
  int64_t step = 1;
  int64_t first = 0;
  int64_t phases = 1;
  int64_t size = 1;  // of a phase

  int64_t at(int64_t phase, int64_t i) const {
    return i * step + phase + first;
  }
};

// Of the input, for conv2d and conv2d_dw: window o starts at element o, and
// element k of the kernel lies (k dilation) / stride further, in the phase that
// is the remainder.
inline PlaneAxis input_axis(const Window& w) {
  PlaneAxis a{.source = w.in, .step = w.stride, .first = -w.padding};
  a.phases = 1;
  for (int64_t k = 0; k < w.kernel && a.phases < w.stride; ++k) {
    a.phases = std::max(a.phases, k * w.dilation % w.stride + 1);
  }
  a.size = w.out + (w.extent() - 1) / w.stride;
  return a;
}

// Of the gradient, for conv2d_dx. With q = (h + padding) / stride, element h of
// the input gets something from the windows q - (k dilation) / stride for those
// k for which the remainders agree.
struct GradAxis {
  PlaneAxis axis;
  int64_t lowest = 0;  // q of h = 0
  int64_t reach = 0;   // the furthest that a window lies behind

  explicit GradAxis(const Window& w)
      : lowest(w.padding / w.stride), reach((w.extent() - 1) / w.stride) {
    axis.source = w.out;
    axis.first = lowest - reach;
    axis.size = (w.padding + w.in - 1) / w.stride - lowest + reach + 1;
  }
};

// Elements of the input whose (h + padding) % stride is `phase`.
struct InputPhase {
  int64_t first;  // the first of them
  int64_t count;
  int64_t q;  // of the first, see GradAxis

  InputPhase(const Window& w, int64_t phase) {
    first = (phase - w.padding) % w.stride;
    if (first < 0) first += w.stride;
    count = first < w.in ? (w.in - 1 - first) / w.stride + 1 : 0;
    q = (first + w.padding) / w.stride;
  }
};

struct Planes {
  PlaneAxis h, w;

  int64_t pitch() const { return w.size; }
  int64_t phase_elements() const { return h.size * w.size; }
  int64_t elements() const { return h.phases * w.phases * phase_elements(); }
  int64_t index(int64_t phase_h, int64_t phase_w, int64_t i, int64_t j) const {
    return (phase_h * w.phases + phase_w) * phase_elements() + i * pitch() + j;
  }
};

// Copies one image of one channel.
FE_SIMD(void fill_planes_f32(const Planes& p, const float* from, float* to);
        void fill_planes_f64(const Planes& p, const double* from, double* to);)

inline void fill_planes(const Planes& p, const float* from, float* to) {
  FE_BEST(fill_planes_f32)(p, from, to);
}
inline void fill_planes(const Planes& p, const double* from, double* to) {
  FE_BEST(fill_planes_f64)(p, from, to);
}

}  // namespace ferrule::cpu
