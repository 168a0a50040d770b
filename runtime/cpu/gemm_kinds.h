// How products of each pair of types are computed: what a vector of operands in
// a register tile holds, and what is added for it to a vector of sums.
//
// A word is as wide as a sum and holds `group` elements that follow one another
// along k: two bfloat16 or four int8 where the machine has instructions that
// multiply and add such words. Otherwise elements are widened when they are
// packed.
#pragma once

#include "runtime/cpu/gemm.h"
#include "runtime/cpu/gemm_tile.h"
#include "runtime/cpu/gemm_tile_pairs.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

template <class T, class S>
struct Kind;

// Elements of a and b in turn: those from element `from` on that make a vector.
template <int from, class V>
FE_INLINE V in_turn(V a, V b) {
  return [&]<int... j>(std::integer_sequence<int, j...>) {
    return __builtin_shufflevector(a, b, (from + j / 2 + j % 2 * width<V>)...);
  }(std::make_integer_sequence<int, width<V>>());
}

// ---- Elements as they are

template <class T>
struct Kind<T, T> : MultiplyAdd<T> {
  using Op = MultiplyAdd<T>;  // what a register tile does
  static constexpr int group = 1;
  // Sums are 128 times the sum of B's column too large.
  static constexpr bool offset = false;

  // The next words of one row or column along k, of n elements.
  template <class... N>
  FE_INLINE static Vec<T> load(const T* from, N... n) {
    return FE_ISA::load(from, n...);
  }
  // Words of A as `step` wants them.
  FE_INLINE static Vec<T> for_a(Vec<T> words) { return words; }
};

// ---- 16-bit floats

FE_INLINE F32 widened(const BFloat16* from) {
  return bf16_to_f32(load_u16(&from->bits));
}
FE_INLINE F32 widened(const BFloat16* from, int64_t n) {
  return bf16_to_f32(load_u16(&from->bits, n));
}
FE_INLINE F32 widened(const Float16* from) {
  return f16_to_f32(load_u16(&from->bits));
}
FE_INLINE F32 widened(const Float16* from, int64_t n) {
  return f16_to_f32(load_u16(&from->bits, n));
}
template <class T, class... N>
FE_INLINE Vec<T> widened(const T* from, N... n) {
  return load(from, n...);
}

FE_INLINE float widened(BFloat16 x) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16);
}
FE_INLINE float widened(Float16 x) {
  return f16_to_f32(splat<uint16_t, lanes<float>>(x.bits))[0];
}
template <class T>
FE_INLINE T widened(T x) {
  return x;
}

template <class S>
struct Widening : MultiplyAdd<float> {
  using Op = MultiplyAdd<float>;
  static constexpr int group = 1;
  static constexpr bool offset = false;

  template <class... N>
  FE_INLINE static F32 load(const S* from, N... n) {
    return widened(from, n...);
  }
  // The next words of `n` columns: `left` rows of the group exist.
  FE_INLINE static F32 rows(const S* from, int64_t, int64_t, int64_t n) {
    return widened(from, n);
  }
  FE_INLINE static F32 for_a(F32 words) { return words; }
};

template <>
struct Kind<float, Float16> : Widening<Float16> {};

#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16)

// Subnormal numbers count as zero; each pair of products is added to the sum
// with roundings of its own (Intel, Architecture Instruction Set Extensions;
// Arm Architecture Reference Manual, BFDOT).
template <>
struct Kind<float, BFloat16> {
  using Op = Kind;
  static constexpr int group = 2;
  static constexpr bool offset = false;

  FE_INLINE static F32 load(const BFloat16* from) {
    return bits<F32>(FE_ISA::load(&from->bits));
  }
  FE_INLINE static F32 load(const BFloat16* from, int64_t n) {
    return bits<F32>(FE_ISA::load(&from->bits, n));
  }
  FE_INLINE static F32 rows(const BFloat16* from, int64_t row, int64_t left,
                            int64_t n) {
    U32 words = convert<uint32_t>(load_u16(&from->bits, n));
    if (left > 1) {
      words |= convert<uint32_t>(load_u16(&(from + row)->bits, n)) << 16;
    }
    return bits<F32>(words);
  }
  // Of two vectors of columns. The whole group exists.
  FE_INLINE static void full_rows(const BFloat16* from, int64_t row,
                                  F32 (&words)[2]) {
    const auto first = FE_ISA::load(&from->bits);
    const auto second = FE_ISA::load(&(from + row)->bits);
    words[0] = bits<F32>(in_turn<0>(first, second));
    words[1] = bits<F32>(in_turn<lanes<float>>(first, second));
  }
  FE_INLINE static F32 for_a(F32 words) { return words; }
#if defined(__AVX512BF16__)
  FE_INLINE static F32 step(F32 a, F32 b, F32 sum) {
    return bits<F32>(_mm512_dpbf16_ps(bits<__m512>(sum), bits<__m512bh>(a),
                                      bits<__m512bh>(b)));
  }
#else
  FE_INLINE static F32 step(F32 a, F32 b, F32 sum) {
    return bits<F32>(vbfdotq_f32(bits<float32x4_t>(sum), bits<bfloat16x8_t>(a),
                                 bits<bfloat16x8_t>(b)));
  }
  FE_INLINE static F32 step_pairs(F32 a, F32 b, F32 sum) {
    return bits<F32>(vbfmmlaq_f32(bits<float32x4_t>(sum), bits<bfloat16x8_t>(a),
                                  bits<bfloat16x8_t>(b)));
  }
#endif
};

