// A pool with one loop at a time, its chunks claimed through one atomic word.
#include "runtime/core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#endif

#include "runtime/core/cpu_count.h"

namespace ferrule {
namespace {

using Clock = std::chrono::steady_clock;

// How long an idle thread looks for work before it parks. Phones pay for
// spinning with their battery.
#ifdef __ANDROID__
constexpr std::chrono::microseconds kSpin{0};
#else
constexpr std::chrono::microseconds kSpin{20};
#endif

// True in workers, and in a caller while its loop runs: loops inside are
// inline.
thread_local bool inside_loop = false;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits for `ready()` without parking; false when kSpin has passed.
template <class Ready>
bool spin_until(Ready ready) {
  const Clock::time_point deadline = Clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (Clock::now() < deadline);
  return ready();
}

struct Loop {
  int64_t n;
  int64_t chunk;
  int64_t count;

  void run(int64_t index, const RangeBody& body) const {
    const int64_t begin = index * chunk;
    body(begin, std::min(n - begin, chunk) + begin);
  }
};

class Pool {
 public:
  explicit Pool(int threads) {
    workers_.reserve(static_cast<size_t>(threads - 1));
    for (int i = 1; i < threads; ++i) {
      // A process at its thread limit gets a smaller pool and same results.
      try {
        workers_.emplace_back([this] { work(); });
      } catch (const std::system_error&) {
        break;
      }
    }
  }

