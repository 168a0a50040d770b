// Passes that need no sizes: a graph comes in, and the same function with fewer
// nodes comes out. Values keep their numbers; some are no longer made.
#pragma once

#include "ferrule/program.h"
#include "runtime/graph/passes/passes.h"

namespace ferrule {

// "cse": of nodes that compute the same, one is left.
void share_nodes(Graph& graph, Signature& signature);
// "dce": nodes whose results nobody reads go.
void drop_unused(Graph& graph, const Signature& signature);

// Those chosen, in order. Results of the signature may become other values.
void run_graph_passes(Passes passes, Graph& graph, Signature& signature);

}  // namespace ferrule
