// The arithmetic of huber and its gradient. Numbers stand in every element of
// their tiles; the first serves for all.
#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

template <class T>
T number(const void* tile) {
  return *static_cast<const T*>(tile);
}

template <class T>
void forward(void* out, const void* const* in, int64_t n) {
  auto* o = static_cast<T*>(out);
  const auto* x = static_cast<const T*>(in[0]);
  const T delta = number<T>(in[1]), slope = number<T>(in[2]);
  const T bend = slope / (2 * delta), begin = delta / 2;
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const Vec<T> a = abs(load(x + i, n - i));
    store(o + i, a <= delta ? a * a * bend : (a - begin) * slope, n - i);
  }
}

template <class T>
void backward(void* out, const void* const* in, int64_t n) {
  auto* o = static_cast<T*>(out);
  const auto* g = static_cast<const T*>(in[0]);
  const auto* x = static_cast<const T*>(in[1]);
  const T delta = number<T>(in[2]), slope = number<T>(in[3]);
  const T bend = slope / delta;
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const Vec<T> v = load(x + i, n - i);
    const Vec<T> line = copysign(splat<T, lanes<T>>(slope), v);
    const Vec<T> steepness = abs(v) >= delta ? line : v * bend;
    store(o + i, load(g + i, n - i) * steepness, n - i);
  }
}

}  // namespace

TileFn huber_tile(DType t) {
  return by_float(t, []<class T>(T) -> TileFn { return forward<T>; });
}

TileFn huber_backward_tile(DType t) {
  return by_float(t, []<class T>(T) -> TileFn { return backward<T>; });
}

}  // namespace ferrule::cpu::FE_ISA
