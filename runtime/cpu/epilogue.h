// What follows on the result of a convolution, applied to elements that were
// just written and are still in the nearest cache: batch normalisation, an
// addend, an activation. Each takes the place of a call of its own, with the
// same bits, in the order in which they stand here; each may be absent.
//
// Calls join by KernelDef::join, one after the other; a kernel that has
// KernelDef::has_epilogue gives what it has written to finish_rows().
#pragma once

#include "ferrule/op.h"
#include "runtime/cpu/elementwise.h"

namespace ferrule {

struct Epilogue {
  enum class Clip : uint8_t { none, relu, limits };

  const OpCall* norm = nullptr;        // batch_norm with running statistics
  const TensorImpl* addend = nullptr;  // dense, as large as the result
  Clip clip = Clip::none;
  float low = 0, high = 0;     // limits
  float zero = 0;              // added before: 0, or -0, which changes nothing
  cpu::TileFn then = nullptr;  // of one operand

  // Set by begin(): a number a channel; where the result begins, and what is
  // added to it.
  const float* mean = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
  const float* result = nullptr;
  const float* added = nullptr;

  int64_t scratch_bytes() const;
  // Before the kernel runs.
  void begin(const TensorImpl& out, void* scratch);

  // For KernelDef::join, where the call's arithmetic is done in float32. False
  // where something is there already that acts later.
  bool set_norm(const OpCall& c);
  bool set_addend(const OpCall& c, int arg);
  bool set_relu(const OpCall& c);
  bool set_limits(const OpCall& c, double least, double most);
  bool set_then(const OpCall& c, cpu::TileFn fn);
};

namespace cpu {

// The scales of a batch_norm that does not train, a number a channel.
void batch_norm_scales(const OpCall& c, float* scale);

FE_SIMD(
    // On n elements of each of `rows` channels from `channel` on, whose
    // elements are `to_row` apart.
    void finish_rows(const Epilogue& e, int64_t channel, int64_t rows,
                     float* to, int64_t to_row, int64_t n);)

}  // namespace cpu
}  // namespace ferrule
