// Elements at positions that index tensors list: x[i, j], and what is like it.
#include "runtime/core/index_list.h"
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

void require_in_reach(const OpCall& c, const IndexList& list) {
  int64_t positions = 1;
  for (int64_t n : list.indexed) positions *= n;
  for (int k = 0; k < list.n; ++k) {
    require_elements(c, list.input[list.dim[k]], positions, list.dim[k]);
  }
}

void infer_index_put(OpCall& c) {
  const IndexList list(c, c.in(0).sizes(), c.list(1));
  require_in_reach(c, list);
  require_same_dtype(c, {0, 2});
  if (c.b(3)) require_numbers(c, 0);
  const auto values = c.in(2).sizes();
  bool fits = values.size() <= static_cast<size_t>(list.result.n);
  for (size_t i = 1; fits && i <= values.size(); ++i) {
    const int64_t n = values[values.size() - i];
    fits = n == 1 || n == list.result[list.result.n - static_cast<int>(i)];
  }
  if (!fits) {
    c.fail<ShapeError>("values of shape ", values,
                       " do not broadcast to the shape of what the indices "
                       "choose, ",
                       list.result);
  }
  c.out_like(0, 0);
}

// index_copy and index_add: a source with a slice for each position.
void infer_along(OpCall& c) {
  const int d = check_positions(c);
  const TensorImpl& x = c.in(0);
  require_elements(c, x.ndim ? x.shape[d] : 1, c.in(2).numel, d);
  require_same_dtype(c, {0, 3});
  const Dims want = chosen_shape(c, d);
  if (!(want == Dims(c.in(3).sizes()))) {
    c.fail<ShapeError>("source must have shape ", want, " for input ",
                       x.sizes(), " and ", c.in(2).numel,
                       " positions in dimension ", d, ", got ",
                       c.in(3).sizes());
  }
  c.out_like(0, 0);
}

#ifndef FE_RUNTIME_ONLY

std::vector<Tensor> list_of(Vjp& v, int i) {
  const auto list = v.list(i);
  return {list.begin(), list.end()};
}

Tensor zero_of(const Tensor& g) {
  return op::zeros(IntList{}, g.dtype(), g.device());
}

// Of several writes to one element only the last has a gradient. `g` is that
// of what the indices choose.
Tensor of_last_writes(const Tensor& g, const std::vector<Tensor>& indices,
                      const IntList& size) {
  Tensor last = op::last_writes(indices, size);
  int first = -1, behind = -1, count = 0;
  for (int d = 0; d < static_cast<int>(indices.size()); ++d) {
    if (!indices[d]) continue;
    if (first < 0) first = d;
    behind = d + 1;
    ++count;
  }
  if (behind - first != count) first = 0;
  IntList shape = sizes_of(last.impl());
  while (shape.n < g.ndim() - first) shape.push(1);
  return op::where(op::reshape(last, shape), g, 0.0);
}

// The same for one dimension.
Tensor of_last_slices(const Tensor& g, int64_t dim, const Tensor& index,
                      Int size) {
  Tensor last = op::last_writes(
      std::vector<Tensor>{op::reshape(index, IntList{-1})}, IntList{size});
  if (g.ndim() == 0) return op::where(op::select(last, 0, -1), g, 0.0);
  IntList shape{size_of(last.impl(), 0)};
  for (int64_t d = (dim < 0 ? dim + g.ndim() : dim) + 1; d < g.ndim(); ++d) {
    shape.push(1);
  }
  return op::where(op::reshape(last, shape), g, 0.0);
}

Int size_along(const Vjp& v) {
  const int n = v.ndim(0);
  if (n == 0) return 1;
  const int64_t d = v.args[1].i;
  return v.size(0, static_cast<int>(d < 0 ? d + n : d));
}

#endif

// --- batching

// Where the dimensions of the indices stand among those of a sample's result.
struct Placed {
  int ndim = 0;   // of the indices, broadcast
  int first = 0;  // before them
  bool adjacent = true;
};
[[maybe_unused]] Placed place(const Batch& b) {
  Placed p;
  int from = -1, to = -1, n = 0;
  for (int d = 0; d < static_cast<int>(b.list[1].size()); ++d) {
    const Batched& t = b.list[1][d];
    if (!t.tensor) continue;
    if (from < 0) from = d;
    to = d + 1;
    ++n;
    p.ndim = std::max(p.ndim, t.tensor.ndim() - t.batched);
  }
  p.adjacent = to - from == n;
  p.first = p.adjacent ? from : 0;
  return p;
}

