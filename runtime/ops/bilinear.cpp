// Bilinear forms, and indices as vectors.
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/wide.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// sum_ij a[i] w[o, i, j] b[j] for every row: a product of a with all of w, then
// one of every row with its b.
Results decompose_bilinear(OpCall& c) {
  const TensorImpl &a = c.in(0), &b = c.in(1), &w = c.in(2);
  bool fits = w.ndim == 3 && a.ndim > 0 && a.ndim == b.ndim;
  for (int d = 0; fits && d < a.ndim - 1; ++d) fits = a.shape[d] == b.shape[d];
  fits = fits && a.shape[a.ndim - 1] == w.shape[1] &&
         b.shape[b.ndim - 1] == w.shape[2];
  if (!fits) {
    c.fail<ShapeError>("input1 (..., I), input2 (..., J) and weight (O, I, J) "
                       "do not fit: ",
                       a.sizes(), ", ", b.sizes(), ", ", w.sizes());
  }
  if (c.is_tensor(3) && !(Dims(c.in(3).sizes()) == Dims({w.shape[0]}))) {
    c.fail<ShapeError>("bias must have shape (", w.shape[0], ",), got ",
                       c.in(3).sizes());
  }
  require_same_dtype(c, {0, 1, 2, 3});
  const Int out = size_of(&w, 0), first = size_of(&w, 1);
  const Int second = size_of(&w, 2);
  Int rows = 1;
  IntList shape;
  for (int d = 0; d < a.ndim - 1; ++d) {
    rows = rows * size_of(&a, d);
    shape.push(size_of(&a, d));
  }
  shape.push(out);
  const Tensor x = op::reshape(widened(c.tensor(0)), IntList{rows, first});
  const Tensor y = op::reshape(widened(c.tensor(1)), IntList{rows, second, 1});
  const Tensor all = op::reshape(op::transpose(widened(c.tensor(2)), 0, 1),
                                 IntList{first, out * second});
  const Tensor half =
      op::reshape(op::matmul(x, all), IntList{rows, out, second});
  Tensor r = op::reshape(op::matmul(half, y), shape);
  if (c.is_tensor(3)) r = op::add(r, widened(c.tensor(3)));
  return one(narrowed(r, a.dtype));
}

Results decompose_one_hot(OpCall& c) {
  const Int classes = c.sym(1);
  if (classes.value < 1) {
    c.fail<ValueError>("num_classes must be 1 or more, got ", classes.value);
  }
  const Tensor index = op::unsqueeze(op::cast(c.tensor(0), DType::i64), -1);
  IntList shape = sizes_of(c.args[0].tensor);
  shape.push(classes);
  const Tensor zeros = op::zeros(shape, DType::i64, device_of(index));
  return one(op::scatter(zeros, -1, index, 1));
}

#endif

}  // namespace

extern const OpDef bilinear_op = {
    .name = "bilinear",
    .sig = "input1: Tensor[float], input2: Tensor[float], weight: "
           "Tensor[float], bias: Tensor[float]? = None",
    .doc = FE_DOC(
        R"(Bilinear form of two vectors: sum_ij input1[i] weight[o, i, j] input2[j] +
bias[o].

Args:
    input1: shape (..., I).
    input2: shape (..., J), the same otherwise.
    weight: shape (O, I, J).
    bias: shape (O,); None: 0.

Returns:
    Shape (..., O).

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> x, y = fe.tensor([2.0]), fe.tensor([3.0])
    >>> F.bilinear(x, y, fe.ones((1, 1, 1))).tolist()
    [6.0]

Source: torch.nn.functional.bilinear.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 4), f(5, 3, 4), f(5)\n"
                       "f(3), f(4), f(2, 3, 4)\n"
                       "f(2, 2, 3), f(2, 2, 1), f(1, 3, 1), f(1)"),
    .reference = FE_DOC("np.einsum('...i,oij,...j->...o', input1, weight, "
                        "input2) + (0 if bias is None else bias)"),
    .where = kFunction | kFunctional,
    .autocast = Autocast::keep,
    .decompose = FE_GRAD(decompose_bilinear),
};

extern const OpDef one_hot_op = {
    .name = "one_hot",
    .sig = "input: Tensor[int], num_classes: int",
    .doc = FE_DOC(R"(A 1 at every index, along a new last dimension; else 0. See
nn.functional.one_hot, which finds the number of classes by itself, too.

Args:
    input: indices, an integer tensor of any shape.
    num_classes: the size of the new dimension.

Returns:
    int64, shape (*input.shape, num_classes).

Raises:
    IndexError: an index is out of range.
    ValueError: `num_classes` is not positive.

Example:
    >>> import ferrule as fe
    >>> fe.ops.one_hot(fe.tensor([1, 0]), 3).tolist()
    [[0, 1, 0], [1, 0, 0]]

Source: torch.nn.functional.one_hot.
)"),
    .examples = FE_DOC("i(4, 2, 3), 4\n"
                       "i(2, 5), 3\n"
                       "i(1, 0), 2"),
    .reference = FE_DOC("np.eye(num_classes, dtype=int)[input]"),
    .where = kInternal,
    .decompose = FE_GRAD(decompose_one_hot),
};

}  // namespace ferrule
