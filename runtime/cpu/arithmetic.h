// The types that arithmetic is done in, and the choice of one when a program
// runs. Code for dtypes that a build is not made for is left out here.
#pragma once

#include <cstdint>

#include "runtime/core/built.h"

namespace ferrule::cpu {

// The type that arithmetic on elements of type t is done in: f32, f64, i64 or
// c128.
constexpr DType compute_type(DType t) {
  if (is_complex(t)) return DType::c128;
  return t == DType::f64 ? t : is_float(t) ? DType::f32 : DType::i64;
}

// Is arithmetic done in t? In f32 it always is: it stands for what is not
// there.
constexpr bool computes(DType t) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto stored = static_cast<DType>(i);
    if (built(stored) && compute_type(stored) == t) return true;
  }
  return t == DType::f32;
}

// Calls run(float()) or run(double()), where t is f64.
template <class Run>
[[gnu::always_inline]] inline auto by_float(DType t, const Run& run) {
  if constexpr (computes(DType::f64) || computes(DType::c128)) {
    if (t == DType::f64) return run(double());
  }
  return run(float());
}

// The same, or run(int64_t()) where t is i64.
template <class Run>
[[gnu::always_inline]] inline auto by_number(DType t, const Run& run) {
  if constexpr (computes(DType::i64)) {
    if (t == DType::i64) return run(int64_t());
  }
  return by_float(t, run);
}

}  // namespace ferrule::cpu
