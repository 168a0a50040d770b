// Copies of a tensor in which what a view looks at is replaced.
#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// `look` gives the view of a tensor. The numbers of its elements say what is
// replaced, which also holds where strides are known only later.
template <class Look>
Results replaced(OpCall& c, const Look& look) {
  const Tensor x = c.tensor(0), src = c.tensor(1);
  require_same_dtype(c, {0, 1});
  const Tensor numbers = op::reshape(
      op::arange(numel_of(x.impl()), Arg(), 1, DType::i64, device_of(x)),
      sizes_of(x.impl()));
  const Tensor part = look(numbers);
  if (!(Dims(part.shape()) == Dims(src.shape()))) {
    c.fail<ShapeError>("src must have the shape of what it replaces, ",
                       part.shape(), ", got ", src.shape());
  }
  const Tensor flat = op::reshape(x, IntList{-1});
  const Tensor result = op::scatter(flat, 0, op::reshape(part, IntList{-1}),
                                    op::reshape(src, IntList{-1}));
  return one(op::reshape(result, sizes_of(x.impl())));
}

#endif

}  // namespace

extern const OpDef diagonal_scatter_op = {
    .name = "diagonal_scatter",
    .sig = "input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: "
           "int = 1",
    .doc = FE_DOC(R"(A copy with another diagonal; see `diagonal`.

Args:
    input: at least two dimensions.
    src: the new diagonal, of the shape that `diagonal` gives.
    offset: above (> 0) or below (< 0) the main diagonal.
    dim1, dim2: the dimensions.

Returns:
    Tensor of the shape of `input`.

Raises:
    ShapeError: `src` has another shape.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.diagonal_scatter(fe.zeros((2, 2)), fe.ones((2,))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

Source: torch.diagonal_scatter.
)"),
    .examples = FE_DOC("f(3, 3), f(3)\nf(2, 3, 4), f(2, 3), 1, 1, 2\n"
                       "f(3, 2), f(2), -1"),
    .reference = FE_DOC("replaced(input, src, lambda a: np.diagonal(a, offset, "
                        "dim1, dim2))"),
    .decompose = FE_GRAD([](OpCall& c) {
      return replaced(c, [&](const Tensor& t) {
        return op::diagonal(t, c.args[2], c.args[3], c.args[4]);
      });
    }),
};

extern const OpDef select_scatter_op = {
    .name = "select_scatter",
    .sig = "input: Tensor, src: Tensor, dim: int, index: int",
    .doc = FE_DOC(R"(A copy with another slice at one index; see `select`.

Args:
    input: any shape.
    src: the new slice.
    dim: the dimension.
    index: which slice of it.

Returns:
    Tensor of the shape of `input`.

Raises:
    ShapeError: `src` has another shape.
    IndexError: `dim` or `index` is out of range.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.select_scatter(fe.zeros((2, 2)), fe.ones((2,)), 0, 1).tolist()
    [[0.0, 0.0], [1.0, 1.0]]

Source: torch.select_scatter.
)"),
    .examples = FE_DOC("f(2, 3), f(3), 0, 1\nf(2, 3, 2), f(2, 3), -1, -1"),
    .reference =
        FE_DOC("replaced(input, src, lambda a: np.take(a, index, dim))"),
    .decompose = FE_GRAD([](OpCall& c) {
      return replaced(c, [&](const Tensor& t) {
        return op::select(t, c.args[2], c.args[3]);
      });
    }),
};

extern const OpDef slice_scatter_op = {
    .name = "slice_scatter",
    .sig = "input: Tensor, src: Tensor, dim: int = 0, start: int? = None, end: "
           "int? = None, step: int = 1",
    .doc = FE_DOC(R"(A copy with another part of one dimension.

Args:
    input: any shape.
    src: the new part.
    dim: the dimension.
    start, end, step: the part, as in x[start:end:step].

Returns:
    Tensor of the shape of `input`.

Raises:
    ShapeError: `src` has another shape.
    IndexError: `dim` is out of range.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> fe.slice_scatter(fe.zeros((4,)), fe.ones((2,)), 0, 1, 3).tolist()
    [0.0, 1.0, 1.0, 0.0]

Source: torch.slice_scatter.
)"),
    .examples =
        FE_DOC("f(5), f(2), 0, 1, 3\nf(2, 5), f(2, 3), 1, None, None, 2"),
    .reference =
        FE_DOC("replaced(input, src, lambda a: a[(slice(None),) * dim + "
               "(slice(start, end, step),)])"),
    .decompose = FE_GRAD([](OpCall& c) {
      return replaced(c, [&](const Tensor& t) {
        return op::slice(t, c.args[2], c.args[3], c.args[4], c.args[5]);
      });
    }),
};

extern const OpDef as_strided_scatter_op = {
    .name = "as_strided_scatter",
    .sig = "input: Tensor, src: Tensor, size: int[], stride: int[], "
           "storage_offset: int? = None",
    .doc = FE_DOC(R"(A copy in which a strided part is replaced.

Args:
    input: any shape; its elements are counted row by row.
    src: the new part, of shape `size`.
    size, stride, storage_offset: the part, as for as_strided, but no element of
        `input` twice.

Returns:
    Tensor of the shape of `input`.

Raises:
    ShapeError: the part reaches beyond `input`, or `src` has another shape.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> x, y = fe.zeros((4,)), fe.ones((2,))
    >>> fe.as_strided_scatter(x, y, (2,), (2,), 1).tolist()
    [0.0, 1.0, 0.0, 1.0]

Source: torch.as_strided_scatter.
)"),
    .examples = FE_DOC("f(3, 4), f(2, 2), (2, 2), (4, 1), 1\n"
                       "f(6), f(3), (3,), (2,)"),
    .reference = FE_DOC(
        "replaced(input, src, lambda a: np.lib.stride_tricks.as_strided("
        "a.ravel()[storage_offset or 0 :], size, [8 * s for s in stride]))"),
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::strided_write(c.tensor(0), c.tensor(1), c.args[2],
                                   c.args[3], c.has(4) ? c.sym(4) : Int(0)));
    }),
};

}  // namespace ferrule
