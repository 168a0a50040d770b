// CPU kernels of activations: which tile function, on which operands.
#include "runtime/cpu/activation.h"

#include "runtime/cpu/epilogue.h"

namespace ferrule {
namespace cpu {
namespace {

// The arguments of the call are the operands, in order.
template <Activation op, int... arg>
void tiles(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, arg, t}...};
  to.take(FE_BEST(activation_tile)(op, t), t, in,
          op >= Activation::silu ? kCostlyGrain : kCheapGrain);
}

template <Activation op>
bool join_activation(const OpCall& c, int, Epilogue& e) {
  return e.set_then(c, FE_BEST(activation_tile)(op, DType::f32));
}

bool join_hardtanh(const OpCall& c, int, Epilogue& e) {
  return e.set_limits(c, c.number(1), c.number(2));
}

void hardtanh(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {c, 1, t}, {c, 2, t}};
  to.take(FE_BEST(clamp_tile)(t), t, in);
}

}  // namespace
}  // namespace cpu

using cpu::Activation;

extern const KernelDef leaky_relu_cpu = {
    .name = "leaky_relu",
    .tiles = cpu::tiles<Activation::leaky_relu, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef leaky_relu_backward_cpu = {
    .name = "leaky_relu_backward",
    .tiles = cpu::tiles<Activation::leaky_relu_backward, 0, 1, 2>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef hardtanh_cpu = {
    .name = "hardtanh",
    .tiles = cpu::hardtanh,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_hardtanh,
};
extern const KernelDef hardtanh_backward_cpu = {
    .name = "hardtanh_backward",
    .tiles = cpu::tiles<Activation::hardtanh_backward, 0, 1, 2, 3>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef hardsigmoid_cpu = {
    .name = "hardsigmoid",
    .tiles = cpu::tiles<Activation::hardsigmoid, 0>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_activation<Activation::hardsigmoid>,
};
extern const KernelDef hardsigmoid_backward_cpu = {
    .name = "hardsigmoid_backward",
    .tiles = cpu::tiles<Activation::hardsigmoid_backward, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef hardswish_cpu = {
    .name = "hardswish",
    .tiles = cpu::tiles<Activation::hardswish, 0>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_activation<Activation::hardswish>,
};
extern const KernelDef hardswish_backward_cpu = {
    .name = "hardswish_backward",
    .tiles = cpu::tiles<Activation::hardswish_backward, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef silu_cpu = {
    .name = "silu",
    .tiles = cpu::tiles<Activation::silu, 0>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_activation<Activation::silu>,
};
extern const KernelDef silu_backward_cpu = {
    .name = "silu_backward",
    .tiles = cpu::tiles<Activation::silu_backward, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef mish_cpu = {
    .name = "mish",
    .tiles = cpu::tiles<Activation::mish, 0>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_activation<Activation::mish>,
};
extern const KernelDef mish_backward_cpu = {
    .name = "mish_backward",
    .tiles = cpu::tiles<Activation::mish_backward, 0, 1>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef scaled_elu_cpu = {
    .name = "scaled_elu",
    .tiles = cpu::tiles<Activation::scaled_elu, 0, 1, 2, 3>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef scaled_elu_backward_cpu = {
    .name = "scaled_elu_backward",
    .tiles = cpu::tiles<Activation::scaled_elu_backward, 0, 1, 2, 3, 4>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef softplus_cpu = {
    .name = "softplus",
    .tiles = cpu::tiles<Activation::softplus, 0, 1, 2>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef softplus_backward_cpu = {
    .name = "softplus_backward",
    .tiles = cpu::tiles<Activation::softplus_backward, 0, 1, 2, 3>,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
