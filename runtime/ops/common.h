// What many op definitions share: checks, result shapes, operands of gradients.
#pragma once

#include <span>
#include <utility>

#include "ferrule/autograd.h"
#include "ferrule/op.h"

namespace ferrule {

// --- dtypes

// Throws DTypeError when tensor argument `i` is complex and no kernel of the op
// takes complex operands.
void check_real(const OpCall& c, int i);
// Throws DTypeError that teaches .float() when argument `i` is not floating.
void check_floating(const OpCall& c, int i);
// Throws ValueError when argument `i` is an int that integer dtype `t` cannot
// hold. Tensors wrap around; a number that is written down is meant.
void check_in_range(const OpCall& c, int i, DType t);
// The dtype that 16-bit floats are computed in: float32; others are themselves.
constexpr DType accumulator(DType t) {
  return t == DType::f16 || t == DType::bf16 ? DType::f32 : t;
}

// --- elementwise results: shape by broadcasting, `OpCall::compute` set

// Argument 0's shape and dtype.
void infer_unary(OpCall& c);
// The same, but a complex argument gives the dtype of its parts.
void infer_magnitude(OpCall& c);
// As infer_unary, but integers and bools give float32.
void infer_unary_float(OpCall& c);
// Promoted dtype of operands 0 and 1.
void infer_binary(OpCall& c);
// The same, but integers and bools give float32.
void infer_binary_float(OpCall& c);
// bool; the operands are compared in their promoted dtype.
void infer_compare(OpCall& c);
// The same four, for ops that complex numbers have no part in.
void infer_real_unary(OpCall& c);
void infer_real_unary_float(OpCall& c);
void infer_real_binary(OpCall& c);
void infer_real_binary_float(OpCall& c);
// For ops that bools have no part in: throws DTypeError when `compute` is bool.
// `what` ends "bool tensors ...".
void refuse_bool(const OpCall& c, const char* what);
// Several tensors of one shape and dtype (gradient, saved result, ...).
void infer_like_first(OpCall& c);

// The shape that operands (tensors or numbers) broadcast to.
Dims operand_shape(const OpCall& c, std::span<const int> operands);

// --- reductions

// One bit a dimension named by the `int[]?` argument `arg`; all of them for
// None and for (). Throws on dimensions out of range or named twice.
uint32_t dim_mask(const OpCall& c, int arg, int ndim);
// `shape` without the dimensions in `mask`, or with 1 in their place.
Dims reduced_shape(std::span<const int64_t> shape, uint32_t mask, bool keepdim);
// Product of the dimensions in `mask`.
int64_t reduced_count(std::span<const int64_t> shape, uint32_t mask);

// The dtype that a sum or product is computed and returned in: the `dtype?`
// argument `arg`, else that of argument 0, int64 for integers and bools.
DType accumulated_dtype(const OpCall& c, int arg);

// --- compositions

// One result of a decomposition.
inline Results one(Tensor t) {
  Results r;
  r.n = 1;
  r[0] = std::move(t);
  return r;
}
// The result of a decomposition by views, copied where it still looks into the
// memory of argument 0.
Results apart(const OpCall& c, Tensor t);
// For constants that a decomposition makes: the device of `t`, or none while
// capturing, when what does not depend on symbols is computed at once.
inline Arg device_of(const Tensor& t) {
  return t.device().is_graph() ? Arg() : Arg(t.device());
}

// `OpDef::complex` of an op that is linear in its floating-point arguments: the
// real and the imaginary parts apart.
Results by_parts(OpCall& c);

// --- gradients

// Where f is differentiable as a complex function, the gradient of f(z) is that
// of its result times the conjugate of f'(z): for the real loss u it is
// du/dx + i du/dy, as in PyTorch. `conj` of a real tensor is the tensor itself.
Tensor conj(const Tensor& t);

#ifndef FE_RUNTIME_ONLY

// Operand `i` of a call, to be passed on to an op: the saved tensor or the
// number. Keeps the tensor alive as long as it lives itself.
class OperandOf {
 public:
  OperandOf(Vjp& v, int i)
      : tensor_(v.args[i].is_number() ? Tensor() : v.in(i)),
        arg_(tensor_ ? Arg(tensor_) : v.args[i]) {}
  OperandOf(const OperandOf&) = delete;
  // Its conjugate.
  static OperandOf conj(Vjp& v, int i) {
    return OperandOf(ferrule::conj(v.args[i].is_number() ? Tensor() : v.in(i)),
                     v.args[i]);
  }
  operator Arg() const { return arg_; }
  bool is_tensor() const { return static_cast<bool>(tensor_); }
  const Tensor& tensor() const { return tensor_; }

 private:
  OperandOf(Tensor t, const Arg& number)
      : tensor_(std::move(t)), arg_(tensor_ ? Arg(tensor_) : number) {}

  Tensor tensor_;
  Arg arg_;
};

#endif

}  // namespace ferrule
