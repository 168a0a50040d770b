// CPU kernel of binary_cross_entropy_terms.
#include <cmath>

#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {
namespace {

// A logarithm of 0 counts as -100.
template <class T>
T term(T x, T y) {
  const T yes = std::fmax(std::log(x), T(-100));
  const T no = std::fmax(std::log1p(-x), T(-100));
  return (y - 1) * no - y * yes;
}

}  // namespace
}  // namespace cpu

extern const KernelDef binary_cross_entropy_terms_cpu = {
    .name = "binary_cross_entropy_terms",
    .tiles =
        cpu::map_floats<[](auto x, auto y) { return cpu::term(x, y); }, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
