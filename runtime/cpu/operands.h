// For kernels that are written for float and double: gives them their operands
// as such, with 16-bit floats converted to float and back.
//
//   by_float(c, [&]<class T>(T) {
//     Operands<T> x(c, 2);        // two inputs, either may be None
//     ... x.in[0], x.out, x.scratch ...
//     x.finish();
//   });
//
// KernelDef::scratch adds operand_bytes(c, 2) to what the kernel itself wants.
#pragma once

#include "ferrule/op.h"
#include "runtime/cpu/convert.h"
#include "runtime/cpu/in_float.h"

namespace ferrule::cpu {

inline constexpr int kMaxOperands = 3;

constexpr int64_t align64(int64_t bytes) { return (bytes + 63) & ~int64_t{63}; }

// A dense copy of `t`, which may have any strides, as f32, f64 or i64.
void widen(const TensorImpl& t, DType as, void* to);

// Bytes of the copy of `t` that a kernel in its compute type needs, or 0.
inline int64_t widened_bytes(const TensorImpl& t) {
  const DType as = compute_type(t.dtype);
  return as == t.dtype ? 0 : align64(t.numel * itemsize(as));
}

// For the first `inputs` arguments and result 0.
int64_t operand_bytes(const OpCall& c, int inputs);

template <class T>
struct Operands {
  const T* in[kMaxOperands] = {};
  T* out = nullptr;
  char* scratch = nullptr;  // what is left of the call's

  Operands(const OpCall& c, int inputs)
      : scratch(static_cast<char*>(c.scratch)), result_(c.out_impl()) {
    for (int i = 0; i < inputs; ++i) {
      if (!c.is_tensor(i)) continue;
      const int64_t bytes = widened_bytes(c.in(i));
      if (bytes > 0) widen(c.in(i), compute_type(c.in(i).dtype), scratch);
      in[i] = bytes > 0 ? reinterpret_cast<T*>(scratch) : c.in(i).ptr<T>();
      scratch += bytes;
    }
    const int64_t bytes = widened_bytes(result_);
    out = bytes > 0 ? reinterpret_cast<T*>(scratch) : result_.ptr<T>();
    scratch += bytes;
  }

  void finish() const {
    if (widened_bytes(result_) > 0) {
      convert_dense(result_.bytes(), result_.dtype, out,
                    compute_type(result_.dtype), result_.numel);
    }
  }

 private:
  const TensorImpl& result_;
};

// Calls run(float()) or run(double()), as result 0 is computed in.
template <class Run>
auto by_float(const OpCall& c, const Run& run) {
  return by_float(c.out_impl().dtype, run);
}

}  // namespace ferrule::cpu
