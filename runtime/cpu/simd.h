// Vectors as wide as the instruction set: a thin layer over the vector
// extensions of GCC and Clang. For `*.simd.cpp` only.
//
//   for (int64_t i = 0; i < n; i += lanes<float>) {
//     F32 x = load(in + i, n - i);                 // zeros past the end
//     store(out + i, max(x, F32{} + 0.0f), n - i); // writes n - i lanes
//   }
//
// Vectors have the operators of their element (a * b + 1.0f, a < b, m ? a : b)
// and nothing is contracted: a fused multiply-add is written fma(). A tail runs
// through the same code as a body, so a result does not depend on where in the
// array an element stands.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef FE_ISA
#error "simd.h is for *.simd.cpp files, which CMake compiles with FE_ISA set"
#endif

#define FE_INLINE [[gnu::always_inline]] inline

namespace ferrule::cpu::FE_ISA {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

// How many elements of type T one vector holds.
template <class T>
inline constexpr int lanes = kVectorBytes / static_cast<int>(sizeof(T));

// A vector of N elements: of the natural width unless N says otherwise, as
// where two element types share a loop.
template <class T, int N>
struct VecOf {};  // of no other types are there vectors
template <class T, int N>
  requires std::is_arithmetic_v<T>
struct VecOf<T, N> {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};
template <class T, int N = lanes<T>>
using Vec = typename VecOf<T, N>::type;

using F32 = Vec<float>;
using F64 = Vec<double>;
using I32 = Vec<int32_t>;
using I64 = Vec<int64_t>;
using U32 = Vec<uint32_t>;
using U64 = Vec<uint64_t>;

// The element of a vector, its signed integer of the same size (which is what
// comparisons give, 0 or -1 a lane), and its width.
template <class V>
using Element = std::remove_cvref_t<decltype(std::declval<V>()[0])>;
template <class V>
inline constexpr int width = sizeof(V) / sizeof(Element<V>);
template <class V>
using Mask = decltype(std::declval<V>() == std::declval<V>());

// ---- Memory

template <class T>
FE_INLINE Vec<T> load(const T* from) {
  Vec<T> v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

template <class T>
FE_INLINE void store(T* to, std::type_identity_t<Vec<T>> v) {
  std::memcpy(to, &v, sizeof(v));
}

// Writes past the caches, which saves the memory from being read first: for
// results larger than the caches. `to` is aligned to a vector. A thread calls
// end_stream() before it tells others that its writes are done.
template <class T>
FE_INLINE void stream(T* to, std::type_identity_t<Vec<T>> v) {
#if defined(__clang__)
  __builtin_nontemporal_store(v, reinterpret_cast<Vec<T>*>(to));
#elif defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to),
                      reinterpret_cast<__m512i>(v));
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to),
                      reinterpret_cast<__m256i>(v));
#elif defined(__x86_64__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(to),
                   reinterpret_cast<__m128i>(v));
#else
  store(to, v);
#endif
}

FE_INLINE void end_stream() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// The same value in every lane. (0 + x would turn -0 into +0.)
template <class T, int N = lanes<T>>
FE_INLINE Vec<T, N> splat(T x) {
  return [&]<int... i>(std::integer_sequence<int, i...>) {
    return Vec<T, N>{(static_cast<void>(i), x)...};
  }(std::make_integer_sequence<int, N>());
}

// 0, 1, 2, ...
template <class T, int N = lanes<T>>
FE_INLINE Vec<T, N> iota() {
  return []<int... i>(std::integer_sequence<int, i...>) {
    return Vec<T, N>{static_cast<T>(i)...};
  }(std::make_integer_sequence<int, N>());
}

// Whole vectors are read and written without a mask: with one, functions of
// many instructions take several times as long on data that comes from memory
// (exp of 10^7 floats on Zen 5: 0.57 ns an element against 0.16).

#if defined(__AVX512F__)

FE_INLINE uint64_t first(int64_t n) {
  return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
}

