// Kernels of optimizer steps: SGD and Adam.
#include <cmath>

#include "ferrule/op.h"
#include "runtime/cpu/each_param.h"
#include "runtime/cpu/optim_tiles.h"

namespace ferrule::cpu {
namespace {

template <class T>
SgdTile<T> sgd_options(const OpCall& c) {
  return {
      .param = nullptr,
      .grad = nullptr,
      .buffer = nullptr,
      .lr = static_cast<T>(rate(c, 3)),
      .momentum = static_cast<T>(c.f(4)),
      .undamped = static_cast<T>(1 - c.f(5)),
      .weight_decay = static_cast<T>(c.f(6)),
      .nesterov = c.b(7),
      .maximize = c.b(8),
      .first = c.b(9),
  };
}

template <class T>
SgdTile<T> bind(SgdTile<T> tile, T* const* at, const T* grad) {
  tile.param = at[0];
  tile.grad = grad;
  tile.buffer = at[1];
  return tile;
}

void sgd_step(OpCall& c) {
  const int kBuffers[] = {2};
  const std::span<const int> state(kBuffers, c.f(4) == 0 ? 0 : 1);
  const auto f32 = sgd_options<float>(c);
  const auto f64 = sgd_options<double>(c);
  each_param(
      c, state,
      [&](float* const* at, const float* grad, int64_t n) {
        FE_BEST(sgd_f32)(bind(f32, at, grad), n);
      },
      [&](double* const* at, const double* grad, int64_t n) {
        FE_BEST(sgd_f64)(bind(f64, at, grad), n);
      });
}

template <class T>
AdamTile<T> adam_options(const OpCall& c, int64_t t) {
  const double lr = rate(c, 6), beta1 = c.f(7), beta2 = c.f(8), decay = c.f(10);
  const bool decoupled = c.b(13);
  return {
      .param = nullptr,
      .grad = nullptr,
      .exp_avg = nullptr,
      .exp_avg_sq = nullptr,
      .max_exp_avg_sq = nullptr,
      .keep = static_cast<T>(decoupled ? 1 - lr * decay : 1.0),
      .weight_decay = static_cast<T>(decoupled ? 0.0 : decay),
      .weight1 = static_cast<T>(1 - beta1),
      .beta1 = static_cast<T>(beta1),
      .beta2 = static_cast<T>(beta2),
      .weight2 = static_cast<T>(1 - beta2),
      .step_size = static_cast<T>(lr / (1 - power(beta1, t))),
      .correction2 = static_cast<T>(std::sqrt(1 - power(beta2, t))),
      .eps = static_cast<T>(c.f(9)),
      .maximize = c.b(12),
  };
}

template <class T>
AdamTile<T> bind(AdamTile<T> tile, T* const* at, const T* grad) {
  tile.param = at[0];
  tile.grad = grad;
  tile.exp_avg = at[1];
  tile.exp_avg_sq = at[2];
  tile.max_exp_avg_sq = at[3];
  return tile;
}

void adam_step(OpCall& c) {
  const int64_t t = ++*c.in(5).ptr<int64_t>();
  const int kAll[] = {2, 3, 4};
  const std::span<const int> state(kAll, c.b(11) ? 3 : 2);
  const auto f32 = adam_options<float>(c, t);
  const auto f64 = adam_options<double>(c, t);
  each_param(
      c, state,
      [&](float* const* at, const float* grad, int64_t n) {
        FE_BEST(adam_f32)(bind(f32, at, grad), n);
      },
      [&](double* const* at, const double* grad, int64_t n) {
        FE_BEST(adam_f64)(bind(f64, at, grad), n);
      });
}

}  // namespace
}  // namespace ferrule::cpu

namespace ferrule {

extern const KernelDef sgd_step_cpu = {
    .name = "sgd_step",
    .run = cpu::sgd_step,
    .contiguous = false,
};
extern const KernelDef adam_step_cpu = {
    .name = "adam_step",
    .run = cpu::adam_step,
    .contiguous = false,
};

}  // namespace ferrule
