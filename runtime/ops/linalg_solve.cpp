// P L U, and systems of linear equations.
//
// Gradients: M. Giles, "Collected Matrix Derivative Results for Forward and
// Reverse Mode Algorithmic Differentiation", 2008.
#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/ops/checks.h"
#include "runtime/ops/linalg_parts.h"

namespace ferrule {
namespace {

void infer_lu(OpCall& c) {
  require_matrices(c, 0);
  const TensorImpl& t = c.in(0);
  const int64_t k = std::min(t.shape[t.ndim - 2], t.shape[t.ndim - 1]);
  c.out_like(0, 0);
  c.out(1, DType::i32, with_dims(batch_of(t), {k}));
  c.out(2, DType::i32, batch_of(t));
}

void infer_permutation(OpCall& c) {
  const TensorImpl& t = c.in(0);
  if (t.dtype != DType::i32 || t.ndim < 1) {
    c.fail<DTypeError>("'pivots' must be int32 of one dimension or more, as "
                       "linalg.lu_factor gives them, got ",
                       t.dtype, " of shape ", t.sizes());
  }
  const int64_t n = c.i(1), k = t.shape[t.ndim - 1];
  if (n < k) c.fail<ShapeError>(k, " pivots need as many rows, got ", n);
  c.out(0, DType::i64, with_dims(t.sizes().first(t.ndim - 1), {n}));
}

// A X = B or X A = B: A is argument 0, B is argument 1. Shapes result 0.
void infer_system(OpCall& c, bool left) {
  require_square(c, 0);
  require_matrices(c, 1);
  require_same_dtype(c, {0, 1});
  const TensorImpl &a = c.in(0), &b = c.in(1);
  const int64_t n = a.shape[a.ndim - 1];
  if (b.shape[b.ndim - (left ? 2 : 1)] != n) {
    c.fail<ShapeError>("'A' of shape ", a.sizes(), " needs 'B' with ", n,
                       left ? " rows" : " columns", ", got shape ", b.sizes());
  }
  const Dims batch = broadcast(c, batch_of(a), batch_of(b));
  c.out(0, b.dtype,
        with_dims(batch, {b.shape[b.ndim - 2], b.shape[b.ndim - 1]}));
}

void infer_solve(OpCall& c) {
  infer_system(c, c.b(2));
  const TensorImpl& x = c.out_impl();
  c.out(1, DType::i32, batch_of(x));
}

#ifndef FE_RUNTIME_ONLY

// Row i of the result is row order[i] of `t`. Leading dimensions broadcast.
Tensor reordered(Tensor t, Tensor order) {
  order = op::unsqueeze(order, -1);
  while (order.ndim() < t.ndim()) order = op::unsqueeze(order, 0);
  while (t.ndim() < order.ndim()) t = op::unsqueeze(t, 0);
  return op::take_along_dim(t, order, -2);
}

// A = P L U. Of a square A: gA = P L^-H (tril(L^H gL, -1) + triu(gU U^H)) U^-H.
// What a wide A has to the right of a square is L^-1 P^H A, what a tall one has
// below is A U^-1: both give part of their gradient to the square.
void vjp_lu(Vjp& v) {
  const Tensor lu = v.out(0), g = v.grad(0);
  const int rows = lu.ndim() - 2, columns = lu.ndim() - 1;
  const Int m = size_of(lu.impl(), rows), n = size_of(lu.impl(), columns);
  const Int k = m.value < n.value ? m : n;
  const auto top = [&](const Tensor& t) {
    return op::narrow(op::narrow(t, rows, 0, k), columns, 0, k);
  };
  const Tensor square = top(lu);
  const Tensor l = op::where(diagonal_mask(square), 1.0, op::tril(square));
  const Tensor u = op::triu(square);
  const Tensor lh = adjoint(l), uh = adjoint(u);
  Tensor gl = op::tril(top(g), -1), gu = op::triu(top(g)), beside;
  if (m.value < n.value) {
    const Int rest = n - k;
    const Tensor u2 = op::narrow(lu, columns, k, rest);
    beside =
        solve_triangle(lh, op::narrow(g, columns, k, rest), true, true, true);
    gl = op::sub(gl, op::tril(op::matmul(beside, adjoint(u2)), -1));
  } else if (m.value > n.value) {
    const Int rest = m - k;
    const Tensor l2 = op::narrow(lu, rows, k, rest);
    beside = solve_triangle(uh, op::narrow(g, rows, k, rest), false, false);
    gu = op::sub(gu, op::triu(op::matmul(adjoint(l2), beside)));
  }
  const Tensor inner =
      op::add(op::tril(op::matmul(lh, gl), -1), op::triu(op::matmul(gu, uh)));
  Tensor ga = solve_triangle(uh, solve_triangle(lh, inner, true, true, true),
                             false, false);
  if (beside) {
    ga = op::cat(std::vector<Tensor>{ga, beside},
                 m.value < n.value ? columns : rows);
  }
  // Row i of P^H A is row permutation[i] of A.
  const Tensor permutation = op::lu_permutation(v.out(1), m);
  const Tensor order = op::argsort(permutation, -1);
  v.set(0, reordered(ga, order));
}

void vjp_solve_triangular(Vjp& v) {
  const bool upper = v.args[2].b, left = v.args[3].b, unit = v.args[4].b;
  const Tensor gb =
      solve_triangle(adjoint(v.in(0)), v.grad(), !upper, left, unit);
  if (v.needs(0)) {
    const Tensor xh = adjoint(v.out());
    const Tensor ga = op::neg(left ? op::matmul(gb, xh) : op::matmul(xh, gb));
    const int64_t skip = unit ? 1 : 0;
    v.set(0, upper ? op::triu(ga, skip) : op::tril(ga, -skip));
  }
  if (v.needs(1)) v.set(1, gb);
}

// A X = B: gB = A^-H gX, gA = -gB X^H.
void vjp_solve(Vjp& v) {
  if (!v.has_grad(0)) return;
  const bool left = v.args[2].b;
  const Tensor gb =
      op::solve_matrices(adjoint(v.in(0)), v.grad(0), left, false);
  if (v.needs(0)) {
    const Tensor xh = adjoint(v.out(0));
    v.set(0, op::neg(left ? op::matmul(gb, xh) : op::matmul(xh, gb)));
  }
  if (v.needs(1)) v.set(1, gb);
}

// --- compositions

// P, L and U of their compact form; a part that is not wanted is empty.
Results unpack(const Tensor& lu, const Tensor& pivots, bool data,
               bool permutation) {
  const int rows = lu.ndim() - 2;
  const Int m = size_of(lu.impl(), rows), n = size_of(lu.impl(), rows + 1);
  const Int k = m.value < n.value ? m : n;
  const Tensor none = op::zeros(IntList{0}, lu.dtype(), device_of(lu));
  Results r;
  r.n = 3;
  r[0] = r[1] = r[2] = none;
  if (permutation) {
    const Tensor order = op::lu_permutation(pivots, m);
    const Tensor places = op::arange(m, Arg(), 1, DType::i64, device_of(lu));
    r[0] = op::cast(op::eq(op::unsqueeze(order, -2), op::unsqueeze(places, -1)),
                    lu.dtype());
  }
  if (data) {
    const Tensor ones = op::eye(m, k, DType::bool_, device_of(lu));
    r[1] = op::where(ones, 1.0, op::tril(op::narrow(lu, rows + 1, 0, k), -1));
    r[2] = op::triu(op::narrow(lu, rows, 0, k));
  }
  return r;
}

// B is a vector for each matrix of A, and not a matrix.
bool is_vector(const OpCall& c) {
  const TensorImpl &a = c.in(0), &b = c.in(1);
  return b.ndim == 1 || (b.ndim == a.ndim - 1 &&
                         Dims(b.sizes()) == Dims(a.sizes().first(a.ndim - 1)));
}

Results solve(OpCall& c, bool left, bool check_errors) {
  require_square(c, 0);
  const bool vector = is_vector(c);
  if (vector && !left) {
    c.fail<ValueError>("left = False needs a matrix 'B', got shape ",
                       c.in(1).sizes(), " for 'A' of shape ", c.in(0).sizes());
  }
  const Tensor b = vector ? op::unsqueeze(c.tensor(1), -1) : c.tensor(1);
  Results r = op::solve_matrices.multi(c.tensor(0), b, left, check_errors);
  if (vector) r[0] = op::squeeze(r[0], IntList{-1});
  return r;
}

Results invert(OpCall& c, bool check_errors) {
  require_square(c, 0);
  const Tensor a = c.tensor(0);
  return op::solve_matrices.multi(a, identity_like(a), true, check_errors);
}

// P L U X = B. For the adjoint, U^H L^H P^H X = B.
Tensor solve_lu(const Tensor& lu, const Tensor& pivots, Tensor b, bool left,
                bool adjoint_system) {
  if (!left) {  // X A = B is A^H X^H = B^H
    return adjoint(solve_lu(lu, pivots, adjoint(b), true, !adjoint_system));
  }
  const Int n = size_of(lu.impl(), lu.ndim() - 1);
  Tensor order = op::lu_permutation(pivots, n);
  if (adjoint_system) {
    const Tensor luh = adjoint(lu);
    b = solve_triangle(luh, solve_triangle(luh, b, false), true, true, true);
    order = op::argsort(order, -1);
    return reordered(b, order);
  }
  b = reordered(b, order);
  return solve_triangle(lu, solve_triangle(lu, b, false, true, true), true);
}

#endif

}  // namespace

extern const OpDef linalg_lu_factor_ex_op = {
    .name = "linalg_lu_factor_ex",
    .sig = "A: Tensor, *, pivot: bool = True, "
           "check_errors: bool = False -> LU, pivots, info",
    .doc = FE_DOC(
        R"(LU decomposition in compact form, with a number that says where it failed.

Args:
    A: shape (..., m, n); float32, float64 or complex.
    pivot: exchange rows, so that each pivot is the largest of its column.
    check_errors: True raises an error for a pivot that is 0.

Returns:
    LU: shape of `A`: U is its upper triangle, L lies below, without its ones.
    pivots: int32, shape (..., min(m, n)): row i was exchanged with row
        pivots[i] - 1, one after the other.
    info: int32, shape (...): 0, or the number, from 1, of the first pivot that
        is 0.

Raises:
    ShapeError: `A` is no matrix.
    RuntimeError: a pivot is 0, and `check_errors` is True.

Example:
    >>> import ferrule as fe
    >>> A = fe.tensor([[0.0, 2.0], [1.0, 3.0]])
    >>> LU, pivots, info = fe.linalg.lu_factor_ex(A)
    >>> LU.tolist(), pivots.tolist()
    ([[1.0, 3.0], [0.0, 2.0]], [2, 2])

Source: LAPACK's getrf; Golub and Van Loan, "Matrix Computations", section 3.4.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(2, 2, 4)\n"
                       "z(4, 2)\n"
                       "f(2, 40, 36)\n"
                       "f(0, 3)"),
    .reference = FE_DOC("lu_factor(A)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.lu_factor_ex"),
    .autocast = Autocast::f32,
    .saves = "LU pivots",
    .infer = infer_lu,
    .vjp = FE_GRAD(vjp_lu),
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef linalg_lu_factor_op = {
    .name = "linalg_lu_factor",
    .sig = "A: Tensor, *, pivot: bool = True -> LU, pivots",
    .doc = FE_DOC(R"(LU decomposition in compact form, for `linalg.lu_solve`.

Args:
    A: shape (..., m, n); float32, float64 or complex.
    pivot: exchange rows, so that each pivot is the largest of its column.

Returns:
    LU: shape of `A`: U is its upper triangle, L lies below, without its ones.
    pivots: int32, shape (..., min(m, n)): row i was exchanged with row
        pivots[i] - 1, one after the other.

Raises:
    ShapeError: `A` is no matrix.
    RuntimeError: a pivot is 0.

Example:
    >>> import ferrule as fe
    >>> LU, pivots = fe.linalg.lu_factor(fe.tensor([[0.0, 2.0], [1.0, 3.0]]))
    >>> fe.linalg.lu_solve(LU, pivots, fe.tensor([[2.0], [4.0]])).tolist()
    [[1.0], [1.0]]

Source: LAPACK's getrf.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(2, 2, 3)"),
    .reference = FE_DOC("lu_factor(A)[:2]"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.lu_factor"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      return some_of(
          op::linalg_lu_factor_ex.multi(c.tensor(0), c.args[1], true), 2);
    }),
};

extern const OpDef lu_permutation_op = {
    .name = "lu_permutation",
    .sig = "pivots: Tensor, n: int",
    .doc = FE_DOC(R"(The order of rows that exchanges of rows amount to.

Args:
    pivots: int32, shape (..., k), as `linalg.lu_factor` gives them.
    n: the number of rows.

Returns:
    int64, shape (..., n): the row of A that each row of P^T A is.

Raises:
    DTypeError: `pivots` are not int32.
    IndexError: a pivot is none of 1..n.

Example:
    >>> import ferrule as fe
    >>> fe.ops.lu_permutation(fe.tensor([3, 2], dtype=fe.int32), 3).tolist()
    [2, 1, 0]

Source: scipy.linalg.lu_factor.
)"),
    .examples = FE_DOC("i(4, 2, 3).astype('int32') + np.int32(1), 4"),
    .where = kInternal,
    .infer = infer_permutation,
    .batch = FE_GRAD(batch_leading),
};

extern const OpDef lu_unpack_op = {
    .name = "lu_unpack",
    .sig = "LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, "
           "unpack_pivots: bool = True -> P, L, U",
    .doc = FE_DOC(
        R"(The matrices of an LU decomposition in compact form: A = P L U.

Args:
    LU_data: shape (..., m, n), as `linalg.lu_factor` gives it.
    LU_pivots: int32, shape (..., min(m, n)).
    unpack_data: False leaves L and U empty.
    unpack_pivots: False leaves P empty.

Returns:
    P: permutation, shape (..., m, m).
    L: lower triangular with ones on the diagonal, shape (..., m, min(m, n)).
    U: upper triangular, shape (..., min(m, n), n).

Raises:
    ShapeError: `LU_data` is no matrix.
    DTypeError: `LU_pivots` is not int32.

Example:
    >>> import ferrule as fe
    >>> A = fe.tensor([[0.0, 2.0], [1.0, 3.0]])
    >>> P, L, U = fe.lu_unpack(*fe.linalg.lu_factor(A))
    >>> P.tolist(), (P @ L @ U).tolist()
    ([[0.0, 1.0], [1.0, 0.0]], [[0.0, 2.0], [1.0, 3.0]])

Source: torch.lu_unpack.
)"),
    .examples = FE_DOC("f(2, 3, 3), np.tile(np.int32([2, 3, 3]), (2, 1))\n"
                       "f(2, 3), np.int32([2, 2])\n"
                       "f(3, 2), np.int32([3, 2])"),
    .reference = FE_DOC("lu_unpack(LU_data, LU_pivots)"),
    .where = kFunction,
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      require_matrices(c, 0);
      return unpack(c.tensor(0), c.tensor(1), c.b(2), c.b(3));
    }),
};