// The first n lanes, or all if there are fewer; the others are zero. n >= 0.
template <class T>
FE_INLINE Vec<T> load(const T* from, int64_t n) {
  if (n >= lanes<T>) return load(from);
  const uint64_t mask = first(n);
  __m512i v;
  if constexpr (sizeof(T) == 8) {
    v = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(mask), from);
  } else if constexpr (sizeof(T) == 4) {
    v = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask), from);
  } else if constexpr (sizeof(T) == 2) {
    v = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(mask), from);
  } else {
    v = _mm512_maskz_loadu_epi8(mask, from);
  }
  return reinterpret_cast<Vec<T>>(v);
}

// Writes the first n lanes, or all if there are fewer. n >= 0.
template <class T>
FE_INLINE void store(T* to, std::type_identity_t<Vec<T>> v, int64_t n) {
  if (n >= lanes<T>) return store(to, v);
  const uint64_t mask = first(n);
  const auto bits = reinterpret_cast<__m512i>(v);
  if constexpr (sizeof(T) == 8) {
    _mm512_mask_storeu_epi64(to, static_cast<__mmask8>(mask), bits);
  } else if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_epi32(to, static_cast<__mmask16>(mask), bits);
  } else if constexpr (sizeof(T) == 2) {
    _mm512_mask_storeu_epi16(to, static_cast<__mmask32>(mask), bits);
  } else {
    _mm512_mask_storeu_epi8(to, mask, bits);
  }
}

#else

template <class T>
FE_INLINE Vec<T> load(const T* from, int64_t n) {
  if (n >= lanes<T>) return load(from);
  Vec<T> v{};
  T* lane = reinterpret_cast<T*>(&v);
  for (int64_t i = 0; i < n; ++i) lane[i] = from[i];
  return v;
}

template <class T>
FE_INLINE void store(T* to, std::type_identity_t<Vec<T>> v, int64_t n) {
  if (n >= lanes<T>) return store(to, v);
  const T* lane = reinterpret_cast<const T*>(&v);
  for (int64_t i = 0; i < n; ++i) to[i] = lane[i];
}

#endif

// out[i] = f(i, left) for i < n, a vector at a time, of which the first `left`
// lanes count. `past_caches`: but for what shares a line with others.
template <class T, class F>
FE_INLINE void write(T* out, int64_t n, bool past_caches, F f) {
  int64_t i = 0;
  if (past_caches) {
    constexpr uintptr_t kVector = kVectorBytes;
    const auto lacking = -reinterpret_cast<uintptr_t>(out) % kVector;
    const auto head = static_cast<int64_t>(lacking / sizeof(T));
    i = head < n ? head : n;
    if (i > 0) store(out, f(0, i), i);
    for (; i + lanes<T> <= n; i += lanes<T>) {
      stream(out + i, f(i, int64_t{lanes<T>}));
    }
  }
  for (; i < n; i += lanes<T>) store(out + i, f(i, n - i), n - i);
}

// ---- Lanes

// Lanes i... of a and b put one after the other.
template <class V, int... i>
FE_INLINE auto shuffle(V a, V b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, i...);
}

// The lower and the upper half of a vector, and the vector of two halves.
template <class V>
FE_INLINE auto low(V v) {
  return shuffle(v, v, std::make_integer_sequence<int, width<V> / 2>());
}

template <class V>
FE_INLINE auto high(V v) {
  return [v]<int... i>(std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(v, v, (i + width<V> / 2)...);
  }(std::make_integer_sequence<int, width<V> / 2>());
}

template <class V>
FE_INLINE auto join(V low, V high) {
  return shuffle(low, high, std::make_integer_sequence<int, width<V> * 2>());
}

// The same number of lanes, each converted as static_cast<T> would.
template <class T, class V>
FE_INLINE Vec<T, width<V>> convert(V v) {
  return __builtin_convertvector(v, Vec<T, width<V>>);
}

// The same bits as another vector type of the same size.
template <class To, class From>
FE_INLINE To bits(From v) {
  static_assert(sizeof(To) == sizeof(From));
  return reinterpret_cast<To>(v);
}

// ---- Arithmetic
//
// AVX-512 intrinsics are the zero-masking ones where GCC 12 warns that the
// plain ones use an undefined vector (GCC bug 105593). The code is the same.

