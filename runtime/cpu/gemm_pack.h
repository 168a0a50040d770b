// Copies blocks of A and B into the order that register tiles read them in. For
// gemm.simd.cpp.
#pragma once

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

// lanes x lanes elements, transposed by repeated interleaving of the first half
// of the rows with the second.
template <class V>
FE_INLINE void transpose(V (&rows)[width<V>]) {
  constexpr int kWidth = width<V>;
#pragma GCC unroll 4
  for (int stage = 1; stage < kWidth; stage *= 2) {
    V next[kWidth];
#pragma GCC unroll 16
    for (int i = 0; i < kWidth / 2; ++i) {
      [&]<int... j>(std::integer_sequence<int, j...>) {
        constexpr int kHalf = kWidth / 2;
        next[2 * i] = __builtin_shufflevector(rows[i], rows[i + kHalf],
                                              (j / 2 + j % 2 * kWidth)...);
        next[2 * i + 1] = __builtin_shufflevector(
            rows[i], rows[i + kHalf], (kHalf + j / 2 + j % 2 * kWidth)...);
      }(std::make_integer_sequence<int, kWidth>());
    }
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) rows[i] = next[i];
  }
}

// to[k * to_row + j] = from[k + j * from_col], for j < cols, k < depth; zeros
// up to the full vector. `cols` is at most a vector's.
template <class T>
[[gnu::noinline]] void pack_transposed(const T* from, int64_t from_col,
                                       int64_t depth, int64_t cols, T* to,
                                       int64_t to_row) {
  constexpr int kLanes = lanes<T>;
  for (int64_t k = 0; k < depth; k += kLanes) {
    const int64_t left = depth - k;
    Vec<T> rows[kLanes] = {};
    if (cols >= kLanes && left >= kLanes) {
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; ++j) rows[j] = load(from + j * from_col + k);
    } else {
      for (int64_t j = 0; j < cols && j < kLanes; ++j) {
        rows[j] = load(from + j * from_col + k, left);
      }
    }
    transpose(rows);
    if (left >= kLanes) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(to + (k + i) * to_row, rows[i]);
    } else {
      for (int64_t i = 0; i < left; ++i) store(to + (k + i) * to_row, rows[i]);
    }
  }
}

// depth x cols of a matrix into rows of `width` elements, zeros beyond `cols`.
// `width` is whole vectors.
template <class T>
[[gnu::noinline]] void pack_panel(const T* from, int64_t row, int64_t col,
                                  int64_t depth, int64_t cols, T* to,
                                  int64_t width) {
  if (col == 1) {
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t j = 0; j < width; j += lanes<T>) {
        const int64_t left = cols > j ? cols - j : 0;
        __builtin_prefetch(from + (k + 8) * row + j);
        store(to + k * width + j, load(from + k * row + j, left));
      }
    }
  } else if (row == 1) {
    for (int64_t j = 0; j < width; j += lanes<T>) {
      pack_transposed(from + j * col, col, depth, cols - j, to + j, width);
    }
  } else {
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t j = 0; j < width; ++j) {
        to[k * width + j] = j < cols ? from[k * row + j * col] : T(0);
      }
    }
  }
}

// n elements, as they are.
template <class T>
[[gnu::noinline]] void pack_row(const T* from, int64_t n, T* to) {
  for (int64_t i = 0; i < n; i += lanes<T>) {
    store(to + i, load(from + i, n - i), n - i);
  }
}

}  // namespace ferrule::cpu::FE_ISA
