// Random bits and normal numbers, in bulk. Both are made of integer operations
// and IEEE additions, multiplications, divisions and square roots alone, in one
// order: every machine gets the same numbers.
#pragma once

#include <cstdint>

#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// Words 4 first .. 4 (first + blocks) - 1 of the Philox stream (core/random.h).
FE_SIMD(void philox_bits(uint32_t* out, int64_t first, int64_t blocks,
                         uint64_t seed, uint64_t offset);)

// Two normal numbers of two uniform ones, u1 in (0, 1] and u2 in [0, 1):
// out[2i] = sqrt(-2 ln u1[i]) cos(2 pi u2[i]), out[2i + 1] the same with sin.
FE_SIMD(void box_muller(double* out, const double* u1, const double* u2,
                        int64_t n);)

}  // namespace ferrule::cpu