// a * b + c, rounded once where the machine can (twice on x86-64-v2).
template <class V>
FE_INLINE V fma(V a, std::type_identity_t<V> b, std::type_identity_t<V> c) {
  [[maybe_unused]] constexpr bool kSingle = sizeof(Element<V>) == 4;
  if constexpr (sizeof(V) > kVectorBytes) {
    return join(fma(low(a), low(b), low(c)), fma(high(a), high(b), high(c)));
#if defined(__AVX512F__)
  } else if constexpr (sizeof(V) == 64 && kSingle) {
    return bits<V>(
        _mm512_fmadd_ps(bits<__m512>(a), bits<__m512>(b), bits<__m512>(c)));
  } else if constexpr (sizeof(V) == 64) {
    return bits<V>(
        _mm512_fmadd_pd(bits<__m512d>(a), bits<__m512d>(b), bits<__m512d>(c)));
#endif
#if defined(__FMA__)
  } else if constexpr (sizeof(V) == 32 && kSingle) {
    return bits<V>(
        _mm256_fmadd_ps(bits<__m256>(a), bits<__m256>(b), bits<__m256>(c)));
  } else if constexpr (sizeof(V) == 32) {
    return bits<V>(
        _mm256_fmadd_pd(bits<__m256d>(a), bits<__m256d>(b), bits<__m256d>(c)));
  } else if constexpr (sizeof(V) == 16 && kSingle) {
    return bits<V>(
        _mm_fmadd_ps(bits<__m128>(a), bits<__m128>(b), bits<__m128>(c)));
  } else if constexpr (sizeof(V) == 16) {
    return bits<V>(
        _mm_fmadd_pd(bits<__m128d>(a), bits<__m128d>(b), bits<__m128d>(c)));
#elif defined(__aarch64__)
  } else if constexpr (sizeof(V) == 16 && kSingle) {
    return bits<V>(vfmaq_f32(bits<float32x4_t>(c), bits<float32x4_t>(a),
                             bits<float32x4_t>(b)));
  } else if constexpr (sizeof(V) == 16) {
    return bits<V>(vfmaq_f64(bits<float64x2_t>(c), bits<float64x2_t>(a),
                             bits<float64x2_t>(b)));
#else
  } else {
    return a * b + c;
#endif
  }
}

// mask ? a : b, lane by lane.
template <class V>
FE_INLINE V select(Mask<V> mask, V a, std::type_identity_t<V> b) {
  return mask ? a : b;
}

// a > b ? a : b and a < b ? a : b, on x86 as one instruction: b where the lanes
// are equal or one is NaN. Floating point only.
template <class V>
FE_INLINE V larger(V a, std::type_identity_t<V> b) {
  [[maybe_unused]] constexpr bool kSingle = sizeof(Element<V>) == 4;
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && kSingle) {
    return bits<V>(
        _mm512_maskz_max_ps(0xffff, bits<__m512>(a), bits<__m512>(b)));
  } else if constexpr (sizeof(V) == 64) {
    return bits<V>(
        _mm512_maskz_max_pd(0xff, bits<__m512d>(a), bits<__m512d>(b)));
  }
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32 && kSingle) {
    return bits<V>(_mm256_max_ps(bits<__m256>(a), bits<__m256>(b)));
  } else if constexpr (sizeof(V) == 32) {
    return bits<V>(_mm256_max_pd(bits<__m256d>(a), bits<__m256d>(b)));
  }
#endif
#if defined(__x86_64__)
  if constexpr (sizeof(V) == 16 && kSingle) {
    return bits<V>(_mm_max_ps(bits<__m128>(a), bits<__m128>(b)));
  } else if constexpr (sizeof(V) == 16) {
    return bits<V>(_mm_max_pd(bits<__m128d>(a), bits<__m128d>(b)));
  }
#endif
  return a > b ? a : b;
}

