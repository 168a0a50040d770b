// Diagonals of matrices: making them, taking them, indices around them.
#include <algorithm>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// The last dimension of `x` on a diagonal of zeros, in two new last dimensions.
Tensor embed(const Tensor& x, int64_t offset) {
  const Arg device = device_of(x);
  const int64_t shift = offset < 0 ? -offset : offset;
  IntList padding = sizes_of(x.impl());
  const Int size = padding[padding.n - 1] + shift;
  padding[padding.n - 1] = shift;
  const Tensor zeros = op::zeros(padding, x.dtype(), device);
  const Tensor line = op::cat(std::vector<Tensor>{x, zeros}, -1);
  const Tensor count = op::arange(size, Arg(), 1, DType::i64, device);
  // Element k stands in row k below (or on) the diagonal, in column k above.
  const Tensor on = op::eq(op::add(op::unsqueeze(count, -1), offset), count);
  return op::where(on, op::unsqueeze(line, offset < 0 ? -2 : -1), false);
}

void check_offset(const OpCall& c, int64_t offset) {
  if (offset > -kMaxNumel && offset < kMaxNumel) return;
  c.fail<ValueError>("offset ", offset, " makes too large a matrix");
}

Results decompose_diag_embed(OpCall& c) {
  const Tensor x = c.tensor(0);
  if (x.ndim() == 0) c.fail<ShapeError>("a 0-d tensor has no line of elements");
  check_offset(c, c.i(1));
  const int n = x.ndim() + 1;
  const int row = c.dim(2, n), column = c.dim(3, n);
  if (row == column) {
    c.fail<ValueError>("dim1 and dim2 are both dimension ", row);
  }
  const Tensor matrix = embed(x, c.i(1));
  if (row == n - 2 && column == n - 1) return one(matrix);
  return one(op::movedim(matrix, IntList{n - 2, n - 1}, IntList{row, column}));
}

Results decompose_diag(OpCall& c) {
  const Tensor x = c.tensor(0);
  check_offset(c, c.i(1));
  if (x.ndim() == 1) return one(embed(x, c.i(1)));
  if (x.ndim() == 2) return one(op::clone(op::diagonal(x, c.i(1))));
  c.fail<ShapeError>("input must have one or two dimensions, got shape ",
                     x.shape());
}

// Indices of the elements of a (row, col) matrix for which keep(j, i + offset).
Results triangle_indices(OpCall& c, const OpDef& keep) {
  const int64_t rows = c.i(0), columns = c.i(1);
  if (rows < 0 || columns < 0) {
    c.fail<ValueError>("row and col must be 0 or more, got ", rows, " and ",
                       columns);
  }
  if (c.sym(0).symbolic() || c.sym(1).symbolic()) {
    c.fail<RuntimeError>("row and col decide how many indices there are, so "
                         "they cannot be symbolic");
  }
  checked_numel(Dims{rows, columns});
  const DType dtype = c.has(3) ? c.dtype(3) : DType::i64;
  if (dtype != DType::i64 && dtype != DType::i32) {
    c.fail<DTypeError>("dtype must be int64 or int32, got ", dtype);
  }
  const int64_t offset = std::clamp(c.i(2), -kMaxNumel, kMaxNumel);
  const Tensor row = op::unsqueeze(op::arange(rows), -1);
  const Tensor at =
      op::argwhere(keep(op::arange(columns), op::add(row, offset)));
  return one(op::cast(op::clone(op::transpose(at, 0, 1)), dtype));
}

#endif

}  // namespace

extern const OpDef diag_embed_op = {
    .name = "diag_embed",
    .sig = "input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1",
    .doc = FE_DOC(R"(Matrices of zeros with the elements on a diagonal.

Args:
    input: shape (..., n).
    offset: which diagonal; 0 is the main one, positive ones lie above it.
    dim1, dim2: where the rows and columns stand in the result.

Returns:
    One dimension more, the two of size n + |offset|.

Raises:
    IndexError: a dimension is out of range.
    ShapeError: `input` is 0-d.

Example:
    >>> import ferrule as fe
    >>> fe.diag_embed(fe.tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]

Source: torch.diag_embed.
)"),
    .examples = FE_DOC("f(3)\nf(2, 3), 1\nf(2, 3), -2\nf(2, 3), 0, 0, 2\nf(0)"),
    .reference = FE_DOC(
        "np.moveaxis((lambda x, m, k: np.where(m[:, None] + offset == m, "
        "np.concatenate([x, np.zeros((*x.shape[:-1], k))], -1)[..., None] if "
        "offset >= 0 else np.concatenate([x, np.zeros((*x.shape[:-1], k))], "
        "-1)[..., None, :], 0))(input, np.arange(input.shape[-1] + abs(offset))"
        ", abs(offset)), (-2, -1), (dim1, dim2))"),
    .decompose = FE_GRAD(decompose_diag_embed),
};

