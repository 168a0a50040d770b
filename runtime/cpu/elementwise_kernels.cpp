// CPU kernels of the elementwise ops: which tile function, on which dtype.
#include "runtime/cpu/check_operand.h"
#include "runtime/cpu/epilogue.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {
namespace cpu {
namespace {

void take_unary(const OpCall& c, TileSink& to, Unary op) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}};
  to.take(FE_BEST(unary_tile)(op, t), t, in,
          op >= Unary::exp ? kCostlyGrain : kCheapGrain);
}

void take_binary(const OpCall& c, TileSink& to, Binary op) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {c, 1, t}};
  to.take(FE_BEST(binary_tile)(op, t), t, in,
          op >= Binary::pow ? kCostlyGrain : kCheapGrain);
}

// `first` and `second`: which argument is on which side of the comparison.
void take_compare(const OpCall& c, TileSink& to, Binary op, int first,
                  int second) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, first, t}, {c, second, t}};
  to.take(FE_BEST(binary_tile)(op, t), DType::bool_, in);
}

template <Unary op>
void unary(const OpCall& c, TileSink& to) {
  take_unary(c, to, op);
}

template <Unary op>
bool join_unary(const OpCall& c, int, Epilogue& e) {
  return e.set_then(c, FE_BEST(unary_tile)(op, DType::f32).fn);
}

bool join_add(const OpCall& c, int arg, Epilogue& e) {
  return e.set_addend(c, 1 - arg);
}

template <Binary op>
void binary(const OpCall& c, TileSink& to) {
  take_binary(c, to, op);
}

template <Binary op>
void compare(const OpCall& c, TileSink& to) {
  take_compare(c, to, op, 0, 1);
}

// a > b is b < a.
template <Binary op>
void swapped_compare(const OpCall& c, TileSink& to) {
  take_compare(c, to, op, 1, 0);
}

void logical_not(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, t}, {Arg(0), t}};
  to.take(FE_BEST(binary_tile)(Binary::eq, t), DType::bool_, in);
}

// Small whole powers are products.
void pow(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  if (t != DType::i64 && c.args[1].is_number()) {
    const Input x(c, 0, t);
    const double exponent = c.number(1);
    if (exponent == 2) {
      const Input in[] = {x, x};
      return to.take(FE_BEST(binary_tile)(Binary::mul, t), t, in);
    }
    if (exponent == -1) {
      const Input in[] = {{Arg(1.0), t}, x};
      return to.take(FE_BEST(binary_tile)(Binary::div, t), t, in);
    }
  }
  take_binary(c, to, Binary::pow);
}

void pow_kernel(OpCall& c) {
  if (!is_float(c.compute) &&
      report_if(c, 1,
                "an integer to a negative integer power ({}) is no integer; "
                "convert the base with .float()",
                [](int64_t exponent) { return exponent < 0; })) {
    return;
  }
  run_tiles(c, pow);
}

bool tanh_form(const OpCall& c, int arg) { return c.str(arg) == "tanh"; }

void gelu(const OpCall& c, TileSink& to) {
  take_unary(c, to, tanh_form(c, 1) ? Unary::gelu_tanh : Unary::gelu);
}

bool join_gelu(const OpCall& c, int arg, Epilogue& e) {
  return tanh_form(c, 1) ? join_unary<Unary::gelu_tanh>(c, arg, e)
                         : join_unary<Unary::gelu>(c, arg, e);
}

void gelu_backward(const OpCall& c, TileSink& to) {
  take_binary(
      c, to,
      tanh_form(c, 2) ? Binary::gelu_tanh_backward : Binary::gelu_backward);
}

void where(const OpCall& c, TileSink& to) {
  const DType t = compute_type(c.compute);
  const Input in[] = {{c, 0, DType::bool_}, {c, 1, t}, {c, 2, t}};
  to.take(FE_BEST(where_tile)(itemsize(t)), t, in);
}

// Conversion is done by whoever reads the operand.
void copy(const OpCall& c, TileSink& to) {
  const DType t = c.out_impl().dtype;
  const Input in[] = {{c, 0, t}};
  to.take(copy_tile(itemsize(t)), t, in);
}

void copy_kernel(OpCall& c) { strided_copy(c.in(0), c.out_impl()); }

}  // namespace
}  // namespace cpu

