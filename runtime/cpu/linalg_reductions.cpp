// Reductions of square matrices by Householder's reflectors.
#include "runtime/cpu/linalg_reductions.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kRowsWork = 1 << 15;
constexpr int64_t kStrip = 64;

// What follows is called often, and is not inlined: that takes 6 KB more.

// y[i] = the product of row i of A, of n elements, and x; m rows.
template <class T>
[[gnu::noinline]] void times_vector(T* y, Rows<T> a, int64_t m, const T* x,
                                    int64_t n) {
  parallel_for(m, kRowsWork / std::max<int64_t>(n, 1),
               [&](int64_t i, int64_t end) {
                 for (; i < end; ++i) y[i] = dot(a[i], x, n);
               });
}

// y = x A for A of m rows and n columns.
template <class T>
[[gnu::noinline]] void vector_times(T* y, const T* x, Rows<T> a, int64_t m,
                                    int64_t n) {
  std::fill_n(y, n, T(0));
  const int64_t strips = (n + kStrip - 1) / kStrip;
  parallel_for(strips, kRowsWork / std::max<int64_t>(m * kStrip, 1),
               [&](int64_t s, int64_t end) {
                 for (; s < end; ++s) {
                   const int64_t at = s * kStrip;
                   add_rows(y + at, std::min(kStrip, n - at), x, 1, a.data + at,
                            a.row, m);
                 }
               });
}

// y -= f[0] x[0] + ... of rows of n elements.
template <class T>
[[gnu::noinline]] void subtract_rows(T* y, int64_t n, const T* f,
                                     int64_t f_step, Rows<T> x, int64_t count) {
  T factors[kBlock];
  for (int64_t j = 0; j < count; ++j) factors[j] = -f[j * f_step];
  add_rows(y, n, factors, 1, x.data, x.row, count);
}

// The products of `count` rows of n elements and x.
template <class T>
[[gnu::noinline]] void dots(T* result, Rows<T> rows, int64_t count, const T* x,
                            int64_t n) {
  for (int64_t j = 0; j < count; ++j) result[j] = dot(rows[j], x, n);
}

template <class T>
void conjugate_all(T* x, int64_t n) {
  if constexpr (!std::is_same_v<T, double>) {
    for (int64_t i = 0; i < n; ++i) x[i] = conjugate(x[i]);
  }
}

template <class T>
[[gnu::noinline]] void conjugated_copy(T* to, const T* x, int64_t n) {
  std::copy_n(x, n, to);
  conjugate_all(to, n);
}

template <class T>
[[gnu::noinline]] void scale(T* x, int64_t n, T factor) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace

// A - V W^H - W V^H is what the reflectors of a block make of A; rows of `v`
// and `w` are conjugates of the columns of V and W.
template <class T>
void tridiagonalize(Rows<T> a, int64_t n, double* diagonal, double* beside,
                    T* taus, const Panels<T>& panels,
                    const Products<T>& products) {
  const Rows<T> v = panels.block(0), w = panels.block(1);
  T f[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    for (int64_t k = begin; k < end; ++k) {
      const int64_t done = k - begin, at = k + 1, rest = n - at;
      for (const auto& [x, y] : {std::pair(v, w), std::pair(w, v)}) {
        for (int64_t j = 0; j < done; ++j) f[j] = conjugate(x[j][k]);
        subtract_rows(a[k] + k, n - k, f, 1, y.from(0, k), done);
      }
      diagonal[k] = real_part(a[k][k]);
      if (rest == 0) break;
      T* const column = a[k] + at;
      conjugate_all(column, rest);
      const T tau = taus[k] = make_reflector(rest, column, 1);
      beside[k] = real_part(column[0]);
      T* const vector = panels.vector;
      std::copy_n(column, rest, vector);
      vector[0] = 1;
      T *const x = v[done] + at, *const y = w[done] + at;
      conjugated_copy(x, vector, rest);
      // w = tau (A - V W^H - W V^H) v, less a multiple of v
      times_vector(y, a.from(at, at), rest, vector, rest);
      conjugate_all(y, rest);
      T g[kBlock];
      dots(f, w.from(0, at), done, vector, rest);
      dots(g, v.from(0, at), done, vector, rest);
      conjugate_all(f, done);
      conjugate_all(g, done);
      subtract_rows(y, rest, f, 1, v.from(0, at), done);
      subtract_rows(y, rest, g, 1, w.from(0, at), done);
      scale(y, rest, conjugate(tau));
      add_row(y, rest, -conjugate(tau * dot(y, vector, rest)) / 2.0, x);
    }
    const int64_t rest = n - end, count = end - begin;
    for (const auto& [x, y] : {std::pair(v, w), std::pair(w, v)}) {
      products.subtract(a.from(end, end), rest, rest, count,
                        Strided<T>(x.from(0, end)).adjoint(), y.from(0, end));
    }
  }
}

