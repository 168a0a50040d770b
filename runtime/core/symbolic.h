// Where integer expressions and detach() go while capturing. Core only knows
// these hooks, so that the deployed runtime has no capture; runtime/capture
// sets them.
#pragma once

#include "ferrule/op.h"

namespace ferrule {

struct SymbolicHooks {
  Int (*combine)(IntOp op, Int a, Int b) = nullptr;
  Int (*size_of)(const TensorImpl* t, int dim) = nullptr;
  // `detached`, which is new, shares the memory of `t`.
  void (*share)(TensorImpl* t, TensorImpl* detached) = nullptr;
};
extern SymbolicHooks symbolic_hooks;

}  // namespace ferrule
