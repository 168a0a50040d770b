// How a matrix product is cut up and what of it is copied first: decided by
// shape and strides alone, alike for every instruction set.
#pragma once

#include <cstdint>

#include "runtime/cpu/gemm.h"

namespace ferrule::cpu {

// A block of B is kGemmCols columns and up to kGemmDepthBytes of each, three
// parts of 176 floats: some 720 KiB for long sums, which the second-level cache
// holds while A passes by.
inline constexpr int64_t kGemmCols = 512;
inline constexpr int64_t kGemmDepthBytes = 2112;
inline constexpr int64_t kMaxTileCols = 64;
// Words of the longest sum of floats in one go, see gemm_tile.h.
inline constexpr int64_t kSumPart = 192;

enum class GemmWay : uint8_t {
  // Register tiles: a panel of A's rows times panels of B's columns. B is
  // packed, or read in place where its rows are dense.
  tiles,
  // Tiles of the transposed product: A^T is packed and not B, where A is the
  // smaller one and both have dense sums.
  swapped,
  // Few rows of A and dense rows of B: B streams by once.
  stream,
  // Few rows of A and dense columns of B: dot products.
  dot,
};

struct GemmPlan {
  GemmWay way = GemmWay::tiles;
  bool pack_a = false;
  bool pack_all_a = false;  // before it is used, and not panel by panel
  bool narrow = false;      // a panel of B is used up before the next one
  bool pack_b = false;      // all of it; otherwise columns that fill no panel
  int64_t depth = 0;        // of a block; all but the last are equally deep
  int64_t part = 0;         // of it, in words: what is summed in one go
  int64_t a_elements = 0;   // packed, at most
  int64_t b_elements = 0;
};

// Always inlined, because gemm.simd.cpp uses it: see isa.h.
[[gnu::always_inline]] constexpr int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// The length of A's rows when copied: longer than need be, because a power of
// two would map all of them to the same cache lines.
[[gnu::always_inline]] constexpr int64_t padded_row(int64_t n) {
  return round_up(n, 16) + 16;
}

// The product that is computed in place of `g`: a column vector is better made
// as a row vector, and `swapped` computes the transposed product. `c_row` is
// then the distance of columns of C.
template <class T, class S>
[[gnu::always_inline]] constexpr Gemm<T, S> transposed(const Gemm<T, S>& g) {
  Gemm<T, S> t;
  t.m = g.n;
  t.n = g.m;
  t.k = g.k;
  t.a = {g.b.data, g.b.col, g.b.row};
  t.b = {g.a.data, g.a.col, g.a.row};
  t.c = g.c;
  t.c_row = g.c_row;
  t.col_bias = g.row_bias;
  t.row_bias = g.col_bias;
  t.accumulate = g.accumulate;
  t.epilogue = g.epilogue;
  t.column = g.column;
  return t;
}

// Always inlined, as above.
[[gnu::always_inline]] constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
[[gnu::always_inline]] constexpr int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}
[[gnu::always_inline]] constexpr int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

template <class T, class S>
GemmPlan plan_gemm(const Gemm<T, S>& g);

// Elements in a word of the packed matrices, see gemm_kinds.h.
FE_SIMD_DOT(int64_t word_bf16(); int64_t word_i8();)

// GemmWay::dot, with room for a copy of A whose rows share no cache lines, or
// null, and GemmWay::stream.
FE_SIMD(void gemm_dot(const Gemm<float>& g, float* packed);
        void gemm_dot(const Gemm<double>& g, double* packed);
        void gemm_stream(const Gemm<float>& g);
        void gemm_stream(const Gemm<double>& g);)

}  // namespace ferrule::cpu
