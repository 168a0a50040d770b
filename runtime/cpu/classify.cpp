// CPU kernels of questions about a number: is it finite, NaN, negative, ...
#include <cmath>

#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

void take_test(const OpCall& c, TileSink& to, Binary op, const Arg& other) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {other, t}};
  to.take(FE_BEST(binary_tile)(op, t), DType::bool_, in);
}

// x != x holds for NaN alone; for no integer.
template <Binary op>
void with_itself(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {c, 0, t}};
  to.take(FE_BEST(binary_tile)(op, t), DType::bool_, in);
}

// Compares with an infinity; integers have none.
template <Binary op, int sign = 1>
void with_infinity(const OpCall& c, TileSink& to) {
  if (is_float(c.compute)) {
    return take_test(c, to, op, Arg(sign * INFINITY));
  }
  if (op == Binary::abs_lt) return with_itself<Binary::eq>(c, to);
  with_itself<Binary::ne>(c, to);
}

constexpr auto is_negative = []<class T>(T x) -> bool {
  if constexpr (std::is_floating_point_v<T>) return std::signbit(x);
  return x < 0;
};

}  // namespace
}  // namespace cpu

extern const KernelDef isnan_cpu = {
    .name = "isnan",
    .tiles = cpu::with_itself<cpu::Binary::ne>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef isinf_cpu = {
    .name = "isinf",
    .tiles = cpu::with_infinity<cpu::Binary::abs_eq>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef isfinite_cpu = {
    .name = "isfinite",
    .tiles = cpu::with_infinity<cpu::Binary::abs_lt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef isposinf_cpu = {
    .name = "isposinf",
    .tiles = cpu::with_infinity<cpu::Binary::eq>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef isneginf_cpu = {
    .name = "isneginf",
    .tiles = cpu::with_infinity<cpu::Binary::eq, -1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef signbit_cpu = {
    .name = "signbit",
    .tiles = cpu::map_numbers<cpu::is_negative, 0>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
