// Max pooling of one row: one element of the window for all windows.
#pragma once

#include <cstdint>

#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// For o < n: if in[o * stride] is larger than best[o], or is the first NaN, or
// element[o] is -1, it becomes best[o], and element[o] becomes `k`. `element`
// has integers as large as T.
template <class T>
using MaxRowFn = void (*)(const T* in, int64_t stride, int64_t n, int64_t k,
                          T* best, void* element);

FE_SIMD(void max_row_f32(const float* in, int64_t stride, int64_t n, int64_t k,
                         float* best, void* element);
        void max_row_f64(const double* in, int64_t stride, int64_t n, int64_t k,
                         double* best, void* element);)

}  // namespace ferrule::cpu