// Changes the list for tensors with the samples in front, and finds the order
// of dimensions of what it chooses: `order[d]` is where dimension d of the
// result for samples stands.
[[maybe_unused]] IntList index_samples(Batch& b, int ndim) {
  const Placed p = place(b);
  bool any = false;
  for (const Batched& t : b.list[1]) any |= t.batched;
  Batched sample;
  if (any) {
    for (Batched& t : b.list[1]) {
      if (t.tensor) t.tensor = b.aligned(t, p.ndim);
    }
    sample.tensor = number_of_sample(b, p.ndim);
  }
  b.list[1].insert(b.list[1].begin(), sample);
  IntList order{0};
  if (any && p.first > 0) {
    // The samples' numbers are among the indices, and bring them to the front.
    for (int d = 0; d < p.first; ++d) order.push(1 + p.ndim + d);
    for (int d = 0; d < p.ndim; ++d) order.push(1 + d);
  } else if (!any && !p.adjacent) {
    order[0] = p.ndim;
    for (int d = 0; d < p.ndim; ++d) order.push(d);
  }
  while (order.n < ndim + 1) order.push(order.n);
  return order;
}

[[maybe_unused]] int rank_of_result(const Batch& b) {
  int indexed = 0;
  for (const Batched& t : b.list[1]) indexed += static_cast<bool>(t.tensor);
  return b.ndim(0) - indexed + place(b).ndim;
}

[[maybe_unused]] Results batch_index(Batch& b) {
  const IntList order = index_samples(b, rank_of_result(b));
  b.set(0, b.whole(0));
  return one(op::permute(b.run()[0], order));
}

[[maybe_unused]] Results batch_index_put(Batch& b) {
  const int ndim = rank_of_result(b);
  const IntList order = index_samples(b, ndim);
  IntList back;
  for (int d = 0; d < order.n; ++d) {
    for (int k = 0; k < order.n; ++k) {
      if (order.v[k].value == d) back.push(k);
    }
  }
  b.set(0, b.whole(0));
  const Tensor values = b.whole(2);
  IntList shape{b.size};
  while (shape.n - 1 < ndim - (values.ndim() - 1)) shape.push(1);
  for (int d = 1; d < values.ndim(); ++d) {
    shape.push(size_of(values.impl(), d));
  }
  b.set(2, op::permute(op::reshape(values, shape), back));
  return b.run();
}

// All elements of a sample, numbered row by row.
[[maybe_unused]] Results batch_numbered(Batch& b, int values) {
  for (int i : {0, 1, values}) {
    if (i < 0) continue;
    Int n = 1;
    for (const Int size : b.sizes(i)) n = n * size;
    b.set(i, op::reshape(b.whole(i), IntList{b.size, n}));
  }
  const std::vector<Tensor> where{number_of_sample(b, 1), b.in[1].tensor};
  if (values < 0) return one(op::index(b.in[0].tensor, where));
  return one(
      op::index_put(b.in[0].tensor, where, b.in[values].tensor, b.args[3]));
}
[[maybe_unused]] Results batch_take(Batch& b) { return batch_numbered(b, -1); }
[[maybe_unused]] Results batch_put(Batch& b) { return batch_numbered(b, 2); }

[[maybe_unused]] Results batch_index_add(Batch& b) {
  return batch_positions(b, [](Batch& b, int dim) {
    const Tensor& source = b.in[3].tensor;
    return one(op::scatter_add(b.in[0].tensor, dim, spread(b, dim, source),
                               op::mul(source, b.args[4])));
  });
}
[[maybe_unused]] Results batch_index_copy(Batch& b) {
  return batch_positions(b, [](Batch& b, int dim) {
    const Tensor& source = b.in[3].tensor;
    return one(
        op::scatter(b.in[0].tensor, dim, spread(b, dim, source), source));
  });
}
[[maybe_unused]] Results batch_index_fill(Batch& b) {
  if (b.has(3)) return {};  // the value is a tensor
  return batch_positions(b, [](Batch& b, int dim) {
    const Tensor& x = b.in[0].tensor;
    const Tensor index = b.in[2].tensor;
    b.set(2, op::where(op::lt(index, 0), op::add(index, size_of(x.impl(), dim)),
                       index));
    return one(op::scatter(x, dim, spread(b, dim, x), b.args[3]));
  });
}

}  // namespace

