// The singular value decomposition: QR, bidiagonal form of R, then the
// iteration of Golub and Reinsch, "Singular Value Decomposition and Least
// Squares Solutions", 1970 (Golub and Van Loan, "Matrix Computations", 4th
// edition, section 8.6).
#include "runtime/cpu/linalg_svd.h"

#include <limits>
#include <numeric>

namespace ferrule::cpu {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr int64_t kMostIterations = 60;  // a singular value, on the average

// The rotation that turns (x, y) into (length, 0).
struct Turn {
  double c = 1, s = 0, length;
  Turn(double x, double y) : length(std::sqrt(x * x + y * y)) {
    if (length == 0) return;
    c = x / length;
    s = y / length;
  }
};

// The bidiagonal matrix with d on the diagonal and e above it, on the way to
// being diagonal. left(x, y, c, s) rotates rows x and y of U^T, right of V^T.
template <class Left, class Right>
struct Bidiagonal {
  double *d, *e;
  const Left& left;
  const Right& right;

  bool negligible(int64_t i) const {
    return std::abs(e[i]) <= kEpsilon * (std::abs(d[i]) + std::abs(d[i + 1]));
  }

  // Row i, whose diagonal is 0, is emptied by rotations with the rows below.
  void clear_row(int64_t i, int64_t high) {
    double rest = e[i];
    e[i] = 0;
    for (int64_t k = i + 1; k <= high && rest != 0; ++k) {
      const Turn t(d[k], rest);
      d[k] = t.length;
      left(k, i, t.c, t.s);
      if (k == high) break;
      rest = -t.s * e[k];
      e[k] *= t.c;
    }
  }

  // The last column, whose diagonal is 0, by rotations with those before it.
  void clear_column(int64_t low, int64_t high) {
    double rest = e[high - 1];
    e[high - 1] = 0;
    for (int64_t k = high - 1; k >= low && rest != 0; --k) {
      const Turn t(d[k], rest);
      d[k] = t.length;
      right(k, high, t.c, t.s);
      if (k == low) break;
      rest = -t.s * e[k - 1];
      e[k - 1] *= t.c;
    }
  }

  // One step of the QR iteration on B^T B, of which only the shift is formed.
  void step(int64_t low, int64_t high) {
    const double above = high - 1 > low ? e[high - 2] : 0;
    const double first = d[high - 1] * d[high - 1] + above * above;
    const double last = d[high] * d[high] + e[high - 1] * e[high - 1];
    const double beside = d[high - 1] * e[high - 1];
    const double half = (first - last) / 2;
    const double root =
        std::copysign(std::sqrt(half * half + beside * beside), half);
    const double shift =
        half + root == 0 ? last : last - beside * beside / (half + root);
    double x = d[low] * d[low] - shift, y = d[low] * e[low];
    for (int64_t k = low; k < high; ++k) {
      const Turn column(x, y);
      if (k > low) e[k - 1] = column.length;
      right(k, k + 1, column.c, column.s);
      x = column.c * d[k] + column.s * e[k];
      e[k] = column.c * e[k] - column.s * d[k];
      y = column.s * d[k + 1];
      d[k + 1] *= column.c;
      const Turn row(x, y);
      d[k] = row.length;
      left(k, k + 1, row.c, row.s);
      x = row.c * e[k] + row.s * d[k + 1];
      d[k + 1] = row.c * d[k + 1] - row.s * e[k];
      e[k] = x;
      if (k + 1 == high) break;
      y = row.s * e[k + 1];
      e[k + 1] *= row.c;
    }
  }

  bool run(int64_t n) {
    int64_t high = n - 1;
    for (int64_t left_over = kMostIterations * n; high > 0; --left_over) {
      if (negligible(high - 1)) {
        e[--high] = 0;
        continue;
      }
      if (left_over < 0) return false;
      int64_t low = high - 1;
      while (low > 0 && !negligible(low - 1)) --low;
      if (low > 0) e[low - 1] = 0;
      // A diagonal element that its neighbours dwarf is 0.
      int64_t zero = low;
      for (; zero <= high; ++zero) {
        const double neighbours = (zero > low ? std::abs(e[zero - 1]) : 0) +
                                  (zero < high ? std::abs(e[zero]) : 0);
        if (std::abs(d[zero]) <= kEpsilon * neighbours) break;
      }
      if (zero > high) {
        step(low, high);
        continue;
      }
      d[zero] = 0;
      if (zero < high) {
        clear_row(zero, high);
      } else {
        clear_column(low, high);
      }
    }
    return true;
  }
};

}  // namespace