extern const OpDef linalg_lu_op = {
    .name = "linalg_lu",
    .sig = "A: Tensor, *, pivot: bool = True -> P, L, U",
    .doc = FE_DOC(R"(LU decomposition with pivoting: A = P L U.

Args:
    A: shape (..., m, n); float32, float64 or complex.
    pivot: exchange rows; False leaves P empty: A = L U.

Returns:
    P: permutation, shape (..., m, m).
    L: lower triangular with ones on the diagonal, shape (..., m, min(m, n)).
    U: upper triangular, shape (..., min(m, n), n).

Raises:
    ShapeError: `A` is no matrix.

Example:
    >>> import ferrule as fe
    >>> P, L, U = fe.linalg.lu(fe.tensor([[0.0, 2.0], [1.0, 3.0]]))
    >>> U.tolist()
    [[1.0, 3.0], [0.0, 2.0]]

Source: scipy.linalg.lu.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "f(2, 4, 2)\n"
                       "f(2, 3), pivot=False"),
    .reference = FE_DOC("lu_unpack(*lu_factor(A, pivot)[:2], pivot)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.lu"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      Results r = op::linalg_lu_factor_ex.multi(c.tensor(0), c.args[1]);
      return unpack(r[0], r[1], true, c.b(1));
    }),
};

