// Rows of matrices, in vectors. Loops over a few vectors are unrolled, or else
// these would lie in memory and not in registers. Complex numbers are pairs of
// doubles: a b is re(a) b plus im(a) times b with its parts exchanged and one
// negated.
#include "runtime/cpu/linalg_rows.h"

#include "runtime/cpu/gemm_pack.h"

namespace ferrule::cpu::FE_ISA {
namespace {

constexpr int64_t kLanes = lanes<double>;

// (re, im, ...) -> (im, re, ...)
FE_INLINE F64 exchanged(F64 v) {
  return [v]<int... i>(std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(v, v, (i ^ 1)...);
  }(std::make_integer_sequence<int, static_cast<int>(kLanes)>());
}

// -1 where real parts are, 1 where imaginary ones are.
FE_INLINE F64 signs() {
  F64 v = splat(1.0);
  for (int64_t i = 0; i < kLanes; i += 2) v[i] = -1;
  return v;
}

FE_INLINE const double* parts(const Complex* z) {
  return reinterpret_cast<const double*>(z);
}

// A chain of reflectors on V vectors of lanes: get(j, v) reads row j, set(j, v,
// x) writes it. Each row is read and written once.
template <int V, class Get, class Set>
FE_INLINE void reflect_chain(const double* r, int64_t count, Get get, Set set) {
  F64 x[V], y[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    x[v] = get(0, v);
    y[v] = get(1, v);
  }
  for (int64_t j = 0; j < count; ++j, r += 3) {
    const F64 second = splat(r[0]), third = splat(r[1]), tau = splat(r[2]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const F64 z = get(j + 2, v);
      const F64 sum = tau * fma(third, z, fma(second, y[v], x[v]));
      set(j, v, x[v] - sum);
      x[v] = fma(-second, sum, y[v]);
      y[v] = fma(-third, sum, z);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    set(count, v, x[v]);
    set(count + 1, v, y[v]);
  }
}

}  // namespace

void add_rows_f64(double* y, int64_t n, const double* a, int64_t a_step,
                  const double* x, int64_t x_row, int64_t k) {
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    F64 sum[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[v] = load(y + i + v * kLanes);
    for (int64_t j = 0; j < k; ++j) {
      const F64 factor = splat(a[j * a_step]);
      const double* row = x + j * x_row + i;
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        sum[v] = fma(factor, load(row + v * kLanes), sum[v]);
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) store(y + i + v * kLanes, sum[v]);
  }
  for (; i < n; i += kLanes) {
    F64 sum = load(y + i, n - i);
    for (int64_t j = 0; j < k; ++j) {
      sum = fma(splat(a[j * a_step]), load(x + j * x_row + i, n - i), sum);
    }
    store(y + i, sum, n - i);
  }
}

void add_rows_c128(Complex* y, int64_t n, const Complex* a, int64_t a_step,
                   const Complex* x, int64_t x_row, int64_t k) {
  auto* out = reinterpret_cast<double*>(y);
  for (int64_t i = 0; i < 2 * n; i += kLanes) {
    const int64_t left = 2 * n - i;
    F64 real = load(out + i, left), imag = splat(0.0);
    for (int64_t j = 0; j < k; ++j) {
      const double* factor = parts(a + j * a_step);
      const F64 row = load(parts(x + j * x_row) + i, left);
      real = fma(splat(factor[0]), row, real);
      imag = fma(splat(factor[1]), row, imag);
    }
    store(out + i, fma(signs(), exchanged(imag), real), left);
  }
}

void subtract_outer_f64(double* a, int64_t row, int64_t m, int64_t n,
                        const double* f, int64_t f_step, const double* x) {
  for (int64_t j = 0; j < n; j += kLanes) {
    const F64 part = load(x + j, n - j);
    for (int64_t i = 0; i < m; ++i) {
      double* const to = a + i * row + j;
      store(to, fma(splat(-f[i * f_step]), part, load(to, n - j)), n - j);
    }
  }
}

void dot_f64(const double* x, const double* y, int64_t n, double* result) {
  F64 sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      sums[v] =
          fma(load(x + i + v * kLanes), load(y + i + v * kLanes), sums[v]);
    }
  }
  for (; i < n; i += kLanes) {
    sums[0] = fma(load(x + i, n - i), load(y + i, n - i), sums[0]);
  }
  *result = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void dot_c128(const Complex* x, const Complex* y, int64_t n, Complex* result) {
  F64 real{}, imag{};
  for (int64_t i = 0; i < 2 * n; i += kLanes) {
    const F64 a = load(parts(x) + i, 2 * n - i);
    const F64 b = load(parts(y) + i, 2 * n - i);
    real = fma(a, b, real);
    imag = fma(a, exchanged(b), imag);
  }
  *result = {-sum(real * signs()), sum(imag)};
}

// Row i of what the first sweep makes is the next row of the second one. So a
// row is read and written once, and what a sweep passes on stays in registers.
void rotate_f64(double* x, int64_t row, int64_t n, const double* angles,
                int64_t count, const double* second_angles,
                int64_t second_count) {
  const auto turn = [](const double* angle, F64& passed, F64 next) {
    const F64 c = splat(angle[0]), s = splat(angle[1]);
    const F64 done = fma(s, next, c * passed);
    passed = fma(-s, passed, c * next);
    return done;
  };
  const auto rotate = [&]<int V>(std::integral_constant<int, V>, auto get,
                                 auto set) {
    F64 first[V], second[V]{};
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) first[v] = get(x, v);
    double* to = x;
    for (int64_t i = 0; i <= count; ++i, to += row) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const F64 done = i < count
                             ? turn(angles + 2 * i, first[v], get(to + row, v))
                             : first[v];
        if (i > 0 && i <= second_count) {
          set(to - row, v, turn(second_angles + 2 * i - 2, second[v], done));
          continue;
        }
        if (i > 0) set(to - row, v, second[v]);
        second[v] = done;
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) set(to - row, v, second[v]);
  };
  constexpr int kVectors = 2;
  int64_t i = 0;
  for (; i + kVectors * kLanes <= n; i += kVectors * kLanes) {
    rotate(
        std::integral_constant<int, kVectors>(),
        [&](const double* from, int v) { return load(from + v * kLanes); },
        [&](double* to, int v, F64 value) { store(to + v * kLanes, value); });
    x += kVectors * kLanes;
  }
  for (; i < n; i += kLanes, x += kLanes) {
    rotate(
        std::integral_constant<int, 1>(),
        [&](const double* from, int) { return load(from, n - i); },
        [&](double* to, int, F64 value) { store(to, value, n - i); });
  }
}

