// What follows on the result of a convolution or matrix product, applied to
// elements that were just written and are still in the nearest cache: batch
// normalisation, an addend, an activation. Each takes the place of a call of
// its own, with the same bits, in the order in which they stand here; each may
// be absent.
//
// Calls join by KernelDef::join, one after the other; a kernel that has
// KernelDef::has_epilogue gives what it has written to finish_rows().
#pragma once

#include <limits>

#include "ferrule/op.h"
#include "runtime/cpu/elementwise.h"
#include "runtime/cpu/finish_rows.h"

namespace ferrule {

struct Epilogue {
  enum class Clip : uint8_t { none, relu, limits };

  const OpCall* norm = nullptr;  // batch_norm with running statistics
  bool columns = false;  // its channels are the columns of a matrix, not rows
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

  // What happens to element x of a channel: min(high, max(low, (x - mean) scale
  // + shift)), with the addend and `zero` added where there is one. What is
  // absent changes no bit. Of two that are equal, or where one is NaN, the
  // limit gives way.
  struct Steps {
    float mean = 0, scale = 1, shift = -0.0f;
    float zero = -0.0f;
    float low = -std::numeric_limits<float>::infinity();
    float high = std::numeric_limits<float>::infinity();
  };
  Steps steps(int64_t channel) const;
  // The same without what differs between channels.
  Steps common_steps() const;
  // Is that all?
  bool steps_only() const { return addend == nullptr && then == nullptr; }

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

FE_SIMD(
    // scale = weight / sqrt(var + eps), as batch_norm computes it.
    void norm_scales(const float* var, const float* weight, float eps,
                     float* scale, int64_t n);)

}  // namespace cpu
}  // namespace ferrule
