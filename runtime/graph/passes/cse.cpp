// Common subexpressions.
#include <map>

#include "runtime/graph/passes/graph_passes.h"
#include "runtime/graph/passes/simplify.h"

namespace ferrule {
namespace {

// Everything that a node's result depends on, as text.
std::string key_of(const Node& node) {
  std::string key = concat(node.op->name, '/', node.op->version);
  for (const NodeArg& a : node.args) key += text_of(a);
  return key;
}

}  // namespace

void share_nodes(Graph& g, Signature& signature) {
  if (writes_in_place(g)) return;
  Renaming same(g);
  std::map<std::string, const Node*> first;
  std::vector<bool> gone(g.nodes.size());
  for (size_t n = 0; n < g.nodes.size(); ++n) {
    Node& node = g.nodes[n];
    same.apply(node);
    if (node.op->random || !node.regions.empty()) continue;
    const auto [at, is_new] = first.try_emplace(key_of(node), &node);
    if (is_new) continue;
    gone[n] = true;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      same.replace(node.outputs[i], at->second->outputs[i]);
    }
  }
  same.apply(g, signature);
  drop_nodes(g, gone);
}

}  // namespace ferrule
