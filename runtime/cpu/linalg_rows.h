// Rows of matrices, in vectors: all that the decompositions of matrices spend
// their time with, beside the matrix product.
#pragma once

#include <complex>
#include <cstdint>
#include <type_traits>

#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

using Complex = std::complex<double>;

// Of reflect_columns.
inline constexpr int64_t kMostReflectors = 32;

FE_SIMD(
    void add_rows_f64(double* y, int64_t n, const double* a, int64_t a_step,
                      const double* x, int64_t x_row, int64_t k);
    void add_rows_c128(Complex* y, int64_t n, const Complex* a, int64_t a_step,
                       const Complex* x, int64_t x_row, int64_t k);
    void subtract_outer_f64(double* a, int64_t row, int64_t m, int64_t n,
                            const double* f, int64_t f_step, const double* x);
    void dot_f64(const double* x, const double* y, int64_t n, double* sum);
    void dot_c128(const Complex* x, const Complex* y, int64_t n, Complex* sum);
    void rotate_f64(double* x, int64_t row, int64_t n, const double* angles,
                    int64_t count, const double* second_angles,
                    int64_t second_count);
    void reflect_rows_f64(double* a, int64_t row, int64_t n,
                          const double* reflectors, int64_t count);
    void reflect_columns_f64(double* a, int64_t row, int64_t m,
                             const double* reflectors, int64_t count);)

// y += a[0] x[0] + ... + a[k - 1] x[k - 1]: rows of n elements; the a lie
// a_step apart, the rows x_row. y is none of them.
template <class T>
void add_rows(T* y, int64_t n, const T* a, int64_t a_step, const T* x,
              int64_t x_row, int64_t k) {
  if constexpr (std::is_same_v<T, double>) {
    FE_BEST(add_rows_f64)(y, n, a, a_step, x, x_row, k);
  } else {
    FE_BEST(add_rows_c128)(y, n, a, a_step, x, x_row, k);
  }
}

// y += a x
template <class T>
void add_row(T* y, int64_t n, T a, const T* x) {
  add_rows<T>(y, n, &a, 0, x, 0, 1);
}

// Row i of `a` loses f[i] x: m rows of n elements; the f lie f_step apart.
template <class T>
void subtract_outer(T* a, int64_t row, int64_t m, int64_t n, const T* f,
                    int64_t f_step, const T* x) {
  if constexpr (std::is_same_v<T, double>) {
    FE_BEST(subtract_outer_f64)(a, row, m, n, f, f_step, x);
  } else {
    for (int64_t i = 0; i < m; ++i) add_row(a + i * row, n, -f[i * f_step], x);
  }
}

// The sum of x[i] y[i]; nothing is conjugated.
template <class T>
T dot(const T* x, const T* y, int64_t n) {
  T sum;
  if constexpr (std::is_same_v<T, double>) {
    FE_BEST(dot_f64)(x, y, n, &sum);
  } else {
    FE_BEST(dot_c128)(x, y, n, &sum);
  }
  return sum;
}

// A sweep of `count` plane rotations of neighbouring rows, x, y = c x + s y,
// c y - s x: of the first row and the next, then of that and the next, and so
// on. Then another one that begins with the same row and is not longer. Rows
// lie `row` elements apart; angles are pairs (c, s).
template <class T>
void rotate(T* x, int64_t row, int64_t n, const double* angles, int64_t count,
            const double* second_angles, int64_t second_count) {
  constexpr int64_t kParts = sizeof(T) / sizeof(double);
  FE_BEST(rotate_f64)
  (reinterpret_cast<double*>(x), row * kParts, n * kParts, angles, count,
   second_angles, second_count);
}

// Reflectors I - tau v v^T of three neighbouring rows, one after the other: the
// first acts on rows 0 to 2 of `a`, the next on rows 1 to 3, and so on. Each is
// given by v[1], v[2] (v[0] is 1) and tau. There are count + 2 rows, of n.
inline void reflect_rows(double* a, int64_t row, int64_t n,
                         const double* reflectors, int64_t count) {
  if (count > 0) FE_BEST(reflect_rows_f64)(a, row, n, reflectors, count);
}

// The same of columns, in m rows, for `count` up to kMostReflectors.
inline void reflect_columns(double* a, int64_t row, int64_t m,
                            const double* reflectors, int64_t count) {
  if (count > 0) FE_BEST(reflect_columns_f64)(a, row, m, reflectors, count);
}

}  // namespace ferrule::cpu