template <class V>
FE_INLINE V smaller(V a, std::type_identity_t<V> b) {
  [[maybe_unused]] constexpr bool kSingle = sizeof(Element<V>) == 4;
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 64 && kSingle) {
    return bits<V>(
        _mm512_maskz_min_ps(0xffff, bits<__m512>(a), bits<__m512>(b)));
  } else if constexpr (sizeof(V) == 64) {
    return bits<V>(
        _mm512_maskz_min_pd(0xff, bits<__m512d>(a), bits<__m512d>(b)));
  }
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32 && kSingle) {
    return bits<V>(_mm256_min_ps(bits<__m256>(a), bits<__m256>(b)));
  } else if constexpr (sizeof(V) == 32) {
    return bits<V>(_mm256_min_pd(bits<__m256d>(a), bits<__m256d>(b)));
  }
#endif
#if defined(__x86_64__)
  if constexpr (sizeof(V) == 16 && kSingle) {
    return bits<V>(_mm_min_ps(bits<__m128>(a), bits<__m128>(b)));
  } else if constexpr (sizeof(V) == 16) {
    return bits<V>(_mm_min_pd(bits<__m128d>(a), bits<__m128d>(b)));
  }
#endif
  return a < b ? a : b;
}

// The smaller and the larger lane; a NaN in either is the result. A chain of
// them is shortest where what was folded so far is b.
template <class V>
FE_INLINE V min(V a, std::type_identity_t<V> b) {
  if constexpr (std::is_floating_point_v<Element<V>>) {
    return a != a ? a : smaller(a, b);
  } else {
    return a < b ? a : b;
  }
}

template <class V>
FE_INLINE V max(V a, std::type_identity_t<V> b) {
  if constexpr (std::is_floating_point_v<Element<V>>) {
    return a != a ? a : larger(a, b);
  } else {
    return a > b ? a : b;
  }
}

template <class V>
FE_INLINE V sign_bit() {
  return bits<V>(splat<Element<V>, width<V>>(Element<V>(-0.0)));
}

template <class V>
FE_INLINE V abs(V v) {
  if constexpr (std::is_floating_point_v<Element<V>>) {
    return bits<V>(bits<Mask<V>>(v) & ~bits<Mask<V>>(sign_bit<V>()));
  } else {
    return v < 0 ? -v : v;
  }
}

// |magnitude| with the sign of `sign`. Floating point only.
template <class V>
FE_INLINE V copysign(V magnitude, std::type_identity_t<V> sign) {
  const auto bit = bits<Mask<V>>(sign_bit<V>());
  return bits<V>((bits<Mask<V>>(magnitude) & ~bit) |
                 (bits<Mask<V>>(sign) & bit));
}

template <class V>
FE_INLINE V sqrt(V v) {
  [[maybe_unused]] constexpr bool kSingle = sizeof(Element<V>) == 4;
  if constexpr (sizeof(V) > kVectorBytes) {
    return join(sqrt(low(v)), sqrt(high(v)));
#if defined(__AVX512F__)
  } else if constexpr (sizeof(V) == 64 && kSingle) {
    return bits<V>(_mm512_maskz_sqrt_ps(0xffff, bits<__m512>(v)));
  } else if constexpr (sizeof(V) == 64) {
    return bits<V>(_mm512_maskz_sqrt_pd(0xff, bits<__m512d>(v)));
#endif
#if defined(__AVX2__)
  } else if constexpr (sizeof(V) == 32 && kSingle) {
    return bits<V>(_mm256_sqrt_ps(bits<__m256>(v)));
  } else if constexpr (sizeof(V) == 32) {
    return bits<V>(_mm256_sqrt_pd(bits<__m256d>(v)));
#endif
#if defined(__x86_64__)
  } else if constexpr (kSingle) {
    return bits<V>(_mm_sqrt_ps(bits<__m128>(v)));
  } else {
    return bits<V>(_mm_sqrt_pd(bits<__m128d>(v)));
#else
  } else if constexpr (kSingle) {
    return bits<V>(vsqrtq_f32(bits<float32x4_t>(v)));
  } else {
    return bits<V>(vsqrtq_f64(bits<float64x2_t>(v)));
#endif
  }
}

// Rounded to an integer. The values are those of the x86 instructions.
enum class Rounding { to_even = 0, down = 1, up = 2, to_zero = 3 };

