// Sums into 16-bit floats are made in float and rounded once: kernels that add
// up dense tensors get float copies of them in scratch.
#pragma once

#include "ferrule/op.h"
#include "runtime/core/thread_pool.h"
#include "runtime/cpu/convert.h"

namespace ferrule::cpu {

constexpr bool is_16_bit_float(DType t) {
  return t == DType::f16 || t == DType::bf16;
}

// Dense elements of one dtype from those of another.
inline void convert_dense(void* to, DType to_dtype, const void* from,
                          DType from_dtype, int64_t n) {
  const Route route(from_dtype, to_dtype);
  parallel_for(n, 64 * kTile, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kTile) {
      route.convert(static_cast<char*>(to) + i * itemsize(to_dtype),
                    static_cast<const char*>(from) + i * itemsize(from_dtype),
                    end - i < kTile ? end - i : kTile);
    }
  });
}

// Scratch for the copies; 0 for other dtypes.
inline int64_t float_bytes(const TensorImpl& a, const TensorImpl& b) {
  const auto align = [](int64_t n) { return (n + 63) & ~int64_t{63}; };
  return is_16_bit_float(a.dtype) ? align(a.numel * 4) + align(b.numel * 4) : 0;
}

// Calls add(T* sum, const T* terms) for a dense `sum`, which holds the numbers
// to add to, and dense terms; integers or floats.
template <class Add>
void add_in_float(OpCall& c, const TensorImpl& sum, const TensorImpl& terms,
                  const Add& add) {
  const DType t = sum.dtype;
  if (is_16_bit_float(t)) {
    float* s = static_cast<float*>(c.scratch);
    float* x = s + ((sum.numel + 15) & ~int64_t{15});
    convert_dense(s, DType::f32, sum.bytes(), t, sum.numel);
    convert_dense(x, DType::f32, terms.bytes(), t, terms.numel);
    add(s, static_cast<const float*>(x));
    convert_dense(sum.bytes(), t, s, DType::f32, sum.numel);
    return;
  }
  const auto run = [&]<class T>(T) {
    add(sum.ptr<T>(), static_cast<const T*>(terms.ptr<T>()));
  };
  switch (t) {
    case DType::f32:
      return run(float{});
    case DType::f64:
      return run(double{});
    case DType::u8:
    case DType::i8:
      return run(uint8_t{});  // sums wrap around: signs do not matter
    case DType::i16:
      return run(uint16_t{});
    case DType::i32:
      return run(uint32_t{});
    default:
      return run(uint64_t{});
  }
}

}  // namespace ferrule::cpu
