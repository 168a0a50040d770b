// Searching sorted sequences, and tensors as sets of their elements.
#include <string_view>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/batch.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

void infer_searchsorted(OpCall& c) {
  static constexpr int kBoth[] = {0, 1};
  check_real(c, 0);
  check_real(c, 1);
  const TensorImpl& sorted = c.in(0);
  const Dims values = c.is_tensor(1) ? Dims(c.in(1).sizes()) : Dims();
  bool fits = sorted.ndim > 0;
  if (sorted.ndim > 1) {  // a sequence of its own for each line of values
    fits = c.is_tensor(1) && values.n == sorted.ndim;
    for (int d = 0; fits && d + 1 < values.n; ++d) {
      fits = values[d] == sorted.shape[d];
    }
  }
  if (!fits) {
    c.fail<ShapeError>("sorted_sequence ", sorted.sizes(),
                       " must have one dimension, or those of input, ", values,
                       ", but for the last");
  }
  if (c.has(4)) {
    const std::string_view side = c.str(4);
    if (side != "left" && side != "right") {
      c.fail<ValueError>("side must be \"left\" or \"right\", got \"", side,
                         "\"");
    }
    if (side == "left" && c.b(3)) {
      c.fail<ValueError>("side=\"left\" contradicts right=True");
    }
  }
  if (c.has(5)) {
    if (c.in(5).dtype != DType::i64) {
      c.fail<DTypeError>("sorter must be int64, got ", c.in(5).dtype);
    }
    if (!(Dims(c.in(5).sizes()) == Dims(sorted.sizes()))) {
      c.fail<ShapeError>("sorter must have the shape of sorted_sequence, ",
                         sorted.sizes(), ", got ", c.in(5).sizes());
    }
  }
  c.compute = c.promoted(kBoth);
  c.out(0, c.b(2) ? DType::i32 : DType::i64, values);
}

#ifndef FE_RUNTIME_ONLY

Results decompose_isin(OpCall& c) {
  const bool invert = c.b(3);
  const auto result = [&](Tensor found) {
    return one(invert ? op::logical_not(found) : found);
  };
  if (!c.is_tensor(0) && !c.is_tensor(1)) {
    c.fail<DTypeError>("elements or test_elements must be a Tensor");
  }
  if (!c.is_tensor(1)) return result(op::eq(c.args[0], c.args[1]));
  const Tensor test = op::reshape(c.tensor(1), IntList{-1});
  const Int n = size_of(test.impl(), 0);
  const Tensor x = c.is_tensor(0)
                       ? c.tensor(0)
                       : op::full(IntList{}, c.args[0], Arg(), device_of(test));
  if (n.value == 0) {
    return result(op::zeros(sizes_of(x.impl()), DType::bool_, device_of(x)));
  }
  const Tensor sorted = op::sort(test, 0);
  const Tensor at = op::minimum(op::searchsorted(sorted, x), n - 1);
  const Tensor near = op::index_select(sorted, 0, op::reshape(at, IntList{-1}));
  return result(op::eq(op::reshape(near, sizes_of(x.impl())), x));
}

// Where a slice of dimension 0 differs from the one before it: True at the
// first of each run of equal ones.
Tensor run_starts(const Tensor& x, const Arg& device) {
  const int64_t n = x.size(0);
  if (n == 0) return op::zeros(IntList{0}, DType::bool_, device);
  Tensor differ = op::ne(op::slice(x, 0, 1), op::slice(x, 0, 0, n - 1));
  if (x.ndim() > 1) {
    differ =
        op::any(op::reshape(differ, IntList{n - 1, x.numel() / n}), IntList{1});
  }
  const Tensor first = op::ones(IntList{1}, DType::bool_, device);
  return op::cat(std::vector<Tensor>{first, differ}, 0);
}

// Order of the rows of a matrix, compared element by element: sorted by the
// last column first, since sorting is stable.
Tensor order_of_rows(const Tensor& x) {
  Tensor order = op::arange(x.size(0));
  for (int64_t column = x.size(1) - 1; column >= 0; --column) {
    const Tensor key = op::index_select(op::select(x, 1, column), 0, order);
    order = op::index_select(order, 0, op::argsort(key));
  }
  return order;
}

// Argument numbers of return_inverse, return_counts and dim.
struct UniqueArgs {
  int inverse, counts, dim;
};

