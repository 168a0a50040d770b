// Tile functions of the activations that networks train with, and of their
// gradients. Parameters such as a slope are operands like the others.
#pragma once

#include "runtime/cpu/elementwise.h"

namespace ferrule::cpu {

enum class Activation : uint8_t {
  leaky_relu,            // x, slope
  leaky_relu_backward,   // grad, x, slope
  hardtanh_backward,     // grad, x, min, max
  hardsigmoid,           // x
  hardsigmoid_backward,  // grad, x
  hardswish,             // x
  hardswish_backward,    // grad, x
  silu,                  // cost tens of operations, as those that follow
  silu_backward,
  mish,
  mish_backward,
  scaled_elu,           // x, alpha, scale, input_scale
  scaled_elu_backward,  // grad, x, alpha, scale, input_scale
  softplus,             // x, beta, threshold
  softplus_backward,    // grad, x, beta, threshold
};

// t is f32 or f64.
FE_SIMD(TileFn activation_tile(Activation op, DType t);)

}  // namespace ferrule::cpu
