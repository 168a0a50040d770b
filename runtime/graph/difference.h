// How two tensors differ that ought to be the same: a result and the one that a
// file recorded, or the values of two runs.
#pragma once

#include <optional>
#include <string>

#include "ferrule/tensor.h"

namespace ferrule {

// Of numbers that are apart by more than is allowed; complex ones count by the
// part that is further apart.
struct Difference {
  int64_t first = 0;  // element, counted row by row
  double a = 0, b = 0;
  int64_t count = 0;
  int64_t worst = 0;
  double worst_a = 0, worst_b = 0;
  double apart = 0;    // those; infinite where one of them alone is not finite
  double allowed = 0;  // 0 for integers
  bool bits_only = false;  // -0 and 0, or NaNs: no number differs
};

// Nothing if both have the same bits, or floating and complex numbers are apart
// by no more than `tolerance` times the largest of 1 and the finite numbers of
// `b`. Both are dense CPU tensors of the same dtype and shape.
std::optional<Difference> find_difference(const Tensor& a, const Tensor& b,
                                          double tolerance);

// "" if there is no difference. Otherwise what differs, and by how much: dtype,
// shape or values. Both are dense tensors on the CPU.
std::string difference(const Tensor& result, const Tensor& expected,
                       double tolerance);

}  // namespace ferrule
