// Distances and angles of vectors.
#include <array>

#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/wide.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// A divisor: the length, at least eps, whose gradient is that of the length.
Tensor divisor(const Tensor& length, const Arg& eps) {
  const Tensor least = op::clamp_min(length, eps).detach();
  return op::add(op::sub(length, length.detach()), least);
}

// The shape that both broadcast to.
IntList common_sizes(const OpCall& c, const Tensor& a, const Tensor& b) {
  const Dims shape = broadcast(c, a.shape(), b.shape());
  IntList sizes;
  for (int d = 0; d < shape.n; ++d) {
    const int in_a = d - shape.n + a.ndim(), in_b = d - shape.n + b.ndim();
    const bool of_a = in_a >= 0 && (in_b < 0 || a.size(in_a) != 1);
    sizes.push(of_a ? size_of(a.impl(), in_a) : size_of(b.impl(), in_b));
  }
  return sizes;
}

Results decompose_cosine(OpCall& c) {
  Tensor a = widened(c.tensor(0)), b = widened(c.tensor(1));
  const IntList sizes = common_sizes(c, a, b);
  a = op::expand(a, sizes);
  b = op::expand(b, sizes);
  const IntList dim{c.dim(2, sizes.n)};
  const auto unit = [&](const Tensor& t) {
    return op::div(t, divisor(op::norm(t, 2, dim, true), c.args[3]));
  };
  const Tensor cosine = op::sum(op::mul(unit(a), unit(b)), dim);
  return one(narrowed(cosine, c.promoted(std::array{0, 1})));
}

// The pairs i < j of n rows, in order. Row i begins at pair i (2 n - i - 1) /
// 2; solved for i this finds the row of a pair, exactly while (2 n)^2 is a
// whole number in float64. In a graph, n need not be known.
struct Pairs {
  Tensor first, second;
};
Pairs pairs_of(Int n, const Arg& device) {
  const Tensor k = op::arange(0, n * (n - 1) / 2, 1, DType::i64, device);
  const Int b = n * 2 - 1;
  const Tensor square = op::sub(b * b, op::mul(k, 8));
  const Tensor root = op::sqrt(op::cast(square, DType::f64));
  const Tensor row = op::floor(op::div(op::sub(b, root), 2.0));
  const Tensor i = op::cast(row, DType::i64);
  const Tensor begin = op::floor_divide(op::mul(i, op::sub(b, i)), 2);
  return {i, op::add(op::sub(k, begin), op::add(i, 1))};
}

Results decompose_pdist(OpCall& c) {
  if (c.in(0).ndim != 2) {
    c.fail<ShapeError>("input must be (N, D), got ", c.in(0).sizes());
  }
  if (!(c.f(1) >= 0)) c.fail<ValueError>("p must be 0 or more, got ", c.f(1));
  const Tensor x = widened(c.tensor(0));
  const Pairs pairs = pairs_of(size_of(x.impl(), 0), device_of(x));
  const Tensor d = op::sub(op::index_select(x, 0, pairs.first),
                           op::index_select(x, 0, pairs.second));
  return one(narrowed(op::norm(d, c.args[1], IntList{1}), c.in(0).dtype));
}

#endif

}  // namespace

extern const OpDef pairwise_distance_op = {
    .name = "pairwise_distance",
    .sig = "x1: Tensor[float], x2: Tensor[float], p: float = 2.0, eps: float = "
           "1e-6, keepdim: bool = False",
    .doc = FE_DOC(
        R"(Distance of vectors: the norm of x1 - x2 + eps along the last dimension.

Args:
    x1, x2: shape (..., D); broadcast.
    p: order of the norm.
    eps: added to every difference.
    keepdim: keep the last dimension, with size 1.

Returns:
    Shape (...).

Raises:
    ShapeError: the shapes do not broadcast, or have no dimension.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.pairwise_distance(fe.zeros((2,)), fe.tensor([3.0, 4.0]), eps=0.0).item()
    5.0

Source: torch.nn.functional.pairwise_distance.
)"),
    .examples = FE_DOC("f(4, 3), f(4, 3)\n"
                       "f(4, 3), f(3), 1.0, 0.0\n"
                       "f(3), f(2, 3), 3.0, keepdim=True"),
    .reference = FE_DOC(
        "(np.abs(x1 - x2 + eps) ** p).sum(-1, keepdims=keepdim) ** (1 / p)"),
    .where = kFunction | kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor d = op::sub(widened(c.tensor(0)), widened(c.tensor(1)));
      if (d.ndim() == 0) {
        c.fail<ShapeError>("x1 and x2 must be vectors, got shape ()");
      }
      const Tensor length =
          op::norm(op::add(d, c.args[3]), c.args[2], IntList{-1}, c.args[4]);
      return one(narrowed(length, c.promoted(std::array{0, 1})));
    }),
};