extern const OpDef linalg_lu_solve_op = {
    .name = "linalg_lu_solve",
    .sig = "LU: Tensor, pivots: Tensor, B: Tensor, *, "
           "left: bool = True, adjoint: bool = False",
    .doc = FE_DOC(R"(Solves A X = B by the LU decomposition of A.

Args:
    LU, pivots: as `linalg.lu_factor` gives them, shapes (..., n, n), (..., n).
    B: shape (..., n, k), or (..., k, n) where `left` is False.
    left: False solves X A = B.
    adjoint: True solves with A^H in the place of A.

Returns:
    X, of the shape of `B`; leading dimensions broadcast.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> LU, pivots = fe.linalg.lu_factor(fe.tensor([[0.0, 2.0], [1.0, 3.0]]))
    >>> fe.linalg.lu_solve(LU, pivots, fe.tensor([[2.0], [4.0]])).tolist()
    [[1.0], [1.0]]

Source: LAPACK's getrs.
)"),
    .examples = FE_DOC("f(3, 3), np.int32([2, 3, 3]), f(3, 2)\n"
                       "z(2, 2), np.int32([2, 2]), z(3, 2, 1), adjoint=True\n"
                       "f(2, 3, 3), np.tile(np.int32([3, 3, 3]), (2, 1)), f(4, "
                       "3), left=False"),
    .reference = FE_DOC("lu_solve(LU, pivots, B, left, adjoint)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.lu_solve"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      require_square(c, 0);
      require_matrices(c, 2);
      return one(
          solve_lu(c.tensor(0), c.tensor(1), c.tensor(2), c.b(3), c.b(4)));
    }),
};

