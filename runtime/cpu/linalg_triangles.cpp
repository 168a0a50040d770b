// Triangular systems, and the decompositions into triangles: LU, Cholesky.
//
// Blocks of kBlock columns are decomposed row by row; what they change in the
// rest of the matrix is one product. Source: Golub and Van Loan, "Matrix
// Computations", 4th edition, sections 3.1.5, 3.4 and 4.2.
#include "runtime/cpu/linalg.h"

namespace ferrule::cpu {

template <class T>
void solve_triangular(Strided<T> a, bool upper, bool unit, int64_t n, Rows<T> x,
                      int64_t k, const Products<T>& products) {
  const auto solve_row = [&](int64_t i, int64_t first, int64_t end) {
    T factors[kBlock];
    for (int64_t j = first; j < end; ++j) {
      factors[j - first] = -(a.conj ? conjugate(a.at(i, j)) : a.at(i, j));
    }
    add_rows(x[i], k, factors, 1, x[first], x.row, end - first);
    if (unit) return;
    const T pivot = a.conj ? conjugate(a.at(i, i)) : a.at(i, i);
    for (int64_t j = 0; j < k; ++j) x[i][j] /= pivot;
  };
  if (upper) {
    for (int64_t end = n; end > 0;) {
      const int64_t begin = std::max<int64_t>(0, end - kBlock);
      for (int64_t i = end - 1; i >= begin; --i) solve_row(i, i + 1, end);
      products.subtract(x, begin, k, end - begin, a.from(0, begin),
                        x.from(begin, 0));
      end = begin;
    }
  } else {
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t end = std::min(n, begin + kBlock);
      for (int64_t i = begin; i < end; ++i) solve_row(i, begin, i);
      products.subtract(x.from(end, 0), n - end, k, end - begin,
                        a.from(end, begin), x.from(begin, 0));
    }
  }
}

namespace {

// The row with the largest element of column j, from row j on.
template <class T>
int64_t pivot_row(Rows<T> a, int64_t m, int64_t j) {
  int64_t best = j;
  double largest = magnitude(a[j][j]);
  for (int64_t i = j + 1; i < m; ++i) {
    const double size = magnitude(a[i][j]);
    const bool larger = size > largest;  // which nobody can predict
    best = larger ? i : best;
    largest = larger ? size : largest;
  }
  return best;
}

}  // namespace

template <class T>
int32_t lu_factor(Rows<T> a, int64_t m, int64_t n, int32_t* pivots, bool pivot,
                  const Products<T>& products) {
  int32_t singular = 0;
  const int64_t columns = std::min(m, n);
  for (int64_t begin = 0; begin < columns; begin += kBlock) {
    const int64_t end = std::min(columns, begin + kBlock);
    for (int64_t j = begin; j < end; ++j) {
      const int64_t p = pivot ? pivot_row(a, m, j) : j;
      pivots[j] = static_cast<int32_t>(p + 1);
      if (p != j) std::swap_ranges(a[j], a[j] + n, a[p]);
      if (a[j][j] == T(0)) {
        if (singular == 0) singular = static_cast<int32_t>(j + 1);
        continue;
      }
      const T pivot_value = a[j][j];
      for (int64_t i = j + 1; i < m; ++i) a[i][j] /= pivot_value;
      subtract_outer(a[j + 1] + j + 1, a.row, m - j - 1, end - j - 1,
                     a[j + 1] + j, a.row, a[j] + j + 1);
    }
    if (end == n) break;
    const Rows<T> right = a.from(begin, end);
    solve_triangular<T>(a.from(begin, begin), false, true, end - begin, right,
                        n - end, products);
    products.subtract(a.from(end, end), m - end, n - end, end - begin,
                      a.from(end, begin), right);
  }
  return singular;
}

template <class T>
void lu_solve(Rows<T> lu, const int32_t* pivots, int64_t n, Rows<T> x,
              int64_t k, const Products<T>& products) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t p = pivots[i] - 1;
    if (p != i) std::swap_ranges(x[i], x[i] + k, x[p]);
  }
  solve_triangular<T>(lu, false, true, n, x, k, products);
  solve_triangular<T>(lu, true, false, n, x, k, products);
}

template <class T>
int32_t cholesky(Rows<T> a, int64_t n, const Products<T>& products) {
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    // What the rows above have to do with these.
    products.subtract(a.from(begin, begin), end - begin, n - begin, begin,
                      Strided<T>(a.from(0, begin)).adjoint(), a.from(0, begin));
    for (int64_t j = begin; j < end; ++j) {
      const double square = real_part(a[j][j]);
      if (!(square > 0)) return static_cast<int32_t>(j + 1);
      const double pivot = std::sqrt(square);
      for (int64_t i = j; i < n; ++i) a[j][i] /= pivot;
      a[j][j] = pivot;
      for (int64_t i = j + 1; i < end; ++i) {
        add_row(a[i] + i, n - i, -conjugate(a[j][i]), a[j] + i);
      }
    }
  }
  return 0;
}

#define FE_TRIANGLES_FOR(T)                                                  \
  template void solve_triangular(Strided<T>, bool, bool, int64_t, Rows<T>,   \
                                 int64_t, const Products<T>&);               \
  template int32_t lu_factor(Rows<T>, int64_t, int64_t, int32_t*, bool,      \
                             const Products<T>&);                            \
  template void lu_solve(Rows<T>, const int32_t*, int64_t, Rows<T>, int64_t, \
                         const Products<T>&);                                \
  template int32_t cholesky(Rows<T>, int64_t, const Products<T>&);
FE_TRIANGLES_FOR(double)
FE_TRIANGLES_FOR(Complex)
#undef FE_TRIANGLES_FOR

}  // namespace ferrule::cpu
