// Singular values, and eigenvalues of Hermitian matrices.
//
// Gradients are those of functions that do not depend on what the results leave
// open: signs or phases of vectors, and the choice among vectors of repeated
// values. Sources: J. Townsend, "Differentiating the Singular Value
// Decomposition", 2016; M. Giles, "Collected Matrix Derivative Results", 2008;
// G. Golub and V. Pereyra, "The Differentiation of Pseudo-Inverses and
// Nonlinear Least Squares Problems", 1973.
#include <algorithm>
#include <vector>

#include "runtime/ops/checks.h"
#include "runtime/ops/linalg_parts.h"

namespace ferrule {
namespace {

void infer_eigh(OpCall& c) {
  require_square(c, 0);
  const std::string_view half = c.str(1);
  if (half != "L" && half != "U") {
    c.fail<ValueError>("UPLO must be 'L' or 'U', got '", half, "'");
  }
  const TensorImpl& t = c.in(0);
  c.out(0, to_real(t.dtype), t.sizes().first(t.ndim - 1));
}

void infer_svd(OpCall& c) {
  require_matrices(c, 0);
  const TensorImpl& t = c.in(0);
  const int64_t m = rows_of(t), n = columns_of(t), k = std::min(m, n);
  const bool full = c.b(1);
  c.out(0, t.dtype, with_dims(batch_of(t), {m, full ? m : k}));
  c.out(1, to_real(t.dtype), with_dims(batch_of(t), {k}));
  c.out(2, t.dtype, with_dims(batch_of(t), {full ? n : k, n}));
}

void check_driver(const OpCall& c, int arg) {
  if (!c.has(arg)) return;
  const std::string_view driver = c.str(arg);
  if (driver == "gesvd" || driver == "gesvdj" || driver == "gesvda") return;
  c.fail<ValueError>(
      "driver must be None, 'gesvd', 'gesvdj' or 'gesvda', got '", driver, "'");
}

#ifndef FE_RUNTIME_ONLY

Tensor skew(const Tensor& t) { return op::sub(t, adjoint(t)); }

// f(values[j] - values[i]) at (i, j) with 1 on the diagonal, to divide by.
Tensor differences(const Tensor& values) {
  const Tensor d =
      op::sub(op::unsqueeze(values, -2), op::unsqueeze(values, -1));
  return op::where(diagonal_mask(d), 1.0, d);
}

// A = V L V^H: gA = V (gL + (V^H gV - gV^H V) / 2 (L_j - L_i)) V^H.
void vjp_eigh(Vjp& v) {
  const Tensor values = v.out(0), vectors = v.out(1);
  Tensor inner;
  if (v.has_grad(1)) {
    const Tensor turned = skew(op::matmul(adjoint(vectors), v.grad(1)));
    const Tensor d = op::mul(differences(values), 2.0);
    inner = op::where(diagonal_mask(turned), 0.0, op::div(turned, d));
  }
  if (v.has_grad(0)) {
    inner = plus(inner, op::cast(op::diag_embed(v.grad(0)), vectors.dtype()));
  }
  v.set(0, op::matmul(op::matmul(vectors, inner), adjoint(vectors)));
}

// A = U S V^H, with E_ij = S_j^2 - S_i^2:
// gA = U ((skew(U^H gU) / E) S + S (skew(V^H gV) / E) + gS) V^H
//      + (1 - U U^H) gU S^-1 V^H + U S^-1 gV^H (1 - V V^H),
// and the diagonal of U^H gU, which is imaginary, over S.
void vjp_svd(Vjp& v) {
  const Tensor s = v.out(1);
  const int rows = v.ndim(0) - 2, columns = v.ndim(0) - 1;
  const Int k = size_of(s.impl(), s.ndim() - 1);
  // Additional vectors of full matrices are arbitrary.
  const auto narrow_to = [&](const Tensor& t, int dim) {
    return t.size(dim) == k.value ? t : op::narrow(t, dim, 0, k);
  };
  const Tensor u = narrow_to(v.out(0), columns);
  const Tensor vh = narrow_to(v.out(2), rows);
  const DType t = u.dtype();
  const bool complex = is_complex(t);
  Tensor inner, gu, gvh;
  if (v.has_grad(0)) gu = narrow_to(v.grad(0), columns);
  if (v.has_grad(2)) gvh = narrow_to(v.grad(2), rows);
  const Tensor uh = adjoint(u);
  Tensor e;
  if (gu || gvh) {
    const Tensor one = op::unsqueeze(s, -2), other = op::unsqueeze(s, -1);
    e = op::mul(op::sub(one, other), op::add(one, other));
    e = op::where(diagonal_mask(e), 1.0, e);
  }
  if (gu) {
    const Tensor turned = skew(op::matmul(uh, gu));
    inner = times_columns(op::div(turned, e), s);
    if (complex) {  // the diagonal counts once, over S
      const Tensor phase = op::div(diagonal_of(turned), op::mul(s, 2.0));
      inner = op::add(op::where(diagonal_mask(inner), 0.0, inner),
                      op::diag_embed(phase));
    }
  }
  if (gvh) {
    Tensor turned = skew(op::matmul(vh, adjoint(gvh)));
    turned = times_rows(op::div(turned, e), s);
    inner = plus(inner, op::where(diagonal_mask(turned), 0.0, turned));
  }
  if (v.has_grad(1)) {
    inner = plus(inner, op::cast(op::diag_embed(v.grad(1)), t));
  }
  Tensor ga = op::matmul(op::matmul(u, inner), vh);
  if (gu && v.size(0, rows).value > k.value) {
    const Tensor outside = op::sub(gu, op::matmul(u, op::matmul(uh, gu)));
    ga = op::add(ga, op::matmul(times_columns(outside, op::reciprocal(s)), vh));
  }
  if (gvh && v.size(0, columns).value > k.value) {
    const Tensor outside =
        op::sub(gvh, op::matmul(op::matmul(gvh, adjoint(vh)), vh));
    ga = op::add(ga, op::matmul(u, times_rows(outside, op::reciprocal(s))));
  }
  v.set(0, ga);
}

// gA = -P^H gP P^H + (1 - A P) gP^H P P^H + P^H P gP^H (1 - P A)
void vjp_pinv(Vjp& v) {
  const Tensor a = v.in(0), p = v.out(0), g = v.grad(0);
  const Tensor ph = adjoint(p), gh = adjoint(g);
  const Tensor left = op::matmul(op::matmul(gh, p), ph);
  const Tensor right = op::matmul(ph, op::matmul(p, gh));
  Tensor ga = op::neg(op::matmul(op::matmul(ph, g), ph));
  ga = op::add(ga, op::sub(left, op::matmul(a, op::matmul(p, left))));
  ga = op::add(ga, op::sub(right, op::matmul(op::matmul(right, p), a)));
  v.set(0, ga);
}

Results decompose_svd(OpCall& c) {
  const bool some = c.b(1), vectors = c.b(2);
  Results r;
  if (vectors) {
    r = op::linalg_svd.multi(c.tensor(0), !some);
    r[2] = adjoint(r[2]);
    return r;
  }
  r.n = 3;
  const Tensor a = c.tensor(0);
  r[1] = op::linalg_svdvals(a);
  for (int i : {0, 2}) {
    IntList shape = sizes_of(a.impl());
    const Int n = shape[shape.n - (i == 0 ? 2 : 1)];
    shape[shape.n - 2] = shape[shape.n - 1] = n;
    r[i] = op::zeros(shape, a.dtype(), device_of(a));
  }
  return r;
}

// A tolerance is one number for each matrix.
Results batch_pinv(Batch& b) {
  const int ndim = b.ndim(0) - 2;
  for (int i : {1, 2}) {
    if (b.has(i) && b.ndim(i) > ndim) return {};
  }
  b.set(0, b.whole(0));
  IntList batch = sizes_of(b.in[0].tensor.impl());
  batch.n -= 2;
  for (int i : {1, 2}) {
    if (b.has(i)) b.set(i, op::expand(b.aligned(i, ndim), batch));
  }
  return b.run();
}

#endif

}  // namespace

extern const OpDef linalg_eigh_op = {
    .name = "linalg_eigh",
    .sig = "A: Tensor, UPLO: str = \"L\" -> eigenvalues, eigenvectors",
    .doc = FE_DOC(
        R"(Eigenvalues and eigenvectors of Hermitian matrices: A = V diag(L) V^H.

Args:
    A: shape (..., n, n), Hermitian; float32, float64 or complex. Only the triangle
        that `UPLO` names is read.
    UPLO: "L" or "U", the lower or the upper triangle.

Returns:
    eigenvalues: real, shape (..., n), ascending.
    eigenvectors: shape (..., n, n): column j is the j-th vector, of length 1. Its
        first component of a size is real and positive. Gradients are infinite
        or NaN where eigenvalues are repeated.

Raises:
    ShapeError: the matrices are not square.
    ValueError: unknown `UPLO`.
    RuntimeError: a matrix has elements that are not finite.

Example:
    >>> import ferrule as fe
    >>> L, V = fe.linalg.eigh(fe.tensor([[2.0, 0.0], [0.0, 1.0]]))
    >>> L.tolist(), V.tolist()
    ([1.0, 2.0], [[0.0, 1.0], [1.0, 0.0]])

Source: numpy.linalg.eigh; Golub and Van Loan, "Matrix Computations", section 8.3.
)"),
    .examples = FE_DOC("hermitian(f(3, 3))\n"
                       "hermitian(f(2, 4, 4)), \"U\"\n"
                       "hermitian(f(36, 36))"),
    .reference = FE_DOC("eigh(got, A)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.eigh"),
    .autocast = Autocast::f32,
    .saves = "eigenvalues eigenvectors",
    .infer =
        [](OpCall& c) {
          infer_eigh(c);
          c.out_like(1, 0);
        },
    .vjp = FE_GRAD(vjp_eigh),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef linalg_eigvalsh_op = {
    .name = "linalg_eigvalsh",
    .sig = "A: Tensor, UPLO: str = \"L\"",
    .doc = FE_DOC(R"(Eigenvalues of Hermitian matrices.

Args:
    A: shape (..., n, n), Hermitian; float32, float64 or complex. Only the triangle
        that `UPLO` names is read.
    UPLO: "L" or "U", the lower or the upper triangle.

Returns:
    Real, shape (..., n), ascending.

Raises:
    ShapeError: the matrices are not square.
    ValueError: unknown `UPLO`.
    RuntimeError: a matrix has elements that are not finite.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.eigvalsh(fe.tensor([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [1.0, 2.0]

Source: numpy.linalg.eigvalsh.
)"),
    .examples = FE_DOC("hermitian(f(3, 3))\n"
                       "hermitian(z(2, 3, 3)), \"U\""),
    .reference = FE_DOC("np.linalg.eigvalsh(A, UPLO)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.eigvalsh"),
    .autocast = Autocast::f32,
    .saves = "A",
    .infer = infer_eigh,
    .vjp = FE_GRAD([](Vjp& v) {
      const Tensor vectors = op::linalg_eigh.multi(v.in(0), v.args[1])[1];
      v.set(0, op::matmul(times_columns(vectors, v.grad()), adjoint(vectors)));
    }),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef linalg_svd_op = {
    .name = "linalg_svd",
    .sig = "A: Tensor, full_matrices: bool = True, *, "
           "driver: str? = None -> U, S, Vh",
    .doc = FE_DOC(R"(Singular value decomposition: A = U diag(S) Vh.

Args:
    A: shape (..., m, n); float32, float64 or complex.
    full_matrices: True completes U and Vh to square matrices.
    driver: accepted for PyTorch's sake; there is one method.

Returns:
    U: shape (..., m, k) with orthonormal columns, k = min(m, n), or (..., m, m).
    S: real, shape (..., k), descending.
    Vh: shape (..., k, n) with orthonormal rows, or (..., n, n). Gradients are
        infinite or NaN where singular values are repeated, and of vectors where
        one is 0; those of additional vectors do not count.

Raises:
    ShapeError: `A` is no matrix.
    ValueError: unknown `driver`.
    RuntimeError: a matrix has elements that are not finite.

Example:
    >>> import ferrule as fe
    >>> U, S, Vh = fe.linalg.svd(fe.tensor([[0.0, 2.0], [1.0, 0.0]]))
    >>> S.tolist()
    [2.0, 1.0]

Source: numpy.linalg.svd; Golub and Van Loan, "Matrix Computations", section 8.6.
)"),
    .examples = FE_DOC("f(3, 3), False\n"
                       "f(2, 4, 2), False\n"
                       "f(2, 4), False\n"
                       "f(1, 3, 3)\n"
                       "f(40, 36), False"),
    .reference = FE_DOC("svd(got, A)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.svd"),
    .autocast = Autocast::f32,
    .saves = "U S Vh",
    .infer =
        [](OpCall& c) {
          check_driver(c, 2);
          infer_svd(c);
        },
    .vjp = FE_GRAD(vjp_svd),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef svd_op = {
    .name = "svd",
    .sig = "input: Tensor, some: bool = True, "
           "compute_uv: bool = True -> U, S, V",
    .doc = FE_DOC(
        R"(Singular value decomposition: input = U diag(S) V^H. See `linalg.svd`.

Args:
    input: shape (..., m, n); float32, float64 or complex.
    some: False completes U and V to square matrices.
    compute_uv: False gives zeros for U, (..., m, m), and V, (..., n, n).

Returns:
    U: shape (..., m, k), k = min(m, n), or (..., m, m).
    S: real, shape (..., k), descending.
    V: shape (..., n, k), or (..., n, n).

Raises:
    ShapeError: `input` is no matrix.
    RuntimeError: a matrix has elements that are not finite.

Example:
    >>> import ferrule as fe
    >>> fe.svd(fe.tensor([[0.0, 2.0], [1.0, 0.0]]))[1].tolist()
    [2.0, 1.0]

Source: torch.svd.
)"),
    .examples = FE_DOC("f(3, 2)\n"
                       "f(1, 3, 3), False\n"
                       "f(2, 3), True, False"),
    .reference = FE_DOC(
        "(lambda u, s, vh: (u, s, np.conj(np.swapaxes(vh, -1, -2))))("
        "*svd([got[0], got[1], np.conj(np.swapaxes(got[2], -1, -2))], input)) "
        "if compute_uv else (got[0] * 0, np.linalg.svd(input, "
        "compute_uv=False))"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD(decompose_svd),
};

extern const OpDef linalg_svdvals_op = {
    .name = "linalg_svdvals",
    .sig = "A: Tensor, *, driver: str? = None",
    .doc = FE_DOC(R"(Singular values of matrices.

Args:
    A: shape (..., m, n); float32, float64 or complex.
    driver: accepted for PyTorch's sake; there is one method.

Returns:
    Real, shape (..., min(m, n)), descending.

Raises:
    ShapeError: `A` is no matrix.
    ValueError: unknown `driver`.
    RuntimeError: a matrix has elements that are not finite.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.svdvals(fe.tensor([[0.0, 2.0], [1.0, 0.0]])).tolist()
    [2.0, 1.0]

Source: numpy.linalg.svd.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "z(2, 4, 2)\n"
                       "f(2, 4)"),
    .reference = FE_DOC("np.linalg.svd(A, compute_uv=False)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.svdvals"),
    .autocast = Autocast::f32,
    .saves = "A",
    .infer =
        [](OpCall& c) {
          check_driver(c, 1);
          require_matrices(c, 0);
          const TensorImpl& t = c.in(0);
          c.out(0, to_real(t.dtype),
                with_dims(batch_of(t), {std::min(rows_of(t), columns_of(t))}));
        },
    .vjp = FE_GRAD([](Vjp& v) {
      Results r = op::linalg_svd.multi(v.in(0), false);
      v.set(0, op::matmul(times_columns(r[0], v.grad()), r[2]));
    }),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef linalg_pinv_op = {
    .name = "linalg_pinv",
    .sig = "A: Tensor, *, atol: Operand? = None, rtol: Operand? = None, "
           "hermitian: bool = False",
    .doc = FE_DOC(R"(The pseudoinverse of Moore and Penrose.

Args:
    A: shape (..., m, n); float32, float64 or complex.
    atol: singular values up to this count as 0: a number, or a tensor of one for
        each matrix; None: 0.
    rtol: and up to this times the largest one; None: max(m, n) times the machine
        epsilon of the dtype, or 0 where `atol` is above 0.
    hermitian: True takes the matrices as Hermitian, and reads the lower triangle.

Returns:
    Shape (..., n, m). The gradient holds where the rank does not change.

Raises:
    ShapeError: `A` is no matrix.
    RuntimeError: a matrix has elements that are not finite.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.pinv(fe.tensor([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]

Source: numpy.linalg.pinv.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(2, 4, 2)\n"
                       "z(2, 3)\n"
                       "hermitian(f(3, 3)), hermitian=True"),
    .reference = FE_DOC("np.linalg.pinv(A)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.pinv"),
    .autocast = Autocast::f32,
    .saves = "A out",
    .infer =
        [](OpCall& c) {
          require_matrices(c, 0);
          if (c.b(3)) require_square(c, 0);
          const TensorImpl& t = c.in(0);
          for (int i : {1, 2}) {
            if (!c.is_tensor(i)) continue;
            const TensorImpl& given = c.in(i);
            const bool fits =
                given.numel == 1 || Dims(given.sizes()) == Dims(batch_of(t));
            if ((given.dtype == DType::f32 || given.dtype == DType::f64) &&
                fits) {
              continue;
            }
            c.fail<ShapeError>("'", c.info.schema.params[i].name,
                               "' must be a number or float tensor of shape ",
                               batch_of(t), ", got ", given.dtype, " of shape ",
                               given.sizes());
          }
          c.out(0, t.dtype,
                with_dims(batch_of(t), {columns_of(t), rows_of(t)}));
        },
    .vjp = FE_GRAD(vjp_pinv),
    .batch = FE_GRAD(batch_pinv),
};

extern const OpDef pinverse_op = {
    .name = "pinverse",
    .sig = "input: Tensor, rcond: float = 1e-15",
    .doc = FE_DOC(R"(The pseudoinverse; see `linalg.pinv`.

Args:
    input: shape (..., m, n); float32, float64 or complex.
    rcond: singular values up to this times the largest count as 0.

Returns:
    Shape (..., n, m).

Raises:
    ShapeError: `input` is no matrix.

Example:
    >>> import ferrule as fe
    >>> fe.pinverse(fe.tensor([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]

Source: torch.pinverse.
)"),
    .examples = FE_DOC("f(3, 2)\n"
                       "f(2, 2, 2)"),
    .reference = FE_DOC("np.linalg.pinv(input)"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::linalg_pinv(c.tensor(0), Arg(), c.args[1]));
    }),
};

}  // namespace ferrule
