// A pool with one loop at a time. Each thread claims the chunks of its own
// share and then helps the others with theirs.
#include "runtime/core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <memory>
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
  explicit Pool(int threads)
      : threads_(threads), shares_(new Share[static_cast<size_t>(threads)]) {
    workers_.reserve(static_cast<size_t>(threads - 1));
    for (int i = 1; i < threads; ++i) {
      // A process at its thread limit gets a smaller pool and same results.
      try {
        workers_.emplace_back([this, i] { work(i); });
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
    const uint64_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
    for (int64_t i = 0, begin = 0; i < threads_; ++i) {
      const int64_t end = (loop.count * (i + 1) + threads_ - 1) / threads_;
      shares_[i].open.store(Open{epoch, begin, end}.word(),
                            std::memory_order_release);
      begin = end;
    }
    epoch_.store(epoch);
    wake(loop.count - 1);
    run_chunks(0);
    finish();
  }

  Pool* older = nullptr;  // see State::abandoned

 private:
  // The chunks [begin, end) of a share that nobody has claimed, as one word
  // with the number of the loop. A claim changes it, so one that succeeds
  // belongs to the loop then running, which cannot end before the chunk does:
  // only then may loop_ and body_ be read. A worker with a stale view fails its
  // claim and touches nothing.
  struct Open {
    static constexpr int kBits = 10;
    static constexpr uint64_t kMask = (1 << kBits) - 1;
    static_assert(kMaxChunks <= static_cast<int64_t>(kMask));

    uint64_t epoch;
    int64_t begin, end;

    static Open of(uint64_t word) {
      return {word >> 2 * kBits, static_cast<int64_t>(word >> kBits & kMask),
              static_cast<int64_t>(word & kMask)};
    }
    uint64_t word() const {
      return epoch << 2 * kBits | static_cast<uint64_t>(begin) << kBits |
             static_cast<uint64_t>(end);
    }
  };
  // Neighbouring chunks are one thread's: what it wrote in one loop it is
  // likely to read in the next, and it mostly claims without meeting others.
  struct alignas(64) Share {
    std::atomic<uint64_t> open{0};
  };

  // Claims and runs the chunks of a share: the owner from its begin, others
  // from its end. How many.
  int64_t run_share(int64_t index, bool owner) {
    std::atomic<uint64_t>& open = shares_[index].open;
    int64_t done = 0;
    uint64_t word = open.load(std::memory_order_acquire);
    for (;;) {
      Open left = Open::of(word);
      if (left.begin == left.end) return done;
      const int64_t chunk = owner ? left.begin++ : --left.end;
      if (!open.compare_exchange_weak(word, left.word(),
                                      std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        continue;
      }
      loop_.run(chunk, *body_);
      ++done;
      word = open.load(std::memory_order_acquire);
    }
  }

  // All that is left to claim, that of thread `self` first.
  void run_chunks(int64_t self) {
    int64_t done = 0;
    for (int64_t i = 0; i < threads_; ++i) {
      done += run_share((self + i) % threads_, i == 0);
    }
    // Sequentially consistent against caller_parked_, see finish().
    if (done > 0 && pending_.fetch_sub(done) == done && caller_parked_.load()) {
      {
        std::lock_guard lock(park_mutex_);
      }
      done_.notify_one();
    }
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
  // looks at `epoch_` for the last time, and this reads the count after writing
  // `epoch_`, so one of the two sees the other.
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

  void work(int64_t self) {
    inside_loop = true;
    uint64_t seen = 0;  // the last loop that was looked into
    auto ready = [&] { return epoch_.load() != seen || stop_.load(); };
    while (!stop_.load()) {
      if (spin_until(ready)) {
        seen = epoch_.load();
        run_chunks(self);
        continue;
      }
      std::unique_lock lock(park_mutex_);
      parked_.fetch_add(1);
      wake_.wait(lock, ready);
      parked_.fetch_sub(1);
    }
  }

  const int64_t threads_;
  const std::unique_ptr<Share[]> shares_;
  Loop loop_{};
  const RangeBody* body_ = nullptr;

  alignas(64) std::atomic<uint64_t> epoch_{0};  // counts loops
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
