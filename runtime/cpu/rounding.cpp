// CPU kernels of rounding to whole numbers, and of limits.
#include <cmath>
#include <limits>

#include "runtime/cpu/epilogue.h"
#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

// Integers are whole already.
void take_whole(const OpCall& c, TileSink& to) {
  const DType t = c.out_impl().dtype;
  const Input in[] = {{c, 0, t}};
  to.take(copy_tile(itemsize(t)), t, in);
}

template <Unary op>
void rounding(const OpCall& c, TileSink& to) {
  if (!is_float(c.compute)) return take_whole(c, to);
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}};
  to.take(FE_BEST(unary_tile)(op, t), t, in);
}

// To `decimals` places, by scaling: 10^decimals is a number beside x.
constexpr auto round_places = [](auto x, auto scale) {
  return std::nearbyint(x * scale) / scale;
};
constexpr auto round_tens = [](auto x, auto scale) {
  return std::nearbyint(x / scale) * scale;
};

template <auto f>
void take_scaled(const OpCall& c, TileSink& to, double scale) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {Arg(scale), t}};
  to.take(t == DType::f64 ? map_tile<f, double, double, double>
                          : map_tile<f, float, float, float>,
          t, in);
}

void round(const OpCall& c, TileSink& to) {
  const int64_t decimals = c.i(1);
  if (decimals == 0 || !is_float(c.compute)) {
    return rounding<Unary::round>(c, to);
  }
  const double scale = std::pow(10.0, std::abs(static_cast<double>(decimals)));
  if (decimals > 0) return take_scaled<round_places>(c, to, scale);
  take_scaled<round_tens>(c, to, scale);
}

// `low` and `high`: which argument they are; -1 or None: no limit.
template <int low, int high>
void clamp(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  const auto limit = [&](int arg, double infinity, int64_t extreme) {
    if (arg >= 0 && c.has(arg)) return Input(c, arg, t);
    return Input(t == DType::i64 ? Arg(extreme) : Arg(infinity), t);
  };
  using Ints = std::numeric_limits<int64_t>;
  const Input in[] = {{c, 0, t},
                      limit(low, -INFINITY, Ints::min()),
                      limit(high, INFINITY, Ints::max())};
  to.take(FE_BEST(clamp_tile)(t), t, in);
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
    .tiles = cpu::rounding<cpu::Unary::floor>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef ceil_cpu = {
    .name = "ceil",
    .tiles = cpu::rounding<cpu::Unary::ceil>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef trunc_cpu = {
    .name = "trunc",
    .tiles = cpu::rounding<cpu::Unary::trunc>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef round_cpu = {
    .name = "round",
    .tiles = cpu::round,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef frac_cpu = {
    .name = "frac",
    .tiles = cpu::map_floats<[](auto x) { return x - std::trunc(x); }, 0>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef clamp_cpu = {
    .name = "clamp",
    .tiles = cpu::clamp<1, 2>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_clamp,
};
extern const KernelDef clamp_min_cpu = {
    .name = "clamp_min",
    .tiles = cpu::clamp<1, -1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef clamp_max_cpu = {
    .name = "clamp_max",
    .tiles = cpu::clamp<-1, 1>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
