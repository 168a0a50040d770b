// Element types, their sizes and the promotion lattice.
#pragma once

#include <cstdint>
#include <string_view>

namespace ferrule {

// The numeric values are part of the C ABI and of the file format: append only.
enum class DType : uint8_t {
  bool_ = 0,
  u8 = 1,
  i8 = 2,
  i16 = 3,
  i32 = 4,
  i64 = 5,
  f16 = 6,
  bf16 = 7,
  f32 = 8,
  f64 = 9,
  c64 = 10,
  c128 = 11,
};
inline constexpr int kDTypeCount = 12;

constexpr int64_t itemsize(DType t) {
  constexpr uint8_t kSizes[kDTypeCount] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
  return kSizes[static_cast<int>(t)];
}

constexpr bool is_float(DType t) { return t >= DType::f16 && t <= DType::f64; }
constexpr bool is_complex(DType t) { return t >= DType::c64; }
constexpr bool is_integer(DType t) { return t >= DType::u8 && t <= DType::i64; }
constexpr bool is_differentiable(DType t) { return t >= DType::f16; }
constexpr bool is_signed(DType t) { return t >= DType::i8; }

// The dtype of a complex number's parts; others are themselves.
constexpr DType to_real(DType t) {
  return t == DType::c64 ? DType::f32 : t == DType::c128 ? DType::f64 : t;
}
// The complex dtype that holds every value of `t`, or comes nearest to it.
constexpr DType to_complex(DType t) {
  return t == DType::f64 || t == DType::c128 ? DType::c128 : DType::c64;
}

// "float32", as Python prints it.
std::string_view name(DType t);

// Smallest dtype that both convert to without loss of kind: the Array API
// lattice, completed as PyTorch does (an integer with a float gives the float;
// float16 with bfloat16 gives float32).
DType promote(DType a, DType b);

// Kind of a Python scalar operand. It is weak: it widens the kind of the tensor
// it meets (int -> float32), never the width within a kind.
enum class ScalarKind : uint8_t { bool_, int_, float_, complex_ };
DType promote(DType tensor, ScalarKind scalar);
// The dtype of a tensor made of such scalars alone.
DType default_dtype(ScalarKind scalar);
// Does a conversion keep the kind: no fraction, no imaginary part is dropped,
// and only a bool becomes a bool. PyTorch's can_cast.
bool can_cast(DType from, DType to);

}  // namespace ferrule
