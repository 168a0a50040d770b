// Loops of the optimizers, vectorized by the compiler.
#include "runtime/cpu/optim_tiles.h"

#include <cmath>
#include <type_traits>

namespace ferrule::cpu::FE_ISA {
namespace {

// The gradient that the rules start from.
template <class T>
inline T start(T grad, T param, T weight_decay, bool maximize) {
  const T g = maximize ? -grad : grad;
  return weight_decay != T(0) ? g + weight_decay * param : g;
}

template <class T>
void sgd(const SgdTile<T>& a, int64_t n) {
  T* __restrict param = a.param;
  const T* __restrict grad = a.grad;
  T* __restrict buffer = a.buffer;
  const T lr = -a.lr, momentum = a.momentum, undamped = a.undamped;
  const T decay = a.weight_decay;
  const bool maximize = a.maximize, nesterov = a.nesterov;
  if (!buffer) {
    for (int64_t i = 0; i < n; ++i) {
      param[i] = param[i] + lr * start(grad[i], param[i], decay, maximize);
    }
  } else if (a.first) {
    for (int64_t i = 0; i < n; ++i) {
      const T g = start(grad[i], param[i], decay, maximize);
      buffer[i] = g;
      param[i] = param[i] + lr * (nesterov ? g + momentum * g : g);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const T g = start(grad[i], param[i], decay, maximize);
      const T b = buffer[i] * momentum + undamped * g;
      buffer[i] = b;
      param[i] = param[i] + lr * (nesterov ? g + momentum * b : b);
    }
  }
}

template <class T>
void adam(const AdamTile<T>& a, int64_t n) {
  T* __restrict param = a.param;
  const T* __restrict grad = a.grad;
  T* __restrict exp_avg = a.exp_avg;
  T* __restrict exp_avg_sq = a.exp_avg_sq;
  T* __restrict largest = a.max_exp_avg_sq;
  const T keep = a.keep, decay = a.weight_decay, beta2 = a.beta2;
  const T weight1 = a.weight1, beta1 = a.beta1, weight2 = a.weight2;
  const T step_size = -a.step_size, correction2 = a.correction2, eps = a.eps;
  const bool maximize = a.maximize;
  // torch.lerp starts from the nearer end.
  const bool from_average = weight1 < T(0.5);
  const auto update = [&](int64_t i, auto with_largest) {
    const T p = param[i] * keep;
    const T g = start(grad[i], p, decay, maximize);
    const T m = exp_avg[i];
    const T average =
        from_average ? m + weight1 * (g - m) : g - (g - m) * beta1;
    const T v = exp_avg_sq[i] * beta2 + weight2 * g * g;
    exp_avg[i] = average;
    exp_avg_sq[i] = v;
    T w = v;
    if constexpr (with_largest.value) {
      const T before = largest[i];
      w = v > before || v != v ? v : before;
      largest[i] = w;
    }
    const T denominator = std::sqrt(w) / correction2 + eps;
    param[i] = p + step_size * average / denominator;
  };
  if (largest) {
    for (int64_t i = 0; i < n; ++i) update(i, std::true_type{});
  } else {
    for (int64_t i = 0; i < n; ++i) update(i, std::false_type{});
  }
}

}  // namespace

void sgd_f32(const SgdTile<float>& a, int64_t n) { sgd(a, n); }
void sgd_f64(const SgdTile<double>& a, int64_t n) { sgd(a, n); }
void adam_f32(const AdamTile<float>& a, int64_t n) { adam(a, n); }
void adam_f64(const AdamTile<double>& a, int64_t n) { adam(a, n); }

}  // namespace ferrule::cpu::FE_ISA
