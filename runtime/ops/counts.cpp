// How many elements fall where: counts of integers and histograms.
#include <algorithm>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

Results decompose_bincount(OpCall& c) {
  const Tensor x = c.tensor(0);
  if (x.ndim() != 1 || !is_integer(x.dtype())) {
    c.fail<DTypeError>("'input' must be a vector of integers, got ", x.dtype(),
                       " of shape ", x.shape());
  }
  if (c.i(2) < 0) {
    c.fail<ValueError>("minlength must be 0 or more, got ", c.i(2));
  }
  if (c.has(1) && !(Dims(c.in(1).sizes()) == Dims(x.shape()))) {
    c.fail<ShapeError>("weights must have the shape of input, ", x.shape(),
                       ", got ", c.in(1).sizes());
  }
  if (!x.device().is_cpu()) {
    c.fail<RuntimeError>("the size of its result depends on data, which ",
                         x.device(), " does not show");
  }
  int64_t size = c.i(2);
  const Tensor index = op::cast(x, DType::i64);
  if (x.numel() > 0) {
    const auto number = [](const Tensor& t) { return *t.data<int64_t>(); };
    const int64_t low = number(op::amin(index));
    if (low < 0) {
      c.fail<ValueError>("counts integers that are not negative, got ", low);
    }
    size = std::max(size, apply(IntOp::add, number(op::amax(index)), 1));
  }
  Tensor weights;
  if (c.has(1)) {
    const bool wide = c.in(1).dtype == DType::f32;
    weights = wide ? c.tensor(1) : op::cast(c.tensor(1), DType::f64);
  } else {
    weights = op::ones_like(index);
  }
  const Tensor zeros = op::zeros(IntList{size}, weights.dtype());
  return one(op::scatter_add(zeros, 0, index, weights));
}

// Bins of equal width; the last one includes its upper end.
Results decompose_histc(OpCall& c) {
  const Tensor x = op::reshape(c.tensor(0), IntList{-1});
  const int64_t bins = c.i(1);
  const double low = c.number(2), high = c.number(3);
  if (!is_float(x.dtype())) {
    c.fail<DTypeError>("'input' must be a floating-point tensor, got ",
                       x.dtype(), "; convert it with .float()");
  }
  if (bins < 1) c.fail<ValueError>("bins must be positive, got ", bins);
  if (!(low <= high)) {
    c.fail<ValueError>("max must not be less than min, got min=", low,
                       " and max=", high);
  }
  const Tensor zeros = op::zeros(IntList{bins}, x.dtype(), device_of(x));
  if (x.numel() == 0) return one(zeros);
  Tensor from, to;
  if (low < high) {
    from = op::full(IntList{}, low, x.dtype(), device_of(x));
    to = op::full(IntList{}, high, x.dtype(), device_of(x));
  } else {
    from = op::amin(x);
    to = op::amax(x);
    const Tensor flat = op::eq(from, to);  // one number: a bin on each side
    from = op::where(flat, op::sub(from, 1.0), from);
    to = op::where(flat, op::add(to, 1.0), to);
  }
  const Tensor inside = op::logical_and(op::ge(x, from), op::le(x, to));
  const Tensor scaled =
      op::div(op::mul(op::sub(x, from), bins), op::sub(to, from));
  const Tensor index = op::clamp(
      op::cast(op::where(inside, scaled, 0.0), DType::i64), 0, bins - 1);
  return one(op::scatter_add(zeros, 0, index, op::cast(inside, x.dtype())));
}

#endif

}  // namespace

extern const OpDef bincount_op = {
    .name = "bincount",
    .sig = "input: Tensor[int], weights: Tensor? = None, minlength: int = 0",
    .doc = FE_DOC(R"(How often each number 0, 1, 2, ... occurs.

Args:
    input: vector of integers that are not negative.
    weights: of each element, instead of 1.
    minlength: the least size of the result.

Returns:
    Shape (max(input) + 1,), int64; with weights float32 or float64. Its size
    depends on the values, so it cannot be captured.

Raises:
    DTypeError: `input` is no vector of integers.
    ValueError: a negative number.
    ShapeError: `weights` has another shape.

Example:
    >>> import ferrule as fe
    >>> fe.bincount(fe.tensor([1, 3, 1])).tolist()
    [0, 2, 0, 1]

Source: numpy.bincount.
)"),
    .examples = FE_DOC("i(5, 9)\ni(5, 9), f(9)\ni(3, 4), None, 8\ni(3, 0)"),
    .reference = FE_DOC("np.bincount(input, weights, minlength)"),
    .data_dependent = true,
    .decompose = FE_GRAD(decompose_bincount),
};

extern const OpDef histc_op = {
    .name = "histc",
    .sig = "input: Tensor[float], bins: int = 100, min: Scalar = 0, max: "
           "Scalar = 0",
    .doc = FE_DOC(R"(How many elements lie in each of several intervals.

Args:
    input: any shape; floating-point.
    bins: number of intervals of equal width.
    min, max: where the first begins and the last ends; equal: the smallest and
        the largest element.

Returns:
    Shape (bins,), the dtype of `input`.

Raises:
    ValueError: no bins, or max below min.
    DTypeError: `input` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.histc(fe.tensor([1.0, 2.0, 1.0]), 4, 0, 3).tolist()
    [0.0, 2.0, 1.0, 0.0]

Source: torch.histc; numpy.histogram.
)"),
    .examples = FE_DOC("f(20), 5, -1, 1\nf(4, 5), 3\nf(0), 3"),
    .reference = FE_DOC(
        "np.histogram(input, bins, (min, max) if max > min else None)[0] * 1.0 "
        "if input.size else np.zeros(bins)"),
    .decompose = FE_GRAD(decompose_histc),
};

}  // namespace ferrule
