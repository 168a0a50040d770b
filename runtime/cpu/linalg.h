// What the decompositions of matrices share. They compute in double and
// std::complex<double> for all four dtypes; matrices are rows in memory.
//
//   Arena arena(memory);                 // Arena() counts the bytes instead
//   const Rows<T> a = arena.matrix<T>(n, n);
//   const Products<T> products(arena, n, n, kBlock);
//   load(c.in(0), i * n * n, a, n, n);
//   const int32_t singular = lu_factor(a, n, n, pivots, true, products);
//
// Work is cut by blocks of kBlock columns, and by rows, alike for any number of
// threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>

#include "ferrule/op.h"
#include "runtime/cpu/linalg_rows.h"
#include "runtime/cpu/slots.h"

namespace ferrule::cpu {

inline constexpr int64_t kBlock = 32;

inline double conjugate(double x) { return x; }
inline Complex conjugate(Complex z) { return std::conj(z); }
inline double real_part(double x) { return x; }
inline double real_part(Complex z) { return z.real(); }
inline double imag_part(double) { return 0; }
inline double imag_part(Complex z) { return z.imag(); }
inline double square(double x) { return x * x; }
inline double square(Complex z) { return std::norm(z); }
// Within a factor of sqrt(2) of the absolute value.
inline double magnitude(double x) { return std::abs(x); }
inline double magnitude(Complex z) {
  return std::abs(z.real()) + std::abs(z.imag());
}

// A matrix with dense rows.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t row = 0;  // elements from one to the next
  T* operator[](int64_t i) const { return data + i * row; }
  Rows from(int64_t i, int64_t j) const { return {data + i * row + j, row}; }
};

// Elements from one row to the next: an odd number of cache lines for rows of
// n, so that a column does not meet the same few sets of a cache.
inline int64_t row_step(int64_t n) { return ((n + 7) / 8 | 1) * 8; }

// A matrix that is read, with any strides.
template <class T>
struct Strided {
  const T* data = nullptr;
  int64_t row = 0;
  int64_t col = 0;
  bool conj = false;  // its elements are to be conjugated

  Strided(Rows<T> m) : data(m.data), row(m.row), col(1) {}
  Strided(const T* at, int64_t r, int64_t c, bool conjugated = false)
      : data(at), row(r), col(c), conj(conjugated) {}
  const T& at(int64_t i, int64_t j) const { return data[i * row + j * col]; }
  Strided transposed() const { return {data, col, row, conj}; }
  Strided adjoint() const { return {data, col, row, !conj}; }
  Strided from(int64_t i, int64_t j) const {
    return {data + i * row + j * col, row, col, conj};
  }
};

// Memory, handed out piece by piece.
class Arena {
 public:
  explicit Arena(void* memory = nullptr) : start_(static_cast<char*>(memory)) {}
  template <class T>
  T* take(int64_t n) {
    const int64_t at = used_;
    used_ += (n * static_cast<int64_t>(sizeof(T)) + 63) & ~int64_t{63};
    return start_ ? reinterpret_cast<T*>(start_ + at) : nullptr;
  }
  // A matrix of m x n.
  template <class T>
  Rows<T> matrix(int64_t m, int64_t n) {
    return {take<T>(m * row_step(n)), row_step(n)};
  }
  int64_t used() const { return used_; }

 private:
  char* start_;
  int64_t used_ = 0;
};

// --- elements in and out

// m x n elements of a dense tensor from number `first` on, times `scale`.
template <class T>
void load(const TensorImpl& t, int64_t first, Rows<T> to, int64_t m, int64_t n,
          double scale = 1);
template <class T>
void store(const TensorImpl& t, int64_t first, Strided<T> from, int64_t m,
           int64_t n, double scale = 1);

// The power of two that brings the largest element near 1, so that no square
// overflows, nor vanishes that counts; NaN where an element is not finite.
template <class T>
double scale_for(const TensorImpl& t, int64_t first, int64_t numel);

template <class T>
void set_identity(Rows<T> a, int64_t m, int64_t n) {
  for (int64_t i = 0; i < m; ++i) {
    std::fill_n(a[i], n, T(0));
    if (i < n) a[i][i] = 1;
  }
}

// The machine epsilon of a dtype's real numbers.
double epsilon_of(DType t);

