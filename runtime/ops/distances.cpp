// Distances, covariances, and tensors brought to a norm.
#include <cmath>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/norms.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// Euclidean distances of many vectors by one matrix product:
// |a - b|^2 = |a|^2 - 2 a b + |b|^2.
Tensor distances_by_product(const Tensor& a, const Tensor& b) {
  const Tensor squares_a = op::sum(op::mul(a, a), IntList{-1}, true);
  const Tensor squares_b = op::sum(op::mul(b, b), IntList{-1}, true);
  const Tensor product = op::matmul(a, b, false, true);
  const Tensor sum = op::add(squares_a, op::transpose(squares_b, -2, -1));
  const Tensor square = op::sub(sum, op::mul(product, 2.0));
  const Tensor none = op::le(square, 0.0);
  return op::where(none, 0.0, op::sqrt(op::where(none, 1.0, square)));
}

Results decompose_cdist(OpCall& c) {
  const Tensor a = c.tensor(0), b = c.tensor(1);
  const double p = c.f(2);
  require_same_dtype(c, {0, 1});
  for (int i : {0, 1}) check_floating(c, i);
  const int n = a.ndim(), m = b.ndim();
  if (n < 2 || m < 2 || a.size(n - 1) != b.size(m - 1)) {
    c.fail<ShapeError>(
        "x1 and x2 must have shapes (..., P, M) and (..., R, M), ", "got ",
        a.shape(), " and ", b.shape());
  }
  if (!(p >= 0)) c.fail<ValueError>("p must be 0 or more, got ", p);
  const std::string_view mode = c.str(3);
  const bool maybe = mode == "use_mm_for_euclid_dist_if_necessary";
  const bool always = mode == "use_mm_for_euclid_dist";
  if (!maybe && !always && mode != "donot_use_mm_for_euclid_dist") {
    c.fail<ValueError>("unknown compute_mode '", mode, "'");
  }
  // PyTorch's limit: up to there differences are exact and quick enough.
  constexpr int64_t kFew = 25;
  const bool many = a.size(n - 2) > kFew || b.size(m - 2) > kFew;
  if (p == 2 && (always || (maybe && many))) {
    return one(distances_by_product(a, b));
  }
  // The kernel has pairs of matrices, so many in both.
  const Dims batch =
      broadcast(c, a.shape().first(n - 2), b.shape().first(m - 2));
  IntList of_a(batch), of_b(batch);
  for (int k = 2; k > 0; --k) {
    of_a.push(size_of(a.impl(), n - k));
    of_b.push(size_of(b.impl(), m - k));
  }
  return one(
      op::cdist_direct(op::expand(a, of_a), op::expand(b, of_b), c.args[2]));
}

// All differences at once: for derivatives.
Results decompose_cdist_direct(OpCall& c) {
  const double p = c.f(2);
  const Tensor difference = op::abs(
      op::sub(op::unsqueeze(c.tensor(0), -2), op::unsqueeze(c.tensor(1), -3)));
  const IntList last{-1};
  if (p == 0) {
    return one(
        op::cast(op::sum(op::ne(difference, 0.0), last), difference.dtype()));
  }
  if (p == INFINITY && difference.size(difference.ndim() - 1) > 0) {
    return one(op::amax(difference, last));
  }
  if (p == INFINITY) return one(op::sum(difference, last));
  return one(power_norm(difference, p, last, Arg(false)));
}

Results decompose_dist(OpCall& c) {
  const Tensor difference = op::sub(c.tensor(0), c.tensor(1));
  return one(op::norm(difference, c.args[2]));
}

// Slices along dim whose norm is larger are brought down to maxnorm.
Results decompose_renorm(OpCall& c) {
  const Tensor x = c.tensor(0);
  const double p = c.number(1), most = c.number(3);
  if (x.ndim() < 2) {
    c.fail<ShapeError>("'input' must have at least 2 dimensions, got shape ",
                       x.shape());
  }
  if (!(p > 0)) c.fail<ValueError>("p must be positive, got ", p);
  if (!(most >= 0)) c.fail<ValueError>("maxnorm must be 0 or more, got ", most);
  const int d = c.dim(2, x.ndim());
  IntList others;
  for (int k = 0; k < x.ndim(); ++k) {
    if (k != d) others.push(k);
  }
  const Tensor norm = op::linalg_vector_norm(x, p, others, true);
  const Tensor factor =
      op::where(op::gt(norm, most), op::div(most, op::add(norm, 1e-7)), 1.0);
  return one(op::mul(x, factor));
}

