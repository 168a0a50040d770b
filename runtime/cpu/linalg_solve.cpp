// Kernels of LU and Cholesky decompositions, of determinants, and of systems of
// linear equations.
#include "runtime/cpu/linalg.h"

namespace ferrule {
namespace cpu {
namespace {

int64_t rows_of(const TensorImpl& t) { return t.shape[t.ndim - 2]; }
int64_t columns_of(const TensorImpl& t) { return t.shape[t.ndim - 1]; }
std::span<const int64_t> batch_of(const TensorImpl& t) {
  return t.sizes().first(t.ndim - 2);
}

// Scratch of `make`, which takes what it needs from an arena.
template <class Make>
int64_t bytes_of(const TensorImpl& t, const Make& make) {
  return by_number(t, [&]<class T>(T number) {
    Arena arena;
    make(arena, number);
    return arena.used();
  });
}

constexpr char kSingular[] =
    "the matrix is singular: pivot {} is 0; use linalg.lstsq or linalg.pinv, "
    "or add a small number to its diagonal";
constexpr char kSingularOfBatch[] =
    "matrix {} of the batch is singular: its pivot {} is 0; use linalg.lstsq "
    "or linalg.pinv, or add a small number to the diagonals";
constexpr char kNotPositive[] =
    "the matrix is not positive definite: its leading minor of order {} is not "
    "positive; add a small number to its diagonal";
constexpr char kNotPositiveOfBatch[] =
    "matrix {} of the batch is not positive definite: its leading minor of "
    "order {} is not positive; add a small number to the diagonals";

// --- Cholesky

Batch cholesky_batch(const OpCall& c) {
  const int64_t n = columns_of(c.in(0));
  const auto make = [&]<class T>(Arena& arena, T) {
    arena.matrix<T>(n, n);
    Products<T>(arena, kBlock, n, n);
  };
  return Batch(matrices(c.in(0)), bytes_of(c.in(0), make), n * n * n);
}

void cholesky_kernel(OpCall& c) {
  const TensorImpl& t = c.in(0);
  const int64_t n = columns_of(t), count = matrices(t);
  const bool upper = c.b(1);
  auto* info = c.out_impl(1).ptr<int32_t>();
  by_number(t, [&]<class T>(T) {
    cholesky_batch(c).each(c.scratch, [&](int64_t i, Arena& arena) {
      const Rows<T> a = arena.matrix<T>(n, n);
      const Products<T> products(arena, kBlock, n, n);
      load(t, i * n * n, a, n, n);
      for (int64_t row = 0; row < n; ++row) {
        for (int64_t col = 0; col < row; ++col) {
          if (!upper) a[col][row] = conjugate(a[row][col]);
        }
      }
      info[i] = cholesky(a, n, products);
      for (int64_t row = 1; row < n; ++row) std::fill_n(a[row], row, T(0));
      const Strided<T> factor(a);
      store(c.out_impl(0), i * n * n, upper ? factor : factor.adjoint(), n, n);
    });
  });
  if (c.b(2)) report_first(c, info, count, kNotPositive, kNotPositiveOfBatch);
}

// --- LU

Batch lu_batch(const OpCall& c) {
  const int64_t m = rows_of(c.in(0)), n = columns_of(c.in(0));
  const auto make = [&]<class T>(Arena& arena, T) {
    arena.matrix<T>(m, n);
    Products<T>(arena, m, n, kBlock);
  };
  return Batch(matrices(c.in(0)), bytes_of(c.in(0), make),
               m * n * std::min(m, n));
}

void lu_kernel(OpCall& c) {
  const TensorImpl& t = c.in(0);
  const int64_t m = rows_of(t), n = columns_of(t), k = std::min(m, n);
  auto* info = c.out_impl(2).ptr<int32_t>();
  auto* pivots = c.out_impl(1).ptr<int32_t>();
  by_number(t, [&]<class T>(T) {
    lu_batch(c).each(c.scratch, [&](int64_t i, Arena& arena) {
      const Rows<T> a = arena.matrix<T>(m, n);
      const Products<T> products(arena, m, n, kBlock);
      load(t, i * m * n, a, m, n);
      info[i] = lu_factor(a, m, n, pivots + i * k, c.b(1), products);
      store<T>(c.out_impl(0), i * m * n, a, m, n);
    });
  });
  if (c.b(2)) {
    report_first(c, info, matrices(t), kSingular, kSingularOfBatch);
  }
}

// The permutation that exchanges of rows amount to: row i of the product P^T A
// is row permutation[i] of A.
void permutation_kernel(OpCall& c) {
  const TensorImpl& t = c.in(0);
  const int64_t k = columns_of(c.in(0)), m = columns_of(c.out_impl());
  const auto* pivots = t.ptr<int32_t>();
  auto* permutation = c.out_impl().ptr<int64_t>();
  const int64_t count = m > 0 ? c.out_impl().numel / m : 0;
  for (int64_t i = 0; i < count; ++i, pivots += k, permutation += m) {
    for (int64_t j = 0; j < m; ++j) permutation[j] = j;
    for (int64_t j = 0; j < k; ++j) {
      const int64_t p = int64_t{pivots[j]} - 1;
      if (p < 0 || p >= m) {
        return c.report("a pivot is {}; they must lie in 1..{}", p + 1, m);
      }
      std::swap(permutation[j], permutation[p]);
    }
  }
}

// --- determinants

void det_kernel(OpCall& c) {
  const TensorImpl& t = c.in(0);
  const int64_t n = columns_of(t);
  by_number(t, [&]<class T>(T) {
    lu_batch(c).each(c.scratch, [&](int64_t i, Arena& arena) {
      const Rows<T> a = arena.matrix<T>(n, n);
      const Products<T> products(arena, n, n, kBlock);
      // Behind the matrix's own, there is scratch for as many pivots.
      auto* const pivots =
          reinterpret_cast<int32_t*>(static_cast<char*>(c.scratch) +
                                     lu_batch(c).total()) +
          i * n;
      load(t, i * n * n, a, n, n);
      lu_factor(a, n, n, pivots, true, products);
      T product = 1;
      for (int64_t j = 0; j < n; ++j) {
        product *= pivots[j] == j + 1 ? a[j][j] : -a[j][j];
      }
      store<T>(c.out_impl(), i, Rows<T>{&product, 1}, 1, 1);
    });
  });
}

int64_t det_scratch(const OpCall& c) {
  return lu_batch(c).total() +
         c.in(0).numel * static_cast<int64_t>(sizeof(int32_t));
}

// --- systems

// X of A X = B, or of X A = B, whose transpose is A^T X^T = B^T.
struct System {
  int64_t n, k;  // of A; of B, columns or rows
  bool left;
  std::span<const int64_t> batch;

