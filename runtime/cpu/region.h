// A strided part of a tensor's memory, for strided_copy.
//
//   Region part(out, shape, strides, out.offset + first);
//   strided_copy(src, part);
#pragma once

#include <cstring>

#include "ferrule/tensor.h"

namespace ferrule::cpu {

// Borrows the storage: it must not outlive the tensor.
struct Region : TensorImpl {
  Region(const TensorImpl& of, std::span<const int64_t> sizes,
         std::span<const int64_t> steps, int64_t first) {
    dtype = of.dtype;
    storage = of.storage;
    set_geometry(sizes, steps, first);
  }
};

// Every byte 0: the zero of all dtypes. `t` is dense.
inline void fill_zero(const TensorImpl& t) {
  if (t.numel) std::memset(t.bytes(), 0, static_cast<size_t>(t.nbytes()));
}

}  // namespace ferrule::cpu
