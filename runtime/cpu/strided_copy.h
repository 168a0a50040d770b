// Copies elements between any two geometries and dtypes on the CPU.
#pragma once

#include "ferrule/tensor.h"

namespace ferrule {

// Shapes equal, or `from` broadcasts to `to`. Converts dtype as C does, with
// bool meaning "not zero". Multi-threaded when large.
void strided_copy(const TensorImpl& from, const TensorImpl& to);

// A dense tensor of the same values (itself when it is dense already).
Tensor contiguous_cpu(const Tensor& t);

}  // namespace ferrule
