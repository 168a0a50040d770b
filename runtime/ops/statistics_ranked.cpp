// Statistics of elements in order: quantiles, medians without NaN, the most
// frequent element. Compositions of sorting and choosing.
#include <cmath>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/common.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// The dimension that a call reduces, first joined of all where its argument is
// None.
struct Line {
  Tensor x;
  int dim = 0;
  bool whole;

  Line(const OpCall& c, int dim_at) : x(c.tensor(0)), whole(!c.has(dim_at)) {
    check_real(c, 0);
    if (!whole) dim = c.dim(dim_at, x.ndim());
    if (whole || x.ndim() == 0) x = op::reshape(x, IntList{-1});
    if (x.size(dim) == 0) {
      c.fail<ShapeError>("no element to choose from: shape is ",
                         c.in(0).sizes());
    }
  }
  Int size() const { return size_of(x.impl(), dim); }
  // What was chosen, with size 1 in that dimension, as the call wants it.
  Tensor result(const OpCall& c, const Tensor& t, bool keepdim) const {
    if (!keepdim || c.in(0).ndim == 0) return op::squeeze(t, IntList{dim});
    if (!whole) return t;
    IntList ones;
    for (int k = 0; k < c.in(0).ndim; ++k) ones.push(1);
    return op::reshape(t, ones);
  }
};

Results values_and_indices(Tensor values, Tensor indices) {
  Results r;
  r.n = 2;
  r[0] = std::move(values);
  r[1] = std::move(indices);
  return r;
}

// --- nanmedian

// NaN stands behind the numbers in the order; where nothing else is, it stays.
Results decompose_nanmedian(OpCall& c) {
  const Line line(c, 1);
  Results r = op::sort.multi(line.x, line.dim);
  const Tensor numbers =
      op::sum(op::eq(line.x, line.x), IntList{line.dim}, true);
  const Tensor last = op::sub(op::maximum(numbers, 1), 1);
  const Tensor at = op::floor_divide(last, 2);
  for (int i = 0; i < 2; ++i) {
    r[i] = line.result(c, op::gather(r[i], line.dim, at), c.b(2));
  }
  if (line.whole) r.n = 1;
  return r;
}

// --- mode

// In order, equal elements are runs; the first of the longest ends where the
// place within the run is largest.
Results decompose_mode(OpCall& c) {
  const Line line(c, 1);
  const int d = line.dim;
  Results sorted = op::sort.multi(line.x, d, false, true);
  const Tensor s = sorted[0];
  const Int n = line.size();
  IntList along;
  for (int k = 0; k < s.ndim(); ++k) along.push(k == d ? n : Int(1));
  const Tensor places = op::expand(
      op::reshape(op::arange(n, Arg(), 1, DType::i64, device_of(s)), along),
      sizes_of(s.impl()));
  const Tensor before = op::slice(s, d, 0, n - 1), behind = op::slice(s, d, 1);
  const Tensor starts =
      op::mul(op::ne(before, behind), op::slice(places, d, 1));
  const Tensor first = op::zeros_like(op::slice(places, d, 0, 1));
  const Tensor begins =
      op::cummax.multi(op::cat(std::vector<Tensor>{first, starts}, d), d)[0];
  const Tensor at = op::argmax(op::sub(places, begins), d, true);
  const Tensor index = op::gather(sorted[1], d, at);
  return values_and_indices(
      line.result(c, op::gather(line.x, d, index), c.b(2)),
      line.result(c, index, c.b(2)));
}

// --- quantiles

enum class Between { linear, lower, higher, midpoint, nearest };

Between between(const OpCall& c) {
  constexpr const char* kNames[] = {"linear", "lower", "higher", "midpoint",
                                    "nearest"};
  for (int k = 0; k < 5; ++k) {
    if (c.str(4) == kNames[k]) return static_cast<Between>(k);
  }
  c.fail<ValueError>("interpolation must be 'linear', 'lower', 'higher', "
                     "'midpoint' or 'nearest', got '",
                     c.str(4), "'");
}

