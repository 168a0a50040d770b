// CPU kernels of elementary functions, by the C library's.
#include <cmath>

#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

// Whole multiples of pi have exact sines.
constexpr auto sinc = []<class T>(T x) -> T {
  const T angle = T(3.14159265358979323846) * x;
  return x == 0 ? T(1) : std::sin(angle) / angle;
};

// As NumPy: where both are the same infinity the difference would be NaN.
constexpr auto logaddexp = []<class T>(T x, T y) -> T {
  if (x == y) return x + T(0.69314718055994530942);
  return std::fmax(x, y) + std::log1p(std::exp(-std::abs(x - y)));
};
constexpr auto logaddexp2 = []<class T>(T x, T y) -> T {
  if (x == y) return x + 1;
  return std::fmax(x, y) +
         std::log1p(std::exp2(-std::abs(x - y))) * T(1.44269504088896340736);
};

// Beyond these exponents everything is 0 or infinite.
constexpr auto ldexp = []<class T>(T x, T exponent) -> T {
  constexpr T kFar = 5000;
  if (std::trunc(exponent) != exponent) return x * std::exp2(exponent);
  const T bounded = std::fmin(std::fmax(exponent, -kFar), kFar);
  return std::ldexp(x, static_cast<int>(bounded));
};

constexpr auto xlogy = []<class T>(T x, T y) -> T {
  return x == 0 && y == y ? T(0) : x * std::log(y);
};

}  // namespace
}  // namespace cpu

extern const KernelDef exp2_cpu = {
    .name = "exp2",
    .tiles = cpu::map_floats<[](auto x) { return std::exp2(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef expm1_cpu = {
    .name = "expm1",
    .tiles = cpu::map_floats<[](auto x) { return std::expm1(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef log1p_cpu = {
    .name = "log1p",
    .tiles = cpu::map_floats<[](auto x) { return std::log1p(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef log2_cpu = {
    .name = "log2",
    .tiles = cpu::map_floats<[](auto x) { return std::log2(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef log10_cpu = {
    .name = "log10",
    // In double: glibc's log10 of floats is off by up to 2.07 ULP.
    .tiles = cpu::map_floats<[](auto x) {
      return static_cast<decltype(x)>(std::log10(static_cast<double>(x)));
    },
                             0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef tan_cpu = {
    .name = "tan",
    .tiles = cpu::map_floats<[](auto x) { return std::tan(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef asin_cpu = {
    .name = "asin",
    .tiles = cpu::map_floats<[](auto x) { return std::asin(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef acos_cpu = {
    .name = "acos",
    .tiles = cpu::map_floats<[](auto x) { return std::acos(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef atan_cpu = {
    .name = "atan",
    .tiles = cpu::map_floats<[](auto x) { return std::atan(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sinh_cpu = {
    .name = "sinh",
    .tiles = cpu::map_floats<[](auto x) { return std::sinh(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef cosh_cpu = {
    .name = "cosh",
    .tiles = cpu::map_floats<[](auto x) { return std::cosh(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef asinh_cpu = {
    .name = "asinh",
    .tiles = cpu::map_floats<[](auto x) { return std::asinh(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef acosh_cpu = {
    .name = "acosh",
    .tiles = cpu::map_floats<[](auto x) { return std::acosh(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef atanh_cpu = {
    .name = "atanh",
    .tiles = cpu::map_floats<[](auto x) { return std::atanh(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef erfc_cpu = {
    .name = "erfc",
    // In double: glibc's erfc of floats is off by up to 2.4 ULP.
    .tiles = cpu::map_floats<[](auto x) {
      return static_cast<decltype(x)>(std::erfc(static_cast<double>(x)));
    },
                             0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sinc_cpu = {
    .name = "sinc",
    .tiles = cpu::map_floats<cpu::sinc, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef atan2_cpu = {
    .name = "atan2",
    .tiles =
        cpu::map_floats<[](auto y, auto x) { return std::atan2(y, x); }, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef hypot_cpu = {
    .name = "hypot",
    .tiles =
        cpu::map_floats<[](auto x, auto y) { return std::hypot(x, y); }, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef copysign_cpu = {
    .name = "copysign",
    .tiles = cpu::map_floats<[](auto x, auto y) { return std::copysign(x, y); },
                             0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef logaddexp_cpu = {
    .name = "logaddexp",
    .tiles = cpu::map_floats<cpu::logaddexp, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef logaddexp2_cpu = {
    .name = "logaddexp2",
    .tiles = cpu::map_floats<cpu::logaddexp2, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef ldexp_cpu = {
    .name = "ldexp",
    .tiles = cpu::map_floats<cpu::ldexp, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef xlogy_cpu = {
    .name = "xlogy",
    .tiles = cpu::map_floats<cpu::xlogy, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
