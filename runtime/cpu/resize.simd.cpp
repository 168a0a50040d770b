// The arithmetic of interpolation where neighbours lie rows apart.
#include "runtime/cpu/resize.h"

#include "runtime/cpu/arithmetic.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

template <class T>
void mix(void* out, const void* rows, int64_t stride, const void* weights,
         int64_t count, int64_t n) {
  auto* o = static_cast<T*>(out);
  const auto* x = static_cast<const T*>(rows);
  const auto* w = static_cast<const T*>(weights);
  for (int64_t i = 0; i < n; i += lanes<T>) {
    Vec<T> sum = splat(w[0]) * load(x + i, n - i);
    for (int64_t k = 1; k < count; ++k) {
      sum = sum + splat(w[k]) * load(x + k * stride + i, n - i);
    }
    store(o + i, sum, n - i);
  }
}

template <class T>
void add(void* out, const void* in, double weight, int64_t n) {
  auto* o = static_cast<T*>(out);
  const auto* x = static_cast<const T*>(in);
  const Vec<T> w = splat(static_cast<T>(weight));
  for (int64_t i = 0; i < n; i += lanes<T>) {
    store(o + i, load(o + i, n - i) + w * load(x + i, n - i), n - i);
  }
}

}  // namespace

ResizeLoops resize_loops(DType t) {
  return by_float(t, []<class T>(T) { return ResizeLoops{mix<T>, add<T>}; });
}

}  // namespace ferrule::cpu::FE_ISA
