// Kernels that combine elements of one tensor with those of another, at places
// that indices name, in the type they are summed in: 16-bit floats are summed
// in float and rounded once.
//
//   with_sums(c, terms, [&]<class T>(const Sums<T>& s) {
//     s.sum[offset by s.sum_steps] += s.terms[offset by s.term_steps];
//   });
//
// KernelDef::scratch adds sum_bytes(result's shape, terms).
#pragma once

#include <complex>

#include "ferrule/op.h"
#include "runtime/cpu/cursor.h"
#include "runtime/cpu/in_float.h"
#include "runtime/cpu/operands.h"
#include "runtime/cpu/row_order.h"

namespace ferrule::cpu {

template <class T>
struct Sums {
  T* sum;
  Dims sum_steps;
  const T* terms;
  Dims term_steps;
};

inline int64_t sum_bytes(const TensorImpl& result, const TensorImpl& terms) {
  if (!is_16_bit_float(result.dtype)) return 0;
  return align64(result.numel * 4) + align64(terms.numel * 4);
}

// Writes dense floats into a tensor of any strides.
inline void narrow(const float* from, const TensorImpl& to) {
  Writer writer(to, layout_of(to, row_order(to.ndim)), DType::f32);
  writer.seek(0);
  for (int64_t i = 0, n; i < to.numel; i += n) {
    n = std::min(kTile, to.numel - i);
    writer.done(from + i, n);
  }
}

// `out` holds what is added to; it and `terms` may have any strides.
template <class Run>
void with_sums(OpCall& c, const TensorImpl& out, const TensorImpl& terms,
               const Run& run) {
  if (is_16_bit_float(out.dtype)) {
    auto* sum = static_cast<float*>(c.scratch);
    auto* from = sum + align64(out.numel * 4) / 4;
    widen(out, DType::f32, sum);
    widen(terms, DType::f32, from);
    run(Sums<float>{sum, contiguous_strides(out.sizes()), from,
                    contiguous_strides(terms.sizes())});
    narrow(sum, out);
    return;
  }
  const auto as = [&]<class T>(T) {
    run(Sums<T>{out.ptr<T>(), Dims(out.steps()), terms.ptr<T>(),
                Dims(terms.steps())});
  };
  switch (out.dtype) {
    case DType::f32:
      return as(float{});
    case DType::f64:
      return as(double{});
    case DType::u8:
      return as(uint8_t{});
    case DType::i8:
      return as(int8_t{});
    case DType::i16:
      return as(int16_t{});
    case DType::i32:
      return as(int32_t{});
    case DType::i64:
      return as(int64_t{});
    case DType::c64:
      return as(std::complex<float>{});
    case DType::c128:
      return as(std::complex<double>{});
    default:
      return;  // bool: refused by infer
  }
}

// a + b and a * b, of integers modulo 2^n.
template <class T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
  } else {
    return a + b;
  }
}
template <class T>
T wrapping_mul(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  } else {
    return a * b;
  }
}

}  // namespace ferrule::cpu
