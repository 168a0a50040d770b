// Finds nodes whose results never change.
#include "runtime/graph/passes/fold.h"

#include <algorithm>

namespace ferrule {
namespace {

bool symbolic(const NodeArg& a) {
  return (a.tag != ArgTag::ints && a.expr >= 0) ||
         std::ranges::any_of(a.ints, &Int::symbolic);
}

}  // namespace

std::vector<bool> find_constant_nodes(
    const BoundGraph& bound, FunctionRef<bool(int32_t constant)> fixed) {
  const Graph& g = bound.graph;
  std::vector<bool> values(g.values.size()), nodes(g.nodes.size());
  for (size_t v = 0; v < values.size(); ++v) {
    values[v] = g.values[v].constant >= 0 && fixed(g.values[v].constant);
  }
  const auto stays = [&](int32_t v) {
    const int32_t root = bound.root[v];
    return bound.latest[root] == root;
  };
  for (size_t n = 0; n < nodes.size(); ++n) {
    const Node& node = g.nodes[n];
    const OpCall& call = bound.calls[n];
    bool constant = !node.op->random && node.regions.empty() &&
                    !writes(call.info, call.args) &&
                    std::ranges::all_of(node.outputs, stays);
    for (const NodeArg& a : node.args) {
      constant = constant && !symbolic(a);
      if (a.tag == ArgTag::tensor) constant = constant && values[a.value];
      for (int32_t v : a.values) constant = constant && (v < 0 || values[v]);
    }
    nodes[n] = constant;
    for (int32_t v : node.outputs) values[v] = constant;
  }
  return nodes;
}

}  // namespace ferrule
