// Pass "fold": what depends on weights and numbers alone is computed once, for
// all sessions whose weights are the program's.
#pragma once

#include <vector>

#include "runtime/core/function_ref.h"
#include "runtime/graph/bound_graph.h"

namespace ferrule {

// For every node: does it depend on nothing but numbers, and on constants that
// are `fixed`? Nodes that draw, write, or are written over do not count.
std::vector<bool> find_constant_nodes(
    const BoundGraph& bound, FunctionRef<bool(int32_t constant)> fixed);

}  // namespace ferrule
