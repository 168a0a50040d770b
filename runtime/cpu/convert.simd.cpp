// The common steps of convert.h, as loops that the compiler turns into vectors.
#include "runtime/cpu/convert.h"

#include "runtime/cpu/blocks.h"
#include "runtime/cpu/simd.h"

namespace ferrule::cpu::FE_ISA {
namespace {

// Integers wrap, as the language defines for static_cast since C++20.
template <class To, class From>
void plain(void* to, const void* from, int64_t n) {
  blocks<To, From>(to, from, n, [](From v) { return static_cast<To>(v); });
}

template <class From>
void to_bool(void* to, const void* from, int64_t n) {
  blocks<uint8_t, From>(to, from, n, [](From v) { return v != From{}; });
}

template <class From>
void float_to_i64(void* to, const void* from, int64_t n) {
  blocks<int64_t, From>(to, from, n, [](From v) {
    const bool inside = v >= From(-0x1p63) && v < From(0x1p63);
    const int64_t outside = v < From(0)    ? INT64_MIN
                            : v >= From(0) ? INT64_MAX
                                           : 0;
    return inside ? static_cast<int64_t>(inside ? v : From(0)) : outside;
  });
}

template <F32 (*widen)(U16)>
void from_16(void* to, const void* from, int64_t n) {
  auto* o = static_cast<float*>(to);
  const auto* x = static_cast<const uint16_t*>(from);
  for (int64_t i = 0; i < n; i += lanes<float>) {
    store(o + i, widen(load_u16(x + i, n - i)), n - i);
  }
}

template <U16 (*narrow)(F32)>
void to_16(void* to, const void* from, int64_t n) {
  auto* o = static_cast<uint16_t*>(to);
  const auto* x = static_cast<const float*>(from);
  for (int64_t i = 0; i < n; i += lanes<float>) {
    store_u16(o + i, narrow(load(x + i, n - i)), n - i);
  }
}

void to_bf16(void* to, const void* from, int64_t n) {
  auto* o = static_cast<uint16_t*>(to);
  const auto* x = static_cast<const float*>(from);
  constexpr int kLanes = lanes<float>;
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    store(o + i, f32_to_bf16(load(x + i), load(x + i + kLanes)));
  }
  for (; i < n; i += kLanes) {
    store_u16(o + i, f32_to_bf16(load(x + i, n - i)), n - i);
  }
}

}  // namespace

ConvertFn convert_step(Step step) {
  constexpr bool f16 = built(DType::f16), bf16 = built(DType::bf16);
  static constexpr ConvertFn kSteps[] = {plain<float, uint8_t>,
                                         plain<float, int32_t>,
                                         plain<float, int64_t>,
                                         f16 ? from_16<f16_to_f32> : nullptr,
                                         bf16 ? from_16<bf16_to_f32> : nullptr,
                                         plain<float, double>,
                                         plain<double, int32_t>,
                                         plain<double, int64_t>,
                                         plain<double, float>,
                                         plain<int64_t, uint8_t>,
                                         plain<int64_t, int32_t>,
                                         float_to_i64<float>,
                                         float_to_i64<double>,
                                         f16 ? to_16<f32_to_f16> : nullptr,
                                         bf16 ? to_bf16 : nullptr,
                                         to_bool<float>,
                                         to_bool<double>,
                                         to_bool<int64_t>,
                                         plain<int32_t, int64_t>};
  return kSteps[static_cast<int>(step)];
}

}  // namespace ferrule::cpu::FE_ISA
