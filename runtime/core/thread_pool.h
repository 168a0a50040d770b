// The one thread pool of the process, and the loop that runs on it.
//
//   parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
//     for (int64_t r = begin; r < end; ++r) ...
//   });
//
// Chunks are cut by `n` and `grain` alone and claimed one by one, so results
// depend neither on the number of threads nor on who runs what, and a thread
// that the system has put aside delays nobody. Each thread begins with a share
// of its own, of neighbouring chunks: a loop over the same things finds in its
// cache what the one before left there.
#pragma once

#include <cstdint>

#include "runtime/core/function_ref.h"

namespace ferrule {

// No loop has more chunks than this, however large.
inline constexpr int64_t kMaxChunks = 256;

// The size of every chunk but the last: a multiple of `grain`.
constexpr int64_t chunk_size(int64_t n, int64_t grain) {
  if (grain < 1) grain = 1;
  const int64_t grains = n / grain + (n % grain != 0);
  const int64_t per_chunk = (grains + kMaxChunks - 1) / kMaxChunks;
  return grain * (per_chunk < 1 ? 1 : per_chunk);
}

// How many chunks parallel_for(n, grain, ...) runs.
constexpr int64_t chunk_count(int64_t n, int64_t grain) {
  const int64_t size = chunk_size(n, grain);
  return n <= 0 ? 0 : n / size + (n % size != 0);
}

using RangeBody = FunctionRef<void(int64_t begin, int64_t end)>;

// Runs body(begin, end) for every chunk of [0, n) and returns when all are
// done. The caller works too. Inside a body, or while another thread's loop has
// the pool, the loop runs inline, chunk by chunk all the same. The body must
// not throw. Allocates nothing (but for starting the threads, once).
void parallel_for(int64_t n, int64_t grain, RangeBody body);

// Threads that loops run on, the caller included. Waits for a running loop;
// does nothing when called from inside one. `n` below 1 restores the default:
// what the host's pool has, or available_cpus(), or the environment's
// FERRULE_NUM_THREADS.
void set_num_threads(int n);
int num_threads();

// Threads that the program around this library lends to it. `run` calls
// task(context, i) once for each i in [0, count), on whatever threads, and
// returns when all calls have. With one thread (set_num_threads) it is not
// asked.
struct HostPool {
  int threads = 1;
  void* user = nullptr;
  void (*run)(void* user, int64_t count, void (*task)(void* context, int64_t i),
              void* context) = nullptr;
};

// Loops run on the host's threads from now on; with `run` null on this
// library's own again. Waits for a running loop; does nothing inside of one.
// The child of a fork has its own.
void set_host_pool(const HostPool& pool);

}  // namespace ferrule