extern const OpDef lu_solve_op = {
    .name = "lu_solve",
    .sig = "b: Tensor, LU_data: Tensor, LU_pivots: Tensor",
    .doc = FE_DOC(
        R"(Solves A X = B by the LU decomposition of A; see `linalg.lu_solve`.

Args:
    b: shape (..., n, k).
    LU_data, LU_pivots: as `linalg.lu_factor` gives them.

Returns:
    X, of the shape of `b`; leading dimensions broadcast.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> LU, pivots = fe.linalg.lu_factor(fe.tensor([[0.0, 2.0], [1.0, 3.0]]))
    >>> fe.lu_solve(fe.tensor([[2.0], [4.0]]), LU, pivots).tolist()
    [[1.0], [1.0]]

Source: torch.lu_solve.
)"),
    .examples = FE_DOC("f(3, 2), f(3, 3), np.int32([2, 3, 3])"),
    .reference = FE_DOC("lu_solve(LU_data, LU_pivots, b, True, False)"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      return one(op::linalg_lu_solve(c.tensor(1), c.tensor(2), c.tensor(0)));
    }),
};

extern const OpDef linalg_solve_triangular_op = {
    .name = "linalg_solve_triangular",
    .sig = "A: Tensor, B: Tensor, *, upper: bool, left: bool = True, "
           "unitriangular: bool = False",
    .doc = FE_DOC(R"(Solves A X = B for a triangular A.

Args:
    A: shape (..., n, n); what lies on the other side of the diagonal is not read.
    B: shape (..., n, k), or (..., k, n) where `left` is False; of the same dtype.
    upper: whether `A` is upper or lower triangular.
    left: False solves X A = B.
    unitriangular: True takes the diagonal as ones.

Returns:
    X, of the shape of `B`; leading dimensions broadcast. It has infinities where
    a diagonal element is 0.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> A = fe.tensor([[2.0, 0.0], [1.0, 4.0]])
    >>> B = fe.tensor([[2.0], [9.0]])
    >>> fe.linalg.solve_triangular(A, B, upper=False).tolist()
    [[1.0], [2.0]]

Source: BLAS's trsm; Golub and Van Loan, "Matrix Computations", section 3.1.
)"),
    .examples =
        FE_DOC("f(3, 3), f(3, 2), upper=True\n"
               "f(2, 3, 3), f(3, 1), upper=False\n"
               "z(2, 2), z(4, 3, 2), upper=False, left=False\n"
               "f(3, 3), f(3, 2), upper=False, unitriangular=True\n"
               "0.1 * f(40, 40), f(40, 3), upper=True, unitriangular=True"),
    .reference = FE_DOC(
        "(lambda T: np.linalg.solve(T, B) if left else np.swapaxes("
        "np.linalg.solve(np.swapaxes(T, -1, -2), np.swapaxes(B, -1, -2)), -1, "
        "-2))("
        "(lambda T: T - T * np.eye(T.shape[-1]) + np.eye(T.shape[-1]) "
        "if unitriangular else T)(np.triu(A) if upper else np.tril(A)))"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.solve_triangular"),
    .autocast = Autocast::f32,
    .saves = "A out@A",
    .infer = [](OpCall& c) { infer_system(c, c.b(3)); },
    .vjp = FE_GRAD(vjp_solve_triangular),
    .batch = FE_GRAD(batch_elementwise),
};

extern const OpDef triangular_solve_op = {
    .name = "triangular_solve",
    .sig = "b: Tensor, A: Tensor, upper: bool = True, "
           "transpose: bool = False, unitriangular: bool = False "
           "-> solution, cloned_coefficient",
    .doc = FE_DOC(
        R"(Solves A X = B for a triangular A; see `linalg.solve_triangular`.

Args:
    b: shape (..., n, k).
    A: shape (..., n, n); what lies on the other side of the diagonal is not read.
    upper: whether `A` is upper or lower triangular.
    transpose: True solves with the transpose of A.
    unitriangular: True takes the diagonal as ones.

Returns:
    solution: of the shape of `b`; leading dimensions broadcast.
    cloned_coefficient: a copy of `A`.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.

Example:
    >>> import ferrule as fe
    >>> A = fe.tensor([[2.0, 1.0], [0.0, 4.0]])
    >>> fe.triangular_solve(fe.tensor([[4.0], [8.0]]), A)[0].tolist()
    [[1.0], [2.0]]

Source: torch.triangular_solve.
)"),
    .examples = FE_DOC("f(3, 2), f(3, 3)\n"
                       "f(2, 3, 1), f(3, 3), False, True"),
    .reference = FE_DOC("(lambda T: np.linalg.solve(np.swapaxes(T, -1, -2) if "
                        "transpose else T, "
                        "b))(np.triu(A) if upper else np.tril(A)), A"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) {
      const Tensor a = c.tensor(1);
      Results r;
      r.n = 2;
      r[0] = c.b(3) ? solve_triangle(transposed(a), c.tensor(0), !c.b(2), true,
                                     c.b(4))
                    : solve_triangle(a, c.tensor(0), c.b(2), true, c.b(4));
      r[1] = op::clone(a);
      return r;
    }),
};

