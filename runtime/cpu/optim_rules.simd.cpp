// The arithmetic of the rules: one function each, on vectors of a parameter p,
// its gradient g and its state.
#include "runtime/cpu/optim_rules.h"

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// A number in every lane.
template <class T>
FE_INLINE Vec<T> all(T x) {
  return splat<T, lanes<T>>(x);
}

// p less what decoupled decay takes, and g with what weight decay adds. The
// copy of the options is one of which the compiler knows that stores leave it
// alone.
template <class T, class Step>
FE_INLINE void each(const RuleTile<T>& given, int64_t n, Step step) {
  const RuleTile<T> a = given;
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const int64_t left = n - i;
    const Vec<T> p = load(a.param + i, left);
    Vec<T> g = load(a.grad + i, left);
    if (a.maximize) g = -g;
    if (a.weight_decay != T(0)) g = fma(p, all<T>(a.weight_decay), g);
    store(a.param + i, step(a, i, left, p * a.keep, g), left);
  }
}

// old + weight (new - old); torch.lerp starts from the nearer end.
template <class T>
FE_INLINE Vec<T> lerp(Vec<T> from, Vec<T> to, T weight, T rest) {
  return weight < T(0.5) ? fma(to - from, all<T>(weight), from)
                         : fma(from - to, all<T>(rest), to);
}

// The running mean in state k moves by `weight` (rest: 1 - weight) towards x.
template <class T>
FE_INLINE Vec<T> move(const RuleTile<T>& a, int k, int64_t i, int64_t left,
                      Vec<T> x, T weight, T rest) {
  const Vec<T> m = lerp<T>(load(a.state[k] + i, left), x, weight, rest);
  store(a.state[k] + i, m, left);
  return m;
}

// state k = decay state k + weight x^2.
template <class T>
FE_INLINE Vec<T> square(const RuleTile<T>& a, int k, int64_t i, int64_t left,
                        Vec<T> x, T decay, T weight) {
  const Vec<T> v = fma(weight * x, x, load(a.state[k] + i, left) * decay);
  store(a.state[k] + i, v, left);
  return v;
}

// state: square_avg, momentum_buffer, grad_avg
// c: lr, alpha, 1 - alpha, eps, momentum
template <class T>
void rmsprop(const RuleTile<T>& tile, int64_t n) {
  each(tile, n, [](auto& a, int64_t i, int64_t left, Vec<T> p, Vec<T> g) {
    Vec<T> v = square<T>(a, 0, i, left, g, a.c[1], a.c[2]);
    if (a.state[2]) {
      const Vec<T> mean = move<T>(a, 2, i, left, g, a.c[2], a.c[1]);
      v = fma(-mean, mean, v);
    }
    const Vec<T> root = sqrt(v) + a.c[3];
    if (!a.state[1]) return p - a.c[0] * g / root;
    const Vec<T> b = fma(load(a.state[1] + i, left), all<T>(a.c[4]), g / root);
    store(a.state[1] + i, b, left);
    return fma(b, all<T>(-a.c[0]), p);
  });
}

// state: sum; c: lr, eps
template <class T>
void adagrad(const RuleTile<T>& tile, int64_t n) {
  each(tile, n, [](auto& a, int64_t i, int64_t left, Vec<T> p, Vec<T> g) {
    const Vec<T> sum = square<T>(a, 0, i, left, g, T(1), T(1));
    return p - a.c[0] * g / (sqrt(sum) + a.c[1]);
  });
}

// state: square_avg, acc_delta; c: lr, rho, 1 - rho, eps
template <class T>
void adadelta(const RuleTile<T>& tile, int64_t n) {
  each(tile, n, [](auto& a, int64_t i, int64_t left, Vec<T> p, Vec<T> g) {
    const Vec<T> v = square<T>(a, 0, i, left, g, a.c[1], a.c[2]);
    const Vec<T> u = load(a.state[1] + i, left);
    const Vec<T> delta = sqrt(u + a.c[3]) / sqrt(v + a.c[3]) * g;
    square<T>(a, 1, i, left, delta, a.c[1], a.c[2]);
    return fma(delta, all<T>(-a.c[0]), p);
  });
}

