// Householder's reflectors, and the QR decomposition. Source: Golub and Van
// Loan, "Matrix Computations", 4th edition, sections 5.1 and 5.2.
#include "runtime/cpu/linalg_reflectors.h"

namespace ferrule::cpu {
namespace {

constexpr int64_t kRowsWork = 1 << 15;

// w = tau v^H A and A -= v w, for v of m elements, v_step apart, the first of
// which counts as 1.
template <class T>
void reflect_rows(const T* v, int64_t v_step, T tau, Rows<T> a, int64_t m,
                  int64_t n, T* w) {
  if (tau == T(0)) return;
  const T* const below = v + v_step;
  std::copy_n(a[0], n, w);
  if constexpr (std::is_same_v<T, double>) {
    add_rows(w, n, below, v_step, a[1], a.row, m - 1);
  } else {
    for (int64_t i = 1; i < m; ++i) {
      add_row(w, n, conjugate(v[i * v_step]), a[i]);
    }
  }
  for (int64_t j = 0; j < n; ++j) w[j] *= tau;
  add_row(a[0], n, T(-1), w);
  parallel_for(m - 1, kRowsWork / std::max<int64_t>(n, 1),
               [&](int64_t i, int64_t end) {
                 subtract_outer(a[i + 1], a.row, end - i, n, below + i * v_step,
                                v_step, w);
               });
}

}  // namespace

template <class T>
T make_reflector(int64_t n, T* x, int64_t step) {
  double below = 0;
  for (int64_t i = 1; i < n; ++i) below += square(x[i * step]);
  const T alpha = x[0];
  if (below == 0 && imag_part(alpha) == 0) return 0;
  const double length = std::sqrt(square(alpha) + below);
  const double beta = real_part(alpha) >= 0 ? -length : length;
  const T scale = T(1) / (alpha - beta);
  for (int64_t i = 1; i < n; ++i) x[i * step] *= scale;
  x[0] = beta;
  return (beta - alpha) / beta;
}

// --- blocks

template <class T>
Reflectors<T>::Reflectors(Arena& arena, int64_t m, int64_t n,
                          const Products<T>& products)
    : products_(products),
      vectors_(arena.take<T>(m * kBlock)),
      triangle_(arena.take<T>(kBlock * kBlock)),
      inner_(arena.take<T>(kBlock * n)),
      outer_(arena.take<T>(kBlock * n)) {}

template <class T>
void Reflectors<T>::apply_block(Strided<T> vectors, const T* taus, int64_t m,
                                int64_t k, Rows<T> c, int64_t n,
                                bool adjoint) const {
  const Rows<T> v{vectors_, k}, s{triangle_, kBlock};
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < k; ++j) {
      v[i][j] = i > j ? vectors.at(i, j) : T(i == j ? 1 : 0);
    }
  }
  // S is upper triangular: column j is -tau_j S (V^H v_j) above tau_j. First
  // all products of the vectors, which go where S is made.
  for (int64_t i = 0; i < k; ++i) std::fill_n(s[i], k, T(0));
  products_.add(s, k, k, m, Strided<T>(v).adjoint(), v);
  for (int64_t j = 0; j < k; ++j) {
    for (int64_t i = 0; i < j; ++i) {  // reads what lies below, not above
      T sum = 0;
      for (int64_t l = i; l < j; ++l) sum += s[i][l] * s[l][j];
      s[i][j] = -taus[j] * sum;
    }
    s[j][j] = taus[j];
    std::fill(s[j], s[j] + j, T(0));
  }
  const Rows<T> inner{inner_, n}, outer{outer_, n};
  std::fill_n(inner_, k * n, T(0));
  std::fill_n(outer_, k * n, T(0));
  products_.add(inner, k, n, m, Strided<T>(v).adjoint(), c);
  const Strided<T> factor(s);
  products_.add(outer, k, n, k, adjoint ? factor.adjoint() : factor, inner);
  for (int64_t i = 0; i < k * n; ++i) outer_[i] = -outer_[i];
  products_.add(c, m, n, k, v, outer);
}

template <class T>
void Reflectors<T>::apply(Strided<T> vectors, const T* taus, int64_t m,
                          int64_t k, Rows<T> c, int64_t n, bool adjoint) const {
  const int64_t blocks = (k + kBlock - 1) / kBlock;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t at = (adjoint ? b : blocks - 1 - b) * kBlock;
    apply_block(vectors.from(at, at), taus + at, m - at,
                std::min(kBlock, k - at), c.from(at, 0), n, adjoint);
  }
}

template <class T>
void Reflectors<T>::form(Strided<T> vectors, const T* taus, int64_t m,
                         int64_t k, Rows<T> q, int64_t n) const {
  set_identity(q, m, n);
  // Blocks from the last to the first find zeros left of and above them.
  for (int64_t at = (k - 1) / kBlock * kBlock; k > 0 && at >= 0; at -= kBlock) {
    apply_block(vectors.from(at, at), taus + at, m - at,
                std::min(kBlock, k - at), q.from(at, at), n - at, false);
  }
}

// --- QR

template <class T>
void qr_factor(Rows<T> a, int64_t m, int64_t n, T* taus,
               const Reflectors<T>& reflectors) {
  const int64_t columns = std::min(m, n);
  T row[kBlock];
  for (int64_t begin = 0; begin < columns; begin += kBlock) {
    const int64_t end = std::min(columns, begin + kBlock);
    for (int64_t j = begin; j < end; ++j) {
      taus[j] = make_reflector(m - j, a[j] + j, a.row);
      reflect_rows(a[j] + j, a.row, conjugate(taus[j]), a.from(j, j + 1), m - j,
                   end - j - 1, row);
    }
    reflectors.apply(a.from(begin, begin), taus + begin, m - begin, end - begin,
                     a.from(begin, end), n - end, true);
  }
}

#define FE_REFLECTORS_FOR(T)                       \
  template T make_reflector(int64_t, T*, int64_t); \
  template class Reflectors<T>;                    \
  template void qr_factor(Rows<T>, int64_t, int64_t, T*, const Reflectors<T>&);
FE_REFLECTORS_FOR(double)
FE_REFLECTORS_FOR(Complex)
#undef FE_REFLECTORS_FOR

}  // namespace ferrule::cpu
