// CPU kernels of functions of the normal distribution, computed in double for
// every dtype.
#include <cmath>
#include <limits>

#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

double erfinv(double x) {
  if (std::abs(x) >= 1) {
    return std::abs(x) == 1 ? std::copysign(INFINITY, x)
                            : std::numeric_limits<double>::quiet_NaN();
  }
  const auto horner = [](double w, std::initializer_list<double> terms) {
    double sum = 0;
    for (double t : terms) sum = sum * w + t;
    return sum;
  };
  const double w = -std::log((1 - x) * (1 + x));
  double y =
      w < 5 ? horner(w - 2.5, {2.81022636e-08, 3.43273939e-07, -3.5233877e-06,
                               -4.39150654e-06, 0.00021858087, -0.00125372503,
                               -0.00417768164, 0.246640727, 1.50140941})
            : horner(std::sqrt(w) - 3,
                     {-0.000200214257, 0.000100950558, 0.00134934322,
                      -0.00367342844, 0.00573950773, -0.0076224613,
                      0.00943887047, 1.00167406, 2.83297682});
  y *= x;
  // erf(y) - x, without cancellation where both are almost 1.
  constexpr double kSlope = 1.12837916709551257390;  // 2 / sqrt(pi)
  // Two steps do, but for an x next to 1, where the guess is poor.
  for (int i = 0; i < 8; ++i) {
    double error = std::erf(y) - x;
    if (x >= 0.5) error = (1 - x) - std::erfc(y);
    if (x <= -0.5) error = std::erfc(-y) - (1 + x);
    const double step = error / (kSlope * std::exp(-y * y));
    const double change = step / (1 + y * step);
    y -= change;
    if (std::abs(change) < 1e-8 * std::abs(y)) break;
  }
  return y;
}

// Below -14 the distribution function by its asymptotic series, which cannot
// underflow.
double log_ndtr(double x) {
  const double t = -x * 0.70710678118654752440;
  if (t < -1) return std::log1p(-0.5 * std::erfc(-t));
  if (t < 10) return std::log(0.5 * std::erfc(t));
  const double r = -0.5 / (t * t);
  double sum = 1, term = 1;
  for (int k = 1; k < 12; ++k) {
    term *= r * (2 * k - 1);
    sum += term;
  }
  constexpr double kLog = 1.26551212348464539649;  // log(2 sqrt(pi))
  return -t * t - std::log(t) - kLog + std::log(sum);
}

constexpr auto xlog1py = []<class T>(T x, T y) -> T {
  return x == 0 && y == y ? T(0) : x * std::log1p(y);
};

}  // namespace
}  // namespace cpu

extern const KernelDef erfinv_cpu = {
    .name = "erfinv",
    .tiles = cpu::map_floats<
        [](auto x) { return static_cast<decltype(x)>(cpu::erfinv(x)); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef special_log_ndtr_cpu = {
    .name = "special_log_ndtr",
    .tiles = cpu::map_floats<
        [](auto x) { return static_cast<decltype(x)>(cpu::log_ndtr(x)); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef special_xlog1py_cpu = {
    .name = "special_xlog1py",
    .tiles = cpu::map_floats<cpu::xlog1py, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
