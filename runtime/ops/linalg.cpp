// Linear algebra without decompositions of matrices: compositions of products
// and sums, in the module `linalg`.
#include <cstdint>
#include <vector>

#include "ferrule/autograd.h"
#include "ferrule/op.h"
#include "ferrule/ops.h"
#include "runtime/ops/checks.h"
#include "runtime/ops/common.h"
#include "runtime/ops/norms.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// --- chains of products

// The order of products that needs the fewest multiplications, by dynamic
// programming; matrix i has shape (size[i], size[i + 1]).
class Chain {
 public:
  Chain(std::vector<Tensor> matrices) : matrices_(std::move(matrices)) {
    const size_t n = matrices_.size();
    std::vector<double> size;
    for (const Tensor& m : matrices_) {
      size.push_back(static_cast<double>(m.size(0)));
    }
    size.push_back(static_cast<double>(matrices_.back().size(1)));
    std::vector<std::vector<double>> cost(n, std::vector<double>(n, 0));
    split_.assign(n, std::vector<size_t>(n, 0));
    for (size_t span = 1; span < n; ++span) {
      for (size_t i = 0; i + span < n; ++i) {
        const size_t j = i + span;
        for (size_t k = i; k < j; ++k) {
          const double c =
              cost[i][k] + cost[k + 1][j] + size[i] * size[k + 1] * size[j + 1];
          if (k == i || c < cost[i][j]) {
            cost[i][j] = c;
            split_[i][j] = k;
          }
        }
      }
    }
  }

  Tensor product(size_t i, size_t j) const {
    if (i == j) return matrices_[i];
    const size_t k = split_[i][j];
    return op::matmul(product(i, k), product(k + 1, j));
  }

 private:
  std::vector<Tensor> matrices_;
  std::vector<std::vector<size_t>> split_;  // of the product i ... j
};

// A vector may stand first, as a row, or last, as a column.
Results decompose_multi_dot(OpCall& c) {
  const auto list = c.list(0);
  const size_t n = list.size();
  if (n < 2) {
    c.fail<ValueError>("needs at least two tensors, got ", n);
  }
  std::vector<Tensor> matrices;
  bool vector_first = false, vector_last = false;
  for (size_t i = 0; i < n; ++i) {
    if (!list[i]) c.fail<ValueError>("tensors[", i, "] is None");
    Tensor m = Tensor::share(list[i]);
    if (m.dtype() != list[0]->dtype) {
      c.fail<DTypeError>("tensors[", i, "] is ", m.dtype(), ", but tensors[0] ",
                         list[0]->dtype, "; convert one with .to(dtype)");
    }
    const bool end = i == 0 || i + 1 == n;
    if (m.ndim() == 1 && end) {
      (i == 0 ? vector_first : vector_last) = true;
      m = op::unsqueeze(m, i == 0 ? 0 : 1);
    }
    if (m.ndim() != 2) {
      c.fail<ShapeError>("tensors[", i, "] must be a matrix",
                         end ? " or a vector" : "", ", got shape ",
                         list[i]->sizes());
    }
    if (i > 0 && matrices.back().size(1) != m.size(0)) {
      c.fail<ShapeError>("tensors[", i - 1, "] of shape ", list[i - 1]->sizes(),
                         " and tensors[", i, "] of shape ", list[i]->sizes(),
                         " cannot be multiplied");
    }
    matrices.push_back(std::move(m));
  }
  Tensor product = Chain(std::move(matrices)).product(0, n - 1);
  if (vector_first) product = op::squeeze(product, IntList{0});
  if (vector_last) product = op::squeeze(product, IntList{-1});
  return one(product);
}

// By squaring: as many products as the power has bits, and as it has ones.
Results decompose_matrix_power(OpCall& c) {
  Tensor a = c.tensor(0);
  int64_t n = c.i(1);
  if (a.ndim() < 2 || a.size(a.ndim() - 1) != a.size(a.ndim() - 2)) {
    c.fail<ShapeError>("'A' must be a matrix or a batch of square ones, got ",
                       "shape ", a.shape());
  }
  if (n < 0) {
    if (n == INT64_MIN) c.fail<ValueError>("n is out of range: ", n);
    a = op::inverse(a);
    n = -n;
  }
  if (n == 0) {
    const Int size = size_of(a.impl(), a.ndim() - 1);
    const Tensor eye = op::eye(size, size, a.dtype(), device_of(a));
    return one(op::clone(op::expand(eye, sizes_of(a.impl()))));
  }
  Tensor square = a, power;
  for (;; square = op::matmul(square, square)) {
    if (n & 1) power = power ? op::matmul(power, square) : square;
    n >>= 1;
    if (n == 0) break;
  }
  return one(power.same(a) ? op::clone(a) : power);
}

// --- others

Results decompose_cross(OpCall& c) {
  const int n = c.in(0).ndim;
  if (n != c.in(1).ndim) {
    c.fail<ShapeError>("both tensors must have as many dimensions, got shapes ",
                       c.in(0).sizes(), " and ", c.in(1).sizes());
  }
  return one(op::cross(c.tensor(0), c.tensor(1), c.dim(2, n)));
}

