// Elements as bytes: kernels that only move them are written by size.
#pragma once

#include "ferrule/dtype.h"

namespace ferrule::cpu {

// Calls f with an unsigned integer as large as an element.
template <class F>
void with_item(DType t, const F& f) {
  struct Complex128 {
    uint64_t v[2];
  };
  switch (itemsize(t)) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    case 8:
      return f(uint64_t{});
    default:
      return f(Complex128{});
  }
}

}  // namespace ferrule::cpu