  System(const OpCall& c, bool left)
      : n(columns_of(c.in(0))),
        k(left ? columns_of(c.out_impl()) : rows_of(c.out_impl())),
        left(left),
        batch(batch_of(c.out_impl())) {}

  // Matrix i of `t`, which has these rows and columns, or as many columns and
  // rows where the system is transposed.
  template <class T>
  void load_operand(const TensorImpl& t, int64_t i, Rows<T> to, int64_t rows,
                    int64_t columns, T* copy) const {
    const int64_t first = matrix_at(t, batch, i) * rows * columns;
    if (left) return load(t, first, to, rows, columns);
    const Rows<T> given{copy, rows};
    load(t, first, given, columns, rows);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < columns; ++j) to[r][j] = given[j][r];
    }
  }
  template <class T, class Memory>
  void load_both(const OpCall& c, int64_t i, const Memory& memory) const {
    load_operand<T>(c.in(0), i, memory.a, n, n, memory.copy);
    load_operand<T>(c.in(1), i, memory.x, n, k, memory.copy);
  }
  template <class T>
  void store_solution(const TensorImpl& t, int64_t i, Rows<T> x) const {
    const Strided<T> solution(x);
    if (left) return store(t, i * n * k, solution, n, k);
    store(t, i * n * k, solution.transposed(), k, n);
  }
};

template <class T>
struct SystemMemory {
  SystemMemory(Arena& arena, const System& s)
      : a(arena.matrix<T>(s.n, s.n)),
        x(arena.matrix<T>(s.n, s.k)),
        copy(arena.take<T>(s.left ? 0 : s.n * std::max(s.n, s.k))),
        pivots(arena.take<int32_t>(s.n)),
        products(arena, s.n, std::max(s.n, s.k), kBlock) {}
  Rows<T> a, x;
  T* copy;
  int32_t* pivots;
  Products<T> products;
};

Batch system_batch(const OpCall& c, const System& s, bool decomposed) {
  const auto make = [&]<class T>(Arena& arena, T) {
    SystemMemory<T>(arena, s);
  };
  return Batch(matrices(c.out_impl()), bytes_of(c.in(0), make),
               s.n * s.n * (s.k + (decomposed ? 0 : s.n)));
}

void triangular_kernel(OpCall& c) {
  const System s(c, c.b(3));
  by_number(c.in(0), [&]<class T>(T) {
    system_batch(c, s, true).each(c.scratch, [&](int64_t i, Arena& arena) {
      const SystemMemory<T> memory(arena, s);
      s.load_both<T>(c, i, memory);
      solve_triangular<T>(memory.a, c.b(2) == s.left, c.b(4), s.n, memory.x,
                          s.k, memory.products);
      s.store_solution(c.out_impl(), i, memory.x);
    });
  });
}

void solve_kernel(OpCall& c) {
  const System s(c, c.b(2));
  auto* info = c.out_impl(1).ptr<int32_t>();
  by_number(c.in(0), [&]<class T>(T) {
    system_batch(c, s, false).each(c.scratch, [&](int64_t i, Arena& arena) {
      const SystemMemory<T> memory(arena, s);
      s.load_both<T>(c, i, memory);
      info[i] =
          lu_factor(memory.a, s.n, s.n, memory.pivots, true, memory.products);
      lu_solve(memory.a, memory.pivots, s.n, memory.x, s.k, memory.products);
      s.store_solution(c.out_impl(), i, memory.x);
    });
  });
  if (c.b(3)) {
    report_first(c, info, matrices(c.out_impl()), kSingular, kSingularOfBatch);
  }
}

}  // namespace
}  // namespace cpu

