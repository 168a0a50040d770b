// Transforms of few numbers in registers, in place. For `*.simd.cpp` only.
#pragma once

#include "runtime/cpu/fft_complex.h"

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

// Of any odd length n <= most: sums and differences of the pairs k and n - k
// are multiplied by cosines and sines of 2 pi k / n, which stand in `roots`.
template <int most, class T>
FE_INLINE void butterfly_odd(Complex<T>* z, int n, const T* roots) {
  constexpr int kMostPairs = (most - 1) / 2;
  const int pairs = (n - 1) / 2;
  Complex<T> sum[kMostPairs], difference[kMostPairs];
  const Complex<T> first = z[0];
#pragma GCC unroll 4
  for (int q = 0; q < pairs; ++q) {
    sum[q] = z[q + 1] + z[n - 1 - q];
    difference[q] = z[q + 1] - z[n - 1 - q];
    z[0] = z[0] + sum[q];
  }
#pragma GCC unroll 4
  for (int k = 1; k <= pairs; ++k) {
    Complex<T> even = first;
    Complex<T> odd = {};
    int at = 0;  // k q modulo n
#pragma GCC unroll 4
    for (int q = 0; q < pairs; ++q) {
      at = at + k < n ? at + k : at + k - n;
      const Vec<T> c = splat(roots[2 * at]), s = splat(roots[2 * at + 1]);
      even = {fma(sum[q].re, c, even.re), fma(sum[q].im, c, even.im)};
      odd = {fma(difference[q].re, s, odd.re),
             fma(difference[q].im, s, odd.im)};
    }
    const Complex<T> turned = minus_i(odd);
    z[k] = even + turned;
    z[n - k] = even - turned;
  }
}

}  // namespace ferrule::cpu::FE_ISA
