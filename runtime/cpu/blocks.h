// Loops over dense arrays whose element types differ in size, for the compiler
// to turn into vectors. For `*.simd.cpp` only.
//
//   blocks<float, int16_t>(to, {from}, n, [](int16_t v) { return float(v); });
//
// Every block has the same constant length, the last one by way of a padded
// copy: no code for remainders, which else is most of such a loop.
#pragma once

#include <cstdint>
#include <cstring>

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

inline constexpr int64_t kBlock = 64;

// out[i] = f(in[i]); the arrays do not overlap.
template <class To, class From, class F>
FE_INLINE void blocks(void* out, const void* in, int64_t n, F f) {
  From copy[kBlock];
  To result[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    const bool partial = n - i < kBlock;
    const From* __restrict x = static_cast<const From*>(in) + i;
    To* __restrict o = static_cast<To*>(out) + i;
    if (partial) {
      std::memset(copy, 0, sizeof(copy));
      std::memcpy(copy, x, (n - i) * sizeof(From));
      x = copy;
      o = result;
    }
#pragma GCC unroll 1
    for (int64_t k = 0; k < kBlock; ++k) o[k] = f(x[k]);
    if (partial) {
      std::memcpy(static_cast<To*>(out) + i, result, (n - i) * sizeof(To));
    }
  }
}

}  // namespace ferrule::cpu::FE_ISA
