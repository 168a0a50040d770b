// What this build of the runtime is for: everything, or some models
// (FERRULE_MODELS, FERRULE_OPS) and small devices (FERRULE_SMALL). Code that a
// build has no use for is left out by `if constexpr`; a program that needs it
// is refused when it is checked (runtime/graph/bound_graph.cpp).
#pragma once

#include "ferrule/dtype.h"
// By tools/cmake/select.cmake:
//   kBuiltDTypes   the dtypes of operands and results, a bit for each
//   kControlFlow   are there nodes that run graphs?
//   kState         do programs write weights or statistics: do they train?
//   kSmall         small before fast
#include "ferrule_built.h"

namespace ferrule {

constexpr bool built(DType t) {
  return (kBuiltDTypes >> static_cast<int>(t) & 1) != 0;
}

}  // namespace ferrule
