// Elementary functions of vectors. For `*.simd.cpp` only.
//
// float: within 2 ULP of the true value over the whole range, subnormal
// numbers, infinities and NaNs included. Polynomials are those of the Cephes
// library (S. Moshier) but where another source is named.
// double: the C library's function, lane by lane.
//
// A lane's result depends on that lane alone.
#pragma once

#include <cmath>

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

// c[0] x^n + ... + c[n], by Horner's rule.
template <class V, class... Coefficients>
FE_INLINE V polynomial(V x, Element<V> leading, Coefficients... others) {
  V p = splat<Element<V>, width<V>>(leading);
  ((p = fma(p, x, splat<Element<V>, width<V>>(others))), ...);
  return p;
}

template <class V>
FE_INLINE V nan() {
  return splat<Element<V>, width<V>>(__builtin_nanf(""));
}

template <class V>
FE_INLINE V infinity() {
  return splat<Element<V>, width<V>>(__builtin_inff());
}

// Keeps NaNs.
template <class V>
FE_INLINE V clamp(V x, Element<V> least, Element<V> most) {
  x = larger(splat<Element<V>, width<V>>(least), x);
  return smaller(splat<Element<V>, width<V>>(most), x);
}

template <class V, class Function>
FE_INLINE V each_lane(V v, Function function) {
  V result;
  for (int i = 0; i < width<V>; ++i) result[i] = function(v[i]);
  return result;
}

// ---- float

// v * 2^n for a whole n in [-300, 300], rounded once, for 1/2 <= |v| <= 2.
FE_INLINE F32 scale_by(F32 v, F32 n) {
#if defined(__AVX512F__)
  return bits<F32>(
      _mm512_maskz_scalef_ps(0xffff, bits<__m512>(v), bits<__m512>(n)));
#else
  // In two steps, of which the first stays in range.
  const I32 exponent = convert<int32_t>(n);
  const I32 half = exponent >> 1;
  const F32 scale1 = bits<F32>((half + 127) << 23);
  const F32 scale2 = bits<F32>((exponent - half + 127) << 23);
  return v * scale1 * scale2;
#endif
}

// Beyond these the result is 0 or infinity.
constexpr float kExpLeast = -104.0f;
constexpr float kExpMost = 89.0f;

// Added to a number below 2^22, it leaves the nearest integer in the low bits.
constexpr float kRound = 0x1.8p23f;

// For x within the limits, or NaN. The polynomial is the best of degree 6 for
// the relative error on |r| <= ln(2) / 2, 2^-28.
FE_INLINE F32 exp_bounded(F32 x) {
  const F32 shifted = fma(x, splat(1.44269504088896341f), splat(kRound));
  const F32 n = shifted - kRound;
  F32 r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  const F32 p = polynomial(r, 1.381432e-3f, 8.368851e-3f, 4.16684e-2f,
                           1.666652e-1f, 4.9999994e-1f, 1.0f, 1.0f);
  return scale_by(p, n);
}

FE_INLINE F32 exp(F32 x) { return exp_bounded(clamp(x, kExpLeast, kExpMost)); }

// For x <= 0, or NaN.
FE_INLINE F32 exp_negative(F32 x) {
  return exp_bounded(larger(splat(kExpLeast), x));
}

FE_INLINE F32 log(F32 x) {
  const I32 subnormal = x < 0x1p-126f;
  const F32 scaled = subnormal ? x * 0x1p25f : x;
  const I32 u = bits<I32>(scaled);
  I32 exponent = (u >> 23) - 126;
  exponent = subnormal ? exponent - 25 : exponent;
  F32 m = bits<F32>((u & 0x7fffff) | 0x3f000000);  // [0.5, 1)
  const I32 lower = m < 0.707106781186547524f;
  exponent += lower;
  m = (lower ? m + m : m) - 1.0f;
  const F32 e = convert<float>(exponent);
  const F32 z = m * m;
  F32 y = polynomial(m, 7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f,
                     -1.2420140846e-1f, 1.4249322787e-1f, -1.6668057665e-1f,
                     2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f);
  y = y * m * z;
  y = fma(e, splat(-2.12194440e-4f), y);
  y = fma(z, splat(-0.5f), y);
  F32 result = fma(e, splat(0.693359375f), m + y);
  result = x == 0.0f ? -infinity<F32>() : result;
  result = x < 0.0f ? nan<F32>() : result;
  return x < infinity<F32>() ? result : x;  // infinity and NaN
}

