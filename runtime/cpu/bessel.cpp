// CPU kernels of modified Bessel functions, computed in double for every dtype.
#include <cmath>

#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

// I(x) exp(-x) of order 0 or 1, for x >= 0: the power series, whose terms are
// all positive, or for large x the asymptotic one, whose smallest term there is
// below 1e-17.
double scaled_bessel(int order, double x) {
  constexpr double kLarge = 25;
  double term = 1, sum = 1;
  if (x < kLarge) {
    const double square = x * x / 4;
    for (int k = 1; term > sum * 0x1p-60; ++k) {
      term *= square / (k * (k + order));
      sum += term;
    }
    return sum * std::exp(-x) * (order == 1 ? x / 2 : 1);
  }
  if (std::isinf(x)) return 0;
  const double mu = 4 * order * order;
  for (int k = 1; k < 40 && std::abs(term) > 0x1p-60; ++k) {
    const double odd = 2 * k - 1;
    term *= (odd * odd - mu) / (8 * x * k);
    sum += term;
  }
  return sum / std::sqrt(6.28318530717958647693 * x);
}

template <int order, bool scaled>
double bessel(double x) {
  if (std::isnan(x)) return x;
  const double size = std::abs(x);
  double y = scaled_bessel(order, size);
  if (!scaled) {
    // In two steps: exp alone overflows a little earlier than the product.
    const double half = std::exp(size / 2);
    y = std::isinf(size) ? size : y * half * half;
  }
  return order == 1 && x < 0 ? -y : y;
}

template <int order, bool scaled>
constexpr auto kBessel =
    [](auto x) { return static_cast<decltype(x)>(bessel<order, scaled>(x)); };

}  // namespace
}  // namespace cpu

extern const KernelDef i0_cpu = {
    .name = "i0",
    .tiles = cpu::map_floats<cpu::kBessel<0, false>, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef special_i0e_cpu = {
    .name = "special_i0e",
    .tiles = cpu::map_floats<cpu::kBessel<0, true>, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef special_i1_cpu = {
    .name = "special_i1",
    .tiles = cpu::map_floats<cpu::kBessel<1, false>, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef special_i1e_cpu = {
    .name = "special_i1e",
    .tiles = cpu::map_floats<cpu::kBessel<1, true>, 0>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
