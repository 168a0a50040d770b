// Kernels of eigenvalues and eigenvectors of general matrices: Hessenberg form,
// Schur form, and back substitution (Golub and Van Loan, "Matrix Computations",
// 4th edition, sections 7.4 to 7.6).
#include <algorithm>
#include <limits>

#include "runtime/cpu/linalg_reflectors.h"
#include "runtime/cpu/linalg_schur.h"

namespace ferrule {
namespace cpu {
namespace {

// The memory of one matrix.
template <class T>
struct Eig {
  Eig(Arena& arena, int64_t n, bool vectors)
      : n(n),
        h{arena.take<T>(n * n), n},
        values(arena.take<Complex>(n)),
        taus(arena.take<T>(n)),
        row(arena.take<T>(2 * n)),
        x(arena.take<Complex>(n)),
        products(arena, vectors ? n : 0, vectors ? n : 0, kBlock),
        reflectors(arena, vectors ? n : 0, vectors ? n : 0, products),
        q{arena.take<T>(vectors ? n * n : 0), n},
        zt{arena.take<T>(vectors ? n * n : 0), n},
        wide{arena.take<Complex>(vectors ? n * n : 0), n} {}

  bool run(bool vectors) {
    reduce_to_hessenberg(h, n, taus, row);
    if (vectors) {
      set_identity(q, n, n);
      if (n > 2) {
        reflectors.form(Strided<T>(h).from(1, 0), taus, n - 1, n - 2,
                        q.from(1, 1), n - 1);
      }
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) zt[i][j] = q[j][i];
      }
    }
    for (int64_t i = 2; i < n; ++i) std::fill_n(h[i], i - 1, T(0));
    return schur(h, n, values, vectors ? zt : Rows<T>{});
  }

  // The eigenvector of values[k] in terms of those of the Schur form: x with
  // (T - value) x = 0, from row k up; below it is 0.
  void substitute(int64_t k) {
    const Complex value = values[k];
    double size = 0;
    for (int64_t i = 0; i < n; ++i) size = std::max(size, magnitude(h[i][i]));
    const double least = std::max(std::numeric_limits<double>::epsilon() * size,
                                  std::numeric_limits<double>::min());
    std::fill_n(x, n, Complex(0));
    x[k] = 1;
    int64_t i = k - 1;
    if (k > 0 && h[k][k - 1] != T(0)) {  // the second of a block of two
      x[k - 1] = (value - h[k][k]) / h[k][k - 1];
      --i;
    }
    for (; i >= 0; --i) {
      const auto known = [&](int64_t r) {
        Complex sum = 0;
        for (int64_t j = i + 1; j <= k; ++j) sum += h[r][j] * x[j];
        return -sum;
      };
      const auto pivot = [&](Complex p) {
        return magnitude(p) < least ? Complex(least) : p;
      };
      if (i > 0 && h[i][i - 1] != T(0)) {
        const Complex a = h[i - 1][i - 1] - value, d = h[i][i] - value;
        const Complex b = h[i - 1][i], c = h[i][i - 1];
        const Complex above = known(i - 1), below = known(i);
        const Complex det = pivot(a * d - b * c);
        x[i - 1] = (above * d - b * below) / det;
        x[i] = (a * below - above * c) / det;
        --i;
      } else {
        x[i] = known(i) / pivot(h[i][i] - value);
      }
      if (magnitude(x[i]) < 1e100) continue;
      const double scale = 1 / magnitude(x[i]);
      for (int64_t j = i; j <= k; ++j) x[j] *= scale;
    }
  }

  // Eigenvector k as row k of `wide`, of length 1.
  void make_vector(int64_t k) {
    substitute(k);
    Complex* const v = wide[k];
    std::fill_n(v, n, Complex(0));
    for (int64_t j = 0; j <= k; ++j) {
      for (int64_t i = 0; i < n; ++i) v[i] += x[j] * zt[j][i];
    }
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += std::norm(v[i]);
    const Complex factor = phase_of(v, n) / std::sqrt(sum);
    for (int64_t i = 0; i < n; ++i) v[i] *= factor;
  }

  void make_vectors() {
    for (int64_t k = n - 1; k >= 0; --k) {
      make_vector(k);
      if (!std::is_same_v<T, double> || values[k].imag() == 0) continue;
      // The other one of a pair.
      for (int64_t i = 0; i < n; ++i) wide[k - 1][i] = std::conj(wide[k][i]);
      --k;
    }
  }

  // By real part, then a pair's positive imaginary part first: in which order
  // they are found depends on roundings, and so on the instruction set.
  void sort(bool vectors) {
    const auto before = [](const Complex& a, const Complex& b) {
      return a.real() != b.real() ? a.real() < b.real() : a.imag() > b.imag();
    };
    for (int64_t k = 0; k < n; ++k) {
      const int64_t least =
          std::min_element(values + k, values + n, before) - values;
      if (least == k) continue;
      std::swap(values[k], values[least]);
      if (vectors) std::swap_ranges(wide[k], wide[k] + n, wide[least]);
    }
  }

  int64_t n;
  Rows<T> h;
  Complex* values;
  T *taus, *row;
  Complex* x;
  Products<T> products;
  Reflectors<T> reflectors;
  Rows<T> q, zt;
  Rows<Complex> wide;
};

Batch batch_of(const OpCall& c, bool vectors) {
  const int64_t n = c.in(0).shape[c.in(0).ndim - 1];
  const int64_t bytes = by_number(c.in(0), [&]<class T>(T) {
    Arena arena;
    Eig<T>(arena, n, vectors);
    return arena.used();
  });
  return Batch(matrices(c.in(0)), bytes, 25 * n * n * n);
}

int64_t scratch(const OpCall& c, bool vectors) {
  return batch_of(c, vectors).total() +
         matrices(c.in(0)) * static_cast<int64_t>(sizeof(int32_t));
}

void eigen(OpCall& c, bool vectors) {
  const TensorImpl& t = c.in(0);
  const int64_t n = t.shape[t.ndim - 1], count = matrices(t);
  const Batch batch = batch_of(c, vectors);
  auto* info =
      reinterpret_cast<int32_t*>(static_cast<char*>(c.scratch) + batch.total());
  by_number(t, [&]<class T>(T) {
    batch.each(c.scratch, [&](int64_t i, Arena& arena) {
      Eig<T> work(arena, n, vectors);
      const double scale = scale_for<T>(t, i * n * n, n * n);
      info[i] = std::isnan(scale) ? -1 : 0;
      if (info[i] != 0) return;
      load(t, i * n * n, work.h, n, n, scale);
      if (!work.run(vectors)) {
        info[i] = 1;
        return;
      }
      if (vectors) work.make_vectors();
      work.sort(vectors);
      if (vectors) {
        store(c.out_impl(1), i * n * n,
              Strided<Complex>(work.wide).transposed(), n, n);
      }
      store<Complex>(c.out_impl(0), i * n, Rows<Complex>{work.values, n}, 1, n,
                     1 / scale);
    });
  });
  report_failures(c, info, count);
}

}  // namespace
}  // namespace cpu

extern const KernelDef linalg_eig_cpu = {
    .name = "linalg_eig",
    .run = [](OpCall& c) { cpu::eigen(c, true); },
    .scratch = [](const OpCall& c) { return cpu::scratch(c, true); },
};
extern const KernelDef linalg_eigvals_cpu = {
    .name = "linalg_eigvals",
    .run = [](OpCall& c) { cpu::eigen(c, false); },
    .scratch = [](const OpCall& c) { return cpu::scratch(c, false); },
};

}  // namespace ferrule
