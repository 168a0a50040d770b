// Cholesky's decomposition, and systems that it solves.
//
// Gradient: I. Murray, "Differentiation of the Cholesky decomposition", 2016.
#include "runtime/ops/checks.h"
#include "runtime/ops/linalg_parts.h"

namespace ferrule {
namespace {

void infer_cholesky(OpCall& c) {
  require_square(c, 0);
  c.out_like(0, 0);
  c.out(1, DType::i32, batch_of(c.in(0)));
}

#ifndef FE_RUNTIME_ONLY

// A = L L^H: with P the lower triangle of L^H gL and half its diagonal,
// gA = L^-H (P + P^H) L^-1 / 2.
void vjp_cholesky(Vjp& v) {
  const bool upper = v.args[1].b;
  const Tensor l = upper ? adjoint(v.out(0)) : v.out(0);
  const Tensor g = upper ? adjoint(v.grad(0)) : v.grad(0);
  const Tensor lh = adjoint(l);
  Tensor p = op::tril(op::matmul(lh, op::tril(g)));
  p = op::mul(op::add(p, adjoint(p)), op::where(diagonal_mask(p), 0.25, 0.5));
  v.set(0, solve_triangle(l, solve_triangle(lh, p, true), false, false));
}

#endif

}  // namespace

extern const OpDef linalg_cholesky_ex_op = {
    .name = "linalg_cholesky_ex",
    .sig = "A: Tensor, *, upper: bool = False, "
           "check_errors: bool = False -> L, info",
    .doc = FE_DOC(
        R"(Cholesky decomposition, with a number that says where it failed.

Args:
    A: shape (..., n, n), Hermitian and positive definite; only the lower triangle
        is read, or the upper one. Float32, float64 or complex.
    upper: True gives U = L^H instead of L.
    check_errors: True raises an error for a matrix that is not positive definite.

Returns:
    L: shape of `A`; A = L L^H with L lower triangular.
    info: int32, shape (...): 0, or the order of the first leading minor that is
        not positive; L is then of no use.

Raises:
    ShapeError: the matrices are not square.
    DTypeError: other dtypes.
    RuntimeError: a matrix is not positive definite, and `check_errors` is True.

Example:
    >>> import ferrule as fe
    >>> L, info = fe.linalg.cholesky_ex(fe.tensor([[4.0, 2.0], [2.0, 5.0]]))
    >>> L.tolist(), info.item()
    ([[2.0, 0.0], [1.0, 2.0]], 0)

Source: LAPACK's potrf; Golub and Van Loan, "Matrix Computations", section 4.2.
)"),
    .examples = FE_DOC("positive(f(3, 3))\n"
                       "positive(z(2, 2, 2))\n"
                       "positive(f(2, 3, 3)), upper=True\n"
                       "positive(f(35, 35))"),
    .reference =
        FE_DOC("(lambda L: np.conj(np.swapaxes(L, -1, -2)) if upper else L)("
               "np.linalg.cholesky(A)), np.zeros(A.shape[:-2], int)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.cholesky_ex"),
    .autocast = Autocast::f32,
    .saves = "L",
    .infer = infer_cholesky,
    .vjp = FE_GRAD(vjp_cholesky),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef cholesky_op = {
    .name = "cholesky",
    .sig = "A: Tensor, upper: bool = False",
    .doc =
        FE_DOC(R"(Cholesky decomposition: A = L L^H with a lower triangular L.

Args:
    A: shape (..., n, n), Hermitian and positive definite; only the lower triangle
        is read, or the upper one. Float32, float64 or complex.
    upper: True gives U = L^H.

Returns:
    Tensor of the shape of `A`.

Raises:
    ShapeError: the matrices are not square.
    RuntimeError: a matrix is not positive definite.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.cholesky(fe.tensor([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]

Source: numpy.linalg.cholesky.
)"),
    .examples = FE_DOC("positive(f(3, 3))\n"
                       "positive(f(2, 2, 2)), True"),
    .reference = FE_DOC("(lambda L: np.swapaxes(L, -1, -2) if upper else L)("
                        "np.linalg.cholesky(A))"),
    .aliases = FE_DOC("linalg.cholesky"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      return some_of(op::linalg_cholesky_ex.multi(c.tensor(0), c.args[1], true),
                     1);
    }),
};

extern const OpDef cholesky_solve_op = {
    .name = "cholesky_solve",
    .sig = "B: Tensor, L: Tensor, upper: bool = False",
    .doc = FE_DOC(R"(Solves A X = B by the Cholesky decomposition of A.

Args:
    B: shape (..., n, k).
    L: shape (..., n, n), as `cholesky` gives it.
    upper: `L` is the upper triangle U = L^H.

Returns:
    X, of the shape of `B`; leading dimensions broadcast.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> L = fe.tensor([[2.0, 0.0], [1.0, 2.0]])
    >>> fe.cholesky_solve(fe.tensor([[8.0], [8.0]]), L).tolist()
    [[1.5], [1.0]]

Source: LAPACK's potrs.
)"),
    .examples = FE_DOC("f(3, 2), f(3, 3)\n"
                       "z(2, 2, 1), z(2, 2), True"),
    .reference = FE_DOC(
        "(lambda T: np.linalg.solve(T @ np.conj(np.swapaxes(T, -1, -2)), B))("
        "np.conj(np.swapaxes(np.triu(L), -1, -2)) if upper else np.tril(L))"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor b = c.tensor(0), factor = c.tensor(1);
      const Tensor other = adjoint(factor);
      const Tensor &l = c.b(2) ? other : factor, &u = c.b(2) ? factor : other;
      return one(solve_triangle(u, solve_triangle(l, b, false), true));
    }),
};

extern const OpDef cholesky_inverse_op = {
    .name = "cholesky_inverse",
    .sig = "L: Tensor, upper: bool = False",
    .doc = FE_DOC(R"(The inverse of a matrix by its Cholesky decomposition.

Args:
    L: shape (..., n, n), as `cholesky` gives it.
    upper: `L` is the upper triangle U = L^H.

Returns:
    (L L^H)^-1, of the shape of `L`.

Raises:
    ShapeError: the matrices are not square.

Example:
    >>> import ferrule as fe
    >>> fe.cholesky_inverse(fe.tensor([[1.0, 0.0], [0.0, 2.0]])).tolist()
    [[1.0, 0.0], [0.0, 0.25]]

Source: LAPACK's potri.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "z(2, 2, 2), True"),
    .reference = FE_DOC(
        "(lambda T: np.linalg.inv(T @ np.conj(np.swapaxes(T, -1, -2))))("
        "np.conj(np.swapaxes(np.triu(L), -1, -2)) if upper else np.tril(L))"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      require_square(c, 0);
      const Tensor l = c.tensor(0);
      return one(op::cholesky_solve(identity_like(l), l, c.args[1]));
    }),
};

}  // namespace ferrule
