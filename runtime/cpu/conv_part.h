// Vectors at the margins of an image's rows, and rows whose elements are taken
// in twos, for convolution and pooling. For *.simd.cpp.
#pragma once

#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {

// Which elements of a vector exist: those at `start` + lane in [0, end). The
// others are read as zeros.
template <class T>
struct Part {
  static constexpr int64_t kLanes = lanes<T>;
#if defined(__AVX512F__)
  __mmask16 exist;

  FE_INLINE static Part of(int64_t start, int64_t end) {
    const auto clamp = [](int64_t n) {
      return n < 0 ? 0 : n > kLanes ? kLanes : n;
    };
    return {static_cast<__mmask16>(first(clamp(end - start)) &
                                   ~first(clamp(-start)))};
  }
  FE_INLINE Vec<T> load(const T* from) const {
    if constexpr (sizeof(T) == 4) {
      return bits<Vec<T>>(_mm512_maskz_loadu_ps(exist, from));
    } else {
      return bits<Vec<T>>(
          _mm512_maskz_loadu_pd(static_cast<__mmask8>(exist), from));
    }
  }
#else
  int64_t begin, end;

  FE_INLINE static Part of(int64_t start, int64_t end) {
    return {start < 0 ? -start : 0,
            end - start < kLanes ? end - start : kLanes};
  }
  FE_INLINE Vec<T> load(const T* from) const {
    if (begin == 0 && end == kLanes) [[likely]]
      return FE_ISA::load(from);
    return load_some(from);
  }
  [[gnu::noinline]] Vec<T> load_some(const T* from) const {
    alignas(kVectorBytes) T some[kLanes] = {};
    for (int64_t l = begin; l < end; ++l) some[l] = from[l];
    return FE_ISA::load(some);
  }
#endif
};

// All elements of a but the first, and the first of b.
template <class V>
FE_INLINE V shift_in(V a, V b) {
  return [&]<int... l>(std::integer_sequence<int, l...>) {
    return __builtin_shufflevector(a, b, (l + 1)...);
  }(std::make_integer_sequence<int, width<V>>());
}

// The even (or odd) elements of two vectors.
template <int parity, class V>
FE_INLINE V every_other(V a, V b) {
  return [&]<int... l>(std::integer_sequence<int, l...>) {
    return __builtin_shufflevector(a, b, (2 * l + parity)...);
  }(std::make_integer_sequence<int, width<V>>());
}

// The first or the second half of the elements of two vectors, taken in turn.
template <int half, class V>
FE_INLINE V interleave(V a, V b) {
  return [&]<int... l>(std::integer_sequence<int, l...>) {
    constexpr int kWidth = width<V>;
    return __builtin_shufflevector(
        a, b, (half * kWidth / 2 + l / 2 + l % 2 * kWidth)...);
  }(std::make_integer_sequence<int, width<V>>());
}

}  // namespace ferrule::cpu::FE_ISA