// The number of size 1 that makes the first component of a vector that is half
// as large as the largest one real and positive: so that vectors, which are
// known up to such a number, are the same ones on every machine.
template <class T>
T phase_of(const T* x, int64_t n) {
  double largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  if (largest == 0) return 1;
  const T* first =
      std::find_if(x, x + n, [&](T v) { return std::abs(v) >= largest / 2; });
  return conjugate(*first) / std::abs(*first);
}

// Calls run(double()) or run(Complex()), as the elements of `t` are.
template <class Run>
auto by_number(const TensorImpl& t, const Run& run) {
  return is_complex(t.dtype) ? run(Complex()) : run(double());
}

// --- batches

// The matrices of a batch: small ones side by side, large ones one after the
// other, with the threads inside of each.
class Batch {
 public:
  // `work`: operations a matrix; `bytes`: its scratch.
  Batch(int64_t count, int64_t bytes, int64_t work)
      : count_(count),
        bytes_((bytes + 63) & ~int64_t{63}),
        one_by_one_(count == 1 || work > kSplitWork),
        slots_(std::max<int64_t>(count, 1), bytes_,
               std::max<int64_t>(1, kGrainWork / std::max<int64_t>(work, 1))) {}

  int64_t total() const { return one_by_one_ ? bytes_ : slots_.total(); }

  // Calls visit(i, arena) for every matrix.
  template <class Visit>
  void each(void* scratch, const Visit& visit) const {
    auto* const memory = static_cast<char*>(scratch);
    const auto run = [&](int64_t i, char* own) {
      Arena arena(own);
      visit(i, arena);
    };
    if (!one_by_one_) return slots_.each_unit(memory, run);
    for (int64_t i = 0; i < count_; ++i) run(i, memory);
  }

 private:
  static constexpr int64_t kSplitWork = 1 << 21;
  static constexpr int64_t kGrainWork = 1 << 15;
  int64_t count_;
  int64_t bytes_;
  bool one_by_one_;
  Slots slots_;
};

// How many matrices, and which of operand `t` belongs to number `i` of a result
// whose leading dimensions are `batch`, to which those of `t` broadcast.
int64_t matrices(const TensorImpl& t);
int64_t matrix_at(const TensorImpl& t, std::span<const int64_t> batch,
                  int64_t i);
// Reports the first matrix whose `info` is not 0; the texts are for one matrix,
// with info, and for one of a batch, with its number and info.
void report_first(OpCall& c, const int32_t* info, int64_t count,
                  const char* of_one, const char* of_batch);
// The same for iterations: info is -1 for a matrix with elements that are not
// finite, 1 for one that did not converge.
void report_failures(OpCall& c, const int32_t* info, int64_t count);

// --- products

// Products in memory of their own, for sizes up to those given.
template <class T>
class Products {
 public:
  Products(Arena& arena, int64_t m, int64_t n, int64_t k);
  // C += A B; no operand is C.
  void add(Rows<T> c, int64_t m, int64_t n, int64_t k, Strided<T> a,
           Rows<T> b) const;
  // C -= A B, for k or m up to kBlock columns or rows of A.
  void subtract(Rows<T> c, int64_t m, int64_t n, int64_t k, Strided<T> a,
                Rows<T> b) const;

 private:
  char* gemm_ = nullptr;
  int64_t gemm_bytes_ = 0;
  T* negated_ = nullptr;
};

// --- triangles

// X = A^-1 X for a triangular A of n rows; X has k columns. What lies on the
// other side of A's diagonal is not read, nor a diagonal of ones (`unit`).
template <class T>
void solve_triangular(Strided<T> a, bool upper, bool unit, int64_t n, Rows<T> x,
                      int64_t k, const Products<T>& products);

// A = P L U in place, with partial pivoting; row i was exchanged with row
// pivots[i] - 1. Returns 0, or the number, from 1, of the first pivot that is
// 0.
template <class T>
int32_t lu_factor(Rows<T> a, int64_t m, int64_t n, int32_t* pivots, bool pivot,
                  const Products<T>& products);
// X = (L U)^-1 P^T X
template <class T>
void lu_solve(Rows<T> lu, const int32_t* pivots, int64_t n, Rows<T> x,
              int64_t k, const Products<T>& products);

// A = U^H U, of the upper triangle and in it. Returns 0, or the number, from 1,
// of the first leading minor that is not positive.
template <class T>
int32_t cholesky(Rows<T> a, int64_t n, const Products<T>& products);

}  // namespace ferrule::cpu
