// Determinants, from P L U.
//
// Gradient: M. Giles, "Collected Matrix Derivative Results for Forward and
// Reverse Mode Algorithmic Differentiation", 2008.
#include <cmath>

#include "runtime/ops/checks.h"
#include "runtime/ops/linalg_parts.h"

namespace ferrule {
namespace {

#ifndef FE_RUNTIME_ONLY

// 1 or -1, as the number of exchanged rows is even or odd.
Tensor parity_of(const Tensor& pivots, DType dtype) {
  const Int n = size_of(pivots.impl(), pivots.ndim() - 1);
  const Tensor places = op::arange(1, n + 1, 1, DType::i32, device_of(pivots));
  const Tensor moved =
      op::sum(op::cast(op::ne(pivots, places), DType::i64), IntList{-1});
  const Tensor odd = op::remainder(moved, 2);
  return op::cast(op::sub(1, op::mul(odd, 2)), dtype);
}

// The gradient is det(A) A^-H, conjugated as det is. A pivot that is 0 is taken
// as the smallest number that counts: what it multiplies and divides is finite.
void vjp_det(Vjp& v) {
  const Tensor a = v.in(0);
  Results r = op::linalg_lu_factor_ex.multi(a);
  const double epsilon = to_real(a.dtype()) == DType::f64 ? 0x1p-52 : 0x1p-23;
  const Tensor none = op::eq(diagonal_of(r[0]), 0.0);
  const Tensor lu = op::add(
      r[0], op::diag_embed(op::cast(op::where(none, epsilon, 0.0), a.dtype())));
  const Tensor det = op::mul(op::prod(diagonal_of(lu), IntList{-1}),
                             parity_of(r[1], a.dtype()));
  const Tensor right = times(identity_like(a), op::mul(v.grad(), conj(det)));
  v.set(0, op::linalg_lu_solve(lu, r[1], right, true, true));
}

Results decompose_slogdet(OpCall& c) {
  require_square(c, 0);
  const Tensor a = c.tensor(0);
  Results lu = op::linalg_lu_factor_ex.multi(a);
  const Tensor pivots = diagonal_of(lu[0]);
  Results r;
  r.n = 2;
  r[0] = op::mul(op::prod(op::sign(pivots), IntList{-1}),
                 parity_of(lu[1], a.dtype()));
  r[1] = op::sum(op::log(op::abs(pivots)), IntList{-1});
  return r;
}

Results decompose_logdet(OpCall& c) {
  require_square(c, 0);
  Results r = op::slogdet.multi(c.tensor(0));
  if (is_complex(r[0].dtype())) {
    return one(op::add(op::log(r[0]), r[1]));
  }
  return one(op::where(op::lt(r[0], 0.0), NAN, r[1]));
}

#endif

}  // namespace

extern const OpDef det_op = {
    .name = "det",
    .sig = "A: Tensor",
    .doc = FE_DOC(R"(Determinants of matrices.

Args:
    A: shape (..., n, n); float32, float64 or complex.

Returns:
    Shape (...). The gradient is right for singular matrices, too.

Raises:
    ShapeError: the matrices are not square.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.det(fe.tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    -2.0

Source: numpy.linalg.det.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(2, 2, 2)\n"
                       "z(3, 3)"),
    .reference = FE_DOC("np.linalg.det(A)"),
    .aliases = FE_DOC("linalg.det"),
    .autocast = Autocast::f32,
    .saves = "A",
    .infer =
        [](OpCall& c) {
          require_square(c, 0);
          c.out(0, c.in(0).dtype, batch_of(c.in(0)));
        },
    .vjp = FE_GRAD(vjp_det),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef slogdet_op = {
    .name = "slogdet",
    .sig = "A: Tensor -> sign, logabsdet",
    .doc = FE_DOC(
        R"(Sign and logarithm of determinants, which neither overflow nor vanish.

Args:
    A: shape (..., n, n); float32, float64 or complex.

Returns:
    sign: shape (...): -1, 0 or 1, or a complex number of size 1.
    logabsdet: real, shape (...): the logarithm of the determinant's size, -inf
        of a singular matrix.

Raises:
    ShapeError: the matrices are not square.

Example:
    >>> import ferrule as fe
    >>> sign, logabsdet = fe.linalg.slogdet(fe.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> sign.item(), logabsdet.exp().round().item()
    (-1.0, 2.0)

Source: numpy.linalg.slogdet.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(2, 2, 2)\n"
                       "z(3, 3)"),
    .reference = FE_DOC("tuple(np.linalg.slogdet(A))"),
    .aliases = FE_DOC("linalg.slogdet"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_slogdet),
};

extern const OpDef logdet_op = {
    .name = "logdet",
    .sig = "input: Tensor",
    .doc = FE_DOC(R"(The logarithm of determinants.

Args:
    input: shape (..., n, n); float32, float64 or complex.

Returns:
    Shape (...): NaN where a real determinant is negative, -inf where it is 0.

Raises:
    ShapeError: the matrices are not square.

Example:
    >>> import ferrule as fe
    >>> fe.logdet(fe.tensor([[1.0, 0.0], [0.0, 1.0]])).item()
    0.0

Source: torch.logdet.
)"),
    .examples = FE_DOC("positive(f(3, 3))\n"
                       "positive(f(2, 2, 2))"),
    .reference = FE_DOC("np.linalg.slogdet(input)[1]"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_logdet),
};

}  // namespace ferrule
