// Rows of layer normalisation, in vectors.
#include "runtime/cpu/norm.h"

#include <cmath>

#include "runtime/cpu/arithmetic.h"
#include "runtime/cpu/reduce_tree.h"
#include "runtime/cpu/simd.h"
#include "runtime/cpu/stream.h"

namespace ferrule::cpu::FE_ISA {
namespace {

struct Add {
  template <class V>
  FE_INLINE V operator()(V a, V b) const {
    return a + b;
  }
};

template <class T>
FE_INLINE Vec<T> weight_at(const T* weight, int64_t i, int64_t left) {
  return weight ? load(weight + i, left) : splat<T>(1);
}

template <class T>
void forward(const LayerNormRow& row, int64_t n) {
  const T* x = static_cast<const T*>(row.x);
  const T* weight = static_cast<const T*>(row.weight);
  const T* bias = static_cast<const T*>(row.bias);
  T* out = static_cast<T*>(row.out);
  const T mean = reduce_run<T>(n, T(0), Add{},
                               [&](int64_t i, int64_t left) {
                                 return load(x + i, left);
                               }) /
                 static_cast<T>(n);
  const T var =
      reduce_run<T>(n, T(0), Add{},
                    [&](int64_t i, int64_t left) {
                      // Of the rows that follow.
                      __builtin_prefetch(x + i + kFetchAhead / sizeof(T));
                      const Vec<T> d = load(x + i, left) - mean;
                      return d * d;
                    }) /
      static_cast<T>(n);
  const T rstd = T(1) / std::sqrt(var + static_cast<T>(row.eps));
  *static_cast<T*>(row.mean) = mean;
  *static_cast<T*>(row.rstd) = rstd;
  write(out, n, row.past_caches, [&](int64_t i, int64_t left) {
    const Vec<T> normal = (load(x + i, left) - mean) * rstd;
    const Vec<T> shift = bias ? load(bias + i, left) : Vec<T>{};
    return fma(normal, weight_at(weight, i, left), shift);
  });
}

// With h = weight * grad and x^ the normalised row:
// (h - mean(h) - x^ mean(h x^)) * rstd.
template <class T>
void backward(const LayerNormBackwardRow& row, int64_t n) {
  const T* grad = static_cast<const T*>(row.grad);
  const T* x = static_cast<const T*>(row.x);
  const T* weight = static_cast<const T*>(row.weight);
  const T mean = *static_cast<const T*>(row.mean);
  const T rstd = *static_cast<const T*>(row.rstd);
  T* out = static_cast<T*>(row.out);
  T* weight_grad = static_cast<T*>(row.weight_grad);
  T* bias_grad = static_cast<T*>(row.bias_grad);
  const T count = static_cast<T>(n);
  const T sum_h = reduce_run<T>(n, T(0), Add{}, [&](int64_t i, int64_t left) {
    return load(grad + i, left) * weight_at(weight, i, left);
  });
  const T sum_hx = reduce_run<T>(n, T(0), Add{}, [&](int64_t i, int64_t left) {
    return load(grad + i, left) * weight_at(weight, i, left) *
           (load(x + i, left) - mean);
  });
  const T a = sum_h / count;
  const T b = sum_hx * rstd / count;
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    const Vec<T> g = load(grad + i, left);
    const Vec<T> normal = (load(x + i, left) - mean) * rstd;
    store(out + i, (g * weight_at(weight, i, left) - a - normal * b) * rstd,
          left);
    store(weight_grad + i, load(weight_grad + i, left) + g * normal, left);
    store(bias_grad + i, load(bias_grad + i, left) + g, left);
  }
}

}  // namespace

void layer_norm_row(const LayerNormRow& row, int64_t n, DType t) {
  by_float(t, [&]<class T>(T) { forward<T>(row, n); });
}

void layer_norm_backward_row(const LayerNormBackwardRow& row, int64_t n,
                             DType t) {
  by_float(t, [&]<class T>(T) { backward<T>(row, n); });
}

}  // namespace ferrule::cpu::FE_ISA
