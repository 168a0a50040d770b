// One step of an optimizer on dense elements. The operations and their order
// are those of torch.optim on single tensors, but that Adam divides once;
// nothing is contracted.
#pragma once

#include <cstdint>

#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

template <class T>
struct SgdTile {
  T* param;
  const T* grad;
  T* buffer;                               // null: no momentum
  T lr, momentum, undamped, weight_decay;  // undamped: 1 - dampening
  bool nesterov, maximize, first;
};

template <class T>
struct AdamTile {
  T* param;
  const T* grad;
  T* exp_avg;
  T* exp_avg_sq;
  T* max_exp_avg_sq;  // null: not amsgrad
  T keep;             // what decoupled weight decay leaves: 1 - lr weight_decay
  T weight_decay;     // added to the gradient; 0 where it is decoupled
  T weight1;          // 1 - beta1
  T beta1, beta2, weight2;
  T step_size;    // lr / (1 - beta1^t)
  T correction2;  // sqrt(1 - beta2^t)
  T eps;
  bool maximize;
};

FE_SIMD(void sgd_f32(const SgdTile<float>& a, int64_t n);)
FE_SIMD(void sgd_f64(const SgdTile<double>& a, int64_t n);)
FE_SIMD(void adam_f32(const AdamTile<float>& a, int64_t n);)
FE_SIMD(void adam_f64(const AdamTile<double>& a, int64_t n);)

}  // namespace ferrule::cpu
