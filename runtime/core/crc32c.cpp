// CRC32C by the machine's instruction, or by a table.
#include "runtime/core/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#endif

namespace ferrule {
namespace {

constexpr std::array<uint32_t, 256> make_table() {
  constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) {
      c = (c >> 1) ^ (c & 1 ? kPolynomial : 0);
    }
    table[i] = c;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = make_table();

// All of these work on the inverted register.
uint32_t step_table(const unsigned char* p, size_t n, uint32_t c) {
  for (; n; --n) c = (c >> 8) ^ kTable[(c ^ *p++) & 0xFF];
  return c;
}

#if defined(__x86_64__)
#define FE_CRC_TARGET __attribute__((target("sse4.2")))
FE_CRC_TARGET inline uint32_t step8(uint32_t c, unsigned char v) {
  return _mm_crc32_u8(c, v);
}
FE_CRC_TARGET inline uint32_t step64(uint32_t c, uint64_t v) {
  return static_cast<uint32_t>(_mm_crc32_u64(c, v));
}
bool has_instruction() {
#if defined(FE_ONLY_ISA)
  return true;  // whatever a build may be for has it
#else
  return __builtin_cpu_supports("sse4.2");
#endif
}
#elif defined(__aarch64__)
#if defined(__clang__)
#define FE_CRC_TARGET __attribute__((target("crc")))
#else
#define FE_CRC_TARGET __attribute__((target("+crc")))
#endif
FE_CRC_TARGET inline uint32_t step8(uint32_t c, unsigned char v) {
  return __crc32cb(c, v);
}
FE_CRC_TARGET inline uint32_t step64(uint32_t c, uint64_t v) {
  return __crc32cd(c, v);
}
bool has_instruction() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_CRC32;
#else
  return true;  // every Apple ARM processor has it
#endif
}
#endif

#if defined(FE_CRC_TARGET)
FE_CRC_TARGET uint32_t step_machine(const unsigned char* p, size_t n,
                                    uint32_t c) {
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t v;
    std::memcpy(&v, p, 8);
    c = step64(c, v);
  }
  for (; n; --n) c = step8(c, *p++);
  return c;
}
#endif

}  // namespace

uint32_t crc32c_portable(const void* data, size_t size, uint32_t crc) {
  return ~step_table(static_cast<const unsigned char*>(data), size, ~crc);
}

uint32_t crc32c(const void* data, size_t size, uint32_t crc) {
#if defined(FE_CRC_TARGET)
  static const bool fast = has_instruction();
  if (fast) {
    return ~step_machine(static_cast<const unsigned char*>(data), size, ~crc);
  }
#endif
  return crc32c_portable(data, size, crc);
}

}  // namespace ferrule