// --- covariance

// Weights of observations: a vector of the right length, or none.
Tensor weights_of(const OpCall& c, int arg, Int count, bool integers) {
  if (!c.has(arg)) return {};
  const TensorImpl& w = c.in(arg);
  const auto name = c.info.schema.params[arg].name;
  if (w.ndim > 1 || w.numel != count.value) {
    c.fail<ShapeError>(name, " must be a vector of ", count.value,
                       " numbers, one for each observation, got shape ",
                       w.sizes());
  }
  if (integers != is_integer(w.dtype)) {
    c.fail<DTypeError>(name, " must be ",
                       integers ? "integers" : "floating-point", ", got ",
                       w.dtype);
  }
  return op::reshape(c.tensor(arg), IntList{-1});
}

Results decompose_cov(OpCall& c) {
  Tensor x = c.tensor(0);
  if (x.ndim() > 2 || x.dtype() == DType::bool_) {
    c.fail<ShapeError>("'input' must be a matrix of variables (rows) and ",
                       "observations (columns), not bool, got ", x.dtype(),
                       " of shape ", x.shape());
  }
  const bool alone = x.ndim() < 2;
  if (alone) x = op::reshape(x, IntList{1, -1});
  if (!is_differentiable(x.dtype())) x = op::cast(x, DType::f32);
  const DType t = x.dtype(), real = to_real(t);
  const Int n = size_of(x.impl(), 1);
  Tensor w = weights_of(c, 2, n, true);
  if (w) w = op::cast(w, real);
  Tensor a = weights_of(c, 3, n, false);
  if (a) a = op::cast(a, real);
  const Tensor both = w && a ? op::mul(w, a) : w ? w : a;
  Tensor total, mean, scale;
  const double correction = static_cast<double>(c.i(1));
  if (both) {
    total = op::sum(both);
    mean = op::div(op::sum(op::mul(x, both), IntList{1}, true), total);
    if (!a) {
      scale = op::sub(total, correction);
    } else {
      const Tensor squares = op::div(op::sum(op::mul(both, a)), total);
      scale = op::sub(total, op::mul(squares, correction));
    }
    scale = op::clamp_min(scale, 0.0);
  } else {
    total = op::full(IntList{}, n, real, device_of(x));
    mean = op::div(op::sum(x, IntList{1}, true), total);
    scale = op::clamp_min(op::sub(total, correction), 0.0);
  }
  const Tensor centred = op::sub(x, mean);
  const Tensor weighted = both ? op::mul(centred, both) : centred;
  Tensor product = op::matmul(weighted, conj(centred), false, true);
  product = op::div(product, scale);
  return one(alone ? op::reshape(product, IntList{}) : product);
}

Results decompose_corrcoef(OpCall& c) {
  const Tensor covariance = op::cov(c.tensor(0));
  if (covariance.ndim() == 0) {
    return one(op::div(covariance, covariance));
  }
  const bool complex = is_complex(covariance.dtype());
  Tensor variance = op::diagonal(covariance);
  if (complex) variance = op::real(variance);
  const Tensor deviation = op::sqrt(variance);
  const Tensor r = op::div(op::div(covariance, op::unsqueeze(deviation, 1)),
                           op::unsqueeze(deviation, 0));
  if (!complex) return one(op::clamp(r, -1.0, 1.0));
  return one(op::complex(op::clamp(op::real(r), -1.0, 1.0),
                         op::clamp(op::imag(r), -1.0, 1.0)));
}

#endif

void infer_cdist_direct(OpCall& c) {
  require_same_dtype(c, {0, 1});
  const TensorImpl &a = c.in(0), &b = c.in(1);
  bool fits = a.ndim >= 2 && a.ndim == b.ndim;
  for (int d = 0; fits && d < a.ndim; ++d) {
    fits = d == a.ndim - 2 || a.shape[d] == b.shape[d];
  }
  if (!fits) {
    c.fail<ShapeError>(
        "x1 and x2 must have shapes (..., P, M) and (..., R, M), ", "got ",
        a.sizes(), " and ", b.sizes());
  }
  if (!(c.f(2) >= 0)) c.fail<ValueError>("p must be 0 or more, got ", c.f(2));
  Dims shape(a.sizes());
  shape[a.ndim - 1] = b.shape[b.ndim - 2];
  c.out(0, a.dtype, shape);
}

}  // namespace

