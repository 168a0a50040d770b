// Checks and pieces that the definitions of linear algebra share.
#pragma once

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {

// --- checks, for infer

// Argument `i` has two dimensions or more, and a dtype that decompositions are
// computed in. Sets OpCall::compute.
void require_matrices(OpCall& c, int i);
// The same, and its last two dimensions are equal.
void require_square(OpCall& c, int i);
// The leading dimensions, all but the last two.
inline std::span<const int64_t> batch_of(const TensorImpl& t) {
  return t.sizes().first(t.ndim - 2);
}
inline int64_t rows_of(const TensorImpl& t) { return t.shape[t.ndim - 2]; }
inline int64_t columns_of(const TensorImpl& t) { return t.shape[t.ndim - 1]; }
// `batch` with further dimensions.
Dims with_dims(std::span<const int64_t> batch,
               std::initializer_list<int64_t> more);

#ifndef FE_RUNTIME_ONLY

// The conjugate transpose.
Tensor adjoint(const Tensor& t);
inline Tensor transposed(const Tensor& t) { return op::transpose(t, -2, -1); }
// Identities of n rows like the matrices `t`, for every matrix of the batch.
Tensor identity_like(const Tensor& t);
// `t` times numbers, one a matrix.
inline Tensor times(const Tensor& t, const Tensor& numbers) {
  return op::mul(t, op::unsqueeze(op::unsqueeze(numbers, -1), -1));
}
// The columns of `t` times numbers, and its rows.
inline Tensor times_columns(const Tensor& t, const Tensor& numbers) {
  return op::mul(t, op::unsqueeze(numbers, -2));
}
inline Tensor times_rows(const Tensor& t, const Tensor& numbers) {
  return op::mul(t, op::unsqueeze(numbers, -1));
}
inline Tensor diagonal_of(const Tensor& t) {
  return op::diagonal(t, 0, -2, -1);
}
// 1 where the diagonal is, of square matrices like `t`: a mask.
Tensor diagonal_mask(const Tensor& t);
// Sums, of which either part may be missing.
inline Tensor plus(const Tensor& a, const Tensor& b) {
  return !a ? b : !b ? a : op::add(a, b);
}
inline Tensor solve_triangle(const Tensor& a, const Tensor& b, bool upper,
                             bool left = true, bool unit = false) {
  return op::linalg_solve_triangular(a, b, upper, left, unit);
}
// The first `n` results.
inline Results some_of(Results from, int n) {
  from.n = n;
  return from;
}

#endif

}  // namespace ferrule
