// Thread-local free lists above a shared, bounded cache.
#include "runtime/core/allocator.h"

#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "runtime/core/thread_local.h"

#if defined(__SANITIZE_ADDRESS__)
#define FE_NO_CACHE 1
#else
#define FE_NO_CACHE 0
#endif

namespace ferrule {
namespace {

struct Block {
  Block* next;
};

// --- small blocks -----------------------------------------------------------

constexpr size_t kSmallStep = 64;
constexpr int kSmallClasses = kMaxSmall / kSmallStep;
// Free blocks a thread keeps of each class; the rest goes back to the system.
constexpr int kSmallKeep = 1024;

struct SmallCache {
  Block* head[kSmallClasses] = {};
  int count[kSmallClasses] = {};
  ~SmallCache() {
    for (Block*& h : head) {
      while (h) {
        Block* b = h;
        h = b->next;
        std::free(b);
      }
    }
  }
};

int small_class(size_t bytes) {
  return static_cast<int>((bytes + kSmallStep - 1) / kSmallStep) - 1;
}

// --- data blocks ------------------------------------------------------------

// Four classes an octave from 64 bytes up: at most a quarter is wasted.
constexpr int kMinLog2 = 6;
constexpr int kDataClasses = (48 - kMinLog2) * 4;
constexpr int64_t kThreadLimit = int64_t{256} << 10;  // largest thread-cached
constexpr int64_t kThreadKeep = int64_t{8} << 20;     // bytes a thread keeps
constexpr int64_t kSharedKeep = int64_t{1} << 30;     // bytes the process keeps

int data_class(int64_t bytes) {
  if (bytes <= (1 << kMinLog2)) return 0;
  uint64_t x = static_cast<uint64_t>(bytes - 1);
  int log2 = std::bit_width(x) - 1;
  return (log2 - kMinLog2) * 4 + static_cast<int>((x >> (log2 - 2)) & 3) + 1;
}

int64_t class_bytes(int cls) {
  if (cls == 0) return 1 << kMinLog2;
  int log2 = (cls - 1) / 4 + kMinLog2;
  return (int64_t{5 + (cls - 1) % 4} << log2) / 4;
}

// Bytes taken from the system, and their maximum. Only misses of the caches
// change them, so that the common path has no shared counter.
std::atomic<int64_t> reserved{0}, peak{0};

struct DataCache {
  Block* head[kDataClasses] = {};
  // Written by one thread at a time, read by memory_stats.
  std::atomic<int64_t> bytes{0};

