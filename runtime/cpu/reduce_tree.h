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

// The accumulators, for runs that are folded together.
template <class T, class Combine>
class RunFold {
 public:
  FE_INLINE RunFold(T neutral, Combine combine)
      : neutral_(neutral), combine_(combine) {
#pragma GCC unroll 8
    for (int k = 0; k < kCount; ++k) sums_[k] = splat<T>(neutral);
  }

  // Of a run of n elements. `element(i, left)` gives the vector at i, of which
  // only the first `left` lanes count.
  template <class Get>
  FE_INLINE void add(int64_t n, Get element) {
    int64_t i = 0;
    for (; i + kAll <= n; i += kAll) {
#pragma GCC unroll 8
      for (int k = 0; k < kCount; ++k) {
        sums_[k] = combine_(sums_[k], element(i + k * kLanes, int64_t{kLanes}));
      }
    }
    if (i == n) return;
#pragma GCC unroll 8
    for (int k = 0; k < kCount; ++k) {
      const int64_t left = n - i - k * kLanes;
      if (left <= 0) break;
      using M = Mask<Vec<T>>;
      const Element<M> valid =
          left < kLanes ? static_cast<Element<M>>(left) : Element<M>{kLanes};
      const Vec<T> v = iota<Element<M>>() < valid
                           ? element(i + k * kLanes, left)
                           : splat<T>(neutral_);
      sums_[k] = combine_(sums_[k], v);
    }
  }

  FE_INLINE T result() {
#pragma GCC unroll 8
    for (int half = kCount / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
      for (int k = 0; k < half; ++k) {
        sums_[k] = combine_(sums_[k], sums_[k + half]);
      }
    }
    return reduce(sums_[0], combine_);
  }

 private:
  static constexpr int kLanes = lanes<T>;
  static constexpr int kAll = 128 / sizeof(T);
  static constexpr int kCount = kAll / kLanes;

  Vec<T> sums_[kCount];
  T neutral_;
  Combine combine_;
};

// combine(...combine(neutral, element(i))...) over 0 <= i < n.
template <class T, class Combine, class Get>
FE_INLINE T reduce_run(int64_t n, T neutral, Combine combine, Get element) {
  RunFold<T, Combine> fold(neutral, combine);
  fold.add(n, element);
  return fold.result();
}

}  // namespace ferrule::cpu::FE_ISA
