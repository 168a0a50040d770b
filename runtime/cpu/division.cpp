// CPU kernels of divisions that give whole numbers, and of their remainders.
#include <cmath>

#include "runtime/cpu/check_operand.h"
#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

// No quotient of integers overflows but that of the least one by -1, which
// wraps; on x86 the machine would trap. Divisors are not zero.
constexpr auto truncated = []<class T>(T a, T b) -> T {
  if constexpr (std::is_floating_point_v<T>) {
    return std::trunc(a / b);
  } else {
    return b == -1 ? static_cast<T>(-static_cast<uint64_t>(a)) : a / b;
  }
};

constexpr auto c_remainder = []<class T>(T a, T b) -> T {
  if constexpr (std::is_floating_point_v<T>) {
    return std::fmod(a, b);
  } else {
    return b == -1 ? 0 : a % b;
  }
};

// The remainder with the divisor's sign, as Python's %; a zero has it, too.
constexpr auto python_remainder = []<class T>(T a, T b) -> T {
  const T r = c_remainder(a, b);
  if (r != 0) return (r < 0) != (b < 0) ? r + b : r;
  if constexpr (std::is_floating_point_v<T>) return std::copysign(r, b);
  return r;
};

// As NumPy and Python do it: the quotient of what the remainder leaves is
// almost whole, and is rounded to what it is almost.
constexpr auto floored = []<class T>(T a, T b) -> T {
  if constexpr (std::is_floating_point_v<T>) {
    if (b == 0) return a / b;
    const T r = std::fmod(a, b);
    T quotient = (a - r) / b;
    if (r != 0 && (r < 0) != (b < 0)) quotient -= 1;
    if (quotient == 0) return std::copysign(quotient, a / b);
    const T whole = std::floor(quotient);
    return quotient - whole > T(0.5) ? whole + 1 : whole;
  } else {
    const T quotient = truncated(a, b);
    return c_remainder(a, b) != 0 && (a < 0) != (b < 0) ? quotient - 1
                                                        : quotient;
  }
};

template <auto f>
void division_kernel(OpCall& c) {
  if (!is_float(c.compute) &&
      report_if(c, 1, "integer division by zero",
                [](int64_t divisor) { return divisor == 0; })) {
    return;
  }
  run_tiles(c, map_numbers<f, 0, 1>);
}

void quotient(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {c, 1, t}};
  to.take(FE_BEST(binary_tile)(Binary::div, t), t, in);
}

bool is_rounded(const OpCall& c) { return c.has(2); }
bool is_floored(const OpCall& c) { return c.str(2) == "floor"; }

void div(const OpCall& c, TileSink& to) {
  if (!is_rounded(c)) return quotient(c, to);
  is_floored(c) ? map_numbers<floored, 0, 1>(c, to)
                : map_numbers<truncated, 0, 1>(c, to);
}

void div_kernel(OpCall& c) {
  if (!is_rounded(c)) return run_tiles(c, quotient);
  is_floored(c) ? division_kernel<floored>(c) : division_kernel<truncated>(c);
}

}  // namespace
}  // namespace cpu

extern const KernelDef div_cpu = {
    .name = "div",
    .run = cpu::div_kernel,
    .tiles = cpu::of_floats<cpu::div>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef floor_divide_cpu = {
    .name = "floor_divide",
    .run = cpu::division_kernel<cpu::floored>,
    .tiles = cpu::of_floats<cpu::map_numbers<cpu::floored, 0, 1>>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef remainder_cpu = {
    .name = "remainder",
    .run = cpu::division_kernel<cpu::python_remainder>,
    .tiles = cpu::of_floats<cpu::map_numbers<cpu::python_remainder, 0, 1>>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef fmod_cpu = {
    .name = "fmod",
    .run = cpu::division_kernel<cpu::c_remainder>,
    .tiles = cpu::of_floats<cpu::map_numbers<cpu::c_remainder, 0, 1>>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