extern const OpDef index_op = {
    .name = "index",
    .sig = "input: Tensor, indices: Tensor[]",
    .doc = FE_DOC(R"(The elements at positions that index tensors list.

What x[i, :, j] does for tensors of integers i and j.

Args:
    input: any shape.
    indices: integer tensors, one for each of the first dimensions, or None for
        all of a dimension. They broadcast with each other; negative numbers
        count from the end.

Returns:
    The dimensions of the indices, broadcast, stand where the indexed ones
    stood; first, if those are not side by side.

Raises:
    IndexOutOfRange: an index is out of range, the indices do not broadcast, or
        there are too many.
    DTypeError: an index is not a tensor of integers.

Example:
    >>> import ferrule as fe
    >>> x, i = fe.tensor([[1, 2], [3, 4]]), fe.tensor([0, -1])
    >>> fe.ops.index(x, [i, i]).tolist()
    [1, 4]

Source: the NumPy reference, integer array indexing.
)"),
    .examples = FE_DOC("f(3, 4), [i(3, 2, 2)]\n"
                       "f(3, 4), [i(3, 2) - 3, i(4, 2)]\n"
                       "f(2, 3, 4), [None, i(3, 5)]\n"
                       "f(2, 3, 4), [i(2, 5), None, i(4, 2, 1)]\n"
                       "f(2, 3, 4), [None, i(3, 5), i(4, 5)]\n"
                       "f(2, 3, 4, 5), [None, i(3, 2), None, i(5, 2)]\n"
                       "f(5), [i(5)]\n"
                       "f(3, 4), [i(3, 0)]"),
    .reference = FE_DOC("input[tuple(slice(None) if i is None else i for i in "
                        "indices)]"),
    .where = kInternal,
    .saves = "indices",
    .infer =
        [](OpCall& c) {
          const IndexList list(c, c.in(0).sizes(), c.list(1));
          require_in_reach(c, list);
          c.out(0, c.in(0).dtype, list.result);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      Tensor zero = op::zeros(v.sizes(0), g.dtype(), g.device());
      v.set(0, op::index_put(zero, list_of(v, 1), g, true));
    }),
    .batch = FE_GRAD(batch_index),
};

extern const OpDef index_put_op = {
    .name = "index_put",
    .sig = "input: Tensor, indices: Tensor[], values: Tensor, accumulate: bool "
           "= False",
    .doc = FE_DOC(
        R"(Writes at positions that index tensors list.

What x[i, :, j] = values does for tensors of integers i and j.

Args:
    input: any shape.
    indices: integer tensors, one for each of the first dimensions, or None for
        all of a dimension. They broadcast with each other; negative numbers
        count from the end.
    values: broadcasts to the shape of input[indices]; the dtype of `input`.
    accumulate: True adds instead of overwriting.

Returns:
    Shape of `input`. Of several values for one element the last stays, or all
    are added in their order.

Raises:
    IndexOutOfRange: an index is out of range, the indices do not broadcast, or
        there are too many.
    ShapeError: the values do not fit.
    DTypeError: an index is not a tensor of integers, or the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> i = fe.tensor([0, 2, 2])
    >>> fe.index_put(fe.zeros((3,)), [i], fe.tensor([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.0, 3.0]

Source: torch.index_put.
)"),
    .examples = FE_DOC("f(3, 4), [i(3, 2, 2)], f(2, 2, 4)\n"
                       "f(3, 4), [i(3, 7) - 3, i(4, 7)], f(7)\n"
                       "f(3, 4), [i(3, 7) - 3, i(4, 7)], f(7), True\n"
                       "f(2, 3, 4), [None, i(3, 5)], f(2, 5, 4)\n"
                       "f(2, 3, 4), [None, i(3, 5)], f(5, 1), True\n"
                       "f(2, 3, 4), [i(2, 5), None, i(4, 2, 1)], f(2, 5, 3)\n"
                       "f(2, 3, 4), [i(2, 5), None, i(4, 2, 1)], f(3), True\n"
                       "f(2, 3, 4), [None, i(3, 5), i(4, 5)], f()\n"
                       "f(5), [i(5)], f()\n"
                       "f(3, 4), [i(3, 0)], f(0, 4)"),
    .reference = FE_DOC(
        "(lambda out, at: ((np.add.at if accumulate else "
        "lambda o, k, v: o.__setitem__(k, v))(out, at, values), "
        "out)[1])(input.copy(), tuple(slice(None) if i is None else i for i in "
        "indices))"),
    .has_inplace = true,
    .autocast = Autocast::widest,
    .saves = "indices",
    .infer = infer_index_put,
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      const bool accumulate = v.args[3].b;
      const std::vector<Tensor> indices = list_of(v, 1);
      if (v.needs(0)) {
        v.set(0, accumulate ? g : op::index_put(g, indices, zero_of(g)));
      }
      if (!v.needs(2)) return;
      Tensor chosen = op::index(g, indices);
      v.set(2,
            accumulate ? chosen : of_last_writes(chosen, indices, v.sizes(0)));
    }),
    .batch = FE_GRAD(batch_index_put),
};

