// Scratch for the chunks of a loop: as many pieces as chunks may run at a time,
// claimed lowest first, so that few threads use few pieces, which stay in their
// caches.
//
//   const Slots slots{units, bytes};   // in KernelDef::scratch: .total()
//   slots.each_unit(scratch, [&](int64_t unit, char* own) { ... });
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "runtime/core/thread_pool.h"

namespace ferrule::cpu {

class Slots {
 public:
  static constexpr int64_t kMost = 64;

  // `grain`: units that are worth a visit to another thread.
  Slots(int64_t units, int64_t bytes, int64_t grain = 1)
      : units_(units),
        bytes_(bytes),
        grain_(std::max(grain, (units + kMost - 1) / kMost)) {}

  int64_t total() const { return chunk_count(units_, grain_) * bytes_; }

  // Calls visit(unit, scratch) for every unit.
  template <class Visit>
  void each_unit(char* scratch, const Visit& visit) const {
    std::atomic<uint64_t> taken{0};
    parallel_for(units_, grain_, [&](int64_t begin, int64_t end) {
      const int slot = claim(taken);
      for (int64_t u = begin; u < end; ++u) visit(u, scratch + slot * bytes_);
      taken.fetch_and(~(uint64_t{1} << slot), std::memory_order_release);
    });
  }

 private:
  // There are no more chunks than bits, so one is free.
  static int claim(std::atomic<uint64_t>& taken) {
    uint64_t seen = taken.load(std::memory_order_relaxed);
    int slot = 0;
    do {
      slot = std::countr_one(seen);
    } while (!taken.compare_exchange_weak(seen, seen | uint64_t{1} << slot,
                                          std::memory_order_acquire,
                                          std::memory_order_relaxed));
    return slot;
  }

  int64_t units_;
  int64_t bytes_;
  int64_t grain_;
};

}  // namespace ferrule::cpu
