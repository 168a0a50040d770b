// Slices and rows chosen by the integers of another tensor.
#include <algorithm>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/index_batch.h"
#include "runtime/ops/index_checks.h"

namespace ferrule {
namespace {

// The padding row, counted from 0; -1: none.
int64_t find_padding(const OpCall& c, int arg, int64_t rows) {
  if (!c.has(arg)) return -1;
  const int64_t i = c.i(arg);
  if (i < -rows || i >= rows) {
    c.fail<IndexError>("padding_idx ", i, " is out of range for ", rows,
                       " rows; valid: ", -rows, "..", rows - 1);
  }
  return i < 0 ? i + rows : i;
}

// --- batching

[[maybe_unused]] Results batch_index_select(Batch& b) {
  return batch_positions(b, [](Batch& b, int dim) {
    const Tensor& x = b.in[0].tensor;
    return one(op::gather(x, dim, spread(b, dim, x)));
  });
}

// A weight a sample: elements of its rows.
[[maybe_unused]] Results batch_embedding(Batch& b) {
  b.set(0, b.whole(0));
  if (!b.batched(1)) return b.run();
  Int count = 1;
  for (const Int n : b.sizes(0)) count = count * n;
  const Tensor index = op::reshape(b.in[0].tensor, IntList{b.size, count, 1});
  Tensor rows = op::gather(b.in[1].tensor, 1,
                           op::expand(index, IntList{-1, -1, b.dim(1, 1)}));
  if (!b.args[2].is_none()) {
    Int padding(b.args[2].i, b.args[2].n);
    if (padding.value < 0) padding = padding + b.dim(1, 0);
    rows = op::where(op::ne(index, padding), rows, rows.detach());
  }
  return one(std::move(rows));
}

[[maybe_unused]] Results batch_embedding_dw(Batch& b) {
  const Int rows(b.args[2].i, b.args[2].n);
  Int padding(b.args[3].i, b.args[3].n);
  const bool padded = !b.args[3].is_none();
  b.set(0, b.whole(0));
  // Samples' tables one behind the other.
  const Tensor sample = number_of_sample(b, b.ndim(1));
  b.set(1, op::add(op::cast(b.whole(1), DType::i64), op::mul(sample, rows)));
  b.args[2] = Arg(rows * b.size);
  b.args[3] = Arg();
  const Int length = b.dim(0, b.ndim(0) - 1);
  Tensor sum = op::reshape(b.run()[0], IntList{b.size, rows, length});
  if (padded) {
    if (padding.value < 0) padding = padding + rows;
    const Tensor row =
        op::arange(0, rows, 1, DType::i64, device_of(b.in[0].tensor));
    sum = op::where(op::unsqueeze(op::ne(row, padding), 1), sum, 0);
  }
  return one(std::move(sum));
}

}  // namespace

extern const OpDef index_select_op = {
    .name = "index_select",
    .sig = "input: Tensor, dim: int, index: Tensor[int]",
    .doc = FE_DOC(R"(The elements of one dimension that `index` lists.

Args:
    input: any shape.
    dim: the dimension.
    index: shape (n,), int64 or int32.

Returns:
    The size of `dim` is n.

Raises:
    IndexOutOfRange: an index is negative or too large.

Example:
    >>> import ferrule as fe
    >>> fe.index_select(fe.tensor([5, 6, 7]), 0, fe.tensor([2, 0])).tolist()
    [7, 5]

Source: numpy.take.
)"),
    .examples = FE_DOC("f(4, 3), 0, i(4, 5)\n"
                       "f(2, 4, 3), 1, i(4, 2)\n"
                       "f(2, 3), -1, i(3, 4)\n"
                       "f(4, 3), 0, i(4, 0)"),
    .reference = FE_DOC("np.take(input, index, dim)"),
    .saves = "index",
    .infer =
        [](OpCall& c) {
          const int d = check_positions(c);
          if (c.in(0).ndim == 0 && c.in(2).numel != 1) {
            c.fail<ShapeError>("a 0-d input has one element, index lists ",
                               c.in(2).numel);
          }
          c.out(0, c.in(0).dtype, chosen_shape(c, d));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      Tensor zero = op::zeros(v.sizes(0), g.dtype(), g.device());
      v.set(0, op::index_add(zero, v.args[1], v.in(2), g));
    }),
    .batch = FE_GRAD(batch_index_select),
};