// state: prev, step_size; c: etaminus, etaplus, smallest and largest step
template <class T>
void rprop(const RuleTile<T>& tile, int64_t n) {
  each(tile, n, [](auto& a, int64_t i, int64_t left, Vec<T> p, Vec<T> g) {
    const Vec<T> zero{};
    const Vec<T> turn = g * load(a.state[0] + i, left);
    Vec<T> step = load(a.state[1] + i, left);
    step = turn > zero ? step * a.c[1] : turn < zero ? step * a.c[0] : step;
    step = min(max(step, zero + a.c[2]), zero + a.c[3]);
    g = turn < zero ? zero : g;
    store(a.state[0] + i, g, left);
    store(a.state[1] + i, step, left);
    return g > zero ? p - step : g < zero ? p + step : p;
  });
}

// state: exp_avg, exp_avg_sq
// c: 1 - beta1, beta1, beta2, 1 - beta2, 1 - beta2^t, eps, share of the
// gradient, share of the mean
template <class T>
void nadam(const RuleTile<T>& tile, int64_t n) {
  each(tile, n, [](auto& a, int64_t i, int64_t left, Vec<T> p, Vec<T> g) {
    const Vec<T> m = move<T>(a, 0, i, left, g, a.c[0], a.c[1]);
    const Vec<T> v = square<T>(a, 1, i, left, g, a.c[2], a.c[3]);
    const Vec<T> root = sqrt(v / a.c[4]) + a.c[5];
    return p - a.c[6] * g / root - a.c[7] * m / root;
  });
}

// state: exp_avg, exp_avg_sq
// c: 1 - beta1, beta1, beta2, 1 - beta2, eps, step size, 1 if the variance is
// known well enough to divide by
template <class T>
void radam(const RuleTile<T>& tile, int64_t n) {
  each(tile, n, [](auto& a, int64_t i, int64_t left, Vec<T> p, Vec<T> g) {
    const Vec<T> m = move<T>(a, 0, i, left, g, a.c[0], a.c[1]);
    const Vec<T> v = square<T>(a, 1, i, left, g, a.c[2], a.c[3]);
    if (a.c[6] == T(0)) return fma(m, all<T>(-a.c[5]), p);
    return p - a.c[5] * m / (sqrt(v) + a.c[4]);
  });
}

// state: exp_avg, exp_inf; c: 1 - beta1, beta1, beta2, eps, step size
template <class T>
void adamax(const RuleTile<T>& tile, int64_t n) {
  each(tile, n, [](auto& a, int64_t i, int64_t left, Vec<T> p, Vec<T> g) {
    const Vec<T> m = move<T>(a, 0, i, left, g, a.c[0], a.c[1]);
    const Vec<T> u = max(load(a.state[1] + i, left) * a.c[2], abs(g) + a.c[3]);
    store(a.state[1] + i, u, left);
    return p - a.c[4] * m / u;
  });
}

// state: ax; c: eta, mu
template <class T>
void asgd(const RuleTile<T>& tile, int64_t n) {
  each(tile, n, [](auto& a, int64_t i, int64_t left, Vec<T> p, Vec<T> g) {
    p = fma(g, all<T>(-a.c[0]), p);
    const Vec<T> ax = load(a.state[0] + i, left);
    store(a.state[0] + i, a.c[1] == T(1) ? p : fma(p - ax, all<T>(a.c[1]), ax),
          left);
    return p;
  });
}

template <class T>
void run(Rule rule, const RuleTile<T>& a, int64_t n) {
  switch (rule) {
    case Rule::rmsprop:
      return rmsprop(a, n);
    case Rule::adagrad:
      return adagrad(a, n);
    case Rule::adadelta:
      return adadelta(a, n);
    case Rule::rprop:
      return rprop(a, n);
    case Rule::nadam:
      return nadam(a, n);
    case Rule::radam:
      return radam(a, n);
    case Rule::adamax:
      return adamax(a, n);
    case Rule::asgd:
      return asgd(a, n);
  }
}

}  // namespace

void rule_f32(Rule rule, const RuleTile<float>& a, int64_t n) {
  run(rule, a, n);
}
void rule_f64(Rule rule, const RuleTile<double>& a, int64_t n) {
  run(rule, a, n);
}

}  // namespace ferrule::cpu::FE_ISA
