// Sorting, and what is read off a sorted dimension.
#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// Elements [first, first + count) of the sorted dimension, and where they
// stood.
Results part_of_sorted(OpCall& c, int64_t d, Int first, Int count,
                       bool descending) {
  Results r = op::sort.multi(c.tensor(0), d, descending, true);
  if (c.in(0).ndim == 0) return r;
  for (int i = 0; i < 2; ++i) r[i] = op::slice(r[i], d, first, first + count);
  return r;
}

Results decompose_topk(OpCall& c) {
  const TensorImpl& x = c.in(0);
  const int d = c.dim(2, x.ndim);
  const int64_t size = x.ndim == 0 ? 1 : x.shape[d];
  if (c.i(1) < 0 || c.i(1) > size) {
    c.fail<ValueError>("k = ", c.i(1), " is out of range for dimension ", d,
                       " of shape ", x.sizes(), "; valid: 0..", size);
  }
  return part_of_sorted(c, d, 0, c.sym(1), c.b(3));
}

Results decompose_kthvalue(OpCall& c) {
  const TensorImpl& x = c.in(0);
  const int d = c.dim(2, x.ndim);
  const int64_t size = x.ndim == 0 ? 1 : x.shape[d];
  if (c.i(1) < 1 || c.i(1) > size) {
    c.fail<ValueError>("k = ", c.i(1), " is out of range for dimension ", d,
                       " of shape ", x.sizes(), "; valid: 1..", size);
  }
  Results r = part_of_sorted(c, d, c.sym(1) - 1, 1, false);
  if (c.b(3) || x.ndim == 0) return r;
  for (int i = 0; i < 2; ++i) r[i] = op::squeeze(r[i], IntList{d});
  return r;
}

#endif

}  // namespace

extern const OpDef sort_op = {
    .name = "sort",
    .sig = "input: Tensor, dim: int = -1, descending: bool = False, "
           "stable: bool = False -> values, indices",
    .doc = FE_DOC(R"(Sorts along a dimension. NaN counts as the largest.

Args:
    input: any shape.
    dim: the dimension.
    descending: True begins with the largest.
    stable: equal elements keep their order; they do in any case.

Returns:
    values, and their indices in `input` (int64), both of its shape.

Raises:
    IndexError: the dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> values, indices = fe.sort(fe.tensor([3, 1, 2]))
    >>> values.tolist(), indices.tolist()
    ([1, 2, 3], [1, 2, 0])

Source: torch.sort; a radix sort of keys whose order is that of the elements.
)"),
    .examples = FE_DOC("f(7)\n"
                       "f(2, 5, 4), 1\n"
                       "f(3, 90), -1, True\n"
                       "i(9, 40, 3), 0\n"
                       "b(30), 0, True\n"
                       "f(0, 3), 0\n"
                       "f()"),
    .reference = FE_DOC("(lambda at: (np.take_along_axis(input, at, dim), at))("
                        "(lambda x: np.flip(x.shape[dim] - 1 - np.argsort("
                        "np.flip(x, dim), dim, kind='stable'), dim) if "
                        "descending else np.argsort(x, dim, kind='stable'))("
                        "input)) if input.ndim else (input, np.array(0))"),
    .saves = "indices",
    .infer =
        [](OpCall& c) {
          check_real(c, 0);
          c.dim(1, c.in(0).ndim);
          c.out_like(0, 0);
          c.out(1, DType::i64, c.in(0).sizes());
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      v.set(0, op::scatter_add(op::zeros_like(g), v.args[1], v.out(1), g));
    }),
    .batch = FE_GRAD(batch_dims),
};

extern const OpDef argsort_op = {
    .name = "argsort",
    .sig = "input: Tensor, dim: int = -1, descending: bool = False, "
           "stable: bool = False",
    .doc = FE_DOC(R"(The indices that sort along a dimension; see `sort`.

Args:
    input: any shape.
    dim: the dimension.
    descending: True begins with the largest.
    stable: equal elements keep their order; they do in any case.

Returns:
    int64, shape of `input`.

Raises:
    IndexError: the dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.argsort(fe.tensor([3, 1, 2])).tolist()
    [1, 2, 0]

Source: numpy.argsort.
)"),
    .examples = FE_DOC("f(7)\nf(2, 5, 4), 1\ni(4, 2, 9), -1"),
    .reference = FE_DOC("np.argsort(input, dim, kind='stable')"),
    .decompose = FE_GRAD([](OpCall& c) {
      Results r = op::sort.multi(c.tensor(0), c.i(1), c.b(2), c.b(3));
      return one(r[1]);
    }),
};

extern const OpDef msort_op = {
    .name = "msort",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Sorts along the first dimension.

Args:
    input: any shape.

Returns:
    Shape of `input`.

Raises:
    DTypeError: `input` is complex.

Example:
    >>> import ferrule as fe
    >>> fe.msort(fe.tensor([[3, 1], [2, 4]])).tolist()
    [[2, 1], [3, 4]]

Source: torch.msort.
)"),
    .examples = FE_DOC("f(7)\nf(5, 3)"),
    .reference = FE_DOC("np.sort(input, 0)"),
    .decompose =
        FE_GRAD([](OpCall& c) { return one(op::sort(c.tensor(0), 0)); }),
};

extern const OpDef topk_op = {
    .name = "topk",
    .sig = "input: Tensor, k: int, dim: int = -1, largest: bool = True, "
           "sorted: bool = True -> values, indices",
    .doc = FE_DOC(R"(The k largest elements of a dimension, the largest first.

Args:
    input: any shape.
    k: how many.
    dim: the dimension.
    largest: False gives the smallest.
    sorted: they are sorted in any case.

Returns:
    values and their indices (int64); size k in `dim`.

Raises:
    IndexError: the dimension is out of range.
    ValueError: k is negative or more than there are elements.

Example:
    >>> import ferrule as fe
    >>> values, indices = fe.topk(fe.tensor([3, 1, 2]), 2)
    >>> values.tolist(), indices.tolist()
    ([3, 2], [0, 2])

Source: torch.topk.
)"),
    .examples = FE_DOC("f(7), 3\nf(2, 5, 4), 2, 1\nf(3, 9), 4, -1, False\n"
                       "f(3, 4), 0"),
    .reference = FE_DOC("np.take(np.sort(input, dim), np.arange(k) if not "
                        "largest else input.shape[dim] - 1 - np.arange(k), "
                        "dim)"),
    .decompose = FE_GRAD(decompose_topk),
};

extern const OpDef kthvalue_op = {
    .name = "kthvalue",
    .sig = "input: Tensor, k: int, dim: int = -1, keepdim: bool = False -> "
           "values, indices",
    .doc = FE_DOC(R"(The k-th smallest element of a dimension.

Args:
    input: any shape.
    k: which one, counted from 1.
    dim: the dimension.
    keepdim: keep it, with size 1.

Returns:
    values and their indices (int64), without `dim`.

Raises:
    IndexError: the dimension is out of range.
    ValueError: there is no k-th element.

Example:
    >>> import ferrule as fe
    >>> values, indices = fe.kthvalue(fe.tensor([3, 1, 2]), 2)
    >>> values.item(), indices.item()
    (2, 2)

Source: torch.kthvalue.
)"),
    .examples = FE_DOC("f(7), 3\nf(2, 5, 4), 2, 1\nf(3, 9), 4, -1, True"),
    .reference = FE_DOC("np.take(np.sort(input, dim), [k - 1] if keepdim else "
                        "k - 1, dim)"),
    .decompose = FE_GRAD(decompose_kthvalue),
};

}  // namespace ferrule
