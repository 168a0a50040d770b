// Finds the steps that lead from one element type to another.
#include "runtime/cpu/convert.h"

#include <algorithm>
#include <limits>

namespace ferrule::cpu {
namespace {

template <class To, class From>
void plain(void* to, const void* from, int64_t n) {
  auto* o = static_cast<To*>(to);
  const auto* x = static_cast<const From*>(from);
  for (int64_t i = 0; i < n; ++i) o[i] = static_cast<To>(x[i]);
}

template <class To>
void saturate(void* to, const void* from, int64_t n) {
  auto* o = static_cast<To*>(to);
  const auto* x = static_cast<const int64_t*>(from);
  for (int64_t i = 0; i < n; ++i) {
    o[i] = static_cast<To>(std::clamp<int64_t>(
        x[i], std::numeric_limits<To>::min(), std::numeric_limits<To>::max()));
  }
}

// Complex numbers are pairs of parts.
template <class Part>
void add_imaginary(void* to, const void* from, int64_t n) {
  auto* o = static_cast<Part*>(to);
  const auto* x = static_cast<const Part*>(from);
  for (int64_t i = 0; i < n; ++i) {
    o[2 * i] = x[i];
    o[2 * i + 1] = 0;
  }
}

template <class Part>
void drop_imaginary(void* to, const void* from, int64_t n) {
  auto* o = static_cast<Part*>(to);
  const auto* x = static_cast<const Part*>(from);
  for (int64_t i = 0; i < n; ++i) o[i] = x[2 * i];
}

template <class To, class From>
void both_parts(void* to, const void* from, int64_t n) {
  plain<To, From>(to, from, 2 * n);
}

template <class Part>
void either_part(void* to, const void* from, int64_t n) {
  auto* o = static_cast<uint8_t*>(to);
  const auto* x = static_cast<const Part*>(from);
  for (int64_t i = 0; i < n; ++i) o[i] = x[2 * i] != 0 || x[2 * i + 1] != 0;
}

ConvertFn function_of(Step step) {
  constexpr bool i8 = built(DType::i8), i16 = built(DType::i16);
  constexpr bool complex = computes(DType::c128);
  static constexpr ConvertFn kScalarSteps[] = {
      i8 ? plain<float, int8_t> : nullptr,
      i16 ? plain<float, int16_t> : nullptr,
      plain<double, uint8_t>,
      i8 ? plain<double, int8_t> : nullptr,
      i16 ? plain<double, int16_t> : nullptr,
      i8 ? plain<int64_t, int8_t> : nullptr,
      i16 ? plain<int64_t, int16_t> : nullptr,
      plain<int8_t, int64_t>,  // also to uint8
      i16 ? plain<int16_t, int64_t> : nullptr,
      saturate<uint8_t>,
      i8 ? saturate<int8_t> : nullptr,
      i16 ? saturate<int16_t> : nullptr,
      saturate<int32_t>,
      complex ? add_imaginary<float> : nullptr,
      complex ? add_imaginary<double> : nullptr,
      complex ? drop_imaginary<float> : nullptr,
      complex ? drop_imaginary<double> : nullptr,
      complex ? both_parts<double, float> : nullptr,
      complex ? both_parts<float, double> : nullptr,
      complex ? either_part<float> : nullptr,
      complex ? either_part<double> : nullptr};
  if (step < kFirstScalarStep) return FE_BEST(convert_step)(step);
  return kScalarSteps[static_cast<int>(step) -
                      static_cast<int>(kFirstScalarStep)];
}

// From any type to one of f32, f64, i64; at most two steps.
int widen(DType from, DType to, Step* steps) {
  using enum Step;
  // Rows: bool u8 i8 i16 i32 i64 f16 bf16 f32 f64. Where from == to no step is
  // looked up; 16-bit floats go through f32.
  static constexpr Step kToF32[] = {u8_f32,  u8_f32,  i8_f32,  i16_f32,
                                    i32_f32, i64_f32, f16_f32, bf16_f32,
                                    f64_f32, f64_f32};
  static constexpr Step kToF64[] = {u8_f64,  u8_f64,  i8_f64,  i16_f64,
                                    i32_f64, i64_f64, f32_f64, f32_f64,
                                    f32_f64, f32_f64};
  static constexpr Step kToI64[] = {u8_i64,  u8_i64,  i8_i64,  i16_i64,
                                    i32_i64, i32_i64, f32_i64, f32_i64,
                                    f32_i64, f64_i64};
  if (from == to) return 0;
  int n = 0;
  const int row = static_cast<int>(from);
  const bool half = from == DType::f16 || from == DType::bf16;
  if (half || to == DType::f32) steps[n++] = kToF32[row];
  if (to == DType::f64) steps[n++] = kToF64[row];
  if (to == DType::i64) steps[n++] = kToI64[row];
  return n;
}

int find_steps(DType from, DType to, Step* steps) {
  using enum Step;
  if (from == to) return 0;
  if (is_complex(from) && is_complex(to)) {
    steps[0] = from == DType::c64 ? c64_c128 : c128_c64;
    return 1;
  }
  if (is_complex(to)) {
    const int n = find_steps(from, to_real(to), steps);
    steps[n] = to == DType::c64 ? f32_c64 : f64_c128;
    return n + 1;
  }
  if (is_complex(from)) {
    const bool single = from == DType::c64;
    if (to == DType::bool_) {
      steps[0] = single ? c64_bool : c128_bool;
      return 1;
    }
    steps[0] = single ? c64_f32 : c128_f64;
    return 1 + find_steps(to_real(from), to, steps + 1);
  }
  const DType wide = compute_type(from);
  int n = 0;
  if (to == DType::f16 || to == DType::bf16) {
    n = widen(from, DType::f32, steps);
    steps[n++] = to == DType::f16 ? f32_f16 : f32_bf16;
  } else if (to == DType::bool_) {
    n = widen(from, wide, steps);
    steps[n++] = wide == DType::f32   ? f32_bool
                 : wide == DType::f64 ? f64_bool
                                      : i64_bool;
  } else if (is_integer(to) && to != DType::i64) {
    // A bool is the integer 0 or 1.
    static constexpr Step kWrap[] = {i64_i8, i64_i8, i64_i16, i64_i32};
    static constexpr Step kSaturate[] = {sat_u8, sat_i8, sat_i16, sat_i32};
    const int narrow = static_cast<int>(to) - static_cast<int>(DType::u8);
    n = widen(from, DType::i64, steps);
    steps[n++] = is_float(from) ? kSaturate[narrow] : kWrap[narrow];
  } else {
    n = widen(from, to, steps);
  }
  return n;
}

}  // namespace

Route::Route(DType from, DType to) {
  Step steps[3];
  n = find_steps(from, to, steps);
  for (int i = 0; i < n; ++i) step[i] = function_of(steps[i]);
}

void Route::convert(void* to, const void* from, int64_t count) const {
  if (n == 1) return step[0](to, from, count);
  TileBuffer between[2];
  for (int i = 0; i < n; ++i) {
    void* target = i + 1 == n ? to : between[i].bytes;
    step[i](target, from, count);
    from = target;
  }
}

}  // namespace ferrule::cpu
