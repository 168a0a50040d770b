// How the result of a run differs from the one that a file recorded.
#pragma once

#include <string>

#include "ferrule/tensor.h"

namespace ferrule {

// "" if both have the same dtype, shape and bits, or floating and complex
// numbers are apart by no more than `tolerance` times the largest of 1 and the
// finite numbers of `expected`. Otherwise what differs, and by how much. Both
// are dense tensors on the CPU.
std::string difference(const Tensor& result, const Tensor& expected,
                       double tolerance);

}  // namespace ferrule