Results decompose_vander(OpCall& c) {
  Tensor x = c.tensor(0);
  if (x.ndim() == 0) c.fail<ShapeError>("'x' must not be a 0-d tensor");
  if (x.dtype() == DType::bool_) x = op::cast(x, DType::i64);
  const int last = x.ndim() - 1;
  const Int n = c.has(1) ? c.sym(1) : size_of(x.impl(), last);
  if (c.has(1) && n.value <= 1) {
    c.fail<ValueError>("N must be 2 or more, got ", n.value);
  }
  IntList shape = sizes_of(x.impl());
  shape.push(1);
  const Tensor ones = op::ones(shape, x.dtype(), device_of(x));
  shape[last + 1] = n - 1;
  const Tensor repeated = op::expand(op::unsqueeze(x, -1), shape);
  return one(op::cat(std::vector<Tensor>{ones, op::cumprod(repeated, -1)}, -1));
}

#endif

}  // namespace

extern const OpDef linalg_vector_norm_op = {
    .name = "linalg_vector_norm",
    .sig = "x: Tensor, ord: Scalar = 2, dim: int[]? = None, "
           "keepdim: bool = False, *, dtype: dtype? = None",
    .doc = FE_DOC(R"(Norm of vectors: (sum |x|^ord)^(1/ord).

Args:
    x: any shape; floating-point or complex.
    ord: the order; inf is the largest |x|, -inf the smallest, 0 the number of
        elements that are not 0.
    dim: the dimensions to reduce; None: all.
    keepdim: keep them, with size 1.
    dtype: converts `x` first.

Returns:
    Real tensor without the reduced dimensions. Where a norm is 0, so is its
    gradient.

Raises:
    IndexError: a dimension is out of range.
    ValueError: a dimension is named twice.
    DTypeError: `x` is of integers; .float() helps.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.vector_norm(fe.tensor([[3.0, 4.0], [6.0, 8.0]]), dim=1).tolist()
    [5.0, 10.0]

Source: torch.linalg.vector_norm.
)"),
    .examples = FE_DOC("f(2, 3)\nf(2, 3), 1\nf(2, 3, 4), 2.5, 1\nf(2, 3), "
                       "fe.inf, -1, True\nf(2, 3, 2), 3, (0, 2)\np(2, 3), 0.5\n"
                       "f(2, 3), 0, 1\nz(2, 3), 2, 0"),
    .reference = FE_DOC(
        "(lambda x, axes: np.linalg.norm(np.moveaxis(x, axes, range("
        "len(axes))).reshape(-1, *[n for i, n in enumerate(x.shape) if i "
        "not in axes]), ord, 0).reshape([1 if i in axes else n for i, n in "
        "enumerate(x.shape) if keepdim or i not in axes]))(x, "
        "tuple(range(x.ndim)) if dim is None else tuple(d % "
        "x.ndim for d in np.atleast_1d(dim)))"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.vector_norm"),
    .decompose = FE_GRAD([](OpCall& c) {
      return one(vector_norm(c, c.number(1), 2, c.b(3), 4));
    }),
};

extern const OpDef linalg_cross_op = {
    .name = "linalg_cross",
    .sig = "input: Tensor, other: Tensor, *, dim: int = -1",
    .doc = FE_DOC(R"(Cross product of vectors of three numbers.

Args:
    input: any shape whose dimension `dim` has size 3.
    other: as many dimensions; the shapes broadcast.
    dim: where the vectors lie.

Returns:
    Tensor of the broadcast shape.

Raises:
    ShapeError: dimension `dim` is not 3, or the shapes do not fit.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> x, y = fe.tensor([1.0, 0.0, 0.0]), fe.tensor([0.0, 1.0, 0.0])
    >>> fe.linalg.cross(x, y).tolist()
    [0.0, 0.0, 1.0]

Source: torch.linalg.cross.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\nf(3, 2), f(3, 1), dim=0"),
    .reference = FE_DOC("np.cross(*np.broadcast_arrays(input, other), "
                        "axis=dim)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.cross"),
    .decompose = FE_GRAD(decompose_cross),
};

extern const OpDef linalg_diagonal_op = {
    .name = "linalg_diagonal",
    .sig = "A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1",
    .doc = FE_DOC(R"(Diagonals of matrices; `diagonal` of the last dimensions.

Args:
    A: at least two dimensions.
    offset: above (> 0) or below (< 0) the main diagonal.
    dim1, dim2: the dimensions of the matrices.

Returns:
    A view; the diagonal is its last dimension.

Raises:
    IndexError: a dimension is out of range.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.diagonal(fe.tensor([[1, 2], [3, 4]])).tolist()
    [1, 4]

Source: torch.linalg.diagonal.
)"),
    .examples = FE_DOC("f(2, 3)\nf(2, 3, 4), offset=1\n"
                       "f(2, 3, 4), offset=-1, dim1=0, dim2=1"),
    .reference = FE_DOC("np.diagonal(A, offset, dim1, dim2)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.diagonal"),
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::diagonal(c.tensor(0), c.args[1], c.args[2], c.args[3]));
    }),
};

