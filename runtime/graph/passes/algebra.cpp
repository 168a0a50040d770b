// What ops know of algebra (OpDef::simplify), applied to every node.
#include <algorithm>

#include "runtime/graph/passes/graph_passes.h"
#include "runtime/graph/passes/simplify.h"

namespace ferrule {
namespace {

// Statistics of batch_norm have other bits where the data lies in memory in
// another order, and that changes when a copy goes.
bool trains(const Node& node) {
  const int i = info_of(*node.op).schema.find("training");
  return i >= 0 && node.args[i].tag == ArgTag::bool_ && node.args[i].b;
}

}  // namespace

void simplify_nodes(Graph& g, Signature& signature) {
  if (writes_in_place(g) || std::ranges::any_of(g.nodes, trains)) return;
  Renaming same(g);
  std::vector<const Node*> maker(g.values.size());
  std::vector<bool> gone(g.nodes.size());
  for (size_t n = 0; n < g.nodes.size(); ++n) {
    Node& node = g.nodes[n];
    same.apply(node);
    if (node.op->simplify) {
      Simplify s{g, node, maker};
      node.op->simplify(s);
      if (s.same_as >= 0) {
        gone[n] = true;
        same.replace(node.outputs[0], s.same_as);
        continue;
      }
    }
    for (int32_t v : node.outputs) maker[v] = &node;
  }
  same.apply(g, signature);
  drop_nodes(g, gone);
}

}  // namespace ferrule