template <class T>
Svd<T>::Svd(Arena& arena, int64_t m, int64_t n, int64_t columns)
    : m(m),
      n(n),
      columns(columns),
      a(arena.matrix<T>(m, n)),
      values(arena.take<double>(n)),
      u(arena.matrix<T>(m, columns)),
      v(arena.matrix<T>(columns ? n : 0, n)),
      products(arena, m, std::max(n, columns), kBlock),
      above_(arena.take<double>(n)),
      taus_(arena.take<T>(n)),
      left_taus_(arena.take<T>(n)),
      right_taus_(arena.take<T>(n)),
      square_(m > n ? arena.matrix<T>(n, n) : a),
      left_(arena.matrix<T>(columns ? n : 0, n)),
      copy_(arena.matrix<T>(columns ? n : 0, n)),
      order_(arena.take<int64_t>(n)),
      panels_(arena, n),
      reflectors_(arena, m, std::max(n, columns), products),
      left_rotations_(arena, columns ? n : 0),
      right_rotations_(arena, columns ? n : 0) {}

template <class T>
bool Svd<T>::run() {
  if (m > n) {
    qr_factor(a, m, n, taus_, reflectors_);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) square_[i][j] = j < i ? T(0) : a[i][j];
    }
  }
  bidiagonalize(square_, n, values, above_, left_taus_, right_taus_, panels_,
                products);
  const bool vectors = columns > 0;
  if (vectors) {
    const auto transpose = [&](Rows<T> to) {
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) to[i][j] = copy_[j][i];
      }
    };
    reflectors_.form(square_, left_taus_, n, n, copy_, n);
    transpose(left_);
    set_identity(copy_, n, n);
    reflectors_.form(Strided<T>(square_).from(0, 1).transposed(), right_taus_,
                     n - 1, n - 1, copy_.from(1, 1), n - 1);
    transpose(v);
    left_rotations_.start(left_, n);
    right_rotations_.start(v, n);
  }
  const auto left = [&](int64_t x, int64_t y, double c, double s) {
    if (vectors) left_rotations_.rotate(x, y, c, s);
  };
  const auto right = [&](int64_t x, int64_t y, double c, double s) {
    if (vectors) right_rotations_.rotate(x, y, c, s);
  };
  Bidiagonal<decltype(left), decltype(right)> b{values, above_, left, right};
  const bool converged = b.run(n);
  if (vectors) {
    left_rotations_.finish();
    right_rotations_.finish();
  }
  sort_descending();
  if (!vectors) return converged;
  set_identity(u, m, columns);
  for (int64_t i = 0; i < n; ++i) {
    const T phase = phase_of(v[i], n);
    for (int64_t j = 0; j < n; ++j) {
      v[i][j] *= phase;
      u[j][i] = left_[i][j] * phase;
    }
  }
  if (m > n) reflectors_.apply(a, taus_, m, n, u, columns, false);
  return converged;
}

template <class T>
void Svd<T>::sort_descending() {
  for (int64_t i = 0; i < n; ++i) {
    if (!std::signbit(values[i])) continue;
    values[i] = -values[i];
    for (int64_t j = 0; columns > 0 && j < n; ++j) v[i][j] = -v[i][j];
  }
  std::iota(order_, order_ + n, 0);
  std::sort(order_, order_ + n, [&](int64_t i, int64_t j) {
    return values[i] != values[j] ? values[i] > values[j] : i < j;
  });
  std::copy_n(values, n, above_);
  for (int64_t i = 0; i < n; ++i) values[i] = above_[order_[i]];
  if (columns == 0) return;
  for (const Rows<T>& rows : {left_, v}) {
    for (int64_t i = 0; i < n; ++i) {
      std::copy_n(rows[order_[i]], n, copy_[i]);
    }
    for (int64_t i = 0; i < n; ++i) std::copy_n(copy_[i], n, rows[i]);
  }
}

template class Svd<double>;
template class Svd<Complex>;

}  // namespace ferrule::cpu