extern const OpDef last_writes_op = {
    .name = "last_writes",
    .sig = "indices: Tensor[], size: int[]",
    .doc = FE_DOC(R"(True for the positions that no later one names again.

For the gradient of writes, where the last one stays.

Args:
    indices: as for index_put.
    size: shape of the tensor that they count in.

Returns:
    The shape of the indices, broadcast; bool.

Raises:
    IndexOutOfRange: an index is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.ops.last_writes([fe.tensor([1, 0, 1])], (2,)).tolist()
    [False, True, True]

Source: the chain rule.
)"),
    .examples = FE_DOC("[i(3, 7)], (3,)\n[i(3, 2, 3), None, i(4, 3)], "
                       "(3, 9, 4)\n[i(2, 1500) - 2, i(3, 1500)], (2, 3)"),
    .where = kInternal,
    .infer =
        [](OpCall& c) {
          const Dims size = shape_of(c, 1);
          checked_numel(size);
          const IndexList list(c, size, c.list(0));
          for (int k = 0; k < list.n; ++k) {
            if (size[list.dim[k]] == 0 && checked_numel(list.indexed)) {
              c.fail<IndexError>("dimension ", list.dim[k], " of shape ", size,
                                 " is empty: no index is in range");
            }
          }
          c.out(0, DType::bool_, list.indexed);
        },
};

extern const OpDef take_op = {
    .name = "take",
    .sig = "input: Tensor, index: Tensor[int]",
    .doc = FE_DOC(R"(The elements that `index` numbers, row by row.

Args:
    input: any shape.
    index: integers of any shape; negative ones count from the end.

Returns:
    Shape of `index`.

Raises:
    IndexOutOfRange: an index is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.take(fe.tensor([[1, 2], [3, 4]]), fe.tensor([2, -1])).tolist()
    [3, 4]

Source: torch.take.
)"),
    .examples = FE_DOC("f(3, 4), i(12, 2, 3)\nf(3, 4), i(12, 5) - 12\n"
                       "f(6), i(6)\nf(3, 4), i(12, 0)"),
    .reference = FE_DOC("np.take(input, index)"),
    .saves = "index",
    .infer =
        [](OpCall& c) {
          require_elements(c, c.in(0).numel, c.in(1).numel, 0);
          c.out(0, c.in(0).dtype, c.in(1).sizes());
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      Tensor zero = op::zeros(v.sizes(0), g.dtype(), g.device());
      v.set(0, op::put(zero, v.in(1), g, true));
    }),
    .batch = FE_GRAD(batch_take),
};

