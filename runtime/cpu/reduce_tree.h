// Reduction of a dense run of elements in one fixed order, for `*.simd.cpp`.
//
// 128 bytes of accumulators are kept whatever the width of a vector: element i
// goes to accumulator i mod 32 (float) or i mod 16 (double, int64), and at the
// end the upper half is combined with the lower one, and so on. So every
// instruction set gives the same sum, bit for bit, and rounding errors grow
// with the number of elements / 32.
#pragma once

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

// combine(...combine(neutral, element(i))...) over 0 <= i < n. `element(i,
// left)` gives the vector at i, of which only the first `left` lanes count.
template <class T, class Combine, class Get>
FE_INLINE T reduce_run(int64_t n, T neutral, Combine combine, Get element) {
  constexpr int kLanes = lanes<T>;
  constexpr int kAll = 128 / sizeof(T);
  constexpr int kCount = kAll / kLanes;
  Vec<T> sums[kCount];
#pragma GCC unroll 8
  for (int k = 0; k < kCount; ++k) sums[k] = splat<T>(neutral);
  int64_t i = 0;
  for (; i + kAll <= n; i += kAll) {
#pragma GCC unroll 8
    for (int k = 0; k < kCount; ++k) {
      sums[k] = combine(sums[k], element(i + k * kLanes, int64_t{kLanes}));
    }
  }
  if (i < n) {
#pragma GCC unroll 8
    for (int k = 0; k < kCount; ++k) {
      const int64_t left = n - i - k * kLanes;
      if (left <= 0) break;
      using M = Mask<Vec<T>>;
      const Element<M> valid =
          left < kLanes ? static_cast<Element<M>>(left) : Element<M>{kLanes};
      const Vec<T> v = iota<Element<M>>() < valid
                           ? element(i + k * kLanes, left)
                           : splat<T>(neutral);
      sums[k] = combine(sums[k], v);
    }
  }
#pragma GCC unroll 8
  for (int half = kCount / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int k = 0; k < half; ++k) sums[k] = combine(sums[k], sums[k + half]);
  }
  return reduce(sums[0], combine);
}

}  // namespace ferrule::cpu::FE_ISA