  int64_t kept() const { return bytes.load(std::memory_order_relaxed); }
  void count(int64_t change) {
    bytes.store(kept() + change, std::memory_order_relaxed);
  }
  Block* pop(int cls) {
    Block* b = head[cls];
    if (!b) return nullptr;
    head[cls] = b->next;
    count(-class_bytes(cls));
    return b;
  }
  void push(int cls, Block* b) {
    b->next = head[cls];
    head[cls] = b;
    count(class_bytes(cls));
  }
  void clear() {
    for (int c = 0; c < kDataClasses; ++c) {
      while (Block* b = pop(c)) {
        reserved.fetch_sub(class_bytes(c), std::memory_order_relaxed);
        std::free(b);
      }
    }
  }
  ~DataCache() { clear(); }
};

// --- the caches of a thread -------------------------------------------------

struct ThreadCaches {
  SmallCache small;
  DataCache data;
};

// All of them, for memory_stats.
struct AllCaches {
  std::mutex mutex;
  std::vector<ThreadCaches*> list;
};
AllCaches& all_caches() {
  static auto* all = new AllCaches;  // outlives every thread
  return *all;
}

FE_FAST_TLS thread_local constinit ThreadCaches* mine = nullptr;
FE_FAST_TLS thread_local constinit bool ended = false;

struct CachesOwner {
  ~CachesOwner() {
    {
      std::lock_guard lock(all_caches().mutex);
      std::erase(all_caches().list, mine);
    }
    delete mine;
    mine = nullptr;
    ended = true;  // destructors of other variables may still free blocks
  }
};

[[gnu::noinline]] ThreadCaches* make_caches() {
  if (ended || FE_NO_CACHE) return nullptr;
  thread_local CachesOwner owner;
  (void)&owner;
  mine = new ThreadCaches;
  std::lock_guard lock(all_caches().mutex);
  all_caches().list.push_back(mine);
  return mine;
}

// Null when the thread is ending.
inline ThreadCaches* caches() { return mine ? mine : make_caches(); }

struct SharedCache {
  std::mutex mutex;
  DataCache cache;
};
SharedCache& shared() {
  static auto* s = new SharedCache;  // outlives every thread
  return *s;
}

#if defined(__unix__) || defined(__APPLE__)
// A fork waits until no thread changes the caches, so that the child finds them
// whole and their mutexes free.
void lock_caches() {
  all_caches().mutex.lock();
  shared().mutex.lock();
}
void unlock_caches() {
  shared().mutex.unlock();
  all_caches().mutex.unlock();
}
[[maybe_unused]] const int handles_forks =
    pthread_atfork(lock_caches, unlock_caches, unlock_caches);
#endif

// Blocks from this size on are asked for in huge pages: one page fault for 2
// MiB instead of 512, and fewer addresses to translate. An end that would fill
// half of one or less is not: a few bytes over 4 MiB would cost 6.
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kHugeFrom = int64_t{4} << 20;

void* system_block(int64_t size) {
  const int64_t unit = size < kHugeFrom ? 64 : kHugePage;
  const int64_t whole = (size + unit - 1) / unit * unit;
  void* p = std::aligned_alloc(unit, whole);
#if defined(MADV_HUGEPAGE)
  if (p && unit == kHugePage) {
    const int64_t rest = size % kHugePage;
    const int64_t huge = rest <= kHugePage / 2 ? size - rest : whole;
    madvise(p, huge, MADV_HUGEPAGE);  // a wish
  }
#endif
  return p;
}

// Takes a block from the system.
void* reserve(int64_t size) {
  void* p = system_block(size);
  if (!p) {
    empty_cache();
    p = system_block(size);
  }
  if (!p) return nullptr;
  int64_t now = reserved.fetch_add(size, std::memory_order_relaxed) + size;
  int64_t high = peak.load(std::memory_order_relaxed);
  while (now > high &&
         !peak.compare_exchange_weak(high, now, std::memory_order_relaxed)) {
  }
  return p;
}

}  // namespace

void* small_alloc(size_t bytes) {
  int cls = small_class(bytes);
  if (ThreadCaches* c = caches()) [[likely]] {
    if (Block* b = c->small.head[cls]) {
      c->small.head[cls] = b->next;
      --c->small.count[cls];
      return b;
    }
  }
  void* p = std::aligned_alloc(kSmallStep, (cls + 1) * kSmallStep);
  if (!p) std::abort();  // 64 bytes are not to be had: nothing can go on
  return p;
}

void small_free(void* block, size_t bytes) noexcept {
  int cls = small_class(bytes);
  ThreadCaches* c = caches();
  if (!c || c->small.count[cls] >= kSmallKeep) {
    std::free(block);
    return;
  }
  auto* b = static_cast<Block*>(block);
  b->next = c->small.head[cls];
  c->small.head[cls] = b;
  ++c->small.count[cls];
}

void* data_alloc(int64_t bytes) {
  int cls = data_class(bytes);
  if (cls >= kDataClasses) return nullptr;
  int64_t size = class_bytes(cls);
  void* p = nullptr;
  if (size <= kThreadLimit) {
    if (ThreadCaches* c = caches()) p = c->data.pop(cls);
  } else {
    std::lock_guard lock(shared().mutex);
    p = shared().cache.pop(cls);
  }
  return p ? p : reserve(size);
}

void data_free(void* block, int64_t bytes) noexcept {
  int cls = data_class(bytes);
  int64_t size = class_bytes(cls);
  auto* b = static_cast<Block*>(block);
  if (size <= kThreadLimit) {
    ThreadCaches* c = caches();
    if (c && c->data.kept() + size <= kThreadKeep) {
      c->data.push(cls, b);
      return;
    }
  } else if (!FE_NO_CACHE) {
    std::lock_guard lock(shared().mutex);
    if (shared().cache.kept() + size <= kSharedKeep) {
      shared().cache.push(cls, b);
      return;
    }
  }
  reserved.fetch_sub(size, std::memory_order_relaxed);
  std::free(block);
}

MemoryStats memory_stats() {
  int64_t cached = shared().cache.kept();
  {
    std::lock_guard lock(all_caches().mutex);
    for (const ThreadCaches* c : all_caches().list) cached += c->data.kept();
  }
  return {reserved.load() - cached, cached, peak.load()};
}

void empty_cache() {
  if (mine) mine->data.clear();
  std::lock_guard lock(shared().mutex);
  shared().cache.clear();
}

}  // namespace ferrule