  // No loop may be running.
  ~Pool() {
    stop_.store(true);
    {
      std::lock_guard lock(park_mutex_);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  // Runs every chunk. One caller at a time.
  void run(const Loop& loop, const RangeBody& body) {
    loop_ = loop;
    body_ = &body;
    pending_.store(loop.count, std::memory_order_relaxed);
    epoch_ += kEpochStep;
    open_.store(epoch_ | static_cast<uint64_t>(loop.count));
    wake(loop.count - 1);
    while (run_one_chunk()) {
    }
    finish();
  }

  Pool* older = nullptr;  // see State::abandoned

 private:
  // `open_` is the loop's epoch above 16 bits of chunks not yet claimed. A
  // claim decrements it, so one that succeeds belongs to the loop then running,
  // which cannot end before the chunk does: only then may loop_ and body_ be
  // read. A worker with a stale view fails its claim and touches nothing.
  static constexpr uint64_t kEpochStep = 1 << 16;
  static_assert(kMaxChunks < static_cast<int64_t>(kEpochStep));

  static bool has_chunks(uint64_t open) { return open % kEpochStep != 0; }
  bool has_chunks() const {
    return has_chunks(open_.load(std::memory_order_acquire));
  }

  bool run_one_chunk() {
    uint64_t open = open_.load(std::memory_order_acquire);
    do {
      if (!has_chunks(open)) return false;
    } while (!open_.compare_exchange_weak(
        open, open - 1, std::memory_order_acq_rel, std::memory_order_acquire));
    const auto left = static_cast<int64_t>(open % kEpochStep);
    loop_.run(loop_.count - left, *body_);
    // Sequentially consistent against caller_parked_, see finish().
    if (pending_.fetch_sub(1) == 1 && caller_parked_.load()) {
      {
        std::lock_guard lock(park_mutex_);
      }
      done_.notify_one();
    }
    return true;
  }

  // Waits for the chunks that others have claimed.
  void finish() {
    auto done = [this] { return pending_.load() == 0; };
    if (spin_until(done)) return;
    std::unique_lock lock(park_mutex_);
    caller_parked_.store(true);
    done_.wait(lock, done);
    caller_parked_.store(false);
  }

  // Unparks up to `wanted` workers. A worker counts itself as parked before it
  // looks at `open_` for the last time, and this reads the count after writing
  // `open_`, so one of the two sees the other.
  void wake(int64_t wanted) {
    const int64_t parked = parked_.load();
    if (parked == 0) return;
    {
      std::lock_guard lock(park_mutex_);
    }
    if (wanted >= parked) {
      wake_.notify_all();
    } else {
      for (int64_t i = 0; i < wanted; ++i) wake_.notify_one();
    }
  }

  void work() {
    inside_loop = true;
    auto ready = [this] { return has_chunks() || stop_.load(); };
    while (!stop_.load()) {
      if (run_one_chunk() || spin_until(ready)) continue;
      std::unique_lock lock(park_mutex_);
      parked_.fetch_add(1);
      wake_.wait(lock,
                 [this] { return has_chunks(open_.load()) || stop_.load(); });
      parked_.fetch_sub(1);
    }
  }

  Loop loop_{};
  const RangeBody* body_ = nullptr;
  uint64_t epoch_ = 0;

  alignas(64) std::atomic<uint64_t> open_{0};
  alignas(64) std::atomic<int64_t> pending_{0};
  alignas(64) std::atomic<int64_t> parked_{0};
  std::atomic<bool> caller_parked_{false};
  std::atomic<bool> stop_{false};

  std::mutex park_mutex_;
  std::condition_variable wake_;  // workers
  std::condition_variable done_;  // the caller
  std::vector<std::thread> workers_;
};

// Signals are the host's threads' business, not the workers'.
class BlockSignals {
 public:
#if defined(__unix__) || defined(__APPLE__)
  BlockSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
#endif
};

int default_threads() {
  if (const char* text = std::getenv("FERRULE_NUM_THREADS")) {
    if (int n = std::atoi(text); n >= 1) return n;
  }
  return available_cpus();
}

constexpr int kMaxThreads = 1024;

// Constant-initialised and never torn down: usable before and after main().
struct State {
  std::mutex busy;              // held by whoever runs a loop or resizes
  std::atomic<int> threads{0};  // 0: not asked for yet
  Pool* pool = nullptr;         // started by the first loop that wants it
  Pool* abandoned = nullptr;    // pools of parent processes
  HostPool host;                // takes the pool's place if it has `run`
};
constinit State state;

// The child of a fork has this thread alone, and `busy` may be held by one that
// is gone. The parent's pool is kept reachable but never touched again, and the
// host's threads are not there.
[[maybe_unused]] void after_fork_in_child() {
  if (state.pool != nullptr) {
    state.pool->older = state.abandoned;
    state.abandoned = state.pool;
    state.pool = nullptr;
  }
  state.host = {};
  new (&state.busy) std::mutex;
}

#if defined(__unix__) || defined(__APPLE__)
// When the library is loaded: the child of a fork that has begun does not run
// what is registered meanwhile.
[[maybe_unused]] const int handles_forks =
    pthread_atfork(nullptr, nullptr, after_fork_in_child);
#endif

// Needs `busy`. Null if one thread is all there is to be.
Pool* started_pool() {
  if (state.pool == nullptr && num_threads() > 1) {
    BlockSignals block;
    state.pool = new Pool(num_threads());
  }
  return state.pool;
}

// Needs `busy`.
void run_on_host(const Loop& loop, const RangeBody& body) {
  struct Work {
    const Loop& loop;
    const RangeBody& body;
  } work{loop, body};
  const auto task = [](void* context, int64_t i) {
    const Work& own = *static_cast<const Work*>(context);
    const bool before = std::exchange(inside_loop, true);
    own.loop.run(i, own.body);
    inside_loop = before;
  };
  state.host.run(state.host.user, loop.count, task, &work);
}

int wanted_threads() {
  return state.host.run != nullptr ? state.host.threads : default_threads();
}

}  // namespace

int num_threads() {
  int n = state.threads.load(std::memory_order_relaxed);
  if (n == 0) {
    const int wanted = std::clamp(default_threads(), 1, kMaxThreads);
    // Whoever set a number meanwhile wins, and `n` becomes it.
    if (state.threads.compare_exchange_strong(n, wanted)) n = wanted;
  }
  return n;
}

void set_num_threads(int n) {
  if (inside_loop) return;
  std::lock_guard busy(state.busy);
  if (n < 1) n = wanted_threads();
  state.threads.store(std::clamp(n, 1, kMaxThreads));
  delete std::exchange(state.pool, nullptr);
}

void set_host_pool(const HostPool& pool) {
  if (inside_loop) return;
  std::lock_guard busy(state.busy);
  state.host = pool;
  state.threads.store(std::clamp(wanted_threads(), 1, kMaxThreads));
  delete std::exchange(state.pool, nullptr);
}

void parallel_for(int64_t n, int64_t grain, RangeBody body) {
  const Loop loop{n, chunk_size(n, grain), chunk_count(n, grain)};
  if (loop.count > 1 && !inside_loop && num_threads() > 1) {
    std::unique_lock busy(state.busy, std::try_to_lock);
    const bool host = busy.owns_lock() && state.host.run != nullptr;
    Pool* pool = busy.owns_lock() && !host ? started_pool() : nullptr;
    if (host || pool != nullptr) {
      inside_loop = true;
      host ? run_on_host(loop, body) : pool->run(loop, body);
      inside_loop = false;
      return;
    }
  }
  for (int64_t i = 0; i < loop.count; ++i) loop.run(i, body);
}

}  // namespace ferrule
