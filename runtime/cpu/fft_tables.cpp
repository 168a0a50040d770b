// Keeping the tables of Fourier transforms.
#include "runtime/cpu/fft_tables.h"

#include <atomic>
#include <cstring>
#include <mutex>

namespace ferrule::cpu {
namespace {

constexpr int64_t kBytes = 8 << 20;
constexpr int kMostKept = 256;

struct Kept {
  int64_t n, at;
  DType dtype;
  FftWay way;
  bool halves;
};

// All zero until first used: costs address space, not memory.
constinit std::mutex mutex;
constinit std::atomic<int> users;
Kept kept[kMostKept];
int kept_count;
int64_t used;
alignas(64) char memory[kBytes];

// With the mutex held; null: there are none.
const char* find(const FftPlan& plan) {
  for (int i = 0; i < kept_count; ++i) {
    const Kept& k = kept[i];
    if (k.n == plan.n && k.dtype == plan.dtype && k.way == plan.way &&
        k.halves == (plan.halves >= 0)) {
      return memory + k.at;
    }
  }
  return nullptr;
}

void keep(const FftPlan& plan, const char* tables) {
  if (plan.bytes > kBytes || find(plan)) return;
  if (kept_count == kMostKept || used + plan.bytes > kBytes) {
    if (users.load(std::memory_order_acquire) > 0) return;
    kept_count = 0;
    used = 0;
  }
  kept[kept_count++] = {plan.n, used, plan.dtype, plan.way, plan.halves >= 0};
  std::memcpy(memory + used, tables, plan.bytes);
  used += plan.bytes;
}

}  // namespace

FftTables::FftTables(const FftPlan& plan, char* scratch,
                     FunctionRef<void(char* tables)> fill) {
  // Who finds the mutex taken makes tables of its own.
  if (std::unique_lock lock(mutex, std::try_to_lock); lock) {
    tables_ = find(plan);
    if (tables_) {
      kept_ = true;
      users.fetch_add(1, std::memory_order_relaxed);
      return;
    }
  }
  fill(scratch);
  tables_ = scratch;
  if (std::unique_lock lock(mutex, std::try_to_lock); lock) {
    keep(plan, scratch);
  }
}

FftTables::~FftTables() {
  if (kept_) users.fetch_sub(1, std::memory_order_release);
}

}  // namespace ferrule::cpu
