// What passes over graphs have in common.
#include "runtime/graph/passes/graph_passes.h"

#include <algorithm>
#include <numeric>

namespace ferrule {

bool writes_in_place(const Graph& g) {
  return std::ranges::any_of(g.values,
                             [](const Value& v) { return v.alias_of >= 0; });
}

Renaming::Renaming(const Graph& g) : same_(g.values.size()) {
  std::iota(same_.begin(), same_.end(), 0);
}

void Renaming::apply(Node& node) const {
  for (NodeArg& a : node.args) {
    if (a.tag == ArgTag::tensor) rename(a.value);
    for (int32_t& v : a.values) rename(v);
  }
}

void Renaming::apply(Graph& g, Signature& signature) const {
  for (Expr& e : g.exprs) {
    if (e.kind == Expr::Kind::size) rename(e.a);
  }
  for (int32_t& v : g.outputs) rename(v);
  for (StateUpdate& u : signature.state_updates) rename(u.value);
}

void drop_nodes(Graph& g, const std::vector<bool>& gone) {
  std::vector<Node> left;
  for (size_t n = 0; n < g.nodes.size(); ++n) {
    if (!gone[n]) left.push_back(std::move(g.nodes[n]));
  }
  g.nodes = std::move(left);
}

void run_graph_passes(Passes passes, Graph& graph, Signature& signature) {
  if (passes.has(Pass::algebra)) simplify_nodes(graph, signature);
  if (passes.has(Pass::cse)) share_nodes(graph, signature);
  if (passes.has(Pass::dce)) drop_unused(graph, signature);
}

}  // namespace ferrule
