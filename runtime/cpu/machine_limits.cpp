// Times the loops that show the limits of the machine.
#include "runtime/cpu/machine_limits.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>

#include "runtime/core/allocator.h"
#include "runtime/core/thread_pool.h"

namespace ferrule::cpu {
namespace {

// Work per second, of the best of some runs.
template <class Run>
double rate(double work, const Run& run) {
  double best = 0;
  for (int k = 0; k < 3; ++k) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - start;
    best = std::max(best, work / took.count());
  }
  return best;
}

}  // namespace

MachineLimits machine_limits() {
  constexpr int64_t kPieces = 64;
  constexpr int64_t kBytes = int64_t{64} << 20;
  constexpr int64_t kFloats = kBytes / int64_t{sizeof(float)};
  constexpr int64_t kRounds = 8192;

  struct Free {
    void operator()(float* p) const { data_free(p, kBytes); }
  };
  std::unique_ptr<float, Free> arrays[3];
  for (auto& array : arrays) {
    array.reset(static_cast<float*>(data_alloc(kBytes)));
    if (!array) return {};
    std::memset(array.get(), 0, kBytes);
  }
  float* const to = arrays[0].get();
  const float* const a = arrays[1].get();
  const float* const b = arrays[2].get();

  float results[kPieces];
  MachineLimits limits{};
  limits.flops =
      rate(static_cast<double>(kPieces * kRounds * FE_BEST(fma_round)()), [&] {
        parallel_for(kPieces, 1, [&](int64_t i, int64_t) {
          results[i] = FE_BEST(fma_loop)(kRounds, 0.5f);
        });
      });
  constexpr int64_t kGrain = kFloats / kPieces;
  limits.read = rate(static_cast<double>(kBytes), [&] {
    parallel_for(kFloats, kGrain, [&](int64_t begin, int64_t end) {
      results[begin / kGrain] = FE_BEST(read_loop)(a + begin, end - begin);
    });
  });
  limits.stream = rate(static_cast<double>(3 * kBytes), [&] {
    parallel_for(kFloats, kGrain, [&](int64_t begin, int64_t end) {
      FE_BEST(stream_loop)(to + begin, a + begin, b + begin, end - begin);
    });
  });
  return limits;
}

}  // namespace ferrule::cpu
