// Dead code.
#include <algorithm>

#include "runtime/graph/passes/graph_passes.h"

namespace ferrule {

void drop_unused(Graph& g, const Signature& signature) {
  std::vector<bool> read(g.values.size());
  const auto use = [&](int32_t v) {
    if (v >= 0) read[v] = true;
  };
  for (int32_t v : g.outputs) use(v);
  for (const StateUpdate& u : signature.state_updates) use(u.value);
  for (const Expr& e : g.exprs) {
    if (e.kind == Expr::Kind::size) use(e.a);
  }
  std::vector<Node> left;
  for (size_t n = g.nodes.size(); n-- > 0;) {
    Node& node = g.nodes[n];
    // A node that writes says so by its results; one that draws moves the
    // random state on, and graphs that a node runs may draw.
    const bool needed = node.op->random || !node.regions.empty() ||
                        node.outputs.empty() ||
                        std::ranges::any_of(node.outputs, [&](int32_t v) {
                          return read[v] || g.values[v].alias_of >= 0;
                        });
    if (!needed) continue;
    for (const NodeArg& a : node.args) {
      if (a.tag == ArgTag::tensor) use(a.value);
      for (int32_t v : a.values) use(v);
    }
    left.push_back(std::move(node));
  }
  std::ranges::reverse(left);
  g.nodes = std::move(left);
}

}  // namespace ferrule
