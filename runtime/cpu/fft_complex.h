// Vectors of complex numbers: a number a lane, real and imaginary parts in two
// vectors. For `*.simd.cpp` only.
#pragma once

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

template <class T>
struct Complex {
  Vec<T> re, im;
};

template <class T>
FE_INLINE Complex<T> operator+(Complex<T> a, Complex<T> b) {
  return {a.re + b.re, a.im + b.im};
}
template <class T>
FE_INLINE Complex<T> operator-(Complex<T> a, Complex<T> b) {
  return {a.re - b.re, a.im - b.im};
}
template <class T>
FE_INLINE Complex<T> operator*(Complex<T> a, Complex<T> b) {
  return {fma(-a.im, b.im, a.re * b.re), fma(a.re, b.im, a.im * b.re)};
}
// times -i
template <class T>
FE_INLINE Complex<T> minus_i(Complex<T> z) {
  return {z.im, -z.re};
}
template <class T>
FE_INLINE Complex<T> conj(Complex<T> z) {
  return {z.re, -z.im};
}
template <class T>
FE_INLINE Complex<T> scaled(Complex<T> z, T by) {
  return {z.re * by, z.im * by};
}
template <class T>
FE_INLINE Complex<T> swapped(Complex<T> z, bool swap) {
  return swap ? Complex<T>{z.im, z.re} : z;
}

// One number, in all lanes.
template <class T>
FE_INLINE Complex<T> splat_number(const T* at) {
  return {splat(at[0]), splat(at[1])};
}

// Number k of a buffer.
template <class T>
FE_INLINE Complex<T> get(const T* buffer, int64_t k) {
  const T* at = buffer + k * 2 * lanes<T>;
  return {load(at), load(at + lanes<T>)};
}
template <class T>
FE_INLINE void put(T* buffer, int64_t k, Complex<T> z) {
  T* at = buffer + k * 2 * lanes<T>;
  store(at, z.re);
  store(at + lanes<T>, z.im);
}

// Numbers whose parts lie side by side, in two vectors, and the same with parts
// in vectors of their own.
template <class T>
FE_INLINE Complex<T> apart(Vec<T> low, Vec<T> high) {
  return [=]<int... i>(std::integer_sequence<int, i...>) {
    return Complex<T>{__builtin_shufflevector(low, high, (2 * i)...),
                      __builtin_shufflevector(low, high, (2 * i + 1)...)};
  }(std::make_integer_sequence<int, lanes<T>>());
}
template <class T>
FE_INLINE void together(Complex<T> z, Vec<T>& low, Vec<T>& high) {
  [&]<int... i>(std::integer_sequence<int, i...>) {
    low = __builtin_shufflevector(z.re, z.im, (i / 2 + i % 2 * lanes<T>)...);
    high = __builtin_shufflevector(
        z.re, z.im, (lanes<T> / 2 + i / 2 + i % 2 * lanes<T>)...);
  }(std::make_integer_sequence<int, lanes<T>>());
}

// The first n numbers.
template <class T>
FE_INLINE Complex<T> load_numbers(const T* at, int64_t n) {
  const int64_t rest = 2 * n - lanes<T>;
  return apart<T>(load(at, 2 * n),
                  rest > 0 ? load(at + lanes<T>, rest) : Vec<T>{});
}
template <class T>
FE_INLINE void store_numbers(T* at, Complex<T> z, int64_t n) {
  const int64_t rest = 2 * n - lanes<T>;
  Vec<T> low, high;
  together(z, low, high);
  store(at, low, 2 * n);
  if (rest > 0) store(at + lanes<T>, high, rest);
}

// Lanes in opposite order.
template <class V>
FE_INLINE V reversed(V v) {
  return [v]<int... i>(std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(v, v, (width<V> - 1 - i)...);
  }(std::make_integer_sequence<int, width<V>>());
}

// Blocks of `step` lanes that lie across the diagonal change places.
template <int step, class V>
FE_INLINE void exchange(V& a, V& b) {
  [&]<int... i>(std::integer_sequence<int, i...>) {
    const V x = a, y = b;
    a = __builtin_shufflevector(x, y,
                                ((i & step) ? i - step + width<V> : i)...);
    b = __builtin_shufflevector(x, y,
                                ((i & step) ? i + width<V> : i + step)...);
  }(std::make_integer_sequence<int, width<V>>());
}

// Swaps rows and columns of a square of elements of `unit` lanes.
template <int unit, class V, int step = unit>
FE_INLINE void transpose(V* rows) {
  if constexpr (step < width<V>) {
#pragma GCC unroll 16
    for (int i = 0; i < width<V> / unit; ++i) {
      if (!(i & (step / unit))) exchange<step>(rows[i], rows[i + step / unit]);
    }
    transpose<unit, V, 2 * step>(rows);
  }
}

}  // namespace ferrule::cpu::FE_ISA
