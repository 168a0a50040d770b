// Schur form: Francis' double-shift QR iteration for real matrices, single
// shifts for complex ones (Golub and Van Loan, "Matrix Computations", 4th
// edition, section 7.5; exceptional shifts as in LAPACK's lahqr).
#include "runtime/cpu/linalg_schur.h"

#include <limits>

namespace ferrule::cpu {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr int kMostIterations = 60;  // for an eigenvalue
// Reflectors that are applied at once to what the next ones do not depend on.
constexpr int64_t kSteps = kMostReflectors;

// The first row of the block that ends with row `high`: above it the element
// beside the diagonal is negligible, and set to 0.
template <class T>
int64_t block_start(Rows<T> h, int64_t high, double norm) {
  int64_t low = high;
  for (; low > 0; --low) {
    double size = magnitude(h[low - 1][low - 1]) + magnitude(h[low][low]);
    if (size == 0) size = norm;
    if (magnitude(h[low][low - 1]) <= kEpsilon * size) {
      h[low][low - 1] = 0;
      break;
    }
  }
  return low;
}

template <class T>
double norm_of(Rows<T> h, int64_t n) {
  double norm = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = std::max<int64_t>(0, i - 1); j < n; ++j) {
      norm += magnitude(h[i][j]);
    }
  }
  return norm;
}

// I - tau v v^T for two or three rows, v[0] = 1, as it acts on rows and columns
// that begin with number k.
struct Small {
  double v[3] = {1, 0, 0}, tau = 0, length = 0;
  int count = 0;

  Small() = default;  // changes nothing
  Small(const double* x, int count) : count(count) {
    double scale = 0, sum = 0;
    for (int i = 0; i < count; ++i) scale = std::max(scale, std::abs(x[i]));
    if (scale == 0) return;
    for (int i = 0; i < count; ++i) sum += (x[i] / scale) * (x[i] / scale);
    length = -std::copysign(scale * std::sqrt(sum), x[0]);
    const double first = x[0] - length;
    for (int i = 1; i < count; ++i) v[i] = x[i] / first;
    tau = -first / length;
  }
  void rows(Rows<double> a, int64_t k, int64_t from, int64_t end) const {
    if (tau == 0) return;
    if (count == 3) {
      const double parts[] = {v[1], v[2], tau};
      return reflect_rows(a[k] + from, a.row, end - from, parts, 1);
    }
    double *const x = a[k], *const y = a[k + 1];
    for (int64_t j = from; j < end; ++j) {
      const double sum = tau * (x[j] + v[1] * y[j]);
      x[j] -= sum;
      y[j] -= sum * v[1];
    }
  }
  void columns(Rows<double> a, int64_t k, int64_t from, int64_t end) const {
    if (tau == 0) return;
    for (int64_t i = from; i < end; ++i) {
      double* const x = a[i] + k;
      double sum = x[0] + v[1] * x[1];
      if (count == 3) sum += v[2] * x[2];
      for (int j = 0; j < count; ++j) x[j] -= tau * sum * v[j];
    }
  }
};

// One double step on rows low ... high of a real matrix, with the eigenvalues
// of the last 2 x 2 block as shifts, or other ones where they have not helped.
void double_step(Rows<double> h, int64_t n, int64_t low, int64_t high,
                 bool exceptional, Rows<double> zt) {
  double last = h[high][high], before = h[high - 1][high - 1];
  double product = h[high][high - 1] * h[high - 1][high];
  if (exceptional) {
    const double size =
        std::abs(h[high][high - 1]) + std::abs(h[high - 1][high - 2]);
    last = before = 0.75 * size + h[high][high];
    product = -0.4375 * size * size;
  }
  // The first column of (H - s1)(H - s2), over h[m + 1][m], from the last row m
  // where the elements before it do not count.
  double x[3];
  int64_t m = high - 2;
  for (;; --m) {
    const double r = last - h[m][m], s = before - h[m][m];
    x[0] = (r * s - product) / h[m + 1][m] + h[m][m + 1];
    x[1] = h[m + 1][m + 1] - h[m][m] - r - s;
    x[2] = h[m + 2][m + 1];
    const double size = std::abs(x[0]) + std::abs(x[1]) + std::abs(x[2]);
    for (double& part : x) part /= size;
    if (m == low) break;
    const double left =
        std::abs(h[m][m - 1]) * (std::abs(x[1]) + std::abs(x[2]));
    const double right =
        std::abs(x[0]) * (std::abs(h[m - 1][m - 1]) + std::abs(h[m][m]) +
                          std::abs(h[m + 1][m + 1]));
    if (left <= kEpsilon * right) break;
  }
  // Only eigenvalues are wanted: other rows and columns do not count.
  const int64_t top = zt.data ? 0 : low, right = zt.data ? n : high + 1;
  for (int64_t begin = m; begin < high;) {
    const int64_t end = std::min(begin + kSteps, high);
    const int64_t near_end = std::min(right, end + 2);
    // The last reflector of all is one of two rows.
    const int64_t count = end == high ? end - begin - 1 : end - begin;
    double three[3 * kSteps] = {};
    Small two;
    for (int64_t k = begin; k < end; ++k) {
      const int rows = k + 2 <= high ? 3 : 2;
      if (k > m) {
        for (int i = 0; i < rows; ++i) x[i] = h[k + i][k - 1];
      }
      const Small reflector(x, rows);
      if (reflector.tau == 0) continue;
      if (k > m) {
        h[k][k - 1] = reflector.length;
        for (int i = 1; i < rows; ++i) h[k + i][k - 1] = 0;
      } else if (k > low) {
        h[k][k - 1] *= 1 - reflector.tau;
      }
      reflector.rows(h, k, k, near_end);
      reflector.columns(h, k, begin, std::min(high, k + 3) + 1);
      if (rows == 2) {
        two = reflector;
      } else {
        const double parts[] = {reflector.v[1], reflector.v[2], reflector.tau};
        std::copy_n(parts, 3, three + 3 * (k - begin));
      }
    }
    const auto all_rows = [&](Rows<double> a, int64_t from, int64_t to) {
      reflect_rows(a[begin] + from, a.row, to - from, three, count);
      two.rows(a, high - 1, from, to);
    };
    all_rows(h, near_end, right);
    reflect_columns(h[top] + begin, h.row, begin - top, three, count);
    two.columns(h, high - 1, top, begin);
    if (zt.data) all_rows(zt, 0, n);
    begin = end;
  }
}

