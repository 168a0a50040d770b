// The QR decomposition with column pivoting. Sources: P. Businger and G. Golub,
// "Linear Least Squares Solutions by Householder Transformations", 1965; blocks
// of columns: G. Quintana-Orti, X. Sun and C. Bischof, "A BLAS-3 Version of the
// QR Factorization with Column Pivoting", 1998; when to compute norms anew:
// Z. Drmac and Z. Bujanovic, "On the Failure of Rank-Revealing QR Factorization
// Software", 2008.
#include "runtime/cpu/linalg_pivoted_qr.h"

#include <limits>

namespace ferrule::cpu {
namespace {

constexpr int64_t kStripWork = 1 << 15;

// An extreme singular value of a triangle R that grows by columns, estimated as
// |y^H R| for a y of length 1 (C. Bischof, "Incremental Condition Estimation",
// 1990).
template <class T>
struct Extreme {
  bool largest;
  T* y;
  double value = 0;

  // Column k of R is `column`, `step` elements apart, with `corner` on the
  // diagonal. The new y is (u0 y, u1), for the left singular vector u of
  // ((value, alpha), (0, corner)).
  void grow(int64_t k, const T* column, int64_t step, double corner) {
    if (k == 0) {
      y[0] = 1;
      value = std::abs(corner);
      return;
    }
    T alpha = 0;
    for (int64_t i = 0; i < k; ++i) alpha += conjugate(y[i]) * column[i * step];
    const double first = value * value + square(alpha);
    const double second = corner * corner;
    const double product = value * std::abs(corner);  // of both values
    const double sum = first + second;                // of their squares
    const double squared =
        (sum +
         std::sqrt(std::max(0.0, (sum - 2 * product) * (sum + 2 * product)))) /
        2;
    // The larger value's vector, by the row in which less cancels.
    T u[] = {alpha * corner, squared - first};
    if (first > second) {
      u[0] = squared - second;
      u[1] = conjugate(alpha) * corner;
    }
    const double length = std::sqrt(square(u[0]) + square(u[1]));
    if (length > 0) {
      u[0] /= length;
      u[1] /= length;
    } else {
      u[0] = 1;
    }
    value = std::sqrt(squared);
    if (!largest) {
      if (value > 0) value = product / value;
      const T other = u[0];
      u[0] = -conjugate(u[1]);
      u[1] = conjugate(other);
    }
    for (int64_t i = 0; i < k; ++i) y[i] *= u[0];
    y[k] = u[1];
  }
};

}  // namespace

template <class T>
PivotedQr<T>::PivotedQr(Arena& arena, int64_t m, int64_t n,
                        const Products<T>& products)
    : order(arena.take<int64_t>(n)),
      m_(m),
      n_(n),
      products_(products),
      norms_(arena.take<double>(n)),
      left_(arena.take<double>(n)),
      changes_(arena.take<T>(kBlock * n)),
      vector_(arena.take<T>(m)),
      smallest_(arena.take<T>(std::min(m, n))),
      largest_(arena.take<T>(std::min(m, n))) {}

template <class T>
void PivotedQr<T>::exchange(Rows<T> a, int64_t i, int64_t j) {
  if (i == j) return;
  for (int64_t row = 0; row < m_; ++row) std::swap(a[row][i], a[row][j]);
  for (int64_t l = 0; l < kBlock; ++l) {
    std::swap(changes_[l * n_ + i], changes_[l * n_ + j]);
  }
  std::swap(norms_[i], norms_[j]);
  std::swap(left_[i], left_[j]);
  std::swap(order[i], order[j]);
}

template <class T>
void PivotedQr<T>::measure(Rows<T> a, int64_t begin) {
  std::fill(left_ + begin, left_ + n_, 0.0);
  for (int64_t i = begin; i < m_; ++i) {
    for (int64_t j = begin; j < n_; ++j) left_[j] += square(a[i][j]);
  }
  std::copy(left_ + begin, left_ + n_, norms_ + begin);
}

template <class T>
int64_t PivotedQr<T>::factor(Rows<T> a, T* taus, double rcond) {
  // Below this part of a norm its difference is mostly rounding.
  const double trusted = std::sqrt(std::numeric_limits<double>::epsilon());
  const int64_t k = std::min(m_, n_);
  Extreme<T> smallest{false, smallest_}, largest{true, largest_};
  for (int64_t j = 0; j < n_; ++j) order[j] = j;
  std::fill_n(changes_, kBlock * n_, T(0));
  for (int64_t begin = 0, j = 0; begin < k; begin = j) {
    measure(a, begin);
    // Reflectors of a block change the rest of the matrix when it is finished,
    // as one product: A -= V G. Until then, of what is not yet decomposed only
    // the rows of R are up to date.
    const Rows<T> g{changes_, n_};
    bool trustworthy = true;
    for (; j < std::min(k, begin + kBlock) && trustworthy; ++j) {
      const int64_t done = j - begin, rest = n_ - j - 1;
      exchange(a, j, std::max_element(left_ + j, left_ + n_) - left_);
      T factors[kBlock];
      for (int64_t l = 0; l < done; ++l) factors[l] = g[l][j];
      for (int64_t i = j; i < m_; ++i) {
        a[i][j] -= dot(a[i] + begin, factors, done);
      }
      taus[j] = make_reflector(m_ - j, a[j] + j, a.row);
      const double corner = real_part(a[j][j]);
      smallest.grow(j, a.data + j, a.row, corner);
      largest.grow(j, a.data + j, a.row, corner);
      if (!(smallest.value > rcond * largest.value)) return j;
      // tau v^H (A - V G), of which v^H A and v^H V are one sum over rows.
      vector_[0] = 1;
      for (int64_t i = j + 1; i < m_; ++i) vector_[i - j] = conjugate(a[i][j]);
      T* const change = g[done];
      parallel_for(n_ - begin, std::max(kBlock, kStripWork / (m_ - j)),
                   [&](int64_t at, int64_t end) {
                     T* const sums = change + begin + at;
                     std::fill_n(sums, end - at, T(0));
                     add_rows(sums, end - at, vector_, 1, a[j] + begin + at,
                              a.row, m_ - j);
                   });
      for (int64_t l = 0; l < done; ++l) factors[l] = -change[begin + l];
      add_rows(change + j + 1, rest, factors, 1, g.data + j + 1, n_, done);
      const T tau = conjugate(taus[j]);
      for (int64_t c = j + 1; c < n_; ++c) change[c] *= tau;
      // The row of R, and what of the columns is left below it.
      for (int64_t l = 0; l < done; ++l) factors[l] = -a[j][begin + l];
      factors[done] = -1;
      add_rows(a[j] + j + 1, rest, factors, 1, g.data + j + 1, n_, done + 1);
      for (int64_t c = j + 1; c < n_; ++c) {
        left_[c] = std::max(0.0, left_[c] - square(a[j][c]));
        if (left_[c] < trusted * norms_[c]) trustworthy = false;
      }
    }
    products_.subtract(a.from(j, j), m_ - j, n_ - j, j - begin,
                       a.from(j, begin), g.from(0, j));
  }
  return k;
}

template class PivotedQr<double>;
template class PivotedQr<Complex>;

}  // namespace ferrule::cpu