// With h = (e^2|x| - 1) / 2 it is h / (1 + h), computed as h - h h / (1 + h) or
// as 1 - 1 / (1 + h): from either end, errors of the quotient count for little.
// e^2r - 1 has the polynomial of exp_bounded.
FE_INLINE F32 tanh(F32 x) {
  const F32 t = smaller(splat(10.0f), abs(x));  // tanh(10) rounds to 1
  // 2^n / 2 is n + 126 in the place of the exponent.
  constexpr float kShift = kRound + 126.0f;
  const F32 shifted = fma(t, splat(2.88539008177792681f), splat(kShift));
  const F32 n = shifted - kShift;
  const F32 scale = bits<F32>(bits<I32>(shifted) << 23);
  const F32 r = fma(n, splat(-0.34657359027997264f), t);
  const F32 p = polynomial(r, 8.841165e-2f, 2.6780322e-1f, 6.666944e-1f,
                           1.3333216f, 1.9999998f);
  const F32 h = fma(fma(p, r * r, r + r), scale, scale - 0.5f);
  const F32 near = smaller(splat(1.0f), h);
  return copysign(fma(-near, near / (h + 1.0f), near), x);
}

// The logistic function, 1 / (1 + e^-x). With e = e^-|x| and q = e / (1 + e) it
// is 1 - q, and for negative x q, computed as e - e q: so errors of the
// quotient count for little.
FE_INLINE F32 sigmoid(F32 x) {
  const F32 e =
      exp_negative(bits<F32>(bits<I32>(x) | bits<I32>(sign_bit<F32>())));
  const F32 near = x < 0.0f ? e : splat(1.0f);
  return fma(-near, e / (1.0f + e), near);
}

// Coefficients by N. Juffa, https://stackoverflow.com/a/35148199.
FE_INLINE F32 erf(F32 x) {
  const F32 s = x * x;
  const F32 inner =
      polynomial(s, -5.96761703e-4f, 4.99119423e-3f, -2.67681349e-2f,
                 1.12819925e-1f, -3.76125336e-1f, 1.28379166e-1f);
  const F32 t = clamp(abs(x), 0.0f, 4.0f);  // erf(4) rounds to 1
  const F32 outer = polynomial(t, -1.72853470e-5f, 3.83197126e-4f,
                               -3.88396438e-3f, 2.42546219e-2f, -1.06777877e-1f,
                               -6.34846687e-1f, -1.28717512e-1f);
  const F32 large = 1.0f - exp_bounded(fma(outer, t, -t));
  return t > 0.927734375f ? copysign(large, x) : fma(inner, x, x);
}

// erf within 5 ULP in half the time, for where 1 is added to it: x P(x^2) /
// Q(x^2), with the coefficients of Eigen's erf (2024). Beyond 3.83 it is 1.
FE_INLINE F32 quick_erf(F32 x) {
  const F32 z = x * x;
  const F32 p =
      polynomial(z, 2.2905065861350646e-4f, 3.4082910107109506e-3f,
                 5.0955695062380861e-2f, 1.8520832239976145e-1f, 1.1283791435f);
  const F32 q =
      polynomial(z, -1.1791602954361697e-7f, 2.3547966471313185e-5f,
                 1.0179625278914885e-3f, 1.4070470171167667e-2f,
                 1.1098505178285362e-1f, 4.9746925110067538e-1f, 1.0f);
  const F32 inside = x * p / q;
  return abs(x) >= 3.8325f ? copysign(splat(1.0f), x) : inside;
}

// x - n * pi/2 for the nearest n, which is left in `quadrant`. In double, with
// pi/2 in a part of 33 bits, whose product with n is exact, and the rest.
FE_INLINE Vec<float, lanes<double>> reduce_half_pi(
    Vec<float, lanes<double>> x, Vec<int32_t, lanes<double>>& quadrant) {
  const F64 wide = convert<double>(x);
  const F64 n = round_small(wide * 0.63661977236758134308);
  F64 r = fma(n, splat(-1.57079632673412561417e+00), wide);
  r = fma(n, splat(-6.07710050650619224932e-11), r);
  quadrant = convert<int32_t>(n);
  return convert<float>(r);
}

// sin(x + shift * pi/2).
template <int shift>
FE_INLINE F32 sin_shifted(F32 x) {
  constexpr float kLimit = 0x1p20f;
  const I32 small = abs(x) < kLimit;
  const F32 inside = small ? x : F32{};
  Vec<int32_t, lanes<double>> q0;
  Vec<int32_t, lanes<double>> q1;
  const auto r0 = reduce_half_pi(low(inside), q0);
  const auto r1 = reduce_half_pi(high(inside), q1);
  const F32 r = join(r0, r1);
  const I32 quadrant = join(q0, q1) + shift;
  const F32 z = r * r;
  const F32 sine = fma(
      polynomial(z, -1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f) * z,
      r, r);
  const F32 cosine =
      fma(polynomial(z, 2.443315711809948e-5f, -1.388731625493765e-3f,
                     4.166664568298827e-2f),
          z * z, fma(z, splat(-0.5f), splat(1.0f)));
  F32 result = (quadrant & 1) != 0 ? cosine : sine;
  result = bits<F32>(bits<I32>(result) ^ ((quadrant & 2) << 30));
  if (any(~small)) {
    for (int i = 0; i < lanes<float>; ++i) {
      if (small[i]) continue;
      const double wide = x[i];
      result[i] = static_cast<float>(shift == 0 ? ::sin(wide) : ::cos(wide));
    }
  }
  return result;
}

