// How `ferrule inspect` writes values and nodes.
#include "runtime/tool/graph_text.h"

#include "runtime/graph/bound_graph.h"
#include "runtime/graph/node_text.h"

namespace ferrule::tool {

std::string typed(const Program& p, const Value& v) {
  return concat(v.dtype, " ", declared_shape(p, v));
}

std::string node_line(const Graph& g, const Node& n) {
  const Schema& schema = info_of(*n.op).schema;
  std::string line;
  for (size_t k = 0; k < n.outputs.size(); ++k) {
    line += concat(k ? ", " : "", value_name(g, n.outputs[k]));
  }
  line += concat(n.outputs.empty() ? "" : " = ", n.op->name, "(");
  bool first = true;
  for (size_t k = 0; k < n.args.size(); ++k) {
    if (n.args[k].tag == ArgTag::none) continue;
    line += concat(first ? "" : ", ", schema.params[k].name, "=",
                   arg_text(g, n.args[k]));
    first = false;
  }
  return line + ")";
}

}  // namespace ferrule::tool