void reflect_rows_f64(double* a, int64_t row, int64_t n,
                      const double* reflectors, int64_t count) {
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    const auto at = [&](int64_t j, int v) {
      return a + j * row + i + v * kLanes;
    };
    reflect_chain<4>(
        reflectors, count, [&](int64_t j, int v) { return load(at(j, v)); },
        [&](int64_t j, int v, F64 x) { store(at(j, v), x); });
  }
  for (; i < n; i += kLanes) {
    reflect_chain<1>(
        reflectors, count,
        [&](int64_t j, int) { return load(a + j * row + i, n - i); },
        [&](int64_t j, int, F64 x) { store(a + j * row + i, x, n - i); });
  }
}

// Lanes are rows: as many as a vector has are transposed, and back.
void reflect_columns_f64(double* a, int64_t row, int64_t m,
                         const double* reflectors, int64_t count) {
  const int64_t n = count + 2;
  F64 columns[kMostReflectors + 2 + kLanes];
  for (int64_t i = 0; i < m; i += kLanes, a += kLanes * row) {
    const int64_t rows = m - i < kLanes ? m - i : kLanes;
    for (int64_t j = 0; j < n; j += kLanes) {
      F64 block[kLanes]{};
      for (int64_t l = 0; l < rows; ++l)
        block[l] = load(a + l * row + j, n - j);
      transpose(block);
      std::memcpy(columns + j, block, sizeof(block));
    }
    reflect_chain<1>(
        reflectors, count, [&](int64_t j, int) { return columns[j]; },
        [&](int64_t j, int, F64 x) { columns[j] = x; });
    for (int64_t j = 0; j < n; j += kLanes) {
      F64 block[kLanes];
      std::memcpy(block, columns + j, sizeof(block));
      transpose(block);
      for (int64_t l = 0; l < rows; ++l) {
        store(a + l * row + j, block[l], n - j);
      }
    }
  }
}

}  // namespace ferrule::cpu::FE_ISA
