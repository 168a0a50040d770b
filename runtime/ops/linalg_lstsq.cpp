// Least squares.
//
// Gradient: G. Golub and V. Pereyra, "The Differentiation of Pseudo-Inverses
// and Nonlinear Least Squares Problems Whose Variables Separate", 1973.
#include <algorithm>

#include "runtime/ops/checks.h"
#include "runtime/ops/linalg_parts.h"

namespace ferrule {
namespace {

void infer_least_squares(OpCall& c) {
  require_matrices(c, 0);
  require_matrices(c, 1);
  require_same_dtype(c, {0, 1});
  const TensorImpl &a = c.in(0), &b = c.in(1);
  if (Dims(batch_of(a)) != Dims(batch_of(b)) || rows_of(a) != rows_of(b)) {
    c.fail<ShapeError>("'A' of shape ", a.sizes(), " needs 'B' with ",
                       rows_of(a), " rows, got shape ", b.sizes());
  }
  const std::string_view driver = c.str(3);
  const bool by_values = driver == "gelsd" || driver == "gelss";
  if (!by_values && driver != "gels" && driver != "gelsy") {
    c.fail<ValueError>(
        "driver must be 'gels', 'gelsy', 'gelsd' or 'gelss', got '", driver,
        "'");
  }
  const int64_t n = columns_of(a);
  c.out(0, a.dtype, with_dims(batch_of(a), {n, columns_of(b)}));
  c.out(1, DType::i64, batch_of(a));
  c.out(2, to_real(a.dtype),
        with_dims(batch_of(a), {by_values ? std::min(rows_of(a), n) : 0}));
}

#ifndef FE_RUNTIME_ONLY

// X = P B with the pseudoinverse P: gB = P^H gX,
// gA = -gB X^H + (B - A X) (P gB)^H + P^H X (gX - P A gX)^H.
// The second part is 0 where A has no more rows than its rank, the third where
// it has no more columns.
void vjp_least_squares(Vjp& v) {
  const Tensor a = v.in(0);
  Tensor ga;
  if (v.has_grad(0)) {
    const Tensor p = op::linalg_pinv(a, Arg(), v.args[2]), ph = adjoint(p);
    const Tensor g = v.grad(0), gb = op::matmul(ph, g);
    if (v.needs(1)) v.set(1, gb);
    if (v.needs(0)) {
      const Tensor x = v.out(0);
      const Tensor left = op::sub(v.in(1), op::matmul(a, x));
      const Tensor outside = op::sub(g, op::matmul(p, op::matmul(a, g)));
      ga = op::neg(op::matmul(gb, adjoint(x)));
      ga = op::add(ga, op::matmul(left, adjoint(op::matmul(p, gb))));
      ga = op::add(ga, op::matmul(op::matmul(ph, x), adjoint(outside)));
    }
  }
  if (v.has_grad(2) && v.needs(0) && v.grad(2).numel() > 0) {
    Results usv = op::linalg_svd.multi(a, false);
    ga = plus(ga, op::matmul(times_columns(usv[0], v.grad(2)), usv[2]));
  }
  if (ga) v.set(0, ga);
}

#endif

}  // namespace

extern const OpDef least_squares_op = {
    .name = "least_squares",
    .sig = "A: Tensor, B: Tensor, rcond: float? = None, "
           "driver: str = \"gelsy\" -> solution, rank, singular_values",
    .doc = FE_DOC(
        R"(The X of least norm that makes A X - B smallest; see `linalg.lstsq`.

Args:
    A: shape (..., m, n); float32, float64 or complex.
    B: shape (..., m, k), of the same dtype and leading dimensions.
    rcond: singular values up to this times the largest count as 0; None:
        max(m, n) times the machine epsilon of the dtype.
    driver: "gels": a QR decomposition, for matrices of full rank; "gelsy": one
        with column pivoting, whose singular values are estimated; "gelsd" or
        "gelss": singular values.

Returns:
    solution: shape (..., n, k). The gradient holds where the rank does not change.
    rank: int64, shape (...).
    singular_values: shape (..., min(m, n)); empty of "gels" and "gelsy".

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.
    ValueError: unknown `driver`.
    RuntimeError: a matrix has elements that are not finite, or does not have full
        rank and the driver is "gels".

Example:
    >>> import ferrule as fe
    >>> A, B = fe.tensor([[2.0, 0.0], [0.0, 0.0]]), fe.tensor([[4.0], [1.0]])
    >>> X, rank, _ = fe.ops.least_squares(A, B)
    >>> X.tolist(), rank.item()
    ([[2.0], [0.0]], 1)

Source: LAPACK's gels, gelsy and gelsd; Golub and Van Loan, "Matrix
Computations", sections 5.3 and 5.5.
)"),
    .examples = FE_DOC("f(4, 3), f(4, 2)\n"
                       "f(2, 2, 4), f(2, 2, 1)\n"
                       "z(4, 2), z(4, 2)\n"
                       "f(4, 3), f(4, 2), None, \"gels\"\n"
                       "z(2, 4), z(2, 2), None, \"gels\"\n"
                       "f(2, 4, 3), f(2, 4, 2), None, \"gelsd\"\n"
                       "z(2, 3), z(2, 2), 0.001, \"gelss\"\n"
                       "f(40, 36), f(40, 3)"),
    .reference = FE_DOC("least_squares(A, B, driver)"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .saves = "A B@A solution@A",
    .infer = infer_least_squares,
    .vjp = FE_GRAD(vjp_least_squares),
    .batch = FE_GRAD(batch_leading),
};

}  // namespace ferrule
