// Random bits and normal numbers: plain loops, vectorized by the compiler.
#include <cmath>
#include <cstring>

#include "runtime/cpu/random_bits.h"

namespace ferrule::cpu::FE_ISA {

// Rounds of many blocks side by side: philox() of core/random.h, lane by lane.
void philox_bits(uint32_t* out, int64_t first, int64_t blocks, uint64_t seed,
                 uint64_t offset) {
  constexpr int kLanes = 16;
  for (int64_t b = 0; b < blocks; b += kLanes) {
    uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      const auto block = static_cast<uint64_t>(first + b + i);
      c0[i] = static_cast<uint32_t>(block);
      c1[i] = static_cast<uint32_t>(block >> 32);
      c2[i] = static_cast<uint32_t>(offset);
      c3[i] = static_cast<uint32_t>(offset >> 32);
    }
    auto k0 = static_cast<uint32_t>(seed);
    auto k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < kLanes; ++i) {
        const uint64_t p0 = uint64_t{0xD2511F53} * c0[i];
        const uint64_t p1 = uint64_t{0xCD9E8D57} * c2[i];
        c0[i] = static_cast<uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
        c1[i] = static_cast<uint32_t>(p1);
        c2[i] = static_cast<uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
        c3[i] = static_cast<uint32_t>(p0);
      }
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    const int64_t n = blocks - b < kLanes ? blocks - b : kLanes;
    for (int64_t i = 0; i < n; ++i) {
      out[4 * (b + i)] = c0[i];
      out[4 * (b + i) + 1] = c1[i];
      out[4 * (b + i) + 2] = c2[i];
      out[4 * (b + i) + 3] = c3[i];
    }
  }
}

namespace {

// Natural logarithm of a normal number in (0, 1], to about 1e-15: with
// x = 2^e m, m in [sqrt(1/2), sqrt(2)), and s = (m - 1) / (m + 1),
// ln x = e ln 2 + 2 (s + s^3 / 3 + s^5 / 5 + ...).
inline double log_unit(double x) {
  uint64_t u;
  std::memcpy(&u, &x, 8);
  // Adding the distance of 1 and sqrt(1/2) carries into the exponent.
  const uint64_t shifted = u + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
  const double e =
      static_cast<double>(static_cast<int32_t>(shifted >> 52) - 1023);
  u = (shifted & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd;
  double m;
  std::memcpy(&m, &u, 8);
  const double s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = 1.0 / 19;
  p = p * z + 1.0 / 17;
  p = p * z + 1.0 / 15;
  p = p * z + 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  p = p * z + 1.0;
  return e * 0.69314718055994530942 + 2.0 * s * p;
}

}  // namespace

void box_muller(double* out, const double* u1, const double* u2, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double r = std::sqrt(-2.0 * log_unit(u1[i]));
    // 2 pi u2 = quadrant pi / 2 + t with t in [-pi / 4, pi / 4]; Taylor series.
    const double magic = 0x1.8p52;
    const double quadrant = (u2[i] * 4.0 + magic) - magic;
    const double t = (u2[i] - quadrant * 0.25) * 6.28318530717958647692;
    const double z = t * t;
    double s = -1.0 / 1307674368000.0;
    s = s * z + 1.0 / 6227020800.0;
    s = s * z - 1.0 / 39916800.0;
    s = s * z + 1.0 / 362880.0;
    s = s * z - 1.0 / 5040.0;
    s = s * z + 1.0 / 120.0;
    s = s * z - 1.0 / 6.0;
    s = s * z * t + t;
    double c = 1.0 / 20922789888000.0;
    c = c * z - 1.0 / 87178291200.0;
    c = c * z + 1.0 / 479001600.0;
    c = c * z - 1.0 / 3628800.0;
    c = c * z + 1.0 / 40320.0;
    c = c * z - 1.0 / 720.0;
    c = c * z + 1.0 / 24.0;
    c = c * z - 0.5;
    c = c * z + 1.0;
    const bool swap = quadrant == 1.0 || quadrant == 3.0;
    const double cos_part = swap ? s : c;
    const double sin_part = swap ? c : s;
    const double cos_sign = quadrant == 1.0 || quadrant == 2.0 ? -1.0 : 1.0;
    const double sin_sign = quadrant == 2.0 || quadrant == 3.0 ? -1.0 : 1.0;
    out[2 * i] = r * (cos_part * cos_sign);
    out[2 * i + 1] = r * (sin_part * sin_sign);
  }
}

}  // namespace ferrule::cpu::FE_ISA
