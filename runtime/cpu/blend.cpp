// CPU kernels of the arithmetic of three tensors.
#include "runtime/cpu/map.h"

namespace ferrule {
namespace cpu {

// Of floats: x + factor * a * b and x + factor * a / b for x, a, b, factor, of
// which the last is one number; start + weight * (end - start).
FE_SIMD(TileFn add_product_tile(DType t); TileFn add_quotient_tile(DType t);
        TileFn lerp_tile(DType t);)

namespace {

// Integers wrap: they are computed unsigned.
constexpr auto add_product = [](int64_t x, int64_t a, int64_t b,
                                int64_t factor) {
  using U = uint64_t;
  return static_cast<int64_t>(U(x) + U(factor) * U(a) * U(b));
};

template <int... arg>
void blend(const OpCall& c, TileSink& to, TileFn tile) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, arg, t}...};
  to.take(tile, t, in);
}

void addcmul(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  if (t == DType::i64) return map_ints<add_product, 0, 1, 2, 3>(c, to);
  blend<0, 1, 2, 3>(c, to, FE_BEST(add_product_tile)(t));
}

void addcdiv(const OpCall& c, TileSink& to) {
  blend<0, 1, 2, 3>(c, to, FE_BEST(add_quotient_tile)(compute_type(c.compute)));
}

void lerp(const OpCall& c, TileSink& to) {
  blend<0, 1, 2>(c, to, FE_BEST(lerp_tile)(compute_type(c.compute)));
}

}  // namespace
}  // namespace cpu

extern const KernelDef addcmul_cpu = {
    .name = "addcmul",
    .tiles = cpu::addcmul,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef addcdiv_cpu = {
    .name = "addcdiv",
    .tiles = cpu::addcdiv,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef lerp_cpu = {
    .name = "lerp",
    .tiles = cpu::lerp,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
