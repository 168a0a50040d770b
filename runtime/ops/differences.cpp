// Differences of neighbours, logarithmic spacing, repeated elements, median.
#include <cmath>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

Results decompose_diff(OpCall& c) {
  Tensor x = c.tensor(0);
  if (x.ndim() == 0) c.fail<ShapeError>("a 0-d tensor has no neighbours");
  if (c.i(1) < 0) c.fail<ValueError>("n must be 0 or more, got ", c.i(1));
  const int d = c.dim(2, x.ndim());
  std::vector<Tensor> parts;
  for (int i : {3, 0, 4}) {
    if (c.has(i)) parts.push_back(c.tensor(i));
  }
  if (parts.size() > 1) x = op::cat(parts, d);
  if (c.i(1) == 0) return one(op::clone(x));
  for (int64_t k = 0; k < c.i(1) && x.size(d) > 0; ++k) {
    const Int last = size_of(x.impl(), d) - 1;
    const Tensor after = op::slice(x, d, 1), before = op::slice(x, d, 0, last);
    x = x.dtype() == DType::bool_ ? op::ne(after, before)
                                  : op::sub(after, before);
  }
  return one(x);
}

// One number of copies for all elements, which needs no look at data.
Tensor repeat_each(const Tensor& x, int64_t d, Int times) {
  IntList shape = sizes_of(x.impl());
  Int outer = 1, inner = 1;
  for (int i = 0; i < shape.n; ++i) {
    if (i <= d) outer = outer * shape[i];
    if (i > d) inner = inner * shape[i];
  }
  const Tensor elements = op::reshape(x, IntList{outer, 1, inner});
  shape[static_cast<int>(d)] = shape[static_cast<int>(d)] * times;
  return op::reshape(op::expand(elements, IntList{outer, times, inner}), shape);
}

Results decompose_repeat_interleave(OpCall& c) {
  Tensor x = c.tensor(0);
  int64_t d = 0;
  if (c.has(2)) {
    d = c.dim(2, x.ndim());
    if (x.ndim() == 0) x = op::reshape(x, IntList{1});
  } else {
    x = op::reshape(x, IntList{-1});
  }
  if (!c.is_tensor(1)) {
    if (c.args[1].tag != ArgTag::int_ || c.i(1) < 0) {
      c.fail<ValueError>("repeats must be an int, 0 or more, or a tensor");
    }
    return one(repeat_each(x, d, c.sym(1)));
  }
  Tensor repeats = c.tensor(1);
  if (!is_integer(repeats.dtype()) || repeats.ndim() > 1) {
    c.fail<DTypeError>("repeats must be a vector of integers, got ",
                       repeats.dtype(), " of shape ", repeats.shape());
  }
  if (!repeats.device().is_cpu()) {
    c.fail<RuntimeError>("the size of its result depends on data, which ",
                         repeats.device(), " does not show");
  }
  const int64_t n = x.size(static_cast<int>(d));
  repeats = op::reshape(op::cast(repeats, DType::i64), IntList{-1});
  if (repeats.numel() == 1)
    repeats = op::clone(op::expand(repeats, IntList{n}));
  if (repeats.numel() != n) {
    c.fail<ShapeError>("repeats has ", repeats.numel(), " numbers for the ", n,
                       " elements of dimension ", d);
  }
  const auto* counts = repeats.data<int64_t>();
  int64_t total = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (counts[i] < 0) {
      c.fail<ValueError>("repeats must be 0 or more, got ", counts[i]);
    }
    total = apply(IntOp::add, total, counts[i]);
  }
  // Element i of the result comes from the first whose copies end behind i.
  const Tensor ends = op::cumsum(repeats, 0);
  const Tensor index = op::searchsorted(ends, op::arange(total), false, true);
  return one(op::index_select(x, d, index));
}

// The lower one of two middle elements; the first NaN if there is one, which
// stands behind the others in the order.
Results decompose_median(OpCall& c) {
  Tensor x = c.tensor(0);
  check_real(c, 0);
  const bool whole = !c.has(1);
  const int d = whole ? 0 : c.dim(1, x.ndim());
  if (whole || x.ndim() == 0) x = op::reshape(x, IntList{-1});
  const int64_t n = x.size(d);
  if (n == 0) {
    c.fail<ShapeError>("no element to choose from: shape is ", c.in(0).sizes());
  }
  const IntList dim{d};
  Results r = op::sort.multi(x, d);
  const Tensor numbers = op::sum(op::eq(x, x), dim, true);
  const Tensor at = op::where(op::lt(numbers, n), numbers, (n - 1) / 2);
  const bool keep = c.b(2) && c.in(0).ndim > 0;
  for (int i = 0; i < 2; ++i) {
    r[i] = op::gather(r[i], d, at);
    if (whole && c.b(2)) {
      IntList ones;
      for (int k = 0; k < c.in(0).ndim; ++k) ones.push(1);
      r[i] = op::reshape(r[i], ones);
    } else if (!keep) {
      r[i] = op::squeeze(r[i], dim);
    }
  }
  if (whole) r.n = 1;
  return r;
}

