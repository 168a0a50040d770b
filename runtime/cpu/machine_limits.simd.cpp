// Loops that do one thing as fast as the machine can.
#include "runtime/cpu/machine_limits.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// Sums that do not wait for each other: more than latency times units.
constexpr int kSums = 12;

}  // namespace

int64_t fma_round() { return int64_t{2} * kSums * lanes<float>; }

float fma_loop(int64_t rounds, float factor) {
  F32 sums[kSums];
  for (int k = 0; k < kSums; ++k) sums[k] = splat(static_cast<float>(k));
  const F32 a = splat(factor);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k) sums[k] = fma(sums[k], a, a);
  }
  F32 total{};
  for (const F32& s : sums) total += s;
  return sum(total);
}

float read_loop(const float* from, int64_t n) {
  F32 sums[4] = {};
  for (int64_t i = 0; i + 4 * lanes<float> <= n; i += 4 * lanes<float>) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sums[k] += load(from + i + k * lanes<float>);
  }
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void stream_loop(float* to, const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i + lanes<float> <= n; i += lanes<float>) {
    stream(to + i, load(a + i) + load(b + i) * 3.0f);
  }
  end_stream();
}

}  // namespace ferrule::cpu::FE_ISA
