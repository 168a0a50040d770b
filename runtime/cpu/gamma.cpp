// CPU kernels of the gamma function's logarithm and its derivatives. Computed
// in double for every dtype.
#include <cmath>
#include <limits>

#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The C library's, without its global sign.
double log_gamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}

double digamma(double x) {
  if (x == 0) return std::copysign(INFINITY, -x);
  double r = 0;
  if (x < 0) {
    if (x == std::floor(x)) return kNaN;
    double whole;
    r = -kPi / std::tan(kPi * std::modf(x, &whole));  // psi(1 - x) - psi(x)
    x = 1 - x;
  }
  for (; x < 10; x += 1) r -= 1 / x;
  // Bernoulli numbers B(2k) / 2k.
  constexpr double kTerms[] = {1.0 / 12,  -1.0 / 120,     1.0 / 252, -1.0 / 240,
                               1.0 / 132, -691.0 / 32760, 1.0 / 12};
  const double inverse = 1 / (x * x);
  double sum = 0, power = inverse;
  for (double term : kTerms) {
    sum += term * power;
    power *= inverse;
  }
  return r + std::log(x) - 0.5 / x - sum;
}

// The first terms, then Euler's and Maclaurin's formula for the rest.
double zeta_from(double s, double q) {
  constexpr double kFactors[] = {
      12.0,
      -720.0,
      30240.0,
      -1209600.0,
      47900160.0,
      -1.8924375803183791606e9,
      7.47242496e10,
      -2.950130727918164224e12,
      1.1646782814350067249e14,
      -4.5979787224074726105e15,
      1.8152105401943546773e17,
      -7.1661652561756670113e18,
  };
  constexpr double kEpsilon = 0x1p-53;
  double sum = std::pow(q, -s), term = 0, a = q;
  for (int i = 0; i < 9 || a <= 9; ++i) {
    a += 1;
    term = std::pow(a, -s);
    sum += term;
    if (std::abs(term) < kEpsilon * std::abs(sum)) return sum;
  }
  sum += term * a / (s - 1) - 0.5 * term;
  double factor = 1, k = 0;
  for (double f : kFactors) {
    factor *= s + k;
    term /= a;
    const double t = factor * term / f;
    sum += t;
    if (std::abs(t) < kEpsilon * std::abs(sum)) break;
    k += 1;
    factor *= s + k;
    term /= a;
    k += 1;
  }
  return sum;
}

double zeta(double s, double q) {
  if (std::isnan(s) || std::isnan(q)) return kNaN;
  if (s == 1) return INFINITY;
  if (s < 1) return kNaN;
  if (q > 0 && std::isinf(q)) return 0;
  if (q <= 0) {
    if (q == std::floor(q)) return INFINITY;
    if (s != std::floor(s)) return kNaN;
  }
  if (q >= -20) return zeta_from(s, q);
  // All whole steps from q, in both directions, less those below q: no more
  // terms for a q far below 0.
  const double f = q - std::floor(q);
  const double sign = std::fmod(s, 2) == 0 ? 1 : -1;
  return zeta_from(s, f) + sign * (zeta_from(s, 1 - f) - zeta_from(s, 1 - q));
}

}  // namespace
}  // namespace cpu

extern const KernelDef lgamma_cpu = {
    .name = "lgamma",
    .tiles = cpu::map_floats<
        [](auto x) { return static_cast<decltype(x)>(cpu::log_gamma(x)); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef digamma_cpu = {
    .name = "digamma",
    .tiles = cpu::map_floats<
        [](auto x) { return static_cast<decltype(x)>(cpu::digamma(x)); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef special_zeta_cpu = {
    .name = "special_zeta",
    .tiles = cpu::map_floats<[](auto s, auto q) {
      return static_cast<decltype(s)>(cpu::zeta(s, q));
    },
                             0, 1>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
