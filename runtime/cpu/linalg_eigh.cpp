// Kernels of eigenvalues and eigenvectors of Hermitian matrices: tridiagonal
// form, then the implicit QL iteration with Wilkinson's shifts (Golub and Van
// Loan, "Matrix Computations", 4th edition, section 8.3).
#include <limits>
#include <numeric>

#include "runtime/cpu/linalg_iterations.h"
#include "runtime/cpu/linalg_reductions.h"
#include "runtime/cpu/linalg_rotations.h"

namespace ferrule {
namespace cpu {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
// An eigenvalue takes two or three on the average.
constexpr int kMostIterations = 60;

// Turns the tridiagonal matrix of d, and e beside it, into the diagonal one of
// its eigenvalues by rotations. e has room for n elements. False: it did not
// converge.
template <class Rotate>
bool diagonalize(int64_t n, double* d, double* e, const Rotate& rotate) {
  if (n > 0) e[n - 1] = 0;
  for (int64_t low = 0; low < n; ++low) {
    for (int iteration = 0;; ++iteration) {
      int64_t high = low;
      while (high + 1 < n &&
             std::abs(e[high]) >
                 kEpsilon * (std::abs(d[high]) + std::abs(d[high + 1]))) {
        ++high;
      }
      if (high == low) break;
      if (iteration == kMostIterations) return false;
      // The shift is the eigenvalue of the first 2 x 2 block near d[low].
      const double half = (d[low + 1] - d[low]) / (2 * e[low]);
      const double root = std::copysign(std::hypot(half, 1.0), half);
      double bulge = d[high] - d[low] + e[low] / (half + root);
      double c = 1, s = 1, moved = 0;
      int64_t i = high - 1;
      for (; i >= low; --i) {
        const double outside = s * e[i], inside = c * e[i];
        const double length = std::sqrt(outside * outside + bulge * bulge);
        e[i + 1] = length;
        if (length == 0) {  // the block falls apart here
          d[i + 1] -= moved;
          e[high] = 0;
          break;
        }
        s = outside / length;
        c = bulge / length;
        const double shifted = d[i + 1] - moved;
        const double cross = (d[i] - shifted) * s + 2 * c * inside;
        moved = s * cross;
        d[i + 1] = shifted + moved;
        bulge = c * cross - inside;
        rotate(i + 1, i, c, s);
      }
      if (i >= low) continue;
      d[low] -= moved;
      e[low] = bulge;
      e[high] = 0;
    }
  }
  return true;
}

// The memory of one matrix.
template <class T>
struct Eigh {
  Eigh(Arena& arena, int64_t n, bool vectors)
      : n(n),
        a(arena.matrix<T>(n, n)),
        diagonal(arena.take<double>(n)),
        beside(arena.take<double>(n)),
        taus(arena.take<T>(n)),
        order(arena.take<int64_t>(n)),
        panels(arena, n),
        products(arena, n, n, kBlock),
        reflectors(arena, vectors ? n : 0, vectors ? n : 0, products),
        rotations(arena, vectors ? n : 0),
        q(arena.matrix<T>(vectors ? n : 0, n)) {}

  // The eigenvalues, in `diagonal[order[0]]`, ...; their vectors are rows of a.
  bool run(bool vectors) {
    tridiagonalize(a, n, diagonal, beside, taus, panels, products);
    if (vectors) {
      set_identity(q, n, n);
      reflectors.form(Strided<T>(a).from(0, 1).transposed(), taus, n - 1, n - 1,
                      q.from(1, 1), n - 1);
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) a[i][j] = q[j][i];
      }
      rotations.start(a, n);
    }
    const bool converged = diagonalize(
        n, diagonal, beside, [&](int64_t x, int64_t y, double c, double s) {
          if (vectors) rotations.rotate(x, y, c, s);
        });
    if (vectors) rotations.finish();
    std::iota(order, order + n, 0);
    std::sort(order, order + n, [&](int64_t i, int64_t j) {
      return diagonal[i] != diagonal[j] ? diagonal[i] < diagonal[j] : i < j;
    });
    return converged;
  }

  int64_t n;
  Rows<T> a;
  double *diagonal, *beside;
  T* taus;
  int64_t* order;
  Panels<T> panels;
  Products<T> products;
  Reflectors<T> reflectors;
  Rotations<T> rotations;
  Rows<T> q;
};

bool upper(const OpCall& c) { return c.str(1)[0] == 'U'; }

Batch batch_of(const OpCall& c, bool vectors) {
  const int64_t n = c.in(0).shape[c.in(0).ndim - 1];
  const int64_t bytes = by_number(c.in(0), [&]<class T>(T) {
    Arena arena;
    Eigh<T>(arena, n, vectors);
    return arena.used();
  });
  return Batch(matrices(c.in(0)), bytes, 10 * n * n * n);
}

void eigen(OpCall& c, bool vectors) {
  const TensorImpl& t = c.in(0);
  const int64_t n = t.shape[t.ndim - 1];
  iterate(
      c, batch_of(c, vectors),
      [&]<class T>(int64_t i, Arena& arena, double scale) {
        Eigh<T> work(arena, n, vectors);
        load(t, i * n * n, work.a, n, n, scale);
        for (int64_t row = 0; row < n; ++row) {
          work.a[row][row] = real_part(work.a[row][row]);
          for (int64_t col = 0; col < row; ++col) {
            T &low = work.a[row][col], &high = work.a[col][row];
            if (upper(c)) {
              low = conjugate(high);
            } else {
              high = conjugate(low);
            }
          }
        }
        const bool converged = work.run(vectors);
        for (int64_t k = 0; k < n; ++k) {
          const int64_t from = work.order[k];
          store<double>(c.out_impl(0), i * n + k,
                        Rows<double>{work.diagonal + from, 1}, 1, 1, 1 / scale);
        }
        if (!vectors) return converged;
        for (int64_t k = 0; k < n; ++k) {
          const T* const vector = work.a[work.order[k]];
          const T phase = phase_of(vector, n);
          for (int64_t j = 0; j < n; ++j) work.q[k][j] = vector[j] * phase;
        }
        store(c.out_impl(1), i * n * n, Strided<T>(work.q).transposed(), n, n);
        return converged;
      });
}

int64_t scratch(const OpCall& c, bool vectors) {
  return iterations_scratch(c, batch_of(c, vectors));
}

}  // namespace
}  // namespace cpu

extern const KernelDef linalg_eigh_cpu = {
    .name = "linalg_eigh",
    .run = [](OpCall& c) { cpu::eigen(c, true); },
    .scratch = [](const OpCall& c) { return cpu::scratch(c, true); },
};
extern const KernelDef linalg_eigvalsh_cpu = {
    .name = "linalg_eigvalsh",
    .run = [](OpCall& c) { cpu::eigen(c, false); },
    .scratch = [](const OpCall& c) { return cpu::scratch(c, false); },
};

}  // namespace ferrule