extern const KernelDef linalg_cholesky_ex_cpu = {
    .name = "linalg_cholesky_ex",
    .run = cpu::cholesky_kernel,
    .scratch = [](const OpCall& c) { return cpu::cholesky_batch(c).total(); },
};
extern const KernelDef linalg_lu_factor_ex_cpu = {
    .name = "linalg_lu_factor_ex",
    .run = cpu::lu_kernel,
    .scratch = [](const OpCall& c) { return cpu::lu_batch(c).total(); },
};
extern const KernelDef lu_permutation_cpu = {
    .name = "lu_permutation",
    .run = cpu::permutation_kernel,
};
extern const KernelDef det_cpu = {
    .name = "det",
    .run = cpu::det_kernel,
    .scratch = cpu::det_scratch,
};
extern const KernelDef linalg_solve_triangular_cpu = {
    .name = "linalg_solve_triangular",
    .run = cpu::triangular_kernel,
    .scratch =
        [](const OpCall& c) {
          const cpu::System s(c, c.b(3));
          return cpu::system_batch(c, s, true).total();
        },
};
extern const KernelDef solve_matrices_cpu = {
    .name = "solve_matrices",
    .run = cpu::solve_kernel,
    .scratch =
        [](const OpCall& c) {
          const cpu::System s(c, c.b(2));
          return cpu::system_batch(c, s, false).total();
        },
};

}  // namespace ferrule
