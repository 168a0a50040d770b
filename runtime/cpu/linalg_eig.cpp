// Kernels of eigenvalues and eigenvectors of general matrices: Hessenberg form,
// Schur form, and back substitution (Golub and Van Loan, "Matrix Computations",
// 4th edition, sections 7.4 to 7.6).
#include <algorithm>
#include <limits>

#include "runtime/cpu/linalg_iterations.h"
#include "runtime/cpu/linalg_reductions.h"
#include "runtime/cpu/linalg_schur.h"

namespace ferrule {
namespace cpu {
namespace {

// The memory of one matrix.
template <class T>
struct Eig {
  static constexpr bool kReal = std::is_same_v<T, double>;

  Eig(Arena& arena, int64_t n, bool vectors)
      : n(n),
        h(arena.matrix<T>(n, n)),
        values(arena.take<Complex>(n)),
        taus(arena.take<T>(n)),
        panels(arena, n),
        products(arena, n, n, vectors ? n : kBlock),
        reflectors(arena, n, n, products),
        q(arena.matrix<T>(vectors ? n : 0, n)),
        zt(arena.matrix<T>(vectors ? n : 0, n)),
        wide(arena.matrix<Complex>(vectors ? n : 0, n)) {}

  bool run(bool vectors) {
    reduce_to_hessenberg(h, n, taus, panels, products, reflectors);
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
  // (T - value) x = 0, from row k up; below it is 0. Row k of q becomes x; of a
  // complex x of a real matrix it takes the imaginary part, row k - 1 the real
  // one.
  void substitute(int64_t k, double least) {
    const Complex value = values[k];
    const bool pair = kReal && value.imag() != 0;
    T *const x = q[pair ? k - 1 : k], *const imag = q[k];
    const auto get = [&](int64_t i) {
      return pair ? Complex(real_part(x[i]), real_part(imag[i]))
                  : Complex(x[i]);
    };
    const auto set = [&](int64_t i, Complex to) {
      if constexpr (kReal) {
        if (pair) imag[i] = to.imag();
        x[i] = to.real();
      } else {
        x[i] = to;
      }
    };
    std::fill_n(x, n, T(0));
    if (pair) std::fill_n(imag, n, T(0));
    set(k, 1);
    int64_t i = k - 1;
    if (k > 0 && h[k][k - 1] != T(0)) {  // the second of a block of two
      set(k - 1, (value - h[k][k]) / h[k][k - 1]);
      --i;
    }
    for (; i >= 0; --i) {
      const auto known = [&](int64_t r) {
        const T* const row = h[r] + i + 1;
        const T sum = dot(row, x + i + 1, k - i);
        if (!pair) return -Complex(sum);
        const T other = dot(row, imag + i + 1, k - i);
        return -Complex(real_part(sum), real_part(other));
      };
      const auto pivot = [&](Complex p) {
        return magnitude(p) < least ? Complex(least) : p;
      };
      if (i > 0 && h[i][i - 1] != T(0)) {
        const Complex a = h[i - 1][i - 1] - value, d = h[i][i] - value;
        const Complex b = h[i - 1][i], c = h[i][i - 1];
        const Complex above = known(i - 1), below = known(i);
        const Complex det = pivot(a * d - b * c);
        set(i - 1, (above * d - b * below) / det);
        set(i, (a * below - above * c) / det);
        --i;
      } else {
        set(i, known(i) / pivot(h[i][i] - value));
      }
      const double size = magnitude(get(i));
      if (size < 1e100) continue;
      for (int64_t j = i; j <= k; ++j) set(j, get(j) / size);
    }
  }

  // Eigenvector k as row k of `wide`, of length 1.
  void make_vectors() {
    double size = 0;
    for (int64_t i = 0; i < n; ++i) size = std::max(size, magnitude(h[i][i]));
    const double least = std::max(std::numeric_limits<double>::epsilon() * size,
                                  std::numeric_limits<double>::min());
    const auto of_pair = [&](int64_t k) {
      return kReal && values[k].imag() != 0;
    };
    for (int64_t k = n - 1; k >= 0; --k) {
      substitute(k, least);
      if (of_pair(k)) --k;
    }
    const Rows<T>& sums = h;  // which is not needed any more
    std::fill_n(sums.data, n * sums.row, T(0));
    products.add(sums, n, n, n, q, zt);
    for (int64_t k = n - 1; k >= 0; --k) {
      Complex* const v = wide[k];
      const bool pair = of_pair(k);
      const T* const real = sums[pair ? k - 1 : k];
      double square_sum = 0;
      for (int64_t i = 0; i < n; ++i) {
        v[i] = pair ? Complex(real_part(real[i]), real_part(sums[k][i]))
                    : Complex(real[i]);
        square_sum += std::norm(v[i]);
      }
      const Complex factor = phase_of(v, n) / std::sqrt(square_sum);
      for (int64_t i = 0; i < n; ++i) v[i] *= factor;
      if (!pair) continue;
      for (int64_t i = 0; i < n; ++i) wide[k - 1][i] = std::conj(v[i]);
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
  T* taus;
  Panels<T> panels;
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
  return iterations_scratch(c, batch_of(c, vectors));
}

void eigen(OpCall& c, bool vectors) {
  const TensorImpl& t = c.in(0);
  const int64_t n = t.shape[t.ndim - 1];
  iterate(c, batch_of(c, vectors),
          [&]<class T>(int64_t i, Arena& arena, double scale) {
            Eig<T> work(arena, n, vectors);
            load(t, i * n * n, work.h, n, n, scale);
            if (!work.run(vectors)) return false;
            if (vectors) work.make_vectors();
            work.sort(vectors);
            if (vectors) {
              store(c.out_impl(1), i * n * n,
                    Strided<Complex>(work.wide).transposed(), n, n);
            }
            store<Complex>(c.out_impl(0), i * n, Rows<Complex>{work.values, n},
                           1, n, 1 / scale);
            return true;
          });
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
