// Names and promotion of element types.
#include "ferrule/dtype.h"

#include <algorithm>

namespace ferrule {

std::string_view name(DType t) {
  static constexpr std::string_view kNames[kDTypeCount] = {
      "bool",    "uint8",    "int8",    "int16",   "int32",     "int64",
      "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
  };
  return kNames[static_cast<int>(t)];
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (a > b) std::swap(a, b);
  // Now a < b in the order of DType, which ascends within each kind.
  if (a == DType::u8 && is_integer(b)) {
    return b == DType::i8 ? DType::i16 : b;  // uint8 and int8 need 9 bits
  }
  if (a == DType::f16 && b == DType::bf16) return DType::f32;
  if (a == DType::f64 && b == DType::c64) return DType::c128;
  return b;
}

DType promote(DType tensor, ScalarKind scalar) {
  switch (scalar) {
    case ScalarKind::bool_:
      return tensor;
    case ScalarKind::int_:
      return tensor == DType::bool_ ? DType::i64 : tensor;
    case ScalarKind::float_:
      return tensor < DType::f16 ? DType::f32 : tensor;
    case ScalarKind::complex_:
      return to_complex(tensor);
  }
  return tensor;
}

DType default_dtype(ScalarKind scalar) {
  static constexpr DType kDefaults[] = {DType::bool_, DType::i64, DType::f32,
                                        DType::c64};
  return kDefaults[static_cast<int>(scalar)];
}

bool can_cast(DType from, DType to) {
  if (is_complex(from)) return is_complex(to);
  if (is_float(from)) return is_differentiable(to);
  return from == DType::bool_ || to != DType::bool_;
}

}  // namespace ferrule
