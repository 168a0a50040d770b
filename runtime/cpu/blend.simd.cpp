// The arithmetic of three tensors.
#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// o[i] = f(x, y, z) for the first three operands.
template <class T, class F>
FE_INLINE void each(void* out, const void* const* in, int64_t n, F f) {
  auto* o = static_cast<T*>(out);
  const auto* x = static_cast<const T*>(in[0]);
  const auto* y = static_cast<const T*>(in[1]);
  const auto* z = static_cast<const T*>(in[2]);
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    store(o + i, f(load(x + i, left), load(y + i, left), load(z + i, left)),
          left);
  }
}

template <class T>
FE_INLINE Vec<T> number(const void* values, int64_t n) {
  return splat(n > 0 ? *static_cast<const T*>(values) : T(0));
}

template <class T>
void add_product(void* out, const void* const* in, int64_t n) {
  using V = Vec<T>;
  const V factor = number<T>(in[3], n);
  each<T>(out, in, n, [&](V x, V a, V b) { return x + factor * a * b; });
}

template <class T>
void add_quotient(void* out, const void* const* in, int64_t n) {
  using V = Vec<T>;
  const V factor = number<T>(in[3], n);
  each<T>(out, in, n, [&](V x, V a, V b) { return x + factor * a / b; });
}

// The form that is exact at the end it is near to.
template <class T>
void lerp(void* out, const void* const* in, int64_t n) {
  using V = Vec<T>;
  each<T>(out, in, n, [](V start, V end, V weight) {
    const V step = end - start;
    return select(abs(weight) < T(0.5), start + weight * step,
                  end - step * (T(1) - weight));
  });
}

}  // namespace

TileFn add_product_tile(DType t) {
  return by_float(t, []<class T>(T) -> TileFn { return add_product<T>; });
}
TileFn add_quotient_tile(DType t) {
  return by_float(t, []<class T>(T) -> TileFn { return add_quotient<T>; });
}
TileFn lerp_tile(DType t) {
  return by_float(t, []<class T>(T) -> TileFn { return lerp<T>; });
}

}  // namespace ferrule::cpu::FE_ISA