// q as a vector of the input's dtype, and whether it has a dimension of its own
// in the result.
Tensor probabilities(const OpCall& c, bool* several) {
  const Tensor x = c.tensor(0);
  *several = c.is_tensor(1) && c.in(1).ndim == 1;
  if (!c.is_tensor(1)) {
    if (!(c.number(1) >= 0 && c.number(1) <= 1)) {
      c.fail<ValueError>("q must lie in 0..1, got ", c.number(1));
    }
    return op::full(IntList{1}, c.number(1), x.dtype(), device_of(x));
  }
  if (c.in(1).ndim > 1) {
    c.fail<ShapeError>("q must be a number or a vector, got shape ",
                       c.in(1).sizes());
  }
  if (c.in(1).dtype != x.dtype()) {
    c.fail<DTypeError>("q is ", c.in(1).dtype, ", but input ", x.dtype(),
                       "; convert it with .to(dtype)");
  }
  return op::reshape(c.tensor(1), IntList{-1});
}

Results decompose_quantile(OpCall& c, bool skip_nan) {
  const Between way = between(c);
  const Line line(c, 2);
  if (!is_float(line.x.dtype())) {
    c.fail<DTypeError>("'input' must be a floating-point tensor, got ",
                       line.x.dtype(), "; convert it with .float()");
  }
  bool several;
  const Tensor q = probabilities(c, &several);
  // Lines last: (..., n); their quantiles (..., q).
  const Tensor x = op::movedim(line.x, IntList{line.dim}, IntList{-1});
  const int last = x.ndim() - 1;
  const Tensor sorted = op::sort.multi(x, last)[0];
  const Tensor numbers = op::sum(op::eq(x, x), IntList{last}, true);
  // NaN, which stands last, is the result of a line that has one.
  const Int n = line.size();
  const Tensor count =
      skip_nan ? op::maximum(numbers, 1) : op::full_like(numbers, n);
  Tensor rank = op::mul(q, op::cast(op::sub(count, 1), q.dtype()));
  if (!skip_nan) rank = op::where(op::lt(numbers, n), n - 1, rank);
  if (way == Between::lower) rank = op::floor(rank);
  if (way == Between::higher) rank = op::ceil(rank);
  if (way == Between::nearest) rank = op::round(rank);
  const Tensor low = op::floor(rank);
  Tensor result = op::gather(sorted, last, op::cast(low, DType::i64));
  if (way == Between::linear || way == Between::midpoint) {
    const Tensor high =
        op::gather(sorted, last, op::cast(op::ceil(rank), DType::i64));
    const Arg half(0.5);
    const Tensor part = op::sub(rank, low);
    result =
        op::lerp(result, high, way == Between::midpoint ? half : Arg(part));
  }
  result = op::movedim(result, IntList{-1}, IntList{0});
  if (c.b(3)) {
    const int ndim = c.in(0).ndim;
    if (line.whole) {
      IntList shape{size_of(q.impl(), 0)};
      for (int k = 0; k < ndim; ++k) shape.push(1);
      result = op::reshape(result, shape);
    } else if (ndim > 0) {
      result = op::unsqueeze(result, line.dim + 1);
    }
  }
  return one(several ? result : op::squeeze(result, IntList{0}));
}

#endif

}  // namespace

extern const OpDef nanmedian_op = {
    .name = "nanmedian",
    .sig = "input: Tensor, dim: int? = None, keepdim: bool = False -> values, "
           "indices?",
    .doc = FE_DOC(R"(The median of the elements that are not NaN; see `median`.

Args:
    input: any shape.
    dim: the dimension to reduce; None: all.
    keepdim: keep it, with size 1.

Returns:
    The median, the lower one of two; with `dim` a named tuple of values and
    indices (int64). NaN where there is nothing else.

Raises:
    ShapeError: there is no element.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.nanmedian(fe.tensor([fe.nan, 1.0, 3.0, 2.0])).item()
    2.0

Source: torch.nanmedian.
)"),
    .examples = FE_DOC("f(5)\nf(2, 4), 1\nf(3, 4), 0, True\n"
                       "np.array([[1.0, np.nan, 3.0], [np.nan, 2.0, 5.0]]), 1"),
    .reference = FE_DOC(
        "np.sort(input, axis=dim)[(len(input) - 1) // 2] if dim is None else "
        "(lambda s, n: np.take_along_axis(s, (np.maximum(n, 1) - 1) // 2, dim)"
        ".reshape([1 if k == dim else m for k, m in enumerate(input.shape) if "
        "keepdim or k != dim]))(np.sort(input, axis=dim), (input == input)"
        ".sum(dim, keepdims=True))"),
    .decompose = FE_GRAD(decompose_nanmedian),
};