// Groups of equal elements (slices of `dim`) that follow each other, after
// sorting if `sorted`.
Results find_groups(OpCall& c, bool sorted, UniqueArgs arg) {
  Tensor x = c.tensor(0);
  check_real(c, 0);
  if (!x.device().is_cpu()) {
    c.fail<RuntimeError>("the size of its result depends on data, which ",
                         x.device(), " does not show");
  }
  const bool by_slices = c.has(arg.dim) && x.ndim() > 0;
  int64_t d = 0;
  if (by_slices) {
    d = c.dim(arg.dim, x.ndim());
    x = op::movedim(x, IntList{d}, IntList{0});
  } else {
    x = op::reshape(x, IntList{-1});
  }
  const int64_t n = x.size(0);
  Tensor order;
  Tensor lines = x;
  if (sorted && by_slices) {
    order = order_of_rows(op::reshape(x, IntList{n, n ? x.numel() / n : 0}));
    lines = op::index_select(x, 0, order);
  } else if (sorted) {
    Results r = op::sort.multi(x, 0);
    lines = r[0];
    order = r[1];
  }
  const Tensor starts = run_starts(lines, Arg());
  const Tensor first = op::reshape(op::argwhere(starts), IntList{-1});
  Tensor values = op::index_select(lines, 0, first);
  Results r;
  r[r.n++] = by_slices ? op::movedim(values, IntList{0}, IntList{d}) : values;
  if (c.b(arg.inverse)) {
    Tensor group = op::sub(op::cumsum(starts, 0), 1);
    if (sorted) {
      const Tensor zero = op::zeros(IntList{n}, DType::i64);
      group = op::scatter_add(zero, 0, order, group);
    }
    if (!by_slices) group = op::reshape(group, sizes_of(&c.in(0)));
    r[r.n++] = group;
  }
  if (c.b(arg.counts)) {
    const Tensor end = op::full(IntList{n > 0}, n);
    r[r.n++] = op::sub(
        op::cat(std::vector<Tensor>{op::slice(first, 0, 1), end}, 0), first);
  }
  return r;
}

#endif

[[maybe_unused]] Results batch_searchsorted(Batch& b) {
  if (!b.has(1)) return {};
  const bool rows = b.ndim(0) > 1;  // values go with rows of the sequences
  if (!rows && b.batched(0)) {
    Int values = 1;
    for (const Int n : b.sizes(1)) values = values * n;
    b.set(1, op::reshape(b.whole(1), IntList{b.size, values}));
  } else {
    b.set(1, b.whole(1));
  }
  if (rows || b.batched(0) || b.batched(5)) {
    b.set(0, b.whole(0));
    if (b.has(5)) b.set(5, b.whole(5));
  }
  return b.run();
}

}  // namespace

extern const OpDef searchsorted_op = {
    .name = "searchsorted",
    .sig = "sorted_sequence: Tensor, input: Operand, *, out_int32: bool = "
           "False, right: bool = False, side: str? = None, sorter: Tensor? = "
           "None",
    .doc = FE_DOC(R"(Where numbers would have to be inserted to keep the order.

Args:
    sorted_sequence: ascending along its last dimension, NaN last. One
        dimension, or those of `input` but for the last.
    input: the numbers, any shape; or one number.
    out_int32: True gives int32.
    right: False finds the first place, in front of equal elements; True the
        last, behind them.
    side: "left" or "right", another way to say it.
    sorter: indices that sort `sorted_sequence`, if it is not sorted.

Returns:
    int64, shape of `input`: numbers from 0 to the length of the sequence.

Raises:
    ShapeError: the shapes do not fit.
    ValueError: side and right contradict each other.
    IndexOutOfRange: `sorter` has an index that is out of range.

Example:
    >>> import ferrule as fe
    >>> s = fe.tensor([1, 3, 3, 5])
    >>> fe.searchsorted(s, fe.tensor([3, 6])).tolist()
    [1, 4]
    >>> fe.searchsorted(s, 3, right=True).item()
    3

Source: numpy.searchsorted.
)"),
    .examples = FE_DOC("np.sort(f(7)), f(2, 3)\n"
                       "np.sort(i(9, 12)), i(9, 5), right=True\n"
                       "np.sort(f(7)), 0.5, side='right'\n"
                       "np.array([3.0, 1.0, 2.0]), f(4), sorter=np.array([1, 2,"
                       " 0])\n"
                       "f(0), f(3)"),
    .reference = FE_DOC("np.searchsorted(sorted_sequence, input, side or "
                        "('right' if right else 'left'), sorter)"),
    .where = kFunction,
    .infer = infer_searchsorted,
    .batch = FE_GRAD(batch_searchsorted),
};

extern const OpDef bucketize_op = {
    .name = "bucketize",
    .sig = "input: Operand, boundaries: Tensor, *, out_int32: bool = False, "
           "right: bool = False",
    .doc = FE_DOC(R"(Numbers of the buckets between boundaries.

Args:
    input: the numbers, any shape; or one number.
    boundaries: shape (n,), ascending.
    out_int32: True gives int32.
    right: True counts a boundary to the bucket behind it.

Returns:
    int64, shape of `input`: 0 below the first boundary, n above the last.

Raises:
    ShapeError: `boundaries` has not one dimension.

Example:
    >>> import ferrule as fe
    >>> fe.bucketize(fe.tensor([1, 4, 9]), fe.tensor([3, 6])).tolist()
    [0, 1, 2]

Source: torch.bucketize.
)"),
    .examples = FE_DOC("f(2, 3), np.sort(f(7))\ni(9, 5), np.sort(i(9, 4)), "
                       "right=True"),
    .reference = FE_DOC("np.searchsorted(boundaries, input, 'right' if right "
                        "else 'left')"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) {
      if (c.in(1).ndim != 1) {
        c.fail<ShapeError>("boundaries must have one dimension, got shape ",
                           c.in(1).sizes());
      }
      return one(
          op::searchsorted(c.tensor(1), c.args[0], c.args[2], c.args[3]));
    }),
};