extern const OpDef solve_matrices_op = {
    .name = "solve_matrices",
    .sig = "A: Tensor, B: Tensor, left: bool = True, "
           "check_errors: bool = False -> result, info",
    .doc = FE_DOC(
        R"(Solves A X = B for matrices B; `linalg.solve_ex` takes vectors, too.

Args:
    A: shape (..., n, n); float32, float64 or complex.
    B: shape (..., n, k), or (..., k, n) where `left` is False; of the same dtype.
    left: False solves X A = B.
    check_errors: True raises an error for a singular matrix.

Returns:
    result: X, of the shape of `B`; leading dimensions broadcast.
    info: int32, of the leading dimensions: 0, or the number, from 1, of the
        first pivot that is 0.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.
    RuntimeError: a matrix is singular, and `check_errors` is True.

Example:
    >>> import ferrule as fe
    >>> A = fe.tensor([[0.0, 2.0], [1.0, 3.0]])
    >>> fe.ops.solve_matrices(A, fe.tensor([[2.0], [4.0]]))[0].tolist()
    [[1.0], [1.0]]

Source: LAPACK's gesv.
)"),
    .examples = FE_DOC("f(3, 3), f(3, 2)\n"
                       "z(2, 2, 2), z(2, 3)\n"
                       "f(3, 3), f(4, 2, 3), False\n"
                       "f(40, 40), f(40, 3)"),
    .reference = FE_DOC(
        "(np.linalg.solve(A, B) if left else np.swapaxes(np.linalg.solve("
        "np.swapaxes(A, -1, -2), np.swapaxes(B, -1, -2)), -1, -2))"),
    .where = kInternal,
    .autocast = Autocast::f32,
    .saves = "A result@A",
    .infer = infer_solve,
    .vjp = FE_GRAD(vjp_solve),
    .batch = FE_GRAD(batch_elementwise),
};

