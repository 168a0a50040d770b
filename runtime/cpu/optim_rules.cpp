// Kernels of optimizer steps by a rule of the table: what a step has in common
// for all elements is computed here, in float64.
#include "runtime/cpu/optim_rules.h"

#include <algorithm>
#include <cmath>

#include "ferrule/op.h"
#include "runtime/cpu/each_param.h"

namespace ferrule::cpu {
namespace {

struct Setup {
  Rule rule;
  // Arguments; 0 and empty lists are left out.
  int state[kMaxRuleState] = {};
  double keep = 1;
  double weight_decay = 0;
  bool maximize = false;
  double c[kMaxFactors] = {};
};

template <class T>
RuleTile<T> tile_of(const Setup& s) {
  RuleTile<T> tile = {
      .param = nullptr,
      .grad = nullptr,
      .state = {},
      .keep = static_cast<T>(s.keep),
      .weight_decay = static_cast<T>(s.weight_decay),
      .maximize = s.maximize,
      .c = {},
  };
  for (int i = 0; i < kMaxFactors; ++i) tile.c[i] = static_cast<T>(s.c[i]);
  return tile;
}

template <class T>
RuleTile<T> bind(RuleTile<T> tile, T* const* at, const T* grad) {
  tile.param = at[0];
  tile.grad = grad;
  std::copy_n(at + 1, kMaxState, tile.state);
  return tile;
}

void run(const OpCall& c, const Setup& s) {
  static_assert(kMaxRuleState == kMaxState);
  const auto n = std::count_if(s.state, s.state + kMaxState,
                               [](int arg) { return arg > 0; });
  const auto f32 = tile_of<float>(s);
  const auto f64 = tile_of<double>(s);
  each_param(
      c, std::span<const int>(s.state, static_cast<size_t>(n)),
      [&](float* const* at, const float* grad, int64_t n) {
        FE_BEST(rule_f32)(s.rule, bind(f32, at, grad), n);
      },
      [&](double* const* at, const double* grad, int64_t n) {
        FE_BEST(rule_f64)(s.rule, bind(f64, at, grad), n);
      });
}

int64_t next_step(const OpCall& c, int arg) {
  return ++*c.in(arg).ptr<int64_t>();
}

void rmsprop_step(OpCall& c) {
  next_step(c, 5);
  const double alpha = c.f(7);
  run(c, {.rule = Rule::rmsprop,
          .state = {2, 3, 4},
          .weight_decay = c.f(9),
          .maximize = c.b(12),
          .c = {rate(c, 6), alpha, 1 - alpha, c.f(8), c.f(10)}});
}

void adagrad_step(OpCall& c) {
  const auto t = static_cast<double>(next_step(c, 3));
  run(c, {.rule = Rule::adagrad,
          .state = {2},
          .weight_decay = c.f(6),
          .maximize = c.b(8),
          .c = {rate(c, 4) / (1 + (t - 1) * c.f(5)), c.f(7)}});
}

void adadelta_step(OpCall& c) {
  next_step(c, 4);
  const double rho = c.f(6);
  run(c, {.rule = Rule::adadelta,
          .state = {2, 3},
          .weight_decay = c.f(8),
          .maximize = c.b(9),
          .c = {rate(c, 5), rho, 1 - rho, c.f(7)}});
}

void rprop_step(OpCall& c) {
  next_step(c, 4);
  run(c, {.rule = Rule::rprop,
          .state = {2, 3},
          .maximize = c.b(9),
          .c = {c.f(5), c.f(6), c.f(7), c.f(8)}});
}

void nadam_step(OpCall& c) {
  const int64_t t = next_step(c, 4);
  double& product = *c.in(5).ptr<double>();
  const double lr = rate(c, 6), beta1 = c.f(7), beta2 = c.f(8), decay = c.f(10);
  const bool decoupled = c.b(12);
  const auto momentum = [&](int64_t at) {
    const double exponent = static_cast<double>(at) * c.f(11);
    return beta1 * (1 - 0.5 * std::pow(0.96, exponent));
  };
  const double now = momentum(t), next = momentum(t + 1);
  product *= now;
  run(c, {.rule = Rule::nadam,
          .state = {2, 3},
          .keep = decoupled ? 1 - lr * decay : 1,
          .weight_decay = decoupled ? 0 : decay,
          .maximize = c.b(13),
          .c = {1 - beta1, beta1, beta2, 1 - beta2, 1 - power(beta2, t), c.f(9),
                lr * (1 - now) / (1 - product),
                lr * next / (1 - product * next)}});
}

void radam_step(OpCall& c) {
  const int64_t t = next_step(c, 4);
  const double lr = rate(c, 5), beta1 = c.f(6), beta2 = c.f(7), decay = c.f(9);
  const bool decoupled = c.b(10);
  const double left2 = power(beta2, t), bias2 = 1 - left2;
  // How many gradients the mean of squares stands for: at last, and now.
  const double last = 2 / (1 - beta2) - 1;
  const double now = last - 2 * static_cast<double>(t) * left2 / bias2;
  const bool known = now > 5;
  double size = lr / (1 - power(beta1, t));
  if (known) {
    size *= std::sqrt(bias2) * std::sqrt((now - 4) * (now - 2) * last /
                                         ((last - 4) * (last - 2) * now));
  }
  run(c, {.rule = Rule::radam,
          .state = {2, 3},
          .keep = decoupled ? 1 - lr * decay : 1,
          .weight_decay = decoupled ? 0 : decay,
          .maximize = c.b(11),
          .c = {1 - beta1, beta1, beta2, 1 - beta2, c.f(8), size,
                known ? 1.0 : 0.0}});
}

void adamax_step(OpCall& c) {
  const int64_t t = next_step(c, 4);
  const double beta1 = c.f(6);
  run(c, {.rule = Rule::adamax,
          .state = {2, 3},
          .weight_decay = c.f(9),
          .maximize = c.b(10),
          .c = {1 - beta1, beta1, c.f(7), c.f(8),
                rate(c, 5) / (1 - power(beta1, t))}});
}

void asgd_step(OpCall& c) {
  const auto t = static_cast<double>(next_step(c, 3));
  double& eta = *c.in(4).ptr<double>();
  double& mu = *c.in(5).ptr<double>();
  const double lr = rate(c, 6), lambd = c.f(7);
  run(c, {.rule = Rule::asgd,
          .state = {2},
          .keep = 1 - lambd * eta,
          .weight_decay = c.f(10),
          .maximize = c.b(11),
          .c = {eta, mu}});
  eta = lr / std::pow(1 + lambd * lr * t, c.f(8));
  mu = 1 / std::max(1.0, t - c.f(9));
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef rmsprop_step_cpu = {
    .name = "rmsprop_step",
    .run = cpu::rmsprop_step,
    .contiguous = false,
};
extern const KernelDef adagrad_step_cpu = {
    .name = "adagrad_step",
    .run = cpu::adagrad_step,
    .contiguous = false,
};
extern const KernelDef adadelta_step_cpu = {
    .name = "adadelta_step",
    .run = cpu::adadelta_step,
    .contiguous = false,
};
extern const KernelDef rprop_step_cpu = {
    .name = "rprop_step",
    .run = cpu::rprop_step,
    .contiguous = false,
};
extern const KernelDef nadam_step_cpu = {
    .name = "nadam_step",
    .run = cpu::nadam_step,
    .contiguous = false,
};
extern const KernelDef radam_step_cpu = {
    .name = "radam_step",
    .run = cpu::radam_step,
    .contiguous = false,
};
extern const KernelDef adamax_step_cpu = {
    .name = "adamax_step",
    .run = cpu::adamax_step,
    .contiguous = false,
};
extern const KernelDef asgd_step_cpu = {
    .name = "asgd_step",
    .run = cpu::asgd_step,
    .contiguous = false,
};

}  // namespace ferrule