template <Rounding mode, class V>
FE_INLINE V round_to(V v) {
  [[maybe_unused]] constexpr bool kSingle = sizeof(Element<V>) == 4;
#if defined(__x86_64__)
  constexpr int kMode = static_cast<int>(mode) | _MM_FROUND_NO_EXC;
#endif
#if defined(__AVX512F__)
  if constexpr (kSingle) {
    return bits<V>(_mm512_maskz_roundscale_ps(0xffff, bits<__m512>(v), kMode));
  } else {
    return bits<V>(_mm512_maskz_roundscale_pd(0xff, bits<__m512d>(v), kMode));
  }
#elif defined(__AVX2__)
  if constexpr (kSingle) {
    return bits<V>(_mm256_round_ps(bits<__m256>(v), kMode));
  } else {
    return bits<V>(_mm256_round_pd(bits<__m256d>(v), kMode));
  }
#elif defined(__x86_64__)
  if constexpr (kSingle) {
    return bits<V>(_mm_round_ps(bits<__m128>(v), kMode));
  } else {
    return bits<V>(_mm_round_pd(bits<__m128d>(v), kMode));
  }
#else
  const auto round = [](auto single, auto twice, V x) {
    if constexpr (kSingle) {
      return bits<V>(single(bits<float32x4_t>(x)));
    } else {
      return bits<V>(twice(bits<float64x2_t>(x)));
    }
  };
  using F = float32x4_t;
  using D = float64x2_t;
  if constexpr (mode == Rounding::to_even) {
    return round([](F x) { return vrndnq_f32(x); },
                 [](D x) { return vrndnq_f64(x); }, v);
  } else if constexpr (mode == Rounding::down) {
    return round([](F x) { return vrndmq_f32(x); },
                 [](D x) { return vrndmq_f64(x); }, v);
  } else if constexpr (mode == Rounding::up) {
    return round([](F x) { return vrndpq_f32(x); },
                 [](D x) { return vrndpq_f64(x); }, v);
  } else {
    return round([](F x) { return vrndq_f32(x); },
                 [](D x) { return vrndq_f64(x); }, v);
  }
#endif
}

// Rounded to the nearest integer, halves to even. The trick of adding 1.5 *
// 2^(digits - 1) needs |v| < 2^(digits - 2), and the default rounding mode.
template <class V>
FE_INLINE V round_small(V v) {
  using T = Element<V>;
  constexpr T kMagic = sizeof(T) == 4 ? T(0x1.8p23) : T(0x1.8p52);
  return (v + kMagic) - kMagic;
}

// ---- Reductions, in one fixed order: lane i with lane i + width / 2, and so
// on

template <class V, class Combine>
FE_INLINE Element<V> reduce(V v, Combine combine) {
  if constexpr (width<V> == 2) {
    return combine(Vec<Element<V>, 1>{v[0]}, Vec<Element<V>, 1>{v[1]})[0];
  } else {
    return reduce(combine(low(v), high(v)), combine);
  }
}

template <class V>
FE_INLINE Element<V> sum(V v) {
  return reduce(v, [](auto a, auto b) { return a + b; });
}

template <class V>
FE_INLINE Element<V> reduce_max(V v) {
  return reduce(v, [](auto a, auto b) { return max(a, b); });
}

template <class V>
FE_INLINE Element<V> reduce_min(V v) {
  return reduce(v, [](auto a, auto b) { return min(a, b); });
}

// Is any lane of a mask set?
template <class M>
FE_INLINE bool any(M mask) {
  return reduce(mask, [](auto a, auto b) { return a | b; }) != 0;
}

// ---- 16-bit floats, as their bits. Arithmetic on them is done in float.

using U16 = Vec<uint16_t, lanes<float>>;  // half a vector: the lanes of an F32

FE_INLINE F32 bf16_to_f32(U16 h) {
  return bits<F32>(convert<uint32_t>(h) << 16);
}

// To nearest, halves to even; a NaN stays one, made quiet. In the upper half of
// each lane; the lower half is anything.
FE_INLINE U32 upper_bf16(F32 v) {
  const U32 u = bits<U32>(v);
  return v != v ? u | 0x400000 : u + 0x7fff + ((u >> 16) & 1);
}