extern const KernelDef neg_cpu = {
    .name = "neg",
    .tiles = cpu::unary<cpu::Unary::neg>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef abs_cpu = {
    .name = "abs",
    .tiles = cpu::unary<cpu::Unary::abs>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sign_cpu = {
    .name = "sign",
    .tiles = cpu::unary<cpu::Unary::sign>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef relu_cpu = {
    .name = "relu",
    .tiles = cpu::unary<cpu::Unary::relu>,
    .contiguous = false,
    .elementwise = true,
    .join = [](const OpCall& c, int, Epilogue& e) { return e.set_relu(c); },
};
extern const KernelDef square_cpu = {
    .name = "square",
    .tiles = cpu::unary<cpu::Unary::square>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef reciprocal_cpu = {
    .name = "reciprocal",
    .tiles = cpu::unary<cpu::Unary::reciprocal>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef rsqrt_cpu = {
    .name = "rsqrt",
    .tiles = cpu::unary<cpu::Unary::rsqrt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef exp_cpu = {
    .name = "exp",
    .tiles = cpu::unary<cpu::Unary::exp>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef log_cpu = {
    .name = "log",
    .tiles = cpu::unary<cpu::Unary::log>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sqrt_cpu = {
    .name = "sqrt",
    .tiles = cpu::unary<cpu::Unary::sqrt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sigmoid_cpu = {
    .name = "sigmoid",
    .tiles = cpu::unary<cpu::Unary::sigmoid>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_unary<cpu::Unary::sigmoid>,
};
extern const KernelDef tanh_cpu = {
    .name = "tanh",
    .tiles = cpu::unary<cpu::Unary::tanh>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_unary<cpu::Unary::tanh>,
};
extern const KernelDef erf_cpu = {
    .name = "erf",
    .tiles = cpu::unary<cpu::Unary::erf>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sin_cpu = {
    .name = "sin",
    .tiles = cpu::unary<cpu::Unary::sin>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef cos_cpu = {
    .name = "cos",
    .tiles = cpu::unary<cpu::Unary::cos>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef add_cpu = {
    .name = "add",
    .tiles = cpu::binary<cpu::Binary::add>,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_add,
};
extern const KernelDef sub_cpu = {
    .name = "sub",
    .tiles = cpu::binary<cpu::Binary::sub>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef mul_cpu = {
    .name = "mul",
    .tiles = cpu::binary<cpu::Binary::mul>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef maximum_cpu = {
    .name = "maximum",
    .tiles = cpu::binary<cpu::Binary::maximum>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef minimum_cpu = {
    .name = "minimum",
    .tiles = cpu::binary<cpu::Binary::minimum>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef relu_backward_cpu = {
    .name = "relu_backward",
    .tiles = cpu::binary<cpu::Binary::relu_backward>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef sigmoid_backward_cpu = {
    .name = "sigmoid_backward",
    .tiles = cpu::binary<cpu::Binary::sigmoid_backward>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef tanh_backward_cpu = {
    .name = "tanh_backward",
    .tiles = cpu::binary<cpu::Binary::tanh_backward>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef eq_cpu = {
    .name = "eq",
    .tiles = cpu::compare<cpu::Binary::eq>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef ne_cpu = {
    .name = "ne",
    .tiles = cpu::compare<cpu::Binary::ne>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef lt_cpu = {
    .name = "lt",
    .tiles = cpu::compare<cpu::Binary::lt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef le_cpu = {
    .name = "le",
    .tiles = cpu::compare<cpu::Binary::le>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef gt_cpu = {
    .name = "gt",
    .tiles = cpu::swapped_compare<cpu::Binary::lt>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef ge_cpu = {
    .name = "ge",
    .tiles = cpu::swapped_compare<cpu::Binary::le>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef logical_not_cpu = {
    .name = "logical_not",
    .tiles = cpu::logical_not,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef pow_cpu = {
    .name = "pow",
    .run = cpu::pow_kernel,
    .tiles = cpu::of_floats<cpu::pow>,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef gelu_cpu = {
    .name = "gelu",
    .tiles = cpu::gelu,
    .contiguous = false,
    .elementwise = true,
    .join = cpu::join_gelu,
};
extern const KernelDef gelu_backward_cpu = {
    .name = "gelu_backward",
    .tiles = cpu::gelu_backward,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef where_cpu = {
    .name = "where",
    .tiles = cpu::where,
    .contiguous = false,
    .elementwise = true,
};
extern const KernelDef cast_cpu = {
    .name = "cast",
    .run = cpu::copy_kernel,
    .tiles = cpu::copy,
    .contiguous = false,
    .elementwise = false,
};
extern const KernelDef clone_cpu = {
    .name = "clone",
    .run = cpu::copy_kernel,
    .tiles = cpu::copy,
    .contiguous = false,
    .elementwise = true,
};

}  // namespace ferrule
