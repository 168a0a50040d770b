// Transforms of few numbers in registers, in place. For `*.simd.cpp` only.
#pragma once

#include "runtime/cpu/fft_complex.h"
#include "runtime/cpu/fft_plan.h"

namespace ferrule::cpu::FE_ISA {

template <class T>
FE_INLINE void butterfly_2(Complex<T>& a, Complex<T>& b) {
  const Complex<T> sum = a + b;
  b = a - b;
  a = sum;
}

template <class T>
FE_INLINE void butterfly_4(Complex<T>& a, Complex<T>& b, Complex<T>& c,
                           Complex<T>& d) {
  const Complex<T> even = a + c, odd = b + d;
  const Complex<T> rest = a - c, turned = minus_i(b - d);
  a = even + odd;
  b = rest + turned;
  c = even - odd;
  d = rest - turned;
}

template <class T>
FE_INLINE void butterfly_8(Complex<T>* z) {
  constexpr T kHalfRoot = static_cast<T>(0.70710678118654752440);
  butterfly_4(z[0], z[2], z[4], z[6]);
  butterfly_4(z[1], z[3], z[5], z[7]);
  // Odd ones turned by eighths: (1 - i) / sqrt 2, -i, (-1 - i) / sqrt 2.
  const Complex<T> a = z[1];
  const Complex<T> b =
      scaled(Complex<T>{z[3].re + z[3].im, z[3].im - z[3].re}, kHalfRoot);
  const Complex<T> c = minus_i(z[5]);
  const Complex<T> d =
      scaled(Complex<T>{z[7].im - z[7].re, -z[7].re - z[7].im}, kHalfRoot);
  const Complex<T> e = z[0], f = z[2], g = z[4], h = z[6];
  z[0] = e + a;
  z[1] = f + b;
  z[2] = g + c;
  z[3] = h + d;
  z[4] = e - a;
  z[5] = f - b;
  z[6] = g - c;
  z[7] = h - d;
}

// Of odd length n: sums and differences of the pairs k and n - k are multiplied
// by cosines and sines of 2 pi k / n, which stand in `roots`.
template <int n, class T>
FE_INLINE void butterfly_odd(Complex<T>* z, const T* roots) {
  constexpr int kPairs = (n - 1) / 2;
  Complex<T> sum[kPairs], difference[kPairs];
  const Complex<T> first = z[0];
#pragma GCC unroll 3
  for (int q = 0; q < kPairs; ++q) {
    sum[q] = z[q + 1] + z[n - 1 - q];
    difference[q] = z[q + 1] - z[n - 1 - q];
    z[0] = z[0] + sum[q];
  }
#pragma GCC unroll 3
  for (int k = 1; k <= kPairs; ++k) {
    Complex<T> even = first, odd = {};
#pragma GCC unroll 3
    for (int q = 0; q < kPairs; ++q) {
      const Complex<T> root = splat_number(roots + 2 * ((q + 1) * k % n));
      even = {fma(sum[q].re, root.re, even.re),
              fma(sum[q].im, root.re, even.im)};
      odd = {fma(difference[q].re, root.im, odd.re),
             fma(difference[q].im, root.im, odd.im)};
    }
    const Complex<T> turned = minus_i(odd);
    z[k] = even + turned;
    z[n - k] = even - turned;
  }
}

// The same for any odd n <= kMaxRadix, two k at a time, whose results need
// other memory: sums and differences take the places of the numbers.
template <class T>
FE_INLINE void butterfly_any(Complex<T>* z, int n, const T* roots) {
  const int pairs = (n - 1) / 2;
  Complex<T> result[kMaxRadix];
  result[0] = z[0];
  for (int q = 1; q <= pairs; ++q) {
    butterfly_2(z[q], z[n - q]);
    result[0] = result[0] + z[q];
  }
  for (int k = 1; k <= pairs; k += 2) {
    const int other = k < pairs ? k + 1 : k;
    Complex<T> even[2] = {z[0], z[0]}, odd[2] = {};
    int at[2] = {};  // k q modulo n
    for (int q = 1; q <= pairs; ++q) {
      const Complex<T> sum = z[q], difference = z[n - q];
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        at[i] += i == 0 ? k : other;
        at[i] -= at[i] < n ? 0 : n;
        const Complex<T> root = splat_number(roots + 2 * at[i]);
        even[i] = {fma(sum.re, root.re, even[i].re),
                   fma(sum.im, root.re, even[i].im)};
        odd[i] = {fma(difference.re, root.im, odd[i].re),
                  fma(difference.im, root.im, odd[i].im)};
      }
    }
    for (int i = 0; i < 2; ++i) {
      const int at_k = i == 0 ? k : other;
      const Complex<T> turned = minus_i(odd[i]);
      result[at_k] = even[i] + turned;
      result[n - at_k] = even[i] - turned;
    }
  }
  for (int k = 0; k < n; ++k) z[k] = result[k];
}

}  // namespace ferrule::cpu::FE_ISA