extern const OpDef linalg_solve_ex_op = {
    .name = "linalg_solve_ex",
    .sig = "A: Tensor, B: Tensor, *, left: bool = True, "
           "check_errors: bool = False -> result, info",
    .doc = FE_DOC(
        R"(Solves A X = B, with a number that says where a matrix is singular.

Args:
    A: shape (..., n, n); float32, float64 or complex.
    B: shape (..., n, k), or (..., k, n) where `left` is False; or vectors, (n,)
        or of the shape of `A` without the last dimension. Of the same dtype.
    left: False solves X A = B.
    check_errors: True raises an error for a singular matrix.

Returns:
    result: X, of the shape of `B`; leading dimensions broadcast.
    info: int32, of the leading dimensions: 0, or the number, from 1, of the
        first pivot that is 0.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.
    RuntimeError: a matrix is singular, and `check_errors` is True.

Example:
    >>> import ferrule as fe
    >>> A = fe.tensor([[1.0, 2.0], [2.0, 4.0]])
    >>> fe.linalg.solve_ex(A, fe.tensor([1.0, 2.0]))[1].item()
    2

Source: torch.linalg.solve_ex; LAPACK's gesv.
)"),
    .examples = FE_DOC("f(3, 3), f(3, 2)\n"
                       "f(2, 3, 3), f(2, 3)"),
    .reference =
        FE_DOC("(np.linalg.solve(A, B[..., None])[..., 0] if B.ndim < A.ndim "
               "else np.linalg.solve(A, B))"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.solve_ex"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return solve(c, c.b(2), c.b(3)); }),
};

extern const OpDef linalg_solve_op = {
    .name = "linalg_solve",
    .sig = "A: Tensor, B: Tensor, *, left: bool = True",
    .doc = FE_DOC(R"(Solves systems of linear equations: A X = B.

Args:
    A: shape (..., n, n); float32, float64 or complex.
    B: shape (..., n, k), or (..., k, n) where `left` is False; or vectors, (n,)
        or of the shape of `A` without the last dimension. Of the same dtype.
    left: False solves X A = B.

Returns:
    X, of the shape of `B`; leading dimensions broadcast.

Raises:
    ShapeError: the shapes do not fit.
    DTypeError: the dtypes differ.
    RuntimeError: a matrix is singular.

Example:
    >>> import ferrule as fe
    >>> A = fe.tensor([[0.0, 2.0], [1.0, 3.0]])
    >>> fe.linalg.solve(A, fe.tensor([2.0, 4.0])).tolist()
    [1.0, 1.0]

Source: numpy.linalg.solve.
)"),
    .examples = FE_DOC("f(3, 3), f(3)\n"
                       "f(2, 3, 3), f(3, 2)\n"
                       "z(2, 2), z(3, 2), left=False\n"
                       "f(2, 3, 3), f(2, 3)"),
    .reference = FE_DOC(
        "(np.swapaxes(np.linalg.solve(np.swapaxes(A, -1, -2), "
        "np.swapaxes(B, -1, -2)), -1, -2) if not left else np.linalg.solve("
        "A, B[..., None])[..., 0] if B.ndim < 2 or B.shape == A.shape[:-1] "
        "else np.linalg.solve(A, B))"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.solve"),
    .autocast = Autocast::f32,
    .decompose =
        FE_GRAD([](OpCall& c) { return some_of(solve(c, c.b(2), true), 1); }),
};

extern const OpDef linalg_inv_ex_op = {
    .name = "linalg_inv_ex",
    .sig = "A: Tensor, *, check_errors: bool = False -> inverse, info",
    .doc = FE_DOC(
        R"(The inverse of matrices, with a number that says where one is singular.

Args:
    A: shape (..., n, n); float32, float64 or complex.
    check_errors: True raises an error for a singular matrix.

Returns:
    inverse: shape of `A`.
    info: int32, shape (...): 0, or the number, from 1, of the first pivot that
        is 0.

Raises:
    ShapeError: the matrices are not square.
    RuntimeError: a matrix is singular, and `check_errors` is True.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.inv_ex(fe.tensor([[2.0, 0.0], [0.0, 4.0]]))[0].tolist()
    [[0.5, 0.0], [0.0, 0.25]]

Source: torch.linalg.inv_ex.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "z(2, 2, 2)"),
    .reference = FE_DOC("np.linalg.inv(A)"),
    .where = kInternal,
    .aliases = FE_DOC("linalg.inv_ex"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return invert(c, c.b(1)); }),
};

extern const OpDef inverse_op = {
    .name = "inverse",
    .sig = "A: Tensor",
    .doc = FE_DOC(
        R"(The inverse of matrices. `linalg.solve(A, B)` is quicker and errs less than
`linalg.inv(A) @ B`.

Args:
    A: shape (..., n, n); float32, float64 or complex.

Returns:
    Tensor of the shape of `A`.

Raises:
    ShapeError: the matrices are not square.
    RuntimeError: a matrix is singular.

Example:
    >>> import ferrule as fe
    >>> fe.linalg.inv(fe.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]

Source: numpy.linalg.inv.
)"),
    .examples = FE_DOC("f(3, 3)\n"
                       "z(2, 2, 2)"),
    .reference = FE_DOC("np.linalg.inv(A)"),
    .aliases = FE_DOC("linalg.inv"),
    .autocast = Autocast::f32,
    .decompose = FE_GRAD([](OpCall& c) { return some_of(invert(c, true), 1); }),
};

}  // namespace ferrule
