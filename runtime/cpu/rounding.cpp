// CPU kernels of rounding to whole numbers, and of limits.
#include <cmath>
#include <limits>

#include "runtime/cpu/epilogue.h"
#include "runtime/cpu/map.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {
namespace cpu {
namespace {

// Integers are whole already.
template <Unary op>
void rounding_kernel(OpCall& c) {
  if (!is_float(c.compute)) return strided_copy(c.in(0), c.out_impl());
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}};
  elementwise(FE_BEST(unary_tile)(op, t), c.out_impl(), t, in);
}

// To `decimals` places, by scaling: 10^decimals is a number beside x.
constexpr auto round_places = [](auto x, auto scale) {
  return std::nearbyint(x * scale) / scale;
};
constexpr auto round_tens = [](auto x, auto scale) {
  return std::nearbyint(x / scale) * scale;
};

template <auto f>
void round_scaled(OpCall& c, double scale) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {Arg(scale), t}};
  elementwise(t == DType::f64 ? map_tile<f, double, double, double>
                              : map_tile<f, float, float, float>,
              c.out_impl(), t, in);
}

void round_kernel(OpCall& c) {
  const int64_t decimals = c.i(1);
  if (decimals == 0 || !is_float(c.compute)) {
    return rounding_kernel<Unary::round>(c);
  }
  const double scale = std::pow(10.0, std::abs(static_cast<double>(decimals)));
  if (decimals > 0) return round_scaled<round_places>(c, scale);
  round_scaled<round_tens>(c, scale);
}

// `low` and `high`: which argument they are; -1 or None: no limit.
void run_clamp(const OpCall& c, int low, int high) {
  const DType t = compute_type(c.compute);
  const auto limit = [&](int arg, double infinity, int64_t extreme) {
    if (arg >= 0 && c.has(arg)) return Input(c, arg, t);
    return Input(t == DType::i64 ? Arg(extreme) : Arg(infinity), t);
  };
  using Ints = std::numeric_limits<int64_t>;
  const Input in[] = {{c, 0, t},
                      limit(low, -INFINITY, Ints::min()),
                      limit(high, INFINITY, Ints::max())};
  elementwise(FE_BEST(clamp_tile)(t), c.out_impl(), t, in);
}

bool join_clamp(const OpCall& c, int, Epilogue& e) {
  const auto limit = [&](int arg, double infinity) {
    return c.has(arg) ? c.number(arg) : infinity;
  };
  if (c.is_tensor(1) || c.is_tensor(2)) return false;
  return e.set_limits(c, limit(1, -INFINITY), limit(2, INFINITY));
}

}  // namespace
}  // namespace cpu

extern const KernelDef floor_cpu = {
    .name = "floor",
    .run = cpu::rounding_kernel<cpu::Unary::floor>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef ceil_cpu = {
    .name = "ceil",
    .run = cpu::rounding_kernel<cpu::Unary::ceil>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef trunc_cpu = {
    .name = "trunc",
    .run = cpu::rounding_kernel<cpu::Unary::trunc>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef round_cpu = {
    .name = "round",
    .run = cpu::round_kernel,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef frac_cpu = {
    .name = "frac",
    .run = cpu::map_floats<[](auto x) { return x - std::trunc(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef clamp_cpu = {
    .name = "clamp",
    .run = [](OpCall& c) { cpu::run_clamp(c, 1, 2); },
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_clamp,
};
extern const KernelDef clamp_min_cpu = {
    .name = "clamp_min",
    .run = [](OpCall& c) { cpu::run_clamp(c, 1, -1); },
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef clamp_max_cpu = {
    .name = "clamp_max",
    .run = [](OpCall& c) { cpu::run_clamp(c, -1, 1); },
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
