// CPU kernels of questions about a number: is it finite, NaN, negative, ...
#include <cmath>

#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

void run_test(const OpCall& c, Binary op, const Arg& other) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {other, t}};
  elementwise(FE_BEST(binary_tile)(op, t), c.out_impl(), DType::bool_, in);
}

// x != x holds for NaN alone; for no integer.
template <Binary op>
void with_itself(const OpCall& c) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {c, 0, t}};
  elementwise(FE_BEST(binary_tile)(op, t), c.out_impl(), DType::bool_, in);
}

// Compares with an infinity; integers have none.
template <Binary op, int sign = 1>
void infinity_kernel(OpCall& c) {
  if (is_float(c.compute)) return run_test(c, op, Arg(sign * INFINITY));
  if (op == Binary::abs_lt) return with_itself<Binary::eq>(c);
  with_itself<Binary::ne>(c);
}

constexpr auto is_negative = []<class T>(T x) -> bool {
  if constexpr (std::is_floating_point_v<T>) return std::signbit(x);
  return x < 0;
};

}  // namespace
}  // namespace cpu

extern const KernelDef isnan_cpu = {
    .name = "isnan",
    .run = [](OpCall& c) { cpu::with_itself<cpu::Binary::ne>(c); },
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef isinf_cpu = {
    .name = "isinf",
    .run = cpu::infinity_kernel<cpu::Binary::abs_eq>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef isfinite_cpu = {
    .name = "isfinite",
    .run = cpu::infinity_kernel<cpu::Binary::abs_lt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef isposinf_cpu = {
    .name = "isposinf",
    .run = cpu::infinity_kernel<cpu::Binary::eq>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef isneginf_cpu = {
    .name = "isneginf",
    .run = cpu::infinity_kernel<cpu::Binary::eq, -1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef signbit_cpu = {
    .name = "signbit",
    .run = cpu::map_numbers<cpu::is_negative, 0>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