#endif

}  // namespace

extern const OpDef diff_op = {
    .name = "diff",
    .sig = "input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor? = None, "
           "append: Tensor? = None",
    .doc = FE_DOC(R"(Differences of neighbours along a dimension.

Args:
    input: one dimension or more.
    n: how often they are taken.
    dim: the dimension.
    prepend, append: what is joined to `input` first.

Returns:
    Every time the size of `dim` becomes 1 less. Of bools: whether they differ.

Raises:
    IndexError: the dimension is out of range.
    ValueError: n is negative.

Example:
    >>> import ferrule as fe
    >>> fe.diff(fe.tensor([1, 4, 9])).tolist()
    [3, 5]

Source: numpy.diff.
)"),
    .examples = FE_DOC("f(5)\nf(2, 5), 2\nf(4, 3), 1, 0, f(1, 3), f(2, 3)\n"
                       "b(6)\nf(3), 0\nf(1)"),
    .reference = FE_DOC("np.diff(np.concatenate([t for t in (prepend, input, "
                        "append) if t is not None], dim), n, dim)"),
    .decompose = FE_GRAD(decompose_diff),
};

extern const OpDef logspace_op = {
    .name = "logspace",
    .sig = "start: Scalar, end: Scalar, steps: int, base: float = 10.0, dtype: "
           "dtype? = None, device: device? = None",
    .doc = FE_DOC(R"(Powers of a base at equal distances of the exponent.

Args:
    start, end: the first and the last exponent.
    steps: how many.
    base: the base.
    dtype: None is float32.
    device: None is the CPU.

Returns:
    Shape (steps,).

Raises:
    ValueError: a negative number of steps.

Example:
    >>> import ferrule as fe
    >>> fe.logspace(0, 2, 3).tolist()
    [1.0, 10.0, 100.0]

Source: numpy.logspace.
)"),
    .examples = FE_DOC("0, 2, 5\n-1.0, 3.0, 4, 2.0\n1, 2, 0"),
    .reference = FE_DOC("np.logspace(start, end, steps, base=base)"),
    .where = kFunction,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor exponent =
          op::linspace(c.args[0], c.args[1], c.args[2], DType::f64, c.args[5]);
      return one(op::cast(op::pow(c.f(3), exponent),
                          c.has(4) ? c.dtype(4) : DType::f32));
    }),
};

extern const OpDef repeat_interleave_op = {
    .name = "repeat_interleave",
    .sig = "input: Tensor, repeats: Operand, dim: int? = None, *, output_size: "
           "int? = None",
    .doc = FE_DOC(R"(Copies of every element beside it.

Args:
    input: any shape.
    repeats: how many of each, an int or a vector with a number for each element
        of `dim`.
    dim: the dimension; None: all elements as one line.
    output_size: makes no difference.

Returns:
    The sum of the numbers is the size of `dim`.

Raises:
    ValueError: a number is negative.
    ShapeError: there are not as many numbers as elements.
    RuntimeError: while capturing with a vector, whose data decide the size.

Example:
    >>> import ferrule as fe
    >>> fe.repeat_interleave(fe.tensor([7, 8]), fe.tensor([1, 3])).tolist()
    [7, 8, 8, 8]

Source: numpy.repeat.
)"),
    .examples =
        FE_DOC("f(3), i(4, 3)\nf(2, 3), 2\nf(2, 3), 3, 1\nf(4, 3), i(3, "
               "4), 0\nf(2, 3), 0, 0\nf(2, 3), np.array([2]), -1"),
    .reference = FE_DOC("np.repeat(input, repeats, dim)"),
    .data_dependent = true,
    .decompose = FE_GRAD(decompose_repeat_interleave),
};

extern const OpDef median_op = {
    .name = "median",
    .sig = "input: Tensor, dim: int? = None, keepdim: bool = False -> values, "
           "indices?",
    .doc = FE_DOC(R"(The middle element, the lower one of two; NaN wins.

Args:
    input: any shape.
    dim: the dimension; None: of all elements.
    keepdim: keep the dimension (all, for None), with size 1.

Returns:
    The median; with `dim` a named tuple of values and indices (int64).

Raises:
    IndexError: the dimension is out of range.
    ShapeError: there is no element.

Example:
    >>> import ferrule as fe
    >>> fe.median(fe.tensor([5, 1, 3, 2])).item()
    2

Source: torch.median.
)"),
    .examples = FE_DOC("f(2, 3)\nf(2, 5, 3), 1\nf(2, 4), -1, True\nf()"),
    .reference = FE_DOC("np.quantile(input, 0.5, axis=dim, method='lower', "
                        "keepdims=keepdim)"),
    .decompose = FE_GRAD(decompose_median),
};

}  // namespace ferrule
