// Random numbers: Philox4x32-10, indexed by element, so that every device and
// any number of threads draw the same values.
//
// J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <cstdint>

namespace ferrule {

struct Philox4 {
  uint32_t v[4];
};

// Four 32-bit numbers of block `block` of tick `offset` of stream `seed`.
inline Philox4 philox(uint64_t seed, uint64_t offset, uint64_t block) {
  uint32_t c0 = static_cast<uint32_t>(block);
  uint32_t c1 = static_cast<uint32_t>(block >> 32);
  uint32_t c2 = static_cast<uint32_t>(offset);
  uint32_t c3 = static_cast<uint32_t>(offset >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed);
  uint32_t k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = uint64_t{0xD2511F53} * c0;
    uint64_t p1 = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

// Uniform in [0, 1): 24 bits, 53 bits.
inline float uniform_float(uint32_t x) {
  return static_cast<float>(x >> 8) * 0x1p-24f;
}
inline double uniform_double(uint32_t hi, uint32_t lo) {
  uint64_t x = (uint64_t{hi} << 32 | lo) >> 11;
  return static_cast<double>(x) * 0x1p-53;
}

}  // namespace ferrule