// The eigenvalues of rows k and k + 1; real ones make them triangular.
void split(Rows<double> h, int64_t n, int64_t k, Complex* values,
           Rows<double> zt) {
  const double half = (h[k][k] - h[k + 1][k + 1]) / 2;
  const double square = half * half + h[k][k + 1] * h[k + 1][k];
  const double middle = (h[k][k] + h[k + 1][k + 1]) / 2;
  if (square < 0) {
    values[k] = {middle, std::sqrt(-square)};
    values[k + 1] = std::conj(values[k]);
    return;
  }
  // (half +- root, h[k + 1][k]) is an eigenvector.
  const double sum = half + std::copysign(std::sqrt(square), half);
  const double x[] = {sum, h[k + 1][k]};
  const Small reflector(x, 2);
  reflector.rows(h, k, k, n);
  reflector.columns(h, k, 0, k + 2);
  if (zt.data) reflector.rows(zt, k, 0, n);
  h[k + 1][k] = 0;
  values[k] = h[k][k];
  values[k + 1] = h[k + 1][k + 1];
}

}  // namespace

bool schur(Rows<double> h, int64_t n, Complex* values, Rows<double> zt) {
  const double norm = norm_of(h, n);
  int iteration = 0;
  for (int64_t high = n - 1; high >= 0;) {
    const int64_t low = block_start(h, high, norm);
    if (low + 1 < high) {
      if (++iteration > kMostIterations) return false;
      double_step(h, n, low, high, iteration % 10 == 0, zt);
      continue;
    }
    if (low == high) {
      values[high] = h[high][high];
    } else {
      split(h, n, low, values, zt);
    }
    high = low - 1;
    iteration = 0;
  }
  return true;
}

bool schur(Rows<Complex> h, int64_t n, Complex* values, Rows<Complex> zt) {
  const double norm = norm_of(h, n);
  int iteration = 0;
  for (int64_t high = n - 1; high >= 0;) {
    const int64_t low = block_start(h, high, norm);
    if (low == high) {
      values[high] = h[high][high];
      --high;
      iteration = 0;
      continue;
    }
    if (++iteration > kMostIterations) return false;
    // The eigenvalue of the last 2 x 2 block that is nearer to its last
    // element.
    Complex shift = h[high][high];
    if (iteration % 10 == 0) {
      shift += 0.75 * magnitude(h[high][high - 1]);
    } else {
      const Complex half = (h[high - 1][high - 1] - shift) / 2.0;
      const Complex product = h[high][high - 1] * h[high - 1][high];
      Complex root = std::sqrt(half * half + product);
      if (real_part(root * std::conj(half)) < 0) root = -root;
      const Complex sum = half + root;
      if (sum != 0.0) shift -= product / sum;
    }
    Complex x = h[low][low] - shift, y = h[low + 1][low];
    for (int64_t k = low; k < high; ++k) {
      if (k > low) {
        x = h[k][k - 1];
        y = h[k + 1][k - 1];
      }
      // (a, b; -conj b, conj a) turns (x, y) into (length, 0).
      const double length = std::sqrt(std::norm(x) + std::norm(y));
      if (length == 0) continue;
      const Complex a = std::conj(x) / length, b = std::conj(y) / length;
      if (k > low) {
        h[k][k - 1] = length;
        h[k + 1][k - 1] = 0;
      }
      const auto turn = [](Complex& p, Complex& q, Complex u, Complex v) {
        const Complex first = u * p + v * q;
        q = std::conj(u) * q - std::conj(v) * p;
        p = first;
      };
      for (int64_t j = k; j < n; ++j) turn(h[k][j], h[k + 1][j], a, b);
      const Complex c = std::conj(a), d = std::conj(b);
      for (int64_t i = 0; i <= std::min(high, k + 2); ++i) {
        turn(h[i][k], h[i][k + 1], c, d);
      }
      for (int64_t j = 0; zt.data && j < n; ++j) {
        turn(zt[k][j], zt[k + 1][j], c, d);
      }
    }
  }
  return true;
}

}  // namespace ferrule::cpu
