// How a matrix product is cut up and what of it is copied first: decided by
// shape and strides alone, alike for every instruction set.
//
// A and B are taken in blocks, `depth` deep. A block of B is packed into panels
// as wide as a register tile, a block of A into rows or panels, unless the tile
// can as well read it in place.
#pragma once

#include <cstdint>

#include "runtime/cpu/gemm.h"

namespace ferrule::cpu {

inline constexpr int64_t kGemmRows = 1024;  // of A in a block
inline constexpr int64_t kGemmCols = 2048;  // of B in a block
inline constexpr int64_t kMaxTileCols = 64;

struct GemmPlan {
  // Dot products of rows of A with columns of B, both dense: nothing is packed.
  bool dot = false;
  bool row = false;  // A is one row, B's rows are dense: nothing is packed
  bool pack_a = false;
  bool pack_b = false;     // all of it; otherwise columns that fill no panel
  int64_t depth = 0;       // of a block; all but the last are equally deep
  int64_t a_elements = 0;  // packed, at most
  int64_t b_elements = 0;
};

// Always inlined, because gemm.simd.cpp uses it: see isa.h.
[[gnu::always_inline]] constexpr int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

template <class T>
GemmPlan plan_gemm(const Gemm<T>& g);

}  // namespace ferrule::cpu
