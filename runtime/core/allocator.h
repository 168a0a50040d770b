// Memory: small fixed blocks for tensor headers, storages and tape nodes
// (thread-local free lists) and 64-byte aligned blocks for data (cached by size
// class, bounded).
#pragma once

#include <cstddef>
#include <cstdint>

namespace ferrule {

// Small block of at least `bytes` (<= kMaxSmall), 16-byte aligned.
inline constexpr size_t kMaxSmall = 1024;
void* small_alloc(size_t bytes);
void small_free(void* block, size_t bytes) noexcept;

// Data block, 64-byte aligned; nullptr when the system has no memory.
void* data_alloc(int64_t bytes);
void data_free(void* block, int64_t bytes) noexcept;

struct MemoryStats {
  int64_t allocated = 0;  // bytes in live data blocks
  int64_t cached = 0;     // bytes kept for reuse
  int64_t peak = 0;       // highest sum of the two so far
};
MemoryStats memory_stats();
void empty_cache();

}  // namespace ferrule
