// Copies past the caches.
#include "runtime/cpu/stream.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
void stream_copy(void* to, const void* from, int64_t bytes, const Ahead* ahead,
                 int count) {
  auto* out = static_cast<uint8_t*>(to);
  const auto* in = static_cast<const uint8_t*>(from);
  const auto place = reinterpret_cast<uintptr_t>(out);
  const auto head = static_cast<int64_t>(-place % kLine);
  int64_t i = head < bytes ? head : bytes;
  if (i > 0) std::memcpy(out, in, i);
  // Lines of each, for a line of the result.
  int64_t fetched = 0;
  const int64_t lines = bytes / kLine + 1;
  int64_t most = 0;
  for (int k = 0; k < count; ++k) {
    if (ahead[k].bytes > most) most = ahead[k].bytes;
  }
  const int64_t step = (most / lines + kLine) / kLine * kLine;
  for (; i + kLine <= bytes; i += kLine) {
    for (int k = 0; k < count; ++k) {
      for (int64_t j = fetched; j < fetched + step && j < ahead[k].bytes;
           j += kLine) {
        __builtin_prefetch(ahead[k].at + j);
      }
    }
    fetched += step;
    for (int64_t j = 0; j < kLine; j += kVectorBytes) {
      stream(out + i + j, load(in + i + j));
    }
  }
  if (i < bytes) std::memcpy(out + i, in + i, bytes - i);
}

void end_streams() { end_stream(); }

}  // namespace ferrule::cpu::FE_ISA