extern const OpDef linalg_vecdot_op = {
    .name = "linalg_vecdot",
    .sig = "x: Tensor, y: Tensor, *, dim: int = -1",
    .doc = FE_DOC(R"(Dot products of vectors: the sum of conj(x) * y.

Args:
    x, y: the shapes broadcast.
    dim: where the vectors lie.

Returns:
    Tensor of the broadcast shape without dimension `dim`.

Raises:
    ShapeError: the shapes do not broadcast.
    IndexError: `dim` is out of range.

Example:
    >>> import ferrule as fe
    >>> x = fe.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> fe.linalg.vecdot(x, x).tolist()
    [5.0, 25.0]

Source: torch.linalg.vecdot; the Array API's vecdot.
)"),
    .examples = FE_DOC("f(2, 3), f(2, 3)\nf(2, 3, 4), f(3, 1), dim=-2\n"
                       "z(3), z(3)"),
    .reference = FE_DOC("(np.conj(x) * y).sum(dim)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.vecdot"),
    .autocast = Autocast::lower,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor product = op::mul(conj(c.tensor(0)), c.tensor(1));
      return one(op::sum(
          product, IntList{c.sym(2)}, false,
          c.in(0).dtype == c.in(1).dtype ? Arg(product.dtype()) : Arg()));
    }),
};

extern const OpDef linalg_multi_dot_op = {
    .name = "linalg_multi_dot",
    .sig = "tensors: Tensor[]",
    .doc = FE_DOC(R"(Product of several matrices, in the cheapest order.

Args:
    tensors: two or more matrices of one dtype; the first may be a vector (a
        row), and so may the last (a column).

Returns:
    Their product; a vector gives no dimension.

Raises:
    ShapeError: neighbours cannot be multiplied.
    DTypeError: the dtypes differ.
    ValueError: fewer than two tensors.

Example:
    >>> import ferrule as fe
    >>> a, b, c = fe.ones((10, 100)), fe.ones((100, 5)), fe.ones((5, 2))
    >>> fe.linalg.multi_dot([a, b, c]).shape
    (10, 2)

Source: numpy.linalg.multi_dot; Cormen et al., "Introduction to Algorithms",
matrix-chain multiplication.
)"),
    .examples = FE_DOC("[f(2, 3), f(3, 4)]\n[f(2, 3), f(3, 4), f(4, 2)]\n"
                       "[f(3), f(3, 4), f(4, 2), f(2, 5)]\n"
                       "[f(2, 5), f(5, 1), f(1, 4), f(4)]\n[f(3), f(3)]"),
    .reference = FE_DOC("np.linalg.multi_dot(tensors)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.multi_dot"),
    .decompose = FE_GRAD(decompose_multi_dot),
};

extern const OpDef matrix_power_op = {
    .name = "matrix_power",
    .sig = "A: Tensor, n: int",
    .doc = FE_DOC(R"(Square matrices, multiplied n times with themselves.

Args:
    A: shape (..., N, N).
    n: the power; 0 gives the identity, negative ones take the inverse.

Returns:
    Tensor of the same shape.

Raises:
    ShapeError: the matrices are not square.
    RuntimeError: a negative power of a singular matrix.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.matrix_power(fe.tensor([[1.0, 1.0], [0.0, 1.0]]), 5).tolist()
    [[1.0, 5.0], [0.0, 1.0]]

Source: numpy.linalg.matrix_power.
)"),
    .examples = FE_DOC(
        "f(3, 3), 3\nf(2, 3, 3), 4\nf(2, 2), 1\nf(2, 2), 0\nf(2, 2), -3\n"
        "z(2, 2), 2"),
    .reference = FE_DOC("np.linalg.matrix_power(A, n)"),
    .aliases = FE_DOC("linalg.matrix_power"),
    .decompose = FE_GRAD(decompose_matrix_power),
};

extern const OpDef linalg_vander_op = {
    .name = "linalg_vander",
    .sig = "x: Tensor, *, N: int? = None",
    .doc = FE_DOC(R"(Vandermonde matrices: powers of numbers, one row a number.

Args:
    x: shape (..., M).
    N: number of columns; None: M.

Returns:
    Shape (..., M, N); column j is x to the power j.

Raises:
    ShapeError: `x` is a 0-d tensor.
    ValueError: N is less than 2.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.vander(fe.tensor([1, 2, 3]), N=3).tolist()
    [[1, 1, 1], [1, 2, 4], [1, 3, 9]]

Source: torch.linalg.vander.
)"),
    .examples = FE_DOC("f(4)\nf(2, 3), N=4\ni(5, 3), N=2"),
    .reference = FE_DOC("x[..., None] ** np.arange(N or x.shape[-1])"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.vander"),
    .decompose = FE_GRAD(decompose_vander),
};

}  // namespace ferrule