// A - V Y^H - X U^H is what the reflectors of a block make of A, those of V
// from the left and those of U from the right; rows of `v` and `x` are columns
// of V and X, rows of `yh` and `uh` are rows of Y^H and U^H.
template <class T>
void bidiagonalize(Rows<T> a, int64_t n, double* diagonal, double* above,
                   T* left_taus, T* right_taus, const Panels<T>& panels,
                   const Products<T>& products) {
  const Rows<T> v = panels.block(0), x = panels.block(1);
  const Rows<T> yh = panels.block(2), uh = panels.block(3);
  T f[kBlock], g[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    for (int64_t k = begin; k < end; ++k) {
      const int64_t done = k - begin, at = k + 1, rest = n - at, m = n - k;
      T *const column = v[done] + k, *const conjugated = panels.conjugated;
      for (int64_t i = 0; i < m; ++i) column[i] = a[k + i][k];
      subtract_rows(column, m, &yh[0][k], yh.row, v.from(0, k), done);
      subtract_rows(column, m, &uh[0][k], uh.row, x.from(0, k), done);
      left_taus[k] = make_reflector(m, column, 1);
      diagonal[k] = real_part(column[0]);
      for (int64_t i = 0; i < m; ++i) a[k + i][k] = column[i];
      if (rest == 0) break;
      column[0] = 1;
      // y^H = conj(tau) v^H (A - V Y^H - X U^H)
      T* const y = yh[done] + at;
      conjugated_copy(conjugated, column, m);
      vector_times(y, conjugated, a.from(k, at), m, rest);
      dots(f, v.from(0, k), done, conjugated, m);
      dots(g, x.from(0, k), done, conjugated, m);
      subtract_rows(y, rest, f, 1, yh.from(0, at), done);
      subtract_rows(y, rest, g, 1, uh.from(0, at), done);
      scale(y, rest, conjugate(left_taus[k]));
      // The row is reduced as the column that it is conjugated.
      T* const row = a[k] + at;
      subtract_rows(row, rest, &v[0][k], v.row, yh.from(0, at), done + 1);
      subtract_rows(row, rest, &x[0][k], x.row, uh.from(0, at), done);
      conjugate_all(row, rest);
      right_taus[k] = make_reflector(rest, row, 1);
      above[k] = real_part(row[0]);
      T *const u = panels.vector, *const to = x[done] + at;
      std::copy_n(row, rest, u);
      u[0] = 1;
      conjugated_copy(uh[done] + at, u, rest);
      // x = tau (A - V Y^H - X U^H) u
      times_vector(to, a.from(at, at), rest, u, rest);
      dots(f, yh.from(0, at), done + 1, u, rest);
      dots(g, uh.from(0, at), done, u, rest);
      subtract_rows(to, rest, f, 1, v.from(0, at), done + 1);
      subtract_rows(to, rest, g, 1, x.from(0, at), done);
      scale(to, rest, right_taus[k]);
    }
    const int64_t rest = n - end, count = end - begin;
    for (const auto& [left, right] : {std::pair(v, yh), std::pair(x, uh)}) {
      products.subtract(a.from(end, end), rest, rest, count,
                        Strided<T>(left.from(0, end)).transposed(),
                        right.from(0, end));
    }
  }
}

