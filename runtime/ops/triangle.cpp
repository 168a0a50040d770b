// Triangles of matrices.
#include <algorithm>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// Keeps element (i, j) of each matrix where `keep`(j, i + diagonal).
Results decompose_triangle(OpCall& c, const OpDef& keep) {
  const Tensor x = c.tensor(0);
  if (x.ndim() < 2) {
    c.fail<ShapeError>("input must have two or more dimensions, got shape ",
                       x.shape());
  }
  const Arg device = device_of(x);
  const auto count = [&](int d) {
    return op::arange(size_of(x.impl(), d), Arg(), 1, DType::i64, device);
  };
  // No diagonal is as far away: sums do not overflow.
  Int diagonal = c.sym(1);
  if (!diagonal.symbolic()) {
    diagonal = std::clamp(diagonal.value, -kMaxNumel, kMaxNumel);
  }
  const Tensor row = op::unsqueeze(count(x.ndim() - 2), -1);
  const Tensor mask = keep(count(x.ndim() - 1), op::add(row, diagonal));
  return one(op::where(mask, x, false));
}

#endif

}  // namespace

extern const OpDef tril_op = {
    .name = "tril",
    .sig = "input: Tensor, diagonal: int = 0",
    .doc = FE_DOC(R"(The lower triangle of matrices; what is above becomes 0.

Args:
    input: shape (..., m, n).
    diagonal: the last one that is kept; 0 is the main one, positive ones lie
        above it.

Returns:
    Shape of `input`.

Raises:
    ShapeError: `input` has less than two dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.tril(fe.ones((2, 2))).tolist()
    [[1.0, 0.0], [1.0, 1.0]]

Source: numpy.tril.
)"),
    .examples = FE_DOC("f(3, 3)\nf(2, 3, 4), 1\nf(4, 3), -1\nf(0, 3)\n"
                       "i(9, 3, 3), -9"),
    .reference = FE_DOC("np.tril(input, diagonal)"),
    .has_inplace = true,
    .decompose =
        FE_GRAD([](OpCall& c) { return decompose_triangle(c, op::le); }),
};

extern const OpDef triu_op = {
    .name = "triu",
    .sig = "input: Tensor, diagonal: int = 0",
    .doc = FE_DOC(R"(The upper triangle of matrices; what is below becomes 0.

Args:
    input: shape (..., m, n).
    diagonal: the first one that is kept; 0 is the main one, positive ones lie
        above it.

Returns:
    Shape of `input`.

Raises:
    ShapeError: `input` has less than two dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.triu(fe.ones((2, 2))).tolist()
    [[1.0, 1.0], [0.0, 1.0]]

Source: numpy.triu.
)"),
    .examples = FE_DOC("f(3, 3)\nf(2, 3, 4), 1\nf(4, 3), -1\nf(0, 3)\n"
                       "i(9, 3, 3), -9"),
    .reference = FE_DOC("np.triu(input, diagonal)"),
    .has_inplace = true,
    .decompose =
        FE_GRAD([](OpCall& c) { return decompose_triangle(c, op::ge); }),
};

}  // namespace ferrule