extern const OpDef cosine_similarity_op = {
    .name = "cosine_similarity",
    .sig =
        "x1: Tensor[float], x2: Tensor[float], dim: int = 1, eps: float = 1e-8",
    .doc = FE_DOC(
        R"(Cosine of the angle between vectors: their product, divided by their lengths.

Args:
    x1, x2: any shapes that broadcast.
    dim: the vectors lie along this dimension.
    eps: shorter lengths count as this.

Returns:
    The broadcast shape without `dim`.

Raises:
    ShapeError: the shapes do not broadcast.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.cosine_similarity(fe.tensor([[1.0, 0.0]]), fe.tensor([[5.0, 0.0]])).tolist()
    [1.0]

Source: torch.nn.functional.cosine_similarity.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\n"
                       "f(2, 3, 4), f(3, 1), -1\n"
                       "f(4), f(4), 0"),
    .reference = FE_DOC("(x1 * x2).sum(dim) / np.sqrt((x1 ** 2 + 0 * "
                        "x2).sum(dim) * (x2 ** 2 + 0 * x1).sum(dim))"),
    .where = kFunction | kFunctional,
    .decompose = FE_GRAD(decompose_cosine),
};

extern const OpDef pdist_op = {
    .name = "pdist",
    .sig = "input: Tensor[float], p: float = 2.0",
    .doc = FE_DOC(
        R"(Distance of every pair of rows: the upper triangle of their matrix, row by row.

Args:
    input: shape (N, D).
    p: order of the norm, 0 or more.

Returns:
    Shape (N (N - 1) / 2,).

Raises:
    ShapeError: `input` has not two dimensions.
    ValueError: `p` is negative.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.pdist(fe.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])).tolist()
    [5.0, 0.0, 5.0]

Source: scipy.spatial.distance.pdist.
)"),
    .examples = FE_DOC(
        "f(4, 3)[:300]\nf(5, 2)[:9], 1.0\nf(3, 2)[:9], fe.inf\nf(1, 3)[:1]"),
    .reference =
        FE_DOC("np.array([np.linalg.norm(input[i] - input[j], p) for i in "
               "range(len(input)) for j in range(i + 1, len(input))])"),
    .where = kFunction | kFunctional,
    .decompose = FE_GRAD(decompose_pdist),
};

extern const OpDef normalize_op = {
    .name = "normalize",
    .sig = "input: Tensor[float], p: float = 2.0, dim: int[] = 1, eps: float = "
           "1e-12",
    .doc = FE_DOC(R"(Vectors of length one: input / max(norm, eps).

Args:
    input: any shape.
    p: order of the norm.
    dim: the vectors lie along this dimension, or these.
    eps: smaller norms count as this.

Returns:
    The shape of `input`.

Raises:
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> F = fe.nn.functional
    >>> F.normalize(fe.tensor([3.0, 4.0]), dim=0).tolist()
    [0.6000000238418579, 0.800000011920929]

Source: torch.nn.functional.normalize.
)"),
    .examples = FE_DOC("f(2, 3)\n"
                       "f(2, 3, 4), 1.0, -1\n"
                       "f(4), dim=0\n"
                       "f(2, 3, 4), 2.0, (0, 2)"),
    .reference = FE_DOC(
        "input / (np.abs(input) ** p).sum(axis=tuple(np.atleast_1d(dim)), "
        "keepdims=True) ** (1 / p)"),
    .where = kFunctional,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor x = widened(c.tensor(0));
      const Tensor length = op::norm(x, c.args[1], c.args[2], true);
      const Tensor unit = op::div(x, op::clamp_min(length, c.args[3]));
      return one(narrowed(unit, c.in(0).dtype));
    }),
};

}  // namespace ferrule
