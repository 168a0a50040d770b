// What this machine can do at most, as loops that do nothing else measure it.
// Benchmarks show what fraction of it a kernel reaches.
#pragma once

#include <cstdint>

#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// A second, with num_threads() threads.
struct MachineLimits {
  double flops;   // of float32, a fused multiply-add counting as two
  double read;    // bytes summed, from memory
  double stream;  // bytes read and written by a = b + s * c, in memory
};

// One measurement: some tens of milliseconds, 192 MiB of memory.
MachineLimits machine_limits();

// The loops; what they return keeps the compiler from leaving them out.
FE_SIMD(float fma_loop(int64_t rounds, float factor);
        // How many operations one round is.
        int64_t fma_round(); float read_loop(const float* from, int64_t n);
        void stream_loop(float* to, const float* a, const float* b, int64_t n);)

}  // namespace ferrule::cpu
