// Checks and pieces that the definitions of linear algebra share.
#include "runtime/ops/linalg_parts.h"

namespace ferrule {

void require_matrices(OpCall& c, int i) {
  const TensorImpl& t = c.in(i);
  const auto name = c.info.schema.params[i].name;
  if (t.dtype == DType::f16 || t.dtype == DType::bf16 ||
      !is_differentiable(t.dtype)) {
    c.fail<DTypeError>("'", name, "' must be float32, float64, complex64 or ",
                       "complex128, got ", t.dtype, " of shape ", t.sizes(),
                       "; convert it with .float()");
  }
  if (t.ndim < 2) {
    c.fail<ShapeError>("'", name, "' must be a matrix or a batch of them, got ",
                       "shape ", t.sizes());
  }
  c.compute = t.dtype;
}

void require_square(OpCall& c, int i) {
  require_matrices(c, i);
  const TensorImpl& t = c.in(i);
  if (t.shape[t.ndim - 1] == t.shape[t.ndim - 2]) return;
  c.fail<ShapeError>("'", c.info.schema.params[i].name,
                     "' must be square matrices, got shape ", t.sizes());
}

Dims with_dims(std::span<const int64_t> batch,
               std::initializer_list<int64_t> more) {
  Dims shape(batch);
  for (int64_t n : more) shape.push(n);
  return shape;
}

#ifndef FE_RUNTIME_ONLY

Tensor adjoint(const Tensor& t) { return conj(transposed(t)); }

Tensor identity_like(const Tensor& t) {
  IntList shape = sizes_of(t.impl());
  const Int n = shape[shape.n - 2];
  shape[shape.n - 1] = n;
  return op::expand(op::eye(n, n, t.dtype(), device_of(t)), shape);
}

Tensor diagonal_mask(const Tensor& t) {
  const Int n = size_of(t.impl(), t.ndim() - 1);
  return op::eye(n, n, DType::bool_, device_of(t));
}

#endif

}  // namespace ferrule