extern const OpDef diag_op = {
    .name = "diag",
    .sig = "input: Tensor, diagonal: int = 0",
    .doc = FE_DOC(R"(The matrix with a diagonal, or the diagonal of a matrix.

Args:
    input: shape (n,) or (m, n).
    diagonal: which one; 0 is the main one, positive ones lie above it.

Returns:
    A matrix of a vector; of a matrix a vector; diagonal() gives a view.

Raises:
    ShapeError: `input` has another number of dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.diag(fe.tensor([1, 2])).tolist()
    [[1, 0], [0, 2]]
    >>> fe.diag(fe.tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]

Source: numpy.diag.
)"),
    .examples = FE_DOC("f(3)\nf(3), -1\nf(2, 3)\nf(3, 4), 1"),
    .reference = FE_DOC("np.diag(input, diagonal)"),
    .decompose = FE_GRAD(decompose_diag),
};

extern const OpDef diagflat_op = {
    .name = "diagflat",
    .sig = "input: Tensor, offset: int = 0",
    .doc = FE_DOC(R"(The matrix that has all elements on a diagonal.

Args:
    input: any shape.
    offset: which diagonal; 0 is the main one, positive ones lie above it.

Returns:
    A matrix.

Raises:
    ValueError: the offset is too large.

Example:
    >>> import ferrule as fe
    >>> fe.diagflat(fe.tensor([[1], [2]])).tolist()
    [[1, 0], [0, 2]]

Source: numpy.diagflat.
)"),
    .examples = FE_DOC("f(2, 2)\nf(3), 1\nf(2), -1\nf()"),
    .reference = FE_DOC("np.diagflat(input, offset)"),
    .decompose = FE_GRAD([](OpCall& c) {
      check_offset(c, c.i(1));
      return one(embed(op::reshape(c.tensor(0), IntList{-1}), c.i(1)));
    }),
};

extern const OpDef trace_op = {
    .name = "trace",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Sum of the diagonal of a matrix.

Args:
    input: shape (m, n).

Returns:
    A 0-d tensor; int64 for integers and bools.

Raises:
    ShapeError: `input` has not two dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.trace(fe.tensor([[1, 2], [3, 4]])).item()
    5

Source: numpy.trace.
)"),
    .examples = FE_DOC("f(3, 3)\nf(2, 4)\ni(9, 3, 3)"),
    .reference = FE_DOC("np.trace(input)"),
    .where = kMethod,  // fe.trace takes functions, too
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      if (c.in(0).ndim != 2) {
        c.fail<ShapeError>("input must have two dimensions, got shape ",
                           c.in(0).sizes());
      }
      return one(op::sum(op::diagonal(c.tensor(0))));
    }),
};

extern const OpDef tril_indices_op = {
    .name = "tril_indices",
    .sig = "row: int, col: int, offset: int = 0, *, dtype: dtype? = None, "
           "device: device? = None",
    .doc = FE_DOC(R"(Indices of the lower triangle of a matrix.

Args:
    row, col: its shape.
    offset: the last diagonal that belongs to it.
    dtype: int64 (None) or int32.
    device: None is the CPU.

Returns:
    Shape (2, n): rows and columns, row by row.

Raises:
    ValueError: a negative size.

Example:
    >>> import ferrule as fe
    >>> fe.tril_indices(2, 2).tolist()
    [[0, 1, 1], [0, 0, 1]]

Source: numpy.tril_indices.
)"),
    .examples = FE_DOC("3, 3\n2, 4, 1\n4, 2, -1\n0, 3"),
    .reference = FE_DOC("np.array(np.tril_indices(row, offset, col))"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) { return triangle_indices(c, op::le); }),
};

extern const OpDef triu_indices_op = {
    .name = "triu_indices",
    .sig = "row: int, col: int, offset: int = 0, *, dtype: dtype? = None, "
           "device: device? = None",
    .doc = FE_DOC(R"(Indices of the upper triangle of a matrix.

Args:
    row, col: its shape.
    offset: the first diagonal that belongs to it.
    dtype: int64 (None) or int32.
    device: None is the CPU.

Returns:
    Shape (2, n): rows and columns, row by row.

Raises:
    ValueError: a negative size.

Example:
    >>> import ferrule as fe
    >>> fe.triu_indices(2, 2).tolist()
    [[0, 0, 1], [0, 1, 1]]

Source: numpy.triu_indices.
)"),
    .examples = FE_DOC("3, 3\n2, 4, 1\n4, 2, -1\n0, 3"),
    .reference = FE_DOC("np.array(np.triu_indices(row, offset, col))"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) { return triangle_indices(c, op::ge); }),
};

}  // namespace ferrule
