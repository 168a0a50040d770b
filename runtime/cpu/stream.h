// Writing large results past the caches. An ordinary store first reads the line
// of memory that it changes; where the result is too large to stay in a cache,
// that is a third to a half of all traffic.
#pragma once

#include <cstdint>

#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// Results of this many bytes are written so. (On aarch64 the cores see by
// themselves that whole lines are written.)
#if defined(__x86_64__)
inline constexpr int64_t kStreamFrom = int64_t{16} << 20;
#else
inline constexpr int64_t kStreamFrom = INT64_MAX;
#endif

// Bytes that memory and caches move at once.
inline constexpr int64_t kLine = 64;

// An array that is read once from memory is fetched this many bytes ahead,
// because one alone does not keep the memory busy. Of several only the first:
// the others, the processor finds in time.
inline constexpr int64_t kFetchAhead = 16384;

// Bytes at a time: they and as much of several operands stay in the first-level
// cache.
inline constexpr int64_t kStreamTile = 4096;

// Memory that is read next: `bytes` of it.
struct Ahead {
  const char* at;
  int64_t bytes;
};

// stream_copy as memcpy, which meanwhile fetches what is `ahead`: or else the
// memory would be read and written in turn and never at once. Before another
// thread may read what was written, the thread that wrote calls end_streams.
FE_SIMD(void stream_copy(void* to, const void* from, int64_t bytes,
                         const Ahead* ahead, int count);
        void end_streams();)

}  // namespace ferrule::cpu