extern const OpDef cdist_direct_op = {
    .name = "cdist_direct",
    .sig = "x1: Tensor[float], x2: Tensor[float], p: float",
    .doc = FE_DOC(R"(Distances of all pairs of vectors, one by one; see `cdist`.

Args:
    x1: shape (..., P, M).
    x2: shape (..., R, M).
    p: the order of the norm, from 0 to infinity.

Returns:
    Shape (..., P, R).

Raises:
    ShapeError: the shapes do not fit.
    ValueError: a negative p.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[0.0, 0.0], [3.0, 4.0]])
    >>> fe.ops.cdist_direct(x, x, 1.0).tolist()
    [[0.0, 7.0], [7.0, 0.0]]

Source: torch.cdist.
)"),
    .examples = FE_DOC("f(1, 3, 2), f(1, 4, 2), 2.0\nf(2, 3, 2), f(2, 4, 2), "
                       "1.0\nf(1, 3, 2), f(1, 2, 2), 3.0\nf(1, 3, 2), f(1, 2, "
                       "2), fe.inf\nf(1, 3, 2), f(1, 2, 2), 0.0\nf(1, 2, 0), "
                       "f(1, 3, 0), 1.0"),
    .where = kInternal,
    .infer = infer_cdist_direct,
    .decompose = FE_GRAD(decompose_cdist_direct),
};

extern const OpDef cdist_op = {
    .name = "cdist",
    .sig =
        "x1: Tensor[float], x2: Tensor[float], p: float = 2.0, compute_mode: "
        "str = \"use_mm_for_euclid_dist_if_necessary\"",
    .doc = FE_DOC(R"(Distances of all pairs of vectors.

Args:
    x1: shape (..., P, M).
    x2: shape (..., R, M); the dimensions in front broadcast.
    p: the order of the norm, from 0 to infinity.
    compute_mode: for p = 2: "use_mm_for_euclid_dist_if_necessary" takes a matrix
        product where there are more than 25 vectors, which is quicker and less
        exact for vectors that almost agree; "use_mm_for_euclid_dist" always,
        "donot_use_mm_for_euclid_dist" never.

Returns:
    Shape (..., P, R). Where a distance is 0, so is its gradient.

Raises:
    ShapeError: the shapes do not fit.
    ValueError: a negative p.

Example:
    >>> import ferrule as fe
    >>> fe.cdist(fe.tensor([[0.0, 0.0]]), fe.tensor([[3.0, 4.0]])).item()
    5.0

Source: torch.cdist.
)"),
    // Of three dimensions, so that grown ones have no giant products.
    .examples =
        FE_DOC("f(1, 3, 2), f(1, 4, 2)\nf(2, 3, 2), f(4, 2), 1.0\n"
               "f(1, 3, 2), f(1, 2, 2), 3.0\nf(1, 3, 2), f(2, 2), fe.inf\n"
               "f(1, 30, 3), f(1, 2, 3)\nf(1, 3, 2), f(1, 2, 2), 0.0\n"
               "f(1, 3, 2), f(1, 2, 2), 2.0, \"use_mm_for_euclid_dist\"\n"
               "f(2, 2, 2), f(1, 3, 2), 1.5\nf(1, 2, 0), f(1, 3, 0)"),
    .reference = FE_DOC("(lambda d: (d != 0).sum(-1) * 1.0 if p == 0 else "
                        "d.max(-1) if p == np.inf else (d ** p).sum(-1) ** "
                        "(1 / p))(np.abs(x1[..., :, None, :] - "
                        "x2[..., None, :, :]))"),
    .where = kFunction,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_cdist),
};