#else

template <>
struct Kind<float, BFloat16> : Widening<BFloat16> {};

#endif

// ---- int8

// N elements, zeros past the first n.
template <int N>
[[gnu::noinline]] Vec<int8_t, N> load_part(const int8_t* from, int64_t n) {
  Vec<int8_t, N> v{};
  int8_t* lane = reinterpret_cast<int8_t*>(&v);
  for (int64_t i = 0; i < n; ++i) lane[i] = from[i];
  return v;
}

template <int N>
FE_INLINE Vec<int8_t, N> load_i8(const int8_t* from, int64_t n) {
  if (n < N) return load_part<N>(from, n);
  Vec<int8_t, N> v;
  std::memcpy(&v, from, N);
  return v;
}

#if defined(__AVX512VNNI__) || defined(__ARM_FEATURE_DOTPROD)

template <>
struct Kind<int32_t, int8_t> {
  using Op = Kind;
  static constexpr int group = 4;
#if defined(__AVX512VNNI__)
  // The instruction wants A without a sign: with 128 added to each element, it
  // gives 128 times the sum of B's column too much.
  static constexpr bool offset = true;
  FE_INLINE static I32 for_a(I32 words) {
    return words ^ static_cast<int32_t>(0x80808080);
  }
  FE_INLINE static I32 step(I32 a, I32 b, I32 sum) {
    return bits<I32>(_mm512_dpbusd_epi32(bits<__m512i>(sum), bits<__m512i>(a),
                                         bits<__m512i>(b)));
  }
#else
  static constexpr bool offset = false;
  FE_INLINE static I32 for_a(I32 words) { return words; }
  FE_INLINE static I32 step(I32 a, I32 b, I32 sum) {
    return bits<I32>(vdotq_s32(bits<int32x4_t>(sum), bits<int8x16_t>(a),
                               bits<int8x16_t>(b)));
  }
#if defined(__ARM_FEATURE_MATMUL_INT8)
  FE_INLINE static I32 step_pairs(I32 a, I32 b, I32 sum) {
    return bits<I32>(vmmlaq_s32(bits<int32x4_t>(sum), bits<int8x16_t>(a),
                                bits<int8x16_t>(b)));
  }
#endif
#endif

  FE_INLINE static I32 load(const int8_t* from, int64_t n = lanes<int8_t>) {
    return bits<I32>(load_i8<lanes<int8_t>>(from, n));
  }
  // In two steps: GCC 12 converts directly one element at a time.
  FE_INLINE static I32 rows(const int8_t* from, int64_t row, int64_t left,
                            int64_t n) {
    U32 words{};
#pragma GCC unroll 4
    for (int i = 0; i < group; ++i) {
      if (i >= left) break;
      const auto part = bits<Vec<uint8_t, lanes<float>>>(
          load_i8<lanes<float>>(from + i * row, n));
      words |= convert<uint32_t>(convert<uint16_t>(part)) << (8 * i);
    }
    return bits<I32>(words);
  }
  // Of two vectors of columns. The whole group exists.
  FE_INLINE static void full_rows(const int8_t* from, int64_t row,
                                  I32 (&words)[2]) {
    constexpr int kCols = lanes<int16_t>;
    const auto widen = [](const int8_t* p) {
      return convert<uint16_t>(
          bits<Vec<uint8_t, kCols>>(load_i8<kCols>(p, kCols)));
    };
    const auto first = widen(from) | widen(from + row) << 8;
    const auto second = widen(from + 2 * row) | widen(from + 3 * row) << 8;
    words[0] = bits<I32>(in_turn<0>(first, second));
    words[1] = bits<I32>(in_turn<kCols / 2>(first, second));
  }
};

#else

// Pairs of int16.
template <>
struct Kind<int32_t, int8_t> {
  using Op = Kind;
  static constexpr int group = 2;
  static constexpr bool offset = false;

  FE_INLINE static I32 load(const int8_t* from,
                            int64_t n = 2 * lanes<int32_t>) {
    return bits<I32>(convert<int16_t>(load_i8<2 * lanes<int32_t>>(from, n)));
  }
  FE_INLINE static I32 rows(const int8_t* from, int64_t row, int64_t left,
                            int64_t n) {
    constexpr int kLanes = lanes<int32_t>;
    const auto widen = [n](const int8_t* p) {
      // In two steps: GCC 12 converts directly one element at a time.
      return convert<int32_t>(convert<int16_t>(load_i8<kLanes>(p, n)));
    };
    I32 words = widen(from) & 0xffff;
    if (left > 1) words |= widen(from + row) << 16;
    return words;
  }
  FE_INLINE static I32 for_a(I32 words) { return words; }
  FE_INLINE static I32 step(I32 a, I32 b, I32 sum) {
#if defined(__AVX512F__)
    return sum +
           bits<I32>(_mm512_madd_epi16(bits<__m512i>(a), bits<__m512i>(b)));
#elif defined(__AVX2__)
    return sum +
           bits<I32>(_mm256_madd_epi16(bits<__m256i>(a), bits<__m256i>(b)));
#elif defined(__x86_64__)
    return sum + bits<I32>(_mm_madd_epi16(bits<__m128i>(a), bits<__m128i>(b)));
#else
    const auto x = bits<int16x8_t>(a), y = bits<int16x8_t>(b);
    return sum +
           bits<I32>(vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)),
                                vmull_high_s16(x, y)));
#endif
  }
};

#endif

}  // namespace ferrule::cpu::FE_ISA
