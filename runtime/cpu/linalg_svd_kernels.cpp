// Kernels of singular values and vectors, of the pseudoinverse, and of least
// squares by them.
#include "runtime/cpu/linalg_iterations.h"
#include "runtime/cpu/linalg_svd.h"

namespace ferrule {
namespace cpu {
namespace {

// A wide matrix is decomposed as its adjoint.
struct Shape {
  int64_t m, n, columns;
  int64_t k = 0;  // columns of B, for least squares
  bool wide;

  Shape(const OpCall& c, bool vectors, bool full) {
    const TensorImpl& t = c.in(0);
    m = t.shape[t.ndim - 2];
    n = t.shape[t.ndim - 1];
    wide = m < n;
    if (wide) std::swap(m, n);
    columns = !vectors ? 0 : full ? m : n;
  }
};

template <class T>
struct Memory {
  Memory(Arena& arena, const Shape& s)
      : given{arena.take<T>(s.wide ? s.m * s.n : 0), s.m},
        svd(arena, s.m, s.n, s.columns),
        b{arena.take<T>(s.m * s.k), s.k},
        y{arena.take<T>(s.n * s.k), s.k} {}
  Rows<T> given;
  Svd<T> svd;
  Rows<T> b, y;
};

Batch batch_of(const OpCall& c, const Shape& s) {
  const int64_t bytes = by_number(c.in(0), [&]<class T>(T) {
    Arena arena;
    Memory<T>(arena, s);
    return arena.used();
  });
  return Batch(matrices(c.in(0)), bytes, 10 * s.m * s.n * s.n);
}

int64_t scratch(const OpCall& c, const Shape& s) {
  return iterations_scratch(c, batch_of(c, s));
}

// Decomposes every matrix, times `scale`, and calls
// visit.operator()<T>(i, memory, scale).
template <class Visit>
void each_svd(OpCall& c, const Shape& s, bool hermitian, const Visit& visit) {
  const TensorImpl& t = c.in(0);
  iterate(c, batch_of(c, s),
          [&]<class T>(int64_t i, Arena& arena, double scale) {
            Memory<T> memory(arena, s);
            const int64_t first = i * s.m * s.n;
            const Rows<T>& a = memory.svd.a;
            if (s.wide) {
              load(t, first, memory.given, s.n, s.m, scale);
              for (int64_t row = 0; row < s.m; ++row) {
                for (int64_t col = 0; col < s.n; ++col) {
                  a[row][col] = conjugate(memory.given[col][row]);
                }
              }
            } else {
              load(t, first, a, s.m, s.n, scale);
            }
            for (int64_t row = 0; hermitian && row < s.n; ++row) {
              for (int64_t col = 0; col < row; ++col) {
                a[col][row] = conjugate(a[row][col]);
              }
            }
            const bool converged = memory.svd.run();
            visit.template operator()<T>(i, memory, scale);
            return converged;
          });
}

void store_values(const TensorImpl& t, int64_t i, int64_t n, double* values,
                  double scale) {
  store<double>(t, i * n, Rows<double>{values, n}, 1, n, 1 / scale);
}

void svd(OpCall& c) {
  const Shape s(c, true, c.b(1));
  each_svd(c, s, false,
           [&]<class T>(int64_t i, const Memory<T>& memory, double scale) {
             const Svd<T>& of = memory.svd;
             const TensorImpl &u = c.out_impl(0), &vh = c.out_impl(2);
             const int64_t tall = s.m * s.columns, square = s.n * s.n;
             const Strided<T> left(of.u), right(of.v);
             if (s.wide) {  // A^H = U S V^H, so A = V S U^H
               store(u, i * square, right.transposed(), s.n, s.n);
               store(vh, i * tall, left.adjoint(), s.columns, s.m);
             } else {
               store(u, i * tall, left, s.m, s.columns);
               store(vh, i * square, right.transposed().adjoint(), s.n, s.n);
             }
             store_values(c.out_impl(1), i, s.n, of.values, scale);
           });
}

void svdvals(OpCall& c) {
  const Shape s(c, false, false);
  each_svd(c, s, false,
           [&]<class T>(int64_t i, const Memory<T>& memory, double scale) {
             const Svd<T>& of = memory.svd;
             store_values(c.out_impl(), i, s.n, of.values, scale);
           });
}

// Element i of a tolerance: a number, or a tensor of the batch's shape that is
// dense or has one element; `otherwise`: none was given.
double tolerance(const OpCall& c, int arg, int64_t i, double otherwise) {
  if (!c.has(arg)) return otherwise;
  if (!c.is_tensor(arg)) return c.number(arg);
  double value = 0;
  const TensorImpl& t = c.in(arg);
  load(t, t.numel == 1 ? 0 : i, Rows<double>{&value, 1}, 1, 1);
  return value;
}

// P = V S^-1 U^H of the singular values above the tolerance.
void pinv(OpCall& c) {
  const Shape s(c, true, false);
  const double epsilon = epsilon_of(c.in(0).dtype);
  each_svd(
      c, s, c.b(3),
      [&]<class T>(int64_t i, const Memory<T>& memory, double scale) {
        const Svd<T>& of = memory.svd;
        const double absolute = tolerance(c, 1, i, 0);
        const double relative = tolerance(
            c, 2, i, absolute > 0 ? 0 : epsilon * static_cast<double>(s.m));
        const double least =
            std::max(absolute * scale, relative * (s.n > 0 ? of.values[0] : 0));
        // The memory of A is free: it takes the result, U S^-1 V^H or its
        // adjoint.
        for (int64_t k = 0; k < s.n; ++k) {
          const double factor = of.values[k] > least ? 1 / of.values[k] : 0;
          for (int64_t j = 0; j < s.n; ++j)
            of.v[k][j] = conjugate(of.v[k][j]) * factor;
        }
        std::fill_n(of.a.data, s.m * of.a.row, T(0));
        for (int64_t row = 0; row < s.m; ++row) {
          add_rows(of.a[row], s.n, of.u[row], 1, of.v.data, of.v.row, s.n);
        }
        const Strided<T> result(of.a);
        const int64_t rows = s.wide ? s.m : s.n, columns = s.wide ? s.n : s.m;
        store(c.out_impl(), i * rows * columns,
              s.wide ? result : result.adjoint(), rows, columns, scale);
      });
}

Shape least_squares_shape(const OpCall& c) {
  Shape s(c, true, false);
  s.k = c.in(1).shape[c.in(1).ndim - 1];
  return s;
}

}  // namespace

int64_t least_squares_svd_scratch(const OpCall& c) {
  return scratch(c, least_squares_shape(c));
}

// X = V S^-1 U^H B of the singular values above the tolerance.
void least_squares_svd(OpCall& c) {
  const Shape s = least_squares_shape(c);
  const int64_t rows = s.wide ? s.n : s.m, columns = s.wide ? s.m : s.n;
  const double relative =
      tolerance(c, 2, 0, epsilon_of(c.in(0).dtype) * static_cast<double>(s.m));
  each_svd(c, s, false,
           [&]<class T>(int64_t i, const Memory<T>& memory, double scale) {
             const Svd<T>& of = memory.svd;
             // Of a wide matrix, whose adjoint was decomposed, U and V are
             // exchanged.
             Strided<T> left(of.u), right = Strided<T>(of.v).transposed();
             if (s.wide) std::swap(left, right);
             const Rows<T>&x = memory.b, &y = memory.y;
             load(c.in(1), i * rows * s.k, memory.b, rows, s.k);
             std::fill_n(y.data, s.n * s.k, T(0));
             of.products.add(y, s.n, s.k, rows, left.adjoint(), memory.b);
             int64_t rank = 0;
             for (int64_t j = 0; j < s.n; ++j) {
               const bool counts = of.values[j] > relative * of.values[0];
               rank += counts;
               for (int64_t l = 0; l < s.k; ++l) {
                 y[j][l] *= counts ? 1 / of.values[j] : 0;
               }
             }
             std::fill_n(x.data, columns * s.k, T(0));
             of.products.add(x, columns, s.k, s.n, right, y);
             store<T>(c.out_impl(0), i * columns * s.k, x, columns, s.k, scale);
             c.out_impl(1).ptr<int64_t>()[i] = rank;
             store_values(c.out_impl(2), i, s.n, of.values, scale);
           });
}

}  // namespace cpu

extern const KernelDef linalg_svd_cpu = {
    .name = "linalg_svd",
    .run = cpu::svd,
    .scratch =
        [](const OpCall& c) {
          return cpu::scratch(c, cpu::Shape(c, true, c.b(1)));
        },
};
extern const KernelDef linalg_svdvals_cpu = {
    .name = "linalg_svdvals",
    .run = cpu::svdvals,
    .scratch =
        [](const OpCall& c) {
          return cpu::scratch(c, cpu::Shape(c, false, false));
        },
};
extern const KernelDef linalg_pinv_cpu = {
    .name = "linalg_pinv",
    .run = cpu::pinv,
    .scratch =
        [](const OpCall& c) {
          return cpu::scratch(c, cpu::Shape(c, true, false));
        },
};

}  // namespace ferrule