extern const OpDef mode_op = {
    .name = "mode",
    .sig = "input: Tensor, dim: int = -1, keepdim: bool = False -> values, "
           "indices",
    .doc = FE_DOC(R"(The most frequent element along a dimension.

Args:
    input: any shape.
    dim: the dimension.
    keepdim: keep it, with size 1.

Returns:
    values and indices (int64): the smallest of those that are most frequent,
    and where the last of them stands.

Raises:
    ShapeError: there is no element.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> [t.item() for t in fe.mode(fe.tensor([3, 1, 2, 1, 2]))]
    [1, 3]

Source: torch.mode.
)"),
    .examples = FE_DOC("i(3, 2, 9)\ni(3, 7, 2), 0, True\nf(2, 3)\ni(2, 5)"),
    .reference =
        FE_DOC("(lambda m: np.expand_dims(m, dim) if keepdim else m)("
               "np.apply_along_axis(lambda v: (lambda u, k: u[k.argmax()])("
               "*np.unique(v, return_counts=True)), dim, input))"),
    .decompose = FE_GRAD(decompose_mode),
};

extern const OpDef quantile_op = {
    .name = "quantile",
    .sig = "input: Tensor, q: Operand, dim: int? = None, keepdim: bool = "
           "False, *, interpolation: str = \"linear\"",
    .doc = FE_DOC(R"(Elements below which a given share of all elements lies.

Args:
    input: any shape; floating-point.
    q: the shares, from 0 to 1: a number, or a vector of the dtype of `input`.
    dim: the dimension to reduce; None: all.
    keepdim: keep it, with size 1.
    interpolation: between two elements: "linear", "lower", "higher", "midpoint"
        or "nearest".

Returns:
    Tensor without the reduced dimension; a vector `q` gives a first dimension.
    NaN of a line that has one.

Raises:
    ShapeError: there is no element, or `q` is no vector.
    ValueError: a number `q` outside of 0..1, or an unknown interpolation.
    DTypeError: `input` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.quantile(fe.tensor([1.0, 2.0, 4.0]), 0.75).item()
    3.0

Source: numpy.quantile.
)"),
    .examples = FE_DOC("f(7), 0.3\nf(2, 5), u(3), 1\nf(4, 3), 0.5, 0, True\n"
                       "f(6), 0.3, interpolation=\"lower\"\n"
                       "f(6), 0.3, interpolation=\"higher\"\n"
                       "f(2, 6), 0.4, -1, interpolation=\"midpoint\"\n"
                       "f(6), 0.45, interpolation=\"nearest\""),
    .reference = FE_DOC("np.quantile(input, q, axis=dim, keepdims=keepdim, "
                        "method=interpolation)"),
    .autocast = Autocast::f32,
    .decompose =
        FE_GRAD([](OpCall& c) { return decompose_quantile(c, false); }),
};

extern const OpDef nanquantile_op = {
    .name = "nanquantile",
    .sig = "input: Tensor, q: Operand, dim: int? = None, keepdim: bool = "
           "False, *, interpolation: str = \"linear\"",
    .doc = FE_DOC(R"(`quantile` of the elements that are not NaN.

Args:
    input: any shape; floating-point.
    q: the shares, from 0 to 1: a number, or a vector of the dtype of `input`.
    dim: the dimension to reduce; None: all.
    keepdim: keep it, with size 1.
    interpolation: between two elements: "linear", "lower", "higher", "midpoint"
        or "nearest".

Returns:
    Tensor without the reduced dimension; a vector `q` gives a first dimension.
    NaN where there is nothing else.

Raises:
    ShapeError: there is no element, or `q` is no vector.
    ValueError: a number `q` outside of 0..1, or an unknown interpolation.
    DTypeError: `input` is not floating-point.

Example:
    >>> import ferrule as fe
    >>> fe.nanquantile(fe.tensor([fe.nan, 2.0, 4.0]), 0.5).item()
    3.0

Source: numpy.nanquantile.
)"),
    .examples = FE_DOC("f(7), 0.3\nnp.array([[1.0, np.nan, 3.0], [4.0, 2.0, "
                       "7.0]]), 0.5, 1\nf(2, 5), u(3), 1"),
    .reference = FE_DOC("np.nanquantile(input, q, axis=dim, keepdims=keepdim, "
                        "method=interpolation)"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return decompose_quantile(c, true); }),
};

}  // namespace ferrule