extern const OpDef isin_op = {
    .name = "isin",
    .sig = "elements: Operand, test_elements: Operand, *, assume_unique: bool "
           "= False, invert: bool = False",
    .doc = FE_DOC(R"(Which elements occur in another tensor.

Args:
    elements: any shape, or one number.
    test_elements: any shape, or one number.
    assume_unique: makes no difference.
    invert: True asks which do not occur.

Returns:
    bool, shape of `elements`. NaN occurs nowhere.

Raises:
    DTypeError: neither is a tensor, or one is complex.

Example:
    >>> import ferrule as fe
    >>> fe.isin(fe.tensor([1, 2, 3]), fe.tensor([3, 1])).tolist()
    [True, False, True]

Source: numpy.isin.
)"),
    .examples = FE_DOC("i(9, 3, 4), i(9, 5)\ni(9, 3, 4), i(9, 2, 2), "
                       "invert=True\ni(4, 6), 2\n3, i(5, 6)\nf(3), f(0)"),
    .reference = FE_DOC("np.isin(elements, test_elements, invert=invert)"),
    .where = kFunction,
    .decompose = FE_GRAD(decompose_isin),
};

extern const OpDef unique_op = {
    .name = "unique",
    .sig = "input: Tensor, sorted: bool = True, return_inverse: bool = False, "
           "return_counts: bool = False, dim: int? = None",
    .doc = FE_DOC(R"(The different elements, in ascending order.

Args:
    input: any shape.
    sorted: they are sorted in any case.
    return_inverse: True also returns which of them each element is.
    return_counts: True also returns how often each occurs.
    dim: compares the slices of this dimension; None: single elements.

Returns:
    Shape (n,), or that of `input` with n slices in `dim`. Alone or in a tuple
    with the inverse (int64, shape of `input`, or the size of `dim`) and the
    counts (int64, shape (n,)). Each NaN is different from all others.

Raises:
    RuntimeError: while capturing, where the data that decide n are not known.

Example:
    >>> import ferrule as fe
    >>> values, counts = fe.unique(fe.tensor([3, 1, 3]), return_counts=True)
    >>> values.tolist(), counts.tolist()
    ([1, 3], [1, 2])

Source: torch.unique.
)"),
    .examples = FE_DOC("i(5, 3, 4)\ni(5, 40), True, True, True\n"
                       "i(2, 9, 2), return_inverse=True, return_counts=True, "
                       "dim=0\ni(2, 2, 9), dim=-1\ni(5, 0), True, True, True"),
    .reference =
        FE_DOC("np.unique(input, False, return_inverse, return_counts, "
               "dim)"),
    .data_dependent = true,
    .decompose =
        FE_GRAD([](OpCall& c) { return find_groups(c, true, {2, 3, 4}); }),
};

extern const OpDef unique_consecutive_op = {
    .name = "unique_consecutive",
    .sig = "input: Tensor, return_inverse: bool = False, return_counts: bool = "
           "False, dim: int? = None",
    .doc = FE_DOC(R"(The first of each run of equal elements.

Args:
    input: any shape.
    return_inverse: True also returns which of them each element is.
    return_counts: True also returns how long each run is.
    dim: compares the slices of this dimension; None: single elements.

Returns:
    As `unique`.

Raises:
    RuntimeError: while capturing, where the data that decide n are not known.

Example:
    >>> import ferrule as fe
    >>> fe.unique_consecutive(fe.tensor([1, 1, 2, 1])).tolist()
    [1, 2, 1]

Source: torch.unique_consecutive.
)"),
    .examples = FE_DOC("i(2, 3, 4)\ni(2, 40), True, True\ni(2, 9, 1), dim=0"),
    .reference = FE_DOC(
        "(lambda x, new: (x[new], (np.cumsum(new) - 1).reshape(input.shape), "
        "np.diff(np.flatnonzero(np.append(new, True)))) if return_inverse else "
        "x[new].reshape(-1, *input.shape[1:]) if dim == 0 else x[new])"
        "(input.reshape(-1), np.append(True, np.diff(input.reshape(-1)) != "
        "0))"),
    .data_dependent = true,
    .decompose =
        FE_GRAD([](OpCall& c) { return find_groups(c, false, {1, 2, 3}); }),
};

}  // namespace ferrule
