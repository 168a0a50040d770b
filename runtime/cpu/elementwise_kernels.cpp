// CPU kernels of the elementwise ops: which tile function, on which dtype.
#include "runtime/cpu/check_operand.h"
#include "runtime/cpu/epilogue.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {
namespace cpu {
namespace {

void run_unary(const OpCall& c, Unary op) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}};
  elementwise(FE_BEST(unary_tile)(op, t), c.out_impl(), t, in,
              op >= Unary::exp ? kCostlyGrain : kCheapGrain);
}

void run_binary(const OpCall& c, Binary op) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {c, 1, t}};
  elementwise(FE_BEST(binary_tile)(op, t), c.out_impl(), t, in,
              op >= Binary::pow ? kCostlyGrain : kCheapGrain);
}

// `first` and `second`: which argument is on which side of the comparison.
void run_compare(const OpCall& c, Binary op, int first = 0, int second = 1) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, first, t}, {c, second, t}};
  elementwise(FE_BEST(binary_tile)(op, t), c.out_impl(), DType::bool_, in);
}

template <Unary op>
void unary_kernel(OpCall& c) {
  run_unary(c, op);
}

template <Unary op>
bool join_unary(const OpCall& c, int, Epilogue& e) {
  return e.set_then(c, FE_BEST(unary_tile)(op, DType::f32).fn);
}

bool join_add(const OpCall& c, int arg, Epilogue& e) {
  return e.set_addend(c, 1 - arg);
}

template <Binary op>
void binary_kernel(OpCall& c) {
  run_binary(c, op);
}

template <Binary op>
void compare_kernel(OpCall& c) {
  run_compare(c, op);
}

// a > b is b < a.
template <Binary op>
void swapped_compare_kernel(OpCall& c) {
  run_compare(c, op, 1, 0);
}

void logical_not_kernel(OpCall& c) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {Arg(0), t}};
  elementwise(FE_BEST(binary_tile)(Binary::eq, t), c.out_impl(), DType::bool_,
              in);
}

// Small whole powers are products.
void pow_kernel(OpCall& c) {
  const DType t = compute_type(c.compute);
  if (t == DType::i64 &&
      report_if(c, 1,
                "an integer to a negative integer power ({}) is no integer; "
                "convert the base with .float()",
                [](int64_t exponent) { return exponent < 0; })) {
    return;
  }
  if (t != DType::i64 && c.args[1].is_number()) {
    const Input x(c, 0, t);
    const double exponent = c.number(1);
    if (exponent == 2) {
      const Input in[] = {x, x};
      return elementwise(FE_BEST(binary_tile)(Binary::mul, t), c.out_impl(), t,
                         in);
    }
    if (exponent == -1) {
      const Input in[] = {{Arg(1.0), t}, x};
      return elementwise(FE_BEST(binary_tile)(Binary::div, t), c.out_impl(), t,
                         in);
    }
  }
  run_binary(c, Binary::pow);
}

bool tanh_form(const OpCall& c, int arg) { return c.str(arg) == "tanh"; }

void gelu_kernel(OpCall& c) {
  run_unary(c, tanh_form(c, 1) ? Unary::gelu_tanh : Unary::gelu);
}

bool join_gelu(const OpCall& c, int arg, Epilogue& e) {
  return tanh_form(c, 1) ? join_unary<Unary::gelu_tanh>(c, arg, e)
                         : join_unary<Unary::gelu>(c, arg, e);
}

void gelu_backward_kernel(OpCall& c) {
  run_binary(
      c, tanh_form(c, 2) ? Binary::gelu_tanh_backward : Binary::gelu_backward);
}

void where_kernel(OpCall& c) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, DType::bool_}, {c, 1, t}, {c, 2, t}};
  elementwise(FE_BEST(where_tile)(itemsize(t)), c.out_impl(), t, in);
}

void copy_kernel(OpCall& c) { strided_copy(c.in(0), c.out_impl()); }

}  // namespace
}  // namespace cpu

