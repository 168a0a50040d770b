// Kernel of least squares, by QR decompositions. Source: Golub and Van Loan,
// "Matrix Computations", 4th edition, sections 5.3, 5.5 and 5.6.
#include "runtime/cpu/linalg_iterations.h"
#include "runtime/cpu/linalg_pivoted_qr.h"
#include "runtime/cpu/linalg_svd.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr char kDeficient[] =
    "driver 'gels' needs matrices of full rank, and of matrix {} row or "
    "column {} depends on others; use driver = 'gelsy' or 'gelsd'";

struct Shape {
  int64_t m, n, k;  // of A; columns of B
  bool pivoted;     // "gelsy", not "gels"

  explicit Shape(const OpCall& c)
      : m(c.in(0).shape[c.in(0).ndim - 2]),
        n(c.in(0).shape[c.in(0).ndim - 1]),
        k(c.in(1).shape[c.in(1).ndim - 1]),
        pivoted(c.str(3) == "gelsy") {}
  int64_t least() const { return std::min(m, n); }
  int64_t longest() const { return std::max(m, n); }
};

template <class T>
struct LeastSquares {
  LeastSquares(Arena& arena, const Shape& shape)
      : s(shape),
        a(arena.matrix<T>(s.m, s.n)),
        x{arena.take<T>(s.longest() * s.k), s.k},
        z{arena.take<T>(s.n * s.least()), s.least()},
        taus(arena.take<T>(s.least())),
        products(arena, s.longest(), std::max(s.longest(), s.k), kBlock),
        reflectors(arena, s.longest(), std::max(s.longest(), s.k), products),
        pivoted(arena, s.m, s.n, products) {}

  const Shape s;
  Rows<T> a, x, z;
  T* taus;
  Products<T> products;
  Reflectors<T> reflectors;
  PivotedQr<T> pivoted;

  // X, permuted as `pivoted.order` says, from A and B in `x`; returns the rank.
  int64_t solve(double rcond) {
    int64_t rank = s.least();
    const bool tall = s.m >= s.n;
    if (s.pivoted) {
      rank = pivoted.factor(a, taus, rcond);
    } else if (tall) {
      qr_factor(a, s.m, s.n, taus, reflectors);
    }
    if (s.pivoted || tall) {
      reflectors.apply(a, taus, s.m, rank, x, s.k, true);
      for (int64_t i = 1; i < rank; ++i) std::fill_n(a[i], i, T(0));
    }
    if (rank == s.n) return solve_triangle(a, true, rank);
    // The first `rank` rows of R are (Z T)^H, and X = Z T^-H Q^H B.
    z.row = rank;
    for (int64_t i = 0; i < s.n; ++i) {
      for (int64_t j = 0; j < rank; ++j) z[i][j] = conjugate(a[j][i]);
    }
    qr_factor(z, s.n, rank, taus, reflectors);
    const int64_t solved = solve_triangle(Strided<T>(z).adjoint(), false, rank);
    std::fill_n(x[rank], (s.n - rank) * s.k, T(0));
    reflectors.apply(z, taus, s.n, rank, x, s.k, false);
    return solved;
  }

  // Returns n, or the number of the first 0 on the diagonal.
  int64_t solve_triangle(Strided<T> r, bool upper, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      if (r.at(i, i) == T(0)) return i;
    }
    solve_triangular(r, upper, false, n, x, s.k, products);
    return n;
  }
};

Batch batch_of(const OpCall& c) {
  const Shape s(c);
  const int64_t bytes = by_number(c.in(0), [&]<class T>(T) {
    Arena arena;
    LeastSquares<T>(arena, s);
    return arena.used();
  });
  return Batch(matrices(c.in(0)), bytes, 2 * s.m * s.n * (s.least() + 2 * s.k));
}

bool by_singular_values(const OpCall& c) {
  return c.str(3) == "gelsd" || c.str(3) == "gelss";
}

void least_squares(OpCall& c) {
  if (by_singular_values(c)) return least_squares_svd(c);
  const Shape s(c);
  const double rcond =
      c.has(2) ? c.number(2)
               : epsilon_of(c.in(0).dtype) * static_cast<double>(s.longest());
  auto* const ranks = c.out_impl(1).ptr<int64_t>();
  const int64_t count = matrices(c.in(0));
  std::fill_n(ranks, count, s.least());
  iterate(c, batch_of(c), [&]<class T>(int64_t i, Arena& arena, double scale) {
    LeastSquares<T> work(arena, s);
    load(c.in(0), i * s.m * s.n, work.a, s.m, s.n, scale);
    load(c.in(1), i * s.m * s.k, work.x, s.m, s.k);
    ranks[i] = work.solve(rcond);
    for (int64_t row = 0; row < s.n; ++row) {
      const int64_t to = s.pivoted ? work.pivoted.order[row] : row;
      store<T>(c.out_impl(0), (i * s.n + to) * s.k, work.x.from(row, 0), 1, s.k,
               scale);
    }
    return true;
  });
  for (int64_t i = 0; i < count && !s.pivoted; ++i) {
    if (ranks[i] == s.least()) continue;
    return c.report(kDeficient, i, ranks[i], ErrorKind::runtime);
  }
}

}  // namespace
}  // namespace cpu

extern const KernelDef least_squares_cpu = {
    .name = "least_squares",
    .run = cpu::least_squares,
    .scratch =
        [](const OpCall& c) {
          if (cpu::by_singular_values(c))
            return cpu::least_squares_svd_scratch(c);
          return cpu::iterations_scratch(c, cpu::batch_of(c));
        },
};

}  // namespace ferrule