// (I - V S V^H)^H (A - Y V^H), Y = A V S, is what the reflectors of a block
// make of A; rows of `v` and `y` are columns of V and Y.
template <class T>
void reduce_to_hessenberg(Rows<T> a, int64_t n, T* taus,
                          const Panels<T>& panels, const Products<T>& products,
                          const Reflectors<T>& reflectors) {
  const Rows<T> v = panels.block(0), y = panels.block(1);
  T f[kBlock], g[kBlock];
  for (int64_t begin = 0; begin + 2 < n; begin += kBlock) {
    const int64_t end = std::min(n - 2, begin + kBlock), count = end - begin;
    const int64_t first = begin + 1, below = n - first;
    const Rows<T> s{panels.block(2).data, count};
    for (int64_t k = begin; k < end; ++k) {
      const int64_t done = k - begin, at = k + 1, rest = n - at;
      T *const column = panels.vector, *const conjugated = panels.conjugated;
      for (int64_t i = 0; i < n; ++i) column[i] = a[i][k];
      for (int64_t j = 0; j < done; ++j) f[j] = conjugate(v[j][k]);
      subtract_rows(column, n, f, 1, y, done);
      conjugated_copy(conjugated, column + first, below);
      dots(g, v.from(0, first), done, conjugated, below);
      for (int64_t i = 0; i < done; ++i) {  // S^H V^H, conjugated
        f[i] = 0;
        for (int64_t j = 0; j <= i; ++j) f[i] += s[j][i] * g[j];
      }
      conjugate_all(f, done);
      subtract_rows(column + first, below, f, 1, v.from(0, first), done);
      const T tau = taus[k] = make_reflector(rest, column + at, 1);
      for (int64_t i = 0; i < n; ++i) a[i][k] = column[i];
      column[at] = 1;
      std::fill_n(v[done] + first, at - first, T(0));
      std::copy_n(column + at, rest, v[done] + at);
      conjugated_copy(conjugated, column + at, rest);
      dots(g, v.from(0, at), done, conjugated, rest);
      conjugate_all(g, done);
      for (int64_t i = 0; i < done; ++i) {
        T sum = 0;
        for (int64_t j = i; j < done; ++j) sum += s[i][j] * g[j];
        s[i][done] = -tau * sum;
      }
      s[done][done] = tau;
      times_vector(y[done], a.from(0, at), n, column + at, rest);
      subtract_rows(y[done], n, g, 1, y, done);
      scale(y[done], n, tau);
    }
    for (int64_t j = 0; j < count; ++j) conjugate_all(v[j] + end, n - end);
    products.subtract(a.from(0, end), n, n - end, count,
                      Strided<T>(y).transposed(), v.from(0, end));
    reflectors.apply(a.from(first, begin), taus + begin, below, count,
                     a.from(first, end), n - end, true);
  }
}

#define FE_REDUCTIONS_FOR(T)                                                 \
  template void tridiagonalize(Rows<T>, int64_t, double*, double*, T*,       \
                               const Panels<T>&, const Products<T>&);        \
  template void bidiagonalize(Rows<T>, int64_t, double*, double*, T*, T*,    \
                              const Panels<T>&, const Products<T>&);         \
  template void reduce_to_hessenberg(Rows<T>, int64_t, T*, const Panels<T>&, \
                                     const Products<T>&,                     \
                                     const Reflectors<T>&);
FE_REDUCTIONS_FOR(double)
FE_REDUCTIONS_FOR(Complex)
#undef FE_REDUCTIONS_FOR

}  // namespace ferrule::cpu