extern const KernelDef neg_cpu = {
    .name = "neg",
    .run = cpu::unary_kernel<cpu::Unary::neg>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef abs_cpu = {
    .name = "abs",
    .run = cpu::unary_kernel<cpu::Unary::abs>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sign_cpu = {
    .name = "sign",
    .run = cpu::unary_kernel<cpu::Unary::sign>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef relu_cpu = {
    .name = "relu",
    .run = cpu::unary_kernel<cpu::Unary::relu>,
    .contiguous = false,
    .elementwise = true,
    .join = [](const OpCall& c, int, Epilogue& e) { return e.set_relu(c); },
};
extern const KernelDef square_cpu = {
    .name = "square",
    .run = cpu::unary_kernel<cpu::Unary::square>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef reciprocal_cpu = {
    .name = "reciprocal",
    .run = cpu::unary_kernel<cpu::Unary::reciprocal>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef rsqrt_cpu = {
    .name = "rsqrt",
    .run = cpu::unary_kernel<cpu::Unary::rsqrt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef exp_cpu = {
    .name = "exp",
    .run = cpu::unary_kernel<cpu::Unary::exp>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef log_cpu = {
    .name = "log",
    .run = cpu::unary_kernel<cpu::Unary::log>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sqrt_cpu = {
    .name = "sqrt",
    .run = cpu::unary_kernel<cpu::Unary::sqrt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sigmoid_cpu = {
    .name = "sigmoid",
    .run = cpu::unary_kernel<cpu::Unary::sigmoid>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_unary<cpu::Unary::sigmoid>,
};
extern const KernelDef tanh_cpu = {
    .name = "tanh",
    .run = cpu::unary_kernel<cpu::Unary::tanh>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_unary<cpu::Unary::tanh>,
};
extern const KernelDef erf_cpu = {
    .name = "erf",
    .run = cpu::unary_kernel<cpu::Unary::erf>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sin_cpu = {
    .name = "sin",
    .run = cpu::unary_kernel<cpu::Unary::sin>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef cos_cpu = {
    .name = "cos",
    .run = cpu::unary_kernel<cpu::Unary::cos>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef add_cpu = {
    .name = "add",
    .run = cpu::binary_kernel<cpu::Binary::add>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_add,
};
extern const KernelDef sub_cpu = {
    .name = "sub",
    .run = cpu::binary_kernel<cpu::Binary::sub>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef mul_cpu = {
    .name = "mul",
    .run = cpu::binary_kernel<cpu::Binary::mul>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef maximum_cpu = {
    .name = "maximum",
    .run = cpu::binary_kernel<cpu::Binary::maximum>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef minimum_cpu = {
    .name = "minimum",
    .run = cpu::binary_kernel<cpu::Binary::minimum>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef relu_backward_cpu = {
    .name = "relu_backward",
    .run = cpu::binary_kernel<cpu::Binary::relu_backward>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sigmoid_backward_cpu = {
    .name = "sigmoid_backward",
    .run = cpu::binary_kernel<cpu::Binary::sigmoid_backward>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef tanh_backward_cpu = {
    .name = "tanh_backward",
    .run = cpu::binary_kernel<cpu::Binary::tanh_backward>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef eq_cpu = {
    .name = "eq",
    .run = cpu::compare_kernel<cpu::Binary::eq>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef ne_cpu = {
    .name = "ne",
    .run = cpu::compare_kernel<cpu::Binary::ne>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef lt_cpu = {
    .name = "lt",
    .run = cpu::compare_kernel<cpu::Binary::lt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef le_cpu = {
    .name = "le",
    .run = cpu::compare_kernel<cpu::Binary::le>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef gt_cpu = {
    .name = "gt",
    .run = cpu::swapped_compare_kernel<cpu::Binary::lt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef ge_cpu = {
    .name = "ge",
    .run = cpu::swapped_compare_kernel<cpu::Binary::le>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef logical_not_cpu = {
    .name = "logical_not",
    .run = cpu::logical_not_kernel,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef pow_cpu = {
    .name = "pow",
    .run = cpu::pow_kernel,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef gelu_cpu = {
    .name = "gelu",
    .run = cpu::gelu_kernel,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_gelu,
};
extern const KernelDef gelu_backward_cpu = {
    .name = "gelu_backward",
    .run = cpu::gelu_backward_kernel,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef where_cpu = {
    .name = "where",
    .run = cpu::where_kernel,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef cast_cpu = {
    .name = "cast",
    .run = cpu::copy_kernel,
    .contiguous = false,
    .elementwise = false,
};
extern const KernelDef clone_cpu = {
    .name = "clone",
    .run = cpu::copy_kernel,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
