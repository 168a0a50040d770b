// Common subexpressions.
#include <algorithm>
#include <cstring>
#include <map>

#include "runtime/graph/passes/graph_passes.h"

namespace ferrule {
namespace {

// Everything that a node's result depends on, as text.
std::string key_of(const Node& node) {
  std::string key = concat(node.op->name, '/', node.op->version);
  for (const NodeArg& a : node.args) {
    key += concat(' ', static_cast<int>(a.tag), ':');
    switch (a.tag) {
      case ArgTag::none:
        break;
      case ArgTag::tensor:
        key += concat(a.value);
        break;
      case ArgTag::tensors:
        for (int32_t v : a.values) key += concat(v, ',');
        break;
      case ArgTag::int_:
        key += a.expr < 0 ? concat(a.i) : concat('e', a.expr);
        break;
      case ArgTag::float_: {
        uint64_t bits;
        std::memcpy(&bits, &a.f, sizeof bits);
        key += concat(bits, 'n', a.expr);
        break;
      }
      case ArgTag::bool_:
        key += concat(a.b);
        break;
      case ArgTag::ints:
        for (const Int& v : a.ints) {
          key += v.expr < 0 ? concat(v.value, ',') : concat('e', v.expr, ',');
        }
        break;
      case ArgTag::str:
        key += concat(std::strlen(a.str), "'", a.str);
        break;
      case ArgTag::dtype:
        key += concat(static_cast<int>(a.dtype));
        break;
      case ArgTag::device:
        key += concat(a.device);
        break;
    }
  }
  return key;
}

}  // namespace

void share_nodes(Graph& g, Signature& signature) {
  // Where memory is written in place, a view shows different values at
  // different times.
  const bool writes = std::ranges::any_of(
      g.values, [](const Value& v) { return v.alias_of >= 0; });
  if (writes) return;
  std::vector<int32_t> same(g.values.size());
  for (size_t v = 0; v < same.size(); ++v) same[v] = static_cast<int32_t>(v);
  const auto rename = [&](int32_t& v) {
    if (v >= 0) v = same[v];
  };
  std::map<std::string, const Node*> first;
  std::vector<bool> gone(g.nodes.size());
  for (size_t n = 0; n < g.nodes.size(); ++n) {
    Node& node = g.nodes[n];
    for (NodeArg& a : node.args) {
      if (a.tag == ArgTag::tensor) rename(a.value);
      for (int32_t& v : a.values) rename(v);
    }
    if (node.op->random || !node.regions.empty()) continue;
    const auto [at, is_new] = first.try_emplace(key_of(node), &node);
    if (is_new) continue;
    gone[n] = true;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      same[node.outputs[i]] = at->second->outputs[i];
    }
  }
  // Sizes are read of values, too.
  for (Expr& e : g.exprs) {
    if (e.kind == Expr::Kind::size) rename(e.a);
  }
  for (int32_t& v : g.outputs) rename(v);
  for (StateUpdate& u : signature.state_updates) rename(u.value);
  std::vector<Node> left;
  for (size_t n = 0; n < g.nodes.size(); ++n) {
    if (!gone[n]) left.push_back(std::move(g.nodes[n]));
  }
  g.nodes = std::move(left);
}

}  // namespace ferrule
