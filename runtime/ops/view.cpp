// Views that look along several dimensions at once. Their gradients go back by
// as_strided_dx, in terms of the input's elements numbered row by row.
#include <algorithm>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"

namespace ferrule {
namespace {

// Steps between elements of a dense tensor of these sizes.
[[maybe_unused]] IntList dense_strides(const IntList& size) {
  IntList stride = size;
  Int step = 1;
  for (int i = size.n - 1; i >= 0; --i) {
    stride[i] = step;
    step = step * size.v[i];
  }
  return stride;
}

int wrapped(const Arg& dim, int ndim) {
  return static_cast<int>(dim.i < 0 ? dim.i + ndim : dim.i);
}

// The two dimensions of a diagonal.
struct Plane {
  int rows, columns;
};
Plane find_plane(const OpCall& c) {
  const TensorImpl& x = c.in(0);
  if (x.ndim < 2) {
    c.fail<ShapeError>("a diagonal needs 2 dimensions or more, got shape ",
                       x.sizes());
  }
  const Plane p{c.dim(2, x.ndim), c.dim(3, x.ndim)};
  if (p.rows == p.columns) {
    c.fail<ValueError>("dim1 and dim2 are the same dimension, ", p.rows);
  }
  return p;
}

void infer_diagonal(OpCall& c) {
  const TensorImpl& x = c.in(0);
  const Plane p = find_plane(c);
  const int64_t above = c.i(1), rows = x.shape[p.rows],
                columns = x.shape[p.columns];
  // Compared before they are subtracted: `offset` may be any int64.
  const int64_t length = above >= columns || -rows >= above
                             ? 0
                             : std::min(above < 0 ? rows + above : rows,
                                        above > 0 ? columns - above : columns);
  int64_t first = x.offset;
  if (length > 0 && above > 0) first += above * x.strides[p.columns];
  if (length > 0 && above < 0) first -= above * x.strides[p.rows];
  Dims shape(x.sizes()), strides(x.steps());
  for (int d : {std::max(p.rows, p.columns), std::min(p.rows, p.columns)}) {
    shape.erase(d);
    strides.erase(d);
  }
  shape.push(length);
  strides.push(x.strides[p.rows] + x.strides[p.columns]);
  c.view(0, 0, shape, strides, first);
}

void infer_unfold(OpCall& c) {
  const TensorImpl& x = c.in(0);
  const int64_t size = c.i(2), step = c.i(3);
  const int d = x.ndim ? c.dim(1, x.ndim) : 0;
  const int64_t n = x.ndim ? x.shape[d] : 1;
  if (step < 1) c.fail<ValueError>("step must be 1 or more, got ", step);
  if (size < 0 || size > n) {
    c.fail<ShapeError>("size ", size, " does not fit dimension ", d,
                       " of shape ", x.sizes());
  }
  Dims shape(x.sizes()), strides(x.steps());
  if (x.ndim > 0) {
    shape[d] = (n - size) / step + 1;
    // With one window, how far the next would be does not matter.
    if (shape[d] > 1) strides[d] *= step;
  }
  shape.push(size);
  strides.push(x.ndim ? x.strides[d] : 1);
  c.view(0, 0, shape, strides, x.offset);
}

}  // namespace

extern const OpDef diagonal_op = {
    .name = "diagonal",
    .sig = "input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1",
    .doc = FE_DOC(R"(The diagonal of two dimensions, as the last dimension.

Args:
    input: two dimensions or more.
    offset: 0: the main diagonal; greater: above it; less: below it.
    dim1, dim2: the rows and the columns; negative ones count from the end.

Returns:
    A view with one dimension less.

Raises:
    ShapeError: `input` has fewer than two dimensions.
    ValueError: dim1 and dim2 are the same.
    IndexOutOfRange: there is no such dimension.

Example:
    >>> import ferrule as fe
    >>> x = fe.zeros((2, 2))
    >>> x.diagonal().fill_(1).tolist(), x.tolist()
    ([1.0, 1.0], [[1.0, 0.0], [0.0, 1.0]])

Source: numpy.diagonal.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(3, 4), 1\n"
                       "f(4, 3), -2\n"
                       "f(2, 3, 4), 1, -1, 0\n"
                       "f(2, 3), 5"),
    .reference = FE_DOC("np.diagonal(input, offset, dim1, dim2)"),
    .infer = infer_diagonal,
    .vjp = FE_GRAD([](Vjp& v) {
      const int n = v.ndim(0), rows = wrapped(v.args[2], n),
                columns = wrapped(v.args[3], n);
      const IntList size = v.sizes(0), dense = dense_strides(size);
      IntList part, stride;
      for (int d = 0; d < n; ++d) {
        if (d == rows || d == columns) continue;
        part.push(size.v[d]);
        stride.push(dense.v[d]);
      }
      const Tensor g = v.grad();
      part.push(size_of(g.impl(), n - 2));
      stride.push(dense.v[rows] + dense.v[columns]);
      const int64_t above = v.args[1].i;
      Int first = 0;
      if (g.numel() > 0 && above > 0) first = dense.v[columns] * Int(above);
      if (g.numel() > 0 && above < 0) first = dense.v[rows] * Int(-above);
      v.set(0, op::as_strided_dx(g, size, part, stride, first));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef unfold_op = {
    .name = "unfold",
    .sig = "input: Tensor, dimension: int, size: int, step: int",
    .doc = FE_DOC(R"(Windows of one dimension, as an additional last dimension.

Args:
    input: any shape.
    dimension: the dimension; negative ones count from the end.
    size: of a window.
    step: from a window to the next, 1 or more.

Returns:
    A view of shape (..., (n - size) // step + 1, ..., size). Where windows
    overlap elements share memory: write into a clone of it.

Raises:
    ShapeError: not even one window fits.
    ValueError: step is less than 1.
    IndexOutOfRange: there is no such dimension.

Example:
    >>> import ferrule as fe
    >>> fe.arange(5).unfold(0, 3, 1).tolist()
    [[0, 1, 2], [1, 2, 3], [2, 3, 4]]

Source: torch.Tensor.unfold; numpy.lib.stride_tricks.sliding_window_view.
)"),
    .examples = FE_DOC("f(7), 0, 3, 2\n"
                       "f(2, 5), -1, 2, 1\n"
                       "f(4, 3), 0, 4, 1\n"
                       "f(3), 0, 0, 1"),
    .reference = FE_DOC(
        "np.lib.stride_tricks.sliding_window_view(input, size, dimension)"
        ".take(np.arange(0, input.shape[dimension] - size + 1, step), "
        "dimension % input.ndim)"
        " if size else np.zeros((input.shape[0] + 1, 0))"),
    .where = kMethod,
    .infer = infer_unfold,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor g = v.grad();
      const int n = v.ndim(0);
      if (n == 0) {
        v.set(0, op::reshape(g, IntList{}));
        return;
      }
      IntList stride = dense_strides(v.sizes(0));
      const int d = wrapped(v.args[1], n);
      stride.push(stride[d]);
      stride[d] = stride[d] * Int(v.args[3].i, v.args[3].n);
      v.set(0, op::as_strided_dx(g, v.sizes(0), sizes_of(g.impl()), stride, 0));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef movedim_op = {
    .name = "movedim",
    .sig = "input: Tensor, source: int[], destination: int[]",
    .doc =
        FE_DOC(R"(Moves dimensions to other places; the rest keep their order.

Args:
    input: any shape.
    source: one dimension or several.
    destination: where each of them goes.

Returns:
    A view.

Raises:
    ShapeError: the lists have different lengths.
    ValueError: a dimension is named twice.
    IndexOutOfRange: there is no such dimension.

Example:
    >>> import ferrule as fe
    >>> fe.movedim(fe.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)

Source: numpy.moveaxis.
)"),
    .examples = FE_DOC("f(2, 3, 4), (0,), (2,)\n"
                       "f(2, 3, 4), (0, -1), (1, 0)\n"
                       "f(3), (0,), (0,)"),
    .reference = FE_DOC("np.moveaxis(input, source, destination)"),
    .aliases = FE_DOC("moveaxis"),
    .decompose = FE_GRAD([](OpCall& c) -> Results {
      const int n = c.in(0).ndim;
      const auto from = c.ints(1), to = c.ints(2);
      if (from.size() != to.size()) {
        c.fail<ShapeError>("source ", dims_of(c, 1), " and destination ",
                           dims_of(c, 2), " must have the same length");
      }
      int place[kMaxRank];  // place[i]: the dimension that comes to stand at i
      std::fill_n(place, kMaxRank, -1);
      uint32_t moved = 0;
      for (size_t k = 0; k < from.size(); ++k) {
        const int s = OpCall::wrap_dim(c, from[k].value, n);
        const int d = OpCall::wrap_dim(c, to[k].value, n);
        if (moved >> s & 1 || place[d] >= 0) {
          c.fail<ValueError>("source ", dims_of(c, 1), " or destination ",
                             dims_of(c, 2), " names a dimension twice");
        }
        moved |= 1u << s;
        place[d] = s;
      }
      IntList order;
      int next = 0;
      for (int i = 0; i < n; ++i) {
        if (place[i] < 0) {
          while (moved >> next & 1) ++next;
          place[i] = next++;
        }
        order.push(place[i]);
      }
      Results r;
      r.n = 1;
      r[0] = op::permute(c.tensor(0), order);
      return r;
    }),
};

}  // namespace ferrule
