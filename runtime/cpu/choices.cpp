// CPU kernels that choose among numbers or replace them; and those of integers.
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

// NaN where both are: x is, then.
constexpr auto fmax = [](auto x, auto y) {
  return y != y || x >= y ? x : (x != x || y > x ? y : x);
};
constexpr auto fmin = [](auto x, auto y) {
  return y != y || x <= y ? x : (x != x || y < x ? y : x);
};

constexpr auto heaviside = []<class T>(T x, T at_zero) -> T {
  if (x != x) return x;
  return x == 0 ? at_zero : T(x > 0);
};

uint64_t magnitude(int64_t x) {
  return x < 0 ? -static_cast<uint64_t>(x) : static_cast<uint64_t>(x);
}
constexpr auto gcd = [](int64_t x, int64_t y) -> int64_t {
  return static_cast<int64_t>(std::gcd(magnitude(x), magnitude(y)));
};
constexpr auto lcm = [](int64_t x, int64_t y) -> int64_t {
  if (x == 0 || y == 0) return 0;
  const uint64_t a = magnitude(x);
  const uint64_t b = magnitude(y);
  return static_cast<int64_t>(a / std::gcd(a, b) * b);
};

template <bool equal_nan>
constexpr auto close = [](auto x, auto y, auto rtol, auto atol) -> bool {
  if (x == y) return true;
  if (equal_nan && x != x && y != y) return true;
  return std::isfinite(x) && std::isfinite(y) &&
         std::abs(x - y) <= atol + rtol * std::abs(y);
};

template <bool equal_nan>
constexpr auto close_tile(DType t) {
  constexpr auto f = close<equal_nan>;
  return t == DType::f64 ? map_tile<f, double, double, double, double, double>
                         : map_tile<f, float, float, float, float, float>;
}

void isclose(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {c, 1, t}, {c, 2, t}, {c, 3, t}};
  to.take(c.b(4) ? close_tile<true>(t) : close_tile<false>(t), DType::bool_, in,
          kCostlyGrain);
}

double largest(DType t) {
  switch (t) {
    case DType::f16:
      return 65504;
    case DType::bf16:
      return 0x1.fep127;
    case DType::f32:
      return std::numeric_limits<float>::max();
    default:
      return std::numeric_limits<double>::max();
  }
}

constexpr auto replace = [](auto x, auto nan, auto above, auto below) {
  if (x != x) return nan;
  return std::isinf(x) ? (x > 0 ? above : below) : x;
};

void nan_to_num(const OpCall& c, TileSink& to) {
  // Integers are finite: they pass as they are.
  const DType t = compute_type(c.compute);
  if (t == DType::i64) {
    return map_ints<[](int64_t x) { return x; }, 0>(c, to);
  }
  const double most = largest(c.compute);
  const auto value = [&](int arg, double other) {
    return Input(Arg(c.has(arg) ? c.f(arg) : other), t);
  };
  const Input in[] = {{c, 0, t}, value(1, 0), value(2, most), value(3, -most)};
  to.take(t == DType::f64
              ? map_tile<replace, double, double, double, double, double>
              : map_tile<replace, float, float, float, float, float>,
          t, in);
}

// On the bits of a 16-bit float, whose numbers follow each other as integers do
// on either side of 0. `infinity` is that of the format.
template <uint16_t infinity>
constexpr auto next_16 = [](uint16_t from, uint16_t to) -> uint16_t {
  const int x = from & 0x7fff;
  const int y = to & 0x7fff;
  if (x > infinity) return from;
  if (y > infinity) return to;
  if (x == 0 && y == 0) return to;
  if (from == to) return from;
  if (x == 0) return (to & 0x8000) | 1;
  const bool away = (from & 0x8000) == (to & 0x8000) && y > x;
  return away ? from + 1 : from - 1;
};

template <auto f>
void take_next_16(const OpCall& c, TileSink& to) {
  const Input in[] = {{c, 0, c.compute}, {c, 1, c.compute}};
  to.take(map_tile<f, uint16_t, uint16_t, uint16_t>, c.compute, in);
}

void nextafter(const OpCall& c, TileSink& to) {
  if (c.compute == DType::f16) return take_next_16<next_16<0x7c00>>(c, to);
  if (c.compute == DType::bf16) return take_next_16<next_16<0x7f80>>(c, to);
  map_floats<[](auto x, auto y) { return std::nextafter(x, y); }, 0, 1>(c, to);
}

}  // namespace
}  // namespace cpu

extern const KernelDef fmax_cpu = {
    .name = "fmax",
    .tiles = cpu::map_numbers<cpu::fmax, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef fmin_cpu = {
    .name = "fmin",
    .tiles = cpu::map_numbers<cpu::fmin, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef heaviside_cpu = {
    .name = "heaviside",
    .tiles = cpu::map_numbers<cpu::heaviside, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef gcd_cpu = {
    .name = "gcd",
    .tiles = cpu::map_ints<cpu::gcd, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef lcm_cpu = {
    .name = "lcm",
    .tiles = cpu::map_ints<cpu::lcm, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef isclose_cpu = {
    .name = "isclose",
    .tiles = cpu::isclose,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef nan_to_num_cpu = {
    .name = "nan_to_num",
    .tiles = cpu::nan_to_num,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef nextafter_cpu = {
    .name = "nextafter",
    .tiles = cpu::nextafter,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