extern const OpDef embedding_op = {
    .name = "embedding",
    .sig = "input: Tensor[int], weight: Tensor, padding_idx: int? = None",
    .doc = FE_DOC(R"(Rows of a table.

Args:
    input: numbers of rows, int64 or int32, any shape.
    weight: the table, shape (rows, size).
    padding_idx: this row gets no gradient; negative ones count from the end.

Returns:
    Shape (*input.shape, size).

Raises:
    IndexOutOfRange: a number is negative or too large.
    ShapeError: `weight` has not two dimensions.

Example:
    >>> import ferrule as fe
    >>> table = fe.tensor([[0.0, 0.0], [1.0, 2.0]])
    >>> fe.nn.functional.embedding(fe.tensor([1, 0]), table).tolist()
    [[1.0, 2.0], [0.0, 0.0]]

Source: torch.nn.functional.embedding.
)"),
    .examples = FE_DOC("i(4, 2, 3), f(4, 5)\n"
                       "i(3, 6), f(4, 3), 3\n"
                       "i(3, 6), f(4, 3), -1\n"
                       "i(4, 0), f(4, 3)"),
    .reference = FE_DOC("weight[input]"),
    .where = kFunctional,
    .saves = "input",
    .infer =
        [](OpCall& c) {
          require_index(c, 0);
          if (c.in(1).ndim != 2) {
            c.fail<ShapeError>("weight must have shape (rows, size), got ",
                               c.in(1).sizes());
          }
          find_padding(c, 2, c.in(1).shape[0]);
          Dims shape(c.in(0).sizes());
          shape.push(c.in(1).shape[1]);
          c.out(0, c.in(1).dtype, shape);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(1, op::embedding_dw(v.grad(), v.in(0), v.size(1, 0), v.args[2]));
    }),
    .batch = FE_GRAD(batch_embedding),
};

extern const OpDef embedding_dw_op = {
    .name = "embedding_dw",
    .sig = "grad: Tensor, input: Tensor[int], num_embeddings: int, "
           "padding_idx: int? = None",
    .doc = FE_DOC(R"(Gradient of embedding in its table: adds up the rows.

Args:
    grad: shape (*input.shape, size).
    input: numbers of rows, int64 or int32.
    num_embeddings: number of rows of the table.
    padding_idx: this row stays 0.

Returns:
    Shape (num_embeddings, size). The order of summation is that of `input`.

Raises:
    IndexOutOfRange: a number is negative or too large.
    ShapeError: the shapes do not fit.

Example:
    >>> import ferrule as fe
    >>> g = fe.tensor([[1.0], [2.0]])
    >>> fe.ops.embedding_dw(g, fe.tensor([1, 1]), 3).tolist()
    [[0.0], [3.0], [0.0]]

Source: the chain rule.
)"),
    .examples = FE_DOC("f(2, 3, 5), i(4, 2, 3), 4\n"
                       "f(6, 3), i(4, 6), 4, 1\n"
                       "f(6, 3), i(4, 6), 4, -1\n"
                       "f(0, 3), i(4, 0), 4"),
    .where = kInternal,
    .saves = "input",
    .infer =
        [](OpCall& c) {
          require_index(c, 1);
          require_addable(c, 0);
          const TensorImpl &g = c.in(0), &index = c.in(1);
          if (g.ndim != index.ndim + 1 ||
              !std::equal(index.shape, index.shape + index.ndim, g.shape)) {
            c.fail<ShapeError>("grad must have the shape of input, ",
                               index.sizes(), ", and one dimension more, got ",
                               g.sizes());
          }
          const int64_t rows = c.i(2);
          if (rows < 0) {
            c.fail<ValueError>("num_embeddings must be 0 or more, got ", rows);
          }
          find_padding(c, 3, rows);
          c.out(0, g.dtype, Dims{rows, g.shape[g.ndim - 1]});
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor index = v.in(1);
      Tensor g = op::embedding(index, v.grad());
      if (v.has(3)) {
        Int padding(v.args[3].i, v.args[3].n);
        if (padding.value < 0) {
          padding = padding + Int(v.args[2].i, v.args[2].n);
        }
        Tensor kept = op::unsqueeze(op::ne(index, padding), -1);
        g = op::where(kept, g, 0.0);
      }
      v.set(0, g);
    }),
    .batch = FE_GRAD(batch_embedding_dw),
};

}  // namespace ferrule
