// Loops of the optimizers.
#include "runtime/cpu/optim_tiles.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// The gradient that the rules start from.
template <class T>
FE_INLINE Vec<T> start(Vec<T> grad, Vec<T> param, T weight_decay,
                       bool maximize) {
  const Vec<T> g = maximize ? -grad : grad;
  return weight_decay != T(0) ? g + weight_decay * param : g;
}

template <class T>
void sgd(const SgdTile<T>& a, int64_t n) {
  const T lr = -a.lr;
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    const Vec<T> p = load(a.param + i, left);
    const Vec<T> g =
        start<T>(load(a.grad + i, left), p, a.weight_decay, a.maximize);
    Vec<T> step = g;
    if (a.buffer) {
      Vec<T> b = g;
      if (!a.first) {
        b = load(a.buffer + i, left) * a.momentum + a.undamped * g;
      }
      store(a.buffer + i, b, left);
      step = a.nesterov ? g + a.momentum * b : b;
    }
    store(a.param + i, p + lr * step, left);
  }
}

// `options` is a copy of which the compiler knows that stores leave it alone.
template <bool amsgrad, class T>
void adam_loop(const AdamTile<T>& a, int64_t n) {
  const AdamTile<T> options = a;
  // step average / (sqrt(w) / c + eps) with one division instead of two.
  const T step_size = -options.step_size * options.correction2;
  const T eps = options.eps * options.correction2;
  // torch.lerp starts from the nearer end.
  const bool from_average = options.weight1 < T(0.5);
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    const Vec<T> p = load(options.param + i, left) * options.keep;
    const Vec<T> g = start<T>(load(options.grad + i, left), p,
                              options.weight_decay, options.maximize);
    const Vec<T> m = load(options.exp_avg + i, left);
    const Vec<T> average = from_average ? m + options.weight1 * (g - m)
                                        : g - (g - m) * options.beta1;
    const Vec<T> v = load(options.exp_avg_sq + i, left) * options.beta2 +
                     options.weight2 * g * g;
    store(options.exp_avg + i, average, left);
    store(options.exp_avg_sq + i, v, left);
    Vec<T> w = v;
    if constexpr (amsgrad) {
      w = max(v, load(options.max_exp_avg_sq + i, left));
      store(options.max_exp_avg_sq + i, w, left);
    }
    store(options.param + i, p + step_size * average / (sqrt(w) + eps), left);
  }
}

template <class T>
void adam(const AdamTile<T>& a, int64_t n) {
  a.max_exp_avg_sq ? adam_loop<true>(a, n) : adam_loop<false>(a, n);
}

}  // namespace

void sgd_f32(const SgdTile<float>& a, int64_t n) { sgd(a, n); }
void sgd_f64(const SgdTile<double>& a, int64_t n) { sgd(a, n); }
void adam_f32(const AdamTile<float>& a, int64_t n) { adam(a, n); }
void adam_f64(const AdamTile<double>& a, int64_t n) { adam(a, n); }

}  // namespace ferrule::cpu::FE_ISA
