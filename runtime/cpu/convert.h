// Conversion of element types, one dense tile at a time.
//
// A conversion is a route of up to three steps: every dtype has a step to and
// from the types that arithmetic is done in (float, double, int64), and these
// have steps to each other. 40 loops serve all pairs.
//
// Integers wrap when narrowed to integers, floats saturate when converted to
// integers (NaN gives 0), whatever becomes bool is compared with zero, and a
// complex number that becomes real drops its imaginary part.
#pragma once

#include <cstdint>

#include "runtime/cpu/arithmetic.h"
#include "runtime/cpu/isa.h"

namespace ferrule::cpu {

// Converts n dense elements; the arrays do not overlap.
using ConvertFn = void (*)(void* to, const void* from, int64_t n);

// Step FROM_TO; bool is read as u8. `sat` is i64 to a narrower type,
// saturating.
enum class Step : uint8_t {
  // Common ones, in vectors.
  u8_f32,
  i32_f32,
  i64_f32,
  f16_f32,
  bf16_f32,
  f64_f32,
  i32_f64,
  i64_f64,
  f32_f64,
  u8_i64,
  i32_i64,
  f32_i64,
  f64_i64,
  f32_f16,
  f32_bf16,
  f32_bool,
  f64_bool,
  i64_bool,
  i64_i32,
  // Others, one element at a time.
  i8_f32,
  i16_f32,
  u8_f64,
  i8_f64,
  i16_f64,
  i8_i64,
  i16_i64,
  i64_i8,
  i64_i16,
  sat_u8,
  sat_i8,
  sat_i16,
  sat_i32,
  f32_c64,
  f64_c128,
  c64_f32,
  c128_f64,
  c64_c128,
  c128_c64,
  c64_bool,
  c128_bool,
};
inline constexpr Step kFirstScalarStep = Step::i8_f32;

FE_SIMD(ConvertFn convert_step(Step step);)

// How many elements a step may be given at a time by users of Route.
inline constexpr int64_t kTile = 512;
// Room for kTile elements of any dtype.
struct alignas(64) TileBuffer {
  char bytes[kTile * 16];
};

struct Route {
  int n = 0;  // 0: the types are the same
  ConvertFn step[3] = {};

  Route() = default;
  Route(DType from, DType to);
  // n <= kTile elements; `from` and `to` must not overlap.
  void convert(void* to, const void* from, int64_t n) const;
};

}  // namespace ferrule::cpu
