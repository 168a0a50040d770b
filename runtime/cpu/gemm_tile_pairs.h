// The register tile where the machine multiplies small matrices: an instruction
// takes two words each of two rows of A and of two columns of B and adds to
// four sums (Arm Architecture Reference Manual, SMMLA and BFMMLA). Panels are
// packed as for other tiles. For *.simd.cpp.
#pragma once

#include "runtime/cpu/gemm_tile.h"

namespace ferrule::cpu::FE_ISA {

// Lanes of what Op::step_pairs multiplies are the words of a first row (or
// column) and those of a second one; lanes of sums are in the order (0, 0), (0,
// 1), (1, 0), (1, 1).

// What both words of a row are at step k; of a depth that is odd the last one
// is zero.
template <class T>
struct WordPair {
  T first, second;

  FE_INLINE WordPair(const T* a, int64_t a_col, bool both)
      : first(a[0]), second(both ? a[a_col] : T(0)) {}
};

template <class T, int rows, int vectors, class Op>
void run_pair_tile(const Tile<T>& t) {
  static_assert(lanes<T> == 4);
  constexpr int kPairs = (rows + 1) / 2;  // the last row counts twice, if odd
  Vec<T> sum[kPairs][2 * vectors] = {};
  const T* b = t.b;
  auto step = [&](int64_t k, bool both) {
    Vec<T> b_k[2 * vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const Vec<T> first = load(b + v * 4);
      const Vec<T> second = both ? load(b + t.b_row + v * 4) : Vec<T>{};
      b_k[2 * v] = __builtin_shufflevector(first, second, 0, 4, 1, 5);
      b_k[2 * v + 1] = __builtin_shufflevector(first, second, 2, 6, 3, 7);
    }
#pragma GCC unroll 8
    for (int p = 0; p < kPairs; ++p) {
      const T* const a = t.a + 2 * p * t.a_row + k * t.a_col;
      const WordPair<T> even(a, t.a_col, both);
      const WordPair<T> odd(2 * p + 1 < rows ? a + t.a_row : a, t.a_col, both);
      const Vec<T> a_k = {even.first, even.second, odd.first, odd.second};
#pragma GCC unroll 4
      for (int j = 0; j < 2 * vectors; ++j) {
        sum[p][j] = Op::step_pairs(a_k, b_k[j], sum[p][j]);
      }
    }
    b += 2 * t.b_row;
  };
  int64_t k = 0;
  for (; k + 2 <= t.depth; k += 2) step(k, true);
  if (k < t.depth) step(k, false);
  alignas(kVectorBytes) T part[rows * vectors * 4];
  for (int i = 0; i < rows; ++i) {
    const Vec<T> start = splat(t.row_init[i * t.row_init_step]);
    for (int v = 0; v < vectors; ++v) {
      const Vec<T> left = sum[i / 2][2 * v], right = sum[i / 2][2 * v + 1];
      const Vec<T> row = i % 2 == 0
                             ? __builtin_shufflevector(left, right, 0, 1, 4, 5)
                             : __builtin_shufflevector(left, right, 2, 3, 6, 7);
      store(part + (i * vectors + v) * 4,
            row + (start + load(t.col_init + v * 4)));
    }
  }
  store_part(t, part, rows, vectors * 4);
}

}  // namespace ferrule::cpu::FE_ISA
