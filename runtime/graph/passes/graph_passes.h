// Passes that need no sizes: a graph comes in, and the same function with fewer
// nodes comes out. Values keep their numbers; some are no longer made.
#pragma once

#include <vector>

#include "ferrule/program.h"
#include "runtime/graph/passes/passes.h"

namespace ferrule {

// "algebra": what ops know of it, see simplify.h.
void simplify_nodes(Graph& graph, Signature& signature);
// "cse": of nodes that compute the same, one is left.
void share_nodes(Graph& graph, Signature& signature);
// "dce": nodes whose results nobody reads go.
void drop_unused(Graph& graph, const Signature& signature);

// Is memory written in place? A view shows different values at different times
// then.
bool writes_in_place(const Graph& graph);

// Values that take the place of others.
class Renaming {
 public:
  explicit Renaming(const Graph& graph);
  void replace(int32_t value, int32_t by) { same_[value] = by; }
  // What the node reads.
  void apply(Node& node) const;
  // What is read of the graph from outside, and sizes.
  void apply(Graph& graph, Signature& signature) const;

 private:
  void rename(int32_t& value) const {
    if (value >= 0) value = same_[value];
  }
  std::vector<int32_t> same_;
};

void drop_nodes(Graph& graph, const std::vector<bool>& gone);

// Those chosen, in order. Results of the signature may become other values.
void run_graph_passes(Passes passes, Graph& graph, Signature& signature);

}  // namespace ferrule
