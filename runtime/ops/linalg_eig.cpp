// Eigenvalues and eigenvectors of general matrices, and the exponential.
//
// Gradients: C. Boeddeker et al., "On the Computation of Complex-valued
// Gradients with Application to Statistically Optimum Beamforming", 2017, of
// functions that do not depend on the phase of a vector; of the exponential N.
// Higham, "Functions of Matrices", 2008, theorem 3.6.
#include <vector>

#include "runtime/ops/linalg_parts.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

Tensor as_complex(const Tensor& t) {
  return op::cast(t, to_complex(t.dtype()));
}

// A V = V L: gA = V^-H (gL + (V^H gV - V^H V Re diag(V^H gV)) / E) V^H, where
// E_ij is the conjugate of L_j - L_i.
Tensor eig_gradient(const Tensor& values, const Tensor& vectors,
                    const Tensor& g_values, const Tensor& g_vectors) {
  const Tensor vh = adjoint(vectors);
  Tensor inner;
  if (g_vectors) {
    Tensor turned = op::matmul(vh, g_vectors);
    const Tensor lengths = as_complex(op::real(diagonal_of(turned)));
    turned = op::sub(turned, times_columns(op::matmul(vh, vectors), lengths));
    const Tensor d =
        conj(op::sub(op::unsqueeze(values, -2), op::unsqueeze(values, -1)));
    const Tensor mask = diagonal_mask(d);
    inner = op::where(mask, 0.0, op::div(turned, op::where(mask, 1.0, d)));
  }
  if (g_values) inner = plus(inner, op::diag_embed(g_values));
  return op::solve_matrices(vh, op::matmul(inner, vh));
}

void vjp_eig(Vjp& v) {
  v.set(0,
        eig_gradient(v.out(0), v.out(1), v.has_grad(0) ? v.grad(0) : Tensor(),
                     v.has_grad(1) ? v.grad(1) : Tensor()));
}

// The derivative of exp at A along G is the upper right block of the
// exponential of (A G; 0 A); the adjoint of that map is the one at A^H.
void vjp_matrix_exp(Vjp& v) {
  const Tensor ah = adjoint(v.in(0)), g = v.grad();
  const int rows = ah.ndim() - 2, columns = ah.ndim() - 1;
  const Int n = size_of(ah.impl(), rows);
  const Tensor top = op::cat(std::vector<Tensor>{ah, g}, columns);
  const Tensor bottom =
      op::cat(std::vector<Tensor>{op::zeros_like(g), ah}, columns);
  const Tensor both =
      op::matrix_exp(op::cat(std::vector<Tensor>{top, bottom}, rows));
  v.set(0, op::narrow(op::narrow(both, rows, 0, n), columns, n, n));
}

#endif

}  // namespace

extern const OpDef linalg_eig_op = {
    .name = "linalg_eig",
    .sig = "A: Tensor -> eigenvalues, eigenvectors",
    .doc = FE_DOC(
        R"(Eigenvalues and eigenvectors of general matrices: A V = V diag(L).

Args:
    A: shape (..., n, n); float32, float64 or complex.

Returns:
    eigenvalues: complex, shape (..., n), ordered by real part; those of a real matrix that
        are not real come in conjugate pairs.
    eigenvectors: complex, shape (..., n, n): column j is the j-th vector, of
        length 1. Its first component of a size is real and positive. Gradients
        are infinite or NaN where eigenvalues are repeated.

Raises:
    ShapeError: the matrices are not square.
    RuntimeError: a matrix has elements that are not finite.

Example:
    >>> import ferrule as fe
    >>> L, V = fe.linalg.eig(fe.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    >>> L.tolist()
    [1j, -1j]

Source: numpy.linalg.eig; Golub and Van Loan, "Matrix Computations", section 7.5.
)"),
    .examples = FE_DOC("hermitian(f(3, 3))\nhermitian(f(2, 2, 2))"),
    .reference = FE_DOC("eig(got, A)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.eig"),
    .autocast = Autocast::f32,
    .saves = "eigenvalues eigenvectors",
    .infer =
        [](OpCall& c) {
          require_square(c, 0);
          const TensorImpl& t = c.in(0);
          const DType complex = to_complex(t.dtype);
          c.out(0, complex, t.sizes().first(t.ndim - 1));
          c.out(1, complex, t.sizes());
        },
    .vjp = FE_GRAD(vjp_eig),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef linalg_eigvals_op = {
    .name = "linalg_eigvals",
    .sig = "A: Tensor",
    .doc = FE_DOC(R"(Eigenvalues of general matrices.

Args:
    A: shape (..., n, n); float32, float64 or complex.

Returns:
    Complex, shape (..., n), ordered by real part.

Raises:
    ShapeError: the matrices are not square.
    RuntimeError: a matrix has elements that are not finite.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.eigvals(fe.tensor([[0.0, 1.0], [-1.0, 0.0]])).tolist()
    [1j, -1j]

Source: numpy.linalg.eigvals.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(2, 4, 4)\n"
                       "z(3, 3)\n"
                       "f(6, 6)"),
    .reference = FE_DOC("eigvals(got, A)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.eigvals"),
    .autocast = Autocast::f32,
    .saves = "A",
    .infer =
        [](OpCall& c) {
          require_square(c, 0);
          const TensorImpl& t = c.in(0);
          c.out(0, to_complex(t.dtype), t.sizes().first(t.ndim - 1));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Results r = op::linalg_eig.multi(v.in(0));
      v.set(0, eig_gradient(r[0], r[1], v.grad(), Tensor()));
    }),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef matrix_exp_op = {
    .name = "matrix_exp",
    .sig = "A: Tensor",
    .doc = FE_DOC(R"(The exponential of matrices: 1 + A + A A / 2 + ...

Args:
    A: shape (..., n, n); float32, float64 or complex.

Returns:
    Tensor of the shape of `A`.

Raises:
    ShapeError: the matrices are not square.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.matrix_exp(fe.tensor([[0.0, 1.0], [0.0, 0.0]])).tolist()
    [[1.0, 1.0], [0.0, 1.0]]

Source: N. Higham, "The Scaling and Squaring Method for the Matrix Exponential
Revisited", 2005.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(2, 2, 2)\n"
                       "z(3, 3)\n"
                       "5 * f(3, 3)"),
    .reference = FE_DOC("matrix_exp(A)"),
    .aliases = FE_DOC("linalg.matrix_exp"),
    .autocast = Autocast::f32,
    .saves = "A",
    .infer =
        [](OpCall& c) {
          require_square(c, 0);
          c.out_like(0, 0);
        },
    .vjp = FE_GRAD(vjp_matrix_exp),
    .batch = FE_GRAD(batch_leading),
};

}  // namespace ferrule
