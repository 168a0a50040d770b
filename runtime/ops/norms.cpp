// Norms of vectors.
#include "runtime/ops/norms.h"

#include <cmath>

#include "ferrule/autograd.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {

#ifndef FE_RUNTIME_ONLY

Tensor power_norm(const Tensor& x, double p, const Arg& dim,
                  const Arg& keepdim) {
  if (p == 1) return op::sum(x, dim, keepdim);
  Tensor terms;
  if (p == 2) {
    terms = op::mul(x, x);
  } else if (p > 2) {
    terms = op::pow(x, p);
  } else {
    // x^p has no second derivative at 0, or not even a first.
    const Tensor none = op::eq(x, 0.0);
    terms = op::where(none, 0.0, op::pow(op::where(none, 1.0, x), p));
  }
  const Tensor sum = op::sum(terms, dim, keepdim);
  const Tensor none = op::eq(sum, 0.0);
  const Tensor safe = op::where(none, 1.0, sum);
  return op::where(none, 0.0, p == 2 ? op::sqrt(safe) : op::pow(safe, 1 / p));
}

Tensor vector_norm(const OpCall& c, double p, int dim_at, bool keepdim,
                   int dtype_at) {
  Tensor x = c.tensor(0);
  const Arg dim = c.args[dim_at];
  if (c.has(dtype_at)) {
    const DType t = c.dtype(dtype_at);
    if (!is_differentiable(t)) {
      c.fail<DTypeError>("dtype must be floating-point, got ", t);
    }
    x = op::cast(x, t);
  }
  if (!is_differentiable(x.dtype())) {
    c.fail<DTypeError>("'", c.info.schema.params[0].name,
                       "' must be a floating-point tensor, got ", x.dtype(),
                       " of shape ", x.shape(), "; convert it with .float()");
  }
  const DType result = to_real(x.dtype());
  if (p == 0) {
    return op::cast(op::sum(op::ne(x, 0.0), dim, keepdim), result);
  }
  // The square of a real number needs no absolute value; squares of 16-bit
  // floats would overflow.
  Tensor size = p == 2 && is_float(x.dtype()) ? x : op::abs(x);
  if (p == INFINITY) return op::amax(size, dim, keepdim);
  if (p == -INFINITY) return op::amin(size, dim, keepdim);
  if (accumulator(result) != result) size = op::cast(size, accumulator(result));
  Tensor norm;
  if (p > 0) {
    norm = power_norm(size, p, dim, keepdim);
  } else {
    norm = op::pow(op::sum(op::pow(size, p), dim, keepdim), 1 / p);
  }
  return norm.dtype() == result ? norm : op::cast(norm, result);
}

#endif

extern const OpDef norm_op = {
    .name = "norm",
    .sig = "input: Tensor, p: Scalar? = 2, dim: int[]? = None, "
           "keepdim: bool = False, dtype: dtype? = None",
    .doc = FE_DOC(R"(Norm of vectors: (sum |x|^p)^(1/p).

Args:
    input: any shape; floating-point or complex.
    p: the order; inf is the largest |x|, -inf the smallest, 0 the number of
        elements that are not 0.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.
    dtype: converts `input` first.

Returns:
    Real tensor without the reduced dimensions. Where a norm is 0, so is its
    gradient.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    DTypeError: `input` is not floating-point; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.norm(fe.tensor([3.0, 4.0])).item()
    5.0

Source: torch.linalg.vector_norm; torch.norm with a number for p.
)"),
    .examples = FE_DOC("f(2, 3)\nf(2, 3), 1\nf(2, 3, 4), 2, 1\nf(2, 3), "
                       "fe.inf, -1, True\nf(2, 3), -fe.inf, 0\n"
                       "f(2, 3), 3, (0, 1)\np(2, 3), 0.5\nf(2, 3), 0\nz(3)"),
    .reference = FE_DOC(
        "(lambda x, axes: np.linalg.norm(np.moveaxis(x, axes, range("
        "len(axes))).reshape(-1, *[n for i, n in enumerate(x.shape) if i "
        "not in axes]), p, 0).reshape([1 if i in axes else n for i, n in "
        "enumerate(x.shape) if keepdim or i not in axes]))(input, "
        "tuple(range(input.ndim)) if dim is None else tuple(d % "
        "input.ndim for d in np.atleast_1d(dim)))"),
    .decompose = FE_GRAD([](OpCall& c) {
      return one(vector_norm(c, c.has(1) ? c.number(1) : 2, 2, c.b(3), 4));
    }),
};

}  // namespace ferrule