extern const OpDef put_op = {
    .name = "put",
    .sig = "input: Tensor, index: Tensor[int], source: Tensor, accumulate: "
           "bool = False",
    .doc = FE_DOC(R"(Writes to the elements that `index` numbers, row by row.

Args:
    input: any shape.
    index: integers of any shape; negative ones count from the end.
    source: as many elements as `index`, the dtype of `input`.
    accumulate: True adds instead of overwriting.

Returns:
    Shape of `input`. Of several values for one element the last stays, or all
    are added in their order.

Raises:
    IndexOutOfRange: an index is out of range.
    ShapeError: `source` has not the number of elements of `index`.

Example:
    >>> import ferrule as fe
    >>> i, s = fe.tensor([3, 0]), fe.tensor([7.0, 8.0])
    >>> fe.put(fe.zeros((2, 2)), i, s).tolist()
    [[8.0, 0.0], [0.0, 7.0]]

Source: torch.Tensor.put_.
)"),
    .examples = FE_DOC("f(3, 4), i(12, 2, 3), f(2, 3)\n"
                       "f(3, 4), i(12, 8) - 12, f(2, 4), True\n"
                       "f(3, 4), i(12, 8), f(8)\n"
                       "f(6), i(6), f()\nf(3, 4), i(12, 0), f(0)"),
    .reference =
        FE_DOC("(lambda out: ((np.add.at if accumulate else lambda o, k, v: "
               "o.__setitem__(k, v))(out.reshape(-1), index.ravel(), "
               "source.ravel()), out)[1])(input.copy())"),
    .has_inplace = true,
    .saves = "index",
    .infer =
        [](OpCall& c) {
          require_same_dtype(c, {0, 2});
          require_elements(c, c.in(0).numel, c.in(1).numel, 0);
          if (c.b(3)) require_numbers(c, 0);
          if (c.in(1).numel != c.in(2).numel) {
            c.fail<ShapeError>("source of shape ", c.in(2).sizes(),
                               " must have as many elements as index ",
                               c.in(1).sizes());
          }
          c.out_like(0, 0);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad(), index = v.in(1);
      const bool accumulate = v.args[3].b;
      if (v.needs(0)) {
        v.set(0, accumulate
                     ? g
                     : op::put(g, index,
                               op::zeros(v.sizes(2), g.dtype(), g.device())));
      }
      if (!v.needs(2)) return;
      Tensor chosen = op::take(g, op::reshape(index, v.sizes(2)));
      if (!accumulate) {
        Tensor last = op::last_writes(
            std::vector<Tensor>{op::reshape(index, IntList{-1})},
            IntList{v.numel(0)});
        chosen = op::where(op::reshape(last, v.sizes(2)), chosen, 0.0);
      }
      v.set(2, chosen);
    }),
    .batch = FE_GRAD(batch_put),
};

extern const OpDef index_add_op = {
    .name = "index_add",
    .sig = "input: Tensor, dim: int, index: Tensor[int], source: Tensor, *, "
           "alpha: Scalar = 1",
    .doc = FE_DOC(R"(Adds the slices of `source` to those that `index` lists.

Args:
    input: any shape.
    dim: the dimension.
    index: shape (n,), int64 or int32.
    source: shape of `input` with n in `dim`, dtype of `input`.
    alpha: `source` is multiplied with this number.

Returns:
    Shape of `input`. The order of summation is that of `index`.

Raises:
    ShapeError: the shapes do not fit.
    IndexOutOfRange: an index is negative or too large.

Example:
    >>> import ferrule as fe
    >>> x, i = fe.tensor([1.0, 2.0]), fe.tensor([1, 1])
    >>> fe.index_add(x, 0, i, fe.tensor([10.0, 20.0])).tolist()
    [1.0, 32.0]

Source: torch.index_add.
)"),
    .examples = FE_DOC("f(4, 3), 0, i(4, 5), f(5, 3)\n"
                       "f(2, 4, 3), 1, i(4, 2), f(2, 2, 3)\n"
                       "f(2, 3), -1, i(3, 4), f(2, 4)\n"
                       "f(4, 3), 0, i(4, 5), f(5, 3), alpha=-2.5\n"
                       "f(4, 3), 0, i(4, 0), f(0, 3)"),
    .reference =
        FE_DOC("(lambda out: (np.add.at(np.moveaxis(out, dim, 0), index, "
               "np.moveaxis(alpha * source, dim, 0)), out)[1])(input.copy())"),
    .has_inplace = true,
    .saves = "index",
    .infer =
        [](OpCall& c) {
          infer_along(c);
          require_numbers(c, 0);
          if (c.args[4].tag == ArgTag::float_ && is_integer(c.in(0).dtype)) {
            c.fail<DTypeError>("alpha must be an int for tensors of ",
                               c.in(0).dtype, ", got ", c.f(4));
          }
        },
    .vjp = FE_GRAD([](Vjp& v) {
      v.set(0, v.grad());
      if (!v.needs(3)) return;
      Tensor g = op::index_select(v.grad(), v.args[1], v.in(2));
      v.set(3, op::mul(g, v.args[4]));
    }),
    .complex = FE_GRAD(by_parts),
    .batch = FE_GRAD(batch_index_add),
};