FE_INLINE F32 sin(F32 x) {
  const F32 result = sin_shifted<0>(x);
  return x == 0.0f ? x : result;  // keeps -0
}

FE_INLINE F32 cos(F32 x) { return sin_shifted<1>(x); }

// x^y for x >= 0 as 2^(y log2 x), to about 40 bits. log2 of the mantissa is the
// series of atanh((m - 1) / (m + 1)), 2^r is that of exp.
FE_INLINE F64 pow_positive(F64 x, F64 y) {
  constexpr double kSqrtHalf = 0.70710678118654752440;
  const U64 u = bits<U64>(x);
  F64 e = bits<F64>((u >> 52) | 0x4330000000000000) - (0x1p52 + 1022);
  F64 m = bits<F64>((u & 0xfffffffffffff) | 0x3fe0000000000000);  // [0.5, 1)
  e = m < kSqrtHalf ? e - 1.0 : e;
  m = m < kSqrtHalf ? m + m : m;
  const F64 s = (m - 1.0) / (m + 1.0);
  const F64 log2_m =
      s * polynomial(s * s, 2.8853900817779268 / 15, 2.8853900817779268 / 13,
                     2.8853900817779268 / 11, 2.8853900817779268 / 9,
                     2.8853900817779268 / 7, 2.8853900817779268 / 5,
                     2.8853900817779268 / 3, 2.8853900817779268);
  F64 log2_x = e + log2_m;
  log2_x = x == 0.0 ? -infinity<F64>() : log2_x;
  log2_x = x < infinity<F64>() ? log2_x : x;         // infinity and NaN
  const F64 t = clamp(y * log2_x, -1000.0, 1000.0);  // 0 and infinity in float
  const F64 n = round_small(t);
  const F64 r = (t - n) * 0.69314718055994530942;
  const F64 p = polynomial(r, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120,
                           1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0);
  const F64 scale = bits<F64>(bits<U64>(n + (0x1.8p52 + 1023)) << 52);
  return p * scale;
}

FE_INLINE F32 pow(F32 x, F32 y) {
  const F32 ax = abs(x);
  const F32 ay = abs(y);
  F32 result = join(convert<float>(pow_positive(convert<double>(low(ax)),
                                                convert<double>(low(y)))),
                    convert<float>(pow_positive(convert<double>(high(ax)),
                                                convert<double>(high(y)))));
  const I32 one = (ax == 1.0f) & (ay == infinity<F32>());
  result = one ? splat(1.0f) : result;
  // A negative base. From 2^24 on every float is an even integer.
  const I32 large = ay >= 0x1p24f;
  const I32 integer = convert<int32_t>(large ? F32{} : y);
  const I32 fraction = (convert<float>(integer) != y) & ~large;
  const I32 negative = bits<I32>(x) < 0;
  const I32 flip = negative & -(integer & 1) & ~fraction;
  result = flip ? -result : result;
  const I32 invalid = (x < 0.0f) & (ax < infinity<F32>()) & fraction;
  result = invalid & (ay < infinity<F32>()) ? nan<F32>() : result;
  return (x == 1.0f) | (y == 0.0f) ? splat(1.0f) : result;
}

// ---- double

FE_INLINE F64 exp(F64 x) {
  return each_lane(x, [](double v) { return ::exp(v); });
}
FE_INLINE F64 exp_negative(F64 x) { return exp(x); }
FE_INLINE F64 log(F64 x) {
  return each_lane(x, [](double v) { return ::log(v); });
}
FE_INLINE F64 tanh(F64 x) {
  return each_lane(x, [](double v) { return ::tanh(v); });
}
FE_INLINE F64 erf(F64 x) {
  return each_lane(x, [](double v) { return ::erf(v); });
}
FE_INLINE F64 sin(F64 x) {
  return each_lane(x, [](double v) { return ::sin(v); });
}
FE_INLINE F64 cos(F64 x) {
  return each_lane(x, [](double v) { return ::cos(v); });
}
FE_INLINE F64 pow(F64 x, F64 y) {
  F64 result;
  for (int i = 0; i < lanes<double>; ++i) result[i] = ::pow(x[i], y[i]);
  return result;
}
FE_INLINE F64 sigmoid(F64 x) {
  const F64 e = exp(-abs(x));
  return (x < 0.0 ? e : splat(1.0)) / (1.0 + e);
}

}  // namespace ferrule::cpu::FE_ISA