FE_INLINE U16 f32_to_bf16(F32 v) {
  return convert<uint16_t>(upper_bf16(v) >> 16);
}

// Both vectors, one after the other.
FE_INLINE Vec<uint16_t> f32_to_bf16(F32 a, F32 b) {
  return [&]<int... i>(std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(bits<Vec<uint16_t>>(upper_bf16(a)),
                                   bits<Vec<uint16_t>>(upper_bf16(b)),
                                   (2 * i + 1)...);
  }(std::make_integer_sequence<int, lanes<uint16_t>>());
}

FE_INLINE F32 f16_to_f32(U16 h) {
#if defined(__AVX512F__)
  return bits<F32>(_mm512_maskz_cvtph_ps(0xffff, bits<__m256i>(h)));
#elif defined(__F16C__)
  return bits<F32>(_mm256_cvtph_ps(bits<__m128i>(h)));
#elif defined(__aarch64__)
  return bits<F32>(vcvt_f32_f16(bits<float16x4_t>(h)));
#else
  // Move exponent and mantissa into place and scale by 2^112, which is exact
  // and makes normal numbers of the subnormal ones. Infinity and NaN apart.
  const U32 u = convert<uint32_t>(h);
  const U32 magnitude = (u & 0x7fff) << 13;
  const F32 scaled = bits<F32>(magnitude) * 0x1p112f;
  const U32 special = magnitude | 0x7f800000;
  const U32 quiet = (u & 0x3ff) != 0 ? special | 0x400000 : special;
  const U32 result = (u & 0x7c00) == 0x7c00 ? quiet : bits<U32>(scaled);
  return bits<F32>(result | (u & 0x8000) << 16);
#endif
}

FE_INLINE U16 f32_to_f16(F32 v) {
#if defined(__AVX512F__)
  return bits<U16>(_mm512_maskz_cvtps_ph(0xffff, bits<__m512>(v),
                                         _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  return bits<U16>(_mm256_cvtps_ph(bits<__m256>(v), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__aarch64__)
  return bits<U16>(vcvt_f16_f32(bits<float32x4_t>(v)));
#else
  // Subnormal results are rounded by adding 0.5, whose last bit is worth
  // 2^-24; normal ones by adding half of what is cut off, minus one if even.
  const U32 u = bits<U32>(v);
  const U32 a = u & 0x7fffffff;
  const U32 small = bits<U32>(bits<F32>(a) + 0.5f) - 0x3f000000;
  const U32 normal = (a - 0x38000000 + 0xfff + ((a >> 13) & 1)) >> 13;
  const U32 nan = (a >> 13 & 0x1ff) | 0x7e00;
  U32 result = a < 0x38800000 ? small : normal;
  result = a >= 0x47800000 - 0x1000 ? splat<uint32_t>(0x7c00) : result;
  result = a > 0x7f800000 ? nan : result;
  return convert<uint16_t>(result | (u >> 16 & 0x8000));
#endif
}

// Loads and stores that go with an F32; partial ones as for load and store.
FE_INLINE U16 load_u16(const uint16_t* from) {
  U16 h;
  std::memcpy(&h, from, sizeof(h));
  return h;
}

FE_INLINE U16 load_u16(const uint16_t* from, int64_t n) {
  if (n >= lanes<float>) return load_u16(from);
  U16 h{};
  uint16_t* lane = reinterpret_cast<uint16_t*>(&h);
  for (int64_t i = 0; i < n; ++i) lane[i] = from[i];
  return h;
}

FE_INLINE void store_u16(uint16_t* to, U16 h) {
  std::memcpy(to, &h, sizeof(h));
}

FE_INLINE void store_u16(uint16_t* to, U16 h, int64_t n) {
  if (n >= lanes<float>) return store_u16(to, h);
  const uint16_t* lane = reinterpret_cast<const uint16_t*>(&h);
  for (int64_t i = 0; i < n; ++i) to[i] = lane[i];
}

}  // namespace ferrule::cpu::FE_ISA
