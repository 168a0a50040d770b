// Kernel of the matrix exponential: the Pade approximant of degree 13 after
// scaling, then squaring. Source: N. Higham, "The Scaling and Squaring Method
// for the Matrix Exponential Revisited", 2005.
#include <limits>
#include <utility>

#include "runtime/cpu/linalg.h"

namespace ferrule {
namespace cpu {
namespace {

template <class T>
struct Exponential {
  Exponential(Arena& arena, int64_t n)
      : n(n), pivots(arena.take<int32_t>(n)), products(arena, n, n, n) {
    for (Rows<T>& m : memory) m = {arena.take<T>(n * n), n};
  }

  void multiply(Rows<T> to, Rows<T> a, Rows<T> b) const {
    std::fill_n(to.data, n * n, T(0));
    products.add(to, n, n, n, a, b);
  }
  // c[0] A^6 + c[1] A^4 + c[2] A^2 + c[3]
  void combine(Rows<T> to, const double* c) const {
    for (int64_t i = 0; i < n * n; ++i) {
      to.data[i] = c[0] * memory[3].data[i] + c[1] * memory[2].data[i] +
                   c[2] * memory[1].data[i];
    }
    for (int64_t i = 0; i < n; ++i) to[i][i] += c[3];
  }

  // Of memory[0], into the matrix that is returned.
  Rows<T> run() const {
    const auto& [a, a2, a4, a6, x, u, v] = memory;
    double norm = 0;  // the largest sum of a row
    bool finite = true;
    for (int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < n; ++j) sum += std::abs(a[i][j]);
      norm = std::max(norm, sum);
      finite &= std::isfinite(sum);
    }
    if (!finite) {
      std::fill_n(a.data, n * n, T(std::numeric_limits<double>::quiet_NaN()));
      return a;
    }
    constexpr double kNear = 5.371920351148152;
    const int halvings =
        norm <= kNear ? 0
                      : static_cast<int>(std::ceil(std::log2(norm / kNear)));
    for (int64_t i = 0; i < n * n; ++i) a.data[i] *= std::ldexp(1.0, -halvings);
    multiply(a2, a, a);
    multiply(a4, a2, a2);
    multiply(a6, a4, a2);
    constexpr double kOddHigh[] = {1, 16380, 40840800, 0};
    constexpr double kOdd[] = {33522128640, 10559470521600, 1187353796428800,
                               32382376266240000};
    constexpr double kEvenHigh[] = {182, 960960, 1323241920, 0};
    constexpr double kEven[] = {670442572800, 129060195264000, 7771770303897600,
                                64764752532480000};
    // u = A (A^6 odd_high + odd), v = A^6 even_high + even
    combine(x, kOddHigh);
    combine(v, kOdd);
    products.add(v, n, n, n, a6, x);
    multiply(u, a, v);
    combine(x, kEvenHigh);
    combine(v, kEven);
    products.add(v, n, n, n, a6, x);
    // (v - u) result = v + u
    for (int64_t i = 0; i < n * n; ++i) {
      const T even = v.data[i], odd = u.data[i];
      a.data[i] = even - odd;
      x.data[i] = even + odd;
    }
    lu_factor(a, n, n, pivots, true, products);
    lu_solve(a, pivots, n, x, n, products);
    Rows<T> result = x, other = u;
    for (int i = 0; i < halvings; ++i) {
      multiply(other, result, result);
      std::swap(result, other);
    }
    return result;
  }

  int64_t n;
  int32_t* pivots;
  Products<T> products;
  Rows<T> memory[7];
};

Batch batch_of(const OpCall& c) {
  const int64_t n = c.in(0).shape[c.in(0).ndim - 1];
  const int64_t bytes = by_number(c.in(0), [&]<class T>(T) {
    Arena arena;
    Exponential<T>(arena, n);
    return arena.used();
  });
  return Batch(matrices(c.in(0)), bytes, 20 * n * n * n);
}

void exponential(OpCall& c) {
  const TensorImpl& t = c.in(0);
  const int64_t n = t.shape[t.ndim - 1];
  by_number(t, [&]<class T>(T) {
    batch_of(c).each(c.scratch, [&](int64_t i, Arena& arena) {
      const Exponential<T> work(arena, n);
      load(t, i * n * n, work.memory[0], n, n);
      store<T>(c.out_impl(), i * n * n, work.run(), n, n);
    });
  });
}

}  // namespace
}  // namespace cpu

extern const KernelDef matrix_exp_cpu = {
    .name = "matrix_exp",
    .run = cpu::exponential,
    .scratch = [](const OpCall& c) { return cpu::batch_of(c).total(); },
};

}  // namespace ferrule
