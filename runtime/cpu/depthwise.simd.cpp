// One plane by one kernel, in vectors along the rows of the result.
#include "runtime/cpu/depthwise.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// `vectors` vectors of one row of the result, n elements of it left.
template <class T, int vectors>
FE_INLINE void forward_part(const Depthwise<T>& d, const T* plane, T* out,
                            int64_t n) {
  Vec<T> sum[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) sum[v] = splat(d.bias);
  for (int64_t t = 0; t < d.shape.taps; ++t) {
    const Vec<T> weight = splat(d.weight[t]);
    const T* x = plane + d.offset[t];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      sum[v] = fma(weight, load(x + v * lanes<T>), sum[v]);
    }
  }
  if (vectors == 1) return store(out, sum[0], n);
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) store(out + v * lanes<T>, sum[v]);
}

template <class T>
void forward(const Depthwise<T>& d) {
  constexpr int kBlock = 4 * lanes<T>;
  const int64_t cols = d.shape.cols;
  for (int64_t r = 0; r < d.shape.rows; ++r) {
    const T* plane = d.plane + r * d.shape.row_step;
    T* out = d.result + r * cols;
    int64_t j = 0;
    for (; j + kBlock <= cols; j += kBlock) {
      forward_part<T, 4>(d, plane + j, out + j, kBlock);
    }
    for (; j < cols; j += lanes<T>) {
      forward_part<T, 1>(d, plane + j, out + j, cols - j);
    }
  }
}

template <class T>
void backward_plane(const Depthwise<T>& d) {
  const int64_t cols = d.shape.cols;
  for (int64_t r = 0; r < d.shape.rows; ++r) {
    T* plane = d.plane + r * d.shape.row_step;
    const T* grad = d.grad + r * cols;
    for (int64_t t = 0; t < d.shape.taps; ++t) {
      const Vec<T> weight = splat(d.weight[t]);
      T* x = plane + d.offset[t];
      for (int64_t j = 0; j < cols; j += lanes<T>) {
        store(x + j, fma(weight, load(grad + j, cols - j), load(x + j)));
      }
    }
  }
}

// Several elements of the kernel at a time, as sums that do not wait for one
// another.
template <class T, int taps>
void weight_taps(const Depthwise<T>& d, int64_t first) {
  const int64_t cols = d.shape.cols;
  Vec<T> sum[taps] = {};
  for (int64_t r = 0; r < d.shape.rows; ++r) {
    const T* plane = d.plane + r * d.shape.row_step;
    const T* grad = d.grad + r * cols;
    for (int64_t j = 0; j < cols; j += lanes<T>) {
      const Vec<T> g = load(grad + j, cols - j);
#pragma GCC unroll 4
      for (int t = 0; t < taps; ++t) {
        sum[t] = fma(g, load(plane + j + d.offset[first + t]), sum[t]);
      }
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < taps; ++t)
    d.weight_grad[first + t] += FE_ISA::sum(sum[t]);
}

template <class T>
void backward_weight(const Depthwise<T>& d) {
  int64_t t = 0;
  for (; t + 4 <= d.shape.taps; t += 4) weight_taps<T, 4>(d, t);
  for (; t < d.shape.taps; ++t) weight_taps<T, 1>(d, t);
}

template <class T>
DepthwiseFn<T> function_of(DepthwiseKind kind) {
  switch (kind) {
    case DepthwiseKind::forward:
      return forward<T>;
    case DepthwiseKind::dx:
      return backward_plane<T>;
    default:
      return backward_weight<T>;
  }
}

}  // namespace

DepthwiseFn<float> depthwise_f32(DepthwiseKind kind) {
  return function_of<float>(kind);
}

DepthwiseFn<double> depthwise_f64(DepthwiseKind kind) {
  return function_of<double>(kind);
}

}  // namespace ferrule::cpu::FE_ISA