extern const OpDef dist_op = {
    .name = "dist",
    .sig = "input: Tensor, other: Tensor, p: Scalar = 2",
    .doc = FE_DOC(R"(Norm of the difference of two tensors.

Args:
    input, other: floating-point; the shapes broadcast.
    p: the order of the norm.

Returns:
    0-d tensor.

Raises:
    ShapeError: the shapes do not broadcast.

Example:
    >>> import ferrule as fe
    >>> fe.dist(fe.tensor([1.0, 2.0]), fe.tensor([4.0, 6.0])).item()
    5.0

Source: torch.dist.
)"),
    .examples =
        FE_DOC("f(2, 3), f(2, 3)\nf(2, 3), f(3), 1\nf(4), f(4), fe.inf"),
    .reference = FE_DOC("np.linalg.norm(np.ravel(input - other), p)"),
    .decompose = FE_GRAD(decompose_dist),
};

extern const OpDef renorm_op = {
    .name = "renorm",
    .sig = "input: Tensor, p: Scalar, dim: int, maxnorm: Scalar",
    .doc = FE_DOC(R"(Slices along a dimension, none longer than a given norm.

Args:
    input: at least two dimensions; floating-point or complex.
    p: the order of the norm, positive.
    dim: the dimension whose slices are meant.
    maxnorm: the largest norm; longer slices are scaled down to it.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: fewer than two dimensions.
    ValueError: p is not positive, or maxnorm negative.

Example:
    >>> import ferrule as fe
    >>> fe.renorm(fe.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 2.5).tolist()[1]
    [0.30000001192092896, 0.4000000059604645]

Source: torch.renorm.
)"),
    .examples = FE_DOC("f(3, 4), 2, 0, 1.0\nf(2, 3, 2), 1, 1, 2.0\n"
                       "f(2, 3), 3, -1, 0.5"),
    .reference = FE_DOC(
        "(lambda n: input * np.where(n > maxnorm, maxnorm / (n + 1e-7), 1))("
        "(np.abs(input) ** p).sum(tuple(k for k in range(input.ndim) if k != "
        "dim % input.ndim), keepdims=True) ** (1 / p))"),
    .has_inplace = true,
    .decompose = FE_GRAD(decompose_renorm),
};

extern const OpDef cov_op = {
    .name = "cov",
    .sig = "input: Tensor, *, correction: int = 1, fweights: Tensor? = None, "
           "aweights: Tensor? = None",
    .doc = FE_DOC(R"(Covariances of variables.

Args:
    input: variables as rows, observations as columns; a vector is one variable.
    correction: products are divided by the number of observations minus this.
    fweights: how often each observation occurred, integers.
    aweights: weight of each observation.

Returns:
    The matrix of covariances; of one variable its variance.

Raises:
    ShapeError: `input` has more than two dimensions, or weights do not fit.
    DTypeError: weights of the wrong kind.

Example:
    >>> import ferrule as fe
    >>> fe.cov(fe.tensor([[0.0, 2.0], [2.0, 0.0]])).tolist()
    [[2.0, -2.0], [-2.0, 2.0]]

Source: numpy.cov.
)"),
    .examples = FE_DOC("f(3, 5)\nf(4)\nf(2, 4), correction=0\n"
                       "f(2, 4), fweights=i(4, 4) + 1\n"
                       "f(2, 4), aweights=p(4), correction=1\n"
                       "f(2, 4), fweights=i(4, 4) + 1, aweights=p(4)\n"
                       "z(2, 3)"),
    .reference = FE_DOC("np.cov(input, ddof=correction, fweights=fweights, "
                        "aweights=aweights)"),
    .decompose = FE_GRAD(decompose_cov),
};

extern const OpDef corrcoef_op = {
    .name = "corrcoef",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(Pearson's correlations of variables.

Args:
    input: variables as rows, observations as columns; a vector is one variable.

Returns:
    The matrix of correlations, between -1 and 1; of one variable 1.

Raises:
    ShapeError: `input` has more than two dimensions.

Example:
    >>> import ferrule as fe
    >>> fe.corrcoef(fe.tensor([[0.0, 2.0], [4.0, 0.0]])).round().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]

Source: numpy.corrcoef.
)"),
    .examples = FE_DOC("f(3, 5)\nf(4)"),
    .reference = FE_DOC("np.corrcoef(input)"),
    .decompose = FE_GRAD(decompose_corrcoef),
};

}  // namespace ferrule
