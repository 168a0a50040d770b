// How `run` casts the operands of a call (include/ferrule/autocast.h).
#pragma once

#include <utility>

#include "ferrule/autocast.h"
#include "runtime/autograd/modes.h"

namespace ferrule {

// Autocast is off while it lives: for what ops do inside, and for gradient
// rules, which compute in the dtypes that the forward pass chose.
class AutocastOff {
 public:
  AutocastOff() : before_(std::exchange(modes.autocast, 0)) {}
  ~AutocastOff() { modes.autocast = before_; }
  AutocastOff(const AutocastOff&) = delete;

 private:
  uint8_t before_;
};

// Casts the operands as the op's definition wants, for the kinds of devices in
// `kinds`; the call refers to the casts, which live as long as this.
class CastOperands {
 public:
  CastOperands(OpCall& call, uint8_t kinds);

 private:
  Tensor held_[kMaxArgs];
};

}  // namespace ferrule
