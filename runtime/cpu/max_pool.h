// Max pooling of windows that are alike.
#pragma once

#include <cstdint>

#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// Windows in lines, all alike, and which elements of each count. Steps in
// elements.
struct MaxWindows {
  const void* first;  // of the first window, the first element
  int64_t index;      // of that element in its plane
  int64_t lines, line_step;
  int64_t count, step;     // windows of a line
  int64_t rows, row_step;  // of a window, at least one
  int64_t cols, col_step;
  int64_t out_step;  // from line to line of the result
};

// best[o] is the largest element of window o, or the first NaN, and index[o]
// its place in the plane; the first of equal ones. `index` may be null.
FE_SIMD(void max_windows_f32(const MaxWindows& w, float* best, int64_t* index);
        void max_windows_f64(const MaxWindows& w, double* best,
                             int64_t* index);)

}  // namespace ferrule::cpu