extern const OpDef index_copy_op = {
    .name = "index_copy",
    .sig = "input: Tensor, dim: int, index: Tensor[int], source: Tensor",
    .doc = FE_DOC(R"(Overwrites the slices that `index` lists.

Args:
    input: any shape.
    dim: the dimension.
    index: shape (n,), int64 or int32.
    source: shape of `input` with n in `dim`, dtype of `input`.

Returns:
    Shape of `input`. Of several slices for one place the last stays.

Raises:
    ShapeError: the shapes do not fit.
    IndexOutOfRange: an index is negative or too large.

Example:
    >>> import ferrule as fe
    >>> x, i = fe.zeros((3,)), fe.tensor([2, 0])
    >>> fe.index_copy(x, 0, i, fe.tensor([1.0, 2.0])).tolist()
    [2.0, 0.0, 1.0]

Source: torch.Tensor.index_copy_.
)"),
    .examples = FE_DOC("f(4, 3), 0, i(4, 5), f(5, 3)\n"
                       "f(2, 4, 3), 1, i(4, 2), f(2, 2, 3)\n"
                       "f(2, 3), -1, i(3, 4), f(2, 4)\n"
                       "f(4, 3), 0, i(4, 0), f(0, 3)"),
    .reference =
        FE_DOC("(lambda out: (np.moveaxis(out, dim, 0).__setitem__(index, "
               "np.moveaxis(source, dim, 0)), out)[1])(input.copy())"),
    .has_inplace = true,
    .autocast = Autocast::widest,
    .saves = "index",
    .infer = infer_along,
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad(), index = v.in(2);
      if (v.needs(0)) v.set(0, op::index_fill(g, v.args[1], index, 0.0));
      if (!v.needs(3)) return;
      Tensor chosen = op::index_select(g, v.args[1], index);
      v.set(3, of_last_slices(chosen, v.args[1].i, index, size_along(v)));
    }),
    .batch = FE_GRAD(batch_index_copy),
};

extern const OpDef index_fill_op = {
    .name = "index_fill",
    .sig = "input: Tensor, dim: int, index: Tensor[int], value: Operand",
    .doc = FE_DOC(R"(Fills the slices that `index` lists with one number.

Args:
    input: any shape.
    dim: the dimension.
    index: shape (n,), int64 or int32; negative ones count from the end.
    value: a number or a 0-d tensor of the dtype of `input`.

Returns:
    Shape of `input`.

Raises:
    IndexOutOfRange: an index is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.index_fill(fe.zeros((3,)), 0, fe.tensor([2, 0]), 5.0).tolist()
    [5.0, 0.0, 5.0]

Source: torch.Tensor.index_fill_.
)"),
    .examples = FE_DOC("f(4, 3), 0, i(4, 2), 1.5\n"
                       "f(2, 4, 3), 1, i(4, 2) - 4, -2\n"
                       "f(2, 3), -1, i(3, 2), f()\n"
                       "f(4, 3), 0, i(4, 0), 1.5"),
    .reference =
        FE_DOC("(lambda out: (np.moveaxis(out, dim, 0).__setitem__(index, "
               "value), out)[1])(input.copy())"),
    .has_inplace = true,
    .saves = "index",
    .infer =
        [](OpCall& c) {
          const int d = check_positions(c);
          require_single(c, 3);
          require_same_dtype(c, {0, 3});
          const TensorImpl& x = c.in(0);
          require_elements(c, x.ndim ? x.shape[d] : 1, c.in(2).numel, d);
          c.out_like(0, 0);
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Tensor g = v.grad();
      Tensor kept = op::index_fill(g, v.args[1], v.in(2), 0.0);
      if (v.needs(0)) v.set(0, kept);
      if (v.needs(3)) v.set(3, op::sum(op::sub(g, kept)));
    }),
    .batch = FE_GRAD(batch_index_fill),
};

}  // namespace ferrule
