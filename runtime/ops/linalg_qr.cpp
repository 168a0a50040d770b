// Q R, and products of Householder reflectors.
//
// The gradient is that of functions that do not depend on the signs or phases
// of Q's columns: S. and J. Roberts, "QR and LQ Decomposition Matrix
// Backpropagation Algorithms for Square, Wide, and Deep Matrices", 2020.
#include <algorithm>
#include <vector>

#include "runtime/ops/checks.h"
#include "runtime/ops/linalg_parts.h"

namespace ferrule {
namespace {

void infer_qr(OpCall& c) {
  require_matrices(c, 0);
  const std::string_view mode = c.str(1);
  if (mode != "reduced" && mode != "complete" && mode != "r") {
    c.fail<ValueError>("mode must be 'reduced', 'complete' or 'r', got '", mode,
                       "'");
  }
  const TensorImpl& t = c.in(0);
  const int64_t m = rows_of(t), n = columns_of(t);
  const int64_t k = mode == "complete" ? m : std::min(m, n);
  if (mode == "r") {
    c.out(0, t.dtype, Dims{0});
  } else {
    c.out(0, t.dtype, with_dims(batch_of(t), {m, k}));
  }
  c.out(1, t.dtype, with_dims(batch_of(t), {k, n}));
}

#ifndef FE_RUNTIME_ONLY

// Q and R of a matrix that is no wider than high: with M = gR R^H - Q^H gQ and
// M' its upper triangle, gA = (gQ + Q (M' + M'^H without half the diagonal))
// R^-H.
Tensor qr_gradient(const Tensor& q, const Tensor& r, const Tensor& gq,
                   const Tensor& gr) {
  const Tensor from_r = gr ? op::matmul(gr, adjoint(r)) : gr;
  const Tensor from_q = gq ? op::neg(op::matmul(adjoint(q), gq)) : gq;
  Tensor m = op::triu(plus(from_r, from_q));
  m = op::add(m, adjoint(m));
  m = op::where(diagonal_mask(m), op::mul(m, 0.5), m);
  const Tensor inner = plus(gq, op::matmul(q, m));
  return solve_triangle(adjoint(r), inner, false, false);
}

void vjp_qr(Vjp& v) {
  const std::string_view mode = v.args[1].str;
  const Tensor q = v.out(0), r = v.out(1);
  if (mode == "r") {
    fail<AutogradError>(
        "[linalg_qr] has no gradient for mode = 'r', which needs "
        "Q; use mode = 'reduced'");
  }
  const int rows = r.ndim() - 2, columns = r.ndim() - 1;
  const Int m = size_of(q.impl(), rows), n = size_of(r.impl(), columns);
  if (mode == "complete" && m.value > n.value) {
    fail<AutogradError>(
        "[linalg_qr] has no gradient for mode = 'complete' of a "
        "matrix with more rows than columns: the additional "
        "columns of Q are arbitrary; use mode = 'reduced'");
  }
  Tensor gq = v.has_grad(0) ? v.grad(0) : Tensor();
  const Tensor gr = v.has_grad(1) ? v.grad(1) : Tensor();
  if (m.value >= n.value) return v.set(0, qr_gradient(q, r, gq, gr));
  // What is to the right of a square is Q^H times that part of A.
  const Int rest = n - m;
  Tensor left, right;
  if (gr) {
    const Tensor gr2 = op::narrow(gr, columns, m, rest);
    const Tensor a2 = op::matmul(q, op::narrow(r, columns, m, rest));
    gq = plus(gq, op::matmul(a2, adjoint(gr2)));
    left = op::narrow(gr, columns, 0, m);
    right = op::matmul(q, gr2);
  } else {
    right = op::zeros_like(op::narrow(r, columns, m, rest));
  }
  const Tensor square = qr_gradient(q, op::narrow(r, columns, 0, m), gq, left);
  v.set(0, op::cat(std::vector<Tensor>{square, right}, columns));
}

// H_1 ... H_k = 1 - V T V^H with an upper triangular T, whose inverse is
// diag(1 / tau) and, above it, V^H V. Multiplied by diag(tau), it may be 0.
Results decompose_householder_product(OpCall& c) {
  require_matrices(c, 0);
  require_same_dtype(c, {0, 1});
  const TensorImpl &given = c.in(0), &factors = c.in(1);
  const int rows = given.ndim - 2, columns = given.ndim - 1;
  if (rows_of(given) < columns_of(given) || factors.ndim != columns ||
      Dims(factors.sizes().first(rows)) != Dims(batch_of(given)) ||
      factors.shape[rows] > columns_of(given)) {
    c.fail<ShapeError>("'A' must have no more columns than rows, and 'tau' one "
                       "number for each column or fewer, got shapes ",
                       given.sizes(), " and ", factors.sizes());
  }
  const Tensor a = c.tensor(0);
  const Int m = size_of(&given, rows), n = size_of(&given, columns);
  const Int k = size_of(&factors, rows);
  const Tensor tau = op::unsqueeze(c.tensor(1), -1);
  const Tensor ones = op::eye(m, k, DType::bool_, device_of(a));
  const Tensor v =
      op::where(ones, 1.0, op::tril(op::narrow(a, columns, 0, k), -1));
  const Tensor vh = adjoint(v);
  const Tensor inverse = op::mul(tau, op::matmul(vh, v));
  const Tensor right = op::mul(tau, op::narrow(vh, columns, 0, n));
  const Tensor sum =
      op::matmul(v, solve_triangle(inverse, right, true, true, true));
  return one(op::sub(op::eye(m, n, a.dtype(), device_of(a)), sum));
}

#endif

}  // namespace

extern const OpDef linalg_qr_op = {
    .name = "linalg_qr",
    .sig = "A: Tensor, mode: str = \"reduced\" -> Q, R",
    .doc = FE_DOC(
        R"(QR decomposition: A = Q R with orthonormal columns of Q and an upper triangular R.

Args:
    A: shape (..., m, n); float32, float64 or complex.
    mode: "reduced": Q has min(m, n) columns; "complete": m columns; "r": Q is
        empty, which is quicker.

Returns:
    Q: shape (..., m, k).
    R: shape (..., k, n). The signs are LAPACK's. There is a gradient where the
    first min(m, n) columns of `A` are independent, but not of "r", nor of
    "complete" for m > n.

Raises:
    ShapeError: `A` is no matrix.
    ValueError: unknown `mode`.

Example:
    >>> import ferrule as fe
    >>> Q, R = fe.linalg.qr(fe.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> R[0, 0].item(), (Q @ R).round().tolist()
    (-5.0, [[3.0, 1.0], [4.0, 2.0]])

Source: numpy.linalg.qr; Golub and Van Loan, "Matrix Computations", section 5.2.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(2, 4, 2)\n"
                       "z(2, 3)\n"
                       "f(2, 4)\n"
                       "f(1, 3, 2), \"complete\"\n"
                       "f(3, 2), \"r\"\n"
                       "f(40, 36)"),
    .reference = FE_DOC("qr(A, mode)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.qr"),
    .autocast = Autocast::f32,
    .saves = "Q R",
    .infer = infer_qr,
    .vjp = FE_GRAD(vjp_qr),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef qr_op = {
    .name = "qr",
    .sig = "input: Tensor, some: bool = True -> Q, R",
    .doc = FE_DOC(R"(QR decomposition; see `linalg.qr`.

Args:
    input: shape (..., m, n); float32, float64 or complex.
    some: False gives the complete Q of m columns.

Returns:
    Q: shape (..., m, k).
    R: shape (..., k, n).

Raises:
    ShapeError: `input` is no matrix.

Example:
    >>> import ferrule as fe
    >>> fe.qr(fe.tensor([[3.0], [4.0]]))[1].item()
    -5.0

Source: torch.qr.
)"),
    .examples = FE_DOC("f(3, 2)\n"
                       "f(1, 3, 3), False"),
    .reference = FE_DOC("qr(input, 'reduced' if some else 'complete')"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      return op::linalg_qr.multi(c.tensor(0), c.b(1) ? "reduced" : "complete");
    }),
};

extern const OpDef linalg_householder_product_op = {
    .name = "linalg_householder_product",
    .sig = "A: Tensor, tau: Tensor",
    .doc = FE_DOC(R"(The first columns of a product of Householder reflections.

Args:
    A: shape (..., m, n), m >= n: column i has, below its diagonal, the elements of
        v_i after a 1; what lies on and above the diagonal is not read. Float32,
        float64 or complex.
    tau: shape (..., k), k <= n, of the same dtype: H_i = 1 - tau_i v_i v_i^H.

Returns:
    The first n columns of H_1 ... H_k, of the shape of `A`.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> A = fe.tensor([[1.0], [1.0]])
    >>> fe.linalg.householder_product(A, fe.tensor([1.0])).tolist()
    [[0.0], [-1.0]]

Source: LAPACK's orgqr; Schreiber and Van Loan, "A Storage-Efficient WY
Representation for Products of Householder Transformations", 1989.
)"),
    .examples = FE_DOC("f(4, 3), f(3)\n"
                       "f(2, 3, 3), f(2, 2)\n"
                       "z(2, 4, 2), z(2, 2)"),
    .reference = FE_DOC("householder_product(A, tau)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.householder_product"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_householder_product),
};

}  // namespace ferrule
