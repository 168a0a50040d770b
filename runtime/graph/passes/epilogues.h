// Pass "epilogues": calls that change every element of the result of a
// convolution or matrix product (batch_norm with running statistics, add,
// activations) are applied to it while it is in the nearest cache. What lies
// between them needs no memory.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "runtime/cpu/epilogue.h"
#include "runtime/graph/bound_graph.h"

namespace ferrule {

struct FusedCalls {
  int32_t head;                 // the node whose kernel does it all
  std::vector<int32_t> joined;  // the others, in order: all run where the last
                                // one stands
  Epilogue epilogue;

  int32_t tail() const { return joined.back(); }
};

// Sets OpCall::epilogue of the heads, which look into the result. `done`: nodes
// that do not run.
std::deque<FusedCalls> fuse_epilogues(BoundGraph& bound,
                                      std::span<const StateUpdate> updates,
                                      std::vector<bool> done);

}  // namespace ferrule
